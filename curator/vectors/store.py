"""The store of vectors on disk: a directory of shards, one vector per distinct text.

A shard is written once and whole: ``<name>.npy`` (n, d) float32, ``<name>.parquet`` (the hash, token count and
truncation of each text) and, written last, ``<name>.json`` with their checksums. A shard without its ``.json`` does
not exist. Its name is a hash of the texts it holds, and its vectors are a function of those texts alone, so an
interrupted run continues at the shard in flight and ends in the same bytes.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl

from curator.files import sha256, write_bytes, write_json, write_npy
from curator.vectors.encoder import Encoded, Encoder, encode_all
from curator.vectors.hashes import Hashes, Index, Texts, distinct, taken, text_hash
from curator.vectors.places import ENTRY, Entries, Places
from curator.vectors.rows import Matrix, Rows, Vectors

SHARD_ROWS = 4096  # about ten seconds of encoding on two cores: what a kill can cost
HELD_BYTES = 2 << 30  # vectors that are read into memory together; more are left to the operating system, mapped


class VectorStore:
    """All vectors made by one encoder with one set of settings: one per distinct text."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def index(self) -> Index:
        """What it holds now. It must be written to by one process at a time, with an index read since it may."""
        index = Index()
        names = sorted(path.stem for path in self.directory.glob("*.json"))
        if names:
            frames = [pl.read_parquet(self.directory / f"{name}.parquet") for name in names]
            parts = [_entries(number, frame) for number, frame in enumerate(frames)]
            index.add(names, np.concatenate([hashes for hashes, _ in parts]), np.concatenate([e for _, e in parts]))
        return index

    def place(
        self,
        texts: Texts,
        rows: Rows,
        encoder: Encoder,
        index: Index,
        progress: Callable[[int], None] | None = None,
    ) -> Places:
        """Where the vectors of the ``texts`` at ``rows`` are; what ``index`` lacks is encoded and added to it."""
        hashes = text_hash(texts, rows)
        missing = distinct(hashes, ~index.find(hashes)[1])
        parts = [missing[start : start + SHARD_ROWS] for start in range(0, len(missing), SHARD_ROWS)]
        with closing(encode_all(encoder, (taken(texts, rows[part]) for part in parts), progress)) as encoded:
            for part, of_part in zip(parts, encoded, strict=True):
                self._write_shard(hashes[part], of_part, index)
        entries, _ = index.find(hashes)
        used, shard = np.unique(entries["shard"], return_inverse=True)
        entries["shard"] = shard
        return Places(tuple(index.shards[number] for number in used), entries)

    def missing(self, parts: Iterable[tuple[Texts, Rows]], index: Index) -> int:
        """How many distinct texts of several parts, each at some rows, are not in the index."""
        hashes = (text_hash(texts, rows) for texts, rows in parts)
        # Half of a hash will do to count: two texts that share one are not to be expected below a billion.
        new = [np.empty(0, np.uint64), *(part[~index.find(part)[1], 0] for part in hashes)]
        return len(np.unique(np.concatenate(new)))

    def truncated(self, parts: Iterable[tuple[Texts, Rows]], index: Index) -> int:
        """How many of the texts that are in the index were cut by the encoder."""
        return sum(int(index.find(text_hash(texts, rows))[0]["truncated"].sum()) for texts, rows in parts)

    def holds(self, places: Places) -> bool:
        """Whether the shards that these places name are there."""
        return all((self.directory / f"{name}.json").exists() for name in places.shards)

    def vectors(self, places: Places) -> Vectors:
        """The vectors in one or more places, unit rows: in memory up to ``HELD_BYTES``, beyond that mapped."""
        names = places.shards
        shard, row = np.ascontiguousarray(places.entries["shard"]), places.entries["row"].astype(np.int64)
        dimension = int(self._shard(names[0]).shape[1])
        if len(places) * dimension * 4 > HELD_BYTES:
            return Vectors(list(map(self._shard, names)), shard, row, unit=True)
        held = np.empty((len(places), dimension), np.float32)
        order = np.argsort(shard, kind="stable")
        ends = np.searchsorted(shard, np.arange(len(names)), side="right", sorter=order)
        for name, rows in zip(names, np.split(order, ends[:-1]), strict=True):
            held[rows] = self._shard(name)[row[rows]]  # and closed: what is mapped counts as memory in use
        return Vectors.of(held, unit=True)

    def _shard(self, name: str) -> Matrix:
        mapped: Matrix = np.load(self.directory / f"{name}.npy", mmap_mode="r")
        return mapped

    def verify(self) -> list[str]:
        """Names of the shards whose bytes are not those that were written."""
        damaged = []
        for manifest in sorted(self.directory.glob("*.json")):
            for name, checksum in json.loads(manifest.read_text("utf8"))["sha256"].items():
                path = self.directory / name
                if not path.exists() or sha256(path) != checksum:
                    damaged.append(name)
        return damaged

    def _write_shard(self, hashes: Hashes, encoded: Encoded, index: Index) -> None:
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
            {"rows": len(hashes), "sha256": {path.name: sha256(path) for path in (vectors, keys)}},
        )
        index.add([name], *_entries(0, columns))


def _entries(shard: int, keys: pl.DataFrame) -> tuple[Hashes, Entries]:
    """The hashes of a shard's texts, and what an index says of them."""
    entries = np.empty(len(keys), ENTRY)
    entries["shard"], entries["row"] = shard, np.arange(len(keys))
    entries["n_tokens"], entries["truncated"] = keys["n_tokens"].to_numpy(), keys["truncated"].to_numpy()
    return np.frombuffer(b"".join(keys["hash"].to_list()), np.uint64).reshape(-1, 2), entries
