"""Which terms of a list each document has."""

import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.functions._results import keyed_texts
from curator.functions._terms import padded, patterns, plain_names
from curator.relation import Relation


def listed_terms(documents: Relation, terms: str) -> pa.Table:
    """The terms of a list that each document has, as whole words, and how often.

    ``terms`` are separated by lines or commas; one may be of several words. Case does not matter, nor does how
    compatible characters are written (NFKC), nor what stands between words: ``well-known`` is ``Well known``. Nothing
    is stemmed: ``word`` is not in ``words``. A term in a script written without spaces, or in Hangul, is found
    wherever it stands.

    Returns ``corpus`` (where the relation has it), ``id``, ``found`` (how many there are; one inside another counts
    too) and ``terms`` (which, each once, in alphabetical order, separated by commas; NULL for none), a row per document
    in their order. All terms are looked for at once (Aho and Corasick, 1975): time is linear in the texts, whatever the
    length of the list.

    Raises QueryError for a list without a term, or with one that has no letter or digit, and for a relation without
    ``id`` or a ``text`` of strings. Warns of a term of which one character is left to look for, such as ``C++``.
    """
    keys, texts = keyed_texts("listed_terms", documents)
    if not isinstance(terms, str):
        raise QueryError(f"listed_terms: terms is {terms!r}; terms separated by lines or commas are needed")
    given = [term.strip() for line in terms.splitlines() for term in line.split(",") if term.strip()]
    if not given:
        raise QueryError("listed_terms: the list has no term; terms are words, separated by lines or commas")
    listed = plain_names("listed_terms", "term", given).unique().sort()
    spaced = padded(texts)
    hits = spaced.str.extract_many(patterns(listed), overlapping=True).fill_null(
        pl.Series([[]], dtype=pl.List(pl.String))
    )
    which = hits.list.eval(pl.element().str.strip_chars()).list.unique().list.sort().list.join(", ")
    found = keys.with_columns(hits.list.len().cast(pl.Int64).alias("found"), which.replace("", None).alias("terms"))
    table: pa.Table = found.to_arrow(compat_level=pl.CompatLevel.newest())
    return table
