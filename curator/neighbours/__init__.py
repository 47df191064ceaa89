"""Vectors to edges: the one place where FAISS is called, on the GPU where there is one.

Exact search only: what is returned is what brute force would return, up to ties. FAISS's padding (id −1) never
leaves this module, and every score is the true score of the pair it stands beside.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import faiss
import numpy as np
import numpy.typing as npt

from curator.hardware import decide
from curator.neighbours.hierarchy import ClusterTree, cluster_tree
from curator.neighbours.inverted import InvertedFile
from curator.neighbours.kmeans import Clusters, kmeans
from curator.vectors import Matrix, Vectors

__all__ = [
    "ClusterTree", "Clusters", "Edges", "InvertedFile", "cluster_tree", "concat", "device", "estimated_seconds",
    "kmeans", "nearest", "pairs_per_second", "pairs_within", "ranked",
]  # fmt: skip

Metric = Literal["inner_product", "distance"]

QUERY_BLOCK = 16_384  # rows of the left side searched together; bounds the memory of a search to this × k
BASE_BLOCK = 65_536  # rows of the right side held at once when they must be gathered
PAIR_BLOCK = 4_096  # side of the square of products in pairs_within
LEFT_BLOCK = 1_024  # left rows whose pairs are held together, found against PAIR_BLOCK right rows at a time
GATHER_BLOCK = 16_384  # pairs whose differences are held at once
GPU_MAX_K = 2_048  # FAISS's limit on its classic GPU indexes

# From how many components of all queries together FAISS takes matrix products. Its 128,000 was tuned on many cores; on
# two it makes 16 to 300 queries of 384 two to five times slower than need be, and its own proposal is 800 a thread
# (faiss issue 4925, pull request 5109). It can only be set for the whole process; it moves nothing but rounding, is set
# once, so that threads do not race for it, and only where it is that default.
if faiss.cvar.distance_compute_blas_threshold == 128_000:
    faiss.cvar.distance_compute_blas_threshold = min(128_000, 800 * faiss.omp_get_max_threads())


@dataclass(frozen=True)
class Edges:
    """Pairs of rows, their score and rank.

    ``left``, ``right``: (n,) int64 positions; ``score``: (n,) float32, inner product or Euclidean distance;
    ``rank``: (n,) int32, 1 for the best of its left row. Ordered by left, then rank.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]
    rank: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        lengths = {len(self.left), len(self.right), len(self.score), len(self.rank)}
        if len(lengths) != 1:
            raise ValueError(f"the columns of edges differ in length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.left)

    def __repr__(self) -> str:
        return f"Edges({len(self):,})"


@cache
def device() -> tuple[str, str]:
    """Where FAISS searches, ``cpu`` or ``cuda``, and why."""
    wanted = decide()
    if wanted.device == "cpu":
        return "cpu", wanted.device_reason
    if not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0:
        return "cpu", "the installed FAISS has no GPU support; install the extra 'gpu'"
    return "cuda", wanted.device_reason


@cache
def pairs_per_second() -> float:
    """Pairs of vectors of 384 components that are compared in a second here, from one small timed search."""
    rows = np.random.default_rng(0).normal(size=(4096, 384)).astype(np.float32)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        _knn(rows[:512], rows, 10, "inner_product")
        seconds.append(time.perf_counter() - started)
    return 512 * 4096 / min(seconds)


def estimated_seconds(pairs: int, dimension: int) -> float:
    """What comparing that many pairs of vectors will take."""
    return pairs * dimension / 384 / pairs_per_second()


def nearest(left: Vectors, right: Vectors, k: int, *, metric: Metric = "inner_product") -> Edges:
    """The k nearest rows of ``right`` for each row of ``left``: largest inner product or smallest distance.

    Every left row gets min(k, len(right)) edges. Among equal scores the lower right position comes first.
    Raises ValueError when k is below 1 or the dimensions differ.
    """
    _check(left, right)
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    k = min(k, len(right))
    if not k or not len(left):
        return concat([])
    parts = [(start, *_search_block(queries, right, k, metric)) for start, queries in left.blocks(QUERY_BLOCK)]
    return _edges(np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts]))


def ranked(ids: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]) -> Edges:
    """Edges of (q, k) positions and inner products; among equal scores the lower position comes first."""
    return _edges(*_best(ids, scores, ids.shape[1], "inner_product"))


def _edges(ids: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]) -> Edges:
    queries, k = ids.shape
    return Edges(
        np.repeat(np.arange(queries, dtype=np.int64), k),
        ids.ravel(),
        scores.ravel(),
        np.tile(np.arange(1, k + 1, dtype=np.int32), queries),
    )


def concat(parts: Sequence[Edges]) -> Edges:
    """Several lists of edges as one, ordered by left row and rank."""
    if not parts:
        return Edges(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int32))
    left, right = np.concatenate([p.left for p in parts]), np.concatenate([p.right for p in parts])
    score, rank = np.concatenate([p.score for p in parts]), np.concatenate([p.rank for p in parts])
    order = np.lexsort((rank, left))
    return Edges(left[order], right[order], score[order], rank[order])


def pairs_within(left: Vectors, right: Vectors | None, min_score: float) -> Iterator[Edges]:
    """All pairs whose inner product is at least ``min_score``, in blocks; exact.

    Without ``right`` the pairs are those within ``left``, each once, with left < right. Ranks are 0: the pairs of
    a block are ordered by position, not by score. Blocks of the left side come in order, and within ``left`` the block
    of each with itself comes first, so that all pairs with an earlier block have been seen by then. Cost grows with
    the product of the sides.
    """
    within = right is None
    other = left if right is None else right
    _check(left, other)
    for start, rows in left.blocks(PAIR_BLOCK):
        first = start if within else 0
        for offset, columns in other.take(np.arange(first, len(other))).blocks(PAIR_BLOCK):
            i, j, scores = _products_over(rows, columns, min_score)
            a, b = i + start, j + first + offset
            if within:
                keep = a < b
                a, b, scores = a[keep], b[keep], scores[keep]
            if len(a):
                yield Edges(a, b, scores, np.zeros(len(a), np.int32))


def _products_over(
    rows: Matrix, columns: Matrix, least: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The places and values of the products of two blocks that reach ``least``, by rows. FAISS has none for the GPU."""
    import torch

    on = decide().device
    products = torch.tensor(rows, device=on) @ torch.tensor(columns, device=on).T
    places = (products >= least).nonzero(as_tuple=True)
    i, j, scores = (part.cpu().numpy() for part in (*places, products[places]))
    return i, j, scores


def _check(left: Vectors, right: Vectors) -> None:
    if left.dimension != right.dimension:
        raise ValueError(f"the left vectors have {left.dimension} components and the right {right.dimension}")


def _search_block(
    queries: Matrix, right: Vectors, k: int, metric: Metric
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Best k of ``right`` for each query, (q, k) ids and scores, from the best of each block of ``right``."""
    # Distances come from ‖x‖² + ‖y‖² − 2x·y, which loses the small ones: look a little further, then make it exact.
    wanted = min(len(right), k + 8) if metric == "distance" else k
    ids = np.empty((len(queries), 0), np.int64)
    scores = np.empty((len(queries), 0), np.float32)
    for start, base in right.blocks(BASE_BLOCK):
        block_scores, block_ids = _knn(queries, base, min(wanted, len(base)), metric)
        if (block_ids < 0).any():
            raise ValueError("a vector holds NaN or infinity, which cannot be ordered")
        ids = np.hstack([ids, block_ids + start])
        scores = np.hstack([scores, block_scores])
        if ids.shape[1] > wanted:
            ids, scores = _best(ids, scores, wanted, metric)
    if metric == "distance":
        return _exact(queries, right, k, ids, scores)
    return _best(ids, scores, k, metric)


def _best(
    ids: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], k: int, metric: Metric
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The best k of each row, best first, equal scores by position."""
    keys = scores if metric == "distance" else -scores
    order = np.lexsort((ids, keys), axis=1)[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)


def _exact(
    queries: Matrix, right: Vectors, k: int, ids: npt.NDArray[np.int64], squared: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Best k by true distance, from candidates found by products, best first, and their squared distances.

    A row that is no candidate has a squared distance by products of at least the last candidate's. Where that is
    beyond what any row within the k-th true distance can have, the list is complete; elsewhere it is swept for.
    """
    distances = np.empty(ids.shape, np.float32)
    for column in range(ids.shape[1]):
        distances[:, column] = _distances(queries, right.take(ids[:, column]).matrix())
    best, nearest_distances = _best(ids, distances, k, "distance")
    if ids.shape[1] < len(right):
        reach = _reach(queries, nearest_distances[:, -1])
        unproved = np.flatnonzero(~(squared[:, -1] > reach))
        for start in range(0, len(unproved), LEFT_BLOCK):
            rows = unproved[start : start + LEFT_BLOCK]
            best[rows], nearest_distances[rows] = _sweep(queries[rows], right, k, reach[rows])
    return best, nearest_distances


def _reach(queries: Matrix, distances: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
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


def _sweep(
    queries: Matrix, right: Vectors, k: int, reach: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Best k by true distance among all rows whose squared distance by products is within reach."""
    limit = np.nextafter(reach.astype(np.float32), np.float32(np.inf))[:, None]
    norms = np.einsum("ij,ij->i", queries, queries)[:, None]
    query, ids, distances = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    for start, base in right.blocks(PAIR_BLOCK):
        squared = queries @ base.T
        squared *= -2
        squared += norms
        squared += np.einsum("ij,ij->i", base, base)
        i, j = np.nonzero(squared <= limit)
        found = [
            _distances(queries[i[at : at + GATHER_BLOCK]], base[j[at : at + GATHER_BLOCK]])
            for at in range(0, len(i), GATHER_BLOCK)
        ]
        query, ids = np.concatenate([query, i]), np.concatenate([ids, j + start])
        distances = np.concatenate([distances, *found])
        order = np.lexsort((ids, distances, query))
        query, ids, distances = query[order], ids[order], distances[order]
        kept = np.arange(len(query)) - np.searchsorted(query, query) < k
        query, ids, distances = query[kept], ids[kept], distances[kept]
    return ids.reshape(-1, k), distances.reshape(-1, k)


def _distances(left: Matrix, right: Matrix) -> npt.NDArray[np.float32]:
    """(n,) Euclidean distances of n pairs, from their differences in double precision, rounded once."""
    differences = np.subtract(left, right, dtype=np.float64)
    distances: npt.NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", differences, differences)).astype(np.float32)
    return distances


def _knn(
    queries: Matrix, base: Matrix, k: int, metric: Metric
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    kind = faiss.METRIC_INNER_PRODUCT if metric == "inner_product" else faiss.METRIC_L2
    if device()[0] == "cuda" and k <= GPU_MAX_K:
        scores, ids = faiss.knn_gpu(_gpu(), queries, base, k, metric=kind)
    else:
        scores, ids = faiss.knn(queries, base, k, metric=kind)
    return scores, ids


@cache
def _gpu() -> "faiss.StandardGpuResources":
    return faiss.StandardGpuResources()
