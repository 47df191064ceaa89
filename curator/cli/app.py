"""The application that the commands belong to, the options before the command, and the workspace these name."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.logging import RichHandler

from curator import __version__
from curator.cli.terminal import Bars, err, out, show_warning
from curator.errors import CuratorWarning, UsageError
from curator.recipe import Engine
from curator.workspace import Workspace

app = typer.Typer(
    help="Say in SQL which text is worth training on, and find out whether it was.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Data = Annotated[
    Path | None, typer.Option("--data", envvar="CURATOR_DATA", help="Where a recipe's relative paths start.")
]
Json = Annotated[bool, typer.Option("--json", help="Print {rows, report} as JSON.")]


class Settings:
    """What the options before the command said."""

    workspace: str | Path = ".curator"
    quiet = False
    sandbox = False
    engine: Engine | None = None


def _version(asked: bool) -> None:
    if asked:
        out.print(f"curator {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    workspace: Annotated[
        str,
        typer.Option("--workspace", "-w", envvar="CURATOR_WORKSPACE", help="The workspace: a directory, or a URL."),
    ] = ".curator",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars and no notices.")] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="For SQL from someone else: it reaches no file and no network.")
    ] = False,
    engine: Annotated[
        str | None, typer.Option(help="Where texts are encoded and vectors compared: local, or ray for its workers.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster; without one, workers start here.")] = None,
    workers: Annotated[int | None, typer.Option(help="Of Ray; without it, as many as there is room for.")] = None,
    gpus: Annotated[float | None, typer.Option(help="Of each worker of Ray, such as 0.5.")] = None,
    _: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)] = False,
) -> None:
    given = {"address": address, "workers": workers, "gpus": gpus}
    about = {name: value for name, value in given.items() if value is not None}
    Settings.engine = Engine.of(engine or "ray", **about) if engine or about else None
    Settings.workspace, Settings.quiet, Settings.sandbox = workspace, quiet, sandbox


@contextmanager
def open_workspace() -> Iterator[Workspace]:
    """The workspace of the options, with progress bars and warnings shown unless --quiet."""
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=err, show_path=False)]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if Settings.quiet else "always", CuratorWarning)
        warnings.showwarning = show_warning
        try:
            with Bars(quiet=Settings.quiet) as bars:
                progress = None if Settings.quiet else bars.step
                ws = Workspace(Settings.workspace, engine=Settings.engine, progress=progress, sandbox=Settings.sandbox)
                yield ws
                ws.push()  # such as a report that a command has written
        except KeyboardInterrupt:
            err.print("stopped; the same command goes on where it was")
            raise typer.Exit(130) from None


def parameter(item: str) -> tuple[str, Any]:
    """``name=value``, with numbers and booleans as themselves. Raises UsageError without an equals sign."""
    name, equals, value = item.partition("=")
    if not equals:
        raise UsageError(f"--set {item!r}: write name=value")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
