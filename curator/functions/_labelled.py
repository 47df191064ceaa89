"""What functions that learn from labelled documents share: who judges whom, and a row for each candidate."""

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.functions._documents import Documents
from curator.functions._results import key_of
from curator.relation import Relation
from curator.vectors import Rows


def splits(target: Documents, dev: Documents, folds: int, seed: int) -> list[tuple[Documents, Documents]]:
    """Who teaches and who judges: the target and dev, or without dev each fold of the target and the others.

    A fold has a like share of each label. A document that is the only one of its label is always among those who teach.
    Empty where nobody is left to judge, or those who teach have one label alone.
    """
    if len(dev):
        found = [(target, dev)]
    else:
        fold = folded(target, folds, seed)
        found = [(target.take(fold != number), target.take(fold == number)) for number in range(folds)]
    return [(taught, judge) for taught, judge in found if len(judge) and taught.labels.n_unique() > 1]


def folded(documents: Documents, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """(n,) the fold of each, −1 for one whose label no other has; drawn by nothing but the keys and the seed."""
    fold = np.full(len(documents), -1)
    order = documents.drawn(f"fold {seed}")
    for label in documents.labels.unique().sort():
        mine = order[(documents.labels == label).to_numpy()[order]]
        if len(mine) > 1:
            fold[mine] = np.arange(len(mine)) % folds
    return fold


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
