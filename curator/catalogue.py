"""The workspace on disk: its layout, format version, lock and manifests.

    curator.json                           the format version
    corpora/<name>/current.json            which version the name means now
    corpora/<name>/<version>/              documents-*.parquet, rejects.parquet, vectors.npy if a person brought them,
                                           and manifest.json, written last
    vectors/<encoder key>/                 shards of vectors by hash of the text (see vectors/store.py)
    indexes/<name>/<version>/              what is derived from a version: where its vectors are, approximate indexes
    mixes/<name>/                          mix.parquet, ledger.parquet, summary.json and lock.json, written last
    races/<name>/                          record.json and one file per finished run
    models/<name>/                         fine-tuned models in the hub's format

A version is named by a hash of what it holds, so adding the same documents again changes nothing, and an older
version stays for the mixes that were built from it. One writer at a time; readers need no lock, because nothing
that is complete is ever changed.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import numpy.typing as npt
import polars as pl

from curator.documents import Batch, Reject
from curator.errors import DataError, UnknownNameError, UsageError, WorkspaceError
from curator.files import read_json, sha256, write_bytes, write_json, write_npy

FORMAT = 1
WINDOW_ROWS = 65_536  # documents whose texts are held together to be embedded; 16 shards of vectors
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SQL_NAMES = frozenset({"target", "test", "dev", "pool", "candidates"})  # a recipe's own relations


@dataclass(frozen=True)
class Corpus:
    """One version of a named set of documents."""

    name: str
    version: str
    directory: Path
    manifest: dict[str, Any]

    @property
    def documents(self) -> int:
        return int(self.manifest["documents"])

    @property
    def rejects(self) -> int:
        return int(self.manifest["rejects"])

    @property
    def has_own_vectors(self) -> bool:
        return bool(self.manifest["own_vectors"])

    def frame(self) -> pl.DataFrame:
        """All documents: ``id, text, label, source, split`` and the file's other columns."""
        return self.scan().collect()

    def scan(self) -> pl.LazyFrame:
        """The same, read when it is collected."""
        shards = [pl.scan_parquet(self.directory / name) for name in self.manifest["shards"]]
        return pl.concat(shards, how="diagonal_relaxed")

    def texts(self, shards: Sequence[str] | None = None) -> pl.Series:
        """The texts of all documents, or of those of some shards."""
        names = self.manifest["shards"] if shards is None else shards
        return pl.concat([pl.read_parquet(self.directory / name, columns=["text"]) for name in names])["text"]

    def windows(self) -> Iterator[tuple[int, int, list[str]]]:
        """Its shards in groups that hold enough to be embedded together: first row, end, and shards of each."""
        start, rows, group = 0, 0, list[str]()
        for name in self.manifest["shards"]:
            group.append(name)
            rows += int(pl.scan_parquet(self.directory / name).select(pl.len()).collect().item())
            if rows >= WINDOW_ROWS:
                yield start, start + rows, group
                start, rows, group = start + rows, 0, []
        if group:
            yield start, start + rows, group

    def own_vectors(self) -> npt.NDArray[np.float32]:
        """The vectors that a person brought, (documents, d), mapped from disk."""
        vectors: npt.NDArray[np.float32] = np.load(self.directory / "vectors.npy", mmap_mode="r")
        return vectors

    def rejected(self) -> pl.DataFrame:
        """What could not be read: ``file, line, reason, excerpt``."""
        return pl.read_parquet(self.directory / "rejects.parquet")

    def damaged(self) -> list[str]:
        """Names of its files whose bytes are not those that were written."""
        sums = self.manifest["sha256"].items()
        return [n for n, s in sums if not (self.directory / n).exists() or sha256(self.directory / n) != s]


_REJECTS = {"file": pl.String, "line": pl.Int64, "reason": pl.String, "excerpt": pl.String}


class Catalogue:
    """Opens a workspace directory, creating it if there is none."""

    def __init__(self, root: Path) -> None:
        self.root = root
        marker = root / "curator.json"
        if marker.exists():
            found = read_json(marker).get("format")
            if found != FORMAT:
                raise WorkspaceError(
                    f"{root} has workspace format {found!r}, this curator reads {FORMAT}; use the curator that wrote it"
                )
        elif root.exists() and any(not path.name.startswith(".") for path in root.iterdir()):
            raise WorkspaceError(f"{root} is not a workspace and not empty; name another directory")
        else:
            write_json(marker, {"format": FORMAT})

    @contextmanager
    def writing(self, what: str = ".", *, wait: float = 0) -> Iterator[None]:
        """Hold the write lock of the workspace, or of a folder in it.

        Raises WorkspaceError when another process holds it for more than ``wait`` seconds.
        """
        folder = self.root / what
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(folder / ".lock").acquire(timeout=wait):
                yield
        except filelock.Timeout:
            raise WorkspaceError(f"{folder} is being written by another process; wait for it, or stop it") from None

    def names(self) -> list[str]:
        """The corpora there are."""
        return sorted(path.parent.name for path in (self.root / "corpora").glob("*/current.json"))

    def corpus(self, name: str, version: str | None = None) -> Corpus:
        """A corpus in its present or a named version. Raises UnknownNameError."""
        home = self.root / "corpora" / name
        if version is None and not (home / "current.json").exists():
            raise UnknownNameError("corpus", name, self.names())
        version = version or str(read_json(home / "current.json")["version"])
        manifest = home / version / "manifest.json"
        if not manifest.exists():
            raise WorkspaceError(f"{home / version}: this version of corpus {name!r} is not there any more")
        return Corpus(name, version, home / version, read_json(manifest))

    def add(
        self,
        name: str,
        batches: Iterable[Batch],
        *,
        origin: list[dict[str, Any]],
        settings: dict[str, Any],
        vectors: npt.NDArray[np.float32] | None = None,
    ) -> Corpus:
        """Write a version of a corpus and make it the present one.

        ``origin`` lists the files it was read from; ``vectors`` (rows of the origin, d) are those of a person's
        own. Raises DataError when no document could be read: an empty corpus is always a mistake.
        """
        check_name(name)
        alike = [other for other in self.names() if other.lower() == name.lower() and other != name]
        if alike:
            raise UsageError(
                f"there is a corpus {alike[0]!r}, and SQL does not tell {name!r} from it; use another name"
            )
        home = self.root / "corpora" / name
        beside = home / ".writing"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        try:
            manifest = _write_documents(name, beside, batches, vectors)
            manifest |= {"origin": origin, "settings": settings, "created": datetime.now(UTC).isoformat()}
            version = _version(manifest)
            write_json(beside / "manifest.json", {"name": name, "version": version, **manifest})
            whole = (home / version / "manifest.json").exists() and not self.corpus(name, version).damaged()
            if not whole:
                shutil.rmtree(home / version, ignore_errors=True)
                beside.rename(home / version)
            else:  # the same documents again: only where they came from may be new
                (beside / "manifest.json").replace(home / version / "manifest.json")
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        write_json(home / "current.json", {"version": version})
        return self.corpus(name)


def check_name(name: str) -> None:
    """Raises UsageError unless the name can be a relation in SQL."""
    if not IDENTIFIER.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a corpus: use letters, digits and _, not starting with a digit")
    if name.lower() in SQL_NAMES or name.startswith("__"):
        raise UsageError(f"{name!r} means something else in a recipe's SQL; name the corpus otherwise")


def _write_documents(
    name: str, directory: Path, batches: Iterable[Batch], vectors: npt.NDArray[np.float32] | None
) -> dict[str, Any]:
    shards: list[str] = []
    rejects: list[Reject] = []
    renamed: set[str] = set()
    rows: list[npt.NDArray[np.int64]] = []
    documents = 0
    for batch in batches:
        rejects += batch.rejects
        renamed |= set(batch.renamed)
        if len(batch.frame):
            frame, bad = _finite(batch.frame, vectors)
            rejects += bad
            rows.append(frame["_row"].to_numpy())
            shards.append(f"documents-{len(shards):05}.parquet")
            write_bytes(directory / shards[-1], frame.drop("_row").write_parquet)
            documents += len(frame)
    if vectors is not None and documents:
        seen = int(max(row.max() for row in rows)) + 1  # rejected rows at the end are not among them
        if len(vectors) > seen + len(rejects):
            raise DataError(f"{len(vectors):,} vectors for {documents:,} documents and {len(rejects):,} rejects")
    if not documents:
        first = f"; the first: {rejects[0].file}:{rejects[0].line} {rejects[0].reason}" if rejects else ""
        raise DataError(f"corpus {name!r}: no document could be read, {len(rejects):,} rejects{first}")
    write_bytes(directory / "rejects.parquet", pl.DataFrame([asdict(r) for r in rejects], _REJECTS).write_parquet)
    written = [*shards, "rejects.parquet"]
    if vectors is not None:
        write_npy(directory / "vectors.npy", np.ascontiguousarray(vectors[np.concatenate(rows)], dtype=np.float32))
        written.append("vectors.npy")
    return {
        "documents": documents,
        "rejects": len(rejects),
        "renamed": sorted(renamed),
        "own_vectors": None if vectors is None else {"dimension": int(vectors.shape[1])},
        "shards": shards,
        "sha256": {file: sha256(directory / file) for file in written},
    }


def _finite(frame: pl.DataFrame, vectors: npt.NDArray[np.float32] | None) -> tuple[pl.DataFrame, list[Reject]]:
    """Documents whose brought vector is finite, and the others as rejects."""
    if vectors is None:
        return frame, []
    if int(frame["_row"].max()) >= len(vectors):  # type: ignore[arg-type]  # _row is an integer column
        raise DataError(f"{len(vectors):,} vectors for at least {int(frame['_row'].max()) + 1:,} rows")  # type: ignore[arg-type]
    finite = pl.Series(np.isfinite(vectors[frame["_row"].to_numpy()]).all(axis=1))
    bad = frame.filter(~finite)
    return frame.filter(finite), [
        Reject("vectors", row + 1, "vector with NaN or infinity", text[:80])
        for row, text in bad.select("_row", "text").rows()
    ]


def _version(manifest: dict[str, Any]) -> str:
    content = "".join(manifest["sha256"][name] for name in sorted(manifest["sha256"]))
    return hashlib.sha256(content.encode()).hexdigest()[:12]
