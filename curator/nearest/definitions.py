"""Views and table macros, replaced by the queries they stand for, so that the NEAREST joins in them are seen."""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from curator.errors import QueryError
from curator.nearest.qualified import in_schema
from curator.nearest.ranking import is_measure
from curator.nearest.tree import Node, alias_of, is_column, replace_in_place, walk, walk_expression
from curator.session.definitions import Macro

Parse = Callable[[str], Node]
Macros = Mapping[str, list[Macro]]
Words = Callable[[str], set[str]]
"""The words of a text and of the definitions of what it names."""


def expanded(table: Node, macros: Macros, views: Mapping[str, str], parse: Parse) -> Node:
    """A table of FROM as a subquery where it is a view or a table macro; else itself."""
    if table["type"] == "TABLE_FUNCTION":
        name = str(table["function"]["function_name"]).lower()
        if name == "query_table":
            return _named_table(table, parse)
        statement = _body(table["function"], macros, parse, is_table=True)
        if statement is not None:
            return _subquery(table, statement, name, table["column_name_alias"], parse)
    elif table["type"] == "BASE_TABLE" and in_schema(table) and str(table["table_name"]).lower() in views:
        name = str(table["table_name"]).lower()
        wrapped, columns = _definition(views[name], parse)
        return _subquery(table, wrapped, name, table["column_name_alias"] or columns, parse)
    return table


def searching_calls(tree: Any, macros: Macros, words: Words) -> Iterator[Node]:
    """The calls in expressions of macros that hold a nearest join, or a vector measure."""
    for node in walk_expression(tree):
        name = str(node.get("function_name", "")).lower()
        if node.get("class") == "FUNCTION" and name in macros:
            defined_by = words(f'"{name}"')
            if "nearest" in defined_by or any(map(is_measure, defined_by)):
                yield node


def expand_calls(tree: Any, macros: Macros, parse: Parse, words: Words) -> None:
    """Put the expressions that they stand for in the place of such calls."""
    for call in list(searching_calls(tree, macros, words)):
        statement = _body(call, macros, parse, is_table=False)
        if statement is not None:
            replace_in_place(call, {**statement["node"]["select_list"][0], "alias": call["alias"]})
            expand_calls(call, macros, parse, words)


def _body(call: Node, macros: Macros, parse: Parse, *, is_table: bool) -> Node | None:
    """What a call of a macro stands for, as a statement; None where that is left to DuckDB.

    DuckDB knows which of several overloads is meant, what is wrong with arguments that do not fit, and that a column
    among them is not one of the same name inside the macro.
    """
    fitting = []
    if call["schema"] in ("", "main") and not call["catalog"]:
        for macro in macros.get(str(call["function_name"]).lower(), []):
            arguments = _bound(call["arguments"], macro, parse) if macro.is_table == is_table else None
            fitting += [(macro, arguments)] if arguments is not None else []
    if len(fitting) != 1:
        return None
    [(macro, arguments)] = fitting
    statement = parse(macro.definition if is_table else f"SELECT {macro.definition}")
    if _captures(statement, arguments):
        return None
    _substitute(statement, arguments)
    return statement


def _bound(arguments: list[Node], macro: Macro, parse: Parse) -> dict[str, Node] | None:
    """Parameter → argument, or its default; None when they do not fit."""
    try:
        [declared] = parse(f"SELECT {macro.signature}")["node"]["select_list"]
    except QueryError:  # parameters with types
        return None
    names = [str(part["name"] or part["expression"]["column_names"][0]).lower() for part in declared["arguments"]]
    defaults = {str(part["name"]).lower(): part["expression"] for part in declared["arguments"] if part["name"]}
    positional = [argument["expression"] for argument in arguments if not argument["name"]]
    named = {str(argument["name"]).lower(): argument["expression"] for argument in arguments if argument["name"]}
    bound = dict(zip(names, positional, strict=False))
    if len(positional) > len(names) or bound.keys() & named.keys():
        return None
    bound = {**defaults, **bound, **named}
    return bound if bound.keys() == set(names) else None


def _captures(statement: Node, arguments: Mapping[str, Node]) -> bool:
    """Whether a table inside a macro could take a column of its arguments for its own."""
    inside = {
        alias_of(node) for node in walk(statement) if {"alias", "sample"} <= node.keys() and node["type"] != "EMPTY"
    }
    columns = [node["column_names"] for node in walk(list(arguments.values())) if is_column(node)]
    return bool(inside) and any(len(names) == 1 or names[0].lower() in inside for names in columns)


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
