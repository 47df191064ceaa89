"""Names looked for in texts as whole words, all at once: what listed_terms and mentions share."""

import warnings
from collections.abc import Sequence

import polars as pl

from curator.errors import CuratorWarning, QueryError
from curator.functions.bm25 import CHARACTER


def plain(texts: pl.Series) -> pl.Series:
    """Words in lower case and NFKC with one space between them."""
    lower = texts.str.normalize("NFKC").str.to_lowercase()
    return lower.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars()


def padded(texts: pl.Series) -> pl.Series:
    """The same with a space at either end, which ``patterns`` are looked for in."""
    return plain(texts).to_frame("text").select(pl.concat_str(pl.lit(" "), "text", pl.lit(" "))).to_series()


def patterns(names: pl.Series) -> list[str]:
    """What to look for in ``padded`` texts, for each of some plain names.

    It is the name between spaces, but the name alone, wherever it stands, where it has a character of a script that is
    written without spaces, or of Hangul.
    """
    unspaced = names.str.contains(CHARACTER)
    return [name if anywhere else f" {name} " for name, anywhere in zip(names, unspaced, strict=True)]


def plain_names(function: str, what: str, given: Sequence[str]) -> pl.Series:
    """The plain form of each name.

    Raises QueryError for one without a letter or digit. Warns of one of which one character is left to look for, such
    as ``C++``.
    """
    found = plain(pl.Series(given, dtype=pl.String))
    for name, short in zip(given, found, strict=True):
        if not short:
            raise QueryError(f"{function}: the {what} {name!r} has no letter or digit")
        if len(short) == 1 and len(name) > 1:
            warnings.warn(f"the {what} {name!r} is looked for as {short!r}", CuratorWarning, stacklevel=3)
    return found
