"""The sample data: small hand-written corpora with known flaws, and the docstrings of whatever is installed.

``corpora()`` holds a task (sentiment of messages to a bank's support desk), its test set and a pool of eight other
kinds of text; README.md beside it lists what was planted in them. ``docstrings()`` reads English text that any machine
with Python already has, for the times when a thousand documents are too few.
"""

import ast
import hashlib
import inspect
import logging
import warnings
from collections.abc import Iterator
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import polars as pl

from curator.errors import UsageError

log = logging.getLogger(__name__)

MAX_CHARACTERS = 1500  # of a docstring; whole paragraphs as long as they fit
MIN_WORDS = 5


class _File(NamedTuple):
    name: str  # relative to site-packages, with forward slashes
    path: Path
    package: str


class _Docstring(NamedTuple):
    name: str
    line: int
    text: str
    package: str


def corpora() -> Path:
    """The directory of the sample corpora: one ``<name>.jsonl`` of ``id, text, label`` each, and ``planted.jsonl``."""
    return _here() / "corpora"


def recipe() -> Path:
    """The recipe which curates the sample corpora."""
    return _here() / "demo.toml"


def docstrings(limit: int | None = None, seed: int = 0) -> pl.DataFrame:
    """The docstrings of modules, classes and functions of the installed packages, one row each.

    Columns ``id`` (``path/in/site-packages.py:line``), ``text`` (the first paragraphs, at most 1,500 characters) and
    ``source`` (the package), ordered by path and line. Docstrings under five words are left out, exact repeats are
    kept once, and files that cannot be read or parsed are skipped; a log line counts them. The same packages give the
    same rows.

    With a ``limit``, files are drawn by hash of their name and ``seed`` until they hold that many docstrings, and the
    surplus is left out by hash of the id. Other files are not read: thousands take seconds, everything takes minutes.
    It is thus a sample of files, not of single docstrings. Fewer rows come back when there are no more.

    Raises UsageError for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}: give at least 1, or None for every docstring")
    sources = _installed_files()
    if limit is not None:
        sources.sort(key=lambda source: _draw(source.name, seed))
    found: dict[str, _Docstring] = {}  # by text, so a repeat is kept once
    parsed = skipped = 0
    for source in sources:
        if limit is not None and len(found) >= limit:
            break
        try:
            tree = _parse(source.path)
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
            log.debug("skipped %s: %s", source.name, error)
            skipped += 1
            continue
        parsed += 1
        for line, text in _texts(tree.body):
            found.setdefault(text, _Docstring(source.name, line, text, source.package))
    rows = list(found.values())
    if limit is not None:
        rows = sorted(rows, key=lambda row: _draw(_id(row), seed))[:limit]
    rows.sort()
    log.info("%d docstrings from %d files; %d files could not be parsed and were skipped", len(rows), parsed, skipped)
    columns = {"id": [_id(r) for r in rows], "text": [r.text for r in rows], "source": [r.package for r in rows]}
    return pl.DataFrame(columns, schema={"id": pl.String, "text": pl.String, "source": pl.String})


def _here() -> Path:
    return Path(str(files(__name__)))


def _installed_files() -> list[_File]:
    """Every ``.py`` file that an installed distribution lists as its own, by path; scripts outside it are left out."""
    listed: dict[str, _File] = {}
    for distribution in metadata.distributions():
        package = distribution.name
        for file in distribution.files or []:
            if file.suffix == ".py" and ".." not in file.parts:
                # the first on sys.path wins, as it does for import
                listed.setdefault(file.as_posix(), _File(file.as_posix(), Path(str(file.locate())), package))
    return sorted(listed.values())


def _parse(path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's code are not our user's concern
        return ast.parse(path.read_bytes())


def _texts(body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    """Line and text of the docstring of this body and of the classes and functions in it, however nested."""
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        text = _opening(first.value.value)
        if len(text.split()) >= MIN_WORDS:
            yield first.lineno, text
    for definition in _definitions(body):
        yield from _texts(definition.body)


def _definitions(body: list[ast.stmt]) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """The classes and functions of a body, also those under an ``if``, ``try``, ``with``, loop or ``match``.

    Only statements are walked, never expressions: several times faster than ``ast.walk``.
    """
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            continue
        yield from _definitions(getattr(node, "body", []))
        for branch in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            yield from _definitions(branch.body)
        yield from _definitions(getattr(node, "orelse", []))
        yield from _definitions(getattr(node, "finalbody", []))


def _opening(docstring: str) -> str:
    """The first paragraphs that fit; a first paragraph which is too long by itself is cut between words."""
    # escapes such as "\ud800" are legal in Python and not in UTF-8
    text = inspect.cleandoc(docstring).encode("utf8", "replace").decode("utf8").strip()
    if len(text) <= MAX_CHARACTERS:
        return text
    end = text.rfind("\n\n", 0, MAX_CHARACTERS + 2)
    if end < 0:
        end = max(text.rfind(" ", 0, MAX_CHARACTERS + 1), text.rfind("\n", 0, MAX_CHARACTERS + 1))
    return text[: end if end > 0 else MAX_CHARACTERS].rstrip()


def _id(row: _Docstring) -> str:
    return f"{row.name}:{row.line}"


def _draw(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
