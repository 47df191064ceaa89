"""Running a stage: one verdict on each candidate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from curator.errors import QueryError
from curator.functions import FUNCTIONS
from curator.nearest import AS_ASKED, JoinReport, Searching, Tools, rewrite
from curator.relation import Relation
from curator.session import Session
from curator.stages.stage import Stage
from curator.trials import Trials

VERDICT: dict[str, type[pl.DataType]] = {
    "corpus": pl.String,
    "id": pl.String,
    "keep": pl.Boolean,
    "rule": pl.String,
    "score": pl.Float64,
    "threshold": pl.Float64,
    "partner_corpus": pl.String,
    "partner_id": pl.String,
    "rank": pl.Int64,
    "label": pl.String,  # or what the candidates' labels are: see typed
    "weight": pl.Float64,
    "reason": pl.String,
    "text": pl.String,  # the document's from here on; the ledger does without
}
LEDGER: dict[str, type[pl.DataType]] = {
    "corpus": pl.String,
    "id": pl.String,
    "stage": pl.String,
    "position": pl.Int64,
    **{name: kind for name, kind in VERDICT.items() if name not in ("corpus", "id", "text")},
}


def typed(columns: Mapping[str, Any], labels: pl.DataType) -> dict[str, Any]:
    """``VERDICT`` or ``LEDGER`` for labels of this type."""
    return {**columns, "label": labels}


@dataclass(frozen=True)
class Verdicts:
    """What one stage said: one row of ``VERDICT`` per candidate, in the order of the candidates."""

    frame: pl.DataFrame
    joins: tuple[JoinReport, ...]


def run(
    stage: Stage, parameters: Mapping[str, Any], relations: Mapping[str, Relation], session: Session,
    searching: Searching = AS_ASKED, trials: Trials | None = None,
) -> Verdicts:  # fmt: skip
    """Run a stage over ``candidates`` and the other relations. Only a stage that says so sees ``test``, and one that
    judges each document alone does not see ``pool``. What probes of ratios say is kept in ``trials``, and taken
    from there.

    Raises QueryError, naming the file, for SQL that fails and for verdicts on what is not a candidate.
    """
    hidden = ({"pool"} if stage.alone else set()) | (set() if stage.reads_test else {"test"})
    visible = {name: relation for name, relation in relations.items() if name not in hidden}
    arguments = stage.arguments(parameters, relations["candidates"], session)
    try:
        query = rewrite(session, stage.sql, arguments, Tools(visible, FUNCTIONS, trials=trials), searching=searching)
        table = query.fetch()
    except QueryError as error:
        settings = ", ".join(f"${name} = {_short(value)}" for name, value in parameters.items())
        raise QueryError(f"{stage.origin}: {error}\nwith {settings or 'no parameters'}") from error
    frame = pl.DataFrame(table)
    return Verdicts(_checked(frame, relations["candidates"].frame, stage.origin), query.joins)


def _checked(verdicts: pl.DataFrame, candidates: pl.DataFrame, origin: str) -> pl.DataFrame:
    """One verdict per candidate, or an error that names the first offender."""
    missing = [name for name in ("corpus", "id", "keep") if name not in verdicts.columns]
    unknown = [name for name in verdicts.columns if name not in VERDICT]
    if missing or unknown:
        what = f"returns no column {missing[0]!r}" if missing else f"returns a column {unknown[0]!r} that means nothing"
        raise QueryError(f"{origin}: the stage {what}; it may return {', '.join(VERDICT)}")
    columns = typed(VERDICT, candidates.schema.get("label", pl.String()))
    absent = [pl.lit(None, kind).alias(name) for name, kind in columns.items() if name not in verdicts.columns]
    try:
        verdicts = verdicts.with_columns(absent).select(pl.col(name).cast(kind) for name, kind in columns.items())
    except pl.exceptions.PolarsError as error:
        raise QueryError(f"{origin}: the stage returns a column of another type than it must have: {error}") from None
    if columns["label"].is_nested():
        verdicts = verdicts.with_columns(pl.col("label").list.unique().list.sort())
    key = ["corpus", "id"]
    repeated = verdicts.filter(pl.struct(key).is_duplicated())
    stray = verdicts.join(candidates, on=key, how="anti", nulls_equal=True)
    for bad, what in ((repeated, "comes more than once"), (stray, "is not a candidate")):
        if len(bad):
            raise QueryError(f"{origin}: {bad['corpus'][0]}:{bad['id'][0]} {what} ({len(bad):,} such rows)")
    returned = verdicts.with_columns(pl.lit(True).alias("_returned"))
    joined = candidates.select(key).join(returned, on=key, how="left", maintain_order="left")
    unsaid = (
        pl.when(pl.col("_returned").is_null()).then(pl.lit("not returned")).otherwise(pl.lit("the verdict is NULL"))
    )
    return joined.with_columns(
        pl.when(pl.col("keep").is_null()).then(unsaid).otherwise("reason").alias("reason"),
        pl.col("keep").fill_null(False),
    ).select(list(VERDICT))


def _short(value: object) -> str:
    told = repr(value)
    return told if len(told) <= 80 else f"{told[:79]}…"
