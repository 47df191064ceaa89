"""Labels of documents as numbers, and outputs of a model as decisions, by the kind of the task."""

import difflib
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from curator.errors import DataError
from curator.recipe import Kind

Label = str | tuple[str, ...] | float  # of a document: its label, all its labels, its value

VALUE = "value"  # what the single output of a regression is called
THRESHOLD = 0.5  # probability from which on a document has a label, where it can have several
LARGEST = float(np.finfo(np.float32).max)


def outputs_of(labels: Sequence[str], kind: Kind) -> tuple[str, ...]:
    """The names of a model's outputs."""
    return (VALUE,) if kind == "regression" else tuple(labels)


def task_labels(labels: Sequence[str], kind: Kind = "single") -> tuple[str, ...]:
    """The labels of a task, checked: none twice, and at least two, of a multi-label task one, of a regression none."""
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise DataError(f"the label {twice!r} is listed twice")
    if kind == "regression" and labels:
        raise DataError(f"a regression predicts a number and has no labels, this task has {list(labels)}")
    if kind == "multi" and not labels:
        raise DataError("a multi-label classifier needs at least one label, and no example has any")
    if kind == "single" and len(labels) < 2:
        raise DataError(f"a classifier needs at least two labels, this task has {len(labels)}: {list(labels)}")
    return tuple(labels)


def coded(given: Sequence[Label], labels: Sequence[str], kind: Kind, where: str) -> NDArray[Any]:
    """Labels of ``n`` examples as numbers; ``where`` names the examples in errors.

    single: (n,) int64, positions in ``labels``. multi: (n, len(labels)) float32, 1 for each label that a document has.
    regression: (n,) float64. Raises DataError for a label that is not there and for what is none of the kind.
    """
    if kind == "single":
        return np.array(class_ids(given, labels, where), np.int64)
    return _indicators(given, labels, where) if kind == "multi" else _values(given, where)


def class_ids(given: Sequence[Label], labels: Sequence[str], where: str) -> list[int]:
    """Each given label's position in ``labels``. Raises DataError for one that is not there."""
    position: dict[Label, int] = {label: index for index, label in enumerate(labels)}
    unknown = [label for label in given if label not in position]
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), labels, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the task's labels are {', '.join(labels[:12])}"
        raise DataError(f"{len(unknown)} of {len(given)} {where} examples have labels such as {unknown[0]!r}: {hint}")
    return [position[label] for label in given]


def outputs(logits: NDArray[np.float32], kind: Kind) -> NDArray[np.float32]:
    """What (n, outputs) logits say: probabilities of which rows sum to 1, probabilities each by itself, or values."""
    if kind == "regression":
        return logits
    found: NDArray[np.float32] = softmax(logits, axis=1) if kind == "single" else expit(logits)
    return found


def decided(given: NDArray[np.float32], kind: Kind) -> list[Any]:
    """What (n, outputs) that ``Classifier.predict`` gives say of each document, as plain values.

    single: the number of the first likeliest label. multi: the numbers of the labels at or above 0.5, none or several.
    regression: the value.
    """
    if kind == "single":
        return [int(label) for label in given.argmax(axis=1)]
    if kind == "multi":
        return [np.flatnonzero(row).tolist() for row in given >= THRESHOLD]
    return [float(value) for value in given[:, 0]]


def _indicators(given: Sequence[Label], labels: Sequence[str], where: str) -> NDArray[np.float32]:
    for label in given:
        if not isinstance(label, tuple | list):
            raise DataError(
                f"{where} example with the label {label!r}: documents of a multi-label task have a list of labels "
                "each, which may be empty"
            )
    sizes = [len(own) for own in given]  # type: ignore[arg-type]  # checked above
    every = class_ids([label for own in given for label in own], labels, where)  # type: ignore[union-attr]
    found = np.zeros((len(given), len(labels)), np.float32)
    found[np.repeat(np.arange(len(given)), sizes), every] = 1
    return found


def _values(given: Sequence[Label], where: str) -> NDArray[np.float64]:
    for row, value in enumerate(given):
        if not isinstance(value, Real) or isinstance(value, bool) or not abs(value) <= LARGEST:
            raise DataError(
                f"label {value!r} of {where} example {row} is not a finite number (of float32), and those of a "
                "regression are; correct it, or leave the document out"
            )
    return np.array(given, np.float64)
