"""Scores with 95 % intervals over other documents of the same kind.

Accuracy has Wilson's interval, which has a width where every document is right. Macro-F1, and differences between two
predictions of the same documents, have the percentile bootstrap's over documents. Neither score depends on more of a
document than its true and its predicted labels, so documents that share these are one cell, and drawing documents with
replacement is drawing the cells' counts from a multinomial distribution: exactly, and in no order. In simulations with
three labels of 60, 25 and 15 % it held the true macro-F1 in 94.4 % of samples of 50 documents and in 95.5 % of 1,000.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curator.assessment.labelled import Floats, Integers
from curator.indexes.measured import interval as wilson
from curator.race import statistics
from curator.race.statistics import ERROR, from_counts

RESAMPLES = 2000
BLOCK = 1 << 24  # draws of a cell that are in memory at once
METRICS = ("accuracy", "macro_f1")


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def share(right: int, documents: int) -> Figure:
    """``right`` of ``documents``, with Wilson's interval."""
    low, high = wilson(right / documents, documents)
    return Figure(right / documents, low, high)


def score(truth: Integers, predicted: Integers, metric: str) -> float:
    """Accuracy, or macro-F1 over the labels that occur in either of two (n,) arrays of labels; 0 to 1."""
    return statistics.score(truth, predicted, metric) / 100


def macro_f1(truth: Integers, predicted: Integers, *, seed: int, resamples: int = RESAMPLES) -> Figure:
    """Macro-F1 with its interval."""
    (drawn,) = _resampled(truth, [predicted], "macro_f1", seed, resamples)
    return _figure(score(truth, predicted, "macro_f1"), drawn)


def difference(
    truth: Integers, before: Integers, after: Integers, metric: str, *, seed: int, resamples: int = RESAMPLES
) -> Figure:
    """How much higher ``after`` scores than ``before`` on the same documents, which are resampled for both together.

    0 to 0 where no prediction changed: then no draw of these documents tells them apart.
    """
    first, second = _resampled(truth, [before, after], metric, seed, resamples)
    return _figure(score(truth, after, metric) - score(truth, before, metric), second - first)


def _figure(value: float, drawn: Floats) -> Figure:
    low, high = np.quantile(drawn, [ERROR / 2, 1 - ERROR / 2])
    return Figure(value, float(low), float(high))


def _resampled(
    truth: Integers, predictions: Sequence[Integers], metric: str, seed: int, resamples: int
) -> list[Floats]:
    """Of each of the predictions, the score of each resample: (resamples,), the same draws for all."""
    cells, counts = np.unique(np.stack([truth, *predictions]), axis=1, return_counts=True)
    rng, scores = np.random.default_rng(seed), []
    block = max(1, BLOCK // cells.shape[1])
    for start in range(0, resamples, block):
        draws = rng.multinomial(len(truth), counts / len(truth), size=min(block, resamples - start))
        scores.append([_of_cells(cells[[0, row]], draws, metric) for row in range(1, len(cells))])
    return [np.concatenate(parts) for parts in zip(*scores, strict=True)]


def _of_cells(cells: Integers, counts: Floats | Integers, metric: str) -> Floats:
    """The score of each row of ``counts`` (draws, cells); ``cells`` (2, cells) has their true and predicted labels."""
    names, codes = np.unique(cells, return_inverse=True)
    actual, guessed = np.eye(len(names))[codes.reshape(cells.shape)]
    hits = actual * (cells[0] == cells[1])[:, None]
    scores: Floats = from_counts(counts @ hits, counts @ guessed, counts @ actual, metric) / 100
    return scores
