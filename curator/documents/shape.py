"""Rows → documents: which column is what, who may keep an id, and why the others are set aside."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.documents.labels import kept_labels
from curator.documents.records import EXCERPT, RESERVED, Batch, Chunk, Kept, Mark, Piece, Reject, Source, runs
from curator.documents.values import strings

Places = npt.NDArray[np.int64]
Stamp = tuple[tuple[str, int, int], ...]
FIELDS = ("id", "text", "label", "source", "split")


class Holders:
    """Where each id was first seen. 16 bytes an id: its hash (64 bits) and its place, in sorted runs that double."""

    def __init__(self) -> None:
        self._files: list[str] = []
        self._runs: list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]] = []

    def places(self, file: str, lines: pl.Series) -> Places:
        """What ``claim`` wants to know of rows: on which lines of a file they are."""
        if not self._files or self._files[-1] != file:
            self._files.append(file)
        return lines.to_numpy().astype(np.int64) + (len(self._files) - 1 << 40)

    def claim(self, ids: pl.Series, places: Places) -> dict[int, str]:
        """The rows whose id another has, with its place, as ``file:line``. The other rows now have theirs."""
        hashes, first, inverse = np.unique(ids.hash(0).to_numpy(), return_index=True, return_inverse=True)
        holder = places[first]
        fresh = np.ones(len(hashes), dtype=np.bool_)
        for known, where in self._runs:
            at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            hit = known[at] == hashes
            holder[hit] = where[at[hit]]
            fresh &= ~hit
        self._keep(hashes[fresh], holder[fresh])
        held = holder[inverse]
        late = np.flatnonzero(held != places)
        return dict(zip(late.tolist(), map(self._words, held[late].tolist()), strict=True))

    def _keep(self, hashes: npt.NDArray[np.uint64], places: npt.NDArray[np.int64]) -> None:
        while self._runs and len(self._runs[-1][0]) <= 2 * len(hashes):
            older = self._runs.pop()
            hashes, places = np.concatenate([older[0], hashes]), np.concatenate([older[1], places])
            order = np.argsort(hashes, kind="stable")
            hashes, places = hashes[order], places[order]
        if len(hashes):
            self._runs.append((hashes, places))

    def _words(self, place: int) -> str:
        return f"{self._files[place >> 40]}:{place & (1 << 40) - 1}"


@dataclass(frozen=True)
class Target:
    """The corpus that documents are made for, and what it remembers from batch to batch."""

    corpus: str
    roles: dict[str, str]  # role → the file's column
    holders: Holders = field(default_factory=Holders)
    names: dict[str, str] = field(default_factory=dict)  # a file's other column → its name here

    def admits(self, kept: Kept, *, unbroken: bool) -> bool:
        """Whether an earlier batch is what reading its pieces again would give; its ids and columns are then taken.

        It is when all before it is as it was (``unbroken``), or when nothing in it hangs on what was before: no id
        and no column of it is another's, and no row was rejected for an id that may not be there any more.
        """
        ids, names, start = kept.ids(), dict(self.names), 0
        for piece in kept.pieces:
            names |= _named(piece.names, names)
            if not unbroken and (piece.duplicates or any(names[name] != new for name, new in piece.names.items())):
                return False
            own = ids.slice(start, piece.documents)
            start += piece.documents
            if self.holders.claim(own, self.holders.places(piece.file, pl.Series(piece.line_numbers()))):
                return False
        self.names.update(names)
        return True


@dataclass(frozen=True)
class Raw:
    """A chunk, where it begins in its source, and the number of its first row among those of the origin."""

    chunk: Chunk
    source: Source
    stamp: Stamp
    mark: Mark
    row: int

    @property
    def kind(self) -> tuple[list[tuple[str, pl.DataType]], str | None]:
        """What chunks have in common that are made into documents together."""
        return list(self.chunk.frame.schema.items()), self.source.split


@dataclass
class _Rows:
    """What may become documents, of several chunks, and what was rejected of each."""

    documents: pl.DataFrame
    lines: pl.Series
    of: pl.Series  # number of the chunk
    files: list[str]  # of each chunk
    rejects: list[list[Reject]]

    def spans(self) -> list[tuple[int, int]]:
        """The first row of each chunk, and how many it has."""
        numbers, of = np.arange(len(self.files)), self.of.to_numpy()
        starts, ends = np.searchsorted(of, numbers), np.searchsorted(of, numbers, side="right")
        return list(zip(starts.tolist(), (ends - starts).tolist(), strict=True))

    def set_aside(self, which: pl.Series, reasons: Iterable[str]) -> None:
        """Reject some rows, each for its reason."""
        texts = self.documents["text"].filter(which).str.head(EXCERPT).to_list()
        told = zip(self.of.filter(which).to_list(), self.lines.filter(which).to_list(), reasons, texts, strict=True)
        for number, line, reason, text in told:
            self.rejects[number].append(Reject(self.files[number], line, reason, (text or "").strip()))
        self.documents = self.documents.filter(~which)
        self.lines, self.of = self.lines.filter(~which), self.of.filter(~which)


def shape(raws: Sequence[Raw], to: Target) -> list[Batch]:
    """The documents of each of some chunks that are of one kind. They must have the text column.

    Small files are made into documents together: what polars does as a query takes longer than all rows of such a one.
    """
    columns = {column.name: column for column in pl.concat([raw.chunk.frame for raw in raws]).get_columns()}
    roles = {role: name for role, name in to.roles.items() if name in columns}
    if raws[0].source.split is not None:
        roles.pop("split", None)
    others, renamed = _others([columns[name] for name in columns if name not in roles.values()], to.names)
    names = {name: to.names[name] for name in columns if name not in roles.values()}
    lines = pl.concat([raw.chunk.lines for raw in raws])
    of = pl.Series(np.repeat(np.arange(len(raws)), [len(raw.chunk.lines) for raw in raws]))
    *fields, reasons = _fields({role: columns[name] for role, name in roles.items()}, lines, of, raws, to.corpus)
    row = pl.concat([raw.chunk.index + raw.row for raw in raws]).alias("_row")
    rejects = [list(raw.chunk.rejects) for raw in raws]
    rows = _Rows(pl.DataFrame([*fields, *others, row]), lines, of, [raw.source.file for raw in raws], rejects)
    if reasons.null_count() < len(reasons):
        rows.set_aside(reasons.is_not_null(), reasons.drop_nulls().to_list())
    late = _without_duplicates(rows, to.holders)
    batches = []
    for number, (raw, span) in enumerate(zip(raws, rows.spans(), strict=True)):
        own = runs(rows.lines.slice(*span).to_numpy())
        source, chunk, told = raw.source, raw.chunk, sorted(rejects[number], key=lambda reject: reject.line or 0)
        piece = Piece(source.file, source.name, raw.stamp, raw.mark, chunk.end, chunk.rows, own, names, number in late)
        documents = rows.documents.slice(*span)
        batches.append(Batch(documents, tuple(told), (*chunk.renamed, *renamed), (piece,)))
    return batches


def _without_duplicates(rows: _Rows, holders: Holders) -> set[int]:
    """Set aside what has an id that another has; returns the numbers of the chunks that had such."""
    spans = zip(rows.files, rows.spans(), strict=True)
    places = np.concatenate([holders.places(file, rows.lines.slice(*span)) for file, span in spans])
    held = holders.claim(rows.documents["id"], places)
    if not held:
        return set()
    late = pl.Series(np.isin(np.arange(len(places)), list(held)))
    of = set(rows.of.filter(late))
    said = zip(rows.documents["id"].filter(late).to_list(), held.values(), strict=True)
    rows.set_aside(late, [f"duplicate id '{name}', first at {earlier}" for name, earlier in said])
    return of


def _fields(
    given: Mapping[str, pl.Series], lines: pl.Series, of: pl.Series, raws: Sequence[Raw], corpus: str
) -> list[pl.Series]:
    """The five columns of a document, in which an empty id, label, source or split is none; then why each row is no
    document, null where it is one.
    """
    single = {role: kept_labels(series) if _is_list(role, series.dtype) else series for role, series in given.items()}
    values = {role: strings(series).alias(role) for role, series in single.items()}
    unfit = {role: series for role, series in single.items() if series.dtype.is_nested() or series.dtype == pl.Binary}
    bad = [(series.is_not_null() & values[role].is_null()).alias(f"{role} bad") for role, series in unfit.items()]
    names = pl.Series("_name", [f"{raw.source.name}:" for raw in raws], pl.String).gather(of)
    stripped = {role: pl.col(role).str.strip_chars() for role in values}
    filled = {role: pl.when(stripped[role] != "").then(pl.col(role)) for role in values}
    nothing, split = pl.lit(None, pl.String), raws[0].source.split
    selected = pl.DataFrame([*values.values(), lines.alias("_line"), names, *bad]).select(
        pl.coalesce(filled.get("id"), pl.col("_name") + pl.col("_line").cast(pl.String)).alias("id"),
        pl.col("text"),
        filled.get("label", nothing).alias("label"),
        pl.coalesce(filled.get("source"), pl.lit(corpus)).alias("source"),
        (filled.get("split", nothing) if split is None else pl.lit(split)).alias("split"),
        pl.coalesce(
            *[
                pl.when(pl.col(f"{role} bad")).then(pl.lit(_unfit(role, series.dtype)))
                for role, series in unfit.items()
            ],
            pl.when(pl.col("text").is_null()).then(pl.lit("no text")),
            pl.when(stripped["text"] == "").then(pl.lit("empty text")),
        ).alias("reason"),
    )
    return selected.get_columns()


def _is_list(role: str, kind: pl.DataType) -> bool:
    """Whether a column holds several labels a row, each a single value."""
    inner = kind.inner if role == "label" and isinstance(kind, pl.List | pl.Array) else None
    return inner is not None and not inner.is_nested() and inner != pl.Binary


def _unfit(role: str, kind: pl.DataType) -> str:
    if kind == pl.Binary:
        return f"bad UTF-8 in the {role}"
    return f"{role} is a {str(kind.base_type()).lower()}, not a single value"


def _others(columns: Iterable[pl.Series], known: dict[str, str]) -> tuple[list[pl.Series], list[str]]:
    """The file's other columns, under names that are free in SQL (which ignores case), the same in every batch."""
    own = {column.name: column for column in columns}
    known.update(_named(own, known))
    renamed = [name for name in own if known[name] != name]
    texts = {name: column.cast(pl.String) for name, column in own.items() if column.dtype in (pl.Categorical, pl.Enum)}
    return [texts.get(name, column).alias(known[name]) for name, column in own.items()], renamed


def _named(columns: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Names for those of the columns that have none yet."""
    ours = {*FIELDS, "_row", *RESERVED}
    names: dict[str, str] = {}
    for name in sorted(columns, key=lambda name: name.lower() in ours):  # a name that is free stays
        if name not in known:
            taken, new = ours | {other.lower() for other in (*known.values(), *names.values())}, name or "unnamed"
            while new.lower() in taken:
                new += "_"
            names[name] = new
    return names
