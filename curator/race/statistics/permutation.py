"""How often chance alone would part two arms so far, if the predictions of each document were anyone's.

A paired permutation test over evaluation documents (Pitman 1937; Yeh 2000 for F1): what the two arms predict of a
document, in all shared seeds together, is swapped or not by the toss of a coin, and the p-value is how often the mean
score over seeds then differs as much. It speaks of these very models and of other documents, needs no second seed and
no form of distribution, and knows nothing of what other seeds would have done. ``scipy.stats.permutation_test`` tosses,
or goes through all tosses where there are no more than it would draw.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack
from scipy.stats import permutation_test, rankdata

from curator.race.statistics.comparison import Results
from curator.race.statistics.records import Floats, Values, finished, kind_of, own_labels, truth_of
from curator.race.statistics.scoring import from_counts
from curator.recipe import role_of

TOSSES = 999
TOSSES_OF_RANKS = 499  # ranks are sorted anew after each toss

Tosses = npt.NDArray[np.bool_]
Scores = Callable[[Tosses], tuple[Floats, Floats]]
"""(b, documents) which are swapped → (b,) points of the first arm and of the second, mean over seeds."""


def permuted(record: dict[str, Any], results: Results, tosses: int | None = None) -> dict[str, float]:
    """The p-value of each arm against the champion, two-sided, × the number of those of its role, at most 1.

    Of those that share a finished seed with it, one being enough.
    """
    shared = [comparison for comparison in results.comparisons if comparison.seeds]
    if results.champion is None or not shared:
        return {}
    families = Counter(role_of(comparison.arm) for comparison in shared)
    ours, truth = finished(record, results.champion), truth_of(record)
    found = {}
    for comparison in shared:
        theirs = finished(record, comparison.arm)
        sides = (np.stack([side[seed] for seed in comparison.seeds]) for side in (ours, theirs))
        found[comparison.arm] = min(
            1.0, families[role_of(comparison.arm)] * swapped(record, truth, *sides, tosses=tosses)
        )
    return found


def swapped(
    record: dict[str, Any], truth: Values, ours: Values, theirs: Values, *, tosses: int | None = None
) -> float:  # fmt: skip
    """The two-sided p-value of two arms by (seeds, documents, …) predictions.

    It is 1 where they differ on no document, and on one alone, as a swap of that gives the same difference.
    """
    differ = np.flatnonzero((ours != theirs).reshape(len(ours), len(truth), -1).any(axis=(0, 2)))
    if len(differ) < 2:
        return 1.0
    of_ranks = record["metric"] == "spearman"
    scores = (_by_ranks if of_ranks else _by_sums)(record, truth, ours, theirs, differ)

    def statistic(first: Floats, _: Floats, axis: int) -> Floats:
        """The difference of the scores; ``first`` has a document's number, or a higher one where it is swapped."""
        one, other = scores(np.moveaxis(np.atleast_2d(first) >= len(differ), axis, -1))
        return one - other if first.ndim > 1 else (one - other)[0]

    numbers = np.arange(len(differ), dtype=float)
    outcome = permutation_test(
        (numbers, numbers + len(differ)), statistic, permutation_type="samples", vectorized=True,
        n_resamples=tosses or (TOSSES_OF_RANKS if of_ranks else TOSSES), rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(outcome.pvalue)


def _by_sums(record: dict[str, Any], truth: Values, ours: Values, theirs: Values, differ: npt.NDArray[Any]) -> Scores:
    """Of metrics that are made of sums over documents: a swap adds what the other arm's has less what one's own has."""
    terms = [
        (_terms(record, truth, one), _terms(record, truth, other)) for one, other in zip(ours, theirs, strict=True)
    ]
    added = hstack([(other - one)[differ] for one, other in terms]).tocsc()
    first, second = (
        np.concatenate([np.asarray(side.sum(axis=0)).ravel() for side in sides]) for sides in zip(*terms, strict=True)
    )
    actual = np.asarray(_terms(record, truth, truth).sum(axis=0)).ravel()

    def scores(tosses: Tosses) -> tuple[Floats, Floats]:
        moved = np.asarray(tosses.astype(float) @ added)
        sides = ((sums.reshape(len(tosses), len(terms), -1)) for sums in (first + moved, second - moved))
        one, other = (_of_sums(record, sums, actual, len(truth)).mean(axis=1) for sums in sides)
        return one, other

    return scores


def _terms(record: dict[str, Any], truth: Values, run: Values) -> csr_matrix:
    """(documents, sums) what each document adds to the sums that the metric is of."""
    kind, metric = kind_of(record), record["metric"]
    if kind == "regression":
        centre = truth - truth.mean()
        off = run - truth.mean()
        return csr_matrix(np.stack([off * centre, off, off**2], axis=1))
    if metric == "accuracy":
        right = truth == run
        return csr_matrix(right.reshape(len(truth), -1).all(axis=1, keepdims=True).astype(float))
    if kind == "multi":
        return hstack([csr_matrix((run & truth).astype(float)), csr_matrix(run.astype(float))]).tocsr()
    size, rows = len(record["labels"]), np.arange(len(truth))
    right = run == truth
    hits = csr_matrix((np.ones(right.sum()), (rows[right], run[right])), shape=(len(truth), size))
    return hstack([hits, csr_matrix((np.ones(len(run)), (rows, run)), shape=(len(truth), size))]).tocsr()


def _of_sums(record: dict[str, Any], sums: Floats, actual: Floats, documents: int) -> Floats:
    """(b, seeds) points, from (b, seeds, sums); ``actual`` are the sums of predictions that are the truth."""
    kind, metric = kind_of(record), record["metric"]
    if kind == "regression":
        products, total, squares = np.moveaxis(sums, -1, 0)
        spread = np.maximum(squares - total**2 / documents, 0)
        norm = np.sqrt(spread * actual[0])
        flat = spread <= 1e-12 * squares
        correlations: Floats = np.divide(products, norm, out=np.zeros_like(products), where=(norm > 0) & ~flat)
        return 100 * correlations
    if metric == "accuracy":
        found: Floats = 100 * sums[..., 0] / documents
        return found
    size = len(record["labels"])
    hits, guessed, there = sums[..., :size], sums[..., size:], actual[size:]
    if kind == "single":
        points: Floats = from_counts(hits, guessed, there, metric, own_labels(record))
        return points
    if metric == "micro_f1":
        hits, guessed, there = (counts.sum(axis=-1, keepdims=True) for counts in (hits, guessed, there))
    f1: Floats = 100 * (2 * hits / np.maximum(guessed + there, 1)).mean(axis=-1)
    return f1


def _by_ranks(_: dict[str, Any], truth: Values, ours: Values, theirs: Values, differ: npt.NDArray[Any]) -> Scores:
    """Of Spearman's correlation: equal values share the mean of their ranks, and a side of one value alone has 0."""
    wanted = rankdata(truth) - (len(truth) + 1) / 2

    def points(predictions: Floats) -> Floats:
        ranks = rankdata(predictions, axis=-1) - (len(truth) + 1) / 2
        norms = np.sqrt((ranks**2).sum(axis=-1) * (wanted**2).sum())
        correlations: Floats = np.divide(ranks @ wanted, norms, out=np.zeros(len(ranks)), where=norms > 0)
        return 100 * correlations

    def scores(tosses: Tosses) -> tuple[Floats, Floats]:
        whole = np.zeros((len(tosses), len(truth)), np.bool_)
        whole[:, differ] = tosses
        pairs = [
            (points(np.where(whole, other, one)), points(np.where(whole, one, other)))
            for one, other in zip(ours, theirs, strict=True)
        ]
        first, second = (np.mean(side, axis=0) for side in zip(*pairs, strict=True))
        return first, second

    return scores
