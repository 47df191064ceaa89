"""Texts by their hash: which are the same, and where each is among those already stored."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.vectors.places import ENTRY, Entries
from curator.vectors.rows import Rows

HASH_ROWS = 8192  # texts that are Python objects at a time while a column of them is hashed

Hashes = npt.NDArray[np.uint64]  # (n, 2): the 16 bytes of each hash
Texts = Sequence[str] | pl.Series
"""Texts in memory; a column is read without making a list of it."""


def text_hash(texts: Texts, rows: Rows | None = None) -> Hashes:
    """128-bit BLAKE2b of each text, or of those at ``rows``."""
    rows = np.arange(len(texts)) if rows is None else rows
    hashes = np.empty((len(rows), 2), np.uint64)
    for start in range(0, len(rows), HASH_ROWS):
        encoded = [text.encode("utf8", "surrogatepass") for text in taken(texts, rows[start : start + HASH_ROWS])]
        digests = b"".join(hashlib.blake2b(text, digest_size=16).digest() for text in encoded)
        hashes[start : start + HASH_ROWS] = np.frombuffer(digests, np.uint64).reshape(-1, 2)
    return hashes


def taken(texts: Texts, rows: Rows) -> list[str]:
    return texts[rows].to_list() if isinstance(texts, pl.Series) else [texts[row] for row in rows.tolist()]


@dataclass(frozen=True)
class HashSet:
    """Hashes in order, 16 bytes each; ``one`` and ``two`` are their halves. The same may be there more than once."""

    one: npt.NDArray[np.uint64]
    two: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, hashes: Hashes) -> Self:
        """Those of an array in any order."""
        return cls.ordered(hashes, _order(hashes))

    @classmethod
    def ordered(cls, hashes: Hashes, order: Rows) -> Self:
        return cls(hashes[order, 0], hashes[order, 1])

    def __len__(self) -> int:
        return len(self.one)

    def holds(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Which of some hashes are among them."""
        return self.find(hashes) >= 0

    def find(self, hashes: Hashes) -> Rows:
        """The first place of each hash; -1 where there is none."""
        at = np.searchsorted(self.one, hashes[:, 0])
        places = np.full(len(hashes), -1, np.int64)
        open_ = np.flatnonzero(at < len(self.one))
        while len(open_):  # again only for hashes that share a first half and no more
            open_ = open_[self.one[at[open_]] == hashes[open_, 0]]
            same = self.two[at[open_]] == hashes[open_, 1]
            places[open_[same]] = at[open_[same]]
            open_ = open_[~same]
            at[open_] += 1
            open_ = open_[at[open_] < len(self.one)]
        return places


def _order(hashes: Hashes) -> Rows:
    order: Rows = np.lexsort((hashes[:, 1], hashes[:, 0]))
    return order


@dataclass(frozen=True)
class _Run:
    """Entries in the order of their hashes, of equal hashes the first added first."""

    hashes: HashSet
    entries: Entries

    @classmethod
    def of(cls, hashes: Hashes, entries: Entries) -> "_Run":
        order = _order(hashes)
        return cls(HashSet.ordered(hashes, order), entries[order])

    def __len__(self) -> int:
        return len(self.entries)

    def after(self, other: "_Run") -> "_Run":
        """Both as one, ``other`` before this."""
        halves = [(run.hashes.one, run.hashes.two) for run in (other, self)]
        hashes = np.stack([np.concatenate(half) for half in zip(*halves, strict=True)], axis=1)
        return self.of(hashes, np.concatenate([other.entries, self.entries]))


class Index:
    """Every stored text by its hash. About 30 bytes a text; it grows as shards are written.

    What is added is kept in sorted runs, and a run is merged with the one before it unless that is much longer, so
    that each text is sorted anew a few times however many shards follow.
    """

    def __init__(self) -> None:
        self.shards: list[str] = []
        self._runs: list[_Run] = []

    def add(self, shards: Sequence[str], hashes: Hashes, entries: Entries) -> None:
        """Add shards, of which the entries' numbers speak as 0, 1, …."""
        entries["shard"] += len(self.shards)
        self.shards += shards
        run = _Run.of(hashes, entries)
        while self._runs and len(self._runs[-1]) <= 4 * len(run):
            run = run.after(self._runs.pop())
        self._runs.append(run)

    def find(self, hashes: Hashes) -> tuple[Entries, npt.NDArray[np.bool_]]:
        """The entry first added of each hash, and whether there is one."""
        entries, found = np.zeros(len(hashes), ENTRY), np.zeros(len(hashes), np.bool_)
        for run in self._runs:
            places = run.hashes.find(hashes)
            new = (places >= 0) & ~found
            entries[new] = run.entries[places[new]]
            found |= new
        return entries, found


def distinct(hashes: Hashes, among: npt.NDArray[np.bool_]) -> Rows:
    """Rows of the first of each hash, in order."""
    rows = np.flatnonzero(among)
    first = pl.DataFrame({"one": hashes[rows, 0], "two": hashes[rows, 1]}).with_row_index("at")
    kept: Rows = rows[first.unique(["one", "two"], keep="first", maintain_order=True)["at"].to_numpy()]
    return kept
