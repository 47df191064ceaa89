"""Statements run as the options say: what the sql command and its prompt share."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from curator.errors import UsageError
from curator.workspace import Workspace

Mode = Literal["table", "json", "csv"]
MODES: tuple[Mode, ...] = ("table", "json", "csv")


@dataclass(frozen=True)
class Options:
    """How statements are run and shown."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    mode: Mode = "table"
    output: Path | None = None
    explain: bool = False
    analyze: bool = False
    write: bool = False


@dataclass(frozen=True)
class Result:
    """What a statement returned, and how long it took."""

    frame: pl.DataFrame
    report: dict[str, Any]
    seconds: float
    acknowledges: bool = False  # the frame only says that something was done, and to how many rows

    @property
    def rows(self) -> int | None:
        """How many rows were returned, or written; None where there is no such number."""
        if not self.acknowledges:
            return len(self.frame)
        return int(self.frame["Count"][0]) if self.frame.columns == ["Count"] and len(self.frame) else None


@contextmanager
def stoppable() -> Iterator[None]:
    """Make Ctrl-C a KeyboardInterrupt also while DuckDB runs, whose client makes another error of it."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from None


def run(ws: Workspace, statement: str, options: Options) -> Result:
    """Run one statement, with those of the parameters that it names."""
    started = time.perf_counter()
    method = ws.execute if options.write else ws.sql
    frame = method(statement, **_needed(ws, statement, options))
    acknowledges = frame.columns in ([], ["Count"], ["Success"]) and not ws.session.is_query(statement)
    return Result(frame, ws.last_report, time.perf_counter() - started, acknowledges)


def read_text(path: Path) -> str:
    """The text of a file of statements. Raises UsageError."""
    try:
        return path.read_text("utf8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start:,}") from error


def explained(ws: Workspace, statement: str, options: Options) -> str:
    """What FAISS and DuckDB would do in a statement; with ``analyze`` also what they did."""
    return ws.explain(statement, analyze=options.analyze, **_needed(ws, statement, options))


def unused(ws: Workspace, statements: Sequence[str], options: Options) -> list[str]:
    """Names of the parameters that no statement uses."""
    used = {name for statement in statements for name in ws.session.parameter_names(statement)}
    return sorted(options.parameters.keys() - used)


def notes(result: Result, *, timed: bool = True) -> Iterator[str]:
    """How many rows there are, how long they took, and how many NEAREST joins went to FAISS."""
    yield "done" if result.rows is None else counted(result.rows, "row")
    if timed:
        yield f"{result.seconds:.3f} s" if result.seconds < 10 else f"{result.seconds:,.1f} s"
    joins = result.report.get("joins", [])
    if joins:
        by_faiss = sum(join["engine"] == "faiss" for join in joins)
        yield f"{by_faiss} of {len(joins)} NEAREST joins by FAISS"


def counted(number: int, what: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def plan_of(frame: pl.DataFrame) -> str | None:
    """The plan that EXPLAIN returned, which is drawn in lines; None for other results."""
    if frame.columns != ["explain_key", "explain_value"]:
        return None
    return "\n".join(str(value).rstrip("\n") for value in frame["explain_value"]) + "\n"


def _needed(ws: Workspace, statement: str, options: Options) -> dict[str, Any]:
    names = ws.session.parameter_names(statement)
    return {name: value for name, value in options.parameters.items() if name in names}
