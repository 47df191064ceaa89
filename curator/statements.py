"""Statements of SQL over the corpora: what is run, refused and warned of, and the frame that comes back."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from curator.errors import CuratorWarning, QueryError, UsageError
from curator.nearest import FOLDED, JoinReport, Query, Tools, duration, refuse_writing_words, rewrite
from curator.session import Session, Wrapped

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Ran:
    """The rows of a statement, and what became of each NEAREST join in it."""

    frame: pl.DataFrame
    joins: tuple[JoinReport, ...] = ()

    def report(self) -> dict[str, Any]:
        return {"rows": len(self.frame), "joins": [asdict(join) for join in self.joins]}


@dataclass(frozen=True)
class Statements:
    """Runs statements in a session; corpora, functions and the encoder are its tools."""

    session: Session
    tools: Tools

    def select(self, query: str, parameters: Parameters) -> Ran:
        """The rows of a query, or of EXPLAIN, DESCRIBE or SUMMARIZE of one. Raises QueryError for what writes."""
        wrapped = self.session.wrapped(query)
        if wrapped is None or wrapped.explains:
            return self._run(query, wrapped, parameters)
        raise QueryError(
            f"this {wrapped.before.split()[0].upper()} writes, and only SELECT is run here: ws.execute(…), or "
            "curator sql --write, does the rest"
        )

    def execute(self, statement: str, parameters: Parameters) -> Ran:
        """Run any one statement. Raises UsageError for one that would hide a corpus or leave a transaction open."""
        self._refuse_to_shadow(statement)
        wrapped = self.session.wrapped(statement)
        if wrapped is not None or self.session.is_query(statement):
            return self._run(statement, wrapped, parameters)
        return Ran(_frame(self.session.run(statement, parameters, self._bound(statement))))

    def explain(self, query: str, parameters: Parameters, *, analyze: bool) -> str:
        """A line for each NEAREST join; with ``analyze`` everything is run, and the times are those measured."""
        started = time.perf_counter()
        planned = self._plan(query, self.session.wrapped(query), parameters, searches=analyze)
        if analyze:
            rows = len(planned.fetch())
            total = f"in all {duration(time.perf_counter() - started)} for {rows:,} rows"
        planned.engine.close()
        lines = [str(join) for join in planned.joins] or ["no NEAREST join: DuckDB runs all of it"]
        return "\n".join([*lines, total] if analyze else lines)

    def _plan(self, statement: str, wrapped: Wrapped | None, parameters: Parameters, *, searches: bool = True) -> Query:
        query = statement if wrapped is None else wrapped.query
        return rewrite(self.session, query, parameters, self.tools, shown=statement, searches=searches)

    def _run(self, statement: str, wrapped: Wrapped | None, parameters: Parameters) -> Ran:
        if self.session.is_left_whole(statement if wrapped is None else wrapped.query):
            whole = self._left_whole(statement, parameters)
            if whole is not None:
                return Ran(whole)
        planned = self._plan(statement, wrapped, parameters)
        try:
            for join in planned.joins:  # before the query runs: a person may not want to wait
                if message := join.warning:
                    warnings.warn(message, CuratorWarning, stacklevel=4)
        except CuratorWarning:
            planned.engine.close()
            raise
        table = planned.fetch(None if wrapped is None else wrapped.around)
        return Ran(_frame(table), tuple(planned.joins))

    def _left_whole(self, statement: str, parameters: Parameters) -> pl.DataFrame | None:
        """The result of a query without a tree, by DuckDB alone; None where it asks for what only curator knows."""
        words = self.session.words(statement)
        if words & {"nearest", *FOLDED, *(function.__name__ for function in self.tools.functions)}:
            return None
        refuse_writing_words(words)
        return _frame(self.session.run(statement, parameters, self._bound(statement, rows=True)))

    def _refuse_to_shadow(self, statement: str) -> None:
        """Raise UsageError for a statement that would hide a corpus, or leave the session in a transaction."""
        kind, name = self.session.defined_name(statement)
        if name in {corpus.lower() for corpus in self.tools.relations}:
            raise UsageError(f"{name!r} is a corpus, which SQL reads and never writes; give what you make another name")
        if kind in ("BEGIN", "START", "COMMIT", "ROLLBACK", "ABORT"):
            raise UsageError("each statement is a transaction of its own here; leave out BEGIN and COMMIT")

    def _bound(self, statement: str, *, rows: bool = False) -> dict[str, pa.Table]:
        """The corpora that a statement names, as tables without rows where it only defines something over them."""
        words, views = self.session.words(statement), self.session.views()
        words = words.union(*(self.session.words(view) for view in views.values()))
        return {
            name: (relation.arrow if rows else relation.empty)(derived=relation.seen(words, starred=True))
            for name, relation in self.tools.relations.items()
            if name.lower() in words
        }


def _frame(table: pa.Table) -> pl.DataFrame:
    try:
        return pl.DataFrame(_distinct_names(table))
    except pl.exceptions.ComputeError as error:
        kinds = ", ".join(f"{field.name} {field.type}" for field in table.schema)
        raise QueryError(
            f"polars has no type for a column of the result ({error}); cast it, say to VARCHAR: {kinds}"
        ) from None


def _distinct_names(table: pa.Table) -> pa.Table:
    """polars wants columns of different names; DuckDB gives ``id, id`` for a join. The later get a number."""
    taken, names = set(table.column_names), []
    for name in table.column_names:
        number, distinct = 0, name
        while distinct in names or (number and distinct in taken):
            number += 1
            distinct = f"{name}_{number}"
        names.append(distinct)
    return table.rename_columns(names)
