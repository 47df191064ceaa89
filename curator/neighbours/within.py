"""All pairs over a threshold, however many neighbours that gives one row: an exact range search, block by block."""

from collections.abc import Iterator

import numpy as np

from curator.hardware import decide
from curator.neighbours import bfloat16, scores
from curator.neighbours.edges import Edges, Positions, Scores
from curator.neighbours.exact import check
from curator.vectors import Matrix, Vectors

PAIR_BLOCK = 4_096  # rows of each side whose pairs are held together
LEFT_BLOCK = 1_024  # left rows whose pairs can be held together where they must come in order
DENSE = 0.01  # share of the pairs of a block from which all their scores are had faster at once


def pairs_within(left: Vectors, right: Vectors | None, min_score: float) -> Iterator[Edges]:
    """All pairs whose inner product is at least ``min_score``, in blocks; exact.

    Without ``right`` the pairs are those within ``left``, each once, with left < right. Ranks are 0: the pairs of
    a block are ordered by position, not by score. Blocks of the left side come in order, and within ``left`` the block
    of each with itself comes first, so that all pairs with an earlier block have been seen by then. Cost grows with
    the product of the sides.
    """
    within = right is None
    other = left if right is None else right
    check(left, other)
    for start, rows in left.blocks(PAIR_BLOCK):
        first = start if within else 0
        for offset, columns in other.take(np.arange(first, len(other))).blocks(PAIR_BLOCK):
            i, j, found = _over(rows, columns, min_score)
            a, b = i + start, j + first + offset
            if within:
                keep = a < b
                a, b, found = a[keep], b[keep], found[keep]
            if len(a):
                yield Edges(a, b, found, np.zeros(len(a), np.int32))


def _over(rows: Matrix, columns: Matrix, least: float) -> tuple[Positions, Positions, Scores]:
    """The places of two blocks' pairs whose true score reaches ``least``, by rows, and these scores."""
    i, j = _candidates(rows, columns, least)
    if len(i) > DENSE * len(rows) * len(columns):
        products = scores.all_products(rows, columns)
        i, j = np.nonzero(products.astype(np.float64) >= least)
        return i, j, products[i, j]
    order = np.lexsort((j, i))
    i, j = i[order], j[order]
    exact = scores.of_pairs(scores.products, rows, Vectors.of(columns), i, j)
    reached = exact.astype(np.float64) >= least
    return i[reached], j[reached], exact[reached]


def _candidates(rows: Matrix, columns: Matrix, least: float) -> tuple[Positions, Positions]:
    """The places of pairs whose product can reach ``least`` for all that rounding can do to it."""
    if bfloat16.is_fast():
        queries, base = bfloat16.Queries.of(rows), bfloat16.Columns.of(columns)
        if queries is not None and base is not None:
            return bfloat16.pairs_over(queries, base, least)
    import torch  # FAISS has no range search for the GPU

    left, right = (torch.tensor(side, device=decide().device) for side in (rows, columns))
    longest = [float(torch.linalg.vector_norm(side, dim=1).max()) for side in (left, right)]
    doubt = (rows.shape[1] + 8) * 2.0**-24 * longest[0] * longest[1]
    i, j = (left @ right.T >= least - doubt).nonzero(as_tuple=True)
    return i.cpu().numpy(), j.cpu().numpy()
