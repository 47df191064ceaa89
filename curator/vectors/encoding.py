"""Texts that have no vector yet → shards of a store: work that falls into parts, a shard each."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from curator.vectors.encoder import Encoder, Step, encode_all
from curator.vectors.hashes import Hashes, Texts, taken, text_hash
from curator.vectors.rows import Rows
from curator.vectors.shards import Shard, keys_of, name_of

Window = tuple[str, ...]
"""What names some texts that are read together: the paths of the files that hold them."""


@dataclass(frozen=True)
class Lacking:
    """Texts that are to be encoded together: some ``rows`` of a window."""

    window: Window
    rows: Rows


class Encoding:
    """Encodes texts and writes the shards. ``read`` gives the texts of a window; they must be what was planned for.

    ``progress`` is told of each batch, in this process alone. What is returned are the keys of each shard, once it is
    on disk.
    """

    def __init__(
        self, encoder: Encoder, directory: Path, read: Callable[[Window], Texts], progress: Step | None = None
    ) -> None:
        self.encoder = encoder
        self.directory = directory
        self._read = read
        self._progress = progress
        self._last: tuple[Window, Texts] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_progress": None, "_last": None}

    def name(self, part: Lacking) -> str:
        """The files that the texts are in, and how many they are."""
        first, last = part.window[0], part.window[-1]
        files = first if first == last else f"{first} to {Path(last).name}"
        return f"{len(part.rows):,} texts of {files}, from row {part.rows[0] + 1:,} on"

    def run(self, parts: Iterable[Lacking]) -> Iterator[pl.DataFrame]:
        """The keys of the shard that each part became, in order."""
        hashes: deque[Hashes] = deque()  # of parts that have been read, which may be ahead of those encoded

        def texts() -> Iterator[list[str]]:
            for part in parts:
                own = self._texts(part)
                hashes.append(text_hash(own))
                yield own

        self.directory.mkdir(parents=True, exist_ok=True)
        with closing(encode_all(self.encoder, texts(), self._progress)) as encoded:
            for of_part in encoded:
                keys = keys_of(hashes.popleft(), of_part)
                Shard(self.directory, name_of(keys)).write(keys, of_part.vectors)
                yield keys

    def _texts(self, part: Lacking) -> list[str]:
        if self._last is None or self._last[0] != part.window:
            self._last = part.window, self._read(part.window)
        return taken(self._last[1], part.rows)
