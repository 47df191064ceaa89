"""The two sides of a NEAREST join: rows with a number, and their vectors."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from curator.errors import QueryError
from curator.nearest.engine import Engine
from curator.nearest.qualified import in_schema
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

    def in_corpus(self) -> tuple[Relation, npt.NDArray[np.int64] | None]:
        """The corpus whose index may serve the rows, and which of its rows they are; None: all."""
        if self.whole.part_of is None:
            return self.whole, self.rows
        corpus, rows = self.whole.part_of
        return corpus, rows if self.rows is None else rows[self.rows]


@dataclass(frozen=True)
class Keys:
    """What ties the right side to the left: two expressions, over the one and the other, that are equal or differ."""

    outer: tuple[Node, ...] = ()
    inner: tuple[Node, ...] = ()
    differ: tuple[bool, ...] = ()

    def __len__(self) -> int:
        return len(self.outer)


@dataclass(frozen=True)
class Side:
    """One evaluated table of FROM, registered with a hidden row number."""

    alias: str
    name: str  # as registered
    row: str  # the column of its row numbers
    hidden: tuple[str, ...]  # what ``*`` must not show: that, and what was computed beside its columns
    rows: int
    column: str  # its vectors
    load: Callable[[], Vectors]  # embeds what has to be embedded
    dimension: Callable[[], int]
    positions: npt.NDArray[np.int64]  # row number of each vector; rows without one have none
    columns: frozenset[str]  # in lower case
    described: str
    keyed_by: tuple[str, tuple[Node, ...]] = ("", ())  # its keys, and the alias that their columns name
    known: bool = True  # its rows do not depend on another search
    stored: Stored | None = None  # where its vectors are a corpus's own

    def take(self, places: npt.NDArray[np.int64]) -> "Side":
        """With the vectors in some places alone."""
        return replace(self, load=lambda: self.load().take(places), positions=self.positions[places])


def correlation(table: Node, outer: set[str]) -> tuple[set[str], Keys]:
    """Take what ties it to outer tables out of a right side's WHERE: ``c.label = t.label``, ``c.label <> t.label``.

    Returns the outer tables, and both expressions of each. The table is changed in place. What is no such comparison
    of an expression over outer columns, written with their table, with one over inner columns stays, and makes the
    evaluation of the side fail, which leaves the join to DuckDB.
    """
    if table["type"] != "SUBQUERY" or table["subquery"]["node"]["type"] != "SELECT_NODE":
        return set(), Keys()
    select = table["subquery"]["node"]
    outer = outer - {alias_of(leaf) for leaf in _tables(select["from_table"])}
    pairs, kept = [], []
    for part in conjuncts(select["where_clause"]):
        pair = _comparison(part, outer)
        if pair:
            pairs.append(pair)
        else:
            kept.append(part)
    windows = any(node.get("class") == "WINDOW" for node in walk(select["select_list"]))
    more = ("modifiers", "group_expressions", "having", "qualify", "sample")
    if pairs and (windows or any(select[key] for key in more)):
        raise DeclinedError("a right side that depends on the left must be SELECT … WHERE, without more")
    select["where_clause"] = conjunction(kept)
    tables = {str(node["column_names"][0]).lower() for pair in pairs for node in walk(pair[0]) if is_column(node)}
    return tables, Keys(*zip(*pairs, strict=True)) if pairs else Keys()


def evaluate(table: Node, operand: Operand, ctes: list[Node], engine: Engine, inner: tuple[Node, ...] = ()) -> Side:
    """Evaluate one table of FROM once; ``inner`` are keys over the columns inside it.

    Raises DeclinedError when it cannot stand alone or has no such vectors.
    """
    own = operand.expression is None and operand.column == "embedding"
    found = stored(table, ctes, engine) if own else None
    return _from_relation(table, found, engine, inner) if found else _materialised(table, operand, ctes, engine, inner)


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
    if relation is None or not in_schema(inner) or not relation.can_embed:
        return None
    if inner["table_name"].lower() in shadowed and not inner["schema_name"]:
        return None
    if inner is table or table["subquery"]["node"]["where_clause"] is None:
        return Stored(relation, relation)
    numbered, row = engine.number(relation)
    where = table["subquery"]["node"]["where_clause"]
    engine.materialise_ctes(where, ctes)
    statement = engine.builder.select(engine.builder.table(numbered, inner["alias"] or inner["table_name"]), ctes, row)
    statement["node"]["where_clause"] = where
    try:
        kept = engine.fetch(statement)
    except QueryError as error:
        raise DeclinedError(f"a side cannot be evaluated alone: {str(error).splitlines()[0]}") from None
    rows = np.sort(kept.column(0).to_numpy()).astype(np.int64)
    return Stored(relation.take(rows), relation, rows)


def _from_relation(table: Node, found: Stored, engine: Engine, inner: tuple[Node, ...]) -> Side:
    relation = found.relation
    name, row = engine.number(relation)
    return Side(
        alias_of(table),
        name,
        row,
        (row,),
        len(relation),
        "embedding",
        lambda: relation.vectors,
        lambda: relation.dimension,
        np.arange(len(relation), dtype=np.int64),
        frozenset(map(str.lower, relation.columns)) | relation.derived,
        _described(table, engine),
        (alias_of(base_of(table)), inner),
        stored=found,
    )


def _materialised(table: Node, operand: Operand, ctes: list[Node], engine: Engine, inner: tuple[Node, ...]) -> Side:
    """A side as a temporary table, in which every type of DuckDB's stays what it is."""
    if table["type"] == "JOIN":
        raise DeclinedError("the right side is a join; put it into a subquery")
    table, described, alias = copy.deepcopy(table), _described(table, engine), alias_of(table)
    keys = {f"__key{engine.next_number()}": expression for expression in inner}
    if keys:
        for column, expression in keys.items():
            table["subquery"]["node"]["select_list"].append({**expression, "alias": column})
    engine.materialise_ctes(table, ctes)
    statement = engine.builder.select(table, ctes)
    column, computed = operand.column, []
    if operand.expression is not None:
        column = f"__vector{engine.next_number()}"
        computed = [column]
        statement["node"]["select_list"].append({**operand.expression, "alias": column})
    try:
        name, row, known = engine.materialise(statement)
        names = [str(name).lower() for name in engine.columns(name)]
        if column not in names:
            raise DeclinedError(f"{alias} has no column {column!r}")
        quoted = '"' + column.replace('"', '""') + '"'
        vectors = engine.run(f"SELECT {row}, {quoted} FROM {name} WHERE {quoted} IS NOT NULL")
        rows = engine.run(f"SELECT count(*) FROM {name}").column(0)[0].as_py()
    except QueryError as error:
        raise DeclinedError(f"a side cannot be evaluated alone: {str(error).splitlines()[0]}") from None
    try:
        matrix, _ = matrix_of(vectors.column(1))
    except ValueError as error:
        raise DeclinedError(str(error)) from None
    if not np.isfinite(matrix).all():
        raise DeclinedError(f"{alias}.{operand.column} holds NaN or infinity, which FAISS cannot order")
    held = Vectors.of(matrix)
    return Side(
        alias,
        name,
        row,
        (row, *keys, *computed),
        rows,
        operand.column,
        lambda: held,
        lambda: held.dimension,
        vectors.column(0).to_numpy().astype(np.int64),
        frozenset(names) - {row, *keys, *computed},
        described,
        (name, tuple(engine.builder.expression(key) for key in keys)),
        known,
    )


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


def _comparison(part: Node, outer: set[str]) -> tuple[Node, Node, bool] | None:
    """The expression over outer columns and the one over inner columns, and whether they are to differ.

    None where the predicate does not say that two such are equal or differ.
    """
    if part.get("type") not in ("COMPARE_EQUAL", "COMPARE_NOTEQUAL"):
        return None
    for one, other in ((part["left"], part["right"]), (part["right"], part["left"])):
        mine, theirs = ([node for node in walk(side) if is_column(node)] for side in (one, other))
        if any(node.get("class") in ("SUBQUERY", "WINDOW") for node in walk([one, other])):
            return None
        if mine and theirs and all(map(_names(outer), mine)) and not any(map(_names(outer), theirs)):
            return one, other, part["type"] == "COMPARE_NOTEQUAL"
    return None


def _names(tables: set[str]) -> Callable[[Node], bool]:
    """Whether a column is written with one of these tables."""
    return lambda column: len(column["column_names"]) == 2 and str(column["column_names"][0]).lower() in tables


def _tables(table: Node | None) -> list[Node]:
    return [node for node in walk(table) if node.get("type") in ("BASE_TABLE", "SUBQUERY", "TABLE_FUNCTION")]


def _described(table: Node, engine: Engine) -> str:
    if table["type"] == "BASE_TABLE":
        return engine.described(table["table_name"])
    inner = table.get("subquery", {}).get("node", {}).get("from_table") or {}
    return f"subquery on {engine.described(inner['table_name'])}" if inner.get("type") == "BASE_TABLE" else "subquery"
