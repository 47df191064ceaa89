"""Whom each stage drops: how groups of documents fare beside all others, so that a biased filter shows."""

from math import hypot
from statistics import NormalDist
from typing import Any

import polars as pl

from curator.indexes.measured import interval

ERROR = 0.05  # that any interval of a stage misses the share it is of
COLUMNS = ("source", "label")  # the groups that a mix's summary has
MOST = 10  # groups of a stage that the summary names

COUNTS = ("seen", "dropped")
SHARES: dict[str, type[pl.DataType]] = {
    "share": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "others": pl.Float64,
    "apart": pl.Boolean,
}
SCHEMA: dict[str, type[pl.DataType]] = {
    "stage": pl.String,
    "position": pl.Int64,
    "group": pl.String,
    **dict.fromkeys(COUNTS, pl.Int64),
    **SHARES,
}


def affected(ledger: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """For each stage and group: the share that the stage dropped, and its share of all other documents.

    ``groups`` has ``corpus, id, group``. Returns ``SCHEMA``, the most affected group of each stage first: ``seen`` and
    ``dropped`` documents, ``share`` dropped with its 95 % interval ``low`` to ``high`` (Wilson's), ``others``, the
    share dropped of what is not of the group, NULL where there is nothing else, and ``apart``, whether the interval of
    the difference leaves out 0 (Newcombe 1998, method 10). Both are corrected by Bonferroni for the number of groups.
    """
    named = ledger.join(groups, on=["corpus", "id"], how="left")
    counts = named.group_by("position", "stage", "group").agg(
        pl.len().cast(pl.Int64).alias("seen"), (~pl.col("keep")).sum().cast(pl.Int64).alias("dropped")
    )
    totals = counts.with_columns(
        pl.len().over("position", "stage").alias("among"),
        *((pl.col(name).sum().over("position", "stage") - pl.col(name)).alias(f"other_{name}") for name in COUNTS),
    )
    rows = totals.with_columns(pl.struct(*COUNTS, "among", *(f"other_{name}" for name in COUNTS)).alias("all"))
    shares = pl.DataFrame([_shares(*row.values()) for row in rows["all"]], SHARES, orient="row")
    ordered = pl.concat([counts, shares], how="horizontal").sort(
        "position", "share", "seen", "group", descending=[False, True, True, False], nulls_last=True
    )
    return ordered.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())


def _shares(
    seen: int, dropped: int, among: int, other_seen: int, other_dropped: int
) -> tuple[float, float, float, float | None, bool]:
    """``SHARES`` of one group, of so many of a stage."""
    errors = NormalDist().inv_cdf(1 - ERROR / (2 * among))
    share = dropped / seen
    low, high = (round(bound, 12) for bound in interval(share, seen, errors))  # 0, and not what rounding leaves of it
    if not other_seen:
        return share, low, high, None, False
    others = other_dropped / other_seen
    least, most = interval(others, other_seen, errors)
    difference = share - others
    apart = difference > hypot(share - low, most - others) or -difference > hypot(high - share, others - least)
    return share, low, high, others, apart


def standing_out(ledger: pl.DataFrame, pool: pl.DataFrame) -> list[dict[str, Any]]:
    """Groups by source and by label of which a stage dropped another share than of the rest: ``by`` and ``SCHEMA``.

    Only those that are ``apart``; of each stage those that differ most.
    """
    label = pl.coalesce("label", "source_label").alias("label")
    rows: list[dict[str, Any]] = []
    for by in COLUMNS:
        groups = pool.with_columns(label).select("corpus", "id", pl.col(by).alias("group"))
        table = affected(ledger.filter(pl.col("position") > 0), groups)
        far = table.filter("apart").sort(
            (pl.col("share") - pl.col("others")).abs(), descending=True, maintain_order=True
        )
        most = far.group_by("position", maintain_order=True).head(MOST)
        ordered = most.sort("position", "share", descending=[False, True], maintain_order=True)
        rows += [{"by": by, **row} for row in ordered.iter_rows(named=True)]
    return rows
