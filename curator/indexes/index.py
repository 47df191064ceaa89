"""An opened index: its search, the true scores of what it finds, and when it is worth using."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curator import neighbours
from curator.indexes.measured import DEPTHS, Measured, Promise, interval
from curator.neighbours import Approximate, Edges
from curator.vectors import Matrix, Rows, Vectors

ADVANTAGE = 0.8  # of exact search's expected time, at most; the estimates are no better than that
AUDITED = 64  # queries of a search that are searched exactly, too
AUDIT_SHARE = 20  # where there are so many times as many
HELD = 2**20  # candidates held at once


@dataclass(frozen=True)
class Certificate:
    """The recall of one search, measured on some of its own queries."""

    queries: int
    k: int
    recall: float
    low: float  # its 95 % interval
    high: float
    kept: bool  # no less than was asked, as far as the interval can tell; else the search was made exactly

    def __str__(self) -> str:
        found = (
            f"recall@{self.k} {self.recall:.3f} ({self.low:.3f} to {self.high:.3f}) on {self.queries} of its queries"
        )
        return found if self.kept else f"searched exactly, because the index fell short here: {found}"


@dataclass(frozen=True)
class Index:
    """An index of the rows of a corpus. ``rows``: of each entry, or −1 where its row is gone; None for a flat one."""

    file: Approximate | None
    rows: Rows | None
    measured: Measured

    def __len__(self) -> int:
        return self.measured.rows

    def is_faster(self, queries: int, kept: float, k: int = DEPTHS[0]) -> bool:
        """Whether it is expected to beat exact search over the share of the rows that a filter keeps."""
        promise = self.measured.promise(k)
        if promise is None or not queries or not kept or self.reach(promise, kept) > self._worthwhile:
            return False
        one, each = self.measured.exact_seconds
        exact = (one + each * (queries - 1)) * kept
        audit = AUDITED / queries * exact if queries >= AUDITED * AUDIT_SHARE else 0.0
        return self.seconds(queries, kept, k) + audit < ADVANTAGE * exact

    def seconds(self, queries: int, kept: float, k: int = DEPTHS[0]) -> float:
        """What a search is expected to take, where a filter keeps a share of the rows."""
        promise = self.measured.promise(k)
        if promise is None:
            return float("inf")
        one, each = promise.seconds
        return (one + each * (queries - 1)) / kept

    def reach(self, promise: Promise, kept: float) -> int:
        """How far to read so that as many allowed rows are seen as were when the recall was measured."""
        return min(int(np.ceil(promise.reach / kept)), self._furthest) if kept else self._furthest

    def nearest(self, left: Vectors, right: Vectors, k: int, among: Rows | None = None) -> Edges:
        """The k nearest of ``right`` (of its rows ``among``), as ``neighbours.nearest`` gives them but for the recall.

        ``right`` holds the vectors that were indexed; both sides are compared as unit vectors. Every score is the true
        one. A query that the index finds fewer than k rows for is searched exactly, as are all for more
        neighbours than its recall was measured for.
        """
        size = len(right) if among is None else len(among)
        k, promise = min(k, size), self.measured.promise(k)
        if k < 1 or not len(left) or promise is None or self.file is None:
            return self._exact(left, right, k, among)
        allowed = self._allowed(among)
        # For fewer neighbours no fewer candidates: the error of the codes is not smaller for the best of them.
        count = min(promise.k * promise.factor, self.file.entries)
        reach = self.reach(promise, size / max(1, len(right)))
        ids, scores = np.empty((len(left), k), np.int64), np.empty((len(left), k), np.float32)
        for start, queries in left.unit().blocks(max(1, HELD // count)):
            part = slice(start, start + len(queries))
            found = self.candidates(queries, count, reach, allowed)
            ids[part], scores[part] = neighbours.rescored(queries, right, found, k)
        short = np.flatnonzero((ids < 0).any(axis=1))
        if len(short):
            exact = self._exact(left.take(short), right, k, among)
            ids[short], scores[short] = exact.right.reshape(-1, k), exact.score.reshape(-1, k)
        return neighbours.ranked(ids, scores)

    def certified(
        self, left: Vectors, right: Vectors, k: int, among: Rows | None = None
    ) -> tuple[Edges, Certificate | None]:
        """``nearest``, with the recall measured on a sample of the queries where they are many; else None.

        A search that does worse than was asked, beyond what chance explains, is made again exactly.
        """
        edges = self.nearest(left, right, k, among)
        if len(left) < AUDITED * AUDIT_SHARE or not len(edges):
            return edges, None
        rows = np.sort(np.random.default_rng(len(left)).choice(len(left), AUDITED, replace=False))
        truth = self._exact(left.take(rows), right, k, among)
        width = len(truth) // AUDITED
        found = edges.score.reshape(len(left), width)[rows]
        # Of equal scores any is as good: what counts is how many are as high as the last true one.
        enough = truth.score.reshape(AUDITED, width)[:, -1:] - 1e-6
        recall = float((found >= enough).mean())
        low, high = interval(recall, AUDITED)
        certificate = Certificate(AUDITED, k, recall, low, high, kept=high >= self.measured.wish.recall)
        return (edges if certificate.kept else self._exact(left, right, k, among)), certificate

    def candidates(
        self, queries: Matrix, count: int, reach: int, allowed: npt.NDArray[np.bool_] | None
    ) -> npt.NDArray[np.int64]:
        """(q, count) rows that may be the nearest, the likeliest first; −1 where fewer were found."""
        assert self.file is not None
        assert self.rows is not None
        found = self.file.candidates(queries, count, reach, allowed)
        return np.where(found >= 0, self.rows[found], -1)

    def _allowed(self, among: Rows | None) -> npt.NDArray[np.bool_] | None:
        """The entries that a search may find; None for all."""
        assert self.rows is not None
        if among is None:
            return self.rows >= 0 if self.measured.dead else None
        chosen = np.zeros(self.measured.rows + 1, np.bool_)  # the last for −1
        chosen[among] = True
        return chosen[self.rows]

    def _exact(self, left: Vectors, right: Vectors, k: int, among: Rows | None) -> Edges:
        if k < 1:
            return neighbours.concat([])
        base = right if among is None else right.take(among)
        edges = neighbours.nearest(left.unit(), base.unit(), k)
        return edges if among is None else Edges(edges.left, among[edges.right], edges.score, edges.rank)

    @property
    def _furthest(self) -> int:
        return self.file.furthest if self.file else 1

    @property
    def _worthwhile(self) -> int:
        """Reading more than half of the lists is no faster than reading all vectors."""
        return self.measured.lists // 2 or self._furthest
