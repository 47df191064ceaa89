"""What the command line shows: tables, results as JSON, warnings, progress bars."""

import json
import math
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from rich.cells import cell_len
from rich.console import Console, ConsoleRenderable, RenderHook
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from curator.cli.rows import json_line
from curator.errors import CuratorWarning

out, err = Console(emoji=False), Console(stderr=True, emoji=False)  # ``corpus:a:`` is no picture

LONG = 32  # characters; a column with longer cells may wrap
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # a text must not steer the terminal
FEW = 8  # numbers; a list of more, such as a vector, is shown by its first


def show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, CuratorWarning):
        err.print(f"warning: {message}", style="yellow", markup=False, highlight=False, soft_wrap=True)


class Bars(RenderHook):
    """Progress bars on standard error, one for each thing under way; they make way for what is printed as a result."""

    def __init__(self, *, quiet: bool) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._tokens: dict[str, TaskID] = {}
        self._quiet = quiet
        self._last = ""

    def __enter__(self) -> "Bars":
        out.push_render_hook(self)
        return self

    def __exit__(self, *_: object) -> None:
        out.pop_render_hook()
        self.clear()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Before anything is printed: bars that are drawn anew would take lines of it with them."""
        self.clear()
        return renderables

    def clear(self) -> None:
        """Take the bars off the screen; the next step draws new ones."""
        if self._progress is not None:
            self._progress.stop()
        self._progress, self._tasks, self._tokens = None, {}, {}

    def step(self, what: str, done: int, total: int, tokens: int = 0) -> None:
        """Show that ``done`` of ``total`` (0: not known) is done; without a terminal, one line for each new thing.

        Of ``tokens``, which are those read until now, the rate is shown.
        """
        if self._quiet:
            return
        if not err.is_terminal:
            if what != self._last:
                self._last = what
                err.print(f"{what} ({done:,} of {total:,} done)" if total else what, highlight=False)
            return
        if self._progress is None:
            self._progress = _progress()
            self._progress.start()
        kind = "training" if what.startswith("training") else what
        if kind not in self._tasks:
            self._tasks[kind] = self._progress.add_task(what, total=total or None, rate="")
            self._tokens[kind] = self._progress.add_task(what, total=None, visible=False)  # for its speed only
        bar, read = self._tasks[kind], self._tokens[kind]
        self._progress.update(bar, description=what, completed=done, total=total or None)
        self._progress.update(read, completed=tokens)
        self._progress.update(bar, rate=_rate(*(self._progress.tasks[task].speed for task in (bar, read))))


def _rate(things: float | None, tokens: float | None) -> str:
    """Speeds a second, as far as they are known."""
    return ", ".join([*([f"{things:,.1f}/s"] if things else []), *([f"{tokens:,.0f} tokens/s"] if tokens else [])])


def _progress() -> Progress:
    whole = Column(no_wrap=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),  # the only one that gives way on a narrow screen
        MofNCompleteColumn(table_column=whole),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(table_column=whole),
        console=err,
        transient=True,
        redirect_stdout=False,  # else results that go to a file are shown on the terminal instead
    )


def write_out(text: str) -> None:
    """Write a text as it is to standard output."""
    out.print(end="")  # takes the bars off the screen
    out.file.write(text)
    out.file.flush()


def print_rows(frame: pl.DataFrame, report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(frame, report)
    else:
        print_table(frame)


def print_json(frame: pl.DataFrame, report: dict[str, Any]) -> None:
    write_out(json_line(frame, report))


def print_report(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(pl.DataFrame(), report)
        return
    for name, value in report.items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:,.2f}" if isinstance(value, float) else str(value)
        out.print(f"{name:>22}  {shown}", markup=False, highlight=False)


def print_table(frame: pl.DataFrame, *, null: str = "") -> None:
    """A frame for a terminal: numbers to the right, short columns whole, long texts wrapped in what is left.

    Where even that does not fit, each row is shown with a line for each column. Away from a terminal nothing is
    wrapped.
    """
    cells = [[_cell(value, null) for value in column.to_list()] for column in frame.iter_columns()]
    widths = [max(map(cell_len, [name, *column])) for name, column in zip(frame.columns, cells, strict=True)]
    needed = sum(min(width, LONG) for width in widths) + 2 * len(widths)
    if out.is_terminal and needed > out.width:
        _print_records(frame.columns, cells)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for (name, kind), width in zip(frame.schema.items(), widths, strict=True):
        table.add_column(
            Text(name), justify="right" if kind.is_numeric() else "left", no_wrap=width <= LONG, overflow="fold"
        )
    for row in zip(*cells, strict=True):
        table.add_row(*map(Text, row))
    if out.is_terminal:
        out.print(table)
    else:
        Console(file=out.file, width=sum(widths) + 2 * len(widths)).print(table)


def _print_records(names: list[str], cells: list[list[str]]) -> None:
    margin = max(map(cell_len, names))
    for number, row in enumerate(zip(*cells, strict=True), 1):
        out.print(f"row {number:,}", style="bold")
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(width=margin, no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        for name, cell in zip(names, row, strict=True):
            table.add_row(Text(name), Text(cell))
        out.print(table)


def _cell(value: Any, null: str) -> str:
    if value is None:
        return null
    if isinstance(value, float):
        return (
            f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1e12 or not math.isfinite(value) else f"{value:.3g}"
        )
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Decimal):
        return f"{value:,f}"
    if isinstance(value, list) and len(value) > FEW and all(isinstance(item, int | float) for item in value):
        return f"[{', '.join(_cell(item, null) for item in value[:3])}, … {len(value):,} numbers]"
    if isinstance(value, list):
        return f"[{', '.join(_cell(item, 'NULL') for item in value)}]"
    if isinstance(value, dict):
        return _cell(f"{{{', '.join(f'{name}: {_cell(own, null)}' for name, own in value.items())}}}", null)
    text = CONTROL.sub("�", " ".join(str(value).split()))
    return text if len(text) <= 160 else text[:159] + "…"


def print_explained(frame: pl.DataFrame) -> None:
    """Predictions with documents of the model's mix: each document, and under it a line for each of its neighbours."""
    for row in frame.iter_rows(named=True):
        said = [name for name in frame.columns if name not in ("id", "probabilities", "text", "neighbours")]
        told = "  ".join(_cell(row[name], "") for name in (*said, "id"))
        out.print(Text(told, "bold"), Text(f"\n  {_cell(row['text'], '')}"), sep="", soft_wrap=not out.is_terminal)
        near = [(one["label"], f"{one['corpus']}:{one['id']}") for one in row["neighbours"]]
        columns = [_padded([_cell(cell, "") for cell in cells]) for cells in zip(*near, strict=True)]
        for one, *cells in zip(row["neighbours"], *columns, strict=True):
            line = Text("  ".join([f"    {one['similarity']:.3f}", *cells, _cell(one["text"], "")]))
            if out.is_terminal:
                line.truncate(out.width, overflow="ellipsis")
            out.print(line, soft_wrap=True)


def _padded(cells: list[str]) -> list[str]:
    """Cells of one width."""
    width = max(map(cell_len, cells))
    return [cell + " " * (width - cell_len(cell)) for cell in cells]


def print_side_by_side(
    rows: list[dict[str, Any]], settings: list[dict[str, Any]], told: list[str], path: Path | None
) -> None:  # fmt: skip
    """Two races: what differs in their recipes, a row for each arm of both, and what was found. Scores in points."""
    if settings:
        differing = Table("setting", "first", "second", box=None, header_style="bold", pad_edge=False)
        for one in settings:
            differing.add_row(one["name"], *(Text(_short(one[side])) for side in ("first", "second")))
        out.print(differing)
        out.print()
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("arm", "first", "second", "second − first", "p", "permuted", "the second is"):
        table.add_column(name, justify="left" if name in ("arm", "the second is") else "right", no_wrap=True)
    for row in rows:
        difference = (_points(row["difference"], "+"), _range(row["low"], row["high"], "+"))
        chances = ("" if row[name] is None else f"{row[name]:.3f}" for name in ("p", "permuted"))
        table.add_row(
            row["arm"], _points(row["first"]), _points(row["second"]), " ".join(filter(None, difference)), *chances,
            row["verdict"],
        )  # fmt: skip
    out.print(table)
    out.print()
    for line in told:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    if path:
        out.print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)


def _short(value: Any) -> str:
    text = "–" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"


def print_verdict(
    rows: list[dict[str, Any]], verdict: str, path: Path, tasks: list[dict[str, Any]] | None = None
) -> None:  # fmt: skip
    """The verdict table of a race, its one sentence, and where the report is. Scores and differences in points.

    Of a race with a replay, the table of its ``tasks`` too.
    """
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
    if tasks:
        out.print()
        _print_tasks(tasks)
    out.print()
    out.print(verdict, style="bold", markup=False, highlight=False)
    out.print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)


def _print_tasks(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("task", "arm", "before", "after", "95 % interval", "after minus before", "by replay"):
        table.add_column(name, justify="left" if name in ("task", "arm") else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row['task']} ({'new' if row['new'] else 'earlier'})",
            row["arm"],
            _points(row["before"]),
            _points(row["mean"]),
            _range(row["low"], row["high"]),
            *(
                " ".join(filter(None, [_points(row[one], "+"), _range(row[f"{one}_low"], row[f"{one}_high"], "+")]))
                for one in ("change", "worth")
            ),
        )
    out.print(table)


def _points(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.1f}"


def _range(low: float | None, high: float | None, sign: str = "") -> str:
    return "" if low is None or high is None else f"({low:{sign}.1f} to {high:{sign}.1f})"
