"""Scores by label and the confusion matrix of one arm, from its raw predictions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from curator.race.statistics import finished, own_labels


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
    size, runs = len(record["labels"]), finished(record, arm)
    truth = np.asarray(record["evaluation"]["truth"], np.int64)
    if not runs:
        return []
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
    size, runs = len(record["labels"]), finished(record, arm)
    truth = np.asarray(record["evaluation"]["truth"], np.int64)
    counts = [np.bincount(truth * size + run, minlength=size * size) for run in runs.values()]
    return np.mean(counts, axis=0).reshape(size, size) if counts else np.zeros((size, size))
