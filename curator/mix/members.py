"""The documents of a mix as a relation: as the mix has them, with their corpora's other columns and their vectors."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from curator.corpora import Corpora
from curator.errors import DataError
from curator.relation import Relation


def members(frame: pl.DataFrame, entries: Iterable[Mapping[str, Any]], corpora: Corpora) -> Relation:
    """Documents, at least ``corpus, id``, with the columns that the corpora of a lockfile's ``entries`` add.

    They come corpus by corpus in the order of the entries, and within one in the order of ``frame``; ``_version`` and
    ``_text`` are those of the corpus. Vectors are of these texts, also where a stage changed them. Raises DataError for
    a document that is in none.
    """
    parts, frames = [], []
    for entry in entries:
        own = frame.filter(corpus=entry["name"]) if entry["role"] == "pool" else frame.clear()
        if not len(own):
            continue
        relation = corpora.relation(corpora.catalogue.corpus(entry["corpus"], entry["version"]))
        rows = relation.select(["id"]).with_row_index("_row")
        found = own.join(rows, on="id", how="inner", maintain_order="left")
        part = relation.take(found["_row"].to_numpy())
        kept = found.drop("_row").with_columns(_version=pl.lit(entry["version"]))
        others = part.frame.rename({"text": "_text"}).drop(*kept.columns, strict=False)
        parts.append(part)
        frames.append(pl.concat([kept, others], how="horizontal"))
    lost = len(frame) - sum(map(len, parts))
    if lost:
        raise DataError(f"{lost:,} of {len(frame):,} documents of a mix are in its corpora no more")
    return Relation.concat(parts, pl.concat(frames, how="diagonal_relaxed"))
