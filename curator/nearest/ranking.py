"""Which ranking expressions FAISS can execute, and how its result becomes DuckDB's value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from curator.nearest.tree import Node, is_column, walk

# DuckDB's name → what is computed. The operators are what the functions are called where they parse.
_MEASURES: dict[str, "Measure"] = {}

Measure = Literal["inner", "negative inner", "cosine", "cosine distance", "distance"]

for _prefix in ("array", "list"):
    _MEASURES |= {
        f"{_prefix}_inner_product": "inner",
        f"{_prefix}_dot_product": "inner",
        f"{_prefix}_negative_inner_product": "negative inner",
        f"{_prefix}_negative_dot_product": "negative inner",
        f"{_prefix}_cosine_similarity": "cosine",
        f"{_prefix}_cosine_distance": "cosine distance",
        f"{_prefix}_distance": "distance",
    }
_MEASURES |= {"<->": "distance", "<=>": "cosine distance"}


def is_measure(name: str) -> bool:
    """Whether a function is one of the vector measures."""
    return name.lower() in _MEASURES


Owner = Callable[[Node], str | None]
"""The alias of the table that a column reference belongs to, in lower case; None when that is not certain."""


class DeclinedError(Exception):
    """This join is left to DuckDB; the message says why. Never leaves the planner."""


@dataclass(frozen=True)
class Operand:
    """The vectors of one side: a column of a table, or an expression over its columns."""

    table: str  # alias, in lower case
    column: str  # in lower case; of an expression, its text
    expression: Node | None = None


@dataclass(frozen=True)
class Ranking:
    """A ranking expression between one vector of each side."""

    expression: Node
    measure: Measure
    left: Operand
    right: Operand
    farthest: bool  # the order asks for the largest distance or the smallest similarity

    @property
    def normalises(self) -> bool:
        return self.measure in ("cosine", "cosine distance")

    @property
    def metric(self) -> Literal["inner_product", "distance"]:
        return "distance" if self.measure == "distance" else "inner_product"

    def value(self, score: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """DuckDB's value from what the search returned (which negated the left side for the farthest)."""
        score = -score if self.farthest else score
        if self.normalises:
            score = score.clip(-1, 1)  # as DuckDB does; a product of unit vectors can be a little more
        if self.measure == "negative inner":
            return -score
        if self.measure == "cosine distance":
            return np.float32(1) - score
        return score


def ranking_of(join: Node, right_alias: str, lefts: list[str], owner: Owner, text: Callable[[Node], str]) -> Ranking:
    """Read a join's ranking. Raises DeclinedError when it is not one measure between a vector of each side.

    ``lefts`` are the aliases of the left side's tables; a constant vector is taken as the first one's.
    """
    expression = join["ranking_expression"]
    measure = _MEASURES.get(str(expression.get("function_name", "")).lower())
    if measure is None or len(expression["arguments"]) != 2:
        raise DeclinedError("the ranking is not one of the vector measures alone")
    sides: dict[str, Operand] = {}
    for argument in (argument["expression"] for argument in expression["arguments"]):
        table = _table(argument, owner) or lefts[0]
        if table != right_alias and table not in lefts:
            raise DeclinedError(f"{table} is not a table of this join")
        column = argument["column_names"][-1].lower() if is_column(argument) else text(argument)
        operand = Operand(table, column, None if is_column(argument) else argument)
        sides["right" if table == right_alias else "left"] = operand
    if len(sides) != 2:
        raise DeclinedError("the ranking must compare a vector of the left side with one of the right")
    descending = join["nearest_order_type"] == "DESCENDING"
    farthest = descending == (measure in ("distance", "cosine distance", "negative inner"))
    if farthest and measure == "distance":
        raise DeclinedError("FAISS finds the smallest distance, not the largest")
    return Ranking(expression, measure, sides["left"], sides["right"], farthest)


def _table(argument: Node, owner: Owner) -> str | None:
    """The one table whose columns an argument uses; None for a constant."""
    tables = set()
    for node in walk(argument):
        if node.get("class") in ("SUBQUERY", "WINDOW", "STAR", "LAMBDA"):
            raise DeclinedError("the ranking holds more than columns, constants and functions of them")
        if is_column(node):
            table = owner(node)
            if table is None:
                name = ".".join(node["column_names"])
                raise DeclinedError(f"which table {name} belongs to is not certain; write it with its table")
            tables.add(table)
    if len(tables) > 1:
        raise DeclinedError("one vector of the ranking is computed from two tables")
    return tables.pop() if tables else None
