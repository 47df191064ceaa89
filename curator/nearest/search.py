"""The edges between two evaluated sides, and which of their lists could have been longer."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curator import indexes, neighbours
from curator.errors import QueryError
from curator.indexes import Certificate, Index
from curator.nearest.groups import Group
from curator.nearest.ranking import DeclinedError, Ranking
from curator.nearest.report import JoinReport
from curator.nearest.sides import Side
from curator.nearest.tree import EdgeNames
from curator.vectors import Vectors


@dataclass(frozen=True)
class Found:
    """Edges in positions of the sides' vectors."""

    edges: neighbours.Edges
    groups: int
    candidates: npt.NDArray[np.int64]  # per edge: how many rows of the right side its list was chosen from
    certificate: Certificate | None = None  # of an approximate search of many queries


def index_for(left_rows: int, right: Side, ranking: Ranking, k: int) -> Index | None:
    """The right side's index, where it has one that serves this ranking and is expected to be faster."""
    if right.stored is None or ranking.metric != "inner_product" or ranking.farthest:
        return None
    corpus, _ = right.stored.in_corpus()
    index = indexes.find(corpus)
    if index is None or not (ranking.normalises or right.stored.whole.vectors.is_unit):
        return None
    return index if index.is_faster(left_rows, right.rows / max(1, len(corpus)), k) else None


def search(
    left: Side, right: Side, ranking: Ranking, k: int, groups: list[Group] | None = None, index: Index | None = None
) -> Found:
    """The k nearest of the right side for each vector of the left, within ``groups`` of rows where there are some.

    With the right side's ``index`` the search is approximate.

    Raises QueryError for vectors of different dimensions, DeclinedError for what DuckDB orders and FAISS cannot.
    """
    # What an index holds was looked at when it was built: a pass over all of it would cost more than the search.
    queries = _prepared(left, ranking)
    base = _prepared(right, ranking) if index is None or index.measured.zeros else right.load()
    if queries.dimension != base.dimension:
        raise QueryError(
            f"{left.alias}.{left.column} has {queries.dimension} components and "
            f"{right.alias}.{right.column} has {base.dimension}: they come from different encoders"
        )
    try:
        return _searched(queries, base, left, right, ranking, k, groups, index)
    except ValueError as error:  # numbers over the range of single precision
        raise DeclinedError(str(error)) from None


def _searched(
    queries: Vectors, base: Vectors, left: Side, right: Side, ranking: Ranking, k: int, groups: list[Group] | None,
    index: Index | None,
) -> Found:  # fmt: skip
    if ranking.farthest:
        queries = Vectors.of(-queries.matrix(), unit=queries.is_unit)
    if index is not None and right.stored is not None:
        corpus, rows = right.stored.in_corpus()
        edges, certificate = index.certified(queries, corpus.vectors, k, rows)
        if rows is not None:
            edges = replace(edges, right=np.searchsorted(rows, edges.right))
        return Found(edges, 1, np.full(len(edges), len(base)), certificate)
    if groups is None:
        edges = neighbours.nearest(queries, base, k, metric=ranking.metric)
        return Found(edges, 1, np.full(len(edges), len(base)))
    parts, sizes = [], np.zeros(len(left.positions), np.int64)
    for left_rows, right_rows in groups:
        ours, others = _positions(left, left_rows), _positions(right, right_rows)
        edges = neighbours.nearest(queries.take(ours), base.take(others), k, metric=ranking.metric)
        parts.append(neighbours.Edges(ours[edges.left], others[edges.right], edges.score, edges.rank))
        sizes[ours] = len(others)
    found = neighbours.concat(parts)
    return Found(found, len(parts), sizes[found.left])


def _positions(side: Side, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Positions of the vectors of some rows; rows without one have none."""
    order = np.argsort(side.positions, kind="stable")
    places = np.searchsorted(side.positions, rows, sorter=order).clip(max=max(0, len(order) - 1))
    found = order[places] if len(order) else np.empty(0, np.int64)
    return found[side.positions[found] == rows] if len(found) else found


def nothing() -> Found:
    """No edges, of no search."""
    return Found(neighbours.concat([]), 0, np.empty(0, np.int64))


def edge_table(found: Found, left: Side, right: Side, ranking: Ranking, names: EdgeNames) -> pa.Table:
    """The edges as a table by row numbers, with DuckDB's value of the ranking."""
    edges = found.edges
    columns = [left.positions[edges.left], right.positions[edges.right], ranking.value(edges.score), edges.rank]
    return pa.table(dict(zip(names.columns, columns, strict=True)))


def _prepared(side: Side, ranking: Ranking) -> Vectors:
    vectors = side.load()
    if not ranking.normalises:
        return vectors
    unit = vectors.unit()
    # The cosine with a zero vector is NaN, which ranks first by similarity and last by distance.
    if any((np.abs(block).max(axis=1) == 0).any() for _, block in unit.blocks(65_536) if len(block)):
        raise DeclinedError("a side has zero vectors, whose cosine is undefined")
    return unit


def filtered(right: Side, index: Index | None) -> str:
    """How a right side was filtered before the search."""
    if right.stored is None:
        return ""
    whole, rows = right.stored.in_corpus() if index else (right.stored.whole, right.stored.rows)
    if rows is None:
        return ""
    how = "by a selector on the index" if index else "gathered"
    return f"{right.rows:,} of {len(whole):,} rows of the right side, before the search, {how}"


def estimated(report: JoinReport, left: Side, right: Side, index: Index | None) -> float | None:
    """Seconds that a search will take; None where a side is not known before another search."""
    if report.pairs is None:
        return None
    if index is not None and right.stored is not None:
        return index.seconds(left.rows, right.rows / max(1, len(right.stored.in_corpus()[0])), report.k)
    return neighbours.estimated_seconds(report.pairs, left.dimension())


def how_searched(index: Index | None, k: int) -> str:
    """How a join is searched, and where."""
    if index is not None:
        return f"approximate search on cpu: {index.measured.told(k)}"
    return "exact search on {} ({})".format(*neighbours.device())
