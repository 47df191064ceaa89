"""A relation: documents and, where they have them, their vectors, row by row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator.vectors import Vectors


class Relation:
    """A frame of documents and the vectors that belong to its rows.

    Vectors may be given as a function: they are then made (embedded, or read) when something first asks for them.
    """

    def __init__(
        self, frame: pl.DataFrame, vectors: Vectors | None = None, *, load: Callable[[], Vectors] | None = None
    ) -> None:
        self.frame = frame
        self._vectors = vectors
        self._load = load
        if vectors is not None:
            self._checked(vectors)

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"Relation({len(self):,} rows: {', '.join(self.frame.columns)}; {self._vectors or 'no vectors yet'})"

    @property
    def can_embed(self) -> bool:
        """It has vectors or can make them."""
        return self._vectors is not None or self._load is not None

    @property
    def is_embedded(self) -> bool:
        """Its vectors are at hand."""
        return self._vectors is not None

    @property
    def vectors(self) -> Vectors:
        """One vector per row. Raises ValueError where there can be none."""
        if self._vectors is None:
            if self._load is None:
                raise ValueError("this relation has no vectors")
            self._vectors = self._checked(self._load())
        return self._vectors

    def take(self, rows: npt.ArrayLike) -> "Relation":
        """The given rows in the given order."""
        index = np.asarray(rows, dtype=np.int64)
        frame = self.frame[index]
        if self._vectors is not None:
            return Relation(frame, self._vectors.take(index))
        return Relation(frame, load=(lambda: self.vectors.take(index)) if self._load else None)

    def with_frame(self, frame: pl.DataFrame) -> "Relation":
        """Other columns for the same rows."""
        return Relation(frame, self._vectors, load=(lambda: self.vectors) if self._load else None)

    def arrow(self, *, embedding: bool) -> pa.Table:
        """As an Arrow table; ``embedding`` adds the vectors as a column ``embedding FLOAT[d]``."""
        table: pa.Table = self.frame.to_arrow(compat_level=pl.CompatLevel.newest())
        return table.append_column("embedding", vector_column(self.vectors)) if embedding else table

    def _checked(self, vectors: Vectors) -> Vectors:
        if len(vectors) != len(self.frame):
            raise ValueError(f"{len(self.frame):,} documents but {len(vectors):,} vectors")
        return vectors


def vector_column(vectors: Vectors) -> pa.ChunkedArray:
    """Vectors as an Arrow column of fixed-size lists, without a copy where they lie in one piece."""
    kind = pa.list_(pa.float32(), vectors.dimension)
    chunks = [
        pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), vectors.dimension)
        for _, block in vectors.blocks(65_536)
    ]
    return pa.chunked_array(chunks, type=kind)


def matrix_of(column: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The vectors of an Arrow column of fixed-size lists, and the rows that have one (the others are NULL).

    Returns (m, d) float32 and (m,) int64. Raises ValueError when it is not a column of vectors.
    """
    kind = column.type
    if not (pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type)):
        raise ValueError(f"a column of type {kind} holds no vectors of a fixed length; cast it to FLOAT[n]")
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    rows = np.flatnonzero(np.asarray(array.is_valid()))
    values = array.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), kind.list_size)
    return np.ascontiguousarray(values, dtype=np.float32), rows.astype(np.int64)
