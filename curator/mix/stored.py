"""The files of a stored mix, and the lockfile beside them, which has their checksums and is written last."""

from pathlib import Path
from typing import Any

import polars as pl

from curator.corpora import Corpora
from curator.files import sha256, sweep, write_bytes, write_json, write_sealed
from curator.mix.build import Built
from curator.mix.locked import LOCK
from curator.mix.summary import summarise
from curator.mix.task import Task, describe

FILES = ("mix.parquet", "ledger.parquet", "pool.parquet", "partners.parquet", "summary.json")
LOCK_SECONDS = 600.0  # how long a finished mix waits for another writer, rather than being thrown away


def store(directory: Path, values: dict[str, Any], built: Built, task: Task, corpora: Corpora) -> None:
    """Write what was built into a directory; ``values`` are those of its lockfile."""
    pool = _as_changed(task.pool.frame, built).select("corpus", "id", "text", "label", "source_label", "source")
    partners = _as_changed(_partner_texts(built.ledger, task), built)
    texts = {(corpus, name): text for corpus, name, text in partners.iter_rows()}
    parameters = {stage["name"]: stage["parameters"] for stage in values["stages"]}
    summary = {
        "name": values["name"],
        "seed": task.seed,
        "created": values["created"],
        "digest": values["ids_sha256"],
        **summarise(built.ledger, pool, built.frame, texts, built.seconds, parameters),
        "coverage": list(built.coverage),
        "reductions": list(built.reductions),
        "votes": list(built.votes),
        "mixtures": list(built.mixtures),
        "reused": built.reused,
        "warned": list(built.warned),
        "warnings": list(task.warnings),
        "sources": _sources(task, corpora),
        "joins": list(built.joins),
        "certificates": values.get("certificates", []),
        "calibrated": [{"stage": s["name"], **s["calibrated"]} for s in values["stages"] if "calibrated" in s],
    }
    with corpora.catalogue.writing(wait=LOCK_SECONDS):
        sweep(directory)
        frames = {"mix": built.frame, "ledger": built.ledger, "pool": pool, "partners": partners}
        for name, frame in frames.items():
            write_bytes(directory / f"{name}.parquet", frame.write_parquet)
        write_json(directory / "summary.json", summary)
        seal(directory, values)


def seal(directory: Path, values: dict[str, Any]) -> None:
    """Write the lockfile of a mix whose other files are there. Its presence means complete."""
    write_sealed(directory / LOCK, {**values, "sha256": {name: sha256(directory / name) for name in FILES}})


def _as_changed(documents: pl.DataFrame, built: Built) -> pl.DataFrame:
    """Documents with the texts that stages gave them: what one took out is to be seen nowhere."""
    return documents.update(built.changed, on=["corpus", "id"], maintain_order="left")


def _partner_texts(ledger: pl.DataFrame, task: Task) -> pl.DataFrame:
    """``corpus, id, text`` of the documents that verdicts name, so that an explanation can show them."""
    wanted = (
        ledger.select(pl.col("partner_corpus").alias("corpus"), pl.col("partner_id").alias("id")).drop_nulls().unique()
    )
    everything = pl.concat([r.frame.select("corpus", "id", "text") for r in task.relations.values()])
    found = everything.join(wanted, on=["corpus", "id"], how="semi", maintain_order="left")
    return found.unique(["corpus", "id"], keep="last", maintain_order=True)


def _sources(task: Task, corpora: Corpora) -> list[dict[str, Any]]:
    """The sources with how many of their texts the encoder cut short."""
    rows = []
    for use, row in zip(task.used, describe(task.used), strict=True):
        rows.append({**row, "truncated": corpora.truncated(use.corpus), "origin": ", ".join(row["origin"])})
    return rows
