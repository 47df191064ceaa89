"""The documents of a relation that have a direction, in the order of their keys: what many functions start from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.errors import QueryError
from curator.functions._results import key_of
from curator.relation import Relation
from curator.vectors import Rows, Vectors

BLOCK = 16_384  # rows read at once


@dataclass(frozen=True)
class Documents:
    """Those of a relation whose vectors are not zero, in order of corpus and id.

    ``rows``: (n,) their positions in the relation; ``keys``: their corpus, where there is one, and id; ``vectors``:
    n unit rows; ``labels``: n strings or NULL, all NULL where nobody asked for them.
    """

    rows: Rows
    keys: pl.DataFrame
    vectors: Vectors
    labels: pl.Series

    @classmethod
    def of(cls, function: str, role: str, relation: Relation, *, labels: bool = False) -> Self:
        """Raises QueryError, naming the function and the role, for a relation without vectors, ids or labels."""
        for name in ("id", *(["label"] if labels else [])):
            if name not in relation.columns:
                there = ", ".join(relation.columns)
                raise QueryError(f"{function}: no column {name!r} in the {role}; there are: {there}")
        if not relation.can_embed:
            raise QueryError(f"{function}: no vectors in the {role}; name a corpus, or a SELECT with 'embedding'")
        keys = relation.select(key_of(relation))
        order = keys.with_row_index("row").sort(keys.columns, maintain_order=True)["row"].to_numpy().astype(np.int64)
        vectors = relation.vectors.unit()
        directed = np.empty(len(relation), bool)
        for start, block in vectors.blocks(BLOCK):
            directed[start : start + len(block)] = block.any(axis=1)
        rows = order[directed[order]]
        given = relation.select(["label"])["label"] if labels else pl.Series([None]).new_from_index(0, len(relation))
        if given.dtype.is_nested() or given.dtype.is_float():
            kind = "a list" if given.dtype.is_nested() else "a number"
            raise QueryError(
                f"{function}: label is {kind} in the {role}, and labels of one name each are needed; where they are "
                "names all the same, SELECT … label::VARCHAR AS label"
            )
        return cls(rows, keys[rows], vectors.take(rows), given.cast(pl.String).gather(rows).alias("label"))

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: npt.ArrayLike) -> "Documents":
        """Some of them, by a mask or by positions, in the given order."""
        index = np.arange(len(self))[np.asarray(chosen)]
        return Documents(self.rows[index], self.keys[index], self.vectors.take(index), self.labels[index])

    def columns(self, rows: Rows, prefix: str = "") -> pl.DataFrame:
        """The keys of some, their names behind a prefix."""
        return self.keys[rows].rename(lambda name: f"{prefix}{name}")

    def codes(self, names: Sequence[str]) -> Rows:
        """(n,) places of their labels among some names, −1 for another label and for none."""
        place = {name: number for number, name in enumerate(names)}
        if not place:
            return np.full(len(self), -1)
        return self.labels.replace_strict(place, default=-1, return_dtype=pl.Int64).to_numpy()

    def drawn(self, salt: str) -> Rows:
        """(n,) their positions in an order that depends on nothing but their keys and the salt."""
        names = self.keys.select(pl.concat_str(pl.all().cast(pl.String), separator=":").alias("name"))["name"]
        digests = b"".join(hashlib.md5(f"{salt}:{name}".encode(), usedforsecurity=False).digest()[:8] for name in names)
        return np.argsort(np.frombuffer(digests, ">u8"), kind="stable")


def labelled(function: str, role: str, relation: Relation) -> Documents:
    """Those of a relation that have a label. Raises QueryError as ``Documents.of`` does."""
    documents = Documents.of(function, role, relation, labels=True)
    return documents.take(documents.labels.is_not_null().to_numpy())


def check_encoder(function: str, *parts: Documents) -> None:
    """Raises QueryError where the vectors of some documents cannot be compared."""
    dimensions = sorted({part.vectors.dimension for part in parts if len(part)})
    if len(dimensions) > 1:
        told = " and ".join(map(str, dimensions))
        raise QueryError(f"{function}: vectors of {told} components cannot be compared: they are of different encoders")
