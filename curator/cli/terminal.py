"""What the command line shows: tables, results as JSON, warnings, progress bars."""

import json
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from curator.errors import CuratorWarning

out, err = Console(), Console(stderr=True)

LONG = 32  # characters; a column with longer cells may wrap


def show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, CuratorWarning):
        err.print(f"warning: {message}", style="yellow", markup=False, highlight=False, soft_wrap=True)


class Bars:
    """Progress bars on standard error, one for each thing under way."""

    def __init__(self, *, quiet: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
            disable=quiet,
        )
        self._tasks: dict[str, TaskID] = {}
        self._quiet = quiet
        self._last = ""

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` (0: not known) is done; without a terminal, one line for each new thing."""
        if not err.is_terminal:
            if what != self._last and not self._quiet:
                self._last = what
                err.print(f"{what} ({done:,} of {total:,} done)" if total else what, highlight=False)
            return
        kind = "training" if what.startswith("training") else what
        if kind not in self._tasks:
            self._tasks[kind] = self._progress.add_task(what, total=total or None, rate="")
        task = self._progress.tasks[self._tasks[kind]]
        speed = f"{task.speed:,.1f}/s" if task.speed else ""
        self._progress.update(self._tasks[kind], description=what, completed=done, total=total or None, rate=speed)


def print_rows(frame: pl.DataFrame, report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(frame, report)
    else:
        print_table(frame)


def print_json(frame: pl.DataFrame, report: dict[str, Any]) -> None:
    print(json.dumps({"rows": frame.to_dicts(), "report": report}, ensure_ascii=False, default=str))  # noqa: T201  the result


def print_report(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"rows": [], "report": report}, ensure_ascii=False, default=str))  # noqa: T201  the result
        return
    for name, value in report.items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:,.2f}" if isinstance(value, float) else str(value)
        out.print(f"{name:>22}  {shown}", markup=False, highlight=False)


def print_table(frame: pl.DataFrame) -> None:
    """A frame for a terminal: numbers to the right, short columns whole, long texts wrapped in what is left."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    cells = [[_cell(value) for value in column] for column in frame.iter_columns()]
    for (name, kind), column in zip(frame.schema.items(), cells, strict=True):
        long = max(map(len, column), default=0) > LONG
        table.add_column(name, justify="right" if kind.is_numeric() else "left", no_wrap=not long, overflow="fold")
    for row in zip(*cells, strict=True):
        table.add_row(*row)
    out.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = " ".join(str(value).split()).replace("[", r"\[")
    return text if len(text) <= 160 else text[:159] + "…"


def print_verdict(rows: list[dict[str, Any]], verdict: str, path: Path) -> None:
    """The verdict table of a race, its one sentence, and where the report is. Scores and differences in points."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("arm", "documents", "score", "95 % interval", "mix minus arm"):
        table.add_column(name, justify="left" if name == "arm" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["arm"],
            "" if row["documents"] is None else f"{row['documents']:,.0f}",
            _points(row["mean"]),
            _range(row["low"], row["high"]),
            " ".join(
                filter(
                    None, [_points(row["difference"], "+"), _range(row["difference_low"], row["difference_high"], "+")]
                )
            ),
        )
    out.print(table)
    out.print()
    out.print(verdict, style="bold", markup=False, highlight=False)
    out.print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)


def _points(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.1f}"


def _range(low: float | None, high: float | None, sign: str = "") -> str:
    return "" if low is None or high is None else f"({low:{sign}.1f} to {high:{sign}.1f})"
