"""What the planner needs of a SQL engine: parse, render, register, run. Tables are bound when a query names them."""

import itertools
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from curator.nearest.tree import Builder, Node, is_column, is_star, walk
from curator.relation import Relation


class Parser(Protocol):
    """The part of a session that the planner uses."""

    def parse(self, sql: str) -> Node: ...
    def render(self, statement: Node) -> str: ...
    def substitute_counts(self, sql: str, parameters: Mapping[str, Any]) -> str: ...
    def parameter_names(self, sql: str) -> set[str]: ...
    def register(self, name: str, table: pa.Table) -> None: ...
    def forget_tables(self) -> None: ...
    def fetch(self, sql: str, parameters: Mapping[str, Any], *, shown: str | None = None) -> pa.Table: ...


class Engine:
    """Runs trees over relations. A relation's vectors become a column only for a tree that names it."""

    def __init__(
        self, parser: Parser, relations: Mapping[str, Relation], parameters: Mapping[str, Any], sql: str, query: Node
    ) -> None:
        self._parser = parser
        self._numbers = itertools.count(1)
        self._relations = dict(relations)
        self._by_name = {name.lower(): name for name in relations}
        self.parameters = parameters
        self.sql = sql
        self._names_embedding = _names_embedding(query)
        self.builder = Builder(parser.parse)

    def render(self, statement: Node) -> str:
        return self._parser.render(statement)

    def next_number(self) -> int:
        return next(self._numbers)

    def number(self, relation: Relation) -> tuple[str, str]:
        """Register a relation with a hidden row number. Returns the names of the table and of the column."""
        name = f"__side{self.next_number()}"
        row = f"{name}_row"
        self._relations[name] = relation.with_frame(relation.frame.with_row_index(row))
        self._by_name[name] = name
        return name, row

    def number_table(self, table: pa.Table) -> tuple[str, str]:
        """The same for a table that carries its vectors as a column."""
        name = f"__side{self.next_number()}"
        row = f"{name}_row"
        self.add(name, table.append_column(row, pa.array(np.arange(len(table)))))
        return name, row

    def add(self, name: str, table: pa.Table) -> None:
        """Register a table under a name of the planner's."""
        self._parser.register(name, table)

    def close(self) -> None:
        """Forget every registered table."""
        self._parser.forget_tables()

    def fetch(self, statement: Node) -> pa.Table:
        """Run a tree with the parameters that it names."""
        self._bind(statement)
        named = {node["identifier"] for node in walk(statement) if node.get("class") == "PARAMETER"}
        given = {name: value for name, value in self.parameters.items() if name in named}
        return self._parser.fetch(self.render(statement), given, shown=self.sql)

    def _bind(self, statement: Node) -> None:
        """Register the relations that a tree names, with vectors where it looks at them.

        ``*`` looks at them in a query that names ``embedding`` somewhere, and at vectors that a person brought.
        """
        nodes = list(walk(statement))
        tables = {node["table_name"].lower() for node in nodes if node.get("type") == "BASE_TABLE"}
        named = _names_embedding(statement)
        starred = any(is_star(node) for node in nodes)
        for lower in sorted(tables & self._by_name.keys()):
            name = self._by_name[lower]
            relation = self._relations[name]
            shown = starred and (self._names_embedding or relation.brings_vectors)
            self._parser.register(name, relation.arrow(embedding=relation.can_embed and (named or shown)))


def _names_embedding(tree: Node) -> bool:
    return any(is_column(node) and node["column_names"][-1].lower() == "embedding" for node in walk(tree))
