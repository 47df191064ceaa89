"""Batches of documents → the files of a version, part by part, so that a later run can take up what is there.

A part is one batch: ``documents-<n>.parquet``, ``vectors-<n>.npy`` where a person brought vectors, and
``rejects-<n>.parquet``, each where there is any. While a version is written, ``part-<n>.json`` comes after them and
says that the part is whole; once all are, the manifest holds what these files said.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.catalogue.corpus import MANIFEST, is_whole
from curator.documents import EXCERPT, Batch, Kept, Key, Mark, Piece, Reject, reject_table, runs
from curator.errors import DataError
from curator.files import link, read_json, sha256, write_bytes, write_json, write_npy
from curator.storage import here
from curator.vectors import HashSet, Matrix, text_hash

FORGOTTEN = "forgotten.json"
FORGOTTEN_REASON = "forgotten"

Part = dict[str, Any]
Apart = Callable[[Batch], tuple[pl.DataFrame, Matrix]]
"""Takes the vectors out of a batch: its documents without them, and (documents, d) float32, NaN where there is none."""


@dataclass(frozen=True)
class KeptPart:
    """A part that an earlier run wrote."""

    directory: Path
    number: int
    part: Part

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        return tuple(map(Piece.from_json, self.part["pieces"]))

    @property
    def is_closed(self) -> bool:
        return bool(self.part["closed"])

    @property
    def following(self) -> Key | None:
        following = self.part["following"]
        if following is None:
            return None
        file, name, stamp, mark = following
        return file, name, tuple((str(path), int(size), int(time)) for path, size, time in stamp), Mark(*mark)

    @property
    def renamed(self) -> tuple[str, ...]:
        return tuple(self.part["renamed"])

    def ids(self) -> pl.Series:
        """The ids of its documents."""
        names = [name for name in self.part["sha256"] if name.startswith("documents-")]
        if not names:
            return pl.Series(dtype=pl.String)
        return pl.read_parquet(here(self.directory / names[0]), columns=["id"])["id"]

    def follows(self, other: Kept | None) -> bool:
        """Whether it came right after another in the run that wrote it; after None, first."""
        if other is None:
            return self.number == 0
        return isinstance(other, KeptPart) and (other.directory, other.number + 1) == (self.directory, self.number)

    def is_whole(self) -> bool:
        """Whether its files are what was written."""
        return all(is_whole(self.directory / name, checksum) for name, checksum in self.part["sha256"].items())

    def taken_up(self, directory: Path, number: int) -> Part:
        """Have its files in another version, too, where it has another number."""
        sums = {}
        for name, checksum in self.part["sha256"].items():
            own = _name(name.partition("-")[0], number)
            link(here(self.directory / name), directory / own)
            sums[own] = checksum
        return {**self.part, "sha256": sums}


class Earlier:
    """The parts of earlier versions and of runs that did not end, by the piece that they were made of."""

    def __init__(self, directories: Iterable[Path], settings: dict[str, Any]) -> None:
        self._kept: dict[Key, KeptPart] = {}
        self._all: set[Key] | None = None
        for directory in directories:
            for number, part in _parts(directory, settings):
                kept = KeptPart(directory, number, part)
                self._kept.setdefault(kept.pieces[0].key, kept)

    def has(self, key: Key) -> bool:
        """Whether a part has a piece that begins there, if only inside."""
        if self._all is None:
            self._all = {piece.key for kept in self._kept.values() for piece in kept.pieces}
        return key in self._all

    def get(self, key: Key, /) -> KeptPart | None:
        """The part whose first piece this is, if it is whole."""
        kept = self._kept.get(key)
        return kept if kept is not None and kept.is_whole() else None


def _parts(directory: Path, settings: dict[str, Any]) -> Iterable[tuple[int, Part]]:
    """The numbered parts of a version, whole or not; none if it was made with other settings, or cannot be read."""
    try:
        if (directory / MANIFEST).exists():
            manifest = read_json(directory / MANIFEST)
            return list(enumerate(manifest["parts"])) if manifest["settings"] == settings else []
        if read_json(directory / "settings.json") != settings:
            return []
        return [(int(path.stem.partition("-")[2]), read_json(path)) for path in directory.glob("part-*.json")]
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return []


def forgotten(home: Path) -> HashSet:
    """The texts that a corpus is not to have again."""
    listed = read_json(home / FORGOTTEN)["texts"] if (home / FORGOTTEN).exists() else []
    return HashSet.of(np.frombuffer(bytes.fromhex("".join(listed)), np.uint64).reshape(-1, 2))


def write_parts(name: str, directory: Path, batches: Iterable[Batch], apart: Apart | None, gone: HashSet) -> list[Part]:
    """Write a version's parts, without texts that are ``gone``.

    Raises DataError when there is no document: an empty corpus is always a mistake.
    """
    parts: list[Part] = []
    for batch in batches:
        number = len(parts)
        kept = batch.kept
        part = (
            kept.taken_up(directory, number)
            if isinstance(kept, KeptPart)
            else _written(directory, number, batch, apart, gone)
        )
        parts.append(part)
        widths = sorted({part["vectors"] for part in parts if part["vectors"]})
        if len(widths) > 1:
            raise DataError(f"the vectors of corpus {name!r} are not of one length, but of {widths} components")
        if kept is None:  # what is taken up still is where it was taken from
            write_json(directory / _name("part", number), part)
    if not any(part["documents"] for part in parts):
        rejects = sum(part["rejects"] for part in parts)
        raise DataError(
            f"corpus {name!r}: no document could be read, {rejects:,} rejects{_first_reject(directory, parts)}"
        )
    return parts


def _written(directory: Path, number: int, batch: Batch, apart: Apart | None, gone: HashSet) -> Part:
    frame, rejects, pieces, matrix = batch.frame, batch.rejects, batch.pieces, None
    aside: list[Reject] = []
    if apart is not None and len(frame):
        frame, matrix = apart(batch)
        finite = np.asarray(np.isfinite(matrix).all(axis=1))
        excerpts = frame["text"].str.head(EXCERPT).filter(pl.Series(~finite)).to_list()
        pieces, aside = set_aside(pieces, finite, "vector with NaN or infinity", excerpts)
        frame, matrix = frame.filter(finite), np.ascontiguousarray(matrix[finite])
    if len(gone) and len(frame):
        kept = ~gone.holds(text_hash(frame["text"]))
        pieces, more = set_aside(pieces, kept, FORGOTTEN_REASON)
        aside += more
        frame, matrix = frame.filter(kept), matrix if matrix is None else np.ascontiguousarray(matrix[kept])
    rejects = by_line([*rejects, *aside], pieces)
    files = []
    if len(frame):
        files.append(_name("documents", number))
        write_bytes(directory / files[-1], frame.drop("_row").write_parquet)
    if matrix is not None and len(matrix):
        files.append(_name("vectors", number))
        write_npy(directory / files[-1], matrix)
    if rejects:
        files.append(_name("rejects", number))
        write_bytes(directory / files[-1], reject_table(rejects).write_parquet)
    return {
        "documents": len(frame),
        "rejects": len(rejects),
        "columns": {name: str(kind) for name, kind in frame.schema.items() if name != "_row"},
        "renamed": sorted(set(batch.renamed)),
        "vectors": int(matrix.shape[1]) if matrix is not None and len(matrix) else None,
        "pieces": [piece.to_json() for piece in pieces],
        "closed": batch.is_closed,
        "following": batch.following,
        "sha256": {name: sha256(directory / name) for name in files},
    }


def set_aside(
    pieces: tuple[Piece, ...], kept: npt.NDArray[np.bool_], reason: str, excerpts: Sequence[str] | None = None
) -> tuple[tuple[Piece, ...], list[Reject]]:
    """Pieces without the documents that are not ``kept``, and these as rejects, each with its excerpt."""
    left, rejects, start = [], [], 0
    for piece in pieces:
        lines, own = piece.line_numbers(), kept[start : start + piece.documents]
        start += piece.documents
        left.append(replace(piece, lines=runs(lines[own])))
        rejects += [Reject(piece.file, int(line), reason) for line in lines[~own]]
    if excerpts is not None:
        rejects = [reject._replace(excerpt=text) for reject, text in zip(rejects, excerpts, strict=True)]
    return tuple(left), rejects


def by_line(rejects: Iterable[Reject], pieces: Iterable[Piece]) -> tuple[Reject, ...]:
    """Rejects in the order of their files and lines."""
    files = {file: number for number, file in enumerate(dict.fromkeys(piece.file for piece in pieces))}
    return tuple(sorted(rejects, key=lambda reject: (files.get(reject.file, -1), reject.line or 0)))


def _first_reject(directory: Path, parts: list[Part]) -> str:
    for number, part in enumerate(parts):
        if part["rejects"]:
            file, line, reason, _ = pl.read_parquet(directory / _name("rejects", number)).row(0)
            return f"; the first: {file}:{line} {reason}"
    return ""


_SUFFIXES = {"documents": "parquet", "vectors": "npy", "rejects": "parquet", "part": "json"}


def _name(kind: str, number: int) -> str:
    return f"{kind}-{number:05}.{_SUFFIXES[kind]}"
