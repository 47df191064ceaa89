"""One type for a column whose batches had several: JSONL has no types, and two files need not agree on theirs."""

from collections.abc import Iterable, Sequence

import polars as pl
from polars.datatypes import DataType

from curator.documents import texts_of


def common(schemas: Iterable[pl.Schema]) -> pl.Schema:
    """The columns of all, each of a type that holds the values of every batch; strings where no other does."""
    types: dict[str, list[DataType]] = {}
    for schema in schemas:
        for name, kind in schema.items():
            types.setdefault(name, []).append(kind)
    found = {name: _common(kinds) for name, kinds in types.items()}
    return pl.Schema({name: pl.String() if kind in (None, pl.Null) else kind for name, kind in found.items()})


def converted(frame: pl.LazyFrame, own: pl.Schema, to: pl.Schema) -> pl.LazyFrame:
    """A batch with its columns in the types of ``to``; lists and structs that become strings are JSON."""
    changes = []
    for name, kind in own.items():
        if kind == to[name]:
            continue
        column = pl.col(name)
        as_texts = to[name] == pl.String and kind != pl.Null  # NULL has no texts, but is a column of them
        changes.append(column.map_batches(texts_of, return_dtype=pl.String) if as_texts else column.cast(to[name]))
    return frame.with_columns(changes)


def _common(kinds: Sequence[DataType]) -> DataType | None:
    """The type that holds the values of all without changing one; None where there is none."""
    found = [kind for number, kind in enumerate(kinds) if kind != pl.Null and kind not in kinds[:number]]
    if len(found) < 2:
        return (found or list(kinds))[0]
    if all(kind.is_integer() for kind in found) or all(kind.is_numeric() and not kind.is_decimal() for kind in found):
        empty = [pl.DataFrame(schema={"x": kind}) for kind in found]
        return pl.concat(empty, how="vertical_relaxed").schema["x"]
    if all(isinstance(kind, pl.List) for kind in found):
        inner = _common([kind.inner for kind in found if isinstance(kind, pl.List)])  # type: ignore[misc]
        return None if inner is None else pl.List(inner)
    if all(isinstance(kind, pl.Struct) for kind in found):
        fields: dict[str, list[DataType]] = {}
        for kind in found:
            for field in kind.fields if isinstance(kind, pl.Struct) else ():
                fields.setdefault(field.name, []).append(field.dtype)  # type: ignore[arg-type]
        merged = {name: _common(types) for name, types in fields.items()}
        if all(kind is not None for kind in merged.values()):
            return pl.Struct({name: kind for name, kind in merged.items() if kind is not None})
    return None
