"""What the planner knows while it rewrites one SELECT: its sides, its joins, and which columns are scores."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from curator.nearest.sides import Side
from curator.nearest.tree import EdgeNames, Node, is_column, is_star, same, swapped, walk, walk_expression


@dataclass
class Join:
    """A NEAREST join that FAISS executed."""

    report: int  # its place among the reports
    names: EdgeNames
    right: str  # alias
    expression: Node
    lists: npt.NDArray[np.int64]  # per edge: the left row
    last: npt.NDArray[np.bool_]  # per edge: the k-th of a list that was chosen from more than k
    passes: npt.NDArray[np.bool_] | None = None  # per edge: it is over the thresholds of its own SELECT
    outside: int = 0  # lists that are saturated for some SELECT that reads its score from outside


@dataclass
class Scope:
    """One SELECT while its FROM is rewritten."""

    ctes: list[Node]
    select: Node
    sides: dict[str, Side] = field(default_factory=dict)
    joins: list[Join] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)  # columns of edges
    rows: dict[str, list[str]] = field(default_factory=dict)  # row numbers of the tables of each alias
    columns: dict[str, set[str]] = field(default_factory=dict)  # of each table looked at


def repeats(node: Node, expression: Node, scope: Scope) -> bool:
    """Whether a node is a ranking again: its operands may be exchanged, and need not name their tables."""
    if node.get("class") != "FUNCTION" or node["function_name"] != expression["function_name"]:
        return False
    node, expression = qualified(node, scope), qualified(expression, scope)
    return same(node, expression) or same(swapped(node), expression)


def qualified(expression: Node, scope: Scope) -> Node:
    """An expression whose columns name their tables, as far as these have been looked at."""
    expression = copy.deepcopy(expression)
    for node in walk(expression):
        if is_column(node, 1):
            name = node["column_names"][0].lower()
            owners = [alias for alias, columns in scope.columns.items() if name in columns]
            node["column_names"] = [*owners, name] if len(owners) == 1 else [name]
    return expression


def asks_saturated(part: Node, join: Join) -> bool:
    if not is_column(part) or part["column_names"][-1].lower() != "saturated":
        return False
    return len(part["column_names"]) == 1 or part["column_names"][0].lower() == join.right


def expressions(node: Node) -> list[Any]:
    """The parts of a SELECT that hold expressions over its FROM."""
    keys = ("select_list", "where_clause", "group_expressions", "having", "qualify", "modifiers")
    return [node[key] for key in keys]


def hide(node: Node, scope: Scope) -> None:
    """Keep row numbers and edges out of ``*``."""
    everything = sorted({*scope.hidden, *(row for rows in scope.rows.values() for row in rows)})
    for part in walk_expression(node["select_list"]):
        if is_star(part):
            relation = part["relation_name"].lower()
            part["exclude_list"] += scope.rows.get(relation, []) if relation else everything
