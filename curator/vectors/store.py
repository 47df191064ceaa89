"""The store of vectors on disk: a directory of shards, one vector per distinct text.

A shard is written once and whole (see shards.py). The vectors that a run makes are a function of the texts of their
shard alone, so an interrupted run continues at the shard in flight and ends in the same bytes. What no text uses any
more is collected: a shard is then replaced by one with the vectors that are left, or goes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.engines import HERE, Engine
from curator.vectors.encoding import Lacking, Window
from curator.vectors.hashes import Hashes, HashSet, Index, Texts, distinct, text_hash
from curator.vectors.places import ENTRY, Entries, Places
from curator.vectors.rows import Half, Matrix, Rows, Vectors
from curator.vectors.shards import DamagedError, Shard, hashes_of, name_of

SHARD_ROWS = 4096  # about ten seconds of encoding on two cores: what a kill can cost
HELD_BYTES = 2 << 30  # vectors that are read into memory together; more are left to the operating system, mapped
LEAST_LIVE = 0.5  # share of a shard's texts that must be in use for the others to stay with them


@dataclass(frozen=True)
class Freed:
    """What tidying a store did: shards that went, shards that others with fewer texts took the place of, and bytes."""

    removed: int
    rewritten: int
    bytes: int


class VectorStore:
    """All vectors made by one encoder with one set of settings: one per distinct text.

    One process at a time may change it. Others may go on reading what they have opened.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def index(self) -> Index:
        """What it holds now. Texts are to be placed with an index read since the right to write was got.

        Raises WorkspaceError, naming the file, where a manifest or the keys of a shard are damaged.
        """
        index, shards = Index(), self._shards()
        if shards:
            parts = [_entries(number, shard.read_keys()) for number, shard in enumerate(shards)]
            hashes, entries = zip(*parts, strict=True)
            index.add([shard.name for shard in shards], np.concatenate(hashes), np.concatenate(entries))
        return index

    def lacking(self, windows: Iterable[tuple[Window, Texts, Rows]], index: Index) -> Iterator[Lacking]:
        """The texts of windows, each at some rows, that the index lacks: those of a shard together.

        A text that several windows have is the first's. No shard is of two windows, and where a run that was stopped
        has written some of a window's, the others are those that they would have been.
        """
        claimed = Index()
        for window, texts, rows in windows:
            hashes = text_hash(texts, rows)
            missing = distinct(hashes, ~(index.find(hashes)[1] | claimed.find(hashes)[1]))
            claimed.add([], hashes[missing], np.zeros(len(missing), ENTRY))
            for start in range(0, len(missing), SHARD_ROWS):
                yield Lacking(window, rows[missing[start : start + SHARD_ROWS]])

    def missing(self, windows: Iterable[tuple[Window, Texts, Rows]], index: Index) -> int:
        """How many distinct texts of windows, each at some rows, are not in the index."""
        return sum(len(part.rows) for part in self.lacking(windows, index))

    def written(self, keys: pl.DataFrame, index: Index) -> None:
        """Add a shard that has been written to the index."""
        index.add([name_of(keys)], *_entries(0, keys))

    def places(self, texts: Texts, rows: Rows, index: Index) -> Places:
        """Where the vectors of the texts at some rows are, all of which are in the index."""
        entries, found = index.find(text_hash(texts, rows))
        assert found.all()
        used, shard = np.unique(entries["shard"], return_inverse=True)
        entries["shard"] = shard
        return Places(tuple(index.shards[number] for number in used), entries)

    def truncated(self, parts: Iterable[tuple[Texts, Rows]], index: Index) -> int:
        """How many of the texts that are in the index were cut by the encoder."""
        return sum(int(index.find(text_hash(texts, rows))[0]["truncated"].sum()) for texts, rows in parts)

    def holds(self, places: Places) -> bool:
        """Whether the shards that these places name are there."""
        return all(self._shard(name).manifest.exists() for name in places.shards)

    def vectors(self, places: Places, engine: Engine = HERE) -> Vectors:
        """The vectors in one or more places, unit rows: in memory up to ``HELD_BYTES``; beyond that, and where an
        engine's workers are to read them, mapped.

        Raises WorkspaceError, naming the file, where the vectors of a shard are damaged.
        """
        names = places.shards
        shard, row = np.ascontiguousarray(places.entries["shard"]), places.entries["row"].astype(np.int64)
        dimension = self._mapped(names[0]).shape[1]
        if len(places) * dimension * 4 > HELD_BYTES or engine is not HERE:
            arrays = [self._mapped(name, dimension) for name in names]
            return Vectors(arrays, shard, row, unit=True, engine=engine)
        held = np.empty((len(places), dimension), np.float32)
        order = np.argsort(shard, kind="stable")
        ends = np.searchsorted(shard, np.arange(len(names)), side="right", sorter=order)
        for name, rows in zip(names, np.split(order, ends[:-1]), strict=True):
            mapped = self._mapped(name, dimension)  # and closed: what is mapped counts as memory in use
            held[rows] = Vectors([mapped], np.zeros(len(rows), np.int32), row[rows], unit=True).matrix()
        return Vectors.of(held, unit=True)

    # Upkeep

    def verify(self) -> list[str]:
        """Names of the files of shards that cannot be read or are not what was written."""
        return [name for shard in self._shards() for name in shard.damaged()]

    def discard(self, names: Iterable[str]) -> None:
        """Remove shards, named by any of their files, so that their texts are encoded again when they are needed."""
        for name in dict.fromkeys(Path(name).stem for name in names):
            self._shard(name).remove()

    def collect(self, live: HashSet) -> Freed:
        """Remove shards without a ``live`` text; of those with less than half live, keep a copy of what is.

        Nothing is encoded again. Killed at any instant it leaves every live text with its vector, and the same call
        ends the work. Raises WorkspaceError, naming the file, for damaged keys, and for damage in what it would copy.
        """
        return self._keep(partial(_wanted, live))

    def would_free(self, live: HashSet) -> Freed:
        """What ``collect`` would do."""
        removed, rewritten, freed = 0, 0, sum(path.stat().st_size for path in self._leftovers())
        for shard in self._shards():
            keys = shard.read_keys()
            kept = _wanted(live, hashes_of(keys))
            if not kept.all():
                removed, rewritten = removed + (not kept.any()), rewritten + bool(kept.any())
                freed += shard.size() - shard.size_of(keys.filter(kept))
        return Freed(removed, rewritten, freed)

    def forget(self, hashes: Hashes) -> Freed:
        """Remove the vectors of some texts from every shard. As safe as ``collect``."""
        gone = HashSet.of(hashes)
        return self._keep(lambda stored: ~gone.holds(stored))

    def _keep(self, wanted: Callable[[Hashes], npt.NDArray[np.bool_]]) -> Freed:
        """Replace each shard of which not all is wanted, and remove what killed runs have left."""
        before, removed, rewritten = self._bytes(), 0, 0
        for shard in self._shards():
            keys = shard.read_keys()
            kept = wanted(hashes_of(keys))
            if kept.all():
                continue
            if kept.any():
                rewritten += 1
                self._copy(shard, keys, kept)
            else:
                removed += 1
            shard.remove()
        for path in self._leftovers():
            path.unlink(missing_ok=True)
        return Freed(removed, rewritten, before - self._bytes())

    def _copy(self, shard: Shard, keys: pl.DataFrame, kept: npt.NDArray[np.bool_]) -> None:
        """Write some rows of a shard as another."""
        if damaged := shard.damaged():  # which would get checksums of its own
            raise DamagedError(self.directory / damaged[0], "it is not what was written")
        some = keys.filter(kept)
        copy = self._shard(name_of(some))
        if not copy.manifest.exists() or copy.damaged():  # else a run that was killed has written it
            self._write(some, shard.read_vectors()[kept])

    def _write(self, keys: pl.DataFrame, vectors: Matrix | Half) -> str:
        self.directory.mkdir(parents=True, exist_ok=True)
        shard = self._shard(name_of(keys))
        shard.write(keys, vectors)
        return shard.name

    def _shards(self) -> list[Shard]:
        return [self._shard(path.stem) for path in sorted(self.directory.glob("*.json"))]

    def _shard(self, name: str) -> Shard:
        return Shard(self.directory, name)

    def _mapped(self, name: str, dimension: int | None = None) -> Matrix | Half:
        shard = self._shard(name)
        mapped = shard.read_vectors()
        if dimension not in (None, mapped.shape[1]):
            raise DamagedError(shard.vectors, f"vectors of {mapped.shape[1]} components among those of {dimension}")
        return mapped

    def _leftovers(self) -> list[Path]:
        """Files of shards that never became complete or are half removed, and files half written."""
        files = [path for kind in ("*.npy", "*.parquet") for path in self.directory.glob(kind)]
        return [path for path in files if not path.with_suffix(".json").exists()] + list(self.directory.glob(".*.part"))

    def _bytes(self) -> int:
        return sum(path.stat().st_size for path in self.directory.glob("*") if path.is_file())


def _wanted(live: HashSet, hashes: Hashes) -> npt.NDArray[np.bool_]:
    """Which texts of a shard stay: all, unless less than half of them are live."""
    used = live.holds(hashes)
    return used if used.mean() < LEAST_LIVE else np.ones(len(hashes), np.bool_)


def _entries(shard: int, keys: pl.DataFrame) -> tuple[Hashes, Entries]:
    """The hashes of a shard's texts, and what an index says of them."""
    entries = np.empty(len(keys), ENTRY)
    entries["shard"], entries["row"] = shard, np.arange(len(keys))
    entries["n_tokens"], entries["truncated"] = keys["n_tokens"].to_numpy(), keys["truncated"].to_numpy()
    return hashes_of(keys), entries
