"""What can come next in a SQL text that is being typed: columns, corpora, functions, keywords."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from curator.catalogue import Corpus
from curator.functions import FUNCTIONS
from curator.nearest import FOLDED
from curator.session import Session
from curator.session.text import Word, words
from curator.workspace import Workspace

# Not reserved in DuckDB, and yet what a query is made of.
KEYWORDS = (
    "APPROX", "BY", "COPY", "DESCRIBE", "DISTANCE", "EXACT", "EXPLAIN", "FILTER", "INSERT", "MACRO", "NEAREST", "OVER",
    "PARTITION", "RECURSIVE", "REPLACE", "SIMILARITY", "SUMMARIZE", "TEMP", "TO", "VALUES", "VIEW",
)  # fmt: skip
MIXES, REJECTS = ("ledger", "mix"), "rejects"  # the table functions that read what the workspace has stored
TABLE_FUNCTIONS = (*(function.__name__ for function in FUNCTIONS), *MIXES, REJECTS)
BEFORE_RELATION = frozenset({"FROM", "JOIN", "INTO", "UPDATE", "TABLE", "DESCRIBE", "SUMMARIZE"})


@dataclass(frozen=True)
class Vocabulary:
    """The names there are to complete with."""

    keywords: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    table_functions: tuple[str, ...] = ()
    relations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # columns by name
    mixes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One way to go on: ``text`` takes the place of the last ``length`` characters."""

    text: str
    length: int
    kind: str


def vocabulary(ws: Workspace) -> Vocabulary:
    """The names of a workspace as it is now. Cheap: the texts of the corpora are not read."""
    corpora = {name: _columns_of(ws.catalogue.corpus(name)) for name in ws.catalogue.names()}
    return Vocabulary(
        keywords=_keywords(ws.session),
        functions=_functions(ws.session),
        table_functions=TABLE_FUNCTIONS,
        relations=made_here(ws) | corpora,
        mixes=tuple(ws.mixes()),
    )


def made_here(ws: Workspace) -> dict[str, tuple[str, ...]]:
    """The tables and views made in this session, with their columns."""
    rows = ws.session.fetch(
        "SELECT table_name, list(column_name ORDER BY column_index) AS columns FROM duckdb_columns() "
        "WHERE NOT internal GROUP BY table_name ORDER BY table_name",
        {},
    ).to_pylist()
    return {row["table_name"]: tuple(row["columns"]) for row in rows}


def candidates(known: Vocabulary, before: str, after: str = "") -> Iterator[Candidate]:
    """What can stand at the cursor, the likeliest first, given the text before and after it."""
    found, later = _statement(before, after)
    last = found[-1] if found else None
    if last and last.text.startswith("'") and not _closed(last.text):
        yield from _matching(_named(known, found), last.text[1:], "name", quoted=True)
        return
    if _in_comment(before, last):
        return
    prefix = str(re.findall(r"\w*$", before)[0])
    scope = _scope([*(found[:-1] if prefix else found), *later], known)
    qualified = re.search(r"(\w+|\"[^\"]+\")\.\w*$", before)
    if qualified:
        yield from _behind_a_dot(known, scope, qualified[1].strip('"').lower(), prefix)
        return
    previous = found[-2:-1] if prefix else found[-1:]
    if previous and previous[0].upper in BEFORE_RELATION:
        yield from _matching(known.relations, prefix, "relation")
        yield from _matching([f"{name}(" for name in known.table_functions], prefix, "table function")
    else:
        yield from _expression(known, scope, prefix)


def _behind_a_dot(known: Vocabulary, scope: Mapping[str, str], alias: str, prefix: str) -> Iterator[Candidate]:
    """The columns of what an alias stands for. Before FROM is written it may be anything; after it, a subquery."""
    names = scope or {name.lower(): name for name in known.relations}
    if alias in names:
        relation = names[alias]
        yield from _matching(known.relations[relation], prefix, f"column of {relation}", known.keywords)
    elif not scope:
        yield from _matching(_columns(known, known.relations), prefix, "column", known.keywords)


def _expression(known: Vocabulary, scope: Mapping[str, str], prefix: str) -> Iterator[Candidate]:
    """What can stand where a value, or the next clause, is expected."""
    relations = dict.fromkeys(scope.values()) or known.relations
    yield from _matching(_columns(known, relations), prefix, "column", known.keywords)
    yield from _matching(scope, prefix, "alias")
    keywords = [word.lower() if prefix.islower() else word for word in known.keywords]
    yield from _matching(keywords, prefix, "keyword")
    if prefix:
        yield from _matching([f"{name}(" for name in known.functions], prefix, "function")


def _matching(
    names: Iterable[str], prefix: str, kind: str, reserved: Collection[str] = (), *, quoted: bool = False
) -> Iterator[Candidate]:
    for name in names:
        if name.lower().startswith(prefix.lower()) and name != prefix:
            plain = quoted or re.fullmatch(r"[A-Za-z_]\w*\(?", name)
            odd = not plain or (name.upper() in reserved and name.upper() not in KEYWORDS)
            yield Candidate(f'"{name}"' if odd else name, len(prefix), kind)


def _statement(before: str, after: str) -> tuple[Sequence[Word], Sequence[Word]]:
    """The words of the statement around the cursor, before and after it."""
    found = words(before) if before.strip() else ()
    later = words(after) if after.strip() else ()
    start = max((number + 1 for number, word in enumerate(found) if word.text == ";"), default=0)
    end = next((number for number, word in enumerate(later) if word.text == ";"), len(later))
    return found[start:], later[:end]


def _scope(found: Sequence[Word], known: Vocabulary) -> dict[str, str]:
    """The relation behind each alias, or each name without one, of the FROM and JOIN clauses."""
    names = {name.lower(): name for name in known.relations}
    scope = {}
    for number, word in enumerate(found):
        relation = names.get(word.text.strip('"').lower())
        if relation is None or number == 0 or found[number - 1].upper not in ("FROM", "JOIN", ","):
            continue
        next_ = [other for other in found[number + 1 : number + 3] if other.upper != "AS"][:1]
        alias = next_[0].text.strip('"') if next_ and _is_alias(next_[0], known) else relation
        scope[alias.lower()] = relation
    return scope


def _is_alias(word: Word, known: Vocabulary) -> bool:
    bare = re.fullmatch(r"[A-Za-z_]\w*", word.text) and word.upper not in known.keywords
    return word.text.startswith('"') or bool(bare)


def _columns(known: Vocabulary, relations: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(column for relation in relations for column in known.relations[relation]))


def _named(known: Vocabulary, found: Sequence[Word]) -> Iterable[str]:
    """What a string can name, by the function that it is an argument of."""
    depth = 0
    for word, following in zip(reversed(found[:-1]), reversed(found), strict=False):
        depth += (following.text == ")") - (following.text == "(")
        if depth < 0:
            return known.mixes if word.text in MIXES else known.relations if word.text in known.table_functions else ()
    return ()


def _closed(string: str) -> bool:
    return len(string) > 1 and string.endswith("'")


def _in_comment(before: str, last: Word | None) -> bool:
    """Whether the cursor is behind ``--``; the words of a comment are left out of the others."""
    dashes = before.rfind("--")
    line = before[dashes:]
    return dashes >= 0 and "\n" not in line and (last is None or last.end <= len(before[:dashes].encode()))


def _columns_of(corpus: Corpus) -> tuple[str, ...]:
    """The columns of a corpus."""
    made = ("embedding",) if corpus.has_own_vectors else ("n_tokens", "embedding")
    return (*corpus.columns(), *made)


def _keywords(session: Session) -> tuple[str, ...]:
    rows = session.fetch(
        "SELECT upper(keyword_name) AS word FROM duckdb_keywords() "
        "WHERE keyword_category IN ('reserved', 'type_function')",
        {},
    )
    return tuple(dict.fromkeys((*KEYWORDS, *sorted(rows.column("word").to_pylist()))))


def _functions(session: Session) -> tuple[str, ...]:
    """Our macros, then DuckDB's functions."""
    rows = session.fetch(
        "SELECT function_name AS name FROM duckdb_functions() WHERE regexp_full_match(function_name, '[a-z]\\w*') "
        "AND function_type != 'pragma' GROUP BY function_name ORDER BY bool_and(internal), function_name",
        {},
    )
    return (*sorted(FOLDED), *rows.column("name").to_pylist())
