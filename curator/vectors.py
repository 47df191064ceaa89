"""Vectors: rows of float32 in memory or on disk, and the store that keeps one per text.

A store is a directory of shards, each written once and whole: ``<name>.npy`` (n, d) float32, ``<name>.parquet``
(the hash, token count and truncation of each text) and, written last, ``<name>.json`` with their checksums. A
shard without its ``.json`` does not exist. Its name is a hash of the texts it holds, and its vectors are a
function of those texts alone, so an interrupted run continues at the shard in flight and ends in the same bytes.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.errors import WorkspaceError
from curator.files import sha256, write_bytes, write_json, write_npy

SHARD_ROWS = 4096  # about ten seconds of encoding on two cores: what a kill can cost
HASH_ROWS = 8192  # texts that are Python objects at a time while a column of them is hashed

Matrix = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]  # (n, 2): the 16 bytes of each hash
Texts = Sequence[str] | pl.Series
"""Texts in memory; a column is read without making a list of it."""


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
        runs = np.flatnonzero((np.diff(array) != 0) | (np.diff(row) != 1)) + 1
        if len(runs) < len(row) // 8:  # rows that lie side by side are copied together
            for first, end in itertools.pairwise([0, *runs.tolist(), len(row)]):
                out[first:end] = self._arrays[array[first]][row[first] : row[first] + end - first]
            return out
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


def text_hash(texts: Texts, rows: Rows | None = None) -> Hashes:
    """128-bit BLAKE2b of each text, or of those at ``rows``."""
    rows = np.arange(len(texts)) if rows is None else rows
    hashes = np.empty((len(rows), 2), np.uint64)
    for start in range(0, len(rows), HASH_ROWS):
        encoded = [text.encode("utf8", "surrogatepass") for text in _taken(texts, rows[start : start + HASH_ROWS])]
        digests = b"".join(hashlib.blake2b(text, digest_size=16).digest() for text in encoded)
        hashes[start : start + HASH_ROWS] = np.frombuffer(digests, np.uint64).reshape(-1, 2)
    return hashes


def _taken(texts: Texts, rows: Rows) -> list[str]:
    return texts[rows].to_list() if isinstance(texts, pl.Series) else [texts[row] for row in rows.tolist()]


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
        new = len(_distinct(hashes, index.find(hashes) < 0))
        if new:
            with writing(new):
                # Read again, since others may have written.
                missing = _distinct(hashes, self._index().find(hashes) < 0)
                for start in range(0, len(missing), SHARD_ROWS):
                    part = missing[start : start + SHARD_ROWS]
                    self._write_shard(_taken(texts, rows[part]), hashes[part], encoder, progress)
            index = self._index()
        return self._lookup(hashes, index, encoder.dimension)

    def missing(self, texts: Texts) -> int:
        """How many distinct texts have no vector yet."""
        hashes = text_hash(texts)
        return len(_distinct(hashes, self._index().find(hashes) < 0))

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

    def _index(self) -> "_Index":
        frames = [pl.read_parquet(self.directory / f"{name}.parquet") for name in self._shards()]
        rows = [len(frame) for frame in frames]
        none = pl.DataFrame(schema={"hash": pl.Binary, "n_tokens": pl.Int32, "truncated": pl.Boolean})
        whole = pl.concat([none, *frames])
        hashes = [np.frombuffer(b"".join(frame["hash"].to_list()), np.uint64).reshape(-1, 2) for frame in frames]
        return _Index(
            np.concatenate([np.empty((0, 2), np.uint64), *hashes]),
            np.repeat(np.arange(len(rows), dtype=np.int32), rows),
            np.concatenate([np.empty(0, np.int32), *(np.arange(n, dtype=np.int32) for n in rows)]),
            whole["n_tokens"].to_numpy(),
            whole["truncated"].to_numpy(),
        )

    def _lookup(self, hashes: Hashes, index: "_Index", dimension: int) -> Embedded:
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


@dataclass(frozen=True)
class _Index:
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


def _distinct(hashes: Hashes, among: npt.NDArray[np.bool_]) -> Rows:
    """Rows of the first of each hash, in order."""
    rows = np.flatnonzero(among)
    first = pl.DataFrame({"one": hashes[rows, 0], "two": hashes[rows, 1]}).with_row_index("at")
    kept: Rows = rows[first.unique(["one", "two"], keep="first", maintain_order=True)["at"].to_numpy()]
    return kept
