"""The command line: each command a thin call into the front door.

Exit codes: 0 done, 1 failed, 2 asked for something that cannot be, 3 done with rejects under --strict.
"""

import sys
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from curator.cli import assessing, corpora, labelling, mixes, races, sql, upkeep  # noqa: F401  # their commands, in the order of the help
from curator.cli.app import Json, Settings, app, open_workspace
from curator.cli.terminal import err, out, print_json, print_report, print_table, print_verdict
from curator.errors import CuratorError, UsageError


@app.command()
def stages(
    names: Annotated[list[str] | None, typer.Argument(help="Stages, by name or as .sql files, to tell all of.")] = None,
    as_json: Json = False,
) -> None:
    """The stages that come with curator, and the parameters of those named."""
    from curator.stages import Stage, shipped

    found = [Stage.load(name, Path()) for name in names or shipped()]
    if as_json:
        print_json(pl.DataFrame([stage.told() for stage in found]), {"stages": len(found)})
    elif not names:
        print_table(pl.DataFrame({"stage": [s.name for s in found], "what it does": [s.summary for s in found]}))
        out.print(f"curator stages {found[0].name}: all of it, with its parameters", highlight=False)
    for stage in found if names and not as_json else ():
        out.print(f"{stage.name}: {stage.description}", markup=False, highlight=False)
        print_table(pl.DataFrame(stage.told()["parameters"]))
        if rate := stage.rate:
            of = f"random pairs of {rate.left} and {rate.right}"
            out.print(f"fpr in the place of {rate.parameter}: the share of {of} that reach it", highlight=False)


@app.command()
def doctor(as_json: Json = False) -> None:
    """What is installed, which device and precision are used, and why."""
    from curator import neighbours
    from curator.hardware import decide
    from curator.mix.lock import versions

    hardware, (device, reason) = decide(), neighbours.device()
    report = {
        **versions(),
        "models": f"{hardware.device}: {hardware.device_reason}",
        "precision": f"{hardware.precision}: {hardware.precision_reason}",
        "neighbours": f"{device}: {reason}",
    }
    print_report(report, as_json)


@app.command()
def demo(
    directory: Annotated[Path, typer.Argument(help="Where the demo's workspace goes.")] = Path("demo-work"),
) -> None:
    """Run the main job on the sample corpora: curate, fine-tune, race, report."""
    from curator.demo import docstrings, recipe

    Settings.workspace = directory
    with open_workspace() as ws:
        if not Settings.quiet:
            err.print("Sample task: is a message to a bank's support desk positive, neutral or negative?")
        ws.add("docstrings", docstrings(limit=2000))
        ws.embed("docstrings")
        finished = ws.race(recipe(), command="curator demo")
        print_verdict(finished.table(), finished.verdict, finished.report())


def main() -> None:
    """The console entry point: an error of curator's becomes one message and an exit code."""
    try:
        app()
    except UsageError as error:
        _fail(error, 2)
    except CuratorError as error:
        _fail(error, 1)
    except OSError as error:  # a full disk, say, or a workspace that is gone
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}; once that is mended, the same command goes on where it was", 1)


def _fail(error: CuratorError | str, code: int) -> None:
    err.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)
