"""What the planner does not touch, each with its reason: a wrong row is worse than a slow one."""

from collections.abc import Callable

from curator.errors import QueryError
from curator.nearest.ranking import DeclinedError, Operand
from curator.nearest.scope import expressions
from curator.nearest.tree import Node, alias_of, is_column, is_star, leaves, same, walk, walk_expression

_OUTER = {"LEFT", "RIGHT", "OUTER", "FULL"}
_ACTING = {"checkpoint", "force_checkpoint", "write_log", "truncate_duckdb_logs", "nextval"}
_WRITING = {"insert", "update", "delete", "merge"}
_READING = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}


def refuse_writing_words(words: set[str]) -> None:
    """Raise QueryError when a query without a tree, by its words in lower case, might write or change settings."""
    for word in sorted(words):
        if word in _WRITING or word in _ACTING or word.startswith(("enable_", "disable_")):
            raise QueryError(f"only SELECT can be run here, and a PIVOT without IN that says {word} may do more")


def refuse_writing(statement: Node) -> None:
    """Raise QueryError when any part of a statement writes: a CTE can DELETE."""
    for node in walk(statement):
        kind = str(node.get("type", ""))
        if kind.endswith("_NODE") and kind not in _READING:
            raise QueryError(f"only SELECT can be run here, and this contains {kind.split('_')[0]}")
        function = str(node.get("function_name", "")).lower()
        if function.startswith(("enable_", "disable_")) or function in _ACTING:
            raise QueryError(f"only SELECT can be run here, and {function}() changes DuckDB's settings or writes")


def refuse_one_name_twice(join: Node) -> None:
    """Raise DeclinedError where two tables of a join have one name, or none."""
    names = [alias_of(leaf) for leaf in (*leaves(join["left"]), join["right"])]
    if len(set(names)) != len(names):
        name = max(names, key=names.count)
        raise DeclinedError(f"two of its tables are called {name}" if name else "two of its tables have no name")


def refuse_outer_rows(table: Node, operand: Operand) -> None:
    """Raise DeclinedError where a computed vector would have to be made for rows that an outer join adds."""
    outer = [node for node in walk(table) if node.get("type") == "JOIN" and node["join_type"] in _OUTER]
    if operand.expression is not None and outer:
        raise DeclinedError("a vector is computed over an outer join; put the join into a subquery")


def refuse_grouping(select: Node, ranking: Node) -> None:
    """Raise DeclinedError where DuckDB knows the ranking's value from what is grouped by."""
    operands = [argument["expression"] for argument in ranking["arguments"]]
    if any(same(group, operand) for group in select["group_expressions"] for operand in operands):
        raise DeclinedError("the vectors themselves are grouped by")


def refuse_whole_rows(select: Node, tables: set[str], is_a_column: Callable[[str], bool]) -> None:
    """Raise DeclinedError where a SELECT would see the planner's own columns.

    ``is_a_column`` says whether a table of its FROM has a column of a name, which comes before a row of that name.
    """
    parts = list(walk_expression([*expressions(select), select["from_table"]]))
    if any(is_star(part) and part["expr"] for part in parts):
        raise DeclinedError("COLUMNS(…) chooses columns by name, and would choose the planner's")
    inside = [node for part in walk([expressions(select), select["from_table"]]) for node in _selects_in(part)]
    if any(is_star(node) and node["relation_name"].lower() in tables for node in inside):
        raise DeclinedError("a subquery takes all columns of a side")
    parts += inside
    other = {id(node) for node in [*_results(select), *lambda_parameters(parts)]}
    rows = {part["column_names"][0].lower() for part in parts if is_column(part, 1) and id(part) not in other}
    if any(not is_a_column(name) for name in tables & rows):
        raise DeclinedError("a whole row of a side is used as a value")


def _results(select: Node) -> list[Node]:
    """What ORDER BY and DISTINCT ON take from the SELECT list by its alias: only a name that stands there alone."""
    aliases = {item["alias"].lower() for item in select["select_list"]}
    targets = [order["expression"] for modifier in select["modifiers"] for order in modifier.get("orders", [])]
    targets += [target for modifier in select["modifiers"] for target in modifier.get("distinct_on_targets") or []]
    return [node for node in targets if is_column(node, 1) and node["column_names"][0].lower() in aliases]


def lambda_parameters(parts: list[Node]) -> list[Node]:
    """Where lambdas among some nodes name their own parameters."""
    found = []
    for part in parts:
        if part.get("class") == "LAMBDA" and part["syntax_type"] == "LAMBDA_KEYWORD":
            own = {node["column_names"][0].lower() for node in walk(part["lhs"]) if is_column(node)}
            found += [node for node in walk(part) if is_column(node, 1) and node["column_names"][0].lower() in own]
    return found


def _selects_in(node: Node) -> list[Node]:
    """Everything in a subquery, when a node is one."""
    return list(walk(node["subquery"])) if isinstance(node.get("subquery"), dict) else []
