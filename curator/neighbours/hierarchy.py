"""A tree of clusters: k-means on the rows, then on its centroids, and so on up."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curator.neighbours.kmeans import Clusters, clustered, kmeans
from curator.vectors import Vectors


@dataclass(frozen=True)
class ClusterTree:
    """Levels of clusters, the lowest first: ``levels[0]`` holds the rows, any other the centroids of that below it."""

    levels: tuple[Clusters, ...]

    def __post_init__(self) -> None:
        for below, above in itertools.pairwise(self.levels):
            if len(above.assignment) != len(below):
                raise ValueError(f"{len(below)} clusters, but {len(above.assignment)} have a parent")

    def __repr__(self) -> str:
        return f"ClusterTree({len(self.levels[0].assignment):,} rows in {', '.join(str(len(x)) for x in self.levels)})"

    @property
    def nodes(self) -> tuple[npt.NDArray[np.int32], ...]:
        """At each level, the lowest first, the cluster that every row is in: (n,) int32, −1 for a zero row."""
        nodes = [self.levels[0].assignment]
        for level in self.levels[1:]:
            parents = np.append(level.assignment, np.int32(-1))  # the last for −1
            nodes.append(parents[nodes[-1]])
        return tuple(nodes)


def cluster_tree(vectors: Vectors, counts: Sequence[int], *, seed: int = 0, resampling: int = 0) -> ClusterTree:
    """Clusters of clusters, bottom up: ``counts`` of each level from the lowest, decreasing, like (1000, 100, 10).

    Hierarchical k-means (Vo et al., Automatic Data Curation for Self-Supervised Learning, TMLR 2024, section 3): the
    lowest level is ``kmeans`` of the rows, each other one that of the centroids below, which lie more evenly than the
    rows do. Above the lowest, ``resampling`` rounds may follow (the paper has 10): of each cluster the members nearest
    to its centroid, half as many as a cluster has on average, are clustered anew, and all are assigned to the new
    centroids. It is off by default: of long-tailed samples of intents, trees that had it gave no more intents, and of
    one set fewer, by two standard errors (benchmarks/clusters.py, ``--intents``). The paper's gains are at other sizes.

    Where a level has fewer clusters than were asked for (see ``kmeans``), that above it has at most as many.
    Raises ValueError for counts that do not decrease, ``resampling`` below 0, and for what ``kmeans`` does.
    """
    if any(above >= below for below, above in itertools.pairwise(counts)) or not counts or counts[-1] < 1:
        raise ValueError(f"the counts of a tree's levels must decrease from the lowest level up to 1, not {[*counts]}")
    if resampling < 0:
        raise ValueError(f"rounds of resampling must be at least 0, not {resampling}")
    levels = [kmeans(vectors, counts[0], seed=seed)]
    for depth, count in enumerate(counts[1:], 1):
        points = Vectors.of(levels[-1].centroids, unit=True)
        k = min(count, len(points))
        draws = np.random.default_rng([seed, depth]).integers(2**31 - 1, size=1 + resampling).tolist()
        level = clustered(points, np.arange(len(points)), k, draws[0])
        members = max(1, len(points) // (2 * k))
        for draw in draws[1:]:
            level = clustered(points, np.flatnonzero(level.rank <= members), len(level), draw)
        levels.append(level)
    return ClusterTree(tuple(levels))
