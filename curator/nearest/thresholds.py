"""Thresholds on a score: what the predicates of a query ask of a join's score, whatever else they look at."""

from collections.abc import Callable, Sequence
from typing import Any

from curator.nearest.tree import Node, conjunction, is_column, walk

Values = Callable[[Node], Node | None]
"""What a node is, as an expression over the score of the join in question; None where it is nothing of the kind."""


def on_score(predicates: Sequence[Node | None], values: Values, score: Node) -> Node | None:
    """The AND of what predicates ask of the score alone, with its value in its place; None where they do not ask.

    What else stands beside it in AND and OR is left out: in ``score >= 0.5 OR label = 'x'`` the threshold is 0.5.
    """
    parts = [_asked(predicate, values, score) for predicate in predicates if predicate is not None]
    return conjunction([part for part in parts if part is not None])


def over_score(expression: Node, values: Values, score: Node) -> Node | None:
    """An expression with the value of the score in its place; None where it looks at anything else, or not at it."""
    if all(values(node) is None for node in walk(expression)):
        return None
    replaced: Node = _replaced(expression, values)
    other = (is_column(node) and node["column_names"] != score["column_names"] for node in walk(replaced))
    whole = any(node.get("class") in ("SUBQUERY", "WINDOW", "STAR") for node in walk(replaced))
    return None if whole or any(other) else replaced


def _asked(predicate: Node, values: Values, score: Node) -> Node | None:
    kind = predicate.get("type")
    if kind not in ("CONJUNCTION_AND", "CONJUNCTION_OR"):
        return over_score(predicate, values, score)
    parts = [part for child in predicate["children"] if (part := _asked(child, values, score)) is not None]
    return {**predicate, "children": parts} if len(parts) > 1 else parts[0] if parts else None


def _replaced(node: Any, values: Values) -> Any:
    """A copy with its value in the place of every score."""
    if isinstance(node, list):
        return [_replaced(child, values) for child in node]
    if not isinstance(node, dict):
        return node
    value = values(node)
    if value is not None:
        return {**value, "alias": ""}
    return {key: _replaced(child, values) for key, child in node.items()}
