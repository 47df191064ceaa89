"""Giving up what nothing refers to any more."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curator import calibration
from curator.catalogue import Catalogue
from curator.corpora import Corpora
from curator.errors import WorkspaceError
from curator.files import leftovers, read_json, remove
from curator.mix import LOCK, StoredEncoder
from curator.upkeep.layout import Version, folders, kept, mixes, trial_files
from curator.vectors import HashSet, Places, VectorStore, text_hash

GONE = ".gone-"  # before the version of a corpus that is being removed


@dataclass(frozen=True)
class Collected:
    """What was given up, or would be: how many of each, and the bytes of them all."""

    versions: int  # of corpora
    derived: int  # indexes and the like of versions that are not there, folders and files
    unfinished: int  # corpora and mixes that were being written
    leftovers: int  # files half-written
    shards: int  # of vectors: removed, or replaced by one of the vectors that are in use
    bytes: int
    dry_run: bool

    def __str__(self) -> str:
        counts = {
            "versions of corpora": self.versions,
            "indexes and the like": self.derived,
            "unfinished corpora and mixes": self.unfinished,
            "half-written files": self.leftovers,
            "shards of vectors": self.shards,
        }
        listed = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        if not listed:
            return "everything is in use"
        return f"{'would remove' if self.dry_run else 'removed'} {listed}: {self.bytes:,} bytes"


def gc(catalogue: Catalogue, *, dry_run: bool = False) -> Collected:
    """Remove what nothing refers to. Nothing that is in use need be embedded again afterwards.

    Raises WorkspaceError where something is damaged that tells what is in use, and while another process writes.
    """
    with catalogue.writing():
        used = kept(catalogue)
        live = _live(catalogue, used)
        versions, derived = (_unused(catalogue.root / kind, used) for kind in ("corpora", "indexes"))
        derived += _calibrations(catalogue.root, used) + _trials(catalogue.root)
        unfinished, half = _unfinished(catalogue.root), _half_written(catalogue.root)
        going = [*versions, *derived, *unfinished, *half]
        freed = _bytes(going)
        if not dry_run:
            for path in versions:
                remove(path.rename(path.with_name(GONE + path.name)))  # so that it goes at once
            for path in [*derived, *unfinished, *half]:
                remove(path)
        shards = 0
        for directory in folders(catalogue.root / "vectors"):
            store = VectorStore(directory)
            told = store.would_free(live) if dry_run else store.collect(live)
            shards, freed = shards + told.removed + told.rewritten, freed + told.bytes
            if not dry_run:
                renew(catalogue, store, used)
        for home in (path for kind in ("corpora", "indexes") for path in folders(catalogue.root / kind)):
            if not dry_run and not any(home.iterdir()):
                home.rmdir()
    return Collected(len(versions), len(derived), len(unfinished), len(half), shards, freed, dry_run)


def _unused(folder: Path, used: set[Version]) -> list[Path]:
    """The folders of versions of corpora that are not in use."""
    of = ((home.name, version) for home in folders(folder) for version in folders(home))
    return [version for name, version in of if (name, version.name) not in used]


def _calibrations(root: Path, used: set[Version]) -> list[Path]:
    """Those against versions of corpora that are not in use, beside versions that are."""
    found = ((path, calibration.against(path)) for path in root.glob(f"indexes/*/*/{calibration.FILES}"))
    return [path for path, other in found if other not in (None, *used) and _version_of(path) in used]


def _trials(root: Path) -> list[Path]:
    """Those of probes that no stored mix found its ratio by."""
    summaries = [read_json(directory / "summary.json") for directory, _ in mixes(root)]
    named = {row["panel"] for summary in summaries for row in summary.get("mixtures", ())}
    return [path for path in trial_files(root) if path.stem not in named]


def _version_of(path: Path) -> Version:
    return path.parent.parent.name, path.parent.name


def _live(catalogue: Catalogue, used: set[Version]) -> HashSet:
    """The hash of each text that curator embeds. Raises WorkspaceError where a corpus is damaged."""
    hashes = [np.empty((0, 2), np.uint64)]
    for name, version in sorted(used):
        corpus = catalogue.corpus(name, version)
        if damaged := corpus.damaged():
            raise WorkspaceError(f"{corpus.directory / damaged[0]} is damaged; first: curator check --repair")
        if not corpus.has_own_vectors:
            hashes += [text_hash(corpus.texts(shards)) for _, _, shards in corpus.windows()]
    return HashSet.of(np.concatenate(hashes))


def _unfinished(root: Path) -> list[Path]:
    """Corpora that were being written or removed, and mixes without a lockfile, which is written last."""
    corpora = [
        path
        for home in folders(root / "corpora")
        for pattern in (".writing", ".earlier-*", f"{GONE}*")
        for path in home.glob(pattern)
    ]
    mixes = [path for home in folders(root / "mixes") for path in folders(home) if not (path / LOCK).exists()]
    return [*corpora, *mixes]


def _half_written(root: Path) -> list[Path]:
    """Files half-written by processes that run no more, but for those that go with their folder or their store."""
    found = {path.parent for path in root.rglob(".*.part")}
    inside = [path for folder in sorted(found) if folder.parent.name != "vectors" for path in leftovers(folder)]
    return [path for path in inside if not any(part.startswith(".") for part in path.relative_to(root).parts[:-1])]


def _bytes(paths: list[Path]) -> int:
    """What removing files and folders frees. A file with a second name elsewhere stays."""
    names: dict[tuple[int, int], list[int]] = {}
    for path in paths:
        for file in [path, *path.rglob("*")]:
            if file.is_file():
                stat = file.stat()
                names.setdefault((stat.st_dev, stat.st_ino), [stat.st_size, stat.st_nlink]).append(0)
    return sum(size for size, links, *here in names.values() if len(here) >= links)


def renew(catalogue: Catalogue, store: VectorStore, used: set[Version]) -> None:
    """Find again where vectors are whose shards were replaced."""
    corpora = Corpora(catalogue, lambda: StoredEncoder(store.directory.name, catalogue.root))
    for name, version in sorted(used):
        path = catalogue.root / "indexes" / name / version / f"places-{store.directory.name}.parquet"
        places = Places.load(path)
        if places is not None and not store.holds(places):
            for file in (path.with_suffix(".json"), path):
                remove(file)
            corpus = catalogue.corpus(name, version)
            if not corpora.missing(corpus):
                corpora.places(corpus)
