"""The file that a person fills in: what each document is, what the probe says of it, and why it was chosen."""

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import polars as pl

from curator.documents import guarded
from curator.errors import UsageError
from curator.files import write_bytes

SUFFIXES = (".csv", ".jsonl", ".parquet")
CELL = 32_767  # characters that a cell of a spreadsheet holds


def checked_path(path: Path) -> Path:
    """The path of a file that can be written. Raises UsageError for another ending, and for one that is there."""
    if path.suffix not in SUFFIXES:
        ending = repr(path.suffix) if path.suffix else "a name without an ending"
        raise UsageError(f"{path}: documents to label are written as {', '.join(SUFFIXES)}, not {ending}")
    if path.exists():
        raise UsageError(f"{path} is there, and may have labels that a person filled in; give another name")
    return path


def write(frame: pl.DataFrame, path: Path) -> list[str]:
    """Write documents to label to a .csv, .jsonl or .parquet file. Returns what there is to warn of.

    A CSV file is made for spreadsheet programs: UTF-8 with a byte order mark, every text in quotes, and none that would
    be taken for a formula (``documents.cells``); as part of a corpus it is read back as it was.
    Raises UsageError for a path that cannot be written.
    """
    writers: dict[str, Callable[[IO[bytes]], Any]] = {
        ".csv": lambda file: _for_spreadsheets(frame).write_csv(file, include_bom=True, quote_style="non_numeric"),
        ".jsonl": frame.write_ndjson,
        ".parquet": frame.write_parquet,
    }
    try:
        write_bytes(path, writers[checked_path(path).suffix])
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    strings = frame.select(pl.col(pl.String).str.len_chars().max()).row(0)
    if path.suffix == ".csv" and max(length or 0 for length in strings) > CELL:
        return [f"{path.name} has texts of more than {CELL:,} characters, which a spreadsheet cuts; use .jsonl instead"]
    return []


def _for_spreadsheets(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(guarded(frame[name]) for name, kind in frame.schema.items() if kind == pl.String)
