"""What functions that learn from labelled documents share: who has a label and a direction, and who judges whom."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.functions._results import key_of
from curator.probe import Codes
from curator.relation import Relation
from curator.vectors import Rows, Vectors

BLOCK = 16_384  # rows looked at together


@dataclass(frozen=True)
class Labelled:
    """The documents of a relation that have a label and a direction, in order of corpus and id.

    ``rows``: (n,) their positions in the relation; ``vectors``: n unit rows; ``labels``: n strings; ``keys``: n rows of
    ``corpus`` (where the relation has it) and ``id``.
    """

    rows: Rows
    vectors: Vectors
    labels: pl.Series
    keys: pl.DataFrame

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: npt.ArrayLike) -> "Labelled":
        """Some of them, by a mask or by positions."""
        index = np.arange(len(self))[np.asarray(chosen)]
        return Labelled(self.rows[index], self.vectors.take(index), self.labels[index], self.keys[index])

    def codes(self, names: Sequence[str]) -> Codes:
        """(n,) places of their labels among some names, −1 for another label."""
        place = {name: number for number, name in enumerate(names)}
        found = self.labels.replace_strict(place, default=-1, return_dtype=pl.Int64) if place else self.labels
        return found.to_numpy() if place else np.full(len(self), -1)

    def drawn(self, salt: str) -> Rows:
        """(n,) their positions in an order that depends on nothing but their keys and the salt."""
        names = self.keys.select(pl.concat_str(pl.all().cast(pl.String), separator=":").alias("name"))["name"]
        digests = b"".join(hashlib.md5(f"{salt}:{name}".encode(), usedforsecurity=False).digest()[:8] for name in names)
        return np.argsort(np.frombuffer(digests, ">u8"), kind="stable")


def labelled(function: str, role: str, relation: Relation) -> Labelled:
    """Those of a relation. Raises QueryError, naming the function and the role, where it has no vectors or columns."""
    if not relation.can_embed:
        raise QueryError(f"{function}: the {role} has no vectors; name a corpus, or a SELECT with 'embedding'")
    for name in ("id", "label"):
        if name not in relation.columns:
            raise QueryError(f"{function}: the {role} has no column {name!r}; it has: {', '.join(relation.columns)}")
    key = key_of(relation)
    frame = relation.select([*key, "label"]).with_row_index("row").drop_nulls("label").sort(key, maintain_order=True)
    rows = frame["row"].to_numpy().astype(np.int64)
    vectors = relation.vectors.unit().take(rows)
    blocks = [block.any(axis=1) for _, block in vectors.blocks(BLOCK)]
    whole = Labelled(rows, vectors, frame["label"].cast(pl.String), frame.select(key))
    return whole.take(np.concatenate(blocks)) if blocks else whole


def one_dimension(function: str, *parts: Labelled) -> None:
    """Raises QueryError where the vectors of some documents cannot be compared."""
    dimensions = sorted({part.vectors.dimension for part in parts if len(part)})
    if len(dimensions) > 1:
        told = " and ".join(map(str, dimensions))
        raise QueryError(f"{function}: vectors of {told} components cannot be compared: they are of different encoders")


def splits(target: Labelled, dev: Labelled, folds: int, seed: int) -> list[tuple[Labelled, Labelled]]:
    """Who teaches and who judges: the target and dev, or without dev each fold of the target and the others.

    A fold has a like share of each label. A document that is the only one of its label is always among those who teach.
    Empty where nobody is left to judge, or those who teach have one label alone.
    """
    if len(dev):
        found = [(target, dev)]
    else:
        fold = _folds(target, folds, seed)
        found = [(target.take(fold != number), target.take(fold == number)) for number in range(folds)]
    return [(taught, judge) for taught, judge in found if len(judge) and taught.labels.n_unique() > 1]


def source_of(relation: Relation, rows: Rows) -> pl.Series:
    """The source of some documents: their column ``source``, else ``corpus``. Raises QueryError without either."""
    for name in ("source", "corpus"):
        if name in relation.columns:
            return relation.select([name])[name].cast(pl.String)[rows].alias("source")
    raise QueryError(f"there is no column 'source' or 'corpus'; the relation has: {', '.join(relation.columns)}")


def table(relation: Relation, rows: Rows, columns: dict[str, npt.NDArray[np.float64]]) -> pa.Table:
    """A row per document of a relation: ``corpus`` (where there is one), ``id`` and values of some, else NULL."""
    result = relation.select(key_of(relation))
    for name, values in columns.items():
        whole = np.full(len(result), np.nan)
        whole[rows] = values
        result = result.with_columns(pl.Series(name, whole).fill_nan(None))
    found: pa.Table = result.to_arrow(compat_level=pl.CompatLevel.newest())
    return found


def _folds(documents: Labelled, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """(n,) the fold of each, −1 for one whose label no other has; drawn by nothing but the keys and the seed."""
    fold = np.full(len(documents), -1)
    order = documents.drawn(f"fold {seed}")
    for label in documents.labels.unique().sort():
        mine = order[(documents.labels == label).to_numpy()[order]]
        if len(mine) > 1:
            fold[mine] = np.arange(len(mine)) % folds
    return fold
