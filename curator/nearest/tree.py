"""The parsed SQL tree: how to look at it, compare it and build it. Knows nothing of vectors.

Nodes are the dictionaries of DuckDB's ``json_serialize_sql``. New nodes are made by parsing a template, so that
their fields are always those of the installed DuckDB.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

Node = dict[str, Any]

_PLACES = frozenset({"query_location", "query_location_length", "alias"})
_UNNAMED = "unnamed_subquery"
_SUBQUERIES = frozenset({"subquery", "query_node"})


def walk(value: Any) -> Iterator[Node]:
    """Every node below ``value``, itself first. Children that a node is given while it is looked at are walked."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield value
            left.extend(reversed(value.values()))
        elif isinstance(value, list):
            left.extend(reversed(value))


def mentions(value: Any, name: str) -> bool:
    """Whether a name is anywhere in a tree, as that of a table, a column or a value."""
    if isinstance(value, dict | list):
        return any(mentions(child, name) for child in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and value.lower() == name.lower()


def walk_expression(value: Any) -> Iterator[Node]:
    """Every node of an expression, without entering subqueries (where names mean other things)."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield value
            left.extend(child for key, child in reversed(value.items()) if key not in _SUBQUERIES)
        elif isinstance(value, list):
            left.extend(reversed(value))


def is_column(node: Any, count: int | None = None) -> bool:
    """A column reference (of ``count`` parts)."""
    return (
        isinstance(node, dict)
        and node.get("class") == "COLUMN_REF"
        and (count is None or len(node["column_names"]) == count)
    )


def is_star(node: Any) -> bool:
    """``*``, ``t.*`` or ``COLUMNS(…)``."""
    return isinstance(node, dict) and node.get("class") == "STAR"


def alias_of(table: Node) -> str:
    """The name by which a table of FROM is referred to, in lower case."""
    return name_of(table).lower()


def name_of(table: Node) -> str:
    """The name by which a table of FROM is referred to; a table function without an alias goes by its own."""
    called = table["function"]["function_name"] if table.get("type") == "TABLE_FUNCTION" else ""
    return str(table.get("alias") or table.get("table_name") or called)


def name_subqueries(table: Node | None) -> None:
    """Give the subqueries of a FROM that have no alias the one that DuckDB gives them.

    In a ranking DuckDB counts several otherwise: where they are named there, they stay as they are.
    """
    unnamed = [leaf for leaf in leaves(table) if leaf["type"] == "SUBQUERY" and not leaf["alias"]]
    named = [str(node["column_names"][0]).lower() for node in walk_expression(table) if is_column(node)]
    if len(unnamed) > 1 and any(name.startswith(_UNNAMED) for name in named):
        return
    for number, leaf in enumerate(unnamed, start=1):
        leaf["alias"] = f"{_UNNAMED}{number}" if number > 1 else _UNNAMED


def shows_rows(nodes: list[Node]) -> bool:
    """Whether a tree may look at columns that it does not name: by ``*``, by their place, or at whole rows."""
    tables = [node for node in nodes if "sample" in node and "type" in node]
    aliases = {alias_of(table) for table in tables}
    return (
        any(is_star(node) or node.get("class") == "POSITIONAL_REFERENCE" for node in nodes)
        or any(is_column(node, 1) and node["column_names"][0].lower() in aliases for node in nodes)
        or any(table["type"] in ("PIVOT", "SHOW_REF") or table.get("column_name_alias") for table in tables)
        or any(table.get("ref_type") == "NATURAL" for table in tables)
    )


def column_names(nodes: list[Node]) -> set[str]:
    """The names of the columns of a tree, in lower case; of ``t.a.b`` all parts, since a part may be of a struct."""
    written = {str(name).lower() for node in nodes if is_column(node) for name in node["column_names"]}
    return written | {str(name).lower() for node in nodes for name in node.get("using_columns") or ()}


def same(left: Any, right: Any) -> bool:
    """Two expressions that differ at most in place, alias and the case of names."""
    if isinstance(left, dict) and isinstance(right, dict):
        if is_column(left) and is_column(right):
            return [n.lower() for n in left["column_names"]] == [n.lower() for n in right["column_names"]]
        keys = (left.keys() | right.keys()) - _PLACES
        return all(same(left.get(key), right.get(key)) for key in keys)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


def swapped(call: Node) -> Node:
    """A call of two arguments with its arguments exchanged."""
    other = copy.copy(call)
    other["arguments"] = call["arguments"][::-1]
    return other


def conjuncts(where: Node | None) -> list[Node]:
    """The parts of a predicate that AND joins."""
    if where is None:
        return []
    if where.get("type") == "CONJUNCTION_AND":
        return [part for child in where["children"] for part in conjuncts(child)]
    return [where]


def conjunction(parts: list[Node]) -> Node | None:
    """The AND of predicates, None of none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return {"class": "CONJUNCTION", "type": "CONJUNCTION_AND", "alias": "", "children": parts}


def leaves(table: Node | None) -> Iterator[Node]:
    """The tables of a FROM clause, left to right, joins taken apart."""
    if table is None:
        return
    if table["type"] == "JOIN":
        yield from leaves(table["left"])
        yield from leaves(table["right"])
    else:
        yield table


def children(query: Node) -> list[Node]:
    """The queries that a set operation puts together."""
    parts = [*query.get("children", []), query.get("left"), query.get("right")]
    return [part for part in parts if isinstance(part, dict) and part.get("type", "").endswith("_NODE")]


def _in_one_with(ctes: list[Node]) -> list[Node]:
    """CTEs of several WITHs, outer ones first, as those of one: a shadowed one goes into those that still read it."""
    keys = [str(entry["key"]).lower() for entry in ctes]
    for later, key in enumerate(keys):
        if key in keys[:later]:
            earlier = keys.index(key)
            shadowed, between = ctes[earlier], ctes[earlier + 1 : later + 1]
            for entry in between:
                inner = entry["value"]["query_node"]["cte_map"]
                inner["map"] = _in_one_with([copy.deepcopy(shadowed), *inner["map"]])
            return _in_one_with([*ctes[:earlier], *between, *ctes[later + 1 :]])
    return ctes


def replace_in_place(node: Node, by: Node) -> None:
    """Turn a node into another, wherever it hangs."""
    node.clear()
    node.update(by)


class Builder:
    """Makes nodes by parsing templates with the given parser."""

    def __init__(self, parse: Callable[[str], Node]) -> None:
        self._parse = parse

    def select(self, table: Node, ctes: list[Node], columns: str = "*") -> Node:
        """A statement ``WITH ctes SELECT columns FROM table``."""
        statement = self._parse(f"SELECT {columns} FROM x")
        statement["node"]["from_table"] = copy.deepcopy(table)
        statement["node"]["cte_map"] = {"map": _in_one_with(copy.deepcopy(ctes))}
        return statement

    def table(self, name: str, alias: str) -> Node:
        """A table of FROM. Both names must be identifiers without quotes."""
        quoted = alias.replace('"', '""')
        named = f'AS "{quoted}"' if alias else ""
        table: Node = self._parse(f"SELECT 1 FROM {name} {named}")["node"]["from_table"]
        return table

    def subquery(self, statement: Node, alias: str = "") -> Node:
        """A statement as a table of FROM."""
        table: Node = self._parse("SELECT 1 FROM (SELECT 1)")["node"]["from_table"]
        return {**table, "subquery": statement, "alias": alias}

    def value(self, expression: Node) -> Node:
        """A statement ``SELECT expression``."""
        statement = self._parse("SELECT 1")
        statement["node"]["select_list"] = [{**expression, "alias": ""}]
        return statement

    def expression(self, sql: str) -> Node:
        """One expression."""
        expression: Node = self._parse(f"SELECT {sql}")["node"]["select_list"][0]
        return expression

    def modifiers(self, clause: str) -> list[Node]:
        """What stands after a SELECT: ORDER BY, LIMIT."""
        modifiers: list[Node] = self._parse(f"SELECT 1 {clause}")["node"]["modifiers"]
        return modifiers

    def edge_join(self, left: Node, right: Node, edges: "EdgeNames", kind: str) -> Node:
        """``left kind JOIN edges kind JOIN right``, by row numbers."""
        join = self._parse(
            f"SELECT 1 FROM l {kind} JOIN {edges.table} ON {edges.left_row} = {edges.left} "
            f"{kind} JOIN r ON {edges.right} = {edges.right_row}"
        )["node"]["from_table"]
        join["left"]["left"] = left
        join["right"] = right
        result: Node = join
        return result


class EdgeNames:
    """The names under which one join's edges are spliced in; unique in a query, and hidden from ``*``."""

    def __init__(self, number: int, left_row: str, right_row: str) -> None:
        self.table = f"__edges{number}"
        self.left = f"__edges{number}_left"
        self.right = f"__edges{number}_right"
        self.score = f"__edges{number}_score"
        self.rank = f"__edges{number}_rank"
        self.saturated = f"__edges{number}_saturated"  # added to the table once it is known
        self.left_row = left_row
        self.right_row = right_row

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.left, self.right, self.score, self.rank)
