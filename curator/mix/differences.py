"""What differs between the documents of two mixes, and by which stage."""

import polars as pl

from curator.documents import kept_labels


def changes(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Rows ``corpus, id, source, label, change`` from ``one`` to ``other``; of two kinds labels are told as texts."""
    if one.schema["label"] != other.schema["label"]:
        one, other = (mix.with_columns(kept_labels(mix["label"])) for mix in (one, other))
    key = ["corpus", "id"]
    shown = [*key, "source", "label"]
    removed = one.join(other, on=key, how="anti", maintain_order="left").select(shown)
    added = other.join(one, on=key, how="anti", maintain_order="left").select(shown)
    both = one.join(other, on=key, how="inner", suffix="_other", maintain_order="left")
    relabelled = pl.col("label").ne_missing(pl.col("label_other"))
    reworded = ~relabelled & (pl.col("text") != pl.col("text_other"))
    same = [
        (change, both.filter(differs).select(shown)) for change, differs in (("label", relabelled), ("text", reworded))
    ]
    parts = [("removed", removed), ("added", added), *same]
    return pl.concat([part.with_columns(pl.lit(change).alias("change")) for change, part in parts])


def with_fates(changed: pl.DataFrame, one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """The same with ``stage, rule, reason`` by which the mix that lacks a document left it out, from their ledgers."""
    fates = {"removed": other, "added": one}
    parts = []
    for change, part in changed.group_by("change", maintain_order=True):
        ledger = fates.get(str(change[0]))
        if ledger is None:
            parts.append(part.with_columns(pl.lit(None, pl.String).alias(c) for c in ("stage", "rule", "reason")))
            continue
        decided = ledger.filter("deciding").select("corpus", "id", "stage", "rule", "reason")
        joined = part.join(decided, on=["corpus", "id"], how="left", maintain_order="left")
        parts.append(joined.with_columns(pl.col("stage").fill_null("not in the pool")))
    empty = changed.clear().with_columns(pl.lit(None, pl.String).alias(c) for c in ("stage", "rule", "reason"))
    return pl.concat([empty, *parts])
