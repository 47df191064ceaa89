"""One version of a corpus: its files, and what its manifest says of them."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curator.catalogue.columns import common, converted
from curator.documents import REJECT_COLUMNS
from curator.engines import HERE, Engine
from curator.errors import WorkspaceError
from curator.files import read_json, sha256
from curator.storage import GoneError, all_here, here
from curator.vectors import Matrix, Rows, Vectors

MANIFEST = "manifest.json"
COPY = "manifest.copy.json"  # of all that a version needs, only its manifest could not be made again
WINDOW_ROWS = 65_536  # documents whose texts are held together to be embedded; 16 shards of vectors


@dataclass(frozen=True)
class Corpus:
    """One version of a named set of documents."""

    name: str
    version: str
    directory: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, name: str, version: str, directory: Path, file: str = MANIFEST) -> "Corpus":
        """Read its manifest, or the copy of that. Raises WorkspaceError where it is gone or damaged."""
        path = directory / file
        if not path.exists():
            raise WorkspaceError(f"{directory}: this version of corpus {name!r} is not there any more")
        try:
            manifest = read_json(path)
            whole = fits(manifest, version)
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise WorkspaceError(f"{path} is damaged: add the corpus again, and what is whole will be kept")
        return cls(name, version, directory, manifest)

    @property
    def documents(self) -> int:
        return int(self.manifest["documents"])

    @property
    def rejects(self) -> int:
        return int(self.manifest["rejects"])

    @property
    def has_own_vectors(self) -> bool:
        return bool(self.manifest["own_vectors"])

    @property
    def shards(self) -> list[str]:
        """The files with its documents, in order."""
        return self._files("documents")

    def frame(self) -> pl.DataFrame:
        """All documents: ``id, text, label, source, split`` and the file's other columns."""
        return self.scan().collect()

    def scan(self) -> pl.LazyFrame:
        """The same, read when it is collected."""
        return _scanned(self._groups())

    def schema(self) -> pl.Schema:
        """Names and types of its columns; a file of each kind that it has is read."""
        kinds = {columns: files[:1] for columns, files in reversed(self._groups())}
        return _scanned(list(reversed(kinds.items()))).collect_schema()

    def _groups(self) -> list["_Group"]:
        of = groupby(zip(self.shards, self._columns(), strict=True), key=itemgetter(1))
        return [(columns, [self.directory / name for name, _ in group]) for columns, group in of]

    def texts(self, shards: Sequence[str] | None = None) -> pl.Series:
        """The texts of all documents, or of those of some shards."""
        return texts_of([self.directory / name for name in (self.shards if shards is None else shards)])

    def windows(self) -> Iterator[tuple[int, int, list[str]]]:
        """Its shards in groups that hold enough to be embedded together: first row, end, and shards of each."""
        start, rows, group = 0, 0, list[str]()
        for name, count in zip(self.shards, self._counts(), strict=True):
            group.append(name)
            rows += count
            if rows >= WINDOW_ROWS:
                yield start, start + rows, group
                start, rows, group = start + rows, 0, []
        if group:
            yield start, start + rows, group

    def rows_by_checksum(self) -> dict[str, Rows]:
        """The rows of each shard, by the checksum of its file, which says what is in it."""
        sums, start, found = checksums(self.manifest), 0, dict[str, Rows]()
        for name, count in zip(self.shards, self._counts(), strict=True):
            found[sums[name]] = np.arange(start, start + count)
            start += count
        return found

    def _counts(self) -> list[int]:
        """Documents of each shard."""
        return [int(part["documents"]) for part in self.manifest["parts"] if part["documents"]]

    def own_vectors(self, engine: Engine = HERE) -> Vectors:
        """The vectors that a person brought, one per document, mapped from disk; an engine's workers may read them."""
        files = all_here([self.directory / name for name in self._files("vectors")])
        arrays: list[Matrix] = [np.load(file, mmap_mode="r") for file in files]
        counts = [len(array) for array in arrays]
        rows = [np.arange(count) for count in counts]
        return Vectors(
            arrays, np.repeat(np.arange(len(arrays), dtype=np.int32), counts), np.concatenate(rows), unit=False,
            engine=engine,
        )  # fmt: skip

    def rejected(self) -> pl.DataFrame:
        """What could not be read: ``file, line, reason, excerpt``."""
        parts = [pl.read_parquet(self.directory / name) for name in self._files("rejects")]
        return pl.concat([pl.DataFrame(schema=REJECT_COLUMNS), *parts])

    def damaged(self) -> list[str]:
        """Names of its files whose bytes are not those that were written."""
        return [
            name for name, checksum in checksums(self.manifest).items() if not is_whole(self.directory / name, checksum)
        ]

    def size(self) -> int:
        """Bytes of its files on disk."""
        return sum(path.stat().st_size for path in self.directory.iterdir())

    def columns(self) -> list[str]:
        """The names of its columns."""
        return list(dict.fromkeys(name for columns in self._columns() for name, _ in columns))

    def _columns(self) -> list[tuple[tuple[str, str], ...]]:
        """The columns of each shard and their types, in words."""
        return [tuple(part["columns"].items()) for part in self.manifest["parts"] if part["documents"]]

    def _files(self, kind: str) -> list[str]:
        return [name for name in checksums(self.manifest) if name.startswith(f"{kind}-")]


_Group = tuple[tuple[tuple[str, str], ...], list[Path]]
"""Files one after the other that have the same columns, and these."""


def _scanned(groups: Sequence[_Group]) -> pl.LazyFrame:
    """Files of documents, in order, with the columns of all."""
    scans = [(columns, pl.scan_parquet(list(all_here(files)))) for columns, files in groups]
    schemas = {columns: scan.collect_schema() for columns, scan in dict(scans).items()}  # a file of each is read
    to = common(schemas.values())
    return pl.concat([converted(scan, schemas[columns], to) for columns, scan in scans], how="diagonal")


def texts_of(files: Sequence[str | Path]) -> pl.Series:
    """The texts of some files of documents, in order."""
    paths = all_here([Path(file) for file in files])
    return pl.concat([pl.read_parquet(file, columns=["text"]) for file in paths])["text"]


def checksums(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file of a version, by its name, part by part."""
    return {name: checksum for part in manifest["parts"] for name, checksum in part["sha256"].items()}


def version_of(manifest: Mapping[str, Any]) -> str:
    """A version is named by a hash of what it holds."""
    sums = checksums(manifest)
    return hashlib.sha256("".join(sums[name] for name in sorted(sums)).encode()).hexdigest()[:12]


def fits(manifest: Mapping[str, Any], version: str) -> bool:
    """Whether it is the manifest of a version; where documents were forgotten, ``content`` names what is left."""
    return bool(manifest["version"] == version and manifest.get("content", version) == version_of(manifest))


def is_whole(path: Path, checksum: str) -> bool:
    """Whether a file is there with the bytes that were written."""
    try:
        return here(path).exists() and sha256(path) == checksum
    except GoneError:
        return False
