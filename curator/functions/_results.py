"""What search, bm25 and others share: the checks of their arguments, and rows of a relation as a ranked table."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator import neighbours
from curator.errors import QueryError
from curator.nearest import duration
from curator.relation import Relation


@dataclass(frozen=True)
class Hits:
    """Rows of a relation, best first. ``rows``: (m,) int64 positions; ``scores``: (m,) float32."""

    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.scores):
            raise ValueError(f"{len(self.rows)} rows with {len(self.scores)} scores")

    def frame(self, score: str, rank: str) -> pl.DataFrame:
        """``row``, and the score and the rank, from 1, under the names given."""
        ranks = np.arange(1, len(self.rows) + 1, dtype=np.int32)
        return pl.DataFrame({"row": self.rows, score: self.scores, rank: ranks})


def check_question(function: str, corpus: Relation, text: object, k: object) -> None:
    """Raises QueryError for a relation without ids, a text of nothing, or a k below 1."""
    if "id" not in corpus.columns:
        raise QueryError(f"{function} needs a column 'id'; the relation has: {', '.join(corpus.columns)}")
    if not isinstance(text, str) or not text.strip():
        raise QueryError(f"{function}: the text is {text!r}; give it words to look for")
    check_whole_number(function, "k", k, least=1)


def check_whole_number(function: str, name: str, value: object, *, least: int) -> None:
    """Raises QueryError for anything but an integer from ``least`` up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise QueryError(f"{function}: {name} is {value!r}; a whole number of at least {least} is needed")


def check_texts(function: str, relation: Relation) -> pl.Series:
    """The column ``text``; no other is read. Raises QueryError where there is none, or it holds no strings."""
    if "text" not in relation.columns:
        raise QueryError(f"{function} needs a column 'text'; the relation has: {', '.join(relation.columns)}")
    texts = relation.select(["text"])["text"]
    if texts.dtype != pl.String:
        raise QueryError(f"{function}: the column 'text' is {texts.dtype}, not strings; cast it to VARCHAR")
    return texts


def check_pairs(function: str, pairs: int, most: int, dimension: int) -> None:
    """Raises QueryError, with an estimate, for more pairs of vectors than may be compared."""
    check_whole_number(function, "max_pairs", most, least=0)
    if pairs > most:
        told = duration(neighbours.estimated_seconds(pairs, dimension))
        raise QueryError(
            f"{function}: {pairs:,} pairs of vectors would be compared, which takes about {told} here; max_pairs is "
            f"{most:,}. Raise it if that is worth it, or part the relation, by source or by cluster"
        )


def key_of(documents: Relation | pl.DataFrame) -> list[str]:
    """The columns that name a document: ``corpus``, where there is one, and ``id``."""
    return [name for name in ("corpus", "id") if name in documents.columns]


def keyed_texts(function: str, documents: Relation) -> tuple[pl.DataFrame, pl.Series]:
    """``corpus`` (if there is one) and ``id``, and the texts. Raises QueryError where a column is missing."""
    if "id" not in documents.columns:
        raise QueryError(f"{function} needs a column 'id'; the relation has: {', '.join(documents.columns)}")
    keys = key_of(documents)
    return documents.select(keys), check_texts(function, documents)


def ranked_table(corpus: Relation, found: pl.DataFrame) -> pa.Table:
    """The documents in the rows ``found["row"]``: their keys, the other columns of ``found``, their own columns.

    A column of theirs that has a name of those made here gets ``_`` behind it, as at ingest.
    """
    made = found.drop("row")
    documents = corpus.take(found["row"].to_numpy()).frame
    keys = key_of(documents)
    taken = {*keys, *made.columns}
    rest = {}
    for name in documents.columns:
        if name in keys or name == "embedding":
            continue
        free = name
        while free.lower() in taken:  # SQL does not tell Score from score
            free += "_"
        rest[name] = free
        taken.add(free.lower())
    parts = [documents.select(keys), made, documents.select(pl.col(name).alias(free) for name, free in rest.items())]
    table: pa.Table = pl.concat(parts, how="horizontal").to_arrow(compat_level=pl.CompatLevel.newest())
    return table
