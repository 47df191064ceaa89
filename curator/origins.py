"""The files that a corpus was read from: what they were then, and whether they still are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.catalogue import Corpus
from curator.documents import Origin, files
from curator.files import sha256


@dataclass(frozen=True)
class Stale:
    """A file that is not what it was when a corpus was read from it."""

    corpus: str
    path: str
    change: str  # 'changed' or 'gone'


def paths(origin: Origin, base: Path | None) -> list[Path] | None:
    """The files of an origin; None for a frame or a hub name, which have no files to compare."""
    named = [origin] if isinstance(origin, str | Path) else origin if isinstance(origin, list | tuple) else []
    if named and not any(str(name).startswith("hf://") for name in named):
        return [path.absolute() for path in files(origin, base)]
    return None


def fingerprints(paths: Iterable[Path], known: Iterable[Corpus]) -> list[dict[str, Any]]:
    """What files are: path, size, time and checksum.

    The checksum is taken from a version that was read from a file, where neither size nor time has changed since.
    """
    checksums = {
        (entry["path"], *_remembered(entry)): entry["sha256"] for corpus in known for entry in corpus.manifest["origin"]
    }
    found = []
    for path in paths:
        size, mtime = _present(path)
        checksum = checksums.get((str(path), size, mtime)) or sha256(path)
        found.append({"path": str(path), "size": size, "mtime_ns": mtime, "sha256": checksum})
    return found


def are_unchanged(corpus: Corpus, paths: Iterable[Path]) -> bool:
    """Whether a version was read from these files, and neither size nor time of any has changed."""
    known = {entry["path"]: _remembered(entry) for entry in corpus.manifest["origin"]}
    return known == {str(path): _present(path) for path in paths}


def stale(corpora: Iterable[Corpus]) -> list[Stale]:
    """The files of these corpora that have changed or gone since they were read."""
    found = []
    for corpus in corpora:
        for entry in corpus.manifest["origin"]:
            path = Path(entry["path"])
            if not path.exists():
                found.append(Stale(corpus.name, entry["path"], "gone"))
            elif _present(path) != _remembered(entry) and sha256(path) != entry["sha256"]:
                found.append(Stale(corpus.name, entry["path"], "changed"))
    return found


def _present(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _remembered(entry: Mapping[str, Any]) -> tuple[int, int]:
    return entry["size"], entry["mtime_ns"]
