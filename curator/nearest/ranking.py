"""Which ranking expressions FAISS can execute, and how its result becomes DuckDB's value."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from curator.nearest.tree import Node, is_column

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


class DeclinedError(Exception):
    """This join is left to DuckDB; the message says why. Never leaves the planner."""


@dataclass(frozen=True)
class Ranking:
    """A ranking expression between one vector of each side."""

    expression: Node
    measure: Measure
    left: tuple[str, str]  # alias and column, in lower case
    right: tuple[str, str]
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
        if self.measure == "negative inner":
            return -score
        if self.measure == "cosine distance":
            return np.float32(1) - score
        return score


def ranking_of(join: Node, right_alias: str) -> Ranking:
    """Read a join's ranking. Raises DeclinedError when it is not one measure between a vector of each side."""
    expression = join["ranking_expression"]
    measure = _MEASURES.get(str(expression.get("function_name", "")).lower())
    if measure is None:
        raise DeclinedError("the ranking is not one of the vector measures alone")
    arguments = [argument["expression"] for argument in expression["arguments"]]
    if len(arguments) != 2 or not all(is_column(argument, 2) for argument in arguments):
        raise DeclinedError("the ranking must be between two columns, each written with its table: t.embedding")
    a, b = ((str(n[0]).lower(), str(n[1]).lower()) for n in (argument["column_names"] for argument in arguments))
    if (a[0] == right_alias) == (b[0] == right_alias):
        raise DeclinedError("the ranking must compare a vector of the left side with one of the right")
    left, right = (b, a) if a[0] == right_alias else (a, b)
    descending = join["nearest_order_type"] == "DESCENDING"
    farthest = descending == (measure in ("distance", "cosine distance", "negative inner"))
    if farthest and measure == "distance":
        raise DeclinedError("FAISS finds the smallest distance, not the largest")
    return Ranking(expression, measure, left, right, farthest)
