"""A relation: documents and, where they have them, their vectors, row by row; each read when it is needed."""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator.engines import HERE, Engine
from curator.vectors import Rows, Vectors

Load = Callable[[Rows], Vectors]
"""The vectors of some rows of a relation, made (embedded, or read) when they are first asked for."""

Count = Callable[[Rows], npt.NDArray[np.int32]]
"""Tokens of the whole texts of some rows of a relation, (n,); what is not yet embedded is embedded first."""

EmbedQuery = Callable[[str], npt.NDArray[np.float32]]
"""The vector of a query text, (d,), to be compared with a relation's. Raises UsageError where there can be none."""

EMBEDDING, N_TOKENS = "embedding", "n_tokens"
DERIVED = frozenset({EMBEDDING, N_TOKENS})
"""Columns that are made when a query names them: vectors, and how many tokens their encoder counted in each text."""


class Documents:
    """The columns of some documents, each read when it is first asked for, and then kept.

    ``read`` gives the columns of some names, ``rows`` rows of each.
    """

    def __init__(self, schema: pl.Schema, rows: int, read: Callable[[list[str]], pl.DataFrame]) -> None:
        self.schema = schema
        self._rows = rows
        self._read = read
        self._known: dict[str, pl.Series] = {}

    @classmethod
    def of(cls, frame: pl.DataFrame) -> "Documents":
        """Those of a frame in memory."""
        return cls(frame.schema, len(frame), frame.select)

    def __len__(self) -> int:
        return self._rows

    def select(self, columns: Iterable[str]) -> pl.DataFrame:
        """Some of the columns, in the order asked."""
        columns = list(columns)
        missing = [name for name in columns if name not in self._known]
        if missing:
            self._known |= self._read(missing).to_dict()
        return pl.DataFrame([self._known[name] for name in columns])

    def take(self, rows: Rows) -> "Documents":
        """The given rows in the given order."""
        return Documents(self.schema, len(rows), lambda columns: self.select(columns)[rows])

    def numbered(self, name: str) -> "Documents":
        """With the numbers of the rows, from 0, as another column."""

        def read(columns: list[str]) -> pl.DataFrame:
            numbers = pl.Series(name, np.arange(len(self)))
            found = self.select(column for column in columns if column != name).to_dict()
            return pl.DataFrame([found.get(column, numbers) for column in columns])

        return Documents(pl.Schema({name: pl.Int64(), **self.schema}), len(self), read)


class Relation:
    """Documents and the vectors that belong to them, row by row; both may be read or made only when needed.

    A whole corpus also has ``home``, a directory for what is derived from this version of it, such as an index, and
    ``vectors_key``, which names the encoder of its vectors.
    """

    def __init__(
        self,
        documents: pl.DataFrame | Documents,
        vectors: Vectors | None = None,
        *,
        load: Load | None = None,
        count_tokens: Count | None = None,
        embed_query: EmbedQuery | None = None,
        home: Path | None = None,
        vectors_key: str | Callable[[], str] = "",
        engine: Engine = HERE,
    ) -> None:
        self._documents = documents if isinstance(documents, Documents) else Documents.of(documents)
        self.count_tokens = count_tokens  # None where curator did not embed the texts
        self.embed_query = embed_query
        self.home = home
        self._vectors_key = vectors_key  # a function where finding out takes a while
        self.engine = engine  # whose workers may read its texts, where there are many
        self.part_of: tuple[Relation, Rows] | None = None  # a corpus, and which of its rows these are, in their order
        self.brings_vectors = vectors is not None  # they are part of the data, and so of ``SELECT *``
        self._load = load
        self._vectors = None if vectors is None else self._checked(vectors)

    def __len__(self) -> int:
        return len(self._documents)

    def __repr__(self) -> str:
        return f"Relation({len(self):,} rows: {', '.join(self.columns)}; {self._vectors or 'no vectors yet'})"

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return self._documents.schema.names()

    @property
    def frame(self) -> pl.DataFrame:
        """All its columns."""
        return self.select(self.columns)

    def select(self, columns: Iterable[str]) -> pl.DataFrame:
        """Some of its columns, in the order asked; no other is read."""
        return self._documents.select(columns)

    @property
    def vectors_key(self) -> str:
        return self._vectors_key if isinstance(self._vectors_key, str) else self._vectors_key()

    @property
    def derived(self) -> frozenset[str]:
        """The columns that it can make; a column of its own by such a name takes the place of one."""
        made = ([EMBEDDING] if self.can_embed else []) + ([N_TOKENS] if self.count_tokens else [])
        return frozenset(made).difference(map(str.lower, self.columns))

    def seen(self, named: AbstractSet[str], *, starred: bool) -> frozenset[str]:
        """The derived columns in a query that names some; with ``*``, vectors that were brought are seen as well."""
        brought = {EMBEDDING} if starred and self.brings_vectors else set[str]()
        return self.derived & (named | brought)

    @property
    def can_embed(self) -> bool:
        """It has vectors or can make them."""
        return self._vectors is not None or self._load is not None

    @property
    def vectors(self) -> Vectors:
        """One vector per row. Raises ValueError where there can be none."""
        if self._vectors is None:
            self._vectors = self._checked(self.vectors_of(np.arange(len(self), dtype=np.int64)))
        return self._vectors

    @property
    def dimension(self) -> int:
        """Components of a vector, without making one. Raises ValueError where there can be none."""
        vectors = self.vectors_of(np.empty(0, np.int64)) if self._vectors is None else self._vectors
        return vectors.dimension

    def vectors_of(self, rows: Rows) -> Vectors:
        """The vectors of some rows; only theirs are made. Raises ValueError where there can be none."""
        if self._vectors is not None:
            return self._vectors.take(rows)
        if self._load is None:
            raise ValueError("this relation has no vectors")
        return self._load(rows)

    def take(self, rows: npt.ArrayLike) -> "Relation":
        """The given rows in the given order."""
        index = np.asarray(rows, dtype=np.int64)
        load = (lambda inner: self.vectors_of(index[inner])) if self.can_embed else None
        count = self.count_tokens
        counted = None if count is None else (lambda inner: count(index[inner]))
        taken = self._like(Relation(self._documents.take(index), load=load, count_tokens=counted))
        taken.part_of = self._part(index)
        return taken

    def of_its_corpus(self, other: "Relation") -> "Relation":
        """Another form of the same rows, which then is known to be of this one's corpus."""
        other.engine = self.engine
        other.part_of = self._part(np.arange(len(self), dtype=np.int64))
        return other

    def _part(self, index: Rows) -> "tuple[Relation, Rows] | None":
        if (self.home is None and self.part_of is None) or (np.diff(index) <= 0).any():
            return None
        corpus, rows = (self, None) if self.part_of is None else self.part_of
        return corpus, index if rows is None else rows[index]

    def with_frame(self, frame: pl.DataFrame) -> "Relation":
        """Other columns for the same rows."""
        return self.of_its_corpus(self._like(self._over(Documents.of(frame))))

    def numbered(self, name: str) -> "Relation":
        """With the numbers of the rows, from 0, as another column."""
        return self._like(self._over(self._documents.numbered(name)))

    def _over(self, documents: Documents) -> "Relation":
        load = self.vectors_of if self.can_embed else None
        return Relation(documents, load=load, count_tokens=self.count_tokens)

    def _like(self, other: "Relation") -> "Relation":
        other.brings_vectors = self.brings_vectors
        other.embed_query = self.embed_query
        other.engine = self.engine
        return other

    @classmethod
    def concat(cls, parts: Sequence["Relation"], frame: pl.DataFrame) -> "Relation":
        """Several in order as one, with ``frame`` as their documents. All must be able to have vectors.

        Tokens are counted where they are in every one.
        """
        offsets = np.cumsum([0, *(len(part) for part in parts)])
        counts = [part.count_tokens for part in parts if part.count_tokens is not None]

        def apart(rows: Rows) -> tuple[list[tuple[int, Rows]], Rows]:
            """The rows of each part in its own numbers, and how to put what is found for them in order again."""
            owner = np.searchsorted(offsets, rows, side="right") - 1
            pieces = [(int(number), rows[owner == number] - offsets[number]) for number in np.unique(owner)]
            return pieces or [(0, rows)], np.argsort(np.argsort(owner, kind="stable"), kind="stable")

        def load(rows: Rows) -> Vectors:
            pieces, back = apart(rows)
            return Vectors.concat([parts[number].vectors_of(own) for number, own in pieces]).take(back)

        def count(rows: Rows) -> npt.NDArray[np.int32]:
            pieces, back = apart(rows)
            return np.concatenate([counts[number](own) for number, own in pieces])[back]

        whole = cls(frame, load=load, count_tokens=count if len(counts) == len(parts) else None)
        whole.engine = next((part.engine for part in parts if part.engine is not HERE), HERE)
        return parts[0].of_its_corpus(whole) if len(parts) == 1 else whole

    def arrow(self, columns: Iterable[str] | None = None, *, derived: AbstractSet[str] = frozenset()) -> pa.Table:
        """As an Arrow table, of some columns or of all, and those ``derived`` that are asked for.

        ``n_tokens`` is an INTEGER, ``embedding`` a ``FLOAT[d]``.
        """
        frame = self.frame if columns is None else self.select(columns)
        table: pa.Table = frame.to_arrow(compat_level=pl.CompatLevel.newest())
        if N_TOKENS in derived and self.count_tokens:
            table = table.append_column(N_TOKENS, pa.array(self.count_tokens(np.arange(len(self), dtype=np.int64))))
        return table.append_column(EMBEDDING, vector_column(self.vectors)) if EMBEDDING in derived else table

    def empty(self, *, derived: AbstractSet[str] = frozenset()) -> pa.Table:
        """The columns of ``arrow`` without a row."""
        table: pa.Table = self._documents.schema.to_frame().to_arrow(compat_level=pl.CompatLevel.newest())
        if N_TOKENS in derived:
            table = table.append_column(N_TOKENS, pa.array([], pa.int32()))
        if EMBEDDING not in derived:
            return table
        return table.append_column(EMBEDDING, vector_column(Vectors.of(np.empty((0, self.dimension), np.float32))))

    def _checked(self, vectors: Vectors) -> Vectors:
        if len(vectors) != len(self):
            raise ValueError(f"{len(self):,} documents but {len(vectors):,} vectors")
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
    if kind.value_type != pa.float32():
        raise ValueError(f"vectors of {kind.value_type} would be compared in single precision; cast them to FLOAT[n]")
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    rows = np.flatnonzero(np.asarray(array.is_valid()))
    values = array.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), kind.list_size)
    return np.ascontiguousarray(values, dtype=np.float32), rows.astype(np.int64)
