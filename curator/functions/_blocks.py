"""Texts taken block by block, by whoever the engine of their relation says: the result is that of all texts at once."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import polars as pl

from curator.engines import HERE, Engine

log = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Block:
    """Texts from a row on."""

    start: int
    texts: pl.Series


@dataclass(frozen=True)
class OfBlocks(Generic[Result]):
    """Does the same to each block. What it does must be known to workers by name."""

    what: str
    do: Callable[[pl.Series], Result]

    def run(self, parts: Iterable[Block]) -> Iterator[Result]:
        """What is found in each block."""
        return (self.do(part.texts) for part in parts)

    def name(self, part: Block) -> str:
        """What is done to which texts."""
        return f"{self.what} of texts {part.start + 1:,} to {part.start + len(part.texts):,}"


def by_blocks(
    texts: pl.Series, size: int, what: str, do: Callable[[pl.Series], Result], engine: Engine = HERE
) -> Iterator[Result]:
    """What ``do`` gives for each ``size`` texts, in order; for none, what it gives for no text."""
    blocks = (Block(start, texts[start : start + size]) for start in range(0, max(len(texts), 1), size))
    where = engine if len(texts) > size else HERE  # a block alone is not worth a journey
    if where is not HERE:
        log.info("%s: %s texts go to %r", what, f"{len(texts):,}", where)
    yield from where.map(OfBlocks(what, do), blocks)
