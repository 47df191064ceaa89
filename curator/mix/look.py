"""What a report shows of a mix's documents: some on a map, some in a table, and what other thresholds would keep.

It holds text of the corpora, so it is a file of its own, beside a record that is there to be shared and holds none.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curator.documents import told_label
from curator.functions import masked
from curator.mix.explain import sentence
from curator.mix.projection import project
from curator.mix.task import Task
from curator.mix.thresholds import thresholds
from curator.relation import Relation

FORMAT = 1
ON_MAP = {"target": 300, "kept": 500, "dropped": 800, "test": 400}  # documents, at most
FEW = 15  # of those that a stage dropped are on the map, if there are so many, be it beyond the 800
IN_TABLE = 25  # documents of each stage and verdict
TEXT, PARTNER = 280, 160  # characters shown of a text, about
KEY = ["corpus", "id"]

Row = dict[str, Any]


def look(directory: Path, lock: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """The look at a stored mix: ``map``, ``documents`` and ``thresholds``. The same for the same mix.

    ``map`` is None where there are no vectors. Texts are their beginnings, and ``cut`` says how many characters more
    there are; those that a stage changed are shown as it left them.
    """
    decided = decisions(directory)
    parameters = {stage["name"]: stage["parameters"] for stage in lock["stages"]}
    return {
        "format": FORMAT,
        "mix": lock["name"],
        "digest": lock["ids_sha256"],
        "map": _map(decided, parameters, task),
        "documents": _table(decided, parameters),
        "thresholds": thresholds(pl.read_parquet(directory / "ledger.parquet")),
    }


def decisions(directory: Path) -> pl.DataFrame:
    """The ledger's row that decided each pool document's fate, in the pool's order, which ``row`` numbers.

    With ``text``, ``source``, ``own_label``, ``source_label`` and ``partner_text``.
    """
    pool = pl.read_parquet(directory / "pool.parquet").with_row_index("row")
    texts = pool.select("row", *KEY, "text", "source", pl.col("label").alias("own_label"), "source_label")
    partners = pl.read_parquet(directory / "partners.parquet").select(
        pl.col("corpus").alias("partner_corpus"), pl.col("id").alias("partner_id"), pl.col("text").alias("partner_text")
    )
    rows = pl.read_parquet(directory / "ledger.parquet").filter("deciding").join(texts, on=KEY, how="inner").sort("row")
    return rows.join(partners, on=["partner_corpus", "partner_id"], how="left", maintain_order="left")


def reason(row: Row, parameters: Mapping[str, Mapping[str, Any]]) -> str:
    """Why a document is in the mix or is not, in words."""
    return sentence(row, row["partner_text"], parameters.get(row["stage"], {}))


def without_personal_data(frame: pl.DataFrame, parameters: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """Documents outside the pool, ``corpus, id, text, …``, without what a stage ``pii`` took out of those in it."""
    for name, values in parameters.items():
        if re.fullmatch(r"pii(_\d+)?", name):
            known = {key: values[key] for key in ("kinds", "regions")}
            frame = frame.with_columns(pl.DataFrame(masked(Relation(frame.select(*KEY, "text")), **known))["text"])
    return frame


def _map(decided: pl.DataFrame, parameters: Mapping[str, Any], task: Task) -> dict[str, Any] | None:
    """A sample of each kind of documents, by stage where they were dropped, as points of a plane.

    Those that no stage saw, for want of a usable label, were never embedded: ``unseen`` counts them.
    """
    if not all(relation.can_embed for relation in (task.target, task.pool, task.test)):
        return None
    rng = np.random.default_rng(0)
    was_seen = pl.col("keep") | (pl.col("position") > 0)
    unseen, decided = len(decided.filter(~was_seen)), decided.filter(was_seen)
    target, test = (_drawn(rng, len(r), ON_MAP[kind]) for kind, r in (("target", task.target), ("test", task.test)))
    kept = decided.filter("keep")
    pool = pl.concat([kept[_drawn(rng, len(kept), ON_MAP["kept"])], _dropped(rng, decided)])
    parts = [(task.target, target), (task.pool, pool["row"].to_numpy().astype(np.int64)), (task.test, test)]
    vectors = np.concatenate([relation.vectors_of(rows).matrix() for relation, rows in parts])
    projection = project(vectors)
    points = [
        *_outside("target", task.target, target, parameters),
        *(_inside(row, parameters) for row in pool.iter_rows(named=True)),
        *_outside("test", task.test, test, parameters),
    ]
    places = np.round(projection.places, 4).tolist()
    stages = decided.filter(~pl.col("keep")).group_by("position", "stage").len("of").sort("position")
    return {
        "method": projection.method,
        "kept": projection.kept,
        "unseen": unseen,
        "of": {"target": len(task.target), "kept": len(kept), "test": len(task.test)},
        "dropped": stages.select("stage", "of").to_dicts(),
        "points": [{**point, "x": x, "y": y} for point, (x, y) in zip(points, places, strict=True)],
    }


def _drawn(rng: np.random.Generator, n: int, most: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Row numbers of a sample, in order."""
    return np.sort(rng.choice(n, min(n, most), replace=False))


def _dropped(rng: np.random.Generator, decided: pl.DataFrame) -> pl.DataFrame:
    """Of each stage its share of those dropped, and a few at least."""
    dropped = decided.filter(~pl.col("keep"))
    parts = [dropped.clear()]
    for _, part in sorted(dropped.group_by("position", maintain_order=True), key=lambda item: item[0]):
        wanted = max(FEW, round(ON_MAP["dropped"] * len(part) / len(dropped)))
        parts.append(part[_drawn(rng, len(part), wanted)])
    return pl.concat(parts)


def _outside(
    kind: str, relation: Relation, rows: np.ndarray[Any, np.dtype[np.int64]], parameters: Mapping[str, Any]
) -> list[Row]:
    """Points of the target, or of the test set, whose labels are not ours to see."""
    frame = without_personal_data(relation.take(rows).frame, parameters)
    labels = frame["label"].to_list() if kind == "target" else [None] * len(frame)
    documents = zip(frame["corpus"], frame["id"], frame["text"], labels, strict=True)
    return [
        {"kind": kind, "stage": None, "corpus": corpus, "id": key, "label": told_label(label), "why": None}
        | _beginning(text, TEXT)
        for corpus, key, text, label in documents
    ]


def _inside(row: Row, parameters: Mapping[str, Any]) -> Row:
    kind = "kept" if row["keep"] else "dropped"
    told = {"kind": kind, "stage": row["stage"], "corpus": row["corpus"], "id": row["id"], "label": label_of(row)}
    return told | {"why": reason(row, parameters)} | _beginning(row["text"], TEXT)


def _table(decided: pl.DataFrame, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A sample of each stage and verdict: ``rows``, and of each ``groups`` how many are shown of how many."""
    rng = np.random.default_rng(0)
    groups, rows = [], []
    parts = decided.group_by("position", "stage", "keep", maintain_order=True)
    for (_, stage, keep), part in sorted(parts, key=lambda item: (not item[0][2], item[0][0])):
        sample = part[_drawn(rng, len(part), IN_TABLE)]
        groups.append({"stage": stage, "keep": keep, "shown": len(sample), "of": len(part)})
        rows += [_row(row, parameters) for row in sample.iter_rows(named=True)]
    return {"groups": groups, "rows": rows}


def _row(row: Row, parameters: Mapping[str, Any]) -> Row:
    names = (*KEY, "source", "keep", "stage", "rule", "score", "threshold", "partner_corpus", "partner_id")
    partner = None if row["partner_text"] is None else _beginning(row["partner_text"], PARTNER)
    told = {name: row[name] for name in names} | {"label": label_of(row), "why": reason(row, parameters)}
    return told | {"partner": partner} | _beginning(row["text"], TEXT)


def label_of(row: Row) -> str | None:
    """As the stages left it, else the document's own, if it is none of the task's."""
    label = next((row[name] for name in ("label", "own_label", "source_label") if row[name] is not None), None)
    return told_label(label)


def _beginning(text: str, length: int) -> Row:
    """As much of a text as is shown, to the end of a word where there are spaces; a few characters more are no cut."""
    if len(text) <= 1.2 * length:
        return {"text": text, "cut": 0}
    space = text.rfind(" ", length // 2, length)
    end = length if space < 0 else space
    return {"text": text[:end], "cut": len(text) - end}
