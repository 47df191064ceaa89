"""Documents that are relevant and span much together: greedy inference of a determinantal point process."""

import numpy as np
import pyarrow as pa

from curator.functions._greedy import (
    Chosen,
    Quotas,
    Values,
    check_budget,
    check_number,
    lazily,
    ranking,
    relevant,
)
from curator.relation import Relation
from curator.vectors import Rows, Vectors

BLOCK = 4_096  # rows looked at together
SPANNED = 1e-9  # a squared length of what is left of a unit vector from which it lies in the span of those chosen
DIGITS = 9  # of a gain: rounding must not decide between two equal documents


def dpp(
    target: Relation, candidates: Relation, budget: int | None = None, *, theta: float = 1.0, ridge: float = 0.01,
    relevance: str | None = None, balanced: bool = False,
) -> pa.Table:  # fmt: skip
    """Candidates in the order in which each makes the determinant of the kernel of those chosen the largest.

    The kernel is that of Chen, Zhang and Zhou (NeurIPS 2018): q_i (cosine_ij + ridge δ_ij) q_j with the quality
    q = exp(theta · relevance). By their fast greedy algorithm, a candidate's gain is log q² + log d², where d² is what
    the kernel has left of it after those chosen. With ``ridge := 0`` it is the squared distance of its vector to their
    span, so that there is an end at as many documents as vectors have components; with a ridge, there is none, and it
    is the predictive variance of a Gaussian process with such noise. What is held is a vector per choice, not the rows
    of a Cholesky factor: a kernel of inner products has its factor's entries in inner products. Of equal gains, to nine
    digits, the first by corpus and id is chosen. ``relevance`` names a column of the candidates; without it, it is the
    cosine to the nearest target document. With ``balanced``, labels have equal parts of the budget as far as they have
    candidates, and a candidate of a full label is passed over.

    Returns a row per candidate, in their order: ``corpus`` (where the relation has it), ``id``, ``rank`` (1 for the
    first chosen, NULL where it is not), ``score`` (the gain in the logarithm of the determinant, in nats, when it was
    chosen; of the others, if it were the next; NULL where it would be 0 times as large), ``relevance``, ``similarity``,
    ``partner_corpus`` and ``partner_id`` (the nearest of those chosen before). What has no relevance, or a vector of
    zeros, has NULL but for its keys. The result does not depend on the order of the rows.

    Raises QueryError without a budget, for theta or ridge below 0, for a column that is not there or not of numbers,
    and for relations without ids or vectors.
    """
    budget = check_budget("dpp", budget)
    check_number("dpp", "theta", theta, 0, np.inf)
    check_number("dpp", "ridge", ridge, 0, np.inf)
    pool, wanted = relevant("dpp", target, candidates, relevance, labels=balanced)
    left = _Left(pool.vectors, ridge)

    def gain(rows: Rows, seen: Rows) -> Values:
        left.update(rows, seen)
        return _gains(left.variance[rows], theta * wanted[rows])

    score = lazily(_gains(left.variance, theta * wanted), Quotas(pool.labels, budget), gain, left.choose)
    chosen = Chosen.after(pool.vectors, left.rows)
    score[np.isneginf(score)] = np.nan
    return ranking(candidates, pool, chosen, {"score": score, "relevance": wanted})


def _gains(variance: Values, log_quality: Values) -> Values:
    there = variance > SPANNED
    gains = 2 * log_quality + np.log(variance, out=np.full(len(variance), -np.inf), where=there)
    return np.round(gains, DIGITS)


class _Left:
    """What the kernel without its qualities has left of each row after those chosen: ``variance``, (n,).

    In Chen et al.'s algorithm row i of the Cholesky factor has for each choice j the entry (L_ij − Σ e_l of earlier
    ones) / d_j. As L_ij = x_i · x_j off the diagonal, that is x_i · u_j with u_j = (x_j − Σ (x_j · u_l) u_l) / d_j.
    """

    def __init__(self, vectors: Vectors, ridge: float) -> None:
        self.vectors = vectors
        self.rows: list[int] = []
        self.variance = np.full(len(vectors), 1 + ridge)
        self._factors = np.empty((0, vectors.dimension))  # room for u_j, the first ``len(self.rows)`` are made

    def choose(self, row: int) -> None:
        made = len(self.rows)
        if made == len(self._factors):
            more = np.empty((max(made, 64), self.vectors.dimension))
            self._factors = np.concatenate([self._factors, more])
        vector = self._read(np.array([row]))[0]
        earlier = self._factors[:made]
        self._factors[made] = (vector - (earlier @ vector) @ earlier) / np.sqrt(self.variance[row])
        self.rows.append(row)

    def update(self, rows: Rows, seen: Rows) -> None:
        """Take off what was chosen since each of the rows was last looked at."""
        for start in range(0, len(rows), BLOCK):
            part, first = rows[start : start + BLOCK], seen[start : start + BLOCK]
            since = int(first.min())
            new = self._factors[since : len(self.rows)]
            entries = self._read(part) @ new.T
            entries[np.arange(since, len(self.rows)) < first[:, None]] = 0
            self.variance[part] -= np.einsum("ij,ij->i", entries, entries)

    def _read(self, rows: Rows) -> Values:
        """(m, d) rows that have length one to double precision: what is left of a repeated one is nothing."""
        single = self.vectors.take(rows).matrix().astype(np.float64)
        unit: Values = single / np.linalg.norm(single, axis=1, keepdims=True)
        return unit
