"""Which files an origin means, what format they have, and what their rows are called."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from curator.documents.lines import CODECS
from curator.documents.records import Origin
from curator.documents.tables import HUB, is_saved_dataset
from curator.errors import DataError, UsageError

LINES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
FORMATS = {".parquet": "parquet", ".txt": "txt", **LINES}
KNOWN = ".parquet, .txt, " + ", ".join(LINES) + "; the last four also with .gz or .zst"
_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Place:
    """A file, or a saved dataset's directory, and the directory a person named if it was found below one."""

    path: Path
    format: str
    root: Path | None = None


def files(origin: Origin, base: Path | None = None) -> list[Path]:
    """The files an origin consists of, sorted within each pattern, none twice; for frames and the hub, none.

    Relative paths start at ``base``, else at the current directory. A directory means the files below it whose
    suffix is known, hidden ones left out. Raises DataError where a pattern matches nothing or a suffix is unknown.
    """
    found = [place for entry in entries(origin) if not is_hub(entry) for place in places(entry, base)]
    inside = [sorted(place.path.rglob("*")) if place.format == "dataset" else [place.path] for place in found]
    return list(dict.fromkeys(path for paths in inside for path in paths if path.is_file()))


def asked(origin: Origin, base: Path | None) -> dict[str, Any]:
    """How a person named files, as plain values that mean the same in another current directory where they can."""
    if base is not None:
        return {"base": str(base), "origin": [str(entry) for entry in entries(origin)]}
    return {"base": None, "origin": [str(Path.cwd() / Path(entry).expanduser()) for entry in entries(origin)]}


def entries(origin: Origin) -> list[str | Path]:
    """An origin that is one path or several, as a list; empty for a frame."""
    if isinstance(origin, str | Path):
        return [origin]
    if isinstance(origin, Sequence) and not isinstance(origin, bytes):
        for entry in origin:
            if not isinstance(entry, str | Path):
                raise UsageError(f"an origin of several parts must consist of paths, not of {type(entry).__name__}")
        return list(cast("Sequence[str | Path]", origin))
    return []


def is_hub(entry: str | Path) -> bool:
    """Whether it is a name on the hub rather than a path."""
    return isinstance(entry, str) and entry.startswith(HUB)


def places(pattern: str | Path, base: Path | None) -> list[Place]:
    """What a path, a directory or a glob (``**`` goes down) stands for, sorted."""
    start = base or Path.cwd()
    path = start / Path(pattern).expanduser()
    if path.is_dir() and not is_saved_dataset(path):
        found = [Place(file, kind, path) for file, kind in _below(path, ())]
        if not found:
            raise DataError(f"the directory {path} has no file that can be read; known are {KNOWN}")
        return found
    matches = [path] if path.exists() else sorted(_matches(start, Path(pattern).expanduser()))
    if not matches:
        raise DataError(f"nothing matches {str(pattern)!r} in {start}")
    return [Place(match, _format(match)) for match in matches]


def names(found: Sequence[Place]) -> dict[Path, str]:
    """What the rows of each file are called after: its name, or its path below the common folder if names clash.

    A ``.txt`` file that was found below a directory is called by its path from there.
    """
    short = {
        place.path: place.path.relative_to(place.root).as_posix()
        if place.root and place.format == "txt"
        else place.path.name
        for place in found
    }
    often = Counter(short.values())
    if len(often) == len(short):
        return short
    common = os.path.commonpath([path.absolute().parent for path in short])
    return {
        path: path.absolute().relative_to(common).as_posix() if often[name] > 1 else name
        for path, name in short.items()
    }


def _matches(base: Path, pattern: Path) -> Iterator[Path]:
    """Files and saved datasets that a glob matches. Its fixed first part is no pattern: folders may hold brackets."""
    parts = pattern.parts
    fixed = next((i for i, part in enumerate(parts) if _MAGIC & set(part)), len(parts))
    if fixed == len(parts):
        return
    root = base.joinpath(*parts[:fixed])
    rest = [*parts[fixed:], "*"] if parts[-1] == "**" else list(parts[fixed:])
    hidden = any(part.startswith(".") for part in rest)
    for path in set(root.glob(str(Path(*rest)))):
        seen = hidden or not any(part.startswith(".") for part in path.relative_to(root).parts)
        if seen and (path.is_file() or is_saved_dataset(path)):
            yield path


def _below(folder: Path, above: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """Readable files below a folder in order; links to folders are followed, but not in circles."""
    here = (*above, folder.resolve())
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            if kind := _known(path):
                yield path, kind
        elif is_saved_dataset(path):
            yield path, "dataset"
        elif path.resolve() not in here:
            yield from _below(path, here)


def _format(path: Path) -> str:
    kind = "dataset" if path.is_dir() else _known(path)
    if kind is None:
        raise DataError(
            f"{path}: the format {path.suffix or 'of a file without suffix'} is not known; known are {KNOWN}"
        )
    return kind


def _known(path: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in CODECS:
        return LINES.get(suffixes[-2]) if len(suffixes) > 1 else None
    return FORMATS.get(suffixes[-1]) if suffixes else None
