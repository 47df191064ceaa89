"""Expressions that a person gives as a parameter: parsed, looked at, and put into the tree of a statement."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from curator.errors import QueryError
from curator.nearest.refusals import lambda_parameters
from curator.nearest.tree import Builder, Node, is_column, replace_in_place, walk

_REFUSED = {"SUBQUERY": "a subquery", "STAR": "a star", "PARAMETER": "a parameter"}
_LOCATION = frozenset({"query_location", "query_location_length"})  # in a text that is not the statement's


@dataclass(frozen=True)
class Expression:
    """A parameter's value that takes its place in a statement as SQL, not as a constant."""

    node: Node

    @property
    def columns(self) -> list[str]:
        """The columns that it names, or that have the fields that it names."""
        nodes = list(walk(self.node))
        own = {id(node) for node in lambda_parameters(nodes)}
        return [str(node["column_names"][0]) for node in nodes if is_column(node) and id(node) not in own]


class _Parser(Protocol):
    def parse(self, sql: str, *, shown: str | None = None) -> Node: ...


def one(text: str, parser: _Parser) -> Expression:
    """A text as an expression. Raises QueryError for several, and as ``several`` does."""
    found = _parsed(text, parser)
    if len(found) > 1:
        raise QueryError(f"one expression is needed, not {len(found)}")
    return Expression(found[0])


def several(text: str, parser: _Parser) -> Expression:
    """Expressions with commas between them, as one: the list of their values, each as text.

    Raises QueryError for what is no expression: more of a SELECT than its list, several statements, a subquery, ``*``.
    """
    found = _parsed(text, parser)
    whole = Builder(parser.parse).expression(f"[{', '.join(['CAST(x AS VARCHAR)'] * len(found))}]")
    for place, node in zip([node for node in walk(whole) if is_column(node)], found, strict=True):
        replace_in_place(place, node)
    return Expression(_without_locations(whole))


def place(statement: Node, values: Mapping[str, Any]) -> None:
    """Put the expressions among the values of parameters in the places of those. In place."""
    for node in list(walk(statement)):
        value = values.get(node.get("identifier", "")) if node.get("class") == "PARAMETER" else None
        if isinstance(value, Expression):
            replace_in_place(node, {**value.node, "alias": node["alias"]})


def _parsed(text: str, parser: _Parser) -> list[Node]:
    select, plain = (parser.parse(f"SELECT {listed}")["node"] for listed in (text, "1"))
    if {**select, "select_list": plain.get("select_list")} != plain:
        raise QueryError("it is more than an expression")
    found = [_without_locations({**node, "alias": ""}) for node in select["select_list"]]
    for node in walk(found):
        if node.get("class") in _REFUSED:
            raise QueryError(f"it contains {_REFUSED[node['class']]}")
    return found


def _without_locations(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_locations(inner) for key, inner in value.items() if key not in _LOCATION}
    return [_without_locations(inner) for inner in value] if isinstance(value, list) else value


def check_columns(expression: Expression, known: Iterable[str]) -> None:
    """Raises QueryError for a column that is not among those ``known``."""
    names = list(known)
    unknown = [name for name in expression.columns if name.lower() not in {known.lower() for known in names}]
    if unknown:
        raise QueryError(f"there is no column {unknown[0]!r}; there are: {', '.join(names)}")
