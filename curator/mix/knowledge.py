"""A recipe's concepts and relations, checked: a row that means nothing is an error that names its file and line."""

from collections.abc import Mapping

import polars as pl

from curator.documents import texts_of
from curator.errors import DataError, UnknownNameError
from curator.relation import Relation

TEXT_OF: Mapping[str, str] = {"concepts": "name", "relations": "relation"}  # the column that is read as the text
_WEIGHT = "weight_"  # what a file's column ``weight`` is called once it is read
_RELATIONS = {"head": pl.String, "relation": pl.String, "tail": pl.String, "weight": pl.Float64}


def checked_concepts(documents: Relation) -> Relation:
    """``concept, name`` with the vectors of the names; spaces around either are taken off.

    Raises DataError without the column ``concept``, for a row without a concept, a name without a letter or digit, and
    for the same name of the same concept twice.
    """
    frame = _columns("concepts", documents, ["concept"]).rename({"text": "name"})
    written = frame["name"].str.normalize("NFKC").str.contains(r"[\p{L}\p{M}\p{N}]")
    _refuse(frame, ~written, "the name {!r} has no letter or digit", "name")
    twice = pl.struct("concept", "name").is_first_distinct().not_()
    _refuse(frame, frame.select(twice).to_series(), "{!r} is a name of {!r} already", "name", "concept")
    return documents.with_frame(frame.select("concept", "name"))


def checked_relations(documents: Relation | None, concepts: Relation) -> Relation:
    """``head, relation, tail, weight``; the weight is 1 where the file has no such column. None: there are none.

    Raises DataError without a column, for a head or tail that is no concept or is the other, for a weight that is not
    above 0 and at most 1, and for the same relation twice.
    """
    if documents is None:
        return Relation(pl.DataFrame(schema=_RELATIONS))
    frame = _columns("relations", documents, ["head", "tail"]).rename({"text": "relation"})
    known = concepts.select(["concept"])["concept"].unique()
    for end in ("head", "tail"):
        unknown = ~frame[end].is_in(known.implode())
        if unknown.any():
            row = frame.filter(unknown).row(0, named=True)
            raise DataError(f"{row['id']}: {end}: {UnknownNameError('concept', row[end], known)}")
    _refuse(frame, frame["head"] == frame["tail"], "{!r} is related to itself", "head")
    twice = pl.struct("head", "relation", "tail").is_first_distinct().not_()
    _refuse(frame, frame.select(twice).to_series(), "{!r} {!r} {!r} is there already", "head", "relation", "tail")
    if _WEIGHT not in documents.columns:
        return Relation(frame.select("head", "relation", "tail", pl.lit(1.0).alias("weight")))
    given = frame.with_columns(documents.select([_WEIGHT])[_WEIGHT].alias("given"))
    weighed = given.with_columns(given["given"].cast(pl.Float64, strict=False).alias("weight"))
    fits = (weighed["weight"] > 0) & (weighed["weight"] <= 1)
    _refuse(weighed, ~fits.fill_null(value=False), "the weight is {!r}; it must be above 0 and at most 1", "given")
    return Relation(weighed.select(list(_RELATIONS)))


def _columns(what: str, documents: Relation, names: list[str]) -> pl.DataFrame:
    """``id``, which says where the row is, ``text`` and some others as strings without spaces around them.

    Raises DataError where one is not there, or where a row has none.
    """
    for name in names:
        if name not in documents.columns:
            there = ", ".join(documents.columns)
            raise DataError(f"the {what} have no column {name!r}; there are: {there}")
    frame = documents.select(["id", *names, "text"])
    frame = frame.with_columns(texts_of(frame[name]).str.strip_chars().alias(name) for name in [*names, "text"])
    for name in names:
        _refuse(frame, frame[name].is_null() | (frame[name] == ""), f"there is no {name}")
    return frame


def _refuse(frame: pl.DataFrame, bad: pl.Series, message: str, *names: str) -> None:
    """Raises DataError for the first of the rows that are bad, and says how many there are."""
    if not bad.any():
        return
    row = frame.filter(bad).row(0, named=True)
    others = f" ({bad.sum():,} such rows)" if bad.sum() > 1 else ""
    raise DataError(f"{row['id']}: {message.format(*(row[name] for name in names))}{others}")
