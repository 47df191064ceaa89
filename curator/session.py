"""The SQL session: DuckDB in memory. It parses, renders, registers and runs; it decides nothing.

The statement a person writes becomes a tree (``json_serialize_sql``), the planner in ``nearest`` rewrites the tree,
and the result is rendered back to SQL (``json_deserialize_sql``) and run here.
"""

import itertools
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from curator.errors import QueryError

Node = dict[str, Any]


def sql_folder() -> Path:
    """The folder of the shipped SQL: in the package when installed, beside it in a checkout."""
    inside = Path(str(files("curator"))) / "sql"
    return inside if inside.is_dir() else Path(str(files("curator"))).parent / "sql"


class Session:
    """One in-memory DuckDB connection with curator's macros."""

    def __init__(self) -> None:
        # Replacement scans would let SQL read any Python local of the caller.
        self._connection = duckdb.connect(":memory:", config={"python_enable_replacements": "false"})
        self._connection.execute("SET preserve_insertion_order = true")
        self._connection.execute("SET enable_progress_bar = false")
        for path in sorted((sql_folder() / "macros").glob("*.sql")):
            self._connection.execute(path.read_text("utf8"))
        self._registered: set[str] = set()

    def __repr__(self) -> str:
        return f"Session(duckdb {duckdb.__version__}, {len(self._registered)} relations)"

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table available under a name, in the place of any earlier one."""
        self._connection.register(name, table)
        self._registered.add(name)

    def forget_tables(self) -> None:
        """Forget every registered table."""
        for name in self._registered:
            self._connection.unregister(name)
        self._registered.clear()

    def parse(self, sql: str) -> Node:
        """The tree of one SELECT statement. Raises QueryError for anything else."""
        text = self._connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0]
        tree = json.loads(text)
        if tree["error"]:
            if tree["error_type"] == "not implemented":
                raise QueryError(f"only SELECT statements can be run here, not:\n{_indent(sql)}")
            raise QueryError(f"{tree['error_message']}\n{_pointed(sql, tree.get('position'))}")
        if len(tree["statements"]) != 1:
            raise QueryError(f"one statement at a time, not {len(tree['statements'])}:\n{_indent(sql)}")
        statement: Node = tree["statements"][0]
        return statement

    def render(self, statement: Node) -> str:
        """The SQL of a tree."""
        tree = json.dumps({"error": False, "statements": [statement]})
        return str(self._connection.execute("SELECT json_deserialize_sql(?)", [tree]).fetchall()[0][0])

    def fetch(self, sql: str, parameters: Mapping[str, Any], *, shown: str | None = None) -> pa.Table:
        """Run one SELECT. Raises QueryError with DuckDB's words and the SQL, or ``shown`` in its place."""
        try:
            return self._connection.sql(sql, params=dict(parameters) or None).to_arrow_table()
        except duckdb.Error as error:
            raise QueryError(f"{error}\n{_indent(shown or sql)}") from error

    def substitute_counts(self, sql: str, parameters: Mapping[str, Any]) -> str:
        """Write integers in the place of parameters after NEAREST, where DuckDB 2.0 parses only literals.

        Raises QueryError for a missing parameter or one that is not a positive integer.
        """
        words = _words(sql)
        text = sql.encode()
        for (_, _, word), (start, _, sign), (_, end, name) in reversed(
            list(zip(words, words[1:], words[2:], strict=False))
        ):
            if word.upper() == "NEAREST" and sign == "$":
                count = parameters.get(name)
                if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                    raise QueryError(f"NEAREST ${name} needs a positive integer, not {count!r}\n{_indent(sql)}")
                text = text[:start] + str(count).encode() + text[end:]
        return text.decode()

    def parameter_names(self, sql: str) -> set[str]:
        """Names of the parameters that a statement uses."""
        words = _words(sql)
        return {name for (_, _, sign), (_, _, name) in itertools.pairwise(words) if sign == "$"}


def _words(sql: str) -> list[tuple[int, int, str]]:
    """First byte, end and text of each token, without comments. DuckDB counts bytes, not characters."""
    text = sql.encode()
    tokens = duckdb.tokenize(sql)
    words = []
    for (start, kind), end in zip(tokens, [*(at for at, _ in tokens[1:]), len(text)], strict=True):
        if kind == duckdb.token_type.comment:
            continue
        word = text[start:end].decode()
        if kind == duckdb.token_type.identifier and (match := re.match(r"\w+", word)):
            word = match[0]
        word = word.strip()
        words.append((start, start + len(word.encode()), word))
    return words


def _indent(sql: str) -> str:
    return "\n".join("    " + line for line in sql.strip().splitlines())


def _pointed(sql: str, position: str | None) -> str:
    """The SQL with a caret under the position of an error."""
    if position is None:
        return _indent(sql)
    at = len(sql.encode()[: int(position)].decode(errors="ignore"))  # DuckDB counts bytes
    line = sql.count("\n", 0, at)
    column = at - (sql.rfind("\n", 0, at) + 1)
    lines = ["    " + text for text in sql.splitlines()]
    lines.insert(line + 1, "    " + " " * column + "^")
    return "\n".join(lines)
