"""The edges between two evaluated sides, and which of their lists could have been longer."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator import indexes, neighbours
from curator.errors import QueryError
from curator.indexes import Index
from curator.nearest.ranking import DeclinedError, Ranking
from curator.nearest.sides import Side
from curator.nearest.tree import EdgeNames
from curator.vectors import Vectors

Key = tuple[tuple[str, str], str]
"""An equality that ties the sides together: (outer alias and column, inner column)."""


@dataclass(frozen=True)
class Found:
    """Edges in positions of the sides' vectors."""

    edges: neighbours.Edges
    groups: int
    candidates: npt.NDArray[np.int64]  # per edge: how many rows of the right side its list was chosen from


def index_for(left_rows: int, right: Side, ranking: Ranking) -> Index | None:
    """The right side's index, where it has one that serves this ranking and is expected to be faster."""
    if right.stored is None or ranking.metric != "inner_product" or ranking.farthest:
        return None
    index = indexes.find(right.stored.whole)
    if index is None or not (ranking.normalises or right.stored.whole.vectors.is_unit):
        return None
    return index if index.is_faster(left_rows, right.rows / max(1, len(right.stored.whole))) else None


def search(left: Side, right: Side, ranking: Ranking, k: int, keys: list[Key], index: Index | None = None) -> Found:
    """The k nearest of the right side for each vector of the left, within the groups that ``keys`` make.

    With the right side's ``index`` the search is approximate.

    Raises QueryError for vectors of different dimensions, DeclinedError for what DuckDB orders and FAISS cannot.
    """
    queries, base = _prepared(left, ranking), _prepared(right, ranking)
    if queries.dimension != base.dimension and len(queries) and len(base):
        raise QueryError(
            f"{left.alias}.{left.column} has {queries.dimension} components and "
            f"{right.alias}.{right.column} has {base.dimension}: they come from different encoders"
        )
    if ranking.farthest:
        queries = Vectors.of(-queries.matrix(), unit=queries.is_unit)
    if index is not None and right.stored is not None:
        edges = index.nearest(queries, right.stored.whole.vectors.unit(), k, right.stored.rows)
        if right.stored.rows is not None:
            edges = replace(edges, right=np.searchsorted(right.stored.rows, edges.right))
        return Found(edges, 1, np.full(len(edges), len(base)))
    if not keys:
        edges = neighbours.nearest(queries, base, k, metric=ranking.metric)
        return Found(edges, 1, np.full(len(edges), len(base)))
    parts, candidates = [], []
    for left_rows, right_rows in _groups(left, right, keys):
        edges = neighbours.nearest(queries.take(left_rows), base.take(right_rows), k, metric=ranking.metric)
        parts.append(neighbours.Edges(left_rows[edges.left], right_rows[edges.right], edges.score, edges.rank))
        candidates.append(np.full(len(edges), len(right_rows)))
    found = neighbours.concat(parts)
    sizes = np.zeros(len(left.positions), np.int64)
    for part, size in zip(parts, candidates, strict=True):
        sizes[part.left] = size
    return Found(found, len(parts), sizes[found.left])


def nothing() -> Found:
    """No edges, of no search."""
    return Found(neighbours.concat([]), 0, np.empty(0, np.int64))


def edge_table(found: Found, left: Side, right: Side, ranking: Ranking, names: EdgeNames) -> pa.Table:
    """The edges as a table by row numbers, with DuckDB's value of the ranking."""
    edges = found.edges
    columns = [left.positions[edges.left], right.positions[edges.right], ranking.value(edges.score), edges.rank]
    return pa.table(dict(zip(names.columns, columns, strict=True)))


def _groups(left: Side, right: Side, keys: list[Key]) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Rows of both sides that agree on every key, in order of first appearance. NULL agrees with nothing."""
    left_keys, right_keys = left.keys([outer[1] for outer, _ in keys]), right.keys([inner for _, inner in keys])
    on = [column for column in left_keys.columns if column != "row"]
    grouped = right_keys.drop_nulls().group_by(on, maintain_order=True).agg(pl.col("row").alias("right"))
    try:
        matched = left_keys.group_by(on, maintain_order=True).agg("row").join(grouped, on=on, maintain_order="left")
    except pl.exceptions.SchemaError:
        raise DeclinedError("the columns that tie the sides together are of different types") from None
    return [(np.asarray(rows), np.asarray(others)) for rows, others in matched.select("row", "right").iter_rows()]


def _prepared(side: Side, ranking: Ranking) -> Vectors:
    vectors = side.load()
    if not ranking.normalises:
        return vectors
    unit = vectors.unit()
    # The cosine with a zero vector is NaN, which ranks first by similarity and last by distance.
    if any((np.abs(block).max(axis=1) == 0).any() for _, block in unit.blocks(65_536) if len(block)):
        raise DeclinedError("a side has zero vectors, whose cosine is undefined")
    return unit
