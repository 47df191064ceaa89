"""Texts without what identifies a person."""

from collections import Counter

import polars as pl
import pyarrow as pa

from curator.functions._pii import Finder
from curator.functions._pii import masked as without
from curator.functions._results import keyed_texts
from curator.relation import Relation

SCHEMA = {"row": pl.UInt32, "masked": pl.String, "found": pl.Int64, "kinds": pl.String, "counts": pl.String}


def masked(documents: Relation, *, kinds: str | None = None, regions: str = "US, GB") -> pa.Table:
    """Each text with ``<EMAIL>``, ``<PHONE>``, ``<IBAN>``, ``<CARD>``, ``<NATIONAL_ID>``, ``<IP>`` for what pii finds.

    Returns ``corpus`` (where the relation has it), ``id``, ``text``, ``found`` (how many there were), ``kinds``
    (which, in alphabetical order, as 'email, phone') and ``counts`` (as 'email 1, phone 2'); the last two are NULL
    where there were none. A row per document, in their order. What is found, ``kinds``, ``regions`` and errors are
    those of pii.
    """
    finder = Finder.asked("masked", kinds, regions)
    keys, texts = keyed_texts("masked", documents)
    rows = finder.hints(texts).arg_true()
    changed = []
    for row, text in zip(rows, texts.gather(rows), strict=True):
        if findings := finder.find(text):
            counts = sorted(Counter(one.kind for one in findings).items())
            told = ", ".join(kind for kind, _ in counts), ", ".join(f"{kind} {count}" for kind, count in counts)
            changed.append((row, without(text, findings), len(findings), *told))
    frame = keys.with_columns(texts.alias("text")).with_row_index("row")
    found = frame.join(pl.DataFrame(changed, SCHEMA, orient="row"), on="row", how="left", maintain_order="left")
    table: pa.Table = found.select(
        *keys.columns,
        pl.coalesce("masked", "text").alias("text"),
        pl.col("found").fill_null(0),
        "kinds",
        "counts",
    ).to_arrow(compat_level=pl.CompatLevel.newest())
    return table
