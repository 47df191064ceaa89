"""Names written with the database or the schema that a corpus would be in, were it a table: ``memory.main.reviews``.

Corpora are registered for a query, not stored in DuckDB's database, and a side that was evaluated has only an alias.
"""

import re
from collections.abc import Callable, Iterator

from curator.nearest.tree import Node, is_column, walk

_DATABASE, _SCHEMA = "memory", "main"


def in_schema(table: Node) -> bool:
    """Whether a BASE_TABLE is one of the session's own, as far as its name says."""
    path = [part.lower() for part in (table["catalog_name"], table["schema_name"]) if part]
    return path in ([], [_SCHEMA], [_DATABASE], [_DATABASE, _SCHEMA])


def shorten(tree: Node, is_corpus: Callable[[str], bool]) -> None:
    """Leave out the database of every corpus, and of its columns the schema too. In place."""
    for node in walk(tree):
        if (
            node.get("type") == "BASE_TABLE"
            and in_schema(node)
            and node["schema_name"]
            and is_corpus(node["table_name"])
        ):
            path = [_SCHEMA, node["table_name"]]
            node.update(catalog_name="", schema_name=_SCHEMA, qualified_name={"path": path})
        elif is_column(node, 3) or is_column(node, 4):
            *before, table, column = node["column_names"]
            if [name.lower() for name in before] in ([_SCHEMA], [_DATABASE], [_DATABASE, _SCHEMA]) and is_corpus(table):
                node["column_names"] = [table, column]


def databases(tree: Node, text: bytes) -> Iterator[tuple[int, int, str]]:
    """Where a text names the database of a table or column: first and last byte, and what to write there."""
    for node in walk(tree):
        is_table = node.get("type") == "BASE_TABLE" and in_schema(node)
        if is_table or is_column(node, 3) or is_column(node, 4):
            start = node["query_location"]
            found = re.match(rb'("?memory"?)\s*\.\s*("?main"?\s*\.)?', text[start:], re.IGNORECASE)
            if found:
                yield start, start + (found.start(2) if found[2] else found.end(1)), "" if found[2] else _SCHEMA
