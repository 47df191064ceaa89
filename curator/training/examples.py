"""Labelled texts with weights: the input of fine-tuning."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from curator.errors import DataError
from curator.training.labels import Label


@dataclass(frozen=True)
class Examples:
    """``n`` texts with their labels and weights; no weights means 1 for all. Raises DataError if they do not fit."""

    texts: tuple[str, ...]
    labels: tuple[Label, ...]
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.texts):
            raise DataError(f"{len(self.texts)} texts but {len(self.labels)} labels; give one label per text")
        if self.weights and len(self.weights) != len(self.texts):
            raise DataError(f"{len(self.texts)} texts but {len(self.weights)} weights; give one per text, or none")
        for row, weight in enumerate(self.weights):
            if not (math.isfinite(weight) and weight >= 0):
                raise DataError(f"weight {weight!r} of example {row} is not a finite number ≥ 0")

    def __len__(self) -> int:
        return len(self.texts)

    def weighing(self) -> "Examples":
        """Those with a weight above 0, weights written out: a weight of 0 never reaches the loss."""
        kept = [row for row, weight in enumerate(self.weights) if weight > 0] if self.weights else range(len(self))
        return Examples(
            texts=tuple(self.texts[row] for row in kept),
            labels=tuple(self.labels[row] for row in kept),
            weights=tuple(float(self.weights[row]) for row in kept) if self.weights else (1.0,) * len(self),
        )

    def balanced(self) -> "Examples":
        """With weights of which each label has the same sum, and within one the proportions; the total stays."""
        weights = self.weights or (1.0,) * len(self)
        sums: dict[Label, float] = {}
        for label, weight in zip(self.labels, weights, strict=True):
            sums[label] = sums.get(label, 0.0) + weight
        part = sum(weights) / max(len(sums), 1)
        scaled = (weight * part / sums[label] for label, weight in zip(self.labels, weights, strict=True))
        return Examples(self.texts, self.labels, tuple(scaled))


@dataclass(frozen=True)
class Served:
    """Documents that serve a run without a label of its task.

    ``text``: for continued pre-training. ``auxiliary``: with the labels of ``sources``, one for each document, which
    are tasks of their own. ``teacher``: to be labelled by a model. No weights means 1 for all. Raises DataError if
    sizes do not fit.
    """

    text: tuple[str, ...] = ()
    auxiliary: Examples = Examples((), ())
    sources: tuple[str, ...] = ()
    teacher: tuple[str, ...] = ()
    text_weights: tuple[float, ...] = ()
    teacher_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.sources) != len(self.auxiliary):
            raise DataError(f"{len(self.auxiliary)} auxiliary documents but {len(self.sources)} sources; give one each")

    @cached_property
    def alone(self) -> tuple[str, ...]:
        """The auxiliary sources of a single label, from which there is nothing to learn."""
        labels: dict[str, set[Label]] = {}
        for source, label in zip(self.sources, self.auxiliary.labels, strict=True):
            labels.setdefault(source, set()).add(label)
        return tuple(sorted(source for source, own in labels.items() if len(own) == 1))

    def weighing(self) -> "Served":
        """Those with a weight above 0, weights written out, and without the sources that are ``alone``.

        Raises DataError where no other auxiliary source is left.
        """
        weights = self.auxiliary.weights or (1.0,) * len(self.auxiliary)
        kept = [row for row, weight in enumerate(weights) if weight > 0]
        counted = replace(
            self, auxiliary=_taken(self.auxiliary, kept), sources=tuple(self.sources[row] for row in kept)
        )
        kept = [row for row, source in enumerate(counted.sources) if source not in counted.alone]
        if counted.sources and not kept:
            told = ", ".join(counted.alone)
            raise DataError(f"each auxiliary source has a single label, from which nothing can be learned: {told}")
        text, teacher = (
            Examples(texts, texts, weights).weighing()
            for texts, weights in ((self.text, self.text_weights), (self.teacher, self.teacher_weights))
        )
        return Served(
            text.texts,
            _taken(counted.auxiliary, kept),
            tuple(counted.sources[row] for row in kept),
            teacher.texts,
            text.weights,
            teacher.weights,
        )


def _taken(examples: Examples, rows: Sequence[int]) -> Examples:
    """Some of them, weights written out."""
    weights = examples.weights or (1.0,) * len(examples)
    texts, labels = tuple(examples.texts[row] for row in rows), tuple(examples.labels[row] for row in rows)
    return Examples(texts, labels, tuple(weights[row] for row in rows))


NOTHING_SERVED = Served()
