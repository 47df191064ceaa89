"""All rows in order of their true score, for methods that need the whole ranking and not its head."""

from collections.abc import Iterator

import numpy as np

from curator.neighbours import scores
from curator.neighbours.edges import Positions, Scores
from curator.neighbours.exact import check
from curator.vectors import Vectors

PAIRS = 2**26  # scores held at once
BASE_BLOCK = 8_192  # rows of the right side whose scores are computed at once


def orders(left: Vectors, right: Vectors) -> Iterator[Positions]:
    """For each left row all positions of ``right``, (n,) int64: the largest product first, equal ones by position.

    Memory is 256 MB for the scores of some left rows, or of one where ``right`` has more than 67 million. The time is
    that of the products in double precision and of sorting. Raises ValueError when the dimensions differ, or numbers
    are not finite.
    """
    check(left, right)
    for _, queries in left.blocks(max(1, PAIRS // max(1, len(right)))):
        found = np.empty((len(queries), len(right)), np.float32)
        for start, base in right.blocks(BASE_BLOCK):
            found[:, start : start + len(base)] = scores.all_products(queries, base)
        if not np.isfinite(found).all():
            raise ValueError("a vector holds NaN or infinity, or a product of two is beyond single precision")
        for row in found:
            yield _order(row)


def _order(row: Scores) -> Positions:
    """(n,) positions by falling score and rising position.

    Both are put in one integer, because NumPy sorts integers several times as fast as it finds an order of numbers. The
    bits of a positive number are in its order, those of a negative one in the reverse.
    """
    bits = (row + np.float32(0)).view(np.int32)  # −0 and 0 are equal
    rising = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    keys = (~rising).astype(np.int64) << 32 | np.arange(len(row))
    keys.sort()
    return keys & 0xFFFFFFFF
