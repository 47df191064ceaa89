"""Which concepts each text names."""

import numpy as np
import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.functions._results import keyed_texts
from curator.functions._terms import padded, patterns, plain_names
from curator.relation import Relation

BLOCK = 65_536  # texts that are looked through at once
FOLDED = {"ß": "ss", "ς": "σ"}  # what lower case leaves apart that case folding does not
HIT = {"row": pl.Int64, "plain": pl.String}


def mentions(documents: Relation, concepts: Relation) -> pa.Table:
    """The concepts whose names stand in each text as whole words, and how often.

    ``concepts`` has ``concept`` and ``name``, a row for each name of each. Names are found as ``listed_terms`` finds
    terms: whatever their case (``ß`` is ``SS``), how compatible characters are written (NFKC) and what stands between
    words (``AT&T`` is ``at t``); nothing is stemmed; in a script written without spaces, or in Hangul, wherever they
    stand. The longest name counts: one that lies inside another that is found there, of whatever concept, does not
    (``card`` in ``credit card``); of two that overlap each counts. A name of several concepts mentions each of them.

    Returns ``corpus`` (where the relation has it), ``id``, ``concept``, ``name`` and ``times``: a row for each document
    and concept that it mentions, in the order of the documents and of the places in the text; ``name`` is that of the
    concept that comes first there, as given, and ``times`` how often any of its names does. All names are looked for at
    once (Aho and Corasick, 1975): time is linear in the texts and in what is found, whatever the number of names.

    Raises QueryError for relations without these columns, a name or concept that is NULL, and a name without a letter
    or digit. Warns of a name of which one character is left to look for, such as ``C++``.
    """
    keys, texts = keyed_texts("mentions", documents)
    names = _names(concepts)
    sought = names["plain"].unique().sort()
    starts = range(0, len(texts), BLOCK) if len(sought) else ()
    blocks = [_hits(texts[start : start + BLOCK], sought, start) for start in starts]
    hits = pl.concat([pl.DataFrame(schema=HIT), *blocks])
    found = (
        hits.join(names, on="plain", maintain_order="left_right")
        .group_by("row", "concept", maintain_order=True)
        .agg(pl.col("name").first(), pl.len().cast(pl.Int64).alias("times"))
    )
    table: pa.Table = pl.concat(
        [keys[found["row"]], found.select("concept", "name", "times")], how="horizontal"
    ).to_arrow(compat_level=pl.CompatLevel.newest())
    return table


def _names(concepts: Relation) -> pl.DataFrame:
    """``plain, concept, name``, each plain name of a concept once, under the first of the names that it is of."""
    if missing := [column for column in ("concept", "name") if column not in concepts.columns]:
        there = ", ".join(concepts.columns)
        raise QueryError(f"mentions: no column {missing[0]!r} in the concepts; there are: {there}")
    names = concepts.select(["concept", "name"]).cast(pl.String)
    for column in names.columns:
        if nulls := names[column].null_count():
            raise QueryError(f"mentions: {nulls:,} of {len(names):,} rows of the concepts have no {column}")
    found = names.with_columns(_folded(plain_names("mentions", "name", names["name"].to_list())).alias("plain"))
    return found.sort("concept", "name").unique(["plain", "concept"], keep="first", maintain_order=True)


def _folded(lower: pl.Series) -> pl.Series:
    return lower.str.replace_many(list(FOLDED), list(FOLDED.values()))


def _hits(texts: pl.Series, sought: pl.Series, first: int) -> pl.DataFrame:
    """The names found in each text, numbered from ``first``, in order, without those inside a longer one."""
    looked_for, spaced = patterns(sought), _folded(padded(texts))
    found = pl.DataFrame(
        {
            "row": np.arange(first, first + len(texts)),
            "start": spaced.str.find_many(looked_for, overlapping=True),
            "pattern": spaced.str.extract_many(looked_for, overlapping=True),
        }
    )
    hits = found.explode("start", "pattern").drop_nulls()
    start, plain = pl.col("start").cast(pl.Int64), pl.col("pattern").str.strip_chars()
    begin = start + pl.col("pattern").str.starts_with(" ").cast(pl.Int64)
    hits = hits.select("row", plain.alias("plain"), begin.alias("begin"), (begin + plain.str.len_bytes()).alias("end"))
    hits = hits.sort("row", "begin", "end", descending=[False, False, True])
    covered = pl.col("end").cum_max().shift(1).over("row")  # how far those that begin before it reach
    return hits.filter(covered.is_null() | (pl.col("end") > covered)).select(list(HIT))
