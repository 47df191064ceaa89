"""SQL tree to SQL tree: NEAREST joins and table functions become relations.

For each ``JOIN … NEAREST k BY …`` whose ranking is one vector measure between a column of each side, both sides
are evaluated once, FAISS finds the edges, and an ordinary join through the edges takes the node's place; the same
ranking expression elsewhere in the SELECT becomes the edge's score. Everything else is left to DuckDB, which is
slow but right. The report says which happened, and why.
"""

import copy
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from curator import neighbours
from curator.errors import QueryError
from curator.nearest.calls import Function, call_function, fold_embeddings
from curator.nearest.engine import Engine, Parser
from curator.nearest.ranking import DeclinedError, Ranking, ranking_of
from curator.nearest.sides import Side, correlation, evaluate
from curator.nearest.tree import (
    EdgeNames,
    Node,
    alias_of,
    is_column,
    is_star,
    leaves,
    replace_in_place,
    same,
    swapped,
    walk,
    walk_expression,
)
from curator.relation import EmbedQuery, Relation
from curator.vectors import Vectors

__all__ = ["Function", "JoinReport", "Query", "Tools", "rewrite"]


COLUMNS = "COLUMNS(…)"  # stands among the names a SELECT uses as values, where no column can have this name


@dataclass(frozen=True)
class JoinReport:
    """What became of one NEAREST join."""

    left: str
    right: str
    k: int
    ranking: str
    exact: bool  # how it was searched; APPROX is exact too while there is no index
    engine: str  # 'faiss' or 'duckdb'
    reason: str  # the device and why, or why it was left to DuckDB
    left_rows: int = 0
    right_rows: int = 0
    groups: int = 1
    edges: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Tools:
    """What a query may use besides SQL: relations by name, table functions, and the encoder for ``embed``."""

    relations: Mapping[str, Relation]
    functions: tuple[Function, ...] = ()
    embed: EmbedQuery | None = None  # for a text that is compared with no relation in particular


@dataclass(frozen=True)
class Query:
    """A rewritten statement, ready to run, and what was done to it."""

    engine: Engine
    statement: Node
    joins: tuple[JoinReport, ...]

    def fetch(self) -> pa.Table:
        """Run it. What was registered for it is forgotten, so that no later query can see it."""
        try:
            return self.engine.fetch(self.statement)
        finally:
            self.engine.close()


def rewrite(parser: Parser, sql: str, parameters: Mapping[str, Any], tools: Tools) -> Query:
    """Plan one SELECT statement. Raises QueryError for one that writes or cannot be parsed."""
    unused = sorted(parameters.keys() - parser.parameter_names(sql))
    if unused:
        raise QueryError(f"the query has no parameter ${unused[0]}; it was given {parameters[unused[0]]!r}")
    sql = parser.substitute_counts(sql, parameters)
    statement = parser.parse(sql)
    engine = Engine(parser, tools.relations, parameters, sql, statement)
    planner = _Planner(engine, tools)
    with ExitStack() as unless_planned:
        unless_planned.callback(engine.close)
        planner.query(statement["node"], [])
        unless_planned.pop_all()
    return Query(engine, statement, tuple(planner.joins))


@dataclass
class _Scope:
    """One SELECT while its FROM is rewritten."""

    ctes: list[Node]
    sides: dict[str, Side] = field(default_factory=dict)
    scores: list[tuple[Node, str]] = field(default_factory=list)  # ranking expression → column of its score
    hidden: list[str] = field(default_factory=list)  # columns of edges
    rows: dict[str, list[str]] = field(default_factory=dict)  # row numbers of the tables of each alias


class _Planner:
    def __init__(self, engine: Engine, tools: Tools) -> None:
        self.engine = engine
        self.tools = tools
        self.functions = {function.__name__: function for function in tools.functions}
        self.joins: list[JoinReport] = []

    def query(self, node: Node, ctes: list[Node]) -> None:
        """Rewrite a query node in place. ``ctes`` are those in scope, already rewritten."""
        if node["type"] not in ("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"):
            raise QueryError(f"only SELECT can be run here, and this contains {node['type'].split('_')[0]}")
        ctes = list(ctes)
        for entry in node["cte_map"]["map"]:
            self.query(entry["value"]["query_node"], ctes)
            ctes.append(entry)
        if node["type"] == "SELECT_NODE":
            self._select(node, ctes)
        for child in [*node.get("children", []), node.get("left"), node.get("right")]:
            if isinstance(child, dict) and child.get("type", "").endswith("_NODE"):
                self.query(child, ctes)

    def _select(self, node: Node, ctes: list[Node]) -> None:
        if any(part.get("ref_type") == "NEAREST" or part.get("function_name") == "embed" for part in walk(node)):
            self._keep_names(node)
        fold_embeddings(node, self.engine, self.tools.relations, self.tools.embed)
        scope = _Scope(ctes)
        parts = list(walk_expression(_expressions(node)))
        whole_rows = {part["column_names"][0].lower() for part in parts if is_column(part, 1)}
        if any(is_star(part) and part["expr"] for part in parts):
            whole_rows.add(COLUMNS)
        node["from_table"] = self._from(node["from_table"], scope, whole_rows)
        for part in walk_expression([*_expressions(node), node["from_table"]]):
            inner = part.get("subquery") if part.get("class") == "SUBQUERY" else None
            if inner:
                self.query(inner["node"], ctes)
        self._use_scores(node, scope)
        _hide(node, scope)

    def _from(self, table: Node, scope: _Scope, whole_rows: set[str]) -> Node:
        """Rewrite one table of FROM; returns what takes its place."""
        kind = table["type"]
        if kind == "SUBQUERY":
            self.query(table["subquery"]["node"], scope.ctes)
        elif kind == "TABLE_FUNCTION" and table["function"]["function_name"] in self.functions:
            return self._call(table, scope)
        elif kind == "JOIN":
            table["left"] = self._from(table["left"], scope, whole_rows)
            table["right"] = self._from(table["right"], scope, whole_rows)
            if table["ref_type"] == "NEAREST":
                return self._nearest(table, scope, whole_rows)
        return table

    def _call(self, table: Node, scope: _Scope) -> Node:
        function = self.functions[table["function"]["function_name"]]
        result = call_function(function, table["function"], scope.ctes, self.tools.relations, self.engine)
        name = f"__call{self.engine.next_number()}"
        self.engine.add(name, result)
        replacement = self.engine.builder.table(name, table["alias"] or function.__name__)
        replacement["column_name_alias"] = table["column_name_alias"]
        return replacement

    def _nearest(self, join: Node, scope: _Scope, whole_rows: set[str]) -> Node:
        """Put an ordinary join through FAISS's edges in the place of a NEAREST join, or leave it as it is."""
        right_alias = alias_of(join["right"])
        original, sides, rows = copy.deepcopy(join), dict(scope.sides), copy.deepcopy(scope.rows)
        report = JoinReport(
            ", ".join(alias_of(leaf) for leaf in leaves(join["left"])),
            right_alias,
            join["nearest_count"],
            self._text(join["ranking_expression"]),
            True,
            "faiss",
            "",
        )
        started = time.perf_counter()
        try:
            ranking = ranking_of(join, right_alias)
            outer = {alias_of(leaf): leaf for leaf in leaves(join["left"])}
            if COLUMNS in whole_rows:
                raise DeclinedError("COLUMNS(…) chooses columns by name, and would choose the planner's")
            if whole_rows & {ranking.left[0], right_alias}:
                raise DeclinedError("a whole row of a side is used as a value")
            if ranking.left[0] not in outer:
                raise DeclinedError(f"{ranking.left[0]} is not a table of the left side")
            keys = correlation(join["right"], set(outer))
            if any(key[0][0] != ranking.left[0] for key in keys):
                raise DeclinedError("the right side depends on a table other than the one with the vector")
            left = self._side(outer[ranking.left[0]], ranking.left[1], scope)
            right = self._side(join["right"], ranking.right[1], scope)
            edges, groups = _search(left, right, ranking, join["nearest_count"], keys)
        except DeclinedError as reason:
            scope.sides, scope.rows = sides, rows
            self.joins.append(_declined(report, str(reason)))
            return original
        names = EdgeNames(self.engine.next_number(), left.row, right.row)
        self.engine.add(names.table, _edge_table(edges, left, right, ranking, names))
        scope.scores.append((ranking.expression, names.score))
        scope.hidden += names.columns
        self.joins.append(_done(report, left, right, groups, len(edges), time.perf_counter() - started))
        kind = "LEFT" if join["join_type"] == "LEFT" else "INNER"
        return self.engine.builder.edge_join(join["left"], join["right"], names, kind)

    def _side(self, table: Node, column: str, scope: _Scope) -> Side:
        """Evaluate a table of FROM and put the registered result in its place."""
        alias = alias_of(table)
        known = scope.sides.get(alias)
        if known is not None and known.column == column:
            return known
        side = evaluate(table, column, scope.ctes, self.tools.relations, self.engine)
        replace_in_place(table, self.engine.builder.table(side.name, table["alias"] or table.get("table_name", "")))
        scope.sides[alias] = side
        scope.rows.setdefault(alias, []).append(side.row)
        return side

    def _keep_names(self, node: Node) -> None:
        """Name the unnamed columns of a SELECT as DuckDB names them, before their expressions change."""
        for item in node["select_list"]:
            if not item["alias"] and not is_column(item) and not any(map(is_star, walk_expression(item))):
                item["alias"] = self._text(item)

    def _use_scores(self, node: Node, scope: _Scope) -> None:
        """Take the ranking from the edges wherever the SELECT repeats it."""
        for expression, score in scope.scores:
            for part in list(walk_expression([*_expressions(node), node["from_table"]])):
                if part.get("class") == "FUNCTION" and (same(part, expression) or same(swapped(part), expression)):
                    replace_in_place(part, {**self.engine.builder.expression(score), "alias": part["alias"]})

    def _text(self, expression: Node) -> str:
        """An expression as SQL, which is also the name that DuckDB gives its column."""
        statement = self.engine.builder.select({"type": "EMPTY", "alias": "", "sample": None}, [], "1")
        statement["node"]["select_list"] = [{**expression, "alias": ""}]
        return self.engine.render(statement).removeprefix("SELECT ")


def _expressions(node: Node) -> list[Any]:
    """The parts of a SELECT that hold expressions over its FROM."""
    keys = ("select_list", "where_clause", "group_expressions", "having", "qualify", "modifiers")
    return [node[key] for key in keys]


def _hide(node: Node, scope: _Scope) -> None:
    """Keep row numbers and edges out of ``*``."""
    everything = sorted({*scope.hidden, *(row for rows in scope.rows.values() for row in rows)})
    for part in walk_expression(node["select_list"]):
        if is_star(part):
            relation = part["relation_name"].lower()
            part["exclude_list"] += scope.rows.get(relation, []) if relation else everything


def _search(
    left: Side, right: Side, ranking: Ranking, k: int, keys: list[tuple[tuple[str, str], str]]
) -> tuple[neighbours.Edges, int]:
    """The edges between two sides, in positions of their vectors, and the number of groups searched."""
    queries, base = _prepared(left.vectors, ranking), _prepared(right.vectors, ranking)
    if queries.dimension != base.dimension and len(queries) and len(base):
        raise QueryError(
            f"{left.alias}.{left.column} has {queries.dimension} components and "
            f"{right.alias}.{right.column} has {base.dimension}: they come from different encoders"
        )
    if ranking.farthest:
        queries = Vectors.of(-queries.matrix(), unit=queries.is_unit)
    if not keys:
        return neighbours.nearest(queries, base, k, metric=ranking.metric), 1
    parts = []
    left_keys, right_keys = left.keys([outer[1] for outer, _ in keys]), right.keys([inner for _, inner in keys])
    on = [column for column in left_keys.columns if column != "row"]
    grouped = right_keys.drop_nulls().group_by(on, maintain_order=True).agg(pl.col("row").alias("right"))
    try:
        matched = left_keys.group_by(on, maintain_order=True).agg("row").join(grouped, on=on, maintain_order="left")
    except pl.exceptions.SchemaError:
        raise DeclinedError("the columns that tie the sides together are of different types") from None
    for rows, others in matched.select("row", "right").iter_rows():
        left_rows, right_rows = np.asarray(rows), np.asarray(others)
        edges = neighbours.nearest(queries.take(left_rows), base.take(right_rows), k, metric=ranking.metric)
        parts.append(neighbours.Edges(left_rows[edges.left], right_rows[edges.right], edges.score, edges.rank))
    return neighbours.concat(parts), len(parts)


def _prepared(vectors: Vectors, ranking: Ranking) -> Vectors:
    if not ranking.normalises:
        return vectors
    unit = vectors.unit()
    # The cosine with a zero vector is NaN, which ranks first by similarity and last by distance.
    if any((np.abs(block).max(axis=1) == 0).any() for _, block in unit.blocks(65_536) if len(block)):
        raise DeclinedError("a side has zero vectors, whose cosine is undefined")
    return unit


def _edge_table(edges: neighbours.Edges, left: Side, right: Side, ranking: Ranking, names: EdgeNames) -> pa.Table:
    columns = [left.positions[edges.left], right.positions[edges.right], ranking.value(edges.score), edges.rank]
    return pa.table(dict(zip(names.columns, columns, strict=True)))


def _declined(report: JoinReport, reason: str) -> JoinReport:
    return JoinReport(report.left, report.right, report.k, report.ranking, report.exact, "duckdb", reason)


def _done(report: JoinReport, left: Side, right: Side, groups: int, edges: int, seconds: float) -> JoinReport:
    where, why = neighbours.device()
    return JoinReport(
        f"{report.left} ({left.described})",
        f"{report.right} ({right.described})",
        report.k,
        report.ranking,
        report.exact,
        "faiss",
        f"exact search on {where} ({why})",
        left.rows,
        right.rows,
        groups,
        edges,
        seconds,
    )
