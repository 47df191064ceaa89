"""The documents of stored mixes, to choose from again: each once, whichever of the mixes have it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curator.catalogue import Catalogue, Corpus
from curator.catalogue.corpus import is_whole
from curator.corpora import Corpora
from curator.documents import kept_labels
from curator.errors import RecipeError, UnknownNameError, WorkspaceError
from curator.files import read_json
from curator.mix.locked import CURRENT, lock_of
from curator.mix.members import members
from curator.relation import Relation

KEY = ["corpus", "id"]
DOCUMENT = [*KEY, "text", "label", "source", "weight"]
DOCUMENTS = "mix.parquet"
MIXES, CONFLICT = "mixes", "conflict"  # columns: which mixes have a document, and what labels where they disagree


@dataclass(frozen=True)
class StoredMix:
    """A stored mix in one version: its lockfile and its documents."""

    name: str
    version: str
    lock: dict[str, Any]
    frame: pl.DataFrame

    @classmethod
    def open(cls, catalogue: Catalogue, name: str, version: str | None = None) -> "StoredMix":
        """The present version of a mix, or a given one. Raises UnknownNameError, or WorkspaceError if it is no more."""
        home = catalogue.root / "mixes"
        if version is None:
            if not (home / name / CURRENT).exists():
                raise UnknownNameError("mix", name, [path.parent.name for path in home.glob(f"*/{CURRENT}")])
            version = str(read_json(home / name / CURRENT)["version"])
        directory: Path = home / name / version
        lock = lock_of(directory)
        if lock is None or not is_whole(directory / DOCUMENTS, lock["sha256"][DOCUMENTS]):
            raise WorkspaceError(f"{directory}: this version of the mix {name!r} is not there any more, or is damaged")
        return cls(name, version, lock, pl.read_parquet(directory / DOCUMENTS))

    def told(self) -> dict[str, Any]:
        """What a lockfile says of it."""
        return {"mix": self.name, "version": self.version, "ids_sha256": self.lock["ids_sha256"]}


def union(
    mixes: Sequence[StoredMix], weights: Sequence[float], corpora: Corpora, what: str
) -> tuple[Relation, dict[str, Corpus]]:
    """The documents of mixes with their corpora's other columns and vectors, and which corpus each name means.

    A document of several mixes comes once: with the largest of its weights (each times its mix's weight), with the text
    that the first mix in which a stage changed it has, and with the label that they give it. Where the labels differ it
    has none, and ``conflict`` says which mix gives which. ``mixes`` names those that have it. Raises RecipeError, which
    says ``what`` is wrong, where a name means different corpora, or versions of one, in two of them. Labels of any kind
    are as a corpus keeps them.
    """
    entries: dict[str, dict[str, Any]] = {}
    for mix in mixes:
        for entry in (entry for entry in mix.lock["corpora"] if entry["role"] == "pool"):
            known = entries.setdefault(entry["name"], {**entry, "mix": mix.name})
            if (known["corpus"], known["version"]) != (entry["corpus"], entry["version"]):
                raise RecipeError(
                    f"{what}: {entry['name']!r} is version {known['version']} of {known['corpus']!r} in the mix "
                    f"{known['mix']!r} and {entry['version']} of {entry['corpus']!r} in {mix.name!r}; build both of "
                    "the same version"
                )
    every = pl.concat(
        mix.frame.select(DOCUMENT).with_columns(
            kept_labels(mix.frame["label"]), pl.lit(mix.name).alias("_mix"), pl.col("weight") * weight
        )
        for mix, weight in zip(mixes, weights, strict=True)
    )
    relation = members(every.select(KEY).unique(maintain_order=True), entries.values(), corpora)
    own = relation.frame
    merged = _merged(every.join(own.select(*KEY, "_text"), on=KEY, how="left", maintain_order="left"))
    rest = own.drop("_text", "_version", *merged.columns[2:], strict=False)
    relation = relation.with_frame(merged.join(rest, on=KEY, how="right", coalesce=True, maintain_order="right"))
    found = {name: corpora.catalogue.corpus(entry["corpus"], entry["version"]) for name, entry in entries.items()}
    return relation, found


def _merged(every: pl.DataFrame) -> pl.DataFrame:
    """One row a document: ``corpus, id, text, label, source, weight, mixes, conflict``."""
    changed = pl.col("text").filter(pl.col("text") != pl.col("_text")).first()
    labels = pl.col("label").drop_nulls()  # a document that serves without one in a mix contradicts none
    told = pl.format("{} in {}", "label", "_mix").drop_nulls().str.join(", ")
    return every.group_by(KEY, maintain_order=True).agg(
        pl.coalesce(changed, pl.col("text").first()).alias("text"),
        pl.when(labels.n_unique() == 1).then(labels.first()).alias("label"),
        pl.col("source").first(),
        pl.col("weight").max(),
        pl.col("_mix").str.join(", ").alias(MIXES),
        pl.when(labels.n_unique() > 1).then(told).alias(CONFLICT),
    )
