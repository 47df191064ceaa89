"""Which terms of a list each document has."""

import warnings

import polars as pl
import pyarrow as pa

from curator.errors import CuratorWarning, QueryError
from curator.functions._results import keyed_texts
from curator.functions.bm25 import CHARACTER
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
    plain = _plain(pl.Series(given, dtype=pl.String))
    if not given or (plain == "").any():
        what = f"term {given[plain.to_list().index('')]!r} has no letter or digit" if given else "list has no term"
        raise QueryError(f"listed_terms: the {what}; terms are words, separated by lines or commas")
    for term, short in zip(given, plain, strict=True):
        if len(short) == 1 and len(term) > 1:
            warnings.warn(f"the term {term!r} is looked for as {short!r}", CuratorWarning, stacklevel=2)
    listed = plain.unique().sort()
    unspaced = listed.str.contains(CHARACTER)
    patterns = [term if anywhere else f" {term} " for term, anywhere in zip(listed, unspaced, strict=True)]
    spaced = _plain(texts).to_frame("text").select(pl.concat_str(pl.lit(" "), "text", pl.lit(" "))).to_series()
    hits = spaced.str.extract_many(patterns, overlapping=True).fill_null(pl.Series([[]], dtype=pl.List(pl.String)))
    which = hits.list.eval(pl.element().str.strip_chars()).list.unique().list.sort().list.join(", ")
    found = keys.with_columns(hits.list.len().cast(pl.Int64).alias("found"), which.replace("", None).alias("terms"))
    table: pa.Table = found.to_arrow(compat_level=pl.CompatLevel.newest())
    return table


def _plain(texts: pl.Series) -> pl.Series:
    """Words in lower case and NFKC with one space between them."""
    lower = texts.str.normalize("NFKC").str.to_lowercase()
    return lower.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars()
