"""Removing documents everywhere: from corpora, vectors, indexes, mixes and the records of races.

What tells where a document was goes last, so that after a kill the same call finds it again and ends the work: first
the hash of its text is written down (a text so listed is not read again), then mixes and races, what is derived, the
vectors, and at the end the versions of its corpus, in each of which the manifest is replaced by one that names files
without the document.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curator import calibration, indexes
from curator.catalogue import COPY, FORGOTTEN, MANIFEST, Catalogue, Corpus, version_of
from curator.catalogue.parts import FORGOTTEN_REASON, by_line, set_aside
from curator.documents import REJECT_COLUMNS, Piece, Reject, reject_table
from curator.errors import UnknownNameError, UsageError
from curator.files import (
    is_sealed,
    is_written,
    read_json,
    remove,
    sha256,
    write_bytes,
    write_json,
    write_npy,
    write_sealed,
)
from curator.mix import CHANGED, FILES, digest, seal, summarise
from curator.storage import here
from curator.upkeep.gc import renew
from curator.upkeep.layout import folders, mixes, trial_files
from curator.vectors import VectorStore, text_hash

Keys = set[tuple[str, str]]  # by which a mix knows a document: pool's name, or target, dev, test; and its id


@dataclass(frozen=True)
class Forgotten:
    """From where a document was removed, and where it may still be."""

    document: str
    versions: tuple[str, ...]  # of its corpus, that held it
    mixes: tuple[str, ...]  # that had it among their documents
    pools: tuple[str, ...]  # that saw it and left it out, or have it as an example of the task
    indexes: tuple[str, ...]  # that must be built again: curator index
    models: tuple[str, ...]  # that may have been trained on it
    origin: tuple[str, ...]  # files that still hold it, or may
    same_text: tuple[str, ...]  # other documents with this text, whose vector stays

    def __str__(self) -> str:
        lines = [f"{self.document}: forgotten in {len(self.versions):,} versions of its corpus"]
        told = {
            "removed from these mixes": self.mixes,
            "removed from what these mixes only saw": self.pools,
            "removed with it, to be built again by curator index": self.indexes,
            "may have been trained on it": self.models,
            "not touched, and may still hold it": self.origin,
            "has the same text, which therefore stays; read again, it will be set aside": self.same_text,
        }
        return "\n".join([*lines, *(f"  {what}: {', '.join(names)}" for what, names in told.items() if names)])


def forget(catalogue: Catalogue, documents: Sequence[str]) -> list[Forgotten]:
    """Remove documents, each named ``corpus:id``, everywhere in a workspace. Its origin is not touched.

    Raises UnknownNameError for one that there is not, before anything is removed, UsageError where nothing would be
    left of a corpus, WorkspaceError where what must be read is damaged.
    """
    names = {document: document.partition(":")[0] for document in documents if ":" in document}
    for document in documents:
        if document not in names:
            raise UsageError(f"{document!r}: a document is named corpus:id")
        if names[document] not in catalogue.names():
            raise UnknownNameError("corpus", names[document], catalogue.names())
    with catalogue.writing():
        for name in sorted(set(names.values())):
            _finish(catalogue, name)
        found = [(document, _texts(catalogue, document)) for document in documents]
        return [_forget(catalogue, document, texts) for document, texts in found]


def _finish(catalogue: Catalogue, name: str) -> None:
    """Remove files that no manifest names: a call that was killed has left them, or a run that was not ended."""
    home = catalogue.root / "corpora" / name
    for version in catalogue.versions(name):
        corpus = catalogue.corpus(name, version)
        named = {MANIFEST, COPY, *(file for part in corpus.manifest["parts"] for file in part["sha256"])}
        for path in corpus.directory.iterdir():
            if path.name not in named:
                remove(path)
    for path in [*home.glob(".writing"), *home.glob(".earlier-*"), *home.glob(".gone-*")]:
        remove(path)


def _texts(catalogue: Catalogue, document: str) -> set[str]:
    """The texts that a document has in the versions of its corpus."""
    name, _, key = document.partition(":")
    found, near = set[str](), set[str]()
    for version in catalogue.versions(name):
        corpus = catalogue.corpus(name, version)
        rows = corpus.scan().select("id", "text").filter(pl.col("id") == key).collect()
        found |= set(rows["text"])
        if len(rows) and corpus.documents == len(rows):
            raise UsageError(f"{document} is all that version {version} of {name!r} holds; delete {corpus.directory}")
        if not found:
            near |= set(corpus.scan().select("id").collect()["id"])
    if not found:
        raise UnknownNameError("document", key, near)
    return found


def _forget(catalogue: Catalogue, document: str, texts: set[str]) -> Forgotten:
    root, (name, _, key) = catalogue.root, document.partition(":")
    hashes = text_hash(sorted(texts))
    home = root / "corpora" / name
    known = set(read_json(home / FORGOTTEN)["texts"]) if (home / FORGOTTEN).exists() else set()
    write_sealed(home / FORGOTTEN, {"texts": sorted(known | {row.tobytes().hex() for row in hashes})})
    versions = [catalogue.corpus(name, version) for version in catalogue.versions(name)]
    held = [corpus for corpus in versions if key in corpus.scan().select("id").collect()["id"]]
    chosen, seen, trained = _from_mixes(root, name, key, texts)
    derived = [root / "indexes" / name / corpus.version for corpus in held]
    indexed = [folder for home in derived for folder in home.glob(f"{indexes.PREFIX}*")]
    indexed += _keeping(root, name)
    again = sorted({folder.parent.parent.name for folder in indexed})
    for folder in [*derived, *indexed]:
        shutil.rmtree(folder, ignore_errors=True)
    for path in root.glob(f"indexes/*/*/{calibration.FILES}"):
        if calibration.against(path) in {(name, corpus.version) for corpus in held}:
            remove(path)
    for path in trial_files(root):
        remove(path)  # losses of documents, which may be those of this one
    same = _same_text(catalogue, document, texts)
    if not same:
        for directory in folders(root / "vectors"):
            VectorStore(directory).forget(hashes)
            renew(catalogue, VectorStore(directory), {(c, v) for c in catalogue.names() for v in catalogue.versions(c)})
    for corpus in sorted(versions, key=lambda corpus: corpus in held):
        _from_version(corpus, key, texts)
    homes = [home for recipe in sorted(trained) for home in (root / "models" / recipe, *_models_of(root, recipe))]
    models = [home.relative_to(root).as_posix() for home in homes]
    return Forgotten(
        document,
        tuple(corpus.version for corpus in held),
        tuple(sorted(chosen)),
        tuple(sorted(seen - chosen)),
        tuple(again),
        tuple(path for path in models if (root / path).is_dir()),
        tuple(sorted({entry["path"] for corpus in held for entry in corpus.manifest["origin"]})),
        tuple(same),
    )


def _keeping(root: Path, name: str) -> list[Path]:
    """Indexes that may keep vectors of a corpus's documents, though no version of theirs has them.

    As queries that they were measured on, or as entries of a graph whose rows are gone.
    """
    found = []
    for path in root.glob(f"indexes/*/*/{indexes.PREFIX}*/{indexes.MANIFEST}"):
        told = read_json(path) if is_sealed(path) else {}
        if told.get("source") == f"corpus {name}" or (path.parts[-4] == name and told.get("dead")):
            found.append(path.parent)
    return found


def _same_text(catalogue: Catalogue, document: str, texts: set[str]) -> list[str]:
    """Other documents, of any version of any corpus, with one of these texts."""
    found = set[str]()
    for name in catalogue.names():
        for version in catalogue.versions(name):
            scan = catalogue.corpus(name, version).scan().select("id", "text")
            found |= {f"{name}:{key}" for key in scan.filter(pl.col("text").is_in(list(texts))).collect()["id"]}
    return sorted(found - {document})


# A version of its corpus


def _from_version(corpus: Corpus, key: str, texts: set[str]) -> None:
    """Replace a manifest by one of files without the document, and without rejects that quote it."""
    directory, manifest = corpus.directory, corpus.manifest
    parts = [_from_part(directory, part, key, texts) for part in manifest["parts"]]
    if parts == manifest["parts"]:
        return
    documents = sum(part["documents"] for part in parts)
    after = {
        **manifest,
        "parts": parts,
        "documents": documents,
        "rejects": sum(part["rejects"] for part in parts),
        "content": version_of({"parts": parts}),
        "forgotten": manifest.get("forgotten", 0) + manifest["documents"] - documents,
    }
    for file in (COPY, MANIFEST):
        write_sealed(directory / file, after)
    for file in {f for part in manifest["parts"] for f in part["sha256"]} - {
        f for part in parts for f in part["sha256"]
    }:
        remove(directory / file)


def _from_part(directory: Path, part: dict[str, Any], key: str, texts: set[str]) -> dict[str, Any]:
    """A part without the document, in files of other names; itself where it has nothing of it."""
    files = {name.partition("-")[0]: name for name in part["sha256"]}
    kept = np.ones(part["documents"], np.bool_)
    if "documents" in files:
        frame = pl.read_parquet(here(directory / files["documents"]))
        kept = (frame["id"] != key).to_numpy()
    rejects = pl.DataFrame(schema=REJECT_COLUMNS)
    if "rejects" in files:
        rejects = pl.read_parquet(directory / files["rejects"])
    quoting = [
        _quotes(reason, excerpt, key, texts) for reason, excerpt in rejects.select("reason", "excerpt").iter_rows()
    ]
    if kept.all() and not any(quoting):
        return part
    pieces, aside = set_aside(tuple(map(Piece.from_json, part["pieces"])), kept, FORGOTTEN_REASON)
    others = [Reject(*row) for row in rejects.filter(~pl.Series(quoting, dtype=pl.Boolean)).iter_rows()]
    rejects = reject_table(by_line([*others, *aside], pieces))
    sums = dict[str, str]()
    if not kept.all() and kept.any():
        sums |= _written(directory, files["documents"], frame.filter(kept))
        if "vectors" in files:
            sums |= _written(directory, files["vectors"], np.load(here(directory / files["vectors"]))[kept])
    elif kept.all():
        sums |= {files[kind]: part["sha256"][files[kind]] for kind in ("documents", "vectors") if kind in files}
    if len(rejects):
        sums |= _written(directory, files.get("rejects", f"rejects-{_number(files):05}.parquet"), rejects)
    return {
        **part,
        "documents": int(kept.sum()),
        "rejects": len(rejects),
        "vectors": part["vectors"] if kept.any() else None,
        "pieces": [piece.to_json() for piece in pieces],
        "sha256": sums,
    }


def _quotes(reason: str, excerpt: str, key: str, texts: set[str]) -> bool:
    """Whether a reject tells something of the document: its id, or how its text begins."""
    head = any(excerpt and (text.strip().startswith(excerpt) or text.strip()[:40] in excerpt) for text in texts)
    return head or f"'{key}'" in reason or f'"{key}"' in excerpt


def _number(files: dict[str, str]) -> int:
    return int(re.findall(r"-(\d+)", next(iter(files.values())))[0])


def _written(directory: Path, name: str, value: Any) -> dict[str, str]:
    """Write a frame or an array under the next name after ``name``, and return that with its checksum."""
    stem, _, suffix = name.partition(".")
    stem, _, number = stem.partition("_")
    path = directory / f"{stem}_{int(number or 0) + 1}.{suffix}"
    if isinstance(value, pl.DataFrame):
        write_bytes(path, value.write_parquet)
    else:
        write_npy(path, np.ascontiguousarray(value))
    return {path.name: sha256(path)}


# Mixes and races


def _from_mixes(root: Path, name: str, key: str, texts: set[str]) -> tuple[set[str], set[str], set[str]]:
    """Remove it from every mix. Returns the mixes that chose it, that saw it, and recipes that may train on it."""
    chosen, seen, trained, replaying = set[str](), set[str](), set[str](), list[tuple[str, str]]()
    for directory, values in mixes(root):
        if "replay" in values:
            replaying.append((values["recipe"]["name"], values["replay"]["mix"]))
        roles = [(entry["role"], entry["name"]) for entry in values["corpora"] if entry["corpus"] == name]
        if not roles:
            continue
        keys = {(known, key) for role, called in roles for known in _known_as(role, called)}
        called, recipe = f"{values['name']} ({directory.name})", values["recipe"]["name"]
        in_mix, in_pool = _from_mix(directory, values, keys, texts)
        example = any(role in ("target", "dev") for role, _ in roles)
        chosen |= {called} if in_mix else set()
        seen |= {called} if in_mix or in_pool or example else set()
        trained |= {recipe} if in_mix or example else set()
        for home in _races_of(root, recipe):
            _from_race(home, keys, texts)
    while later := {recipe for recipe, mix in replaying if re.sub(r"-seed\d+$", "", mix) in trained} - trained:
        trained |= later  # its model was trained on what the other's was
    return chosen, seen, trained


def _known_as(role: str, name: str) -> list[str]:
    """What a mix calls the documents of a corpus. Dev and test documents may be cut from the target."""
    if role == "earlier" and name.endswith("-target"):
        return [name, *(f"{name.removesuffix('target')}{part}" for part in ("dev", "test"))]
    return {"pool": [name], "earlier": [name], "target": ["target", "dev", "test"]}.get(role, [role])


def _from_mix(directory: Path, values: dict[str, Any], keys: Keys, texts: set[str]) -> tuple[bool, bool]:
    """Whether a stored mix had it, and whether its pool did; afterwards it has nothing of it."""
    frames = {name: pl.read_parquet(directory / name) for name in FILES if name.endswith(".parquet")}
    without = {name: frame.filter(~_is(keys, "corpus", "id")) for name, frame in frames.items()}
    partner = _is(keys, "partner_corpus", "partner_id").fill_null(value=False)
    words = [re.escape(word) for word in [*{f"{corpus}:{key}" for corpus, key in keys}, *texts]]
    tells = pl.col("reason").str.contains(rf"(^|\W)({'|'.join(words)})(\W|$)").fill_null(value=False)
    without["ledger.parquet"] = without["ledger.parquet"].with_columns(
        *(pl.when(~partner).then(column).alias(column) for column in ("partner_corpus", "partner_id")),
        pl.when(~tells).then("reason").alias("reason"),
    )
    lengths = {name: len(frames[name]) != len(without[name]) for name in frames}
    if all(frames[name].equals(without[name]) for name in frames) and _is_sealed_over(directory, values):
        return False, False
    summary = read_json(directory / "summary.json")
    ledger, mix, pool, partners = (without[f"{name}.parquet"] for name in ("ledger", "mix", "pool", "partners"))
    seconds = {row["stage"]: row["seconds"] for row in summary["funnel"]}
    known = {(corpus, key): text for corpus, key, text in partners.iter_rows()}
    parameters = {stage["name"]: stage["parameters"] for stage in values["stages"]}
    hashed = digest(mix, texts=CHANGED in values)
    summary |= summarise(ledger, pool, mix, known, seconds, parameters) | {"digest": hashed}
    for name, frame in without.items():
        write_bytes(directory / name, frame.write_parquet)
    write_json(directory / "summary.json", summary)
    counts = {"documents": len(mix), "ids_sha256": hashed, "forgotten": values.get("forgotten", 0) + 1}
    seal(directory, {**values, **counts})
    return lengths["mix.parquet"], lengths["pool.parquet"]


def _is_sealed_over(directory: Path, values: dict[str, Any]) -> bool:
    return all(sha256(directory / name) == checksum for name, checksum in values["sha256"].items())


def _is(keys: Keys, corpus: str, key: str) -> pl.Expr:
    return pl.any_horizontal((pl.col(corpus) == one) & (pl.col(key) == other) for one, other in sorted(keys))


def _models_of(root: Path, recipe: str) -> list[Path]:
    return [home / "model" for home in _races_of(root, recipe)]


def _races_of(root: Path, recipe: str) -> list[Path]:
    """The folders of a recipe's race, of that by a probe, and of one that is a point of curves."""
    return [root / "races" / recipe, root / "races" / f"{recipe}-probe", *root.glob(f"races/*/points/{recipe}")]


def _from_race(home: Path, keys: Keys, texts: set[str]) -> None:
    """Remove it from the record of a race, and the report, the look and what its arms chose, which are made again."""
    remove(home / "report.html")
    remove(home / "look.json")
    remove(home / "selections")
    record = home / "record.json"
    if not is_written(record):
        return
    values = read_json(record)
    if values.get("kind") == "curves":  # which has no document
        return
    ids = {key for _, key in keys}
    held_out = [("test", values["evaluation"])]
    held_out += [(f"{one['mix']['mix']}-test", one["evaluation"]) for one in values.get("replay", {}).get("tasks", ())]
    for corpus, told in held_out:
        told["ids"] = [FORGOTTEN_REASON if key in ids and (corpus, key) in keys else key for key in told["ids"]]
    if values["mix"] and "examples" in values["mix"]:  # of an older record
        values["mix"]["examples"] = [one for one in values["mix"]["examples"] if not _tells(one, keys, texts)]
    write_sealed(record, values)


def _tells(example: dict[str, Any], keys: Keys, texts: set[str]) -> bool:
    """Whether an example is the document, or names it as a partner."""
    partner = (example.get("partner_corpus"), example.get("partner_id"))
    return (
        (example["corpus"], example["id"]) in keys
        or partner in keys
        or example["partner_text"] in texts
        or any(f"held against {corpus}:{key} “" in example["sentence"] for corpus, key in keys)  # of an older record
    )
