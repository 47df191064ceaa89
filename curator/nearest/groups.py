"""The groups that equalities with the left side make of a right side: one search each."""

import numpy as np
import numpy.typing as npt

from curator.errors import QueryError
from curator.nearest.engine import Engine
from curator.nearest.ranking import DeclinedError
from curator.nearest.sides import Keys, Side
from curator.nearest.tree import Node

Group = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Row numbers of the left and of the right side that agree on every key."""


def groups(left: Side, right: Side, keys: Keys, engine: Engine) -> list[Group]:
    """Rows of both sides that agree on every key, as DuckDB compares them, in order of the left side."""
    ours, others = _key_table(left, left.alias, keys.outer, engine), _key_table(right, *right.keyed_by, engine)
    on = ", ".join(f"k{i}" for i in range(len(keys)))
    agree = " AND ".join(f"ours.k{i} = others.k{i}" for i in range(len(keys)))
    found = engine.run(
        "SELECT ours.rows, others.rows AS others "
        f"FROM (SELECT list(row ORDER BY row) AS rows, {on} FROM {ours} GROUP BY ALL) AS ours "
        f"JOIN (SELECT list(row ORDER BY row) AS rows, {on} FROM {others} GROUP BY ALL) AS others ON {agree} "
        "ORDER BY ours.rows[1]"
    )
    return [
        (np.asarray(rows, np.int64), np.asarray(others, np.int64))
        for rows, others in zip(*(column.to_pylist() for column in found.columns), strict=True)
    ]


def _key_table(side: Side, alias: str, keys: tuple[Node, ...], engine: Engine) -> str:
    """A table of the row numbers of a side and its keys ``k0, k1, …``."""
    statement = engine.builder.select(engine.builder.table(side.name, alias), [], f"{side.row} AS row")
    statement["node"]["select_list"] += [{**key, "alias": f"k{i}"} for i, key in enumerate(keys)]
    try:
        return engine.keep(statement)
    except QueryError as error:
        raise DeclinedError(f"a key cannot be evaluated: {str(error).splitlines()[0]}") from None
