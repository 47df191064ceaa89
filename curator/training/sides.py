"""The rows that a model is trained on: the target's, the selected, those of other tasks or replayed."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from curator.errors import CuratorWarning, DataError
from curator.recipe import Kind, Train
from curator.training.examples import Examples, Served
from curator.training.labels import class_ids, coded
from curator.training.preparation import others
from curator.training.rehearsal import NOTHING
from curator.training.scale import Scale
from curator.training.teaching import Taught


@dataclass(frozen=True, eq=False)
class Sides:
    """Target documents first, then the selected ones, those of a teacher at their end, then those of other tasks, or
    the replayed ones.
    """

    lambdas: tuple[float, float]  # in force at the first and the last step
    texts: tuple[str, ...]
    labels: tuple[str, ...]  # of the task, then of the others
    classes: Tensor  # (rows,) int64, or (rows, outputs) float32: where there is a teacher, or of another kind
    weights: Tensor  # (rows,) float64
    targets: int
    sure: float  # share of the selected side's weight of which a teacher was sure, with all that needs none
    tasks: tuple[Tensor, Tensor] | None  # (rows,) and (labels,) int64; None: all are of one
    scale: Scale | None = None  # of the labels of a regression, whose ``classes`` are standardised
    beside: int = 0  # rows at the end that are of other tasks, or replayed
    share: float = 0.0  # of the loss that is theirs


def sides_of(
    settings: Train, target: Examples, selected: Examples | None, taught: Taught | None, beside: Served,
    labels: tuple[str, ...], kind: Kind = "single", replayed: Examples = NOTHING,
) -> Sides:  # fmt: skip
    """Everything that takes part. Raises DataError for a label that is not there and for a side that is empty.

    ``replayed`` documents have labels among ``labels``, and come without any of other tasks or of a teacher. Of another
    kind than single labels there is neither a teacher nor a task beside, nor a replay.
    """
    for side, name in ((target, "target"), (selected, "selected"), (replayed, "replayed")):
        coded(side.labels if side else (), labels, kind, name)  # of all that is given, also what weighs nothing
    if taught and len(taught.examples):
        selected = _joined(selected, taught.examples)
    lambdas, target, selected = _weighing(settings.lambdas, target, selected)
    replayed = replayed.weighing()
    if settings.class_weights == "balanced":
        target, selected, replayed = target.balanced(), selected.balanced(), replayed.balanced()
    if kind != "single":
        return _of_kind(kind, lambdas, target, selected, labels)
    names, codes, tasks = others(beside)
    every = target.labels + selected.labels + replayed.labels
    classes = torch.tensor(class_ids(every, labels, "training") + [len(labels) + code for code in codes])
    if taught and len(selected) and len(taught.examples):
        known = classes
        classes = torch.zeros(len(known), len(labels) + len(names)).scatter_(1, known.unsqueeze(1), 1.0)
        place = len(every) - len(taught.examples)
        classes[place : len(every), : len(labels)] = torch.from_numpy(taught.probabilities)
    of_label = torch.cat([torch.zeros(len(labels), dtype=torch.long), 1 + tasks])
    of_row = torch.cat([torch.zeros(len(every), dtype=torch.long), 1 + tasks[codes]])
    return Sides(
        lambdas,
        target.texts + selected.texts + replayed.texts + beside.auxiliary.texts,
        labels + names,
        classes,
        torch.tensor(
            target.weights + selected.weights + replayed.weights + beside.auxiliary.weights, dtype=torch.float64
        ),
        len(target),
        _sure(selected, taught),
        (of_row, of_label) if names else None,
        beside=len(replayed) + len(beside.auxiliary),
        share=_share(settings, replayed, beside),
    )


def _share(settings: Train, replayed: Examples, beside: Served) -> float:
    if len(replayed) and settings.replay:
        return settings.replay.share
    return settings.auxiliary.share if len(beside.auxiliary) else 0.0


def _of_kind(
    kind: Kind, lambdas: tuple[float, float], target: Examples, selected: Examples, labels: tuple[str, ...]
) -> Sides:
    known = coded(target.labels + selected.labels, labels, kind, "training")
    weights = np.array(target.weights + selected.weights)
    scale = Scale.of(known, weights) if kind == "regression" else None
    return Sides(
        lambdas,
        target.texts + selected.texts,
        labels,
        torch.from_numpy(scale.standardised(known)[:, None] if scale else known),
        torch.from_numpy(weights),
        len(target),
        1.0,
        None,
        scale,
    )


def _sure(selected: Examples, taught: Taught | None) -> float:
    there = sum(selected.weights)
    return there / (there + taught.unsure) if taught and there else 1.0


def _joined(selected: Examples | None, taught: Examples) -> Examples:
    """``taught`` at the end."""
    first = (selected or NOTHING).weighing()
    return Examples(
        first.texts + taught.texts, first.labels + taught.labels, first.weights + taught.weights
    )  # fmt: skip


def _weighing(
    lambdas: tuple[float, float], target: Examples, selected: Examples | None
) -> tuple[tuple[float, float], Examples, Examples]:
    """λ in force, first and last, and the examples it looks at. Raises DataError if a side that counts is empty."""
    if selected is None or lambdas == (-1, -1):
        lambdas, selected = (-1.0, -1.0), NOTHING
    elif lambdas == (0, 0):
        target = NOTHING
    elif max(lambdas) > 0:
        warnings.warn(
            f"lambda = {max(lambdas):g} is above 0: training raises the loss on the target documents; between -1 and 0 "
            "it weighs target and selection",
            CuratorWarning,
            stacklevel=3,
        )
    target, selected = target.weighing(), selected.weighing()
    told = " to ".join(f"{one:g}" for one in dict.fromkeys(lambdas))
    if lambdas != (0, 0) and not len(target):
        raise DataError(f"no target example has a weight above 0, and lambda = {told} trains on them")
    if lambdas != (-1, -1) and not len(selected):
        raise DataError(
            f"no selected example has a weight above 0, and lambda = {told} trains on them; "
            "to train on the target alone pass selected=None"
        )
    return lambdas, target, selected
