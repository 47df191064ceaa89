"""Thresholds on a score: which predicates of a query look at nothing but a join's score, and which lists they cut.

A list of k neighbours is *saturated* when there were more than k and the k-th still passes: others may, too.
"""

import copy
from collections.abc import Callable

from curator.nearest.tree import Node, conjunction, conjuncts, is_column, replace_in_place, walk

Score = Callable[[Node], bool]
"""Whether a node is the score of the join in question."""


def on_score(predicates: list[Node | None], is_score: Score, score: Node) -> Node | None:
    """The AND of the predicates that depend on the score and on no other column, with ``score`` in its place."""
    found = []
    for part in (part for predicate in predicates for part in conjuncts(predicate)):
        replaced = copy.deepcopy(part)
        seen = _replace(replaced, is_score, score)
        columns = [node for node in walk(replaced) if is_column(node) and node["column_names"] != score["column_names"]]
        if seen and not columns and not any(node.get("class") in ("SUBQUERY", "WINDOW") for node in walk(replaced)):
            found.append(replaced)
    return conjunction(found)


def _replace(node: object, is_score: Score, score: Node) -> bool:
    """Put ``score`` in the place of every score below a node; whether there was one."""
    if isinstance(node, dict) and is_score(node):
        replace_in_place(node, {**copy.deepcopy(score), "alias": ""})
        return True
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return sum(_replace(child, is_score, score) for child in children) > 0  # every one: any() would stop at the first
