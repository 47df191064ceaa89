"""The text of a SQL statement: its tokens, its parameters, the SELECT inside it, and where in it something went wrong.

DuckDB counts bytes, not characters; so do the offsets here.
"""

import itertools
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, SupportsIndex

import duckdb

from curator.errors import QueryError

_QUERY = {"SELECT", "WITH", "FROM", "VALUES", "(", "DESCRIBE", "SUMMARIZE", "PIVOT", "UNPIVOT", "TABLE"}
KEPT = 1 << 16  # characters of a statement whose words are remembered


@dataclass(frozen=True)
class Word:
    """One token of a statement."""

    start: int  # first byte
    end: int
    text: str

    @property
    def upper(self) -> str:
        return self.text.upper()


def words(sql: str) -> tuple[Word, ...]:
    """The tokens of a statement, without comments."""
    return _words(sql) if len(sql) <= KEPT else _words.__wrapped__(sql)


@lru_cache(maxsize=256)  # a stage's query is looked at many times, and so are the macros that it uses
def _words(sql: str) -> tuple[Word, ...]:
    text = sql.encode()
    tokens = duckdb.tokenize(sql)
    if not tokens:
        return ()
    found = []
    for (start, kind), end in zip(tokens, [*(at for at, _ in tokens[1:]), len(text)], strict=True):
        if kind == duckdb.token_type.comment:
            continue
        word = text[start:end].decode().strip()
        found.append(Word(start, start + len(word.encode()), word))
    return tuple(found)


def statements(text: str) -> list[str]:
    """The statements of a text, which semicolons part; those in strings and comments do not count."""
    raw = text.encode()
    ends = [word.start for word in words(text) if word.text == ";"]
    parts = [raw[start:end].decode() for start, end in itertools.pairwise([0, *ends, len(raw)])]
    return [part for part in (part.removeprefix(";").strip() for part in parts) if words(part)]


def parameter_names(sql: str) -> set[str]:
    """Names of the parameters that a statement uses."""
    return {name.text for sign, name in itertools.pairwise(words(sql)) if sign.text == "$"}


def substitute_counts(sql: str, parameters: Mapping[str, Any]) -> str:
    """Write integers in the place of parameters after NEAREST, where DuckDB 2.0 parses only literals.

    Raises QueryError for a missing parameter or one that is not a positive integer.
    """
    tokens = words(sql)
    text = sql.encode()
    for word, sign, name in reversed(list(zip(tokens, tokens[1:], tokens[2:], strict=False))):
        if word.upper == "NEAREST" and sign.text == "$":
            count = parameters.get(name.text)
            if isinstance(count, bool) or not isinstance(count, SupportsIndex) or operator.index(count) < 1:
                raise QueryError(f"NEAREST ${name.text} needs a positive integer, not {count!r}\n{indented(sql)}")
            text = text[: sign.start] + str(operator.index(count)).encode() + text[name.end :]
    return text.decode()


@dataclass(frozen=True)
class Wrapped:
    """A statement around a query: ``EXPLAIN``, ``CREATE TABLE … AS``, ``COPY (…) TO``, ``INSERT INTO …``.

    ``query`` is the statement's text with blanks for all that is not the query, so that a place in one is the same
    place in the other.
    """

    before: str
    query: str
    after: str

    @property
    def explains(self) -> bool:
        return self.before.split()[0].upper() == "EXPLAIN"

    def around(self, query: str) -> str:
        """The statement with another query in the place of its own."""
        return f"{self.before} {query} {self.after}"


def is_query(sql: str) -> bool:
    """Whether a statement begins as one that returns rows does."""
    tokens = words(sql)
    return bool(tokens) and (tokens[0].upper in _QUERY or tokens[0].upper == "SHOW")


def pivots(sql: str) -> bool:
    """Whether a query says PIVOT; without IN, DuckDB looks for the values first, and has no tree for that."""
    return is_query(sql) and any(word.upper in ("PIVOT", "PIVOT_WIDER") for word in words(sql))


def names(sql: str) -> set[str]:
    """Every word of a statement that may be a name, in lower case."""
    return {word.text.strip('"').lower() for word in words(sql)}


def wrapped(sql: str) -> Wrapped | None:
    """What stands around the query of a statement; None when it has no query inside, or is one."""
    tokens = words(sql)
    depths = _depths(tokens)
    first = tokens[0].upper if tokens else ""
    start, end = None, len(tokens)
    if first == "EXPLAIN":
        start = 2 if len(tokens) > 1 and tokens[1].upper == "ANALYZE" else 1
        if start < len(tokens) - 1 and tokens[start].text == "(" and tokens[start + 1].upper not in _QUERY:
            start = _closing(tokens, depths, start) + 1
    elif first == "CREATE" and _created(tokens) == "TABLE":
        start = next((i + 1 for i, word in enumerate(tokens) if word.upper == "AS" and not depths[i]), None)
    elif first == "COPY" and len(tokens) > 1 and tokens[1].text == "(":
        start, end = 2, _closing(tokens, depths, 1)
    elif first == "INSERT":
        start = next((i for i, word in enumerate(tokens) if word.upper in _QUERY - {"("} and not depths[i]), None)
    if start is None or start >= end or tokens[start].upper not in _QUERY:
        return None
    text = sql.encode()
    first_byte, last_byte = tokens[start].start, tokens[end - 1].end
    before = text[:first_byte].decode()
    blank = re.sub(rb"[^\n]", b" ", text[:first_byte]).decode()
    return Wrapped(before, blank + text[first_byte:last_byte].decode(), text[last_byte:].decode())


def call_length(sql: str) -> int:
    """Bytes of the call that a text begins with, up to its closing parenthesis."""
    tokens = words(sql)
    opening = next(i for i, token in enumerate(tokens) if token.text == "(")
    return tokens[_closing(tokens, _depths(tokens), opening)].end


_OPTIONS = {"OR", "REPLACE", "TEMP", "TEMPORARY", "IF", "NOT", "EXISTS", "PERSISTENT"}


def _created(tokens: Sequence[Word]) -> str:
    """What a CREATE makes: TABLE, VIEW, MACRO, …"""
    return next((token.upper for token in tokens[1:] if token.upper not in _OPTIONS), "")


def defined_name(sql: str) -> tuple[str, str]:
    """The first word of a statement, and the name that it creates, drops or alters, in lower case; empty for none."""
    tokens = words(sql)
    first = tokens[0].upper if tokens else ""
    if first not in ("CREATE", "DROP", "ALTER"):
        return first, ""
    rest = [token.text for token in tokens[1:] if token.upper not in _OPTIONS][1:]
    while len(rest) > 2 and rest[1] == ".":
        rest = rest[2:]
    return first, rest[0].strip('"').lower() if rest else ""


def _depths(tokens: Sequence[Word]) -> list[int]:
    """How many parentheses are open at each token; those of a pair count as outside."""
    depths, depth = [], 0
    for token in tokens:
        depth -= token.text == ")"
        depths.append(depth)
        depth += token.text == "("
    return depths


def _closing(tokens: Sequence[Word], depths: list[int], opening: int) -> int:
    """Position of the parenthesis that closes one; the end if none does."""
    pairs = range(opening + 1, len(tokens))
    return next((i for i in pairs if tokens[i].text == ")" and depths[i] == depths[opening]), len(tokens))


def indented(sql: str) -> str:
    return "\n".join("    " + line for line in sql.strip().splitlines())


def pointed(sql: str, position: str | int | None) -> str:
    """The SQL with a caret under a place in it, in bytes."""
    if position is None:
        return indented(sql)
    at = len(sql.encode()[: int(position)].decode(errors="ignore"))
    line = sql.count("\n", 0, at)
    column = at - (sql.rfind("\n", 0, at) + 1)
    lines = ["    " + text for text in sql.splitlines()]
    lines.insert(line + 1, "    " + " " * column + "^")
    return "\n".join(lines)
