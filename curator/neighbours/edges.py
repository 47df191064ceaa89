"""Edges: which row of one side is near which row of the other, how near, and in which place of its list."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Edges:
    """Pairs of rows, their score and rank.

    ``left``, ``right``: (n,) int64 positions; ``score``: (n,) float32, inner product or Euclidean distance;
    ``rank``: (n,) int32, 1 for the best of its left row. Ordered by left, then rank.
    """

    left: Positions
    right: Positions
    score: Scores
    rank: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        lengths = {len(self.left), len(self.right), len(self.score), len(self.rank)}
        if len(lengths) != 1:
            raise ValueError(f"the columns of edges differ in length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.left)

    def __repr__(self) -> str:
        return f"Edges({len(self):,})"


def concat(parts: Sequence[Edges]) -> Edges:
    """Several lists of edges as one, ordered by left row and rank."""
    if not parts:
        return Edges(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int32))
    left, right = np.concatenate([p.left for p in parts]), np.concatenate([p.right for p in parts])
    score, rank = np.concatenate([p.score for p in parts]), np.concatenate([p.rank for p in parts])
    order = np.lexsort((rank, left))
    return Edges(left[order], right[order], score[order], rank[order])


def ranked(ids: Positions, scores: Scores) -> Edges:
    """Edges of (q, k) positions and inner products; among equal scores the lower position comes first."""
    return of_lists(*best(ids, scores, ids.shape[1], descending=True))


def of_lists(ids: Positions, scores: Scores) -> Edges:
    """Edges of (q, k) positions and scores that are in their order."""
    queries, k = ids.shape
    return Edges(
        np.repeat(np.arange(queries, dtype=np.int64), k),
        ids.ravel(),
        scores.ravel(),
        np.tile(np.arange(1, k + 1, dtype=np.int32), queries),
    )


def best(ids: Positions, scores: Scores, k: int, *, descending: bool) -> tuple[Positions, Scores]:
    """The best k of each row of (q, n) positions and scores, best first, equal scores by position."""
    order = np.lexsort((ids, -scores if descending else scores), axis=1)[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
