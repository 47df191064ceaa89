"""Rows → documents: which column is what, who may keep an id, and why the others are set aside."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.documents.records import EXCERPT, RESERVED, Batch, Chunk, Kept, Mark, Piece, Reject, Source, runs
from curator.documents.values import strings

Stamp = tuple[tuple[str, int, int], ...]
FIELDS = ("id", "text", "label", "source", "split")


class Holders:
    """Where each id was first seen. 16 bytes an id: its hash (64 bits) and its place, in sorted runs that double."""

    def __init__(self) -> None:
        self._files: list[str] = []
        self._runs: list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]] = []

    def claim(self, ids: pl.Series, file: str, lines: pl.Series) -> list[str | None]:
        """Per id the place that had it before, as ``file:line``, or None where it is now taken by this row."""
        if not self._files or self._files[-1] != file:
            self._files.append(file)
        places = lines.to_numpy().astype(np.int64) + (len(self._files) - 1 << 40)
        hashes, first, inverse = np.unique(ids.hash(0).to_numpy(), return_index=True, return_inverse=True)
        holder = places[first]
        fresh = np.ones(len(hashes), dtype=np.bool_)
        for known, where in self._runs:
            at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            hit = known[at] == hashes
            holder[hit] = where[at[hit]]
            fresh &= ~hit
        self._keep(hashes[fresh], holder[fresh])
        return [None if own == held else self._words(held) for own, held in zip(places, holder[inverse], strict=True)]

    def _keep(self, hashes: npt.NDArray[np.uint64], places: npt.NDArray[np.int64]) -> None:
        while self._runs and len(self._runs[-1][0]) <= 2 * len(hashes):
            older = self._runs.pop()
            hashes, places = np.concatenate([older[0], hashes]), np.concatenate([older[1], places])
            order = np.argsort(hashes, kind="stable")
            hashes, places = hashes[order], places[order]
        if len(hashes):
            self._runs.append((hashes, places))

    def _words(self, place: np.int64) -> str:
        return f"{self._files[int(place) >> 40]}:{int(place) & (1 << 40) - 1}"


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
            if any(self.holders.claim(own, piece.file, pl.Series(piece.line_numbers()))):
                return False
        self.names.update(names)
        return True


def shape(chunk: Chunk, source: Source, stamp: Stamp, mark: Mark, row: int, to: Target) -> Batch:
    """Documents of a chunk that begins at a mark of its source and whose first row is row ``row`` of the origin.

    It must have the text column.
    """
    frame = chunk.frame
    roles = {role: name for role, name in to.roles.items() if name in frame.columns}
    if source.split is not None:
        roles.pop("split", None)
    given = {role: frame[name] for role, name in roles.items()}
    values = {role: strings(series).alias(role) for role, series in given.items()}
    others, renamed = _others(frame.drop(set(roles.values())), to.names)
    documents = _fields(values, chunk.lines, source, to.corpus).hstack(others)
    documents = documents.with_columns((chunk.index + row).alias("_row"))
    reasons = _reasons(given, values)
    rejects = _rejected(documents, reasons, chunk.lines, source.file)
    good = reasons.is_null()
    documents, lines = documents.filter(good), chunk.lines.filter(good)
    held = to.holders.claim(documents["id"], source.file, lines)
    if any(held):
        earlier = pl.Series(held, dtype=pl.String)
        words = pl.format("duplicate id '{}', first at {}", "id", "earlier")
        said = documents.select("id", earlier=earlier).select(words).to_series()
        rejects += _rejected(documents, said, lines, source.file)
        documents, lines = documents.filter(earlier.is_null()), lines.filter(earlier.is_null())
    rejects = sorted((*chunk.rejects, *rejects), key=lambda reject: reject.line or 0)
    names = {name: to.names[name] for name in frame.columns if name not in roles.values()}
    piece = Piece(
        source.file, source.name, stamp, mark, chunk.end, chunk.rows, runs(lines.to_numpy()), names, any(held)
    )
    return Batch(documents, tuple(rejects), (*chunk.renamed, *renamed), (piece,))


def _fields(values: dict[str, pl.Series], lines: pl.Series, source: Source, corpus: str) -> pl.DataFrame:
    """The five columns of a document. An empty id, label, source or split is none."""
    columns = [
        values.get(role, pl.repeat(None, len(lines), dtype=pl.String, eager=True).alias(role)) for role in FIELDS
    ]
    filled = {role: pl.when(pl.col(role).str.strip_chars() != "").then(pl.col(role)) for role in FIELDS}
    return pl.DataFrame([*columns, lines.alias("_line")]).select(
        pl.coalesce(filled["id"], pl.lit(f"{source.name}:") + pl.col("_line").cast(pl.String)).alias("id"),
        pl.col("text"),
        filled["label"].alias("label"),
        pl.coalesce(filled["source"], pl.lit(corpus)).alias("source"),
        (filled["split"] if source.split is None else pl.lit(source.split)).alias("split"),
    )


def _reasons(given: dict[str, pl.Series], values: dict[str, pl.Series]) -> pl.Series:
    """Why each row is no document, null where it is one."""
    text = pl.col("text")
    checks = [
        pl.when(pl.col(f"{role} bad")).then(pl.lit(_unfit(role, series.dtype)))
        for role, series in given.items()
        if series.dtype.is_nested() or series.dtype == pl.Binary
    ]
    checks.append(pl.when(text.is_null()).then(pl.lit("no text")))
    checks.append(pl.when(text.str.strip_chars() == "").then(pl.lit("empty text")))
    bad = [(given[role].is_not_null() & values[role].is_null()).alias(f"{role} bad") for role in given]
    return pl.DataFrame([values["text"], *bad]).select(pl.coalesce(checks).alias("reason")).to_series()


def _unfit(role: str, kind: pl.DataType) -> str:
    if kind == pl.Binary:
        return f"bad UTF-8 in the {role}"
    return f"{role} is a {str(kind.base_type()).lower()}, not a single value"


def _rejected(documents: pl.DataFrame, reasons: pl.Series, lines: pl.Series, file: str) -> list[Reject]:
    told = pl.DataFrame([lines.alias("line"), reasons.alias("reason"), documents["text"].str.head(EXCERPT)])
    told = told.filter(pl.col("reason").is_not_null())
    return [Reject(file, line, reason, (text or "").strip()) for line, reason, text in told.iter_rows()]


def _others(frame: pl.DataFrame, known: dict[str, str]) -> tuple[pl.DataFrame, list[str]]:
    """The file's other columns, under names that are free in SQL (which ignores case), the same in every batch."""
    known.update(_named(frame.columns, known))
    texts = [pl.col(name).cast(pl.String) for name, kind in frame.schema.items() if kind in (pl.Categorical, pl.Enum)]
    renamed = [name for name in frame.columns if known[name] != name]
    return frame.with_columns(texts).rename({name: known[name] for name in frame.columns}), renamed


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
