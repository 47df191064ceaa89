"""Vectors to edges: the one place where FAISS is called, on the GPU where there is one.

Exact search returns what brute force would return: candidates come from products in whatever precision is fast (FAISS,
or bf16 with a bound on its error), their true scores decide. FAISS's padding (id −1) never leaves this package, and
every score is the true score of the pair it stands beside. An approximate index gives candidates only.
"""

from curator.neighbours.approximate import KINDS, Approximate, Kind, pairs_to_build, rescored, size_of
from curator.neighbours.edges import Edges, concat, ranked
from curator.neighbours.exact import estimated_seconds, nearest, pairs_per_second
from curator.neighbours.flat import device
from curator.neighbours.hierarchy import ClusterTree, cluster_tree
from curator.neighbours.kmeans import Clusters, kmeans
from curator.neighbours.ranking import orders
from curator.neighbours.within import LEFT_BLOCK, pairs_within

__all__ = [
    "KINDS", "LEFT_BLOCK", "Approximate", "ClusterTree", "Clusters", "Edges", "Kind", "cluster_tree", "concat",
    "device", "estimated_seconds", "kmeans", "nearest", "orders", "pairs_per_second", "pairs_to_build", "pairs_within",
    "ranked", "rescored", "size_of",
]  # fmt: skip
