"""What of a workspace is not what was written: every file that has a checksum is compared with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from curator import calibration, indexes
from curator.catalogue import COPY, FORGOTTEN, LICENCE, MANIFEST, Catalogue, Corpus
from curator.files import is_coming, is_older, is_sealed, is_written, read_json, sha256
from curator.mix import CURRENT, LOCK, TAGS, lock_of
from curator.mix.locked import mixes_of
from curator.upkeep.layout import folders, manifest_of
from curator.vectors import Places, VectorStore

GONE, CHANGED, OLDER = "is gone", "is not what was written", "has no checksum: it is of an older format"

ADD_AGAIN = "add the corpus again, and what is whole will be kept"
FROM_OTHER = "it is written again, from the manifest or its copy"
FROM_ORIGIN = "it is read again from its origin, where that is as it was"
EMBED = "its texts are embedded again"
MADE_AGAIN = "it is made again"
INDEX = "the index is built again"
NEWEST = "the name comes to mean what was written last"
REBUILD = "it is rebuilt from the lockfile"
DROP = "the mix is dropped: curator mix, with its recipe, makes it again"
UNTAGGED = "its tags are dropped: curator tag puts them on again"
RACE = "curator race, with its recipe, makes it again"
SEARCH = "it is removed: curator tune, with its recipe, searches again"


@dataclass(frozen=True)
class Damage:
    """A file that is not what was written."""

    path: str  # relative to the workspace
    what: str
    remedy: str  # what repair does; else what a person can do

    def __str__(self) -> str:
        return f"{self.path} {self.what}: {self.remedy}"


def check(catalogue: Catalogue) -> list[Damage]:
    """The damaged files of a workspace, by path. Reads all of it; models have no checksum, and are not looked at.

    Others may write meanwhile: what is on its way is no damage.
    """
    root, found = catalogue.root, dict[str, Damage]()
    for part in (_corpora, _vectors, _shards_without_manifest, _derived, _mixes, _races, _tunings):
        for path, remedy in part(root):
            what = GONE if not path.exists() else OLDER if is_older(path) else CHANGED
            damage = Damage(path.relative_to(root).as_posix(), what, remedy)
            found.setdefault(damage.path, damage)
    return [found[path] for path in sorted(found)]


Found = Iterator[tuple[Path, str]]  # a damaged file, and its remedy


def _corpora(root: Path) -> Found:
    for home in folders(root / "corpora"):
        pointer = home / CURRENT
        present = home / read_json(pointer)["version"] if is_sealed(pointer) else None
        versions = folders(home)  # afterwards: what the name comes to mean is there before it does
        if present is not None and present not in versions:
            yield present / MANIFEST, ADD_AGAIN
        elif present is None and (versions or pointer.exists()) and _incomplete(partial(_unsealed, pointer)):
            yield pointer, NEWEST if versions else ADD_AGAIN
        if (home / FORGOTTEN).exists() and not is_sealed(home / FORGOTTEN):
            yield home / FORGOTTEN, "it cannot be made again: forget the documents once more when they come back"
        if (home / LICENCE).exists() and not is_sealed(home / LICENCE):
            yield home / LICENCE, "say the licence again: curator add … --licence"
        for directory in versions:
            yield from _version(home.name, directory)


def _gone(path: Path) -> Path | None:
    return None if path.exists() else path


def _unsealed(path: Path) -> Path | None:
    return None if is_sealed(path) else path


def _version(name: str, directory: Path) -> Found:
    whole = [file for file in (MANIFEST, COPY) if manifest_of(directory, file)]
    for file in (MANIFEST, COPY):
        if file not in whole:
            yield directory / file, FROM_OTHER if whole or is_older(directory / MANIFEST) else ADD_AGAIN
    if whole:
        corpus = Corpus.open(name, directory.name, directory, whole[0])
        yield from ((directory / file, FROM_ORIGIN) for file in corpus.damaged())


def _vectors(root: Path) -> Found:
    for directory in folders(root / "vectors"):
        yield from ((directory / name, EMBED) for name in VectorStore(directory).verify())
    memory = root / "vectors" / "encoders.json"
    if memory.exists() and not is_written(memory):
        yield memory, MADE_AGAIN


def _shards_without_manifest(root: Path) -> Found:
    """Shards that are there but for what is written last; such as a run that was killed may leave, too."""
    for directory in folders(root / "vectors"):
        for vectors in directory.glob("[!.]*.npy"):
            if (manifest := _incomplete(partial(_lost_manifest, vectors))) is not None:
                yield manifest, EMBED


def _lost_manifest(vectors: Path) -> Path | None:
    return _gone(vectors.with_suffix(".json")) if vectors.with_suffix(".parquet").exists() else None


def _derived(root: Path) -> Found:
    for home in (version for corpus in folders(root / "indexes") for version in folders(corpus)):
        for path in {path.with_suffix(".parquet") for path in home.glob("places-*")}:
            if (damaged := _incomplete(partial(Places.damaged, path))) is not None:
                yield damaged, MADE_AGAIN
                continue
            store = root / "vectors" / path.stem.removeprefix("places-")
            manifests = [store / f"{shard}.json" for shard in Places.read(path).shards]
            yield from ((manifest, EMBED) for manifest in manifests if _incomplete(partial(_gone, manifest)))
        for folder in home.glob(f"{indexes.PREFIX}*"):
            if (damaged := _incomplete(partial(_damaged_index, folder))) is not None:
                yield damaged, INDEX
        yield from ((path, MADE_AGAIN) for path in home.glob(calibration.FILES) if not is_sealed(path))
        if (home / "bm25").is_dir():
            yield from _bm25(home / "bm25")


def _damaged_index(folder: Path) -> Path | None:
    told = folder / indexes.MANIFEST
    if _unsealed(told):
        return told
    checksums = read_json(told)["sha256"]
    return next((folder / name for name, checksum in checksums.items() if not _has(folder / name, checksum)), None)


def _bm25(folder: Path) -> Found:
    manifest = folder / "manifest.json"
    if not is_sealed(manifest):
        yield manifest, MADE_AGAIN
        return
    for name, checksum in read_json(manifest)["sha256"].items():
        if not _has(folder / name, checksum):
            yield folder / name, MADE_AGAIN


def _mixes(root: Path) -> Found:
    for home in folders(root / "mixes"):
        stored = [directory for directory in folders(home) if (directory / LOCK).exists()]
        pointer = home / CURRENT
        if is_sealed(pointer):
            stored = sorted({*stored, home / read_json(pointer)["version"]})
        elif (stored or pointer.exists()) and _incomplete(partial(_unsealed, pointer)):
            yield pointer, NEWEST if stored else DROP
        if (home / TAGS).exists() and not is_sealed(home / TAGS):
            yield home / TAGS, UNTAGGED
        for directory in stored:
            values = lock_of(directory)
            if values is None:
                yield directory / LOCK, DROP
                continue
            for name, checksum in values["sha256"].items():
                if not _has(directory / name, checksum):
                    yield directory / name, REBUILD
            for entry in values["corpora"]:
                version = root / "corpora" / entry["corpus"] / entry["version"]
                if not version.exists():
                    yield version / MANIFEST, f"the mix {values['name']} cannot be rebuilt; {ADD_AGAIN}"
            for used in mixes_of(values):
                other = root / "mixes" / used["mix"] / used["version"]
                if not other.exists():
                    told = f"curator mix, with the recipe of {used['mix']}, may make it again"
                    yield other / LOCK, f"the mix {values['name']} cannot be rebuilt; {told}"


def _races(root: Path) -> Found:
    races = folders(root / "races")
    for home in [*races, *(point for race in races for point in folders(race / "points"))]:
        kept = [
            path for part in ("runs", "selections", "probe/runs") for path in sorted(home.glob(f"{part}/[!.]*.json"))
        ]
        files = [*home.glob("record.json"), *home.glob("look.json"), *kept]
        yield from ((path, RACE) for path in files if not is_sealed(path) and not is_older(path))


def _tunings(root: Path) -> Found:
    for home in folders(root / "tunings"):
        yield from ((path, SEARCH) for path in sorted(home.glob("[!.]*.json")) if not is_sealed(path))


def _incomplete(look: Callable[[], Path | None]) -> Path | None:
    """The damaged one of files that are complete once a .json beside them is, unless that is on its way."""
    path = look()
    if path is None or is_coming(path.with_suffix(".json")):
        return None
    return look()  # it may have come in between


def _has(path: Path, checksum: str) -> bool:
    return path.is_file() and sha256(path) == checksum
