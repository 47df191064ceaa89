"""Whom each stage drops: how groups of documents fare beside all others, so that a biased filter shows."""

from statistics import NormalDist
from typing import Any

import polars as pl

from curator.indexes.measured import interval

ERROR = 0.05  # that any interval of a stage misses the share it is of
COLUMNS = ("source", "label")  # the groups that a mix's summary has
MOST = 10  # groups of a stage that the summary names

SCHEMA: dict[str, type[pl.DataType]] = {
    "stage": pl.String,
    "position": pl.Int64,
    "group": pl.String,
    "seen": pl.Int64,
    "dropped": pl.Int64,
    "share": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "others": pl.Float64,
}


def affected(ledger: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """For each stage and group: the share that the stage dropped, and its share of all other documents.

    ``groups`` has ``corpus, id, group``. Returns ``SCHEMA``, the most affected group of each stage first: ``seen`` and
    ``dropped`` documents, ``share`` dropped with its 95 % interval ``low`` to ``high`` (Wilson's, corrected by
    Bonferroni for the number of groups), and ``others``, the share dropped of what is not of the group, NULL where
    there is nothing else.
    """
    named = ledger.join(groups, on=["corpus", "id"], how="left")
    counts = named.group_by("position", "stage", "group").agg(
        pl.len().cast(pl.Int64).alias("seen"), (~pl.col("keep")).sum().cast(pl.Int64).alias("dropped")
    )
    seen, dropped = (pl.col(name).sum().over("position", "stage") - pl.col(name) for name in ("seen", "dropped"))
    shares = counts.with_columns(
        (pl.col("dropped") / pl.col("seen")).alias("share"),
        pl.when(seen > 0).then(dropped / seen).alias("others"),
        pl.len().over("position", "stage").alias("among"),
    )
    spans = [
        interval(share, n, NormalDist().inv_cdf(1 - ERROR / (2 * among)))
        for share, n, among in shares.select("share", "seen", "among").iter_rows()
    ]
    bounds = pl.DataFrame(spans, {"low": pl.Float64, "high": pl.Float64}, orient="row")
    ordered = pl.concat([shares, bounds], how="horizontal").sort(
        "position", "share", "seen", "group", descending=[False, True, True, False], nulls_last=True
    )
    return ordered.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())


def standing_out(ledger: pl.DataFrame, pool: pl.DataFrame) -> list[dict[str, Any]]:
    """Groups by source and by label of which a stage dropped another share than of the rest: ``by`` and ``SCHEMA``.

    Only those whose interval does not hold the share of the others; of each stage those that differ most.
    """
    label = pl.coalesce("label", "source_label").alias("label")
    rows: list[dict[str, Any]] = []
    for by in COLUMNS:
        groups = pool.with_columns(label).select("corpus", "id", pl.col(by).alias("group"))
        table = affected(ledger.filter(pl.col("position") > 0), groups)
        apart = table.filter((pl.col("others") < pl.col("low")) | (pl.col("others") > pl.col("high")))
        far = apart.sort((pl.col("share") - pl.col("others")).abs(), descending=True, maintain_order=True)
        most = far.group_by("position", maintain_order=True).head(MOST)
        ordered = most.sort("position", "share", descending=[False, True], maintain_order=True)
        rows += [{"by": by, **row} for row in ordered.iter_rows(named=True)]
    return rows
