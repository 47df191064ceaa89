"""Table functions: what SQL calls in FROM and Python computes. One file each, of the function's name.

The Python signature is the SQL signature; an argument annotated ``Relation`` takes a relation. Every function is in
``FUNCTIONS``, and nothing else is.
"""

from curator.functions.leaders import leaders
from curator.functions.pairs_within import pairs_within
from curator.nearest import Function

FUNCTIONS: tuple[Function, ...] = (leaders, pairs_within)

__all__ = ["FUNCTIONS", "leaders", "pairs_within"]
