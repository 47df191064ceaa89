"""The cosines of random pairs: every pair of a sample of documents, and what they say of all pairs.

The m (m − 1) / 2 pairs of m sampled documents are not as many independent ones: a document that is close to many
takes all its pairs with it. The share of pairs at or over a cosine is a U-statistic of order two (Hoeffding, 1948), of
variance

    [N ζ₂ + T ζ₁] / N²      N pairs, ζ₂ = p (1 − p);  T pairs of pairs that share a document, ζ₁ their covariance

for documents from a population without end; for m of n it is at most 1 − m/n of that, so where all were compared
nothing is left to estimate. Between two corpora each side has a T and a ζ₁ of its own. N · ζ₂ / (N² · variance) of the
pairs would have told as much had they been independent: the interval of a share is that of Clopper and Pearson for so
many (Korn and Graubard, 1998), and the interval of a threshold is where the shares at its ends are reached (Woodruff,
1952).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from curator.errors import UsageError
from curator.relation import Relation
from curator.vectors import Matrix

ROWS = 8_192  # documents sampled of a side: 33.5 million pairs within a corpus, 67 million between two
LEAST_PAIRS = 10  # that must lie over a threshold: with fewer, its interval spans an order of magnitude
FINE = 20_000  # bins of the cosines from −1 to 1: thresholds have four decimals, and rounding moves next to none
COARSE = 200  # of those that tell how much the pairs hang together
BLOCK = 512  # left documents whose products are held at once
CONFIDENCE = 0.95

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RandomPairs:
    """The distribution of the cosines of random pairs, within a corpus or between two.

    A pair is of two documents, drawn uniformly, whose vectors differ: a text has one vector, so the same text twice is
    no random pair. ``sampled`` of ``documents`` were drawn of each side, by ``seed``, and all their pairs compared.
    """

    documents: tuple[int, ...]  # of one corpus, or of two
    sampled: tuple[int, ...]  # without those whose vector is zero, which has no cosine
    possible: int  # pairs of all documents, to say what more there is
    counts: Counts  # (FINE,): pairs in each bin
    independent: Floats  # (COARSE + 1,): as many independent pairs would say as much of the share from each edge on
    seed: int

    def __len__(self) -> int:
        return int(self.counts.sum())

    def __repr__(self) -> str:
        sides = " × ".join(f"{m:,} of {n:,}" for m, n in zip(self.sampled, self.documents, strict=True))
        return f"RandomPairs({len(self):,} pairs of {sides} documents)"

    @property
    def smallest_fpr(self) -> float:
        """The smallest share that the number of pairs supports."""
        return LEAST_PAIRS / len(self)

    def threshold(self, fpr: float) -> float:
        """The least cosine, to four decimals, that at most a share ``fpr`` of random pairs reach.

        Raises UsageError for a share outside (0, 1) or below ``smallest_fpr``, saying how many pairs would do.
        """
        self._check(fpr)
        return _cosine(int(np.argmax(self._reached() <= fpr * len(self))))

    def interval(self, fpr: float) -> tuple[float, float]:
        """The 95 % interval of ``threshold(fpr)`` over all pairs that there are; one point where all were compared."""
        cosine, share = self.threshold(fpr), fpr
        low, high = self._share_interval(share, cosine)
        reached = self._reached() / len(self)
        return min(cosine, _cosine(int(np.argmax(reached <= high)))), max(
            cosine, _cosine(int(np.argmax(reached <= low)))
        )

    def fpr(self, cosine: float) -> float:
        """The share of random pairs that reach a cosine; between two edges of bins it is interpolated."""
        if not -1 <= cosine <= 1:
            raise UsageError(f"{cosine} is no cosine: −1 to 1 is needed")
        return float(np.interp(cosine, _cosines(), self._reached())) / len(self)

    def quantile(self, share: float) -> float:
        """The cosine below which a share of the random pairs lies."""
        return _cosine(int(np.argmax(self._reached() <= (1 - share) * len(self))))

    def _reached(self) -> Counts:
        """(FINE + 1,) pairs at or over each edge, which falls to 0."""
        return np.append(np.cumsum(self.counts[::-1])[::-1], 0)

    def _share_interval(self, share: float, cosine: float) -> tuple[float, float]:
        """Of the share of all pairs over a cosine, where this share of the sample is."""
        from scipy.special import betaincinv  # takes a while to import

        if self.sampled == self.documents:
            return share, share
        place = (cosine + 1) * COARSE / 2
        n = float(min(self.independent[int(place)], self.independent[ceil(place)]))
        k, tail = share * n, (1 - CONFIDENCE) / 2
        return float(betaincinv(k, n - k + 1, tail)), float(betaincinv(k + 1, n - k, 1 - tail))

    def _check(self, fpr: float) -> None:
        if not 0 < fpr < 1:
            raise UsageError(f"fpr = {fpr}: a share of random pairs, above 0 and below 1, is needed")
        if fpr < self.smallest_fpr:
            needed = ceil(LEAST_PAIRS / fpr)
            there = (
                f"a larger sample would do (rows in ws.calibrate), of {needed:,} pairs"
                if needed <= self.possible and self.sampled != self.documents
                else f"{needed:,} pairs would do, and of these documents there are {self.possible:,}"
            )
            raise UsageError(
                f"fpr = {fpr:g} is below {self.smallest_fpr:.2g}, the smallest that {len(self):,} random pairs support "
                f"({LEAST_PAIRS} of them over the threshold): {there}"
            )
        if self._reached()[FINE - 1] > fpr * len(self):
            raise UsageError(
                f"fpr = {fpr:g}: more random pairs than that have a cosine of {_cosine(FINE - 1)} or more, so no "
                "threshold keeps them out; deduplicate first"
            )

    def to_json(self) -> dict[str, Any]:
        """As plain values; the empty bins at both ends are left out."""
        filled = np.flatnonzero(self.counts)
        first, last = int(filled[0]), int(filled[-1])
        return {
            "documents": list(self.documents),
            "sampled": list(self.sampled),
            "possible": self.possible,
            "seed": self.seed,
            "first": first,
            "counts": self.counts[first : last + 1].tolist(),
            "independent": self.independent.round(1).tolist(),
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        """What ``to_json`` gave."""
        counts = np.zeros(FINE, np.int64)
        counts[told["first"] : told["first"] + len(told["counts"])] = told["counts"]
        return cls(
            tuple(told["documents"]),
            tuple(told["sampled"]),
            told["possible"],
            counts,
            np.array(told["independent"]),
            told["seed"],
        )


def compare(left: Relation, right: Relation | None, rows: int, seed: int) -> RandomPairs:
    """Compare all pairs of at most ``rows`` documents of each side; without ``right``, within ``left``.

    Raises UsageError where there is no pair of two different vectors.
    """
    one = _sample(left, rows, np.random.default_rng([seed, 0]))
    other = None if right is None else _sample(right, rows, np.random.default_rng([seed, 1]))
    if other is not None and one.shape[1] != other.shape[1]:
        raise UsageError(
            f"vectors of {one.shape[1]} and of {other.shape[1]} components: they come from different encoders"
        )
    counts, partners = _compared(one, other)
    if not counts.sum():
        raise UsageError("there is no pair of documents with different vectors to calibrate on")
    n = len(left)
    documents, possible = ((n,), n * (n - 1) // 2) if right is None else ((n, len(right)), n * len(right))
    return RandomPairs(
        documents,
        tuple(map(len, partners)),
        possible,
        counts,
        _independent(counts, partners, [1 - min(1, rows / of) for of in documents]),
        seed,
    )


def _sample(relation: Relation, rows: int, draw: np.random.Generator) -> Matrix:
    """Unit vectors of documents drawn without replacement, without those that are zero."""
    n = len(relation)
    chosen = np.sort(draw.choice(n, rows, replace=False)) if rows < n else np.arange(n)
    matrix = relation.vectors_of(chosen.astype(np.int64)).unit().matrix()
    return np.ascontiguousarray(matrix[matrix.any(axis=1)])


def _compared(left: Matrix, right: Matrix | None) -> tuple[Counts, list[Counts]]:
    """Every row with every other that is not equal to it; without ``right``, each pair within ``left`` once.

    Returns (FINE,) pairs by cosine and, of each side, (m, COARSE + 1) partners of each document from each edge on.
    """
    other = left if right is None else right
    width = COARSE + 1
    fine = np.zeros(FINE + 1, np.int64)
    sides = [np.zeros((len(side), width), np.int64) for side in (left, other)]
    for start, first, bins in _bins(left, other, within=right is None):
        fine += np.bincount(bins.ravel(), minlength=FINE + 1)
        bins //= FINE // COARSE  # the last bin, of pairs that are none, is again the last
        for side, at, keys in (
            (sides[0], start, bins + np.arange(len(bins))[:, None] * width),
            (sides[1], first, bins + np.arange(bins.shape[1])[None, :] * width),
        ):
            found = np.bincount(keys.ravel())
            found.resize(-(-len(found) // width) * width)
            found = found.reshape(-1, width)
            side[at : at + len(found)] += found
    tails = [_from_each_edge(side) for side in sides]
    return fine[:FINE], tails if right is not None else [tails[0] + tails[1]]


def _bins(left: Matrix, right: Matrix, *, within: bool) -> Iterator[tuple[int, int, Counts]]:
    """Blocks of pairs: the first left and right row of each, and the bins of the cosines; FINE for what is no pair."""
    rows = np.concatenate([left, right]).view(np.dtype((np.void, left.shape[1] * left.itemsize))).ravel()
    _, kinds = np.unique(rows, return_inverse=True)
    ours, theirs = kinds[: len(left)], kinds[len(left) :]
    for start in range(0, len(left), BLOCK):
        first, stop = start if within else 0, start + BLOCK
        products = left[start:stop] @ right[first:].T
        bins = np.clip((products + 1) * (FINE / 2), 0, FINE - 1).astype(np.int64)
        bins[ours[start:stop, None] == theirs[None, first:]] = FINE
        if within:
            bins[np.tri(*bins.shape, dtype=np.bool_)] = FINE  # each pair once
        yield start, first, bins


def _from_each_edge(rows: Counts) -> Counts:
    """(m, COARSE + 1) partners of each document at or over each edge; over the last there is none."""
    tail = np.zeros_like(rows)
    tail[:, :COARSE] = np.cumsum(rows[:, COARSE - 1 :: -1], axis=1)[:, ::-1]
    return tail


def _independent(counts: Counts, partners: list[Counts], left_out: list[float]) -> Floats:
    """How many independent pairs would say as much of the share from each coarse edge on; see the module.

    ``left_out``: the share of the documents of each side that were not sampled.
    """
    n = float(counts.sum())
    p = np.append(np.cumsum(counts.reshape(COARSE, -1).sum(axis=1)[::-1])[::-1], 0) / n
    variance = n * p * (1 - p) * max(left_out)
    for near, share in zip(partners, left_out, strict=True):
        close, every = (near * (near - 1.0)).sum(axis=0), (near[:, 0] * (near[:, 0] - 1.0)).sum()
        variance += np.maximum(0, close - every * p**2) * share
    told = np.divide(p * (1 - p) * n**2, variance, out=np.full(COARSE + 1, n), where=variance > 0)
    independent: Floats = np.minimum(told, n)
    return independent


def _cosines() -> Floats:
    """(FINE + 1,) edges of the bins."""
    return np.arange(FINE + 1) / (FINE / 2) - 1


def _cosine(edge: int) -> float:
    return round(edge / (FINE / 2) - 1, 4)
