"""The lockfile: what a mix was made from, so that it can be made again and a difference can be explained."""

import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from curator.files import sha256
from curator.mix.build import Built, Step
from curator.mix.task import Task, describe
from curator.recipe import Recipe
from curator.session import sql_folder
from curator.stages import Stage

FORMAT = 1
PACKAGE = Path(__file__).parents[1]
UNDECIDING: Any = {"train": True, "race": True, "tune": True, "description": True, "task": {"names"}}  # of a recipe
CHANGED = "texts_changed"  # of a lockfile: there, and true, where a stage gave a document another text
PACKAGES = (
    "curator",
    "bm25s",
    "duckdb",
    "faiss-cpu",
    "faiss-gpu",
    "numpy",
    "phonenumbers",
    "polars",
    "py3langid",
    "pyarrow",
    "python-stdnum",
    "scikit-learn",
    "scipy",
    "sentence-transformers",
    "torch",
    "transformers",
)


def versions() -> dict[str, str]:
    """Versions of what computes a mix or a race, of those installed."""
    return dict(_versions())


@functools.cache
def _versions() -> dict[str, str]:
    """Asked once: each package's metadata is read from disk, and every run of a race wants all of them."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def code() -> str:
    """Checksum of curator's own code and SQL: other code may decide otherwise."""
    found = hashlib.sha256()
    for folder, pattern in ((PACKAGE, "*.py"), (sql_folder(), "*.sql")):
        for path in sorted(folder.rglob(pattern)):
            found.update(f"{path.relative_to(folder)} {sha256(path)}\n".encode())
    return found.hexdigest()


def inputs(task: Task, plan: Sequence[Step], encoder_key: str) -> dict[str, Any]:
    """Everything that decides which documents are chosen, as plain values."""
    # training, racing, tuning and describing do not decide which documents are chosen
    recipe = task.recipe.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=UNDECIDING)
    replay: dict[str, Any] = {}
    if task.earlier:  # but a mix is kept apart from the test set of what is replayed
        replay = {"replay": task.earlier[0].mix.told()}
        recipe["train"] = {"replay": {"mix": task.earlier[0].mix.name}}
    return (
        {
            "recipe": recipe,
            "seed": task.seed,
            "labels": list(task.labels),
            "corpora": [
                {"role": s["role"], "name": s["name"], "corpus": s["corpus"], "version": s["version"]}
                for s in describe(task.used)
            ],
            "encoder": encoder_key,
            "stages": [
                {"name": step.name, "sha256": step.stage.sha256, "parameters": step.parameters, "sql": step.stage.sql}
                | ({"calibrated": step.calibrated} if step.calibrated else {})
                | ({"model_sha256": step.model} if step.model else {})
                for step in plan
            ],
        }
        | ({"mixes": list(task.mixes)} if task.mixes else {})
        | replay
    )


def lock(name: str, made_from: dict[str, Any], built: Built) -> dict[str, Any]:
    """The lockfile of a mix."""
    return {
        "format": FORMAT,
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "documents": len(built.frame),
        "ids_sha256": digest(built.frame, texts=bool(len(built.changed))),
        **({CHANGED: True} if len(built.changed) else {}),
        "versions": versions(),
        "code": code(),
        "certificates": [vars(certificate) for certificate in built.certificates],
        **made_from,
    }


def digest(mix: pl.DataFrame, *, texts: bool) -> str:
    """Hash of a mix: its documents in order, with their labels and weights, and their ``texts`` if a stage changed any.

    Otherwise they are those of the corpora's versions, which have checksums of their own.
    """
    lines = (
        f"{corpus}:{name}\t{label}\t{weight!r}\n" + (f"{text!r}\n" if texts else "")
        for corpus, name, label, weight, text in mix.select("corpus", "id", "label", "weight", "text").iter_rows()
    )
    return hashlib.sha256("".join(lines).encode("utf8", "surrogatepass")).hexdigest()


def locked_recipe(values: dict[str, Any]) -> Recipe:
    """The recipe as it was when the mix was made."""
    return Recipe.parse(values["recipe"], origin=f"lockfile of {values['name']}")


def locked_steps(values: dict[str, Any]) -> list[Step]:
    """The stages as they were, from the SQL kept in the lockfile."""
    return [
        Step(
            entry["name"],
            Stage.parse(entry["name"], entry["sql"], f"lockfile of {values['name']}: {entry['name']}", ranges=False),
            entry["parameters"],
            entry.get("calibrated"),
            entry.get("model_sha256"),
        )
        for entry in values["stages"]
    ]
