"""Scores of predictions that are sets of labels or numbers, on evaluation documents drawn with repetition. In points.

A draw says how often each of n documents was drawn; the score is that of the sample in which it stands so often. A draw
of one for each document gives the score itself.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.float64]
Sets = npt.NDArray[np.bool_]


def indicators(sets: Sequence[Sequence[int]], size: int) -> Sets:
    """(n, size) which labels each of n documents has, from their numbers."""
    found = np.zeros((len(sets), size), np.bool_)
    found[np.repeat(np.arange(len(sets)), [len(own) for own in sets]), [number for own in sets for number in own]] = (
        True
    )
    return found


def of_sets(truth: Sets, predicted: Sets, draws: Floats, metric: str) -> Floats:
    """(b,) scores of (n, labels) predictions on (b, n) draws.

    ``macro_f1``: the mean of F1 over all labels, 0 for one that is neither there nor predicted; ``micro_f1``: F1 of all
    decisions together; ``accuracy``: the share of documents of which every label is right.
    """
    if metric == "accuracy":
        right: Floats = 100 * draws @ (truth == predicted).all(axis=1) / draws.sum(axis=1)
        return right
    hits, guessed, there = (draws @ csr_matrix(sets.astype(float)) for sets in (truth & predicted, predicted, truth))
    if metric == "micro_f1":
        hits, guessed, there = (counts.sum(axis=1, keepdims=True) for counts in (hits, guessed, there))
    f1: Floats = 100 * (2 * hits / np.maximum(guessed + there, 1)).mean(axis=1)
    return f1


def of_values(truth: Floats, predicted: Floats, draws: Floats, metric: str) -> Floats:
    """(b,) correlations of (n,) predictions on (b, n) draws, 0 where a side has one value alone.

    ``pearson``; ``spearman``: that of the ranks, of equal values their mean, within the draw.
    """
    if metric == "spearman":
        return _correlation(_ranks(truth, draws), _ranks(predicted, draws), draws)
    return _correlation(np.broadcast_to(truth, draws.shape), np.broadcast_to(predicted, draws.shape), draws)


def _ranks(values: Floats, draws: Floats) -> Floats:
    """(b, n) the rank of each value in each draw: below it are those of lower ones, and its equals share theirs."""
    _, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    counts = np.add.reduceat(draws[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(counts, axis=1) - (counts - 1) / 2)[:, place]
    return ranks


def _correlation(one: Floats, other: Floats, draws: Floats) -> Floats:
    """(b,) Pearson's, of (b, n) values with (b, n) weights."""
    sides = []
    for side in (one, other):
        centred = side - (draws * side).sum(axis=1, keepdims=True) / draws.sum(axis=1, keepdims=True)
        drawn = np.abs(np.where(draws > 0, centred, 0))
        largest = drawn.max(axis=1, keepdims=True)
        # What rounding leaves of a side of one value is no spread.
        flat = largest <= 1e-12 * np.abs(side).max(axis=1, keepdims=True)
        sides.append(np.where(flat, 0, centred / np.where(flat, 1, largest)))
    x, y = sides
    products = (draws * x * y).sum(axis=1)
    norms = np.sqrt((draws * x**2).sum(axis=1) * (draws * y**2).sum(axis=1))
    found: Floats = 100 * np.clip(np.divide(products, norms, out=np.zeros(len(draws)), where=norms > 0), -1, 1)
    return found
