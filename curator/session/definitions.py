"""The views and macros of a session, as DuckDB tells them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb


@dataclass(frozen=True)
class Macro:
    """One overload of a macro."""

    signature: str  # a call of it that gives every default: ``near(who, least := 0.5)``; types where it has them
    definition: str  # a query, or an expression
    is_table: bool


@dataclass(frozen=True)
class Definitions:
    """What a session has defined, by lower-case name."""

    macros: Mapping[str, list[Macro]] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)  # CREATE statements
    texts: Mapping[str, str] = field(default_factory=dict)  # of each macro, all that it is defined by


def definitions(connection: duckdb.DuckDBPyConnection, registered: set[str]) -> Definitions:
    """Read them; ``registered`` are tables that DuckDB takes for views."""
    macros: dict[str, list[Macro]] = {}
    texts: dict[str, str] = {}
    found = connection.execute(
        "SELECT function_name, list(macro_definition), function_type = 'table_macro', database_name = 'temp' AS hides "
        "FROM duckdb_functions() WHERE function_type IN ('table_macro', 'macro') AND NOT internal "
        "AND schema_name = 'main' GROUP BY ALL ORDER BY hides"  # a temporary macro hides another of its name
    ).fetchall()
    for name, bodies, is_table, _ in found:
        signatures = _signatures(connection, name, is_table=is_table)
        known = bodies if len(signatures) == len(bodies) else []
        others = [macro for macro in macros.get(name.lower(), []) if macro.is_table != is_table]
        macros[name.lower()] = others + [Macro(*both, is_table) for both in zip(signatures, known, strict=False)]
        texts[name.lower()] = " ".join([texts.get(name.lower(), ""), *bodies])
    views = connection.execute(
        "SELECT lower(view_name), sql FROM duckdb_views() "
        "WHERE NOT internal AND sql IS NOT NULL AND schema_name = 'main'"
    ).fetchall()
    return Definitions(macros, {name: sql for name, sql in views if name not in registered}, texts)


def _signatures(connection: duckdb.DuckDBPyConnection, name: str, *, is_table: bool) -> list[str]:
    """The signatures of a macro's overloads: DuckDB tells the defaults only to who calls it wrongly."""
    quoted = name.replace('"', '""')
    call = f'"{quoted}"(__no_such_parameter := 1)'
    try:
        connection.execute(f"FROM {call}" if is_table else f"SELECT {call}")
    except duckdb.BinderException as error:
        _, _, told = str(error).partition(": ")
        _, _, candidates = json.loads(told)["exception_message"].partition("\nCandidate macros:\n\t")
        return str(candidates).strip().split("\n\t") if candidates else []
    return []
