"""Mending what ``check`` finds: from a copy, from the origin, from the store, from a lockfile; else dropping it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from curator import indexes, origins
from curator.brought import ColumnOfVectors
from curator.catalogue import COPY, MANIFEST, Catalogue, Corpus
from curator.corpora import Corpora
from curator.documents import Columns, files, read
from curator.encoder import encoder_of
from curator.errors import CuratorError
from curator.files import is_older, is_sealed, read_json, remove, write_sealed
from curator.mix import CURRENT, LOCK, Mix, StoredEncoder, Workshop, lock_of
from curator.upkeep.check import DROP, Damage, check
from curator.upkeep.layout import folders, manifest_of, mixes
from curator.vectors import Encoder, Places, VectorStore


@dataclass(frozen=True)
class Repaired:
    """What was mended, in words, and what could not be."""

    done: tuple[str, ...]
    left: tuple[Damage, ...]

    def __str__(self) -> str:
        if not self.done and not self.left:
            return "nothing is damaged"
        return "\n".join([*self.done, *(f"not mended: {damage}" for damage in self.left)])


def repair(workshop: Workshop) -> Repaired:
    """Mend what is damaged in a workspace. Afterwards nothing that could be mended is left.

    A mix whose lockfile is damaged, and an index whose description is, are dropped; what was done says which command
    makes them again.
    """
    root = workshop.corpora.catalogue.root
    mender = _Mender(workshop)
    found: dict[str, list[Path]] = {}
    for damage in check(mender.catalogue):
        found.setdefault(_kind(damage.path), []).append(root / damage.path)
    for kind, mend in mender.steps():
        if kind in found or kind == "places":
            mend(found.get(kind, []))
    left = [replace(d, remedy=mender.why.get(root / d.path, d.remedy)) for d in check(mender.catalogue)]
    return Repaired(tuple(mender.done), tuple(left))


def _kind(path: str) -> str:
    match PurePosixPath(path).parts:
        case ("corpora", _, "current.json"):
            return "corpus"
        case ("corpora", _, _):
            return "forgotten"
        case ("corpora", _, _, str(file)) if file in (MANIFEST, COPY):
            return "manifest"
        case ("vectors", _):
            return "memory"
        case ("indexes", _, _, str(folder), _):
            return "bm25" if folder == "bm25" else "index"
        case ("indexes", _, _, str(file)) if file.startswith("calibration-"):
            return "calibration"
        case ("indexes", *_):
            return "places"
        case ("mixes", _, "tags.json"):
            return "tags"
        case ("mixes", _, _):
            return "mix pointer"
        case (str(first), *_):
            return first
    raise ValueError(path)


@dataclass
class _Mender:
    """Mends one kind of thing after another, and remembers what it did, and why it could not."""

    workshop: Workshop
    done: list[str] = field(default_factory=list)
    why: dict[Path, str] = field(default_factory=dict)

    @property
    def catalogue(self) -> Catalogue:
        return self.workshop.corpora.catalogue

    def steps(self) -> list[tuple[str, Callable[[list[Path]], None]]]:
        """What to mend, in the order in which one hangs on another."""
        return [
            ("corpus", self.pointers),
            ("manifest", self.manifests),
            ("corpora", self.documents),
            ("memory", self.caches),
            ("vectors", self.vectors),
            ("places", self.places),
            ("index", self.indexes),
            ("bm25", self.caches),
            ("calibration", self.caches),
            ("mixes", self.mixes),
            ("mix pointer", self.mix_pointers),
            ("tags", self.tags),
            ("races", self.races),
            ("tunings", self.caches),
        ]

    # Corpora

    def pointers(self, paths: list[Path]) -> None:
        """Names of corpora: the version that the damaged file still shows, else the one that was written last."""
        for path in paths:
            versions = {folder.name: (folder / MANIFEST, folder / COPY) for folder in folders(path.parent)}
            if not versions:
                continue
            text = path.read_bytes().decode("utf8", "replace") if path.exists() else ""
            times = {
                name: max((f.stat().st_mtime_ns for f in of if f.exists()), default=0) for name, of in versions.items()
            }
            best = max(versions, key=lambda name: (name in text, times[name]))
            with self.catalogue.writing():
                path.unlink(missing_ok=True)
                self.catalogue.point(path.parent.name, best)
            self._did(path, f"the name means version {best}")

    def manifests(self, paths: list[Path]) -> None:
        """Manifests and their copies, each from the other."""
        for directory in dict.fromkeys(path.parent for path in paths):
            whole = manifest_of(directory) or manifest_of(directory, COPY)
            if whole is None and is_older(directory / MANIFEST):
                whole = read_json(directory / MANIFEST)
            if whole is None:
                continue
            with self.catalogue.writing():
                for file in (COPY, MANIFEST):
                    if manifest_of(directory, file) is None:
                        write_sealed(directory / file, whole)
                        self._did(directory / file, "written again")

    def documents(self, paths: list[Path]) -> None:
        """Files of versions, read again from where they came from."""
        for directory in dict.fromkeys(path.parent for path in paths):
            corpus = self.catalogue.corpus(directory.parent.name, directory.name)
            try:
                reason = self._read_again(corpus)
            except CuratorError as error:
                reason = str(error)
            for path in paths:
                if path.parent == directory and reason is None:
                    self._did(path, "read again from its origin")
                elif path.parent == directory:
                    self.why[path] = f"{reason}; {_lost(corpus, path)}"

    def _read_again(self, corpus: Corpus) -> str | None:
        """Write a version anew. Returns why that cannot be done."""
        manifest = corpus.manifest
        vectors, paths = manifest["settings"]["vectors"], [Path(entry["path"]) for entry in manifest["origin"]]
        if vectors is True or not paths:
            return f"what {corpus.name!r} was read from is not in files, and cannot be read again"
        if manifest.get("forgotten"):
            return f"documents of {corpus.name!r} were forgotten, so its origin is not what it holds"
        if stale := origins.stale([corpus]):
            return (
                f"{stale[0].path}, which it was read from, {'is gone' if stale[0].change == 'gone' else 'has changed'}"
            )
        origin, base = _asked(manifest, paths)
        columns = Columns(**manifest["settings"]["columns"])
        own = ColumnOfVectors(vectors) if vectors else None
        with self.catalogue.writing():
            again = self.catalogue.add(
                corpus.name,
                lambda earlier: read(origin, corpus=corpus.name, columns=columns, base=base, earlier=earlier),
                origin=origins.fingerprints(paths, [corpus]),
                settings=manifest["settings"],
                apart=None if own is None else own.apart,
                asked=manifest.get("asked"),
                present=False,
            )
        if again.version == corpus.version:
            return None
        return f"its origin now gives other documents, which are version {again.version}"

    # Vectors, and what is derived from a corpus

    def vectors(self, paths: list[Path]) -> None:
        """Shards are given up, and what had all its vectors is embedded again, as are mixes."""
        root = self.catalogue.root
        for directory in dict.fromkeys(path.parent for path in paths):
            encoder = self._encoder(directory.name)
            with self.catalogue.writing():
                VectorStore(directory).discard([path.name for path in paths if path.parent == directory])
            if encoder is None:
                self._did(directory, "damaged shards removed; their encoder is not known here, and makes them again")
                continue
            corpora = self._corpora(encoder)
            for home in _derived(root):
                if list(home.glob(f"places-{encoder.key}.*")):
                    self._try(home, partial(self._embed, corpora, home), "embedded again")
            for mix, values in list(mixes(root)):
                if values["encoder"] == encoder.key:
                    self._try(mix, partial(Mix(mix, self.workshop).rebuild, encoder), "has all its vectors")

    def _embed(self, corpora: Corpora, home: Path) -> None:
        corpora.places(self.catalogue.corpus(home.parent.name, home.name))

    def _encoder(self, key: str) -> Encoder | None:
        own = self.workshop.corpora.encoder
        return own if own.key == key else encoder_of(self.catalogue.root / "vectors" / "encoders.json", key)

    def places(self, _: list[Path]) -> None:
        """Those that are damaged, or name shards that are not there, are made again where nothing need be encoded."""
        root = self.catalogue.root
        for home in _derived(root):
            for path in sorted({path.with_suffix(".parquet") for path in home.glob("places-*")}):
                key = path.stem.removeprefix("places-")
                known = Places.load(path)
                if known is not None and VectorStore(root / "vectors" / key).holds(known):
                    continue
                for file in (path.with_suffix(".json"), path):
                    remove(file)
                corpora = self._corpora(StoredEncoder(key, root))
                try:
                    corpus = self.catalogue.corpus(home.parent.name, home.name)
                    made = not corpora.missing(corpus) and len(corpora.places(corpus)) > 0
                except CuratorError:
                    made = False
                self._did(path, "made again" if made else "removed; it is made again when it is needed")

    def indexes(self, paths: list[Path]) -> None:
        """Approximate indexes are built with what was asked of them, where their description tells it."""
        for folder in dict.fromkeys(path.parent for path in paths):
            told, home = folder / indexes.MANIFEST, folder.parent
            name, key = home.parent.name, folder.name.removeprefix(indexes.PREFIX)
            known = told not in paths or is_older(told)
            asked, queries, source = indexes.asked_of(folder, but=set(paths)) if known else (None, None, "")
            shutil.rmtree(folder)
            if asked is None:
                self.done.append(f"the index of {name} was dropped: curator index {name} builds it again")
                continue
            corpora = self._corpora(StoredEncoder(key, self.catalogue.root))
            try:
                relation = corpora.relation(self.catalogue.corpus(name, home.name))
                indexes.build(relation, asked, queries=queries, source=source, anew=True)
                self._did(folder, f"built again with a recall of {asked.recall:g}")
            except CuratorError as error:
                self.done.append(f"the index of {name} was dropped ({error}): curator index {name} builds it again")

    def caches(self, paths: list[Path]) -> None:
        """What is made again when it is next needed."""
        for path in paths:
            remove(path.parent if path.parent.name == "bm25" else path)
            self._did(path, "removed; it is made again when it is needed")

    # Mixes and races

    def mixes(self, paths: list[Path]) -> None:
        """Files of a mix are built again from its lockfile; a mix without one is dropped."""
        for directory in dict.fromkeys(path.parent for path in paths):
            if lock_of(directory) is None:
                with self.catalogue.writing():
                    remove(directory)
                self.done.append(f"the mix {directory.parent.name} ({directory.name}): {DROP.partition(': ')[2]}")
                self._point(directory.parent)
                continue
            try:
                Mix(directory, self.workshop).restore()
                self._did(directory, "rebuilt from its lockfile")
            except CuratorError as error:
                self.why |= {path: str(error) for path in paths if path.parent == directory}

    def mix_pointers(self, paths: list[Path]) -> None:
        """Names of mixes: the one that was built last."""
        for path in paths:
            self._point(path.parent)

    def tags(self, paths: list[Path]) -> None:
        """Tags that cannot be read are dropped."""
        for path in paths:
            remove(path)
            self._did(path, "removed, and the tags with it: curator tag puts them on again")

    def _point(self, home: Path) -> None:
        stored = {folder.name: lock_of(folder) for folder in folders(home) if (folder / LOCK).exists()}
        times = {name: values["created"] for name, values in stored.items() if values is not None}
        current = home / CURRENT
        if is_sealed(current) and read_json(current)["version"] in times:
            return
        with self.catalogue.writing():
            if times:
                best = max(times, key=lambda name: times[name])
                write_sealed(current, {"version": best})
                self._did(current, f"the name means version {best}")
            else:
                remove(home)

    def races(self, paths: list[Path]) -> None:
        """A run is trained again when its race is, a selection or look made; a record stays for a person to look at."""
        for path in paths:
            again = (
                "makes"
                if path.name == "look.json"
                else {"runs": "trains", "selections": "chooses"}.get(path.parent.name)
            )
            if again:
                remove(path)
                self._did(path, f"removed; curator race, with its recipe, {again} it again")

    # What they share

    def _corpora(self, encoder: Encoder) -> Corpora:
        return Corpora(self.catalogue, lambda: encoder)

    def _did(self, path: Path, what: str) -> None:
        self.done.append(f"{path.relative_to(self.catalogue.root).as_posix()}: {what}")

    def _try(self, path: Path, job: Callable[[], object], what: str) -> None:
        try:
            job()
            self._did(path, what)
        except CuratorError as error:
            self.done.append(f"{path.relative_to(self.catalogue.root).as_posix()}: {error}")


def _asked(manifest: dict[str, Any], paths: list[Path]) -> tuple[list[str] | list[Path], Path | None]:
    """How a person named the files of a version, where that still means them; else these."""
    if asked := manifest.get("asked"):
        base = asked["base"] and Path(asked["base"])
        try:
            if [path.absolute() for path in files(asked["origin"], base)] == paths:
                return asked["origin"], base
        except CuratorError:
            pass
    return paths, None


def _lost(corpus: Corpus, path: Path) -> str:
    part = next(part for part in corpus.manifest["parts"] if path.name in part["sha256"])
    kind = path.name.partition("-")[0]
    return f"{part['rejects' if kind == 'rejects' else 'documents']:,} {kind} are lost unless it comes back"


def _derived(root: Path) -> list[Path]:
    return [version for corpus in folders(root / "indexes") for version in folders(corpus)]
