"""Calls in SQL that Python answers: table functions in FROM, ``embed('…')`` and ``threshold_at(…)`` anywhere."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from curator.calibration import random_pairs
from curator.errors import QueryError, UnknownNameError, UsageError
from curator.nearest.engine import Engine
from curator.nearest.ranking import DeclinedError
from curator.nearest.sides import stored
from curator.nearest.tree import Node, leaves, replace_in_place, walk, walk_expression
from curator.relation import EmbedQuery, Relation, matrix_of
from curator.trials import Trials
from curator.vectors import Vectors

Function = Callable[..., pa.Table]
"""A table function: its Python signature is its SQL signature; arguments annotated Relation take a relation."""


@dataclass(frozen=True)
class Tools:
    """What a query may use besides SQL: relations by name, table functions, and the encoder for ``embed``."""

    relations: Mapping[str, Relation]
    functions: tuple[Function, ...] = ()
    embed: EmbedQuery | None = None  # for a text that is compared with no relation in particular
    trials: Trials | None = None  # what probes said earlier, for functions that train many


def call_function(function: Function, call: Node, ctes: list[Node], tools: Tools, engine: Engine) -> pa.Table:
    """Evaluate the arguments of a table function and call it. Raises QueryError for arguments it does not take.

    One annotated ``Trials`` is no argument of SQL's: it gets those of the tools.
    """
    whole = inspect.signature(function)
    parameters = {name: each for name, each in whole.parameters.items() if each.annotation != Trials | None}
    signature = whole.replace(parameters=list(parameters.values()))
    positional = [argument["expression"] for argument in call["arguments"] if not argument["name"]]
    named = {argument["name"]: argument["expression"] for argument in call["arguments"] if argument["name"]}
    try:
        bound = signature.bind(*positional, **named)
    except TypeError as error:
        raise QueryError(f"{function.__name__}{signature}: {error}") from None
    for name, expression in bound.arguments.items():
        if signature.parameters[name].annotation in (Relation, Relation | None):
            bound.arguments[name] = _relation(expression, ctes, tools.relations, engine)
        else:
            what = f"{function.__name__}(… {name})"
            bound.arguments[name] = _typed(_value(expression, what, engine), signature.parameters[name], what)
    given = {name: tools.trials for name in whole.parameters if name not in parameters}
    return function(*bound.args, **bound.kwargs, **given)


def fold_embeddings(node: Node, engine: Engine, tools: Tools) -> None:
    """Replace ``embed('text')`` by the vector, as a constant, in the expressions of one SELECT."""
    known = {name.lower(): relation for name, relation in tools.relations.items()}
    tables = [known.get(str(leaf.get("table_name")).lower()) for leaf in leaves(node["from_table"])]
    # Vectors that were brought come first: their embed_query says why there can be none.
    near = sorted((table for table in tables if table is not None), key=lambda table: not table.brings_vectors)
    for part in list(walk_expression(node)):
        if part.get("class") != "FUNCTION" or part["function_name"] != "embed":
            continue
        values = [_value(argument["expression"], "embed", engine) for argument in part["arguments"]]
        if len(values) not in (1, 2) or not all(isinstance(value, str) for value in values):
            raise QueryError(f"embed takes a text, and optionally a corpus: embed('…', 'corpus'), not {values!r}")
        if len(values) == 2 and values[1].lower() not in known:
            raise UnknownNameError("corpus", values[1], tools.relations)
        sources = [known[values[1].lower()]] if len(values) == 2 else near
        embed = next((source.embed_query for source in sources if source.embed_query), tools.embed)
        if embed is None:
            raise QueryError(f"embed({values[0]!r}): there is no encoder here; compare with a corpus of the workspace")
        vector = np.asarray(embed(values[0]), dtype=np.float32)
        numbers = ", ".join(repr(float(component)) for component in vector)
        constant = engine.builder.expression(f"CAST([{numbers}] AS FLOAT[{len(vector)}])")
        replace_in_place(part, {**constant, "alias": part["alias"]})


def fold_thresholds(node: Node, engine: Engine, tools: Tools) -> None:
    """Replace ``threshold_at('left', 'right', fpr)`` by the cosine that such a share of random pairs reach.

    With one name the pairs are those within a corpus. As a constant it is a threshold like any other in a query.
    """
    for part in list(walk_expression(node)):
        if part.get("class") != "FUNCTION" or part["function_name"] != "threshold_at":
            continue
        values = [_value(argument["expression"], "threshold_at", engine) for argument in part["arguments"]]
        names, fpr = values[:-1], (values or [None])[-1]
        if len(names) not in (1, 2) or not all(isinstance(name, str) for name in names) or not _is_number(fpr):
            given = ", ".join(map(repr, values))
            raise QueryError(f"threshold_at takes a corpus or two, and a share: ('left', 'right', 1e-4), not ({given})")
        sides = [_named(name, tools.relations) for name in names]
        try:
            cosine = random_pairs(*sides).threshold(float(fpr))
        except UsageError as error:
            raise QueryError(f"threshold_at({', '.join(map(repr, names))}): {error}") from None
        constant = engine.builder.expression(f"CAST({cosine!r} AS DOUBLE)")
        replace_in_place(part, {**constant, "alias": part["alias"]})


def _relation(expression: Node, ctes: list[Node], relations: Mapping[str, Relation], engine: Engine) -> Relation:
    """A quoted name, a bare name or a parenthesised SELECT; CTEs in scope come first."""
    if expression.get("class") == "SUBQUERY":
        table = engine.builder.subquery(expression["subquery"])
        try:
            found = stored(table, ctes, engine)
        except DeclinedError as reason:
            raise QueryError(f"an argument cannot be evaluated: {reason}") from None
        return found.relation if found else _evaluated(table, ctes, relations, engine)
    if expression.get("class") == "COLUMN_REF":
        name = str(expression["column_names"][-1])
    else:
        name = str(_value(expression, "a relation", engine))
    if any(str(entry["key"]).lower() == name.lower() for entry in ctes):
        return _evaluated(engine.builder.table(name, name), ctes, relations, engine)
    return _named(name, relations)


def _named(name: str, relations: Mapping[str, Relation]) -> Relation:
    known = {key.lower(): key for key in relations}
    if name.lower() not in known:
        raise UnknownNameError("relation", name, relations)
    return relations[known[name.lower()]]


def _evaluated(table: Node, ctes: list[Node], relations: Mapping[str, Relation], engine: Engine) -> Relation:
    data = engine.fetch(engine.builder.select(table, ctes))
    if "embedding" not in data.column_names:
        return Relation(pl.DataFrame(data))
    try:
        matrix, rows = matrix_of(data.column("embedding"))
    except ValueError as error:
        raise QueryError(f"the column embedding of an argument: {error}") from None
    frame = pl.DataFrame(data.drop_columns(["embedding"]))
    return Relation(frame[rows], Vectors.of(matrix), embed_query=_encoder_of(table, ctes, relations))


def _encoder_of(table: Node, ctes: list[Node], relations: Mapping[str, Relation]) -> EmbedQuery | None:
    """The encoder of the corpora that a SELECT reads. Brought vectors come first: theirs says why there is none."""
    names = _tables(table)
    for entry in reversed(ctes):  # one reads only those before it
        if str(entry["key"]).lower() in names:
            names |= _tables(entry)
    read = [relation for name, relation in relations.items() if name.lower() in names]
    near = sorted(read, key=lambda relation: not relation.brings_vectors)
    return next((relation.embed_query for relation in near if relation.embed_query), None)


def _tables(tree: Node) -> set[str]:
    return {str(node["table_name"]).lower() for node in walk(tree) if node.get("type") == "BASE_TABLE"}


def _typed(value: Any, parameter: inspect.Parameter, what: str) -> Any:
    """A constant as the Python signature wants it. Raises QueryError for one that is not of its type."""
    kind = parameter.annotation
    if kind in (float, int) and not _is_number(value):
        raise QueryError(f"{what} takes a number, not {value!r}")
    if kind is str and not isinstance(value, str):
        raise QueryError(f"{what} takes a text in quotes, not {value!r}")
    return float(value) if kind is float else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _value(expression: Node, what: str, engine: Engine) -> Any:
    """The value of a constant expression or parameter."""
    try:
        return engine.fetch(engine.builder.value(expression)).column(0)[0].as_py()
    except QueryError as error:
        raise QueryError(f"{what} takes a constant: {error}") from None
