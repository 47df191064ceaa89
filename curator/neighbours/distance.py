"""The nearest by Euclidean distance: candidates from products, put in order by true distances, and proved complete."""

import numpy as np
import numpy.typing as npt

from curator.neighbours import flat, scores
from curator.neighbours.edges import Positions, Scores, best
from curator.vectors import Matrix, Vectors

BASE_BLOCK = 65_536  # rows of the right side held at once
SWEPT_BLOCK, SWEPT_QUERIES = 4_096, 1_024  # sides of one product of a sweep
FURTHER = 8  # candidates beyond k: ‖x‖² + ‖y‖² − 2x·y loses the small distances


def search(queries: Matrix, right: Vectors, k: int) -> tuple[Positions, Scores]:
    """The k ≤ len(right) nearest for each query, (q, k) positions and distances, the nearest first.

    A row that is no candidate has a squared distance by products of at least the last candidate's. Where that is
    beyond what any row within the k-th true distance can have, the list is complete; elsewhere it is swept for.
    """
    ids, squared = _candidates(queries, right, min(len(right), k + FURTHER))
    rows = np.repeat(np.arange(len(queries)), ids.shape[1])
    exact = scores.of_pairs(scores.distances, queries, right, rows, ids.ravel()).reshape(ids.shape)
    nearest, distances = best(ids, exact, k, descending=False)
    if ids.shape[1] < len(right):
        reach = _reach(queries, distances[:, -1])
        unproved = np.flatnonzero(~(squared[:, -1] > reach))
        for start in range(0, len(unproved), SWEPT_QUERIES):
            part = unproved[start : start + SWEPT_QUERIES]
            nearest[part], distances[part] = _sweep(queries[part], right, k, reach[part])
    return nearest, distances


def _candidates(queries: Matrix, right: Vectors, k: int) -> tuple[Positions, Scores]:
    """The k nearest by products, (q, k) positions and squared distances, from the best of each block of ``right``."""
    ids, squared = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    for start, base in right.blocks(BASE_BLOCK):
        found, their_squared = flat.search(queries, base, min(k, len(base)), "distance")
        ids, squared = np.hstack([ids, found + start]), np.hstack([squared, their_squared])
        if ids.shape[1] > k:
            ids, squared = best(ids, squared, k, descending=False)
    return ids, squared


def _reach(queries: Matrix, distances: Scores) -> npt.NDArray[np.float64]:
    """The largest squared distance that products can give a row within the true distance r of its query x.

    A sum of d products in floating point is off by at most γ(d) = du/(1 − du) times the sum of their magnitudes, in
    whatever order it is made (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1; u = 2⁻²⁴). So
    ‖x‖² + ‖y‖² − 2x·y is off by at most γ(d + 2) (‖x‖ + ‖y‖)², and a row within r of x has ‖y‖ ≤ ‖x‖ + r. Six more u
    are for r itself, which is rounded; the last term is for products that underflow.
    """
    unit = (queries.shape[1] + 8) * 2.0**-24
    length = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
    r = distances.astype(np.float64)
    underflow = 4 * (queries.shape[1] + 8) * float(np.finfo(np.float32).tiny)
    reach: npt.NDArray[np.float64] = r**2 + unit / (1 - unit) * (2 * length + r) ** 2 + underflow
    return reach


def _sweep(queries: Matrix, right: Vectors, k: int, reach: npt.NDArray[np.float64]) -> tuple[Positions, Scores]:
    """Best k by true distance among all rows whose squared distance by products is within reach."""
    limit = np.nextafter(reach.astype(np.float32), np.float32(np.inf))[:, None]
    norms = np.einsum("ij,ij->i", queries, queries)[:, None]
    query, ids, distances = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    for start, base in right.blocks(SWEPT_BLOCK):
        squared = queries @ base.T
        squared *= -2
        squared += norms
        squared += np.einsum("ij,ij->i", base, base)
        i, j = np.nonzero(squared <= limit)
        found = scores.of_pairs(scores.distances, queries, Vectors.of(base), i, j)
        query, ids = np.concatenate([query, i]), np.concatenate([ids, j + start])
        distances = np.concatenate([distances, found])
        order = np.lexsort((ids, distances, query))
        query, ids, distances = query[order], ids[order], distances[order]
        kept = np.arange(len(query)) - np.searchsorted(query, query) < k
        query, ids, distances = query[kept], ids[kept], distances[kept]
    return ids.reshape(-1, k), distances.reshape(-1, k)
