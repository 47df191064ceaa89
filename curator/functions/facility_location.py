"""Documents that stand for the others: each document of the pool, and of the target, is to have one like it."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from curator import neighbours
from curator.functions._documents import Documents, check_encoder
from curator.functions._greedy import Chosen, Quotas, Values, check_budget, check_number, lazily, ranking
from curator.functions._results import check_pairs, check_whole_number
from curator.relation import Relation
from curator.vectors import Matrix, Rows, Vectors

PAIRS = 2**22  # similarities held at once
DIGITS = 12  # of a gain: the order of a sum must not decide between two equal documents


def facility_location(
    target: Relation, candidates: Relation, budget: int | None = None, *, target_share: float = 0.5, k: int = 100,
    sample: int | None = 50_000, seed: int = 0, max_pairs: int = 2_000_000_000_000,
    balanced: bool = False,
) -> pa.Table:  # fmt: skip
    """The candidates S that greedily maximise

        f(S) = (1 − target_share) · mean over i of the pool of the largest s(i, j) of j in S that is near i
               + target_share · mean over i of the target of the largest s(i, j) of j in S

    with s(i, j) = max(0, cosine), 0 where S has none. Near are the ``k`` most similar candidates of a document, itself
    among them: others count for nothing to it; with k from the number of candidates up, all count. The pool are the
    candidates, or a ``sample`` of that many of them, drawn by ``seed``; NULL for all. Candidates outside the sample may
    be chosen too. The target's part is exact. f is monotone and submodular: a greedy choice reaches at least 1 − 1/e of
    the best of its size (Nemhauser, Wolsey and Fisher 1978), and most gains need not be worked out (Minoux 1978). Of
    equal gains, to twelve digits, the first by corpus and id is chosen. It ends before the budget where nothing adds
    anything: for the target alone, where each of its documents has its nearest candidate. With ``balanced``, labels
    have equal parts of the budget as far as they have candidates, and a candidate of a full label is passed over: the
    choice then reaches at least half of the best such one (Fisher, Nemhauser and Wolsey 1978).

    Returns a row per candidate, in their order: ``corpus`` (where the relation has it), ``id``, ``rank`` (1 for the
    first chosen, NULL where it is not), ``score`` (what f grew by; of the others, would if it were the next),
    ``similarity``, ``partner_corpus`` and ``partner_id`` (the nearest of those chosen before). A vector of zeros is
    like nothing: NULL but for its keys. The result does not depend on the order of the rows.

    Raises QueryError without a budget, for parameters out of range, relations without ids or vectors, and, with an
    estimate of the time, for more than ``max_pairs`` pairs to compare.
    """
    budget = check_budget("facility_location", budget)
    check_number("facility_location", "target_share", target_share, 0, 1)
    check_whole_number("facility_location", "k", k, least=1)
    check_whole_number("facility_location", "seed", seed, least=0)
    pool = Documents.of("facility_location", "candidates", candidates, labels=balanced)
    wanted = Documents.of("facility_location", "target", target)
    check_encoder("facility_location", wanted, pool)
    drawn = _drawn(pool, sample, seed)
    pairs = len(pool) * ((target_share < 1) * len(drawn) + (target_share > 0) * len(wanted))
    check_pairs("facility_location", pairs, max_pairs, pool.vectors.dimension)
    parts: list[_Part] = []
    if target_share < 1 and len(pool):
        parts.append(_Near(pool.vectors, drawn, k, 1 - target_share))
    if target_share > 0 and len(wanted):
        parts.append(_All(pool.vectors, wanted.vectors, target_share))
    rows: list[int] = []

    def gain(some: Rows, _: Rows) -> Values:
        return np.round(sum((part.gains(some) for part in parts), np.zeros(len(some))), DIGITS)

    def choose(row: int) -> None:
        rows.append(row)
        for part in parts:
            part.choose(row)

    score = lazily(gain(np.arange(len(pool)), np.arange(0)), Quotas(pool.labels, budget), gain, choose, least=0)
    return ranking(candidates, pool, Chosen.after(pool.vectors, rows), {"score": score})


def _drawn(pool: Documents, sample: int | None, seed: int) -> Rows:
    """The rows of a sample that depends on nothing but the keys and the seed; all where they are no more."""
    if sample is None:
        return np.arange(len(pool))
    check_whole_number("facility_location", "sample", sample, least=1)
    if sample >= len(pool):
        return np.arange(len(pool))
    return np.sort(pool.drawn(str(seed))[:sample])


class _Part(Protocol):
    """A part of f: what rows would add to it, and what changes when one is chosen."""

    def gains(self, rows: Rows) -> Values: ...

    def choose(self, row: int) -> None: ...


class _Near:
    """The pool's part, over the k candidates nearest to each document that is to be represented."""

    def __init__(self, vectors: Vectors, represented: Rows, k: int, weight: float) -> None:
        edges = neighbours.nearest(vectors.take(represented), vectors, k)
        like = edges.score > 0
        pairs = edges.right[like], edges.left[like]
        self.similarity = sparse.csr_array((edges.score[like], pairs), (len(vectors), len(represented)))
        self.covered = np.zeros(len(represented), np.float32)
        self.weight = weight / len(represented)

    def gains(self, rows: Rows) -> Values:
        some = self.similarity[rows]
        more = np.maximum(some.data.astype(np.float64) - self.covered[some.indices], 0)
        of = np.repeat(np.arange(len(rows)), np.diff(some.indptr))
        return np.multiply(self.weight, np.bincount(of, more, minlength=len(rows)), dtype=np.float64)

    def choose(self, row: int) -> None:
        start, stop = self.similarity.indptr[row : row + 2]
        represented = self.similarity.indices[start:stop]
        self.covered[represented] = np.maximum(self.covered[represented], self.similarity.data[start:stop])


class _All:
    """The target's part: every similarity counts, and as they would fill the memory they are worked out when asked."""

    def __init__(self, vectors: Vectors, represented: Vectors, weight: float) -> None:
        self.vectors = vectors
        self.represented = represented.matrix().astype(np.float64)  # once, as few rows are asked for at a time
        self.covered: npt.NDArray[np.float32] = np.zeros(len(represented), np.float32)
        self.weight = weight / len(represented)

    def gains(self, rows: Rows) -> Values:
        sums = np.empty(len(rows))
        for start, block in self.vectors.take(rows).blocks(max(1, PAIRS // len(self.represented))):
            more = np.maximum(self._similarity(block).astype(np.float64) - self.covered, 0)
            sums[start : start + len(block)] = more.sum(axis=1)
        return self.weight * sums

    def choose(self, row: int) -> None:
        self.covered = np.maximum(self.covered, self._similarity(self.vectors.block(row, row + 1))[0])

    def _similarity(self, block: Matrix) -> Matrix:
        """(m, t) true cosines: in double precision, rounded once (see ``neighbours.scores``)."""
        return (block.astype(np.float64) @ self.represented.T).astype(np.float32)
