"""The SQL session: DuckDB in memory. It parses, renders, registers and runs; it decides nothing.

The statement a person writes becomes a tree (``json_serialize_sql``), the planner in ``nearest`` rewrites the tree,
and the result is rendered back to SQL (``json_deserialize_sql``) and run here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from curator.errors import QueryError, UnknownNameError
from curator.session import text
from curator.session.definitions import Definitions, Macro, definitions
from curator.session.text import Wrapped

__all__ = ["Macro", "Node", "Session", "Wrapped", "sql_folder"]

Node = dict[str, Any]


def sql_folder() -> Path:
    """The folder of the shipped SQL: in the package when installed, beside it in a checkout."""
    inside = Path(str(files("curator"))) / "sql"
    return inside if inside.is_dir() else Path(str(files("curator"))).parent / "sql"


class Session:
    """One in-memory DuckDB connection with curator's macros.

    In a ``sandbox`` SQL can read no file and reach no network, and cannot change DuckDB's configuration. It has as many
    threads as there are cores, or as asked.
    """

    def __init__(self, *, sandbox: bool = False, threads: int | None = None) -> None:
        # Replacement scans would let SQL read any Python local of the caller.
        self._connection = duckdb.connect(":memory:", config={"python_enable_replacements": "false"})
        self._connection.execute("SET preserve_insertion_order = true")
        self._connection.execute("SET enable_progress_bar = false")
        self._connection.execute("SET errors_as_json = true")
        if threads is not None:
            self._connection.execute(f"SET threads = {threads}")
        for path in sorted((sql_folder() / "macros").glob("*.sql")):
            self._connection.execute(path.read_text("utf8"))
        if sandbox:
            self._connection.execute("SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")
        self.sandbox = sandbox
        self.is_changed = False  # a person has run what is no query, and may have made, defined or set something
        self._registered: set[str] = set()
        self._created: set[str] = set()
        self._definitions: Definitions | None = None

    def __repr__(self) -> str:
        kind = ", sandbox" if self.sandbox else ""
        return f"Session(duckdb {duckdb.__version__}, {len(self._registered)} relations{kind})"

    # The text of a statement, which DuckDB's own tokenizer takes apart.
    statements = staticmethod(text.statements)
    substitute_counts = staticmethod(text.substitute_counts)
    parameter_names = staticmethod(text.parameter_names)
    wrapped = staticmethod(text.wrapped)
    is_query = staticmethod(text.is_query)
    names = staticmethod(text.names)
    defined_name = staticmethod(text.defined_name)
    call_length = staticmethod(text.call_length)

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table available under a name, in the place of any earlier one.

        Raises QueryError where DuckDB does not take it: for a type it does not know, or a table of that name.
        """
        with _told_as_query_error(f"the table {name} cannot be read"):
            self._connection.register(name, table)
        self._registered.add(name)

    def create(self, name: str, sql: str, parameters: Mapping[str, Any], *, shown: str) -> None:
        """Make a temporary table of a query's rows. Raises QueryError as ``fetch`` does."""
        self._created.add(name)
        self.fetch(f"CREATE TEMP TABLE {name} AS {sql}", parameters, shown=shown)

    def forget_tables(self) -> None:
        """Forget every table that was registered or made here."""
        for name in self._registered:
            self._connection.unregister(name)
        for name in self._created:
            self._connection.execute(f"DROP TABLE IF EXISTS temp.{name}")
        self._registered.clear()
        self._created.clear()

    def parse(self, sql: str, *, shown: str | None = None) -> Node:
        """The tree of one SELECT statement. Raises QueryError, pointing into ``shown``, for anything else."""
        serialized = self._connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0]
        tree = json.loads(serialized)
        shown = shown or sql
        if tree["error"]:
            if tree["error_type"] == "not implemented" and self.is_left_whole(sql):
                raise QueryError(
                    "PIVOT without IN is left to DuckDB as it stands, so it can hold no NEAREST, embed or function of "
                    f"curator's: list the values (ON … IN ('a', 'b')), or make a table first\n{text.indented(shown)}"
                )
            if tree["error_type"] == "not implemented":
                raise QueryError(
                    "only SELECT is run here; ws.execute(…), or curator sql --write, runs what writes:\n"
                    + text.indented(shown)
                )
            raise QueryError(f"{tree['error_message']}\n{text.pointed(shown, tree.get('position'))}")
        if len(tree["statements"]) != 1:
            raise QueryError(f"one statement at a time, not {len(tree['statements'])}:\n{text.indented(shown)}")
        statement: Node = tree["statements"][0]
        return statement

    def is_left_whole(self, sql: str) -> bool:
        """Whether a query has a PIVOT whose values DuckDB has to find: it has no tree then."""
        if not text.pivots(sql) or len(text.statements(sql)) != 1:
            return False
        serialized = self._connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0]
        return bool(json.loads(serialized).get("error_type") == "not implemented")

    def render(self, statement: Node) -> str:
        """The SQL of a tree."""
        tree = json.dumps({"error": False, "statements": [statement]})
        with _told_as_query_error("the rewritten query cannot be written as SQL"):
            return str(self._connection.execute("SELECT json_deserialize_sql(?)", [tree]).fetchall()[0][0])

    def fetch(self, sql: str, parameters: Mapping[str, Any], *, shown: str | None = None) -> pa.Table:
        """Run one statement; without a result, a table without columns.

        Raises QueryError with DuckDB's words and the SQL, or ``shown`` in its place. A place in another text than the
        one shown would mislead, so it is pointed at only in ``sql`` itself.
        """
        try:
            relation = self._connection.sql(sql, params=dict(parameters) or None)
            return pa.table({}) if relation is None else relation.to_arrow_table()
        except duckdb.Error as error:
            message, position = _told(error)
            if isinstance(error, duckdb.InvalidInputException) and position is None:  # as error('…') raises in a stage
                raise QueryError(message.partition(": ")[2]) from error
            where = text.pointed(sql, position) if shown in (None, sql) else text.indented(shown or sql)
            raise QueryError(f"{message}\n{where}") from error

    def run(self, sql: str, parameters: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> pa.Table:
        """Run a statement that is no query, over these tables. Raises QueryError."""
        self.is_changed = True
        for name, table in tables.items():
            self.register(name, table)
        try:
            return self.fetch(sql, parameters)
        finally:
            self.forget_tables()
            self._definitions = None

    def check(self, sql: str, parameters: Mapping[str, Any], *, shown: str | None = None) -> None:
        """Bind a query to the registered tables without running it.

        Raises QueryError that points into ``shown``, in which every place is that of ``sql``; nothing for an error
        that DuckDB gives no place.
        """
        try:
            self._connection.execute(f"EXPLAIN {sql}", dict(parameters) or None).fetchall()
        except duckdb.Error as error:
            message, position = _told(error, {name for name in self._registered if not name.startswith("__")})
            if position is not None:  # without a place to point at, the run itself can say as much
                at = position - len("EXPLAIN ")
                raise QueryError(f"{message}\n{text.pointed(shown or sql, at)}") from error

    def macros(self) -> Mapping[str, list[Macro]]:
        """The macros by lower-case name: each overload."""
        return self._defined().macros

    def views(self) -> Mapping[str, str]:
        """The statements of the views that a person made, by lower-case name."""
        return self._defined().views

    def words(self, sql: str) -> set[str]:
        """The words of a statement, of the macros that it uses, and of the texts in both: all that it may read."""
        return text.names(sql) | self.mentioned(sql)

    def mentioned(self, sql: str) -> set[str]:
        """Those of them that do not stand in the statement itself."""
        definitions = self._defined().texts
        own, found = text.names(sql), set[str]()
        new = own
        while new:
            texts = [definitions[name] for name in new & definitions.keys()]
            new = {word for definition in texts for word in text.names(definition)} - found
            found |= new
        return found.union(*(text.names(word.strip("'")) for word in own | found if word.startswith("'")))

    def _defined(self) -> Definitions:
        """Views and macros. Read again after a statement that may change them."""
        if self._definitions is None:
            with _told_as_query_error("the session's views and macros cannot be read"):
                self._definitions = definitions(self._connection, {known.lower() for known in self._registered})
        return self._definitions


@contextmanager
def _told_as_query_error(what: str) -> Iterator[None]:
    """Raise QueryError for an error of DuckDB's that no SQL of a person's is at fault for."""
    try:
        yield
    except duckdb.Error as error:
        raise QueryError(f"{what}: {_told(error)[0]}") from error


def _told(error: duckdb.Error, tables: Iterable[str] = ()) -> tuple[str, int | None]:
    """DuckDB's message, and the byte of the statement that it is about. ``tables`` are names to offer."""
    kind, _, rest = str(error).partition(": ")
    try:
        told = json.loads(rest)
    except json.JSONDecodeError:
        return str(error), None
    position = int(told["position"]) if "position" in told else None
    if told.get("type") == "Table" and told.get("error_subtype") == "MISSING_ENTRY":
        return str(UnknownNameError("corpus or table", told["name"], tables)), position
    message = str(told["exception_message"]).replace("\n\nCandidate bindings: :", "; there is").strip()
    return f"{kind}: {message}".replace('Values list "', 'Table "'), position
