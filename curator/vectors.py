"""Vectors: rows of float32 in memory or on disk, and the store that keeps one per text.

A store is a directory of shards, each written once and whole: ``<name>.npy`` (n, d) float32, ``<name>.parquet``
(the hash, token count and truncation of each text) and, written last, ``<name>.json`` with their checksums. A
shard without its ``.json`` does not exist. Its name is a hash of the texts it holds, and its vectors are a
function of those texts alone, so an interrupted run continues at the shard in flight and ends in the same bytes.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.errors import WorkspaceError
from curator.files import sha256, write_bytes, write_json, write_npy

SHARD_ROWS = 4096  # about ten seconds of encoding on two cores: what a kill can cost

Matrix = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class Vectors:
    """Rows of float32 vectors by position, gathered from arrays that may lie on disk.

    ``len(vectors)`` rows of ``dimension`` components. Nothing is copied until a block is read; a run of rows that
    lie side by side in one array is a view of it.
    """

    def __init__(self, arrays: Sequence[Matrix], array: npt.NDArray[np.int32], row: Rows, *, unit: bool) -> None:
        self._arrays = tuple(arrays)
        self._array = array
        self._row = row
        self.is_unit = unit  # rows have length one (or zero), by construction

    @classmethod
    def of(cls, matrix: npt.ArrayLike, *, unit: bool = False) -> Self:
        """Wrap an (n, d) array. Raises ValueError for another shape."""
        array = np.ascontiguousarray(matrix, dtype=np.float32)
        if array.ndim != 2:
            raise ValueError(f"vectors must be an (n, d) array, not of shape {array.shape}")
        n = len(array)
        return cls([array], np.zeros(n, np.int32), np.arange(n, dtype=np.int64), unit=unit)

    @classmethod
    def concat(cls, parts: Sequence["Vectors"]) -> Self:
        """Several in order as one. Raises ValueError when their dimensions differ or there is none."""
        dimensions = {part.dimension for part in parts}
        if len(dimensions) != 1:
            raise ValueError(f"cannot put vectors of dimensions {sorted(dimensions)} together")
        offsets = np.cumsum([0, *(len(part._arrays) for part in parts)])
        return cls(
            [array for part in parts for array in part._arrays],
            np.concatenate(
                [part._array + offset for part, offset in zip(parts, offsets, strict=False)], dtype=np.int32
            ),
            np.concatenate([part._row for part in parts]),
            unit=all(part.is_unit for part in parts),
        )

    def __len__(self) -> int:
        return len(self._row)

    def __repr__(self) -> str:
        return f"Vectors({len(self):,} × {self.dimension}{', unit rows' if self.is_unit else ''})"

    @property
    def dimension(self) -> int:
        return int(self._arrays[0].shape[1])

    def take(self, rows: npt.ArrayLike) -> "Vectors":
        """The given rows, in the given order, without reading them."""
        index = np.asarray(rows, dtype=np.int64)
        return Vectors(self._arrays, self._array[index], self._row[index], unit=self.is_unit)

    def block(self, start: int, stop: int) -> Matrix:
        """Rows ``start:stop`` as (m, d) float32, C-contiguous. A view where they lie side by side."""
        array, row = self._array[start:stop], self._row[start:stop]
        if not len(row):
            return np.empty((0, self.dimension), np.float32)
        if array[0] == array[-1] and row[-1] - row[0] == len(row) - 1 and _ascending(array, row):
            return np.ascontiguousarray(self._arrays[array[0]][row[0] : row[-1] + 1])
        out = np.empty((len(row), self.dimension), np.float32)
        for number in np.unique(array):
            here = array == number
            out[here] = self._arrays[number][row[here]]
        return out

    def blocks(self, size: int) -> Iterator[tuple[int, Matrix]]:
        """All rows in order as (first position, block of at most ``size`` rows).

        Blocks end where an array ends if it is long enough, so that they can be views.
        """
        ends = np.append(np.flatnonzero(np.diff(self._array)) + 1, len(self))
        start = 0
        while start < len(self):
            stop = min(start + size, len(self))
            inside = ends[(ends > start + size // 2) & (ends <= stop)]
            stop = int(inside[-1]) if len(inside) else stop
            yield start, self.block(start, stop)
            start = stop

    def matrix(self) -> Matrix:
        """Everything in memory, (n, d) float32."""
        return self.block(0, len(self))

    def unit(self) -> "Vectors":
        """The same directions with length one (a zero row stays zero). Reads everything unless already so."""
        if self.is_unit:
            return self
        matrix = self.matrix()
        length = np.linalg.norm(matrix, axis=1, keepdims=True)
        return Vectors.of(np.divide(matrix, length, out=np.zeros_like(matrix), where=length > 0), unit=True)


def _ascending(array: npt.NDArray[np.int32], row: Rows) -> bool:
    return bool((array == array[0]).all() and (np.diff(row) == 1).all())


def text_hash(texts: Sequence[str]) -> pl.Series:
    """128-bit BLAKE2b of each text, as Binary."""
    return pl.Series(
        [hashlib.blake2b(text.encode("utf8", "surrogatepass"), digest_size=16).digest() for text in texts],
        dtype=pl.Binary,
    )


@dataclass(frozen=True)
class Encoded:
    """What an encoder returns for n texts: vectors, and how much of each text it read.

    ``vectors``: (n, d) float32, unit rows; ``n_tokens``: (n,) int32, tokens of each whole text; ``truncated``:
    (n,) bool, something of the text did not reach the model.
    """

    vectors: Matrix
    n_tokens: npt.NDArray[np.int32]
    truncated: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        lengths = (len(self.vectors), len(self.n_tokens), len(self.truncated))
        if self.vectors.ndim != 2 or len(set(lengths)) != 1:
            raise ValueError(
                f"vectors of shape {self.vectors.shape} with {lengths[1]} token counts and {lengths[2]} flags"
            )


class Encoder(Protocol):
    """Texts to vectors: the part that a person may replace by their own."""

    @property
    def key(self) -> str:
        """Names the vectors: model, weights, settings and precision. Safe as a file name."""

    @property
    def dimension(self) -> int:
        """Components of a vector."""

    def encode(
        self, texts: Sequence[str], *, query: bool = False, progress: Callable[[int], None] | None = None
    ) -> Encoded:
        """Vectors of ``texts`` in their order, a function of these texts alone."""


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
        self, texts: Sequence[str], encoder: Encoder, *, progress: Callable[[int], None] | None = None
    ) -> Embedded:
        """Vectors of ``texts`` in their order; those not yet in the store are encoded first, a shard at a time."""
        if not texts:
            none = np.empty(0, np.int32)
            return Embedded(
                Vectors.of(np.empty((0, encoder.dimension), np.float32), unit=True), none, none.astype(np.bool_)
            )
        hashes = text_hash(texts)
        known = self._index()
        missing = (
            pl.DataFrame({"hash": hashes, "text": texts}, schema_overrides={"text": pl.String})
            .unique("hash", keep="first", maintain_order=True)
            .join(known, on="hash", how="anti", maintain_order="left")
        )
        for start in range(0, len(missing), SHARD_ROWS):
            self._write_shard(missing.slice(start, SHARD_ROWS), encoder, progress)
        return self._lookup(hashes, self._index() if len(missing) else known, encoder.dimension)

    def missing(self, texts: Sequence[str]) -> int:
        """How many distinct texts have no vector yet."""
        wanted = pl.DataFrame({"hash": text_hash(texts)}).unique("hash")
        return len(wanted.join(self._index(), on="hash", how="anti"))

    def truncated(self, texts: Sequence[str]) -> int:
        """How many of the texts with a vector were cut by the encoder."""
        found = pl.DataFrame({"hash": text_hash(texts)}).join(self._index(), on="hash", how="inner")
        return int(found["truncated"].sum())

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

    def _index(self) -> pl.DataFrame:
        """hash, shard, row, n_tokens, truncated of every stored text."""
        frames = [
            pl.read_parquet(self.directory / f"{name}.parquet")
            .with_row_index("row")
            .with_columns(pl.lit(number, pl.Int32).alias("shard"))
            for number, name in enumerate(self._shards())
        ]
        schema = {"row": pl.UInt32, "hash": pl.Binary, "n_tokens": pl.Int32, "truncated": pl.Boolean, "shard": pl.Int32}
        return pl.concat([pl.DataFrame(schema=schema), *frames]).unique("hash", keep="first", maintain_order=True)

    def _lookup(self, hashes: pl.Series, index: pl.DataFrame, dimension: int) -> Embedded:
        found = pl.DataFrame({"hash": hashes}).join(index, on="hash", how="left", maintain_order="left")
        if found["row"].null_count():
            raise WorkspaceError(f"{self.directory}: {found['row'].null_count():,} texts have no vector; embed again")
        names = self._shards()
        arrays = [np.load(self.directory / f"{name}.npy", mmap_mode="r") for name in names]
        return Embedded(
            Vectors(
                arrays or [np.empty((0, dimension), np.float32)],
                found["shard"].to_numpy(),
                found["row"].cast(pl.Int64).to_numpy(),
                unit=True,
            ),
            found["n_tokens"].to_numpy(),
            found["truncated"].to_numpy(),
        )

    def _write_shard(self, texts: pl.DataFrame, encoder: Encoder, progress: Callable[[int], None] | None) -> None:
        encoded = encoder.encode(texts["text"].to_list(), progress=progress)
        name = hashlib.sha256(b"".join(texts["hash"].to_list())).hexdigest()[:16]
        self.directory.mkdir(parents=True, exist_ok=True)
        vectors, keys = self.directory / f"{name}.npy", self.directory / f"{name}.parquet"
        write_npy(vectors, encoded.vectors)
        columns = texts.select("hash").with_columns(
            pl.Series("n_tokens", encoded.n_tokens, dtype=pl.Int32),
            pl.Series("truncated", encoded.truncated, dtype=pl.Boolean),
        )
        write_bytes(keys, columns.write_parquet)
        write_json(
            self.directory / f"{name}.json",
            {"rows": len(texts), "sha256": {path.name: sha256(path) for path in (vectors, keys)}},
        )
