"""Cells that a spreadsheet opens: none of them is taken for a formula, and each is read back as it was.

A cell that begins with ``= + - @`` is worked out by spreadsheet programs, whoever wrote it (CSV injection; so is one
that begins with their full-width forms, a tab or a line break, and some look past white space). Such a cell is written
with an apostrophe before it, which makes it a text; one that already has apostrophes there gets one more, so that
taking one away is the exact inverse. No other CSV file is read so: in those an apostrophe is an apostrophe.
"""

from collections.abc import Iterable

import polars as pl

TO_LABEL = ("suggestion", "probability", "second", "why")
"""Columns by which a file is known that ``curator label`` wrote for a person to fill in."""

_BEGINS = r"'*\s*[=+\-@＝＋－＠\t\r\n]"


def is_to_label(columns: Iterable[str]) -> bool:
    """Whether a file with these columns is one that ``curator label`` wrote."""
    return set(TO_LABEL) <= set(columns)


def guarded(texts: pl.Series) -> pl.Series:
    """Strings as a spreadsheet may have them; NULL stays NULL."""
    return texts.str.replace(f"^({_BEGINS})", "'${1}")


def unguarded(texts: pl.Series) -> pl.Series:
    """The inverse of ``guarded``. A text whose apostrophe the spreadsheet has taken away stays as it is."""
    return texts.str.replace(f"^'({_BEGINS})", "${1}")
