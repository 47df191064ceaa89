"""Rows as text and as files: CSV, JSON lines and Parquet."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import polars as pl

from curator.errors import UsageError
from curator.files import write_bytes

SUFFIXES = (".parquet", ".csv", ".jsonl")


def checked_path(path: Path) -> Path:
    """The path of a file that rows can be written to. Raises UsageError for any other."""
    if path.suffix not in SUFFIXES:
        ending = repr(path.suffix) if path.suffix else "a name without an ending"
        raise UsageError(f"{path}: rows are written as {', '.join(SUFFIXES)}, not {ending}")
    return path


def write_rows(frame: pl.DataFrame, path: Path) -> None:
    """Write rows to a .parquet, .csv or .jsonl file, which is there whole or not at all. Raises UsageError."""
    writers: dict[str, Callable[[IO[bytes]], Any]] = {
        ".parquet": frame.write_parquet,
        ".csv": lambda file: flat(frame).write_csv(file),
        ".jsonl": lambda file: plain(frame).write_ndjson(file),
    }
    try:
        write_bytes(path, writers[checked_path(path).suffix])
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error


def json_line(frame: pl.DataFrame, report: dict[str, Any]) -> str:
    """Rows and report as one line of JSON, in which what JSON has no word for (NaN, infinities) is null."""
    return f'{{"rows": {plain(frame).write_json()}, "report": {json.dumps(report, ensure_ascii=False, default=str)}}}\n'


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows in types that JSON has: decimals, which DuckDB's ``sum`` returns, as numbers; bytes as hex."""
    columns = []
    for name, kind in frame.schema.items():
        if isinstance(kind, pl.Decimal):
            columns.append(pl.col(name).cast(pl.Float64 if kind.scale else pl.Int128))
        elif kind == pl.Binary:
            columns.append(pl.col(name).bin.encode("hex"))
    return frame.with_columns(columns)


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows in types that CSV has: vectors, lists, maps and structures as JSON text."""
    frame = plain(frame)
    return frame.with_columns(_json_text(name) for name, kind in frame.schema.items() if kind.is_nested())


def _json_text(name: str) -> pl.Expr:
    """A column as JSON text; NULL stays NULL. polars encodes structures only, so it becomes the one field of one."""
    value = pl.struct(pl.col(name).alias("v")).struct.json_encode().str.slice(len('{"v":')).str.strip_suffix("}")
    return pl.when(pl.col(name).is_not_null()).then(value).alias(name)
