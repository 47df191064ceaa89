"""What the planner needs of a SQL engine: parse, render, register, run. Tables are bound when a query names them."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import pyarrow as pa

from curator.errors import QueryError
from curator.nearest.definitions import Macros
from curator.nearest.qualified import databases, shorten
from curator.nearest.tree import Builder, Node, alias_of, column_names, is_column, replace_in_place, shows_rows, walk
from curator.relation import DERIVED, Relation

FOLDED = frozenset({"embed", "threshold_at"})
"""Functions of curator's that become constants before DuckDB sees the query."""


class Parser(Protocol):
    """The part of a session that the planner uses."""

    def parse(self, sql: str, *, shown: str | None = None) -> Node: ...
    def render(self, statement: Node) -> str: ...
    def substitute_counts(self, sql: str, parameters: Mapping[str, Any]) -> str: ...
    def parameter_names(self, sql: str) -> set[str]: ...
    def call_length(self, sql: str) -> int: ...
    def macros(self) -> Macros: ...
    def views(self) -> Mapping[str, str]: ...
    def register(self, name: str, table: pa.Table) -> None: ...
    def create(self, name: str, sql: str, parameters: Mapping[str, Any], *, shown: str) -> None: ...
    def forget_tables(self) -> None: ...
    def names(self, sql: str) -> set[str]: ...
    def words(self, sql: str) -> set[str]: ...
    def mentioned(self, sql: str) -> set[str]: ...
    def fetch(self, sql: str, parameters: Mapping[str, Any], *, shown: str | None = None) -> pa.Table: ...
    def check(self, sql: str, parameters: Mapping[str, Any], *, shown: str | None = None) -> None: ...


class Engine:
    """Runs trees over relations. What is derived of one becomes a column only for a tree that names that."""

    def __init__(
        self, parser: Parser, relations: Mapping[str, Relation], parameters: Mapping[str, Any], shown: str, query: Node,
        *, searches: bool = True,
    ) -> None:  # fmt: skip
        self._parser = parser
        self._numbers = itertools.count(1)
        self._relations = dict(relations)
        self._by_name = {name.lower(): name for name in relations}
        self.parameters = parameters
        self.shown = shown
        self._searches = searches
        self._unknown: set[str] = set()  # tables that would hold other rows, had everything been searched
        self._materialised: set[int] = set()  # query nodes of CTEs
        self._private: dict[str, str] = {}  # names given to relations so that no CTE takes them → their own
        self.calls: dict[str, pa.Table] = {}  # what table functions returned, by their name
        self._derived = _derived_names(query) | (DERIVED & _reached(parser, shown))
        self.builder = Builder(parser.parse)

    def parse(self, sql: str) -> Node:
        """The tree of a query, in which corpora go by their own names."""
        statement = self._parser.parse(sql)
        self.shorten(statement)
        return statement

    def shorten(self, tree: Node) -> None:
        """Let corpora go by their own names in a tree."""
        shorten(tree, lambda name: self.relation(name) is not None)

    def render(self, statement: Node) -> str:
        return self._parser.render(statement)

    def text(self, expression: Node) -> str:
        """An expression as SQL, which is also the name that DuckDB gives its column."""
        return self.render(self.builder.value(expression)).removeprefix("SELECT ")

    def definitions(self) -> tuple[Macros, Mapping[str, str]]:
        """The macros and views of the session."""
        return self._parser.macros(), self._parser.views()

    def words(self, sql: str) -> set[str]:
        """The words of a text, and of the macros that it uses."""
        return self._parser.words(sql)

    def next_number(self) -> int:
        return next(self._numbers)

    def relation(self, name: str) -> Relation | None:
        """The relation of a name, however it is written."""
        known = self._by_name.get(name.lower())
        return None if known is None else self._relations[known]

    def described(self, name: str) -> str:
        """The name by which a person knows a table."""
        return self._private.get(name, name)

    def number(self, relation: Relation) -> tuple[str, str]:
        """Register a relation with a hidden row number. Returns the names of the table and of the column."""
        name = f"__side{self.next_number()}"
        row = f"{name}_row"
        self._know(name, relation.numbered(row))
        return name, row

    def materialise(self, statement: Node) -> tuple[str, str, bool]:
        """Run a query once, into a temporary table with row numbers.

        Returns the names of the table and of their column, and whether its rows are known: that they do not come of
        a search that was left out. Raises QueryError, also for two columns of one name, which a table cannot have.
        """
        name = f"__side{self.next_number()}"
        row = f"{name}_row"
        self._create(name, statement, f"row_number() OVER () - 1 AS {row}")
        return name, row, name not in self._unknown

    def keep(self, statement: Node) -> str:
        """Run a query once, into a temporary table. Returns its name."""
        name = f"__kept{self.next_number()}"
        self._create(name, statement)
        return name

    def materialise_ctes(self, tree: Node, ctes: list[Node]) -> None:
        """Evaluate the CTEs that a table reads once, in place, so that all who read them see the same rows."""
        needed = table_names(tree)
        for entry in reversed(ctes):  # one reads only those before it
            if str(entry["key"]).lower() in needed:
                needed |= table_names(entry)
        for position, entry in enumerate(ctes):
            query = entry["value"]["query_node"]
            if str(entry["key"]).lower() not in needed or id(query) in self._materialised:
                continue
            self._materialised.add(id(query))
            quoted = str(entry["key"]).replace('"', '""')
            name = f"__cte{self.next_number()}"
            whole = self.parse(f'SELECT * FROM "{quoted}"')["node"]["from_table"]
            self._create(name, self.builder.select(whole, ctes[: position + 1]))
            replace_in_place(query, self.parse(f"SELECT * FROM {name}")["node"])

    def columns(self, name: str) -> list[str]:
        """The columns of a registered table."""
        return list(self.run(f"SELECT * FROM {name} LIMIT 0").column_names)

    def columns_of(self, table: Node, ctes: list[Node]) -> list[str]:
        """The columns of a table of FROM in order, in lower case; none when it cannot be looked at alone."""
        statement = self.builder.select(table, ctes)
        statement["node"]["modifiers"] = self.builder.modifiers("LIMIT 0")
        try:
            return [name.lower() for name in self.fetch(statement).column_names]
        except QueryError:
            return []

    def run(self, sql: str) -> pa.Table:
        """Run the planner's own SQL."""
        return self._parser.fetch(sql, {}, shown=self.shown)

    def keep_apart(self, table: Node, ctes: list[Node]) -> None:
        """Give the relations in a view's or macro's query names that no CTE around it can take."""
        taken = {str(entry["key"]).lower() for entry in ctes}
        for node in walk(table):
            if (
                node.get("type") == "BASE_TABLE"
                and (name := node["table_name"].lower()) in taken & self._by_name.keys()
            ):
                private = f"__relation{self.next_number()}"
                self._private[private] = name
                self._know(private, self._relations[self._by_name[name]])
                node.update(self.builder.table(private, alias_of(node)), column_name_alias=node["column_name_alias"])

    def add(self, name: str, table: pa.Table) -> None:
        """Register a table under a name of the planner's."""
        self._parser.register(name, table)

    def close(self) -> None:
        """Forget every registered table."""
        self._parser.forget_tables()

    def fetch(self, statement: Node, around: Callable[[str], str] | None = None) -> pa.Table:
        """Run a tree, or a statement ``around`` it, with the parameters that it names."""
        self._bind(statement)
        sql = self.render(statement)
        return self._parser.fetch(around(sql) if around else sql, self._named(statement), shown=self.shown)

    def check(self, sql: str) -> None:
        """Bind the person's own text, so that an error points into it. Raises QueryError.

        ``sql`` is the text with what DuckDB does not know taken out, every place in it kept.
        """
        for lower, name in self._by_name.items():
            if not name.startswith("__"):
                relation = self._relations[name]
                self._parser.register(lower, relation.empty(derived=relation.seen(self._derived, starred=True)))
        for name, table in self.calls.items():
            self._parser.register(name, table.slice(0, 0))
        used = self._parser.parameter_names(sql)
        try:
            self._parser.check(sql, {k: v for k, v in self.parameters.items() if k in used}, shown=self.shown)
        finally:
            self._parser.forget_tables()  # what is empty must not be read

    def _create(self, name: str, statement: Node, *more: str) -> None:
        """Make a temporary table of a query and ``more`` columns."""
        self._bind(statement)
        sql, given = self.render(statement), self._named(statement)
        names = self._parser.fetch(f"SELECT * FROM ({sql}) LIMIT 0", given, shown=self.shown).column_names
        if len({str(column).lower() for column in names}) != len(names):
            raise QueryError("a side has two columns of one name")
        self._parser.create(name, f"SELECT {', '.join(['*', *more])} FROM ({sql})", given, shown=self.shown)
        words = self._parser.names(sql)
        if not self._searches and (words & self._unknown or any(word.startswith("__edges") for word in words)):
            self._unknown.add(name)

    def _named(self, statement: Node) -> dict[str, Any]:
        """The parameters that a tree names."""
        named = {node["identifier"] for node in walk(statement) if node.get("class") == "PARAMETER"}
        return {name: value for name, value in self.parameters.items() if name in named}

    def _know(self, name: str, relation: Relation) -> None:
        self._relations[name] = relation
        self._by_name[name] = name

    def _bind(self, statement: Node) -> None:
        """Register the relations that a tree names, with vectors and other derived columns where it looks at them.

        ``*`` looks at those that the query names somewhere, and at vectors that a person brought.
        """
        nodes = list(walk(statement))
        calls = any(node.get("type") == "TABLE_FUNCTION" or node.get("class") == "FUNCTION" for node in nodes)
        reached = self._parser.mentioned(self.render(statement)) if calls else set[str]()
        for node in nodes:  # query_table(name) takes a name without quotes, too
            if node.get("type") == "TABLE_FUNCTION":
                reached |= column_names(list(walk(node)))
        looks = _derived_names(statement) | (DERIVED & reached)
        starred, columns = shows_rows(nodes), column_names(nodes)
        for lower in sorted((table_names(statement) | reached) & self._by_name.keys()):
            relation = self._relations[self._by_name[lower]]
            whole = starred or lower in reached
            seen = relation.seen(looks | self._derived if whole else looks, starred=whole)
            wanted = None if whole else _wanted(relation, columns)
            self._parser.register(self._by_name[lower], relation.arrow(wanted, derived=seen))


def _wanted(relation: Relation, names: set[str]) -> list[str]:
    """The columns of a relation that have these names. A table has one column at least."""
    return [column for column in relation.columns if column.lower() in names] or relation.columns[:1]


def masked(sql: str, tree: Node, functions: set[str], parser: Parser, *, saturated: bool) -> str:
    """The text of a query without what only curator knows, every place in it kept.

    ``embed(…)`` and ``threshold_at(…)`` become NULL, a table function a table of its name with its arguments gone, and
    if asked ``saturated`` a boolean.
    """
    text = bytearray(sql.encode())
    for start, end, by in list(databases(tree, bytes(text))):
        _overwrite(text, start, end, by)
    calls: list[range] = []  # where table functions stood, and all that was in them
    for node in walk(tree):
        start, length = node.get("query_location", 0), node.get("query_location_length", 0)
        if any(start in call for call in calls):
            continue
        if node.get("type") == "TABLE_FUNCTION" and (name := node["function"]["function_name"]) in functions:
            end = start + parser.call_length(bytes(text[start:]).decode())
            calls.append(range(start, end))
            _overwrite(text, start, end, name)
        elif node.get("class") == "FUNCTION" and node["function_name"] in FOLDED and length:
            _overwrite(text, start, start + length, "NULL")
        elif saturated and names_saturated(node):
            _overwrite(text, start, start + length, "(1=1)")
    return text.decode()


def _overwrite(text: bytearray, start: int, end: int, by: str) -> None:
    """Put other words in a place, and blanks in the rest of it; line ends stay."""
    blank = bytes(byte if byte == ord("\n") else ord(" ") for byte in text[start:end])
    text[start:end] = by.encode() + blank[len(by) :]


def names_saturated(node: Node) -> bool:
    """Whether a node is a column of the name of the one that only curator has."""
    return is_column(node) and str(node["column_names"][-1]).lower() == "saturated"


def table_names(tree: Any) -> set[str]:
    """The tables that a tree names, in lower case."""
    return {str(node["table_name"]).lower() for node in walk(tree) if node.get("type") == "BASE_TABLE"}


def _reached(parser: Parser, sql: str) -> set[str]:
    """The words of the macros and views that a text uses, and of those that they use."""
    found, new, views = parser.mentioned(sql), parser.words(sql), dict(parser.views())
    while used := new & views.keys():
        new = set[str]().union(*(parser.words(views.pop(name)) for name in used))
        found |= new
    return found


def _derived_names(tree: Node) -> frozenset[str]:
    """The derived columns that a tree names, as a column or as a key of USING."""
    columns = (node["column_names"][-1:] if is_column(node) else node.get("using_columns", []) for node in walk(tree))
    return DERIVED & {str(name).lower() for names in columns for name in names}
