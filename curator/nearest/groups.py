"""The groups that comparisons with the left side make of a right side: one search each."""

import numpy as np
import numpy.typing as npt

from curator.errors import QueryError
from curator.nearest.engine import Engine
from curator.nearest.ranking import DeclinedError
from curator.nearest.sides import Keys, Side
from curator.nearest.tree import Node

Group = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Row numbers of the left and of the right side that go together by every key."""

MOST = 2**27  # row numbers of the right side in all groups, where keys are to differ: a row is in many of them


def groups(left: Side, right: Side, keys: Keys, engine: Engine) -> list[Group]:
    """Rows of both sides that go together by every key, as DuckDB compares them, in order of the left side.

    Raises DeclinedError where keys are to differ and there are so many groups that their rows fill the memory.
    """
    ours, others = _key_table(left, left.alias, keys.outer, engine), _key_table(right, *right.keyed_by, engine)
    on = ", ".join(f"k{i}" for i in range(len(keys)))
    together = " AND ".join(
        f"ours.k{i} {'<>' if differs else '='} others.k{i}" for i, differs in enumerate(keys.differ)
    )
    pairs = (
        f"FROM (SELECT list(row ORDER BY row) AS rows, {on} FROM {ours} GROUP BY ALL) AS ours "
        f"JOIN (SELECT list(row ORDER BY row) AS rows, {on} FROM {others} GROUP BY ALL) AS others ON {together}"
    )
    if any(keys.differ):
        rows = engine.run(f"SELECT coalesce(sum(len(others.rows)), 0)::BIGINT {pairs}").column(0)[0].as_py()
        if rows > MOST:
            raise DeclinedError(f"with <> the right side would be searched in groups of {rows:,} rows in all")
        what = (
            f"any_value(ours.rows) AS rows, list_sort(flatten(list(others.rows))) AS others {pairs} GROUP BY ours.rows"
        )
    else:
        what = f"ours.rows, others.rows AS others {pairs}"
    found = engine.run(f"SELECT {what} ORDER BY ours.rows[1]")
    columns = [
        [np.asarray(cell.values.to_numpy(zero_copy_only=False), np.int64) for cell in column]
        for column in found.columns
    ]
    return list(zip(*columns, strict=True))


def _key_table(side: Side, alias: str, keys: tuple[Node, ...], engine: Engine) -> str:
    """A table of the row numbers of a side and its keys ``k0, k1, …``."""
    statement = engine.builder.select(engine.builder.table(side.name, alias), [], f"{side.row} AS row")
    statement["node"]["select_list"] += [{**key, "alias": f"k{i}"} for i, key in enumerate(keys)]
    try:
        return engine.keep(statement)
    except QueryError as error:
        raise DeclinedError(f"a key cannot be evaluated: {str(error).splitlines()[0]}") from None
