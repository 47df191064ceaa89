"""What a person labelled out of the pool (``curator label``): new labels, and documents that are in both."""

import difflib

import polars as pl

from curator.documents import is_to_label, normalise, texts_of
from curator.relation import Relation

TAUGHT = {"corpus": pl.String, "id": pl.String, "partner_corpus": pl.String, "partner_id": pl.String}


def by_hand(target: Relation) -> pl.Series:
    """(n,) which of the target's documents are rows of a file that ``curator label`` wrote."""
    if not is_to_label(target.columns):
        return pl.repeat(False, len(target), dtype=pl.Boolean, eager=True)
    return texts_of(target.select(["why"])["why"]).fill_null("") != ""  # a spreadsheet knows no NULL


def new_labels(labels: pl.Series, by_hand: pl.Series) -> list[str]:
    """A notice for each label that was given by hand alone: it is a label of the task now, or misspelt."""
    known = set(labels.filter(~by_hand).drop_nulls())
    if not known:
        return []
    given = labels.filter(by_hand).drop_nulls().value_counts().sort("label")
    told = []
    for label, documents in given.filter(~pl.col("label").is_in(list(known))).iter_rows():
        near = difflib.get_close_matches(label, sorted(known), n=1)
        hint = f"; was {near[0]!r} meant?" if near else ""
        told.append(
            f"{label!r} is a new label of the task: {documents:,} documents that were labelled by hand have it, and "
            f"no other of the target{hint}"
        )
    return told


def taught(pool: pl.DataFrame, *targets: pl.DataFrame) -> pl.DataFrame:
    """Pool documents that teach already, as documents of the target or dev: ``TAUGHT``, a row for each.

    Those are meant that were labelled out of this pool, so that their id is a pool document's ``corpus:id``, and any
    pool document that has the text of one. Other texts that pool and target share are left to the stages.
    """
    own = pl.concat(one.select(partner_corpus="corpus", partner_id="id", text="text") for one in targets)
    keys = pool.select(pl.format("{}:{}", "corpus", "id").alias("partner_id"))
    own = own.join(keys, on="partner_id", how="semi")
    if not len(own):
        return pl.DataFrame(schema=TAUGHT)
    left, right = (frame.with_columns(_words(frame["text"])) for frame in (pool.select("corpus", "id", "text"), own))
    return left.join(right.unique("words", keep="first", maintain_order=True), on="words").select(list(TAUGHT))


def _words(texts: pl.Series) -> pl.Series:
    return pl.Series("words", [normalise(text) for text in texts], dtype=pl.String)
