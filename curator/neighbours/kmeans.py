"""Spherical k-means: unit vectors in clusters by cosine. FAISS trains on a sample; every row is assigned exactly.

A clustering is a function of the rows, their order, k and the seed. The first centroids are chosen in double precision,
and FAISS adds the members of a centroid up in their order, whatever the number of threads. Its matrix products may
round otherwise with another processor, another BLAS or on a GPU, and are not promised to round alike with another
number of threads; that can move centroids. Given the centroids, the assignment does not depend on any of that.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from curator.neighbours.exact import QUERY_BLOCK, nearest
from curator.neighbours.flat import device
from curator.neighbours.library import faiss
from curator.neighbours.spread import Span, engine_for, over
from curator.vectors import Matrix, Rows, Vectors

POINTS_PER_CENTROID = 256  # rows that a centroid is trained on: FAISS's own limit
SEEDS_PER_CENTROID, LEAST_SEEDS = 10, 10_000  # of those, the rows that the first centroids are chosen from
ITERATIONS = 25  # at most; FAISS stops earlier when nothing moves any more
SAME = 1e-6  # a row this close to its centroid is no other direction

Assigned = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Clusters:
    """n rows in k clusters, none of which is empty.

    ``centroids``: (k, d) float32, unit rows; ``assignment``: (n,) int32, the nearest centroid of each row, −1 for a
    zero row, which has no direction; ``similarity``: (n,) float32, cosine of each row to it, 0 for a zero row.
    FAISS trained for ``iterations`` on ``trained_on`` rows.
    """

    centroids: Matrix
    assignment: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float32]
    iterations: int
    trained_on: int

    def __post_init__(self) -> None:
        if len(self.assignment) != len(self.similarity):
            raise ValueError(f"{len(self.assignment)} rows are assigned with {len(self.similarity)} similarities")
        if len(self.sizes) != len(self.centroids) or not self.sizes.all():
            raise ValueError(f"{len(self.centroids)} centroids, but clusters of {self.sizes.tolist()} rows")

    def __len__(self) -> int:
        return len(self.centroids)

    def __repr__(self) -> str:
        return f"Clusters({len(self.assignment):,} rows in {len(self):,}, mean cosine {self.objective:.4f})"

    @property
    def sizes(self) -> Rows:
        """(k,) rows of each cluster."""
        sizes: Rows = np.bincount(self.assignment[self.assignment >= 0], minlength=len(self.centroids))
        return sizes

    @property
    def objective(self) -> float:
        """Mean cosine of a row to its centroid, what spherical k-means makes large. Zero rows do not count."""
        return float(self.similarity[self.assignment >= 0].mean(dtype=np.float64))

    @property
    def rank(self) -> npt.NDArray[np.int32]:
        """(n,) place of each row in its cluster, 1 for the nearest to the centroid; the earlier of equal ones first."""
        order = np.lexsort((-self.similarity, self.assignment))
        clusters = self.assignment[order]
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order)) - np.searchsorted(clusters, clusters) + 1
        return rank


def kmeans(
    vectors: Vectors,
    k: int,
    *,
    seed: int = 0,
    points_per_centroid: int = POINTS_PER_CENTROID,
    iterations: int = ITERATIONS,
) -> Clusters:
    """k clusters of directions by spherical k-means (Dhillon & Modha, Machine Learning 42, 2001), by FAISS.

    Trained on at most ``points_per_centroid`` × k rows, drawn by ``seed``; then all rows are read once, a block at a
    time, and each goes to the centroid of the largest cosine, the lowest where single precision sees none. Rows of any
    length count by their direction; zero rows belong to no cluster. A centroid that no row is nearest to is put on a
    row that is least like its own, as scikit-learn does, and all rows are assigned again; so there are k clusters
    unless the rows have fewer directions than that, and then there are fewer.

    Raises ValueError for k below 1 or above the number of rows with a direction, a seed below 0, or NaN or infinity.
    """
    if k < 1 or seed < 0 or points_per_centroid < 1 or iterations < 1:
        raise ValueError(
            "k, points_per_centroid and iterations must be at least 1 and seed at least 0, not "
            f"{k}, {points_per_centroid}, {iterations} and {seed}"
        )
    n, most = len(vectors), points_per_centroid * k
    draw = np.random.default_rng(seed)
    rows = np.arange(n) if n <= most else np.sort(draw.choice(n, most, replace=False))
    return clustered(vectors, rows, k, int(draw.integers(2**31 - 1)), iterations)


def clustered(vectors: Vectors, sample: Rows, k: int, seed: int, iterations: int = ITERATIONS) -> Clusters:
    """All rows assigned to k centroids that were trained on some of them."""
    rows = _directions(vectors, vectors.take(sample).matrix())
    directed = rows.any(axis=1)
    rows = rows if directed.all() else rows[directed]
    if k > len(rows):
        raise ValueError(f"k is {k:,}, but only {len(rows):,} of {len(sample):,} rows to train on have a direction")
    centroids, done = _train(rows, k, seed, iterations)
    trained_on = len(rows)
    del rows  # the sample need not stay while the others are read
    assigned = _fill(vectors, centroids, *assign(vectors, centroids))
    kept = np.bincount(assigned[0][assigned[0] >= 0], minlength=k) > 0
    number = np.append(np.cumsum(kept) - 1, -1).astype(np.int32)  # the last for zero rows, which are −1
    return Clusters(centroids[kept], number[assigned[0]], assigned[1], done, trained_on)


def assign(vectors: Vectors, centroids: Matrix) -> Assigned:
    """The nearest centroid of each row and the cosine to it: (n,) int32 and (n,) float32; −1 and 0 for a zero row."""
    engine = engine_for(vectors, Vectors.of(centroids))
    if engine is not None:
        parts = [found for _, found in over(engine, vectors, "clusters", partial(_assigned, centroids=centroids))]
        return np.concatenate([own for own, _ in parts]), np.concatenate([own for _, own in parts])
    assignment, similarity = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
    for start, block in vectors.blocks(QUERY_BLOCK):
        rows = _directions(vectors, block)
        best = nearest(Vectors.of(rows, unit=True), Vectors.of(centroids, unit=True), 1).right
        stop = start + len(block)
        assignment[start:stop] = np.where(rows.any(axis=1), best, -1)
        similarity[start:stop] = np.einsum("ij,ij->i", rows, centroids[best], dtype=np.float64)
    return assignment, similarity


def _assigned(span: Span, centroids: Matrix) -> Assigned:
    return assign(span.rows, centroids)


def _train(rows: Matrix, k: int, seed: int, iterations: int) -> tuple[Matrix, int]:
    """(k, d) unit centroids and the iterations it took."""
    means = faiss.Kmeans(
        rows.shape[1], k, spherical=True, niter=iterations, seed=seed, gpu=device()[0] == "cuda",
        min_points_per_centroid=1, max_points_per_centroid=len(rows) // k + 1,
    )  # fmt: skip
    means.train(rows, init_centroids=_seeds(rows, k, seed))
    assert means.centroids is not None  # train() has set both
    assert means.obj is not None
    centroids = Vectors.of(means.centroids).unit().matrix()
    lost = ~centroids.any(axis=1)  # members that cancel each other out
    centroids[lost] = rows[: lost.sum()]
    return centroids, len(means.obj)


def _seeds(rows: Matrix, k: int, seed: int) -> Matrix:
    """(k, d) rows by greedy k-means++ (Arthur & Vassilvitskii, SODA 2007), which finds clusters that lie apart.

    FAISS's own choice, uniform, misses small ones and puts two centroids into large ones. In double precision, so that
    a matter of rounding does not make it another choice.
    """
    from sklearn.cluster import kmeans_plusplus  # it takes a while

    n, most = len(rows), max(SEEDS_PER_CENTROID * k, LEAST_SEEDS)
    some = rows if n <= most else rows[np.sort(np.random.default_rng(seed).choice(n, most, replace=False))]
    chosen: Matrix = kmeans_plusplus(some.astype(np.float64), k, random_state=seed)[0].astype(np.float32)
    return chosen


def _directions(vectors: Vectors, block: Matrix) -> Matrix:
    """Rows of a block with length one or zero. Raises ValueError for NaN or infinity."""
    if not np.isfinite(block).all():
        raise ValueError("a vector holds NaN or infinity, which has no direction")
    return block if vectors.is_unit else Vectors.of(block).unit().matrix()


def _fill(
    vectors: Vectors, centroids: Matrix, assignment: npt.NDArray[np.int32], similarity: npt.NDArray[np.float32]
) -> Assigned:
    """Put centroids that no row is nearest to on rows that are least like their own, as long as that fills more.

    One row of a cluster at a time: equal rows are in the same cluster, so no two centroids become equal.
    """
    filled = 0
    while True:
        sizes = np.bincount(assignment[assignment >= 0], minlength=len(centroids))
        empty = np.flatnonzero(sizes == 0)
        order = np.lexsort((similarity, assignment)) if len(empty) else empty
        worst = order[np.flatnonzero(np.diff(assignment[order], prepend=-1))]  # of each cluster that is not empty
        worst = worst[similarity[worst] < 1 - SAME]
        worst = worst[np.argsort(similarity[worst], kind="stable")][: len(empty)]
        if not len(worst) or len(centroids) - len(empty) <= filled:
            return assignment, similarity
        filled = len(centroids) - len(empty)
        centroids[empty[: len(worst)]] = _directions(vectors, vectors.take(worst).matrix())
        assignment, similarity = assign(vectors, centroids)
