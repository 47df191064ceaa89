"""An origin → batches of documents."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Protocol

import polars as pl

from curator.documents.gather import Gatherer, is_small
from curator.documents.lines import csv_chunks, csv_header, json_chunks, json_header
from curator.documents.places import Place, entries, is_hub, names, places
from curator.documents.records import START, Batch, Chunk, Columns, Kept, Key, Mark, Origin, Reject, Rows, Source
from curator.documents.shape import Raw, Stamp, Target
from curator.documents.tables import (
    dataset_sources,
    frame_source,
    hub_sources,
    parquet_chunks,
    parquet_header,
    saved_sources,
)
from curator.errors import DataError, UsageError

_AS_NAMED = Columns()


class Earlier(Protocol):
    """What earlier runs wrote, by the key of its piece."""

    def get(self, key: Key, /) -> Kept | None: ...


_NOTHING: dict[Key, Kept] = {}


def read(
    origin: Origin,
    *,
    corpus: str,
    columns: Columns = _AS_NAMED,
    base: Path | None = None,
    earlier: Earlier = _NOTHING,
    only: slice = slice(None),
) -> Iterator[Batch]:
    """The documents of an origin in batches of at most 65,536, in order, with what was rejected.

    What ``earlier`` has of a file that has not changed since is not read again, as long as that gives the same
    documents: reading goes on where it ends. With ``only`` some of the sources, numbered as ``firsts`` does, are read
    as if there were no others.

    ``origin``: a path, a glob, a directory, several of these; a polars, Arrow or pandas frame; a Hugging Face
    dataset or ``hf://owner/name[/config][#split]``. Every row uses up one ``_row``, rejected or not, except where
    a compressed or unreadable file breaks off and the rest cannot be counted.
    Raises DataError (before the first batch) where there is nothing to read or no file has a column that is needed,
    UsageError for an origin of another type, MissingExtraError where the datasets library is needed.
    """
    sources = _sources(origin, corpus, columns, base)
    _check(sources, columns)
    return _batches(sources[only], corpus, columns, earlier)


def firsts(origin: Origin, *, corpus: str, columns: Columns = _AS_NAMED, base: Path | None = None) -> list[Key]:
    """The key of the first piece of each source of an origin, in order; its stamp has the files, none of a frame."""
    sources = _sources(origin, corpus, columns, base)
    return [(source.file, source.name, _stamp(source.files), START) for source in sources]


def _sources(origin: Origin, corpus: str, columns: Columns, base: Path | None) -> list[Source]:
    frame = frame_source(origin, corpus, columns)
    if frame:
        return [frame]
    given = dataset_sources(origin, corpus)
    if given is not None:
        return given
    parts = entries(origin)
    if not parts:
        raise UsageError(
            f"cannot read documents from {type(origin).__name__}: give paths, a polars, Arrow or pandas frame, "
            "or a Hugging Face dataset"
        )
    found: dict[object, Place | str] = {}  # a file that two patterns match is read once
    for part in parts:
        for place in [str(part)] if is_hub(part) else places(part, base):
            found.setdefault(place if isinstance(place, str) else place.path, place)
    return _path_sources(list(found.values()), columns)


def _path_sources(found: Sequence[Place | str], columns: Columns) -> list[Source]:
    called = names([place for place in found if isinstance(place, Place)])
    sources: list[Source] = []
    for is_text, group in groupby(found, key=lambda place: isinstance(place, Place) and place.format == "txt"):
        if is_text:
            texts = [(place.path, called[place.path]) for place in group if isinstance(place, Place)]
            sources.append(_text_source(texts, columns))
        else:
            for place in group:
                sources += (
                    _source(place, called[place.path], columns) if isinstance(place, Place) else hub_sources(place)
                )
    return sources


def _source(place: Place, name: str, columns: Columns) -> list[Source]:
    path = place.path
    if place.format == "dataset":
        return saved_sources(path)
    if place.format == "parquet":
        readers = partial(parquet_header, path), partial(parquet_chunks, path)
    elif place.format == "jsonl":
        readers = partial(json_header, path), partial(json_chunks, path, columns)
    else:
        delimiter = "\t" if place.format == "tsv" else ","
        readers = partial(csv_header, path, delimiter), partial(csv_chunks, path, delimiter)
    return [Source(str(path), name, *readers, files=(path,))]


def _text_source(texts: Sequence[tuple[Path, str]], columns: Columns) -> Source:
    """Files that are one document each, together one source. Their columns are called whatever was asked for."""
    header = [columns.roles["id"], columns.roles["text"]]
    file = str(texts[0][0] if len(texts) == 1 else texts[0][0].parent)
    files = tuple(path for path, _ in texts)
    return Source(
        file, file, lambda: iter([header]), lambda start: _text_chunks(file, texts, header, start), files=files
    )


def _text_chunks(file: str, texts: Sequence[tuple[Path, str]], header: Sequence[str], start: Mark) -> Iterator[Chunk]:
    def chunk(rows: Rows, end: int) -> Chunk:
        return rows.chunk(pl.DataFrame(rows.values, dict.fromkeys(header, pl.String), orient="row"), Mark(rows=end))

    rows = Rows(file)
    for number, (path, name) in enumerate(texts[start.rows :], start.rows + 1):
        try:
            raw = path.read_bytes()
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            rows.reject(None, f"bad UTF-8 at byte {error.start + 1}", raw, file=str(path))
        except OSError as error:
            rows.reject(None, f"cannot be read: {error}", file=str(path))
        else:
            if text.strip():
                rows.add(number, (name, text), len(raw))
            else:
                rows.reject(None, "empty text", file=str(path))
        if rows.full:
            yield chunk(rows, number)
            rows = Rows(file)
    yield chunk(rows, len(texts))


def _check(sources: Sequence[Source], columns: Columns) -> None:
    """Every column that is needed must be in some source. The first rows nearly always tell; else all are read."""
    missing, there = columns.required, dict[str, None]()
    for depth in (1, None):
        for source in sources:
            for found in islice(source.header(), depth):
                present = set(found)
                missing = {role: name for role, name in missing.items() if name not in present}
                if not missing:
                    return
                if len(there) < 100:
                    there.update(dict.fromkeys(found))
    if there:
        role, name = next(iter(missing.items()))
        where = sources[0].file if len(sources) == 1 else f"{sources[0].file} and {len(sources) - 1:,} more"
        raise DataError(
            f"{where}: no column {name!r}; there are: {', '.join(there)}. "
            f"Say which of them holds the {role}, for example {role} = {next(iter(there))!r}"
        )


def _batches(sources: Sequence[Source], corpus: str, columns: Columns, earlier: Earlier) -> Iterator[Batch]:
    target = Target(corpus, columns.roles)
    gatherer = Gatherer(target)
    keys = [(source.file, source.name, _stamp(source.files)) for source in sources]
    at, mark, row = 0, START, 0
    last: Kept | None = None
    unbroken = True  # all so far was kept, and is all that the run had written that far
    while at < len(sources):
        kept = earlier.get((*keys[at], mark)) if keys[at][2] else None
        if kept is not None:
            yield from gatherer.settle()
        if kept is not None and gatherer and is_small(kept.pieces[0]):
            kept = None  # what is held would be put together with it
        after = _after(kept, keys, at, mark) if kept is not None else None
        if kept is not None and after is not None:
            unbroken = unbroken and kept.follows(last)
            if target.admits(kept, unbroken=unbroken):
                yield from gatherer.release(kept.pieces[0].key)
                yield Batch(pl.DataFrame(), (), kept.renamed, kept.pieces, kept.is_closed, kept.following, kept)
                row += sum(piece.rows for piece in kept.pieces)
                last, (at, mark) = kept, after
                continue
        unbroken = False
        for chunk in sources[at].chunks(mark):
            usable = _with_text(chunk, sources[at], target.roles["text"])
            yield from gatherer.take(Raw(usable, sources[at], keys[at][2], mark, row))
            row, mark = row + chunk.rows, chunk.end or mark
        at, mark = at + 1, START
    yield from gatherer.release(None)


def _after(kept: Kept, keys: Sequence[tuple[str, str, Stamp]], at: int, mark: Mark) -> tuple[int, Mark] | None:
    """The source and the mark after all pieces of a batch; None where others are there now, or follow."""
    for piece in kept.pieces:
        if at == len(keys) or (*keys[at], mark) != piece.key:
            return None
        at, mark = (at + 1, START) if piece.end is None else (at, piece.end)
    following = (*keys[at], mark) if at < len(keys) else None
    return (at, mark) if kept.is_closed or following == kept.following else None


def _stamp(files: Iterable[Path]) -> Stamp:
    """What tells that files are what they were."""
    return tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in ((path, path.stat()) for path in files))


def _with_text(chunk: Chunk, source: Source, text: str) -> Chunk:
    """A chunk that has the column with the texts: one that lacks it has no row that could be a document."""
    if text in chunk.frame.columns:
        return chunk
    lacking = [Reject(source.file, None, f'no column "{text}"; {len(chunk.lines):,} rows')] if len(chunk.lines) else []
    none = pl.Series(dtype=pl.Int64)
    frame = pl.DataFrame(schema={text: pl.String})
    return replace(chunk, frame=frame, lines=none, index=none, rejects=(*chunk.rejects, *lacking))
