"""Columns of any type → polars columns, and → the strings that ids, labels and texts are."""

import json
from collections.abc import Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc


def column(name: str, values: Sequence[object]) -> pl.Series:
    """A column of Python values, in their own type; values that fit no common type become strings."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pl.Series(name, values, dtype=pl.Null)
    if kinds == {str}:
        return pl.Series(name, values, dtype=pl.String)
    if len(kinds) == 1 or kinds == {int, float}:
        try:
            array = pa.array(values)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            return pl.Series(name, _texts(values), dtype=pl.String)
        if not _foreign(array.type):
            return _named(name, array)
    return pl.Series(name, _texts(values), dtype=pl.String)


def arrow_column(name: str, array: Any) -> pl.Series:
    """An Arrow array or chunked array as a polars column; types polars does not have become strings.

    Strings that are not UTF-8 come back as Binary. Raises pyarrow.ArrowInvalid for such strings inside a list or
    struct.
    """
    kind = array.type
    while isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
        array = array.cast(kind)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        array = array.cast(kind)
    elif pa.types.is_run_end_encoded(kind):
        kind = kind.value_type
        array = pc.run_end_decode(array)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        try:
            array.validate(full=True)  # polars believes what Arrow says of UTF-8
        except pa.ArrowInvalid:
            array = array.cast(pa.string() if pa.types.is_string_view(kind) else kind).cast(_BINARY[str(kind)])
    elif kind.num_fields:
        array.validate(full=True)
    return column(name, array.to_pylist()) if _foreign(kind) else _named(name, array)


_BINARY = {"string": pa.binary(), "large_string": pa.large_binary(), "string_view": pa.binary()}


def strings(series: pl.Series) -> pl.Series:
    """The values as strings: 1 and 1.0 are '1', true is 'true'; NaN is null, and so is what cannot be a string."""
    kind = series.dtype
    if kind == pl.String:
        return series
    if kind.is_float():
        number = pl.col("v").fill_nan(None).cast(pl.Float64)
        whole = pl.when(number == number.floor()).then(number).cast(pl.Int64, strict=False).cast(pl.String)
        own = pl.col("v").fill_nan(None).cast(pl.String)  # from the type itself: a 32-bit 0.1 is '0.1'
        return series.alias("v").to_frame().select(pl.coalesce(whole, own)).to_series().alias(series.name)
    if kind == pl.Binary:
        try:
            return series.cast(pl.String)
        except pl.exceptions.ComputeError:
            return pl.Series(series.name, [_decoded(value) for value in series], dtype=pl.String)
    if kind == pl.Duration:
        return series.dt.to_string("iso")
    if kind.is_nested() or kind == pl.Object:
        return pl.repeat(None, len(series), dtype=pl.String, eager=True).alias(series.name)
    return series.cast(pl.String)


def as_text(value: object) -> str | None:
    """One Python value as a string, lists and dicts as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def is_several(role: str, value: object) -> bool:
    """Whether a value is a list of labels, each a single value, which a document may have in the place of one."""
    return role == "label" and isinstance(value, list | tuple) and not any(isinstance(v, list | dict) for v in value)


def texts_of(series: pl.Series) -> pl.Series:
    """The values of a column of any type as strings, lists and structs as JSON."""
    if series.dtype.is_nested():
        return pl.Series(series.name, [as_text(value) for value in series.to_list()], dtype=pl.String)
    return strings(series)


def _texts(values: Sequence[object]) -> list[str | None]:
    """Mixed values as strings, floats as ``strings`` writes them, lists and objects as JSON."""
    floats = iter(strings(pl.Series([value for value in values if type(value) is float], dtype=pl.Float64)))
    return [next(floats) if type(value) is float else as_text(value) for value in values]


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _named(name: str, array: Any) -> pl.Series:
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series.alias(name)


def _foreign(kind: Any) -> bool:
    """Whether polars lacks this Arrow type, or cannot write it (a struct without fields)."""
    types = pa.types
    if types.is_union(kind) or types.is_interval(kind) or types.is_decimal256(kind):
        return True
    if types.is_list_view(kind) or types.is_large_list_view(kind) or types.is_run_end_encoded(kind):
        return True
    if types.is_struct(kind) and kind.num_fields == 0:
        return True
    return any(_foreign(kind.field(i).type) for i in range(kind.num_fields))
