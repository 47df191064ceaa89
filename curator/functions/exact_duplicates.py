"""Documents of the same text, and the one of each that stands for them."""

import polars as pl
import pyarrow as pa

from curator.functions._leading import Leading, alarm, precedence
from curator.functions._minhash import normalised
from curator.functions._results import check_texts
from curator.relation import Relation


def exact_duplicates(candidates: Relation, *, priority: str | None = None) -> pa.Table:
    """The kept document that each other one of the same text stands for.

    The same text is the same in NFKC, in lower case, without punctuation and with single spaces; a text of nothing but
    punctuation keeps it. A document without text (NULL, white space) is like no other. Of each text the first document
    is kept: of the sources that ``priority`` names (separated by commas), then of the others, by corpus and id.

    Returns ``corpus, id, leader_corpus, leader_id``, a row per candidate in their order; the last two are NULL for a
    document that is kept. Time is linear.

    Raises QueryError for missing columns, or a ``priority`` without a column ``source``. Warns when a source of 50
    documents or more loses over 30 %, and of names in ``priority`` that are no source.
    """
    frame = candidates.select(name for name in ("corpus", "id", "source") if name in candidates.columns)
    order = precedence("exact_duplicates", frame, priority)
    words = normalised(check_texts("exact_duplicates", candidates).gather(order))
    texts = pl.DataFrame({"words": words}).with_row_index("row").drop_nulls()
    copies = texts.with_columns(pl.col("row").first().over("words").alias("first")).filter(
        pl.col("row") > pl.col("first")
    )
    leading = Leading(len(frame))
    leading.leader[copies["row"].to_numpy()] = copies["first"].to_numpy()
    found = leading.table(frame, order).drop("similarity")
    alarm(frame, found["leader_id"].is_not_null(), "repeats of the same text", "look at some of them")
    table: pa.Table = found.to_arrow()
    return table
