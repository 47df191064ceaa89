"""A mix for other programs: one file, or a saved Hugging Face dataset; with the lockfile in either case."""

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import polars as pl

from curator.documents import kept_labels
from curator.errors import MissingExtraError, UsageError
from curator.files import remove, write_bytes, write_json, write_text, writer

CARD = "README.md"  # where the hub looks for it


def write_file(path: Path, frame: pl.DataFrame, lock: dict[str, Any]) -> Path:
    """Write documents to a .jsonl, .csv or .parquet file, and the lockfile beside it. Raises UsageError for another."""
    writers: dict[str, Callable[[IO[bytes]], Any]] = {
        ".jsonl": frame.write_ndjson,
        ".csv": frame.with_columns(kept_labels(frame["label"])).write_csv,  # lists as JSON, as they can be read again
        ".parquet": frame.write_parquet,
    }
    if path.suffix not in writers:
        raise UsageError(
            f"{path}: a mix is exported as {', '.join(writers)}, or to a directory without an ending as a dataset, not "
            f"as {path.suffix!r}"
        )
    write_bytes(path, writers[path.suffix])
    write_json(path.with_name(path.name + ".lock.json"), lock)
    return path


def write_dataset(path: Path, frame: pl.DataFrame, lock: dict[str, Any], card: str) -> Path:
    """Write documents as the datasets library saves them, with the lockfile and the card; there whole or not at all.

    Raises UsageError for a path where there is something, MissingExtraError without the library.
    """
    try:
        import datasets
    except ImportError:
        raise MissingExtraError("datasets", "hub", f"writing {path} as a dataset") from None
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise UsageError(f"{path} is there and not empty; name a directory that is not there yet")
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())  # the library knows no views of strings
    dataset = datasets.Dataset(table, fingerprint=lock["ids_sha256"][:16])
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{writer()}.part")
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        dataset.save_to_disk(beside)
        write_json(beside / "lock.json", lock)
        write_text(beside / CARD, card)
        if path.is_dir():
            path.rmdir()
        beside.rename(path)
    finally:
        remove(beside)
        if shown:
            datasets.enable_progress_bars()
    return path
