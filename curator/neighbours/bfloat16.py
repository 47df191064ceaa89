"""Which rows can be among the best, or reach a threshold, by matrix products in bf16: about twice as fast as in fp32.

A product in bf16 is wrong by up to some hundredths, but by how much at most is known. So what it finds is not a list
but the candidates for one: every row that can belong to it, of which there are a few more than its length. Their
scores in full precision then decide, and the result is that of an exact search.

The bound. bf16 has 8 significant bits, so rounding is off by at most u = 2⁻⁸ of the value (Higham, Accuracy and
Stability of Numerical Algorithms, 2002, theorem 2.2). With x̃ and ỹ the rounded vectors, ỹ = y + e, ‖e‖ ≤ u‖y‖:

    |x̃·ỹ − x·y| ≤ ‖x̃ − x‖ ‖y‖ + ‖x̃‖ u‖y‖                 (Cauchy–Schwarz; ‖x̃ − x‖ is computed)

Sums are made in fp32, whose error is at most γ(d) ‖x̃‖‖ỹ‖, γ(d) ≈ d 2⁻²⁴ (section 3.1). Call all of that a, and t the
product before it is rounded to bf16 itself, |ŝ − t| ≤ u|ŝ|. If K is a lower bound of the k-th largest ŝ, then k rows
have true products of at least K − u|K| − a; a row that belongs to the best k has one too, so t ≥ K − u|K| − 2a, and,
since rounding keeps order, ŝ ≥ that number rounded to bf16. For unit vectors this is about K − 0.015.

The k-th largest of the maxima of disjoint groups of columns is such a K, and the maxima are all that must be ordered.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from curator.hardware import decide
from curator.neighbours.edges import Positions
from curator.vectors import Matrix, Vectors

if TYPE_CHECKING:
    from torch import Tensor

UNIT = 2.0**-8  # largest relative error of rounding to bf16
BASE_ROWS, QUERY_ROWS = 4_096, 1_024  # of one product, whose 8 MiB stay in the cache until they are looked through
GROUP = 32  # columns of a product of which only the largest is ordered; a power of two
LEAST_QUERIES = 128  # below, reading and rounding the vectors takes longer than the products save
LEAST_ROWS = 2**14  # below, so does picking the candidates: most are of the first rows that are looked through
CROWDED = 16  # times k + 32 rows that can be among the best: such a list is left to fp32
TOO_MANY = 0.25  # share of crowded lists from which fp32 is faster for all
SHORT, LONG = 1e-15, 1e15  # vectors between them have products that neither vanish nor overflow


def is_fast() -> bool:
    """Whether products in bf16 are faster than in fp32, here, on the CPU."""
    hardware = decide()
    return (hardware.device, hardware.precision) == ("cpu", "bf16")


def serves(queries: int, rows: int, k: int) -> bool:
    """Whether this is the faster way to the k best of that many rows for that many queries."""
    return is_fast() and queries >= LEAST_QUERIES and rows >= LEAST_ROWS and k <= min(BASE_ROWS // 4, rows // GROUP)


@dataclass(frozen=True)
class Candidates:
    """Pairs of a query and a row that can be among its k best, and the queries for which there were too many.

    ``rows``, ``ids``: (n,) positions of queries and of rows; ``crowded``: (m,) queries of which no pair is among them.
    """

    rows: Positions
    ids: Positions
    crowded: Positions


def candidates(queries: Matrix, right: Vectors, k: int) -> Candidates | None:
    """All rows that can be among the k largest inner products of each query, where ``serves`` says so.

    None where bf16 cannot tell: vectors that are far too long or short for it or hold NaN or infinity, or too many
    rows about as near as the k-th.
    """
    lists = []
    for start in range(0, len(queries), QUERY_ROWS):
        part = Queries.of(queries[start : start + QUERY_ROWS])
        if part is None:
            return None
        lists.append(_Lists(start, part, k))
    # The k-th largest of few maxima is far below the k-th largest product.
    group = min(GROUP, 2 ** int(np.log2(max(1, min(len(right) // 8, BASE_ROWS // 2) // k))))
    for start, block in right.blocks(BASE_ROWS):
        columns = Columns.of(block, group, is_unit=right.is_unit)
        if columns is None:
            return None
        for each in lists:
            each.look_through(columns, start)
        if sum(int(each.crowded.sum()) for each in lists) > TOO_MANY * len(queries):
            return None
    found = [each.found() for each in lists]
    return Candidates(
        np.concatenate([rows for rows, _ in found]),
        np.concatenate([ids for _, ids in found]),
        np.concatenate([np.flatnonzero(each.crowded) + each.start for each in lists]),
    )


@dataclass(frozen=True)
class Queries:
    """Vectors rounded to bf16, and by how much their products with a vector of length one can be wrong."""

    half: "Tensor"  # (n, d) bf16
    doubt: "Tensor"  # (n,)

    @classmethod
    def of(cls, matrix: Matrix) -> Self | None:
        """Round (n, d) vectors; None where one is too long or short or not finite."""
        import torch  # it takes a second to import

        whole = torch.tensor(matrix)
        if not _are_ordinary(torch.linalg.vector_norm(whole, dim=1)):
            return None
        half = whole.bfloat16()
        length = torch.linalg.vector_norm(half.float(), dim=1)
        sums = (matrix.shape[1] + 16) * 2.0**-24 * (1 + 2 * UNIT)  # of d products, and of what is computed here
        return cls(half, torch.linalg.vector_norm(whole - half, dim=1) + length * (UNIT + sums))


@dataclass(frozen=True)
class Columns:
    """Vectors rounded to bf16 that are searched, with zero rows after them up to a whole number of groups."""

    half: "Tensor"  # (n + padding, d) bf16
    size: int  # n
    group: int
    longest: float

    @classmethod
    def of(cls, matrix: Matrix, group: int = GROUP, *, is_unit: bool = False) -> Self | None:
        """Round (n, d) vectors; None where one is too long or short or not finite."""
        import torch

        whole = torch.tensor(matrix)
        longest = 1 + 1e-5
        if not is_unit:
            lengths = torch.linalg.vector_norm(whole, dim=1)
            if not _are_ordinary(lengths):
                return None
            longest *= float(lengths.max())
        padding = -len(matrix) % group
        half = torch.nn.functional.pad(whole, (0, 0, 0, padding)) if padding else whole
        return cls(half.bfloat16(), len(matrix), group, longest)

    def over(self, products: "Tensor", maxima: "Tensor", floor: "Tensor") -> tuple["Tensor", "Tensor", "Tensor"]:
        """Rows, columns and values of the (q, n) products that reach their row's floor, by rows."""
        lanes = products.view(len(products), self.group, -1)
        i, place = (maxima >= floor[:, None]).nonzero(as_tuple=True)
        values = lanes[i, :, place]
        hit, lane = (values >= floor[i][:, None]).nonzero(as_tuple=True)
        return i[hit], lane * lanes.shape[2] + place[hit], values[hit, lane]

    def products(self, queries: Queries) -> tuple["Tensor", "Tensor"]:
        """(q, n + padding) inner products, −∞ for the padding, and the (q, m) maxima of their groups."""
        products = queries.half @ self.half.T
        products[:, self.size :] = -np.inf
        # The members of a group are m columns apart: such maxima are taken of whole rows at a time.
        return products, products.view(len(products), self.group, -1).amax(1)


def pairs_over(queries: Queries, columns: Columns, least: float) -> tuple[Positions, Positions]:
    """All pairs of two blocks whose inner product can be at least ``least``: (n,) positions in each."""
    floor = (least - queries.doubt * columns.longest).bfloat16()
    rows, ids = [], []
    for start in range(0, len(queries.half), QUERY_ROWS):
        part = Queries(queries.half[start : start + QUERY_ROWS], queries.doubt[start : start + QUERY_ROWS])
        i, j, _ = columns.over(*columns.products(part), floor[start : start + QUERY_ROWS])
        rows.append(i.numpy() + start)
        ids.append(j.numpy())
    return np.concatenate(rows), np.concatenate(ids)


class _Lists:
    """What can be among the k best of each of a block of queries, after the columns that were looked through."""

    def __init__(self, start: int, queries: Queries, k: int) -> None:
        import torch

        self.start = start
        self.crowded: npt.NDArray[np.bool_] = np.zeros(len(queries.half), np.bool_)
        self._queries = queries
        self._k = k
        self._longest = 0.0
        self._maxima = torch.empty((len(queries.half), 0), dtype=torch.bfloat16)  # the k largest so far
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []  # queries, rows, products
        self._held = 0

    def look_through(self, columns: Columns, start: int) -> None:
        """Add the candidates among columns whose first is row ``start``."""
        import torch

        products, maxima = columns.products(self._queries)
        together = torch.cat([self._maxima, maxima], 1)
        self._maxima = together.topk(self._k, sorted=False).values if together.shape[1] > self._k else together
        self._longest = max(self._longest, columns.longest)
        i, j, values = columns.over(products, maxima, self._floor())
        self._parts.append((i, j + start, values))
        self._held += len(i)
        if self._held > 4 * (self._k + 32) * len(self.crowded):
            self._drop()

    def found(self) -> tuple[Positions, Positions]:
        """Positions of queries and of rows."""
        rows, ids, _ = self._drop()
        return rows.numpy() + self.start, ids.numpy()

    def _floor(self) -> "Tensor":
        """(q,) products below which a row is not among the k best."""
        import torch

        kth = torch.full((len(self.crowded),), -np.inf)
        if self._maxima.shape[1] == self._k:
            kth = self._maxima.amin(1).float()
        floor = kth - UNIT * kth.abs() - 2 * self._queries.doubt * self._longest
        floor[torch.from_numpy(self.crowded)] = np.inf
        return floor.bfloat16()

    def _drop(self) -> tuple["Tensor", "Tensor", "Tensor"]:
        """Drop what is below the floor by now, and the lists that are crowded nevertheless."""
        import torch

        rows, ids, products = (torch.cat(column) for column in zip(*self._parts, strict=True))
        kept = products >= self._floor()[rows]
        sizes = rows[kept].bincount(minlength=len(self.crowded))
        self.crowded |= (sizes > CROWDED * (self._k + 32)).numpy()
        kept &= ~torch.from_numpy(self.crowded)[rows]
        self._parts = [(rows[kept], ids[kept], products[kept])]
        self._held = int(kept.sum())
        return self._parts[0]


def _are_ordinary(lengths: "Tensor") -> bool:
    """Whether bf16 can tell about vectors of these lengths: zero is one."""
    return bool(((lengths == 0) | ((lengths > SHORT) & (lengths < LONG))).all())
