"""Views and table macros, replaced by the queries they stand for, so that the NEAREST joins in them are seen."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from curator.nearest.tree import Node, is_column, replace_in_place, walk

Parse = Callable[[str], Node]
Macros = Mapping[str, list[tuple[list[str], str]]]


def expanded(table: Node, macros: Macros, views: Mapping[str, str], parse: Parse) -> Node:
    """A table of FROM as a subquery where it is a view or a table macro; else itself."""
    if table["type"] == "TABLE_FUNCTION":
        name = str(table["function"]["function_name"]).lower()
        if name == "query_table":
            return _named_table(table, parse)
        for parameters, definition in macros.get(name, []):
            arguments = _bound(table["function"]["arguments"], parameters)
            if arguments is not None:
                statement = parse(definition)
                _substitute(statement, arguments)
                return _subquery(table, statement, name, table["column_name_alias"], parse)
    elif table["type"] == "BASE_TABLE" and str(table["table_name"]).lower() in views:
        name = str(table["table_name"]).lower()
        wrapped, columns = _definition(views[name], parse)
        return _subquery(table, wrapped, name, table["column_name_alias"] or columns, parse)
    return table


def _bound(arguments: list[Node], parameters: list[str]) -> dict[str, Node] | None:
    """Parameter → argument; None when they do not fit (DuckDB knows about defaults, and says what is wrong)."""
    names = [parameter.lower() for parameter in parameters]
    given = [str(argument["name"]).lower() or None for argument in arguments]
    if len(arguments) != len(parameters) or any(name is not None and name not in names for name in given):
        return None
    positional = [argument["expression"] for argument, name in zip(arguments, given, strict=True) if name is None]
    bound = dict(zip(names, positional, strict=False))
    named = {n: argument["expression"] for argument, n in zip(arguments, given, strict=True) if n is not None}
    return {**bound, **named} if len(bound.keys() | named.keys()) == len(parameters) else None


def _substitute(statement: Node, arguments: Mapping[str, Node]) -> None:
    for node in list(walk(statement)):
        if is_column(node, 1) and (argument := arguments.get(node["column_names"][0].lower())) is not None:
            replace_in_place(node, {**copy.deepcopy(argument), "alias": node["alias"]})


def _subquery(table: Node, statement: Node, name: str, columns: list[Any], parse: Parse) -> Node:
    subquery: Node = parse("SELECT 1 FROM (SELECT 1) AS x")["node"]["from_table"]
    subquery["subquery"] = statement
    subquery["alias"] = table["alias"] or name
    subquery["column_name_alias"] = columns
    subquery["sample"] = table["sample"]
    return subquery


def _named_table(table: Node, parse: Parse) -> Node:
    """``query_table('name')`` as the table of that name."""
    arguments = table["function"]["arguments"]
    literal = arguments[0]["expression"].get("literal") if len(arguments) == 1 else None
    if not literal or literal["kind"] != "STRING":
        return table
    quoted = str(literal["text"]).replace('"', '""')
    named: Node = parse(f'SELECT 1 FROM "{quoted}"')["node"]["from_table"]
    return {**named, "alias": table["alias"], "column_name_alias": table["column_name_alias"]}


def _definition(sql: str, parse: Parse) -> tuple[Node, list[str]]:
    """The query of a CREATE VIEW as DuckDB stores it, and the names it gives its columns."""
    # DuckDB prints the name and the columns itself; a CTE that is called AS cannot stand before the first AS.
    head, _, query = sql.partition(" AS ")
    while head.count('"') % 2:  # an AS inside a quoted name
        more, _, query = query.partition(" AS ")
        head += " AS " + more
    statement = parse(query.rstrip().rstrip(";"))
    if not head.endswith(")"):
        return statement, []
    listed = parse(f"SELECT 1 FROM x AS y{head[head.index('(') :]}")
    names: list[str] = listed["node"]["from_table"]["column_name_alias"]
    return statement, names
