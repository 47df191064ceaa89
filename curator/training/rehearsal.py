"""Earlier tasks in the training of another: their labels, their dev sets, and what is replayed of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curator.errors import UsageError
from curator.recipe import Train
from curator.training.examples import Examples, Served

NOTHING = Examples((), ())


@dataclass(frozen=True)
class Rehearsal:
    """What a run has of the tasks that its model was trained on before.

    ``labels`` are those of each task, ``dev`` its dev examples (None: it has none, or weights are not to be chosen by
    them); ``replayed`` are the examples of all, none where nothing is replayed and only the labels stay.
    """

    labels: tuple[tuple[str, ...], ...]
    dev: tuple[Examples | None, ...] = ()
    replayed: Examples = NOTHING


def all_labels(labels: Sequence[str], earlier: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The labels of a task, then those of earlier ones that it lacks; one name is one label."""
    return tuple(dict.fromkeys([*labels, *(label for own in earlier for label in own)]))


def check_rehearsal(settings: Train, rehearsal: Rehearsal, served: Served) -> None:
    """Raise UsageError where nothing says what share is replayed, or documents are used that would change the model."""
    if len(rehearsal.replayed) and settings.replay is None:
        raise UsageError(f"{len(rehearsal.replayed):,} replayed examples, and no settings.replay says for what share")
    uses = [name for name in ("text", "auxiliary", "teacher") if getattr(served, name)]
    if uses:
        raise UsageError(
            f"documents that serve as {' and '.join(uses)} do not go with a replay; let them serve as labels, or leave "
            "[train.replay] out"
        )


def standing(dev: dict[str, Any], score: str = "macro_f1") -> tuple[float, float]:
    """What weights are chosen by, more being better: the mean of a score over the tasks' dev sets, minus the loss."""
    tasks = [dev, *dev.get("earlier", ())]
    return (
        sum(task[score] for task in tasks) / len(tasks),
        -sum(task["loss"] for task in tasks) / len(tasks),
    )
