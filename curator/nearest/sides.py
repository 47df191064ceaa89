"""The two sides of a NEAREST join: rows with a number, and their vectors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.nearest.engine import Engine
from curator.nearest.ranking import DeclinedError, Operand
from curator.nearest.tree import Node, alias_of, conjunction, conjuncts, is_column, is_star, walk
from curator.relation import Relation, matrix_of
from curator.vectors import Vectors


@dataclass(frozen=True)
class Stored:
    """A relation that a table of FROM is, or of which it is ``SELECT * … WHERE``."""

    relation: Relation  # the rows that are left
    whole: Relation
    rows: npt.NDArray[np.int64] | None = None  # those rows of the whole; None: all


@dataclass(frozen=True)
class Side:
    """One evaluated table of FROM, registered with a hidden row number."""

    alias: str
    name: str  # as registered
    row: str  # the hidden column
    rows: int
    column: str  # its vectors
    load: Callable[[], Vectors]  # embeds what has to be embedded
    dimension: Callable[[], int]
    positions: npt.NDArray[np.int64]  # row number of each vector; rows without one have none
    data: pl.DataFrame
    described: str
    known: bool = True  # its rows do not depend on another search
    stored: Stored | None = None  # where its vectors are a corpus's own

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


def evaluate(table: Node, operand: Operand, ctes: list[Node], engine: Engine) -> Side:
    """Evaluate one table of FROM once. Raises DeclinedError when it cannot stand alone or has no such vectors."""
    own = operand.expression is None and operand.column == "embedding"
    found = stored(table, ctes, engine) if own else None
    return _from_relation(table, found, engine) if found else _materialised(table, operand, ctes, engine)


def base_of(table: Node) -> Node:
    """The table that a subquery is ``SELECT * … WHERE`` of; else the table itself."""
    if table["type"] == "SUBQUERY" and _is_plain_filter(table["subquery"]["node"]):
        inner: Node = table["subquery"]["node"]["from_table"]
        return inner
    return table


def stored(table: Node, ctes: list[Node], engine: Engine) -> Stored | None:
    """The relation of a table whose vectors need not go through SQL."""
    inner = base_of(table)
    shadowed = {str(entry["key"]).lower() for entry in ctes}
    changed = ("column_name_alias", "sample")
    if inner["type"] != "BASE_TABLE" or any(node[key] for node in (inner, table) for key in changed):
        return None
    relation = engine.relation(inner["table_name"])
    if relation is None or inner["table_name"].lower() in shadowed or inner["schema_name"] or not relation.can_embed:
        return None
    if inner is table or table["subquery"]["node"]["where_clause"] is None:
        return Stored(relation, relation)
    numbered, row = engine.number(relation)
    statement = engine.builder.select(engine.builder.table(numbered, inner["alias"] or inner["table_name"]), ctes, row)
    statement["node"]["where_clause"] = table["subquery"]["node"]["where_clause"]
    kept = _fetch(engine, statement)
    rows = np.sort(kept.column(0).to_numpy()).astype(np.int64)
    return Stored(relation.take(rows), relation, rows)


def _from_relation(table: Node, found: Stored, engine: Engine) -> Side:
    relation = found.relation
    name, row = engine.number(relation)
    return Side(
        alias_of(table),
        name,
        row,
        len(relation),
        "embedding",
        lambda: relation.vectors,
        lambda: relation.dimension,
        np.arange(len(relation), dtype=np.int64),
        relation.frame,
        _described(table, engine),
        stored=found,
    )


def _materialised(table: Node, operand: Operand, ctes: list[Node], engine: Engine) -> Side:
    if table["type"] == "JOIN":
        raise DeclinedError("the right side is a join; put it into a subquery")
    statement = engine.builder.select(table, ctes)
    column = operand.column
    if operand.expression is not None:
        column = f"__vector{engine.next_number()}"
        statement["node"]["select_list"].append({**operand.expression, "alias": column})
    data = _fetch(engine, statement)
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
        raise DeclinedError(f"{alias_of(table)}.{operand.column} holds NaN or infinity, which FAISS cannot order")
    if operand.expression is not None:
        data = data.drop_columns([names[column]])
    name, row = engine.number_table(data)
    plain = pl.DataFrame(data.drop_columns([n for n in (names[column],) if n in data.column_names]))
    vectors = Vectors.of(matrix)
    return Side(
        alias_of(table),
        name,
        row,
        len(data),
        operand.column,
        lambda: vectors,
        lambda: vectors.dimension,
        positions,
        plain,
        _described(table, engine),
        "__edges" not in engine.render(statement),
    )


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


def _described(table: Node, engine: Engine) -> str:
    if table["type"] == "BASE_TABLE":
        return engine.described(table["table_name"])
    inner = table.get("subquery", {}).get("node", {}).get("from_table") or {}
    return f"subquery on {engine.described(inner['table_name'])}" if inner.get("type") == "BASE_TABLE" else "subquery"
