"""Texts by their hash: which are the same, and where each is among those already stored."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

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
class Index:
    """Every stored text: its hash, where its vector is, and what the encoder said. Arrays of one length."""

    hashes: Hashes
    shard: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    n_tokens: npt.NDArray[np.int32]
    truncated: npt.NDArray[np.bool_]

    @cached_property
    def _sorted(self) -> tuple[Rows, npt.NDArray[np.uint64]]:
        """Places by their hashes, of equal hashes the first first; and the first halves of these hashes."""
        order = np.lexsort((self.hashes[:, 1], self.hashes[:, 0]))
        return order, self.hashes[order, 0]

    def find(self, hashes: Hashes) -> Rows:
        """The first place of each hash; -1 where there is none."""
        order, ordered = self._sorted
        at = np.searchsorted(ordered, hashes[:, 0])
        places = np.full(len(hashes), -1, np.int64)
        open_ = np.flatnonzero(at < len(ordered))
        while len(open_):  # again only for hashes that share a first half and no more
            open_ = open_[ordered[at[open_]] == hashes[open_, 0]]
            found = order[at[open_]]
            same = self.hashes[found, 1] == hashes[open_, 1]
            places[open_[same]] = found[same]
            open_ = open_[~same]
            at[open_] += 1
            open_ = open_[at[open_] < len(ordered)]
        return places


def distinct(hashes: Hashes, among: npt.NDArray[np.bool_]) -> Rows:
    """Rows of the first of each hash, in order."""
    rows = np.flatnonzero(among)
    first = pl.DataFrame({"one": hashes[rows, 0], "two": hashes[rows, 1]}).with_row_index("at")
    kept: Rows = rows[first.unique(["one", "two"], keep="first", maintain_order=True)["at"].to_numpy()]
    return kept
