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
from curator.vectors.rows import Rows, Vectors

SHARD_ROWS = 4096  # about ten seconds of encoding on two cores: what a kill can cost


@dataclass(frozen=True)
class Embedded:
    """Vectors of some texts, and what the encoder could not read of them."""

    vectors: Vectors
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
            return Embedded(
                Vectors.of(np.empty((0, encoder.dimension), np.float32), unit=True), none, none.astype(np.bool_)
            )
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
        return self._lookup(hashes, index, encoder.dimension)

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

    def _lookup(self, hashes: Hashes, index: Index, dimension: int) -> Embedded:
        places = index.find(hashes)
        if gone := int((places < 0).sum()):
            raise WorkspaceError(f"{self.directory}: {gone:,} texts have no vector; embed again")
        arrays = [np.load(self.directory / f"{name}.npy", mmap_mode="r") for name in self._shards()]
        return Embedded(
            Vectors(
                arrays or [np.empty((0, dimension), np.float32)],
                index.shard[places],
                index.row[places].astype(np.int64),
                unit=True,
            ),
            index.n_tokens[places],
            index.truncated[places],
        )

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
