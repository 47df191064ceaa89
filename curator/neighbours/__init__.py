"""Vectors to edges: the one place where FAISS is called, on the GPU where there is one.

Exact search returns what brute force would return: candidates come from products in whatever precision is fast (FAISS,
or bf16 with a bound on its error), their true scores decide. FAISS's padding (id −1) never leaves this package, and
every score is the true score of the pair it stands beside.
"""

from curator.neighbours.edges import Edges, concat, ranked
from curator.neighbours.exact import estimated_seconds, nearest, pairs_per_second
from curator.neighbours.flat import device
from curator.neighbours.hierarchy import ClusterTree, cluster_tree
from curator.neighbours.inverted import InvertedFile
from curator.neighbours.kmeans import Clusters, kmeans
from curator.neighbours.within import LEFT_BLOCK, pairs_within

__all__ = [
    "LEFT_BLOCK", "ClusterTree", "Clusters", "Edges", "InvertedFile", "cluster_tree", "concat", "device",
    "estimated_seconds", "kmeans", "nearest", "pairs_per_second", "pairs_within", "ranked",
]  # fmt: skip
