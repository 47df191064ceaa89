"""The two sides of a NEAREST join: rows with a number, and their vectors."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.nearest.engine import Engine
from curator.nearest.ranking import DeclinedError
from curator.nearest.tree import Node, alias_of, conjunction, conjuncts, is_column, is_star, walk
from curator.relation import Relation, matrix_of
from curator.vectors import Vectors


@dataclass(frozen=True)
class Side:
    """One evaluated table of FROM, registered with a hidden row number."""

    alias: str
    name: str  # as registered
    row: str  # the hidden column
    rows: int
    column: str  # its vectors
    vectors: Vectors
    positions: npt.NDArray[np.int64]  # row number of each vector; rows without one have none
    data: pl.DataFrame
    described: str

    def keys(self, columns: list[str]) -> pl.DataFrame:
        """Columns ``k0, k1, …`` of the rows that have a vector, and their ``row`` among the vectors."""
        names = {name.lower(): name for name in self.data.columns}
        missing = [column for column in columns if column not in names]
        if missing:
            raise DeclinedError(f"{self.alias} has no column {missing[0]!r}")
        frame = self.data.select(pl.col(names[column]).alias(f"k{i}") for i, column in enumerate(columns))
        return frame[self.positions].with_row_index("row")


def correlation(table: Node, outer: set[str]) -> list[tuple[tuple[str, str], str]]:
    """Take the equalities with outer tables out of a right side's WHERE: ``c.label = t.label``.

    Returns (outer alias and column, inner column) of each. The table is changed in place. Equalities that are not
    between two plain columns stay, and make the evaluation of the side fail, which leaves the join to DuckDB.
    """
    if table["type"] != "SUBQUERY" or table["subquery"]["node"]["type"] != "SELECT_NODE":
        return []
    select = table["subquery"]["node"]
    inner = {alias_of(leaf) for leaf in _tables(select["from_table"])}
    taken: list[tuple[tuple[str, str], str]] = []
    kept: list[Node] = []
    for part in conjuncts(select["where_clause"]):
        pair = _equality(part, inner, outer)
        if pair:
            taken.append(pair)
        else:
            kept.append(part)
    if taken and (select["modifiers"] or select["group_expressions"] or not all(map(is_star, select["select_list"]))):
        raise DeclinedError("a right side that depends on the left must be SELECT * … WHERE, without more")
    select["where_clause"] = conjunction(kept)
    return taken


def evaluate(table: Node, column: str, ctes: list[Node], relations: Mapping[str, Relation], engine: Engine) -> Side:
    """Evaluate one table of FROM once. Raises DeclinedError when it cannot stand alone or has no such vectors."""
    relation = _stored(table, column, ctes, relations, engine)
    if relation is not None:
        return _from_relation(table, relation, engine)
    return _materialised(table, column, ctes, engine)


def _stored(
    table: Node, column: str, ctes: list[Node], relations: Mapping[str, Relation], engine: Engine
) -> Relation | None:
    """The relation that a table is, or of which it is ``SELECT * … WHERE``: its vectors need not go through SQL."""
    where = None
    inner = table
    if table["type"] == "SUBQUERY":
        select = table["subquery"]["node"]
        if not _is_plain_filter(select):
            return None
        inner, where = select["from_table"], select["where_clause"]
    shadowed = {str(entry["key"]).lower() for entry in ctes}
    changed = ("column_name_alias", "sample")
    if inner["type"] != "BASE_TABLE" or any(node[key] for node in (inner, table) for key in changed):
        return None
    name = inner["table_name"]
    if column != "embedding" or name.lower() in shadowed or name not in relations or not relations[name].can_embed:
        return None
    relation = relations[name]
    if where is None:
        return relation
    numbered, row = engine.number(relation)
    statement = engine.builder.select(engine.builder.table(numbered, inner["alias"] or name), ctes, row)
    statement["node"]["where_clause"] = where
    kept = _fetch(engine, statement)
    return relation.take(np.sort(kept.column(0).to_numpy()))


def _from_relation(table: Node, relation: Relation, engine: Engine) -> Side:
    name, row = engine.number(relation)
    return Side(
        alias_of(table),
        name,
        row,
        len(relation),
        "embedding",
        relation.vectors,
        np.arange(len(relation), dtype=np.int64),
        relation.frame,
        _described(table),
    )


def _materialised(table: Node, column: str, ctes: list[Node], engine: Engine) -> Side:
    if table["type"] == "JOIN":
        raise DeclinedError("the right side is a join; put it into a subquery")
    data = _fetch(engine, engine.builder.select(table, ctes))
    names = {name.lower(): name for name in data.column_names}
    if column not in names:
        raise DeclinedError(f"{alias_of(table)} has no column {column!r}")
    if len(set(names)) != len(data.column_names):
        raise DeclinedError("a side has two columns of one name")
    try:
        matrix, positions = matrix_of(data.column(names[column]))
    except ValueError as error:
        raise DeclinedError(str(error)) from None
    if not np.isfinite(matrix).all():
        raise DeclinedError(f"{alias_of(table)}.{column} holds NaN or infinity, which FAISS cannot order")
    name, row = engine.number_table(data)
    plain = pl.DataFrame(data.drop_columns([names[column]]))
    return Side(alias_of(table), name, row, len(data), column, Vectors.of(matrix), positions, plain, _described(table))


def _fetch(engine: Engine, statement: Node) -> pa.Table:
    try:
        return engine.fetch(statement)
    except QueryError as error:
        raise DeclinedError(f"a side cannot be evaluated alone: {str(error).splitlines()[0]}") from None


def _is_plain_filter(select: Node) -> bool:
    """SELECT * FROM one table WHERE …, and nothing else."""
    plain_star = len(select.get("select_list") or []) == 1 and is_star(select["select_list"][0])
    if select["type"] != "SELECT_NODE" or not plain_star:
        return False
    star = select["select_list"][0]
    changed = any(
        star[key] for key in ("relation_name", "exclude_list", "replace_list", "qualified_exclude_list", "rename_list")
    )
    more = ("modifiers", "group_expressions", "having", "qualify", "sample")
    return not changed and not star["columns"] and not any(select[key] for key in more) and not select["cte_map"]["map"]


def _equality(part: Node, inner: set[str], outer: set[str]) -> tuple[tuple[str, str], str] | None:
    """(outer alias and column, inner column) if the predicate equates the two."""
    if part.get("type") != "COMPARE_EQUAL":
        return None
    for one, other in ((part["left"], part["right"]), (part["right"], part["left"])):
        if is_column(one, 2) and is_column(other):
            names = [str(name).lower() for name in one["column_names"]]
            inside = [str(name).lower() for name in other["column_names"]]
            is_inner = len(inside) == 1 or (len(inside) == 2 and inside[0] in inner)
            if names[0] in outer - inner and is_inner:
                return (names[0], names[1]), inside[-1]
    return None


def _tables(table: Node | None) -> list[Node]:
    return [node for node in walk(table) if node.get("type") in ("BASE_TABLE", "SUBQUERY", "TABLE_FUNCTION")]


def _described(table: Node) -> str:
    if table["type"] == "BASE_TABLE":
        return str(table["table_name"])
    inner = table.get("subquery", {}).get("node", {}).get("from_table") or {}
    return f"subquery on {inner['table_name']}" if inner.get("type") == "BASE_TABLE" else "subquery"
