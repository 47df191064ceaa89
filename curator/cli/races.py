"""Commands that train: a model on a mix, its predictions, a search, a race."""

import json
import sys
import warnings
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from curator.cli.app import Data, Json, app, open_workspace
from curator.cli.terminal import (
    out,
    print_explained,
    print_json,
    print_report,
    print_rows,
    print_side_by_side,
    print_table,
    print_verdict,
    write_out,
)  # fmt: skip
from curator.errors import CuratorWarning, UsageError
from curator.recipe import Recipe
from curator.results import Curves
from curator.workspace import Workspace


@app.command()
def train(
    recipe: Path,
    data: Data = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to save the model.")] = None,
    as_json: Json = False,
) -> None:
    """Fine-tune on the mix of a recipe and save the model."""
    with open_workspace() as ws:
        print_report(ws.train(recipe, data=data, output=output), as_json)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model's directory, or its name in the workspace.")],
    file: Annotated[
        Path | None, typer.Argument(help="A file of documents; without one, lines of standard input.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Column with the text.")] = None,
    explain: Annotated[
        int | None, typer.Option(metavar="K", help="Show the K nearest documents of the mix it was trained on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Label and probability, or labels, or a value, for each document of a file or each line of standard input."""
    with open_workspace() as ws:
        origin = file if file else pl.DataFrame({"text": _lines()}, {"text": pl.String})
        rows = ws.predict(model, origin, text=text if file else None, explain=explain)
        if explain and not as_json:
            print_explained(rows)
        else:
            print_rows(rows, ws.last_report, as_json)


def _lines() -> list[str]:
    """The lines of standard input that hold something; a warning counts those that are no UTF-8."""
    lines, bad = [], list[int]()
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            lines.append(raw.decode("utf8").rstrip("\r\n"))
        except UnicodeDecodeError:
            bad.append(number)
    if bad:
        told = (
            f"{len(bad):,} lines of standard input are no UTF-8 and were set aside, the first of them line {bad[0]:,}"
        )
        warnings.warn(told, CuratorWarning, stacklevel=2)
    return [line for line in lines if line.strip()]


@app.command("export-model")
def export_model(
    model: Annotated[Path, typer.Argument(help="A model's directory, or its name in the workspace.")],
    directory: Annotated[Path, typer.Argument(help="Where model.onnx, the tokenizer and labels.json go.")],
    as_json: Json = False,
) -> None:
    """Write a model as ONNX, checked against the model itself by onnxruntime."""
    with open_workspace() as ws:
        print_report(ws.export_model(model, directory), as_json)


@app.command()
def tune(
    recipe: Path,
    data: Data = None,
    trials: Annotated[int | None, typer.Option(help="Of each arm; else as the recipe says, or 20.")] = None,
    arm: Annotated[list[str] | None, typer.Option(help="An arm of a race; may be given again. Else the mix.")] = None,
    write: Annotated[
        Path | None,
        typer.Option(help="A recipe beside this one, with the best values of the mix, else of the first arm."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Search settings of training and of stages on dev; the test set stays out of it."""
    with open_workspace() as ws:
        command = f"curator tune {recipe.name}" + (" --data DIR" if data else "")
        command += (f" --trials {trials}" if trials else "") + "".join(f" --arm {name}" for name in arm or ())
        found = ws.tune(recipe, data=data, trials=trials, arms=arm or ("mix",), command=command)
        best = {name: trial and trial["values"] for name in found.arms for trial in [found.best(name)]}
        written = found.write(recipe, write) if write else None
        if as_json:
            report = {"dev_documents": found.dev_documents, "best": best, "told": found.told()}
            print_json(found.frame(), report | {"written": written and str(written)})
            return
        print_table(found.frame())
        for line in found.told():
            out.print(line, markup=False, highlight=False, soft_wrap=True)
        for name in (name for name, values in best.items() if values is not None):
            out.print(f"\n# the best of {name}\n{found.toml(name)}", markup=False, highlight=False, soft_wrap=True)
        if written:
            out.print(f"\nwritten: {written}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def race(
    recipe: Annotated[str | None, typer.Argument(help="A recipe's .toml, or the name of a finished race.")] = None,
    data: Data = None,
    seeds: Annotated[int | None, typer.Option(help="Fewer seeds than the recipe's make it a smoke test.")] = None,
    probe: Annotated[bool, typer.Option("--probe", help="Seconds on the vectors in the place of fine-tuning.")] = False,
    report: Annotated[Path | None, typer.Option(help="Where to write the report (.html or .md).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate time, memory and disk.")] = False,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Two finished races side by side: names, or paths of record.json."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="With --compare: where to write the two side by side.")] = None,
    as_json: Json = False,
) -> None:
    """Race a mix against baselines at equal budget, and report whether it was worth it."""
    if (recipe is None) == (compare is None):
        raise UsageError("curator race takes a recipe (or a finished race), or --compare A B, and not both")
    if html and not compare:
        raise UsageError("--html is where --compare is written; the report of a race goes where --report says")
    with open_workspace() as ws:
        if compare:
            _compare(ws, compare, html, as_json)
            return
        assert recipe is not None
        if dry_run:
            asked = Recipe.load(recipe).by_probe() if probe else recipe
            print_report(ws.estimate_recipe(asked, data=data, race=True), as_json)
            return
        command = (
            f"curator race {Path(recipe).name}"
            + (" --data DIR" if data else "")
            + (f" --seeds {seeds}" if seeds else "")
            + (" --probe" if probe else "")
        )
        finished = ws.race(recipe, data=data, seeds=seeds, probe=probe, command=command)
        path = finished.report(report)
        if isinstance(finished, Curves) and not as_json:
            for name, one in finished.points:
                out.print(f"\n{name}", style="bold", markup=False, highlight=False)
                print_verdict(one.table(), one.verdict, one.report(), one.tasks())
            out.print(f"\nlearning curves: {path}", markup=False, highlight=False, soft_wrap=True)
            return
        if as_json:
            tasks = finished.tasks()
            report_ = {"verdict": finished.verdict, "path": str(path), **({"tasks": tasks} if tasks else {})}
            write_out(json.dumps({"rows": finished.table(), "report": report_}) + "\n")
            return
        print_verdict(finished.table(), finished.verdict, path, finished.tasks())


def _compare(ws: Workspace, races: tuple[str, str], html: Path | None, as_json: bool) -> None:
    found = ws.compare(*races)
    path = found.report(html) if html else None
    if as_json:
        report = {"told": found.told(), "settings": found.settings(), "path": path and str(path)}
        write_out(json.dumps({"rows": found.table(), "report": report}) + "\n")
        return
    print_side_by_side(found.table(), found.settings(), found.told(), path)
