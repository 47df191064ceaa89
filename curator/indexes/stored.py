"""Indexes on disk, in the folder of what is derived from a version of a corpus.

approximate-<key of the vectors>/
    index.faiss     the codes, in FAISS's own format; read where they lie
    rows.npy        the row of each entry, or −1 where that is gone
    keys.npy        a number for the value of each entry's vector: what a later version has, too, is taken up by it
    queries.npy     the person's own queries, where there are some
    index.json      what was asked and measured, and the checksums of the others; written last: without it there
                    is no index
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from curator.errors import WorkspaceError
from curator.files import announced, is_sealed, read_json, sha256, sweep, write_bytes, write_npy, write_sealed
from curator.indexes.index import Index
from curator.indexes.measured import Measured, Wish
from curator.indexes.tuning import Keys
from curator.neighbours import Approximate
from curator.relation import Relation
from curator.vectors import Matrix, Vectors

PREFIX = "approximate-"
MANIFEST, CODES, ROWS, KEYS, QUERIES = "index.json", "index.faiss", "rows.npy", "keys.npy", "queries.npy"


@dataclass(frozen=True)
class Parts:
    """An index in memory, with all that is kept of it."""

    index: Index
    keys: Keys  # (entries,)
    queries: Matrix | None


def folder_of(relation: Relation) -> Path:
    """Where the index of a corpus is. Raises ValueError for a relation that is not a whole corpus."""
    if relation.home is None:
        raise ValueError("this relation has no place of its own")
    return relation.home / f"{PREFIX}{relation.vectors_key}"


def earlier(relation: Relation) -> Iterator[Path]:
    """The folders of indexes that may share rows with a corpus: its own, then other versions', the newest first."""
    own = folder_of(relation)
    found = [path.parent for path in own.parent.parent.glob(f"*/{own.name}/{MANIFEST}") if is_sealed(path)]
    yield from sorted(found, key=lambda folder: (folder != own, -(folder / MANIFEST).stat().st_mtime_ns))


def write(folder: Path, parts: Parts) -> Measured:
    """Keep an index."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    with announced(folder / MANIFEST):
        for name in (MANIFEST, CODES, ROWS, KEYS, QUERIES):  # the manifest first: it must not speak of other files
            (folder / name).unlink(missing_ok=True)
        index = parts.index
        if index.file is not None and index.rows is not None:
            write_bytes(folder / CODES, index.file.save)
            write_npy(folder / ROWS, index.rows)
            write_npy(folder / KEYS, parts.keys)
        if parts.queries is not None:
            write_npy(folder / QUERIES, parts.queries)
        files = [folder / name for name in (CODES, ROWS, KEYS, QUERIES) if (folder / name).exists()]
        measured = replace(
            index.measured,
            size=sum(path.stat().st_size for path in files),
            sha256={path.name: sha256(path) for path in files},
        )
        write_sealed(folder / MANIFEST, measured.json())
    return measured


def read(folder: Path) -> Measured:
    """What is told of an index."""
    return Measured.of(read_json(folder / MANIFEST))


def asked_of(folder: Path, but: Set[Path]) -> tuple[Wish, Vectors | None, str]:
    """What was asked of an index, the person's own queries, unless they are among some files, and what they were."""
    told, own = read_json(folder / MANIFEST), folder / QUERIES
    wish = Wish(**told["wish"])
    if own in but or not own.exists():
        return wish, None, ""
    return wish, Vectors.of(np.load(own), unit=True), told["source"]


def load(folder: Path) -> Parts:
    """All of an index, in memory, so that it can be changed."""
    measured = read(folder)
    queries = np.load(folder / QUERIES) if (folder / QUERIES).exists() else None
    if measured.kind == "flat":
        return Parts(Index(None, None, measured), np.empty(0, np.uint64), queries)
    file = Approximate.load(measured.kind, measured.entries, folder / CODES, mapped=False)
    return Parts(Index(file, np.load(folder / ROWS), measured), np.load(folder / KEYS), queries)


def find(relation: Relation) -> Index | None:
    """The index of a corpus, opened where it lies; None when it has none."""
    if relation.home is None or not (manifest := folder_of(relation) / MANIFEST).exists():
        return None
    return _opened(manifest.parent, manifest.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _opened(folder: Path, _changed: int) -> Index:
    try:
        measured = read(folder)
        if measured.kind == "flat":
            return Index(None, None, measured)
        rows = np.load(folder / ROWS, mmap_mode="r")
        return Index(Approximate.load(measured.kind, measured.entries, folder / CODES), rows, measured)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise WorkspaceError(f"{folder} is damaged ({error}); curator check --repair mends it") from error
