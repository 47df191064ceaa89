"""The workspace on disk: its layout, format version, lock and manifests.

    curator.json                           the format version
    corpora/<name>/current.json            which version the name means now
    corpora/<name>/<version>/              documents-*.parquet, rejects-*.parquet, vectors-*.npy if a person brought
                                           them, and manifest.json, written last, with a copy
    corpora/<name>/licence.json            under which licence a person said its documents are
    corpora/<name>/forgotten.json          hashes of texts that are not to be read again (see upkeep/forget.py)
    corpora/<name>/.writing, .earlier-*    a version that is being written, and those that were not finished
    vectors/<encoder key>/                 shards of vectors by hash of the text (see vectors/store.py)
    indexes/<name>/<version>/              what is derived from a version: where its vectors are, approximate indexes
    mixes/<name>/                          mix.parquet, ledger.parquet, summary.json and lock.json, written last
    races/<name>/                          record.json, look.json (texts for its report), one file per finished run
    models/<name>/                         fine-tuned models in the hub's format
    tunings/<name>/                        one file per arm with the trials of a search (see tuning/)
    trials/                                what probes of ratios said (see trials.py); lost with it is time alone
    .mirror*                               of the copy of one on an object store, what it has of that (see storage/)

A version is named by a hash of what it holds, so adding the same documents again changes nothing, and an older
version stays for the mixes that were built from it. One writer at a time; readers need no lock, because nothing
that is complete is ever changed.
"""

import itertools
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from curator import storage
from curator.catalogue.corpus import COPY, MANIFEST, Corpus, fits, version_of
from curator.catalogue.parts import FORGOTTEN, Apart, Earlier, Part, forgotten, write_parts
from curator.documents import Batch
from curator.errors import DataError, UnknownNameError, UsageError, WorkspaceError
from curator.files import announced, is_sealed, read_json, sweep, write_json, write_sealed

__all__ = [
    "COPY", "FORGOTTEN", "FORMAT", "IDENTIFIER", "LICENCE", "MANIFEST", "SQL_NAMES", "Catalogue", "Corpus", "Read",
    "begin", "check_name", "fits", "forgotten", "version_of", "write_parts",
]  # fmt: skip

FORMAT = 2
LICENCE = "licence.json"
PATIENCE = 10  # seconds that a process which opens a copy may take to see whether it is whole
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SQL_NAMES = frozenset({"target", "test", "dev", "pool", "candidates"})  # a recipe's own relations

Read = Callable[[Earlier], Iterable[Batch]]
"""Gives the documents of a corpus, those kept that an earlier run has written."""


class Catalogue:
    """Opens a workspace directory, creating it if there is none."""

    def __init__(self, root: Path) -> None:
        self.root = root
        marker = root / "curator.json"
        if marker.exists():
            try:
                found = read_json(marker).get("format")
            except (ValueError, AttributeError):
                raise WorkspaceError(f'{marker} is damaged; write {{"format": {FORMAT}}} into it') from None
            if found != FORMAT:
                raise WorkspaceError(
                    f"{root} has workspace format {found!r}, this curator reads {FORMAT}; use the curator that wrote it"
                )
        elif root.exists() and any(not path.name.startswith(".") for path in root.iterdir()):
            raise WorkspaceError(f"{root} is not a workspace and not empty; name another directory")
        else:
            sweep(root)
            write_json(marker, {"format": FORMAT})

    @contextmanager
    def writing(self, what: str = ".", *, wait: float = 0) -> Iterator[None]:
        """Hold the write lock of the workspace, or of a folder in it.

        Raises WorkspaceError when another process holds it for more than ``wait`` seconds.
        """
        folder = self.root / what
        folder.mkdir(parents=True, exist_ok=True)
        try:
            patience = max(wait, PATIENCE) if storage.is_copy(self.root) else wait
            with filelock.FileLock(folder / ".lock").acquire(timeout=patience), storage.writing(self.root, what, wait):
                yield
        except filelock.Timeout:
            raise WorkspaceError(f"{folder} is being written by another process; wait for it, or stop it") from None

    def names(self) -> list[str]:
        """The corpora there are."""
        return sorted(path.parent.name for path in (self.root / "corpora").glob("*/current.json"))

    def corpus(self, name: str, version: str | None = None) -> Corpus:
        """A corpus in its present or a named version. Raises UnknownNameError."""
        home = self.root / "corpora" / name
        if version is None and self.present(name) is None:
            raise UnknownNameError("corpus", name, self.names())
        version = version or str(self.present(name))
        return Corpus.open(name, version, home / version)

    def versions(self, name: str) -> list[str]:
        """The versions of a corpus that there are."""
        return sorted(path.parent.name for path in (self.root / "corpora" / name).glob(f"[!.]*/{MANIFEST}"))

    def known(self, name: str) -> list[Corpus]:
        """The versions of a corpus whose manifests can be read, the present one first."""
        present = self.present(name)
        found = []
        for version in sorted(self.versions(name), key=lambda version: version != present):
            with suppress(WorkspaceError):  # whoever asks for that version is told
                found.append(self.corpus(name, version))
        return found

    def present(self, name: str) -> str | None:
        """The present version of a corpus."""
        path = self.root / "corpora" / name / "current.json"
        try:
            return str(read_json(path)["version"]) if path.exists() else None
        except (ValueError, KeyError, TypeError):
            raise WorkspaceError(f"{path} is damaged; curator check --repair mends it") from None

    def created(self, name: str) -> str:
        """When the present version of a corpus became that, in UTC."""
        return str(read_json(self.root / "corpora" / name / "current.json")["created"])

    def licence(self, name: str) -> str | None:
        """Under which licence a person said the documents of a corpus are. Raises WorkspaceError if that is damaged."""
        path = self.root / "corpora" / name / LICENCE
        if not path.exists():
            return None
        if not is_sealed(path):
            raise WorkspaceError(f"{path} is damaged; say the licence again: curator add … --licence")
        return str(read_json(path)["licence"])

    def state_licence(self, name: str, licence: str) -> None:
        """Write down under which licence the documents of a corpus are, in whatever version."""
        if not licence.strip():
            raise UsageError(f"corpus {name!r}: a licence is a name such as 'CC-BY-4.0', not {licence!r}")
        write_sealed(self.root / "corpora" / name / LICENCE, {"licence": licence})

    def add(
        self,
        name: str,
        read: Read,
        *,
        origin: list[dict[str, Any]],
        settings: dict[str, Any],
        apart: Apart | None = None,
        asked: dict[str, Any] | None = None,
        present: bool = True,
    ) -> Corpus:
        """Write a version of a corpus and, unless it is not to be ``present``, make it that.

        ``origin`` lists the files it is read from, ``asked`` says how a person named them, ``settings`` how they are
        read; ``apart`` takes a person's own vectors out of the batches. What a run that did not end has written, and
        what known versions have of files that are as they were, is taken up and not read again. Raises DataError
        when no document could be read.
        """
        check_name(name)
        alike = [other for other in self.names() if other.lower() == name.lower() and other != name]
        if alike:
            raise UsageError(
                f"there is a corpus {alike[0]!r}, and SQL does not tell {name!r} from it; use another name"
            )
        home = self.root / "corpora" / name
        sweep(home)
        beside = home / ".writing"
        if beside.exists():
            beside.rename(next(self.asides(name)))
        earlier = self.earlier(name, settings)
        begin(beside, settings)
        try:
            parts = write_parts(name, beside, read(earlier), apart, forgotten(home))
        except DataError:  # what is wrong with the origin will be wrong the next time
            shutil.rmtree(beside)
            raise
        with announced(home / "current.json"):
            version = self._complete(name, beside, {**_manifest(name, parts, origin, settings), "asked": asked})
            if present:
                self.make_present(name, version)
        return self.corpus(name, version)

    def earlier(self, name: str, settings: dict[str, Any]) -> Earlier:
        """What versions of a corpus have, and runs that did not end, that was read with the same settings."""
        return Earlier([*self._unfinished(name), *(corpus.directory for corpus in self.known(name))], settings)

    def asides(self, name: str) -> Iterator[Path]:
        """Places for runs that write parts of a corpus and no version, which the one that does takes up."""
        check_name(name)
        home = self.root / "corpora" / name
        last = max((int(path.name.partition("-")[2]) for path in home.glob(".earlier-*")), default=-1)
        return (home / f".earlier-{number:05}" for number in itertools.count(last + 1))

    def make_present(self, name: str, version: str) -> None:
        """Let a name mean a version that there is; what was not finished is of no use any more."""
        sweep(self.root / "corpora" / name)
        if self.present(name) != version:
            self.point(name, version)
        for directory in self._unfinished(name):
            shutil.rmtree(directory)

    def point(self, name: str, version: str) -> None:
        """Write down that a name means a version."""
        now = datetime.now(UTC).isoformat()
        write_sealed(self.root / "corpora" / name / "current.json", {"version": version, "created": now})

    def is_settled(self, name: str, version: str) -> bool:
        """Whether a name means a version, and no run that writes another was killed, or is at it."""
        return self.present(name) == version and not self._unfinished(name)

    def _unfinished(self, name: str) -> list[Path]:
        home = self.root / "corpora" / name
        return [*sorted(home.glob(".earlier-*")), *home.glob(".writing")]

    def _complete(self, name: str, beside: Path, manifest: dict[str, Any]) -> str:
        """Turn what was written into a version."""
        version = str(manifest["version"])
        place = beside.parent / version
        for file in (COPY, MANIFEST):
            write_sealed(beside / file, manifest)
        for path in (*beside.glob("part-*.json"), beside / "settings.json"):
            path.unlink()
        if (place / MANIFEST).exists() and not Corpus(name, version, place, manifest).damaged():
            for file in (COPY, MANIFEST):  # the same documents: only where they came from may be new
                (beside / file).replace(place / file)
            shutil.rmtree(beside)
        else:
            shutil.rmtree(place, ignore_errors=True)
            beside.rename(place)
        return version


def begin(directory: Path, settings: dict[str, Any]) -> None:
    """Make a directory for the parts that a run writes, read with some settings."""
    directory.mkdir(parents=True)
    write_json(directory / "settings.json", settings)


def check_name(name: str) -> None:
    """Raises UsageError unless the name can be a relation in SQL."""
    if not IDENTIFIER.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a corpus: use letters, digits and _, not starting with a digit")
    if name.lower() in SQL_NAMES or name.startswith("__"):
        raise UsageError(f"{name!r} means something else in a recipe's SQL; name the corpus otherwise")


def _manifest(name: str, parts: list[Part], origin: list[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    widths = [part["vectors"] for part in parts if part["vectors"]]
    return {
        "name": name,
        "version": version_of({"parts": parts}),
        "documents": sum(part["documents"] for part in parts),
        "rejects": sum(part["rejects"] for part in parts),
        "renamed": sorted({column for part in parts for column in part["renamed"]}),
        "own_vectors": {"dimension": widths[0]} if widths else None,
        "origin": origin,
        "settings": settings,
        "parts": parts,
    }
