"""Neighbours by the workers of an engine: the larger side falls into parts, the other goes to each of them.

Every score is the true score of its pair wherever it is made, so the best of all parts' lists are the lists.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from curator.engines import HERE, Engine
from curator.vectors import Vectors

LEAST_PAIRS = 2**31  # pairs of vectors below which workers are not worth asking: some seconds of one core
PART_ROWS = 65_536  # rows of a part, at least
PARTS = 4  # for each worker, where there are rows enough: so that none waits long for the last

Result = TypeVar("Result")


@dataclass(frozen=True)
class Span:
    """Rows ``start`` to ``stop`` of a side."""

    start: int
    stop: int
    rows: Vectors


@dataclass(frozen=True)
class OfSpans(Generic[Result]):
    """Does the same to each span. What it does must be known to workers by name."""

    what: str
    do: Callable[[Span], Result]

    def run(self, parts: Iterable[Span]) -> Iterator[tuple[int, Result]]:
        """Where each span starts, and what was found for it."""
        return ((part.start, self.do(part)) for part in parts)

    def name(self, part: Span) -> str:
        """What is done to which rows."""
        return f"{self.what} of rows {part.start + 1:,} to {part.stop:,}"


def engine_for(left: Vectors, right: Vectors) -> Engine | None:
    """The engine whose workers are to compare two sides; None where that is done here."""
    engine = left.engine if left.engine is not HERE else right.engine
    return engine if engine is not HERE and len(left) * len(right) >= LEAST_PAIRS else None


def spans(rows: Vectors, size: int) -> Iterator[Span]:
    """The rows in parts of ``size``, to be sent elsewhere."""
    for start in range(0, len(rows), size):
        stop = min(start + size, len(rows))
        yield Span(start, stop, rows.alone(start, stop))


def over(engine: Engine, rows: Vectors, what: str, do: Callable[[Span], Any]) -> Iterator[tuple[int, Any]]:
    """Where each part of the rows starts, and what ``do`` gives for it, in order."""
    size = max(PART_ROWS, -(-len(rows) // (PARTS * engine.workers)))
    return engine.map(OfSpans(what, do), spans(rows, size))
