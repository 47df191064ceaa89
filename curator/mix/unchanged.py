"""Which candidates of a mix are those of a stored one, the same in everything that a stage can see of them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.corpora import Corpora
from curator.errors import DataError, RecipeError, UnknownNameError, WorkspaceError
from curator.mix.build import usable
from curator.mix.replay import of_lock
from curator.mix.task import Task
from curator.relation import Relation
from curator.session import Session

KEY = ["corpus", "id"]
BLOCK = 65_536  # documents whose vectors are compared at once

Which = npt.NDArray[np.bool_]


def unchanged(values: dict[str, Any], task: Task, corpora: Corpora, session: Session) -> pl.DataFrame:
    """``corpus, id`` of the candidates before any stage that the mix of a lockfile had too, with equal columns.

    Its pool is read again from the stored versions; none are the same where one of these is gone. A column that only
    one of the two pools has counts as NULL in the other, and one that has another type is another.
    """
    apart = Corpora(corpora.catalogue, lambda: corpora.encoder)  # what is read of the old pool is not kept
    try:
        before = of_lock(values, apart, session)
    except (DataError, RecipeError, UnknownNameError, WorkspaceError):
        return pl.DataFrame(schema=dict.fromkeys(KEY, pl.String))
    one, other = usable(before)[0], usable(task)[0]
    rows = other.select(KEY).with_row_index("_row")
    pairs = rows.join(one.select(KEY).with_row_index("_before"), on=KEY, how="inner", maintain_order="left")
    same = _equal_columns(one, other, pairs["_before"], pairs["_row"])
    pairs = pairs.filter(pl.Series(same))
    own = any(use.corpus.has_own_vectors for use in (*before.used, *task.used))
    if own or before.mixes or task.mixes:  # of others the text alone decides what their vector is
        pairs = pairs.filter(pl.Series(_equal_vectors(one, other, pairs["_before"], pairs["_row"])))
    return pairs.select(KEY)


def _equal_columns(one: Relation, other: Relation, left: pl.Series, right: pl.Series) -> Which:
    """(n,) whether rows ``left`` of one relation and ``right`` of the other are equal in every column."""
    same = np.ones(len(left), np.bool_)
    for name in dict.fromkeys([*one.columns, *other.columns]):
        values = [
            relation.select([name])[name].gather(rows)
            for relation, rows in ((one, left), (other, right))
            if name in relation.columns
        ]
        if len(values) == 1:
            same &= values[0].is_null().to_numpy()
        elif values[0].dtype != values[1].dtype:
            same[:] = False
        else:
            same &= values[0].eq_missing(values[1]).to_numpy()
    return same


def _equal_vectors(one: Relation, other: Relation, left: pl.Series, right: pl.Series) -> Which:
    """(n,) whether the vectors of rows ``left`` and ``right`` are equal, bit by bit but for the sign of a zero."""
    same = np.ones(len(left), np.bool_)
    for start in range(0, len(left), BLOCK):
        part = slice(start, start + BLOCK)
        rows = (side[part].to_numpy().astype(np.int64) for side in (left, right))
        first, second = (side.vectors_of(numbers).matrix() for side, numbers in zip((one, other), rows, strict=True))
        same[part] = first.shape == second.shape and (first == second).all(axis=1)
    return same
