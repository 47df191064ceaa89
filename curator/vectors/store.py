"""The store of vectors on disk: a directory of shards, one vector per distinct text.

A shard is written once and whole: ``<name>.npy`` (n, d) float32, ``<name>.parquet`` (the hash, token count and
truncation of each text) and, written last, ``<name>.json`` with their checksums. A shard without its ``.json`` does
not exist. Its name is a hash of the texts it holds, and its vectors are a function of those texts alone, so an
interrupted run continues at the shard in flight and ends in the same bytes.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.errors import WorkspaceError
from curator.files import sha256, write_bytes, write_json, write_npy
from curator.vectors.encoder import Encoder
from curator.vectors.hashes import Hashes, Index, Texts, distinct, taken, text_hash
from curator.vectors.places import Places
from curator.vectors.rows import Matrix, Rows, Vectors

SHARD_ROWS = 4096  # about ten seconds of encoding on two cores: what a kill can cost
HELD_BYTES = 2 << 30  # vectors that are read into memory together; more are left to the operating system, mapped


@dataclass(frozen=True)
class Embedded:
    """Vectors of some texts, and what the encoder could not read of them."""

    vectors: Vectors
    places: Places
    n_tokens: npt.NDArray[np.int32]  # (n,) tokens of each whole text
    truncated: npt.NDArray[np.bool_]  # (n,) the text was cut


class VectorStore:
    """All vectors made by one encoder with one set of settings: one per distinct text."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def embed(
        self,
        texts: Texts,
        encoder: Encoder,
        *,
        rows: Rows | None = None,
        progress: Callable[[int], None] | None = None,
        writing: Callable[[int], AbstractContextManager[object]] = nullcontext,
    ) -> Embedded:
        """Vectors of ``texts``, or of those at ``rows``, in their order; what the store lacks is encoded first.

        ``writing`` is called with the number of distinct texts to encode, if there are some, and held meanwhile.
        """
        rows = np.arange(len(texts)) if rows is None else rows
        if not len(rows):
            none = np.empty(0, np.int32)
            vectors = Vectors.of(np.empty((0, encoder.dimension), np.float32), unit=True)
            return Embedded(vectors, Places((), none, none), none, none.astype(np.bool_))
        hashes = text_hash(texts, rows)
        index = self._index()
        new = len(distinct(hashes, index.find(hashes) < 0))
        if new:
            with writing(new):
                # Read again, since others may have written.
                missing = distinct(hashes, self._index().find(hashes) < 0)
                for start in range(0, len(missing), SHARD_ROWS):
                    part = missing[start : start + SHARD_ROWS]
                    self._write_shard(taken(texts, rows[part]), hashes[part], encoder, progress)
            index = self._index()
        return self._lookup(hashes, index)

    def holds(self, places: Places) -> bool:
        """Whether the shards that these places name are there."""
        return all((self.directory / f"{name}.json").exists() for name in places.shards)

    def vectors(self, places: Places) -> Vectors:
        """The vectors in one or more places, unit rows: in memory up to ``HELD_BYTES``, beyond that mapped."""
        names = places.shards
        dimension = int(self._shard(names[0]).shape[1])
        if len(places) * dimension * 4 > HELD_BYTES:
            return Vectors(list(map(self._shard, names)), places.shard, places.row.astype(np.int64), unit=True)
        held = np.empty((len(places), dimension), np.float32)
        order = np.argsort(places.shard, kind="stable")
        ends = np.searchsorted(places.shard, np.arange(len(names)), side="right", sorter=order)
        for name, rows in zip(names, np.split(order, ends[:-1]), strict=True):
            held[rows] = self._shard(name)[places.row[rows]]  # and closed: what is mapped counts as memory in use
        return Vectors.of(held, unit=True)

    def _shard(self, name: str) -> Matrix:
        mapped: Matrix = np.load(self.directory / f"{name}.npy", mmap_mode="r")
        return mapped

    def missing(self, texts: Texts) -> int:
        """How many distinct texts have no vector yet."""
        hashes = text_hash(texts)
        return len(distinct(hashes, self._index().find(hashes) < 0))

    def truncated(self, texts: Texts) -> int:
        """How many of the texts with a vector were cut by the encoder."""
        index = self._index()
        places = index.find(text_hash(texts))
        return int(index.truncated[places[places >= 0]].sum())

    def verify(self) -> list[str]:
        """Names of the shards whose bytes are not those that were written."""
        damaged = []
        for manifest in sorted(self.directory.glob("*.json")):
            for name, checksum in json.loads(manifest.read_text("utf8"))["sha256"].items():
                path = self.directory / name
                if not path.exists() or sha256(path) != checksum:
                    damaged.append(name)
        return damaged

    def _shards(self) -> list[str]:
        return sorted(path.stem for path in self.directory.glob("*.json"))

    def _index(self) -> Index:
        frames = [pl.read_parquet(self.directory / f"{name}.parquet") for name in self._shards()]
        rows = [len(frame) for frame in frames]
        none = pl.DataFrame(schema={"hash": pl.Binary, "n_tokens": pl.Int32, "truncated": pl.Boolean})
        whole = pl.concat([none, *frames])
        hashes = [np.frombuffer(b"".join(frame["hash"].to_list()), np.uint64).reshape(-1, 2) for frame in frames]
        return Index(
            np.concatenate([np.empty((0, 2), np.uint64), *hashes]),
            np.repeat(np.arange(len(rows), dtype=np.int32), rows),
            np.concatenate([np.empty(0, np.int32), *(np.arange(n, dtype=np.int32) for n in rows)]),
            whole["n_tokens"].to_numpy(),
            whole["truncated"].to_numpy(),
        )

    def _lookup(self, hashes: Hashes, index: Index) -> Embedded:
        found = index.find(hashes)
        if gone := int((found < 0).sum()):
            raise WorkspaceError(f"{self.directory}: {gone:,} texts have no vector; embed again")
        used, shard = np.unique(index.shard[found], return_inverse=True)
        names = self._shards()
        places = Places(tuple(names[number] for number in used), shard.astype(np.int32), index.row[found])
        return Embedded(self.vectors(places), places, index.n_tokens[found], index.truncated[found])

    def _write_shard(
        self, texts: list[str], hashes: Hashes, encoder: Encoder, progress: Callable[[int], None] | None
    ) -> None:
        encoded = encoder.encode(texts, progress=progress)
        name = hashlib.sha256(hashes.tobytes()).hexdigest()[:16]
        self.directory.mkdir(parents=True, exist_ok=True)
        vectors, keys = self.directory / f"{name}.npy", self.directory / f"{name}.parquet"
        write_npy(vectors, encoded.vectors)
        columns = pl.DataFrame(
            [
                pl.Series("hash", [row.tobytes() for row in hashes], dtype=pl.Binary),
                pl.Series("n_tokens", encoded.n_tokens, dtype=pl.Int32),
                pl.Series("truncated", encoded.truncated, dtype=pl.Boolean),
            ]
        )
        write_bytes(keys, columns.write_parquet)
        write_json(
            self.directory / f"{name}.json",
            {"rows": len(texts), "sha256": {path.name: sha256(path) for path in (vectors, keys)}},
        )
