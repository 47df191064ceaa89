"""All pairs over a threshold, however many neighbours that gives one row: an exact range search, block by block."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from curator.hardware import decide
from curator.neighbours import bfloat16, scores
from curator.neighbours.edges import Edges, Positions, Scores
from curator.neighbours.exact import check
from curator.neighbours.spread import PART_ROWS, Span, engine_for, spans
from curator.vectors import Matrix, Vectors

log = logging.getLogger(__name__)

PAIR_BLOCK = 4_096  # rows of each side whose pairs are held together
LEFT_BLOCK = 1_024  # left rows whose pairs can be held together where they must come in order
MOST = 1 << 20  # pairs of a part, 24 MB, that come from a worker
DENSE = 0.01  # share of the pairs of a block from which all their scores are had faster at once


Bounds = tuple[int, int, int, int]
"""Where the rows of either side begin and end: those of the left, then those of the right."""


@dataclass(frozen=True)
class _Part:
    """Rows of each side."""

    left: Span
    right: Span

    @property
    def bounds(self) -> Bounds:
        return self.left.start, self.left.stop, self.right.start, self.right.stop


@dataclass(frozen=True)
class _Searching:
    """A range search in parts; ``within`` one side, each pair once. Of a part at most ``most`` pairs travel."""

    min_score: float
    within: bool
    most: int

    def run(self, parts: Iterable[_Part]) -> Iterator[tuple[Bounds, list[Edges] | None]]:
        """Each part's bounds and its pairs, None where these are too many to travel."""
        for part in parts:
            found, pairs = [], 0
            for edges in self.found(part):
                found.append(edges)
                pairs += len(edges)
                if pairs > self.most:
                    break
            yield part.bounds, found if pairs <= self.most else None

    def name(self, part: _Part) -> str:
        """Which rows of each side."""
        left, right = (f"{side.start + 1:,} to {side.stop:,}" for side in (part.left, part.right))
        return f"pairs over a threshold of rows {left} with {right}"

    def found(self, part: _Part) -> Iterator[Edges]:
        """The pairs of a part in blocks, by the left block and then the right."""
        for offset, rows in part.left.rows.blocks(PAIR_BLOCK):
            start = part.left.start + offset
            first = max(start, part.right.start) if self.within else part.right.start
            others = part.right.rows.take(np.arange(first - part.right.start, len(part.right.rows)))
            for behind, columns in others.blocks(PAIR_BLOCK):
                i, j, score = _over(rows, columns, self.min_score)
                a, b = i + start, j + first + behind
                if self.within:
                    keep = a < b
                    a, b, score = a[keep], b[keep], score[keep]
                if len(a):
                    yield Edges(a, b, score, np.zeros(len(a), np.int32))


def pairs_within(left: Vectors, right: Vectors | None, min_score: float) -> Iterator[Edges]:
    """All pairs whose inner product is at least ``min_score``, in blocks; exact.

    Without ``right`` the pairs are those within ``left``, each once, with left < right. Ranks are 0: the pairs of
    a block are ordered by position, not by score. Blocks of the left side come in order, and within ``left`` the block
    of each with itself comes first, so that all pairs with an earlier block have been seen by then. Cost grows with
    the product of the sides. Vectors that lie in files are searched by the workers of their engine; what has too many
    pairs to come from there is searched here, a block at a time.
    """
    other = left if right is None else right
    check(left, other)
    work, engine = _Searching(min_score, right is None, MOST), engine_for(left, other)
    if engine is None or not (left.in_files and other.in_files):  # else the right side would travel over and over
        yield from work.found(_Part(Span(0, len(left), left), Span(0, len(other), other)))
        return
    for (start, stop, first, last), found in engine.map(work, _parts(left, other, work)):
        if found is None:
            log.info("over %s pairs of rows %s to %s: searched here", f"{MOST:,}", f"{start + 1:,}", f"{stop:,}")
            found = work.found(_Part(_span(left, start, stop), _span(other, first, last)))
        yield from found


def _span(rows: Vectors, start: int, stop: int) -> Span:
    return Span(start, stop, rows.take(np.arange(start, stop)))


def _parts(left: Vectors, right: Vectors, work: _Searching) -> Iterator[_Part]:
    """Blocks of the left side with parts of the right, in order; within one side those that have a pair."""
    for rows in spans(left, PAIR_BLOCK):
        for others in spans(right, PART_ROWS):
            if not work.within or others.stop > rows.start + 1:
                yield _Part(rows, others)


def _over(rows: Matrix, columns: Matrix, least: float) -> tuple[Positions, Positions, Scores]:
    """The places of two blocks' pairs whose true score reaches ``least``, by rows, and these scores."""
    i, j = _candidates(rows, columns, least)
    if len(i) > DENSE * len(rows) * len(columns):
        products = scores.all_products(rows, columns)
        i, j = np.nonzero(products.astype(np.float64) >= least)
        return i, j, products[i, j]
    order = np.lexsort((j, i))
    i, j = i[order], j[order]
    exact = scores.of_pairs(scores.products, rows, Vectors.of(columns), i, j)
    reached = exact.astype(np.float64) >= least
    return i[reached], j[reached], exact[reached]


def _candidates(rows: Matrix, columns: Matrix, least: float) -> tuple[Positions, Positions]:
    """The places of pairs whose product can reach ``least`` for all that rounding can do to it."""
    if bfloat16.is_fast():
        queries, base = bfloat16.Queries.of(rows), bfloat16.Columns.of(columns)
        if queries is not None and base is not None:
            return bfloat16.pairs_over(queries, base, least)
    import torch  # FAISS has no range search for the GPU

    left, right = (torch.tensor(side, device=decide().device) for side in (rows, columns))
    longest = [float(torch.linalg.vector_norm(side, dim=1).max()) for side in (left, right)]
    doubt = (rows.shape[1] + 8) * 2.0**-24 * longest[0] * longest[1]
    i, j = (left @ right.T >= least - doubt).nonzero(as_tuple=True)
    return i.cpu().numpy(), j.cpu().numpy()
