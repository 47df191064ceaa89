"""Tables: Parquet files, frames and Hugging Face datasets → rows, column by column."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from curator.documents.records import (
    BYTES,
    ROWS,
    START,
    Chunk,
    Columns,
    Mark,
    Reject,
    Source,
    no_documents,
    unique,
)
from curator.documents.values import arrow_column, as_text, column, is_several
from curator.errors import DataError, MissingExtraError, UsageError

HUB = "hf://"
_SAVED = (("dataset_dict.json",), ("dataset_info.json", "state.json"))  # of several splits, of one


def parquet_header(path: Path) -> Iterator[Iterable[str]]:
    """The column names of a Parquet file, if it can be read."""
    try:
        names: list[str] = pq.read_schema(path).names
    except (pa.ArrowException, OSError):
        return
    yield names


def parquet_chunks(path: Path, start: Mark = START) -> Iterator[Chunk]:
    """The rows of a Parquet file; from the first page that cannot be read on they are one reject."""
    done, total = start.rows, 0
    try:
        with pq.ParquetFile(path) as file:
            total = file.metadata.num_rows
            size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
            for batch in _batches_of(file, done, max(1, min(ROWS, BYTES * total // max(size, 1)))):
                done += len(batch)
                end = Mark(rows=done) if done < total else None
                yield replace(_arrow_chunk(str(path), batch, done - len(batch)), end=end)
    except (pa.ArrowException, OSError) as error:
        lost = f"the last {total - done:,} of {total:,} rows" if total else "the file"
        reject = Reject(str(path), done + 1, f"{lost} cannot be read as Parquet: {error}")
        yield no_documents(total - done, [reject])


def _batches_of(file: Any, first: int, size: int) -> Iterator[Any]:
    """Tables of ``size`` rows from row ``first`` on; only the last, and the one before a damaged page, have less."""
    ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)])
    groups = np.flatnonzero(ends > first).tolist()
    if not groups:
        return
    skip = first - (int(ends[groups[0] - 1]) if groups[0] else 0)
    held, failure = file.schema_arrow.empty_table(), None
    try:
        for batch in file.iter_batches(batch_size=size, row_groups=groups):
            held = pa.concat_tables([held, pa.Table.from_batches([batch]).slice(skip)])
            skip = max(0, skip - len(batch))
            while len(held) >= size:
                yield held.slice(0, size)
                held = held.slice(size)
    except (pa.ArrowException, OSError) as error:
        failure = error
    if len(held):
        yield held
    if failure is not None:
        raise failure


def frame_source(origin: object, name: str, columns: Columns) -> Source | None:
    """A polars, Arrow or pandas frame as a source; None for anything else."""
    package = type(origin).__module__.partition(".")[0]
    if isinstance(origin, pl.DataFrame):
        return Source(name, name, lambda: iter([origin.columns]), lambda _: _polars_chunks(name, origin, columns))
    if isinstance(origin, pa.Table):
        return Source(name, name, lambda: iter([origin.column_names]), lambda _: _arrow_chunks(name, origin))
    if package == "pandas" and type(origin).__name__ == "DataFrame":
        frame: Any = origin
        if any(level is not None for level in frame.index.names):  # a named index is a column; a nameless one is not
            frame = frame.reset_index()
        names = [str(label) for label in frame.columns]
        return Source(name, name, lambda: iter([names]), lambda _: _pandas_chunks(name, frame, columns))
    return None


def dataset_sources(origin: object, name: str) -> list[Source] | None:
    """A Hugging Face dataset, or each split of a dictionary of them; None for anything else."""
    if type(origin).__module__.partition(".")[0] != "datasets":
        return None
    if isinstance(origin, Mapping):
        return [_dataset_source(dataset, name, str(split)) for split, dataset in origin.items()]
    return [_dataset_source(origin, name, None)]


def hub_sources(address: str) -> list[Source]:
    """``hf://owner/name``, ``hf://owner/name/config`` or either with ``#split``, through the datasets library."""
    path, _, split = address.removeprefix(HUB).partition("#")
    parts = path.strip("/").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise UsageError(
            f"{address!r} is not a dataset on the hub; write hf://owner/name or hf://owner/name/config#split"
        )
    name, config = "/".join(parts[:2]), parts[2] if len(parts) == 3 else None
    loaded = _loaded(address, "load_dataset", name, name=config, split=split or None)
    if split:
        return [_dataset_source(loaded, path, split)]
    return dataset_sources(loaded, path) or []


def saved_sources(path: Path) -> list[Source]:
    """A directory that ``save_to_disk`` of the datasets library wrote."""
    files = tuple(sorted(file for file in path.rglob("*") if file.is_file()))
    sources = dataset_sources(_loaded(str(path), "load_from_disk", str(path)), path.name) or []
    return [replace(source, files=files) for source in sources]


def is_saved_dataset(path: Path) -> bool:
    """Whether a directory holds a dataset of the datasets library."""
    return any(all((path / mark).is_file() for mark in marks) for marks in _SAVED)


def _loaded(origin: str, function: str, *args: object, **kwargs: object) -> object:
    try:
        import datasets
    except ImportError:
        raise MissingExtraError("datasets", "hub", f"reading {origin}") from None
    try:
        return getattr(datasets, function)(*args, **kwargs)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"{origin}: the datasets library cannot load it: {error}") from error


def _dataset_source(dataset: Any, name: str, split: str | None) -> Source:
    where = f"{name}/{split}" if split else name
    names: list[str] = dataset.column_names or list(next(iter(dataset), {}))
    return Source(where, where, lambda: iter([names]), lambda start: _dataset_chunks(where, dataset, start), split)


def _dataset_chunks(file: str, dataset: Any, start: Mark) -> Iterator[Chunk]:
    classes: dict[str, list[str]] = {
        name: feature.names
        for name, feature in (dataset.features or {}).items()
        if type(feature).__name__ == "ClassLabel"
    }
    done = start.rows
    rest = dataset.select(range(done, len(dataset))) if done else dataset
    for table in rest.with_format("arrow").iter(batch_size=ROWS):
        chunk = _arrow_chunk(file, table, done)
        named = [  # −1 is how datasets writes "no label"
            chunk.frame[name].replace_strict(dict(enumerate(names)), default=None, return_dtype=pl.String)
            for name, names in classes.items()
            if name in chunk.frame.columns
        ]
        done += len(table)
        yield replace(chunk, frame=chunk.frame.with_columns(named), end=Mark(rows=done))


def _polars_chunks(file: str, frame: pl.DataFrame, columns: Columns) -> Iterator[Chunk]:
    for start in range(0, frame.height, ROWS):
        part = frame.slice(start, ROWS)
        objects = {name: part[name].to_list() for name, kind in part.schema.items() if kind == pl.Object}
        yield _with_objects(file, start, part.get_columns(), objects, columns) if objects else _numbered(part, start)


def _arrow_chunks(file: str, table: Any) -> Iterator[Chunk]:
    for start in range(0, len(table), ROWS):
        yield _arrow_chunk(file, table.slice(start, ROWS), start)


def _arrow_chunk(file: str, batch: Any, start: int) -> Chunk:
    """A record batch or table as a chunk whose first row is the file's row ``start`` (0-based)."""
    names, renamed = unique(batch.schema.names)
    try:
        frame = pl.DataFrame([arrow_column(name, batch.column(i)) for i, name in enumerate(names)])
    except pa.ArrowInvalid as error:
        reject = Reject(file, start + 1, f"{len(batch):,} rows from here on cannot be read: {error}")
        return no_documents(len(batch), [reject])
    return _numbered(frame, start, renamed=renamed)


def _pandas_chunks(file: str, frame: Any, columns: Columns) -> Iterator[Chunk]:
    names, renamed = unique([str(label) for label in frame.columns])
    for start in range(0, len(frame), ROWS):
        part = frame.iloc[start : start + ROWS]
        series, objects = list[pl.Series](), dict[str, list[Any]]()
        for i, name in enumerate(names):
            try:
                series.append(arrow_column(name, pa.array(part.iloc[:, i], from_pandas=True)))
            except (pa.ArrowException, OverflowError, TypeError, ValueError):  # types that Arrow does not mix
                objects[name] = [_plain(value) for value in part.iloc[:, i]]
                series.append(pl.Series(name, dtype=pl.Null))
        yield replace(_with_objects(file, start, series, objects, columns), renamed=renamed)


def _with_objects(
    file: str, start: int, series: Iterable[pl.Series], objects: dict[str, list[Any]], columns: Columns
) -> Chunk:
    """A chunk of which some columns are Python objects; rows with values no column can hold are rejected."""
    roles = {name: role for role, name in columns.roles.items()}
    bad: dict[int, str] = {}
    for name, values in objects.items():
        for at, value in enumerate(values):
            if not _encodes(as_text(value) or ""):
                bad[at] = "a lone surrogate, which is no character"
            elif name in roles and isinstance(value, list | dict | tuple | set) and not is_several(roles[name], value):
                bad[at] = f"{roles[name]} is a {type(value).__name__}, not a single value"
    for name, values in objects.items():
        objects[name] = [None if at in bad else value for at, value in enumerate(values)]
    frame = pl.DataFrame([column(one.name, objects[one.name]) if one.name in objects else one for one in series])
    whole = _numbered(frame, start)
    keep = ~whole.index.is_in(sorted(bad))
    rejects = tuple(Reject(file, start + at + 1, reason) for at, reason in sorted(bad.items()))
    parts = whole.frame.filter(keep), whole.lines.filter(keep), whole.index.filter(keep)
    return Chunk(*parts, whole.rows, rejects)


def _plain(value: Any) -> Any:
    """A cell of a pandas column of objects, missing values (NaN, NA, NaT) as None."""
    if type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _numbered(frame: pl.DataFrame, start: int, renamed: tuple[str, ...] = ()) -> Chunk:
    index = pl.int_range(frame.height, eager=True).alias("index")
    return Chunk(frame, (index + (start + 1)).alias("line"), index, frame.height, (), renamed)
