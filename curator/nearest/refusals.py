"""What the planner does not touch, each with its reason: a wrong row is worse than a slow one."""

from curator.errors import QueryError
from curator.nearest.ranking import DeclinedError, Operand
from curator.nearest.scope import expressions
from curator.nearest.tree import Node, is_column, is_star, same, walk, walk_expression

_OUTER = {"LEFT", "RIGHT", "OUTER", "FULL"}
_ACTING = {"checkpoint", "force_checkpoint", "write_log", "truncate_duckdb_logs", "nextval"}
_READING = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}


def refuse_writing(statement: Node) -> None:
    """Raise QueryError when any part of a statement writes: a CTE can DELETE."""
    for node in walk(statement):
        kind = str(node.get("type", ""))
        if kind.endswith("_NODE") and kind not in _READING:
            raise QueryError(f"only SELECT can be run here, and this contains {kind.split('_')[0]}")
        function = str(node.get("function_name", "")).lower()
        if function.startswith(("enable_", "disable_")) or function in _ACTING:
            raise QueryError(f"only SELECT can be run here, and {function}() changes DuckDB's settings or writes")


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


def refuse_whole_rows(select: Node, tables: set[str]) -> None:
    """Raise DeclinedError where a SELECT would see the planner's own columns."""
    parts = list(walk_expression(expressions(select)))
    if any(is_star(part) and part["expr"] for part in parts):
        raise DeclinedError("COLUMNS(…) chooses columns by name, and would choose the planner's")
    inside = [node for part in walk([expressions(select), select["from_table"]]) for node in _selects_in(part)]
    if any(is_star(node) and node["relation_name"].lower() in tables for node in inside):
        raise DeclinedError("a subquery takes all columns of a side")
    parts += inside
    if tables & {part["column_names"][0].lower() for part in parts if is_column(part, 1)}:
        raise DeclinedError("a whole row of a side is used as a value")


def _selects_in(node: Node) -> list[Node]:
    """Everything in a subquery, when a node is one."""
    return list(walk(node["subquery"])) if isinstance(node.get("subquery"), dict) else []
