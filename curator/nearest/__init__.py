"""SQL tree to SQL tree: NEAREST joins and table functions become relations.

For each ``JOIN … NEAREST k BY …`` whose ranking is one vector measure between a vector of each side, both sides are
evaluated once, FAISS finds the edges, and an ordinary join through the edges takes the node's place; the same ranking
expression elsewhere in the SELECT becomes the edge's score. Everything else is left to DuckDB, which is slow but
right. The report says which happened, and why.

``prepare`` readies each SELECT and ``planner`` walks the tree; ``ranking``, ``sides``, ``search`` and ``thresholds``
are what it knows of one join.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curator.errors import QueryError
from curator.nearest.calls import Function, Tools
from curator.nearest.engine import FOLDED, Engine, Parser, masked, names_saturated
from curator.nearest.expressions import Expression, check_columns, one, place, several
from curator.nearest.planner import Planner
from curator.nearest.refusals import refuse_writing, refuse_writing_words
from curator.nearest.report import JoinReport, duration
from curator.nearest.searching import Searching
from curator.nearest.tree import Node, walk

__all__ = [
    "AS_ASKED", "FOLDED", "Expression", "Function", "JoinReport", "Parser", "Query", "Searching", "Tools",
    "check_columns", "duration", "one", "refuse_writing_words", "rewrite", "several",
]  # fmt: skip


AS_ASKED = Searching()


@contextmanager
def _nested_too_deeply() -> Iterator[None]:
    """Raise QueryError where a tree is deeper than Python can walk."""
    try:
        yield
    except RecursionError:
        raise QueryError(
            "the query is nested too deeply: a long chain of operators or of subqueries; compute parts of it in CTEs, "
            "or with a function over a list"
        ) from None


@dataclass(frozen=True)
class Query:
    """A rewritten statement, ready to run, and what was done to it."""

    engine: Engine
    statement: Node
    joins: tuple[JoinReport, ...]
    own_text: str  # what the person wrote, as far as DuckDB knows it

    @_nested_too_deeply()
    def fetch(self, around: Callable[[str], str] | None = None) -> pa.Table:
        """Run it, or a statement ``around`` it. What was registered for it is forgotten: no later query can see it."""
        try:
            return self.engine.fetch(self.statement, around)
        except QueryError:
            self.engine.check(self.own_text)  # says the same of the person's own text, and points into it
            raise
        finally:
            self.engine.close()


@_nested_too_deeply()
def rewrite(
    parser: Parser, sql: str, parameters: Mapping[str, Any], tools: Tools, *, shown: str | None = None,
    searches: bool = True, searching: Searching = AS_ASKED,
) -> Query:  # fmt: skip
    """Plan one SELECT statement. Raises QueryError for one that writes or cannot be parsed or bound.

    ``shown`` is the text that errors point into; every place in it is that of ``sql``. With ``searches`` off nothing
    is searched or embedded, and the statement cannot be run. ``searching`` is how its joins are searched. A parameter
    that is an ``Expression`` becomes part of the statement.
    """
    unused = sorted(parameters.keys() - parser.parameter_names(shown or sql))
    if unused:
        raise QueryError(f"the query has no parameter ${unused[0]}; it was given {parameters[unused[0]]!r}")
    sql, shown = parser.substitute_counts(sql, parameters), parser.substitute_counts(shown or sql, parameters)
    statement = parser.parse(sql, shown=shown)
    place(statement, parameters)
    parameters = {name: None if isinstance(value, Expression) else value for name, value in parameters.items()}
    functions = {function.__name__ for function in tools.functions}
    engine = Engine(parser, tools.relations, parameters, shown, statement, searches=searches)
    calls = any(node.get("function_name") in functions for node in walk(statement))
    own_text, saturated = _own_text(sql, statement, functions, parser, None if calls else engine)
    planner = Planner(engine, tools, searches=searches, saturated=saturated, searching=searching)
    with ExitStack() as unless_planned:
        unless_planned.callback(engine.close)
        refuse_writing(statement)
        if not calls:
            engine.check(own_text)
        engine.shorten(statement)
        planner.query(statement["node"], [])
        unless_planned.pop_all()
    return Query(engine, statement, tuple(planner.reports), own_text)


def _own_text(
    sql: str, statement: Node, functions: set[str], parser: Parser, engine: Engine | None
) -> tuple[str, bool]:
    """What DuckDB knows of a person's text, and whether ``saturated`` in it is curator's: it is no column otherwise."""
    plain = masked(sql, statement, functions, parser, saturated=False)
    if not any(map(names_saturated, walk(statement))):
        return plain, False
    if engine is not None:
        try:
            engine.check(plain)
        except QueryError:
            pass
        else:
            return plain, False
    return masked(sql, statement, functions, parser, saturated=True), True
