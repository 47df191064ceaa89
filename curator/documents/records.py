"""The nouns of reading: what a person asks for, what a format gives, what comes out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

if TYPE_CHECKING:  # optional packages: only ever recognised, never needed
    import datasets
    import pandas

RESERVED = frozenset(  # what SQL, verdicts and candidates call their own columns
    [
        "corpus",
        "embedding",
        "n_tokens",
        "score",
        "rank",
        "keep",
        "weight",
        "rule",
        "threshold",
        "partner_id",
        "partner_corpus",
        "reason",
        "source_label",
        "serves",
        "previous_score",
    ]
)
READER = 1  # to be raised with every change to what reading makes of a file: what was read before is then read again
REJECT_COLUMNS = {"file": pl.String, "line": pl.Int64, "reason": pl.String, "excerpt": pl.String}
ROWS = 65_536  # rows in a batch, at most
BYTES = 64 << 20  # bytes of a file that make a batch full before it has that many rows
EXCERPT = 80  # characters of the offending line shown in a reject

Origin: TypeAlias = (
    "str | Path | Sequence[str | Path] | pl.DataFrame | pa.Table | pandas.DataFrame | datasets.Dataset"
    " | datasets.DatasetDict"
)


@dataclass(frozen=True)
class Columns:
    """What the columns are called in the file. None: ``id``, ``text`` and ``label`` where present."""

    id: str | None = None
    text: str | None = None
    label: str | None = None

    @property
    def roles(self) -> dict[str, str]:
        """Role of a document's field → name of the column that fills it."""
        return {
            "text": self.text or "text",
            "id": self.id or "id",
            "label": self.label or "label",
            "source": "source",
            "split": "split",
        }

    @property
    def required(self) -> dict[str, str]:
        """The roles whose column some file must have: the text, and whatever was asked for by name."""
        asked = {"text": True, "id": self.id is not None, "label": self.label is not None}
        return {role: name for role, name in self.roles.items() if asked.get(role)}


class Reject(NamedTuple):
    """A row, or the rest of a file, that is not a document. ``line`` is 1-based; a row number for tables."""

    file: str
    line: int | None
    reason: str
    excerpt: str = ""


def reject_table(rejects: Sequence[Reject]) -> pl.DataFrame:
    """Rejects as a table with ``REJECT_COLUMNS``."""
    columns = zip(*rejects, strict=True) if rejects else [()] * len(REJECT_COLUMNS)
    return pl.DataFrame(dict(zip(REJECT_COLUMNS, columns, strict=True)), REJECT_COLUMNS)


class Mark(NamedTuple):
    """A place in a source at which reading can go on, counted from its beginning."""

    rows: int = 0  # used up, rejected ones included
    lines: int = 0
    bytes: int = 0  # of the content, decompressed


START = Mark()


@dataclass(frozen=True)
class Chunk:
    """Rows as a format gives them, before anything is known of documents.

    ``lines`` and ``index`` belong to the rows of ``frame``: the 1-based line or row in the file, and the
    0-based place among the ``rows`` that the chunk used up, rejected ones included. ``end`` is where the next chunk
    begins, where the format can begin there.
    """

    frame: pl.DataFrame
    lines: pl.Series
    index: pl.Series
    rows: int
    rejects: tuple[Reject, ...] = ()
    renamed: tuple[str, ...] = ()
    end: Mark | None = None


@dataclass(frozen=True)
class Source:
    """One thing with rows: a file, a split, a frame. ``name`` is the left part of the ids it gives out.

    ``header`` yields sets of column names, as many as it takes to have named all; ``chunks`` yields the rows from a
    mark on. ``files`` are those it is read from; none for what was in memory or on the hub.
    """

    file: str
    name: str
    header: Callable[[], Iterator[Iterable[str]]]
    chunks: Callable[[Mark], Iterator[Chunk]]
    split: str | None = None
    files: tuple[Path, ...] = ()


Key: TypeAlias = tuple[str, str, tuple[tuple[str, int, int], ...], Mark]
"""File and name of a source, the stamp of its files, and where in it a piece begins."""


@dataclass(frozen=True)
class Piece:
    """Of what a batch was made, so that it can be known again in a later run, and reading go on after it.

    ``stamp`` has the size and the time of each file of the source; ``end`` is None where the source ends. ``lines``
    are those of the documents, as runs of (first, how many); ``names`` what the file's other columns are called here.
    """

    file: str
    name: str
    stamp: tuple[tuple[str, int, int], ...]
    start: Mark
    end: Mark | None
    rows: int
    lines: tuple[tuple[int, int], ...]
    names: dict[str, str]
    duplicates: bool  # some of its rows were rejected for an id that stood before

    @property
    def documents(self) -> int:
        return sum(count for _, count in self.lines)

    def line_numbers(self) -> npt.NDArray[np.int64]:
        """The line of each document."""
        return np.concatenate(
            [np.empty(0, np.int64), *(np.arange(first, first + count) for first, count in self.lines)]
        )

    @property
    def key(self) -> Key:
        """What the same piece has in common from run to run."""
        return self.file, self.name, self.stamp, self.start

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Piece":
        """What ``to_json`` gave, after a way through JSON."""
        pairs = {name: tuple(tuple(row) for row in values[name]) for name in ("stamp", "lines")}
        end = values["end"] and Mark(*values["end"])
        return cls(**{**values, **pairs, "start": Mark(*values["start"]), "end": end})


def runs(numbers: npt.NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as runs of (first, how many)."""
    starts = np.flatnonzero(np.diff(numbers, prepend=-1) != 1)
    return tuple(zip(numbers[starts].tolist(), np.diff(starts, append=len(numbers)).tolist(), strict=True))


class Kept(Protocol):
    """A batch that an earlier run wrote."""

    @property
    def pieces(self) -> tuple[Piece, ...]: ...
    @property
    def renamed(self) -> tuple[str, ...]: ...
    @property
    def is_closed(self) -> bool: ...
    @property
    def following(self) -> Key | None: ...
    def ids(self) -> pl.Series: ...
    def follows(self, other: "Kept | None") -> bool:
        """Whether it came right after another, or first, in the run that wrote it."""


@dataclass(frozen=True)
class Batch:
    """At most 65,536 documents, what was rejected on the way, and the file's columns that got another name.

    ``frame`` has ``id, text, label, source, split``, then the file's other columns, then ``_row``. The other
    columns, and their types in JSONL, are those of this batch: batches of one corpus may differ in them. Of a batch
    that was ``kept`` from an earlier run there is no frame. ``is_closed`` if whatever comes next would not change it;
    else it is what it is because of what is ``following``, None at the end.
    """

    frame: pl.DataFrame
    rejects: tuple[Reject, ...]
    renamed: tuple[str, ...]
    pieces: tuple[Piece, ...]
    is_closed: bool = True
    following: Key | None = None
    kept: Kept | None = None

    @property
    def documents(self) -> int:
        return sum(piece.documents for piece in self.pieces)

    @property
    def rows(self) -> int:
        """Rows used up, rejected ones included."""
        return sum(piece.rows for piece in self.pieces)


@dataclass
class Rows:
    """The rows of a chunk while it is being filled from lines."""

    file: str
    renamed: tuple[str, ...] = ()
    values: list[Any] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    used: int = 0
    size: int = 0  # bytes

    @property
    def full(self) -> bool:
        return self.used >= ROWS or self.size >= BYTES

    def add(self, line: int, value: object, size: int) -> None:
        self.values.append(value)
        self.lines.append(line)
        self.index.append(self.used)
        self.used += 1
        self.size += size

    def reject(self, line: int | None, reason: str, raw: bytes = b"", file: str | None = None) -> None:
        excerpt = raw[: EXCERPT * 4].decode("utf8", "replace").strip()[:EXCERPT]
        self.rejects.append(Reject(file or self.file, line, reason, excerpt))
        self.used += 1

    def break_off(self, line: int, error: Exception) -> None:
        """The rest of the file cannot be read, and nobody knows how many rows it has: it uses up none."""
        self.rejects.append(Reject(self.file, line, f"the file cannot be read from here on: {error}"))

    def chunk(self, frame: pl.DataFrame, end: Mark | None = None) -> Chunk:
        lines = pl.Series("line", self.lines, dtype=pl.Int64)
        index = pl.Series("index", self.index, dtype=pl.Int64)
        return Chunk(frame, lines, index, self.used, tuple(self.rejects), self.renamed, end)


def no_documents(rows: int, rejects: Sequence[Reject]) -> Chunk:
    """A chunk that used up ``rows`` rows of which none can become a document."""
    none = pl.Series(dtype=pl.Int64)
    return Chunk(pl.DataFrame(), none, none, rows, tuple(rejects))


def unique(names: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Names without repetition, and those that had to change: a second ``a`` becomes ``a_``."""
    taken, result, renamed = set(names), list[str](), list[str]()
    for name in names:
        new = name
        while new in result or (new != name and new in taken):
            new += "_"
        if new != name:
            renamed.append(name)
        result.append(new)
    return result, tuple(renamed)
