"""Table functions: what SQL calls in FROM and Python computes. One file each, of the function's name.

The Python signature is the SQL signature; an argument annotated ``Relation`` takes a relation. Every function is in
``FUNCTIONS``, and nothing else is.
"""

from curator.functions.bm25 import bm25
from curator.functions.clusters import clusters
from curator.functions.dsir import dsir
from curator.functions.hybrid import hybrid
from curator.functions.kl_reduction import kl_reduction
from curator.functions.leaders import leaders
from curator.functions.pairs_within import pairs_within
from curator.functions.search import search
from curator.nearest import Function

FUNCTIONS: tuple[Function, ...] = (bm25, clusters, dsir, hybrid, kl_reduction, leaders, pairs_within, search)

__all__ = [
    "FUNCTIONS", "bm25", "clusters", "dsir", "hybrid", "kl_reduction", "leaders", "pairs_within", "search",
]  # fmt: skip
