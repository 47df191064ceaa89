"""What two mixes have in common and what not, group by group."""

import polars as pl

from curator.functions.clusters import clusters
from curator.relation import Relation

KEY = ["corpus", "id"]
IN = "in the mix"
TEXTS = {"group": pl.String, "text": pl.String}
HERE, THERE = ["both", "only_here", "moved_out"], ["both", "only_there", "moved_in"]


def compared(here: pl.DataFrame, there: pl.DataFrame, texts: pl.DataFrame | None = None) -> pl.DataFrame:
    """``group, both, only_here, only_there, moved_out, moved_in, share_here, share_there, text``, a row a group.

    From the ``corpus, id, group`` of the documents of two mixes. ``both`` are in this group in both of them; one that
    both have, in different groups, has ``moved_out`` of the one it is in here and ``moved_in`` to the one it is in
    there. So ``both + only_here + moved_out`` is the group's number of documents here, and ``share_here`` its share of
    all here; ``both + only_there + moved_in`` and ``share_there`` are those there. The groups of most documents in the
    two together come first, and ``text`` is what ``texts`` (``group, text``) first gives for each.
    """
    ours = _tallies(here, there).rename({"only": "only_here", "moved": "moved_out"})
    theirs = _tallies(there, here).rename({"only": "only_there", "moved": "moved_in"}).drop("both")
    counts = ["both", "only_here", "only_there", "moved_out", "moved_in"]
    table = ours.join(theirs, on="group", how="full", coalesce=True, nulls_equal=True).with_columns(
        pl.col(counts).fill_null(0).cast(pl.Int64)
    )
    inside, outside = pl.sum_horizontal(HERE), pl.sum_horizontal(THERE)
    shares = {"share_here": inside / len(here), "share_there": outside / len(there)}
    table = table.sort(inside + outside, "group", descending=[True, False], nulls_last=True).with_columns(**shares)
    told = (pl.DataFrame(schema=TEXTS) if texts is None else texts).unique("group", keep="first", maintain_order=True)
    return table.select("group", *counts, *shares).join(told, on="group", how="left", maintain_order="left")


def _tallies(own: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """For each group of one mix's documents: how many the other has in it, too, lacks, and has in another."""
    there = other.select(*KEY, pl.col("group").alias("_there"), pl.lit(value=True).alias("_met"))
    joined = own.join(there, on=KEY, how="left").with_columns(pl.col("_met").fill_null(value=False))
    same = pl.col("group").eq_missing(pl.col("_there"))
    return joined.group_by("group").agg(
        (pl.col("_met") & same).sum().alias("both"),
        (~pl.col("_met")).sum().alias("only"),
        (pl.col("_met") & ~same).sum().alias("moved"),
    )


def by_target(mix: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    """``corpus, id, group``: the target document (``target:id``) that the last stage to name one held each against.

    NULL where no stage held it against a target document.
    """
    paired = ledger.filter(pl.col("partner_corpus") == "target").sort("position")
    partners = paired.group_by(KEY).agg(pl.format("{}:{}", "partner_corpus", "partner_id").last().alias("group"))
    return mix.select(KEY).join(partners, on=KEY, how="left", maintain_order="left")


def by_stage(ledger: pl.DataFrame) -> pl.DataFrame:
    """``corpus, id, group`` of all documents that a mix chose from: the stage that left each out, or ``in the mix``."""
    fate = pl.when("keep").then(pl.lit(IN)).otherwise("stage")
    return ledger.filter("deciding").select(*KEY, fate.alias("group"))


def by_cluster(
    one: Relation, other: Relation, k: int | None, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """``corpus, id, group`` of the documents of two mixes (``members``), and the ``text`` in the middle of each group.

    The group is the number of a cluster of all their documents, those of both once; NULL for a vector of zeros. Raises
    QueryError for a ``k`` that there cannot be.
    """
    documents = pl.concat(relation.select([*KEY, "_version", "text"]) for relation in (one, other))
    named = documents.with_columns(pl.format("{}@{}", "corpus", "_version").alias("corpus"))  # versions are different
    first = named.with_row_index("_row").unique(KEY, keep="first", maintain_order=True)["_row"].to_numpy()
    every = Relation.concat([one, other], named).take(first)
    found = pl.DataFrame(clusters(every, k, seed=seed)).with_columns(pl.col("cluster").cast(pl.String).alias("group"))
    groups = named.select(KEY).join(found.select(*KEY, "group"), on=KEY, how="left", maintain_order="left")
    groups = documents.select(KEY).with_columns(groups["group"])
    middle = found.filter(pl.col("rank") == 1).join(every.frame, on=KEY, how="left").select("group", "text")
    return groups.head(len(one)), groups.tail(len(other)), middle
