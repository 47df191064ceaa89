"""The documents of a mix as a relation: as the mix has them, with their corpora's other columns and their vectors."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from curator.corpora import Corpora
from curator.errors import DataError
from curator.relation import Relation

GIVEN = ("text", "label", "source", "weight")  # by the mix; every other column is the corpus's


def members(frame: pl.DataFrame, entries: Iterable[Mapping[str, Any]], corpora: Corpora) -> Relation:
    """Documents (``corpus, id`` and ``GIVEN``) with what the versions of corpora in a lockfile's ``entries`` have.

    They come corpus by corpus in the order of the entries, and within one in the order of ``frame``; ``_version`` is
    that of the corpus. Vectors are those of the corpus's texts, also where a stage changed the text. Raises DataError
    for a document that is in none.
    """
    parts, frames = [], []
    for entry in entries:
        own = frame.filter(corpus=entry["name"]) if entry["role"] == "pool" else frame.clear()
        if not len(own):
            continue
        relation = corpora.relation(corpora.catalogue.corpus(entry["corpus"], entry["version"]))
        rows = relation.select(["id"]).with_row_index("_row")
        places = own.join(rows, on="id", how="inner", maintain_order="left")["_row"].to_numpy()
        part = relation.take(places)
        kept = own.join(rows, on="id", how="semi", maintain_order="left").with_columns(
            _version=pl.lit(entry["version"])
        )
        parts.append(part)
        frames.append(pl.concat([kept, part.frame.drop("id", *GIVEN, strict=False)], how="horizontal"))
    found = sum(map(len, parts))
    if found != len(frame):
        raise DataError(f"{len(frame) - found:,} of {len(frame):,} documents of a mix are in its corpora no more")
    return Relation.concat(parts, pl.concat(frames, how="diagonal_relaxed"))
