"""Scores by label of one arm, its confusion matrix, or its errors where labels are numbers, from raw predictions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from curator.race.scores import of_values
from curator.race.statistics import fifths as places
from curator.race.statistics import finished, kind_of, own_labels, truth_of


@dataclass(frozen=True)
class LabelScore:
    """One label of one arm, in points, averaged over seeds; ``support`` is its number of evaluation documents."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


def per_label(record: dict[str, Any], arm: str) -> list[LabelScore]:
    """Precision, recall and F1 of each label of the race's task, averaged over the arm's finished runs; empty if it has
    none.
    """
    size, runs, truth = len(record["labels"]), finished(record, arm), truth_of(record)
    if not runs:
        return []
    if kind_of(record) == "multi":
        support = truth.sum(axis=0)
        guessed = np.stack([run.sum(axis=0) for run in runs.values()])
        hits = np.stack([(run & truth).sum(axis=0) for run in runs.values()])
    else:
        support = np.bincount(truth, minlength=size)
        guessed = np.stack([np.bincount(run, minlength=size) for run in runs.values()])
        hits = np.stack([np.bincount(run[run == truth], minlength=size) for run in runs.values()])
    ratios = ((hits, guessed), (hits, support), (2 * hits, guessed + support))
    figures = [100 * (above / np.maximum(below, 1)).mean(0) for above, below in ratios]
    scores = [
        LabelScore(label, float(precision), float(recall), float(f1), int(n))
        for label, precision, recall, f1, n in zip(record["labels"], *figures, support, strict=True)
    ]
    own = own_labels(record)
    return scores if own is None else [scores[label] for label in own]


def confusion(record: dict[str, Any], arm: str) -> npt.NDArray[np.float64]:
    """Mean documents over the arm's finished runs, true label by predicted label, (labels, labels)."""
    size, runs, truth = len(record["labels"]), finished(record, arm), truth_of(record)
    counts = [np.bincount(truth * size + run, minlength=size * size) for run in runs.values()]
    return np.mean(counts, axis=0).reshape(size, size) if counts else np.zeros((size, size))


@dataclass(frozen=True)
class Errors:
    """Of one arm whose labels are numbers, in the unit of these, averaged over seeds; correlations in points."""

    spearman: float
    pearson: float
    mae: float
    rmse: float
    bias: float  # predicted minus true


@dataclass(frozen=True)
class Fifth:
    """The evaluation documents from ``low`` to ``high`` in their true values, and the errors of one arm there."""

    low: float
    high: float
    documents: int
    predicted: float
    bias: float
    mae: float


def errors(record: dict[str, Any], arm: str) -> Errors | None:
    """None where the arm finished no run."""
    runs, truth = finished(record, arm), truth_of(record)
    if not runs:
        return None
    once = np.ones((1, len(truth)))
    spearman, pearson = (
        float(np.mean([of_values(truth, run, once, metric)[0] for run in runs.values()]))
        for metric in ("spearman", "pearson")
    )
    off = np.stack([run - truth for run in runs.values()])
    return Errors(
        spearman,
        pearson,
        float(np.abs(off).mean()),
        float(np.sqrt((off**2).mean(axis=1)).mean()),
        float(off.mean()),
    )


def fifths(record: dict[str, Any], arm: str) -> list[Fifth]:
    """By the quantiles of the true values, as far as these differ; empty where the arm finished no run."""
    runs, truth = finished(record, arm), truth_of(record)
    if not runs:
        return []
    predicted = np.stack(list(runs.values()))
    place = places(truth)
    found = []
    for number in np.unique(place):
        own = place == number
        off = predicted[:, own] - truth[own]
        mean, bias, mae = predicted[:, own].mean(), off.mean(), np.abs(off).mean()
        found.append(Fifth(truth[own].min(), truth[own].max(), int(own.sum()), float(mean), float(bias), float(mae)))
    return found


def scattered(record: dict[str, Any], arm: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(n,) true values of the evaluation documents, and their predictions, the mean over the arm's finished runs."""
    return truth_of(record), np.mean(list(finished(record, arm).values()), axis=0)
