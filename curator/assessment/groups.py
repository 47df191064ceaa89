"""How a classifier does on parts of the documents: those of each label, and of each value of a column."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from curator.assessment.labelled import Integers, Labelled
from curator.assessment.resampling import RESAMPLES, Figure, macro_f1, share
from curator.race.statistics import SMALL


@dataclass(frozen=True)
class Group:
    """The documents of one value of a column; None is of those that have none."""

    by: str
    group: str | None
    documents: int
    accuracy: Figure
    macro_f1: Figure  # over the labels that occur in the group

    @property
    def small(self) -> bool:
        """Whether it has so few documents that its figures say little."""
        return self.documents < SMALL

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "small": self.small}


def groups(of: Labelled, predicted: Integers, by: str, *, seed: int, resamples: int = RESAMPLES) -> list[Group]:
    """The groups of one of the columns of ``of``, largest first; ``predicted`` is for the documents judged."""
    values = np.array(of.judged[by].to_list(), dtype=object)
    found = []
    for group in dict.fromkeys(values):
        own = values == group
        truth, guessed = of.truth[own], predicted[own]
        accuracy = share(int((truth == guessed).sum()), len(truth))
        found.append(Group(by, group, len(truth), accuracy, macro_f1(truth, guessed, seed=seed, resamples=resamples)))
    return sorted(found, key=lambda one: (-one.documents, one.group or ""))


def by_label(scores: dict[str, Any], predicted: Integers) -> list[dict[str, Any]]:
    """One row for each label of the model, from what ``evaluate`` found.

    ``label``, ``documents``, ``right`` (recall) with its interval ``low`` to ``high``, ``predicted`` (how many
    documents were given the label), ``precision``, ``f1``, ``small``; None where a label does not occur.
    """
    guessed = np.bincount(predicted, minlength=len(scores["per_label"]))
    rows = []
    for position, (label, found) in enumerate(scores["per_label"].items()):
        documents = found["support"]
        right = share(scores["confusion"][position][position], documents) if documents else None
        rows.append(
            {
                "label": label,
                "documents": documents,
                "right": right.value if right else None,
                "low": right.low if right else None,
                "high": right.high if right else None,
                "predicted": int(guessed[position]),
                "precision": found["precision"],
                "f1": found["f1"],
                "small": documents < SMALL,
            }
        )
    return rows
