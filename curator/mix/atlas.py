"""A mix's documents for embedding-atlas: Parquet with texts, fates, reasons, places on a plane, and vectors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curator.documents import told_label
from curator.files import write_bytes
from curator.mix.look import decisions, label_of, reason, without_personal_data
from curator.mix.projection import project
from curator.mix.task import Task
from curator.relation import EMBEDDING, vector_column
from curator.vectors import Vectors

SHOWN = {
    "corpus": pl.String, "id": pl.String, "kind": pl.String, "stage": pl.String, "reason": pl.String,
    "label": pl.String, "source": pl.String, "text": pl.String,
}  # fmt: skip


def write_atlas(path: Path, directory: Path, lock: Mapping[str, Any], task: Task) -> str:
    """Write ``SHOWN``, ``x``, ``y`` and ``embedding`` (FLOAT[d]) of the target and of the pool. Returns what was said.

    Pool documents that no stage saw, for want of a usable label, were never embedded and are left out.
    """
    parameters = {stage["name"]: stage["parameters"] for stage in lock["stages"]}
    decided = decisions(directory)
    was_seen = decided.filter(pl.col("keep") | (pl.col("position") > 0))
    target = without_personal_data(task.target.frame, parameters)
    rows = [
        *(_of_target(row) for row in target.iter_rows(named=True)),
        *(_of_pool(row, parameters) for row in was_seen.iter_rows(named=True)),
    ]
    pool = task.pool.vectors_of(was_seen["row"].to_numpy().astype(np.int64))
    vectors = np.concatenate([task.target.vectors.matrix(), pool.matrix()])
    projection = project(vectors)
    frame = pl.DataFrame(rows, SHOWN, orient="row").with_columns(
        x=projection.places[:, 0], y=projection.places[:, 1], **{EMBEDDING: _column(vectors)}
    )
    write_bytes(path, frame.write_parquet)
    unseen = len(decided) - len(was_seen)
    left_out = f"; {unseen:,} documents without a usable label were never embedded, and are not in it" if unseen else ""
    return f"{path}: {len(frame):,} documents, on a plane by {projection.method}{left_out}"


def _column(vectors: np.ndarray[Any, np.dtype[np.float32]]) -> pl.Series:
    column = pl.from_arrow(vector_column(Vectors.of(vectors)))
    assert isinstance(column, pl.Series)
    return column


def _of_target(row: Mapping[str, Any]) -> tuple[Any, ...]:
    label, source = told_label(row["label"]), row["source"]
    return (row["corpus"], row["id"], "target", None, None, label, source, row["text"])


def _of_pool(row: dict[str, Any], parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    kind, why = "kept" if row["keep"] else "dropped", reason(row, parameters)
    return (row["corpus"], row["id"], kind, row["stage"], why, label_of(row), row["source"], row["text"])
