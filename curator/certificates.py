"""What an approximate search has changed of a selection: the overlap with what exact search would have selected.

A stage whose joins used an index is run again with exact search. Where that takes long it is run on parts of the rows
that the joins search for, with the index and exactly: the overlap is then of what those searches decided.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from curator import neighbours
from curator.nearest import JoinReport, Searching
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, Verdicts, run

SECONDS = 60.0  # of exact search, up to which the whole is compared; and of that on parts of it
PARTS = 5
FEWEST = 10  # rows of a part
STUDENT = 2.776  # of 95 %, for the PARTS − 1 degrees of freedom

log = logging.getLogger(__name__)

Keys = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Certificate:
    """How far a stage's selection is the one that exact search would have made.

    ``overlap``: the share that both selections have of what either has (Jaccard); exact where the whole was compared,
    else estimated, with a 95 % interval.
    """

    stage: str
    overlap: float
    low: float
    high: float
    selected: int  # documents that either selection has, of those compared
    rows: int  # that were searched for, of those of the largest join
    of: int

    def __str__(self) -> str:
        told = f"{self.stage}: selected by an approximate index; overlap with exact search {self.overlap:.4f}"
        if self.rows == self.of:
            return f"{told} of {self.selected:,} documents (all compared)"
        return (
            f"{told} ({self.low:.4f} to {self.high:.4f}), on {self.rows:,} of {self.of:,} rows searched for, which "
            f"decided on {self.selected:,} documents"
        )


def certify(
    name: str, stage: Stage, parameters: Mapping[str, Any], relations: Mapping[str, Relation], session: Session,
    verdicts: Verdicts,
) -> Certificate | None:  # fmt: skip
    """Compare a stage's selection with that of exact search; None where it was exact."""
    joins = [join for join in verdicts.joins if not join.exact]
    if not joins:
        return None

    def selected(searching: Searching) -> Keys:
        return _selected(run(stage, parameters, relations, session, searching))

    log.info("comparing %s with exact search", name)
    rows, seconds = max(join.left_rows or 0 for join in joins), _exact_seconds(joins, relations)
    if seconds <= SECONDS or rows <= PARTS * FEWEST:
        ours, exact = _selected(verdicts), selected(Searching(exact=True))
        overlap = _jaccard(len(ours & exact), len(ours | exact))
        return Certificate(name, overlap, overlap, overlap, len(ours | exact), rows, rows)
    share = max(SECONDS / seconds, PARTS * FEWEST / rows)
    undecided = selected(Searching(part=(0, 0)))  # what is kept whatever is found
    pairs = []
    for number in range(PARTS):
        part = (share * number / PARTS, share * (number + 1) / PARTS)
        ours, exact = (selected(Searching(exact, part)) ^ undecided for exact in (False, True))
        pairs.append((len(ours & exact), len(ours | exact)))
    return Certificate(name, *_estimated(pairs), sum(either for _, either in pairs), round(share * rows), rows)


def _selected(verdicts: Verdicts) -> Keys:
    return frozenset(verdicts.frame.filter("keep").select("corpus", "id").iter_rows())


def _exact_seconds(joins: list[JoinReport], relations: Mapping[str, Relation]) -> float:
    dimension = relations["candidates"].dimension
    return sum(neighbours.estimated_seconds(join.pairs or 0, dimension) for join in joins)


def _jaccard(both: int, either: int) -> float:
    return both / either if either else 1.0


def _estimated(pairs: list[tuple[int, int]]) -> tuple[float, float, float]:
    """Overlap and interval of the ratio of two sums over parts, by leaving out one part after another.

    Where no part has a difference that says nothing of how rare one is: then the low end is where as many documents
    without one would still be seen one time in 40.
    """
    both, either = (sum(column) for column in zip(*pairs, strict=True))
    overlap = _jaccard(both, either)
    without = [_jaccard(both - b, either - e) for b, e in pairs]
    mean = sum(without) / len(without)
    spread = STUDENT * sqrt((len(pairs) - 1) / len(pairs) * sum((value - mean) ** 2 for value in without))
    surely = 0.025 ** (1 / either) if either else 0.0
    return overlap, max(0.0, min(overlap - spread, surely)), min(1.0, overlap + spread)
