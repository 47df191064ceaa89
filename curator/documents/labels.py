"""Labels: as a corpus keeps them, which is always text, and as a task of some kind reads them.

A list is kept as JSON, ``["slow", "rude"]``, whether a file had a list or a cell with that text, and a number in the
shortest way that gives it again. So a corpus does not hang on a task, and one that was read long ago serves every kind.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from curator.documents.values import strings, texts_of
from curator.recipe import Kind

TYPES: Mapping[Kind, pl.DataType] = {
    "single": pl.String(),
    "multi": pl.List(pl.String),
    "regression": pl.Float64(),
}  # of the column ``label``
READ_AS: Mapping[Kind, str] = {"single": "a name", "multi": "a list of names", "regression": "a finite number"}
NONE = "(none)"  # what an empty set of labels is called


def read_labels(
    texts: pl.Series, kind: Kind, names: Mapping[str, str] | None = None, separator: str | None = None
) -> pl.Series:
    """The labels of a corpus as those of a task: ``TYPES``; NULL where there is none, or none that can be read.

    ``names`` maps what the file says to what the task says; what it does not name stays. ``multi``: a JSON list, else
    what stands between ``separator``s, else one label; sorted, each once, and without those that ``names`` maps to
    nothing. The empty list is an empty set of labels; an empty text is no label. ``regression``: finite numbers.
    """
    names = names or {}
    if kind == "multi":
        different = texts.drop_nulls().unique().to_list()
        sets = {text: _set(text, names, separator) for text in different}
        return pl.Series(texts.name, [sets.get(text) for text in texts.to_list()], dtype=TYPES[kind])
    mapped = texts.replace(names) if names else texts
    if kind == "single":
        return mapped
    numbers = mapped.str.strip_chars().cast(pl.Float64, strict=False).alias("v").to_frame()
    finite = pl.when(pl.col("v").is_finite()).then("v")
    return numbers.select(finite).to_series().alias(texts.name)


def _set(text: str, names: Mapping[str, str], separator: str | None) -> list[str] | None:
    items = listed(text)
    if items is None and text.strip()[:1] == "[" and text.strip()[-1:] == "]":
        return None  # a list in another notation: one label of that name would be nobody's
    if items is None:
        parts = text.split(separator) if separator else [text]
        items = [part for part in map(str.strip, parts) if part] if separator else parts
    return sorted({names.get(item, item) for item in items} - {""})


def listed(text: str) -> list[str] | None:
    """The single values of a JSON list, as the texts that they would be in a column of their own; None for another."""
    try:
        found = json.loads(text) if text.lstrip()[:1] == "[" else None
    except ValueError:
        return None
    if not isinstance(found, list) or any(isinstance(item, list | dict) for item in found):
        return None
    texts = [_single(item) for item in found if item is not None]
    return [item for item in texts if item is not None and item.strip()]


def _single(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return strings(pl.Series([value], dtype=pl.Float64))[0] if isinstance(value, float) else str(value)


def kept_labels(labels: pl.Series) -> pl.Series:
    """Labels of any kind as a corpus keeps them: the inverse of ``read_labels``."""
    return texts_of(labels)


def told_label(label: Any) -> str | None:
    """One label for people: a set with commas, a number in six figures."""
    if isinstance(label, Sequence) and not isinstance(label, str):
        return ", ".join(label) or NONE
    return f"{label:.6g}" if isinstance(label, float) else label
