"""The test documents that a race is measured on, those of its task and of earlier ones."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from curator.errors import DataError
from curator.mix import Task, Workshop, evaluation_truth
from curator.race.contamination import contaminated
from curator.race.grouping import groupings
from curator.recipe import Kind


@dataclass(frozen=True)
class Evaluation:
    """The test documents of a task: drawn once, the same for every arm and seed; and those of the tasks before it."""

    ids: list[str]
    texts: list[str]
    truth: list[Any]  # by the task's kind names, tuples of them, or numbers
    of: int
    earlier: tuple["Evaluation", ...] = ()
    groups: tuple[dict[str, Any], ...] = ()  # as a record has them
    contaminated: tuple[int, ...] | None = None  # positions of those that may have been learnt; None: not looked for

    def told(self, labels: Sequence[str], kind: Kind) -> dict[str, Any]:
        """As a record has it, the truth as numbers among ``labels``, lists of these, or values."""
        return {
            "documents": len(self.ids),
            "of": self.of,
            "ids": self.ids,
            "truth": _recorded(self.truth, labels, kind),
            **({"groups": list(self.groups)} if self.groups else {}),
            **({"contaminated": list(self.contaminated)} if self.contaminated is not None else {}),
        }


def drawn(task: Task, workshop: Workshop, number: int | None) -> Evaluation:
    """At most ``number`` evaluation documents, by a hash of their ids, with their labels, of each task.

    Of the race's own, also the groups they are in and which of them an arm may have learnt.
    """
    earlier = tuple(_drawn(one.task, workshop, number) for one in task.earlier)
    own = _drawn(task, workshop, number)
    groups, copies = groupings(task, workshop, own.ids), contaminated(task, workshop, own.ids)
    return replace(own, earlier=earlier, groups=groups, contaminated=copies)


def _drawn(task: Task, workshop: Workshop, number: int | None) -> Evaluation:
    ids = task.test.frame["id"].to_list()
    order = sorted(ids, key=lambda name: hashlib.blake2b(f"evaluation:{name}".encode(), digest_size=8).digest())
    chosen = sorted(order[:number])
    texts = dict(zip(ids, task.test.frame["text"].to_list(), strict=True))
    truth = evaluation_truth(task.recipe, workshop.corpora, task, workshop.session, chosen)
    names = truth if task.kind == "single" else [name for own in truth for name in own] if task.labels else []
    unknown = sorted(set(names) - set(task.labels))
    if unknown:
        raise DataError(f"the test set has a label that no target document has: {unknown[0]!r}; map it or leave it out")
    return Evaluation(chosen, [texts[name] for name in chosen], truth, len(ids))


def _recorded(truth: list[Any], labels: Sequence[str], kind: Kind) -> list[Any]:
    if kind == "single":
        return [labels.index(label) for label in truth]
    return [[labels.index(name) for name in own] for own in truth] if kind == "multi" else truth
