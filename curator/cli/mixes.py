"""Commands of mixes: make, explain, compare and take them elsewhere; and what the workspace holds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from curator.cli.app import Data, Json, app, open_workspace
from curator.cli.terminal import err, out, print_json, print_report, print_rows, print_table
from curator.errors import CuratorError, MissingExtraError
from curator.mix import Mix, told

PLACES = ("--text", "text", "--x", "x", "--y", "y", "--disable-projection")  # what embedding-atlas is told


@app.command()
def mix(
    recipe: Path,
    data: Data = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate time, memory and disk.")] = False,
    as_json: Json = False,
) -> None:
    """Build the mix of a recipe."""
    with open_workspace() as ws:
        if dry_run:
            print_report(ws.estimate_recipe(recipe, data=data), as_json)
            return
        _print_mix(ws.mix(recipe, data=data), as_json)


@app.command()
def combine(
    name: Annotated[str, typer.Argument(help="Of the mix that is made.")],
    mixes: Annotated[list[str], typer.Argument(metavar="MIX MIX...", help="Stored mixes of one task.")],
    weight: Annotated[list[float] | None, typer.Option(help="Of each mix, in their order; else all 1.")] = None,
    as_json: Json = False,
) -> None:
    """Store the union of mixes as a mix: each document once, with the largest of its weights."""
    with open_workspace() as ws:
        _print_mix(ws.combine(name, mixes, weight), as_json)


def _print_mix(built: Mix, as_json: bool) -> None:
    summary = built.summary()
    if as_json:
        print_json(built.frame(), summary)
        return
    out.print(f"{built.name}: {len(built):,} of {summary['pool']:,} documents", highlight=False)
    print_table(pl.DataFrame(summary["funnel"]).select("stage", "seen", "kept", "dropped", "seconds"))
    for line in told(summary):
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    for warning in summary["warnings"]:
        err.print(f"note: {warning}", markup=False)


@app.command()
def explain(mix_name: Annotated[str, typer.Argument(metavar="MIX")], document: str, as_json: Json = False) -> None:
    """Why a document (corpus:id) is in a mix or is not."""
    with open_workspace() as ws:
        told = ws.mix(mix_name).explain(document)
        if as_json:
            print_json(pl.DataFrame(list(told.rows)), {"document": told.document, "kept": told.kept})
        else:
            out.print(str(told), markup=False, highlight=False)


@app.command()
def affected(
    mix_name: Annotated[str, typer.Argument(metavar="MIX")],
    by: Annotated[
        str, typer.Option(help="Column of the pool's documents: source, label, or any of theirs.")
    ] = "source",
    as_json: Json = False,
) -> None:
    """Whom each stage dropped, by a column: shares with intervals, and the share of all others."""
    with open_workspace() as ws:
        table = ws.mix(mix_name).affected(by)
        if as_json:
            print_json(table, {"by": by})
        else:
            print_table(table.drop("position"))


@app.command()
def verify(
    mix_name: Annotated[str, typer.Argument(metavar="MIX")],
    origin: Annotated[bool, typer.Option("--origin", help="Fail if a file it came from has changed.")] = False,
    as_json: Json = False,
) -> None:
    """Rebuild a mix and prove that it is the same."""
    with open_workspace() as ws:
        result = ws.mix(mix_name).verify(origin=origin)
        if as_json:
            print_json(pl.DataFrame([vars(item) for item in result.stale]), {"documents": result.documents})
        else:
            out.print(str(result), markup=False, highlight=False)


@app.command()
def diff(
    one: str,
    other: str,
    by: Annotated[
        str | None,
        typer.Option(help="Count by source, label, stage, target, cluster, or a column of the pool's documents."),
    ] = None,
    k: Annotated[int | None, typer.Option("-k", help="Clusters; by default the root of the documents.")] = None,
    seed: Annotated[int, typer.Option(help="Of the clusters.")] = 0,
    as_json: Json = False,
) -> None:
    """What differs between two mixes, and why; with --by, how many of each group are in both or in one."""
    with open_workspace() as ws:
        first, second = ws.mix(one), ws.mix(other)
        if by is not None:
            sizes = {one: len(first), other: len(second)}
            print_rows(first.diff(second, by, k=k, seed=seed), {"by": by, "documents": sizes}, as_json)
            return
        changes = first.diff(second)
        counts = (
            changes.group_by("change", "stage", "rule").len("documents").sort("documents", "change", descending=True)
        )
        if as_json:
            print_json(changes, {"changes": counts.to_dicts()})
            return
        out.print(
            f"from {one} ({len(first):,}) to {other} ({len(second):,}): {len(changes):,} changes", highlight=False
        )
        print_table(counts)
        print_table(changes.head(10))


@app.command()
def export(
    mix_name: Annotated[str, typer.Argument(metavar="MIX")],
    path: Annotated[Path, typer.Argument(help="A .jsonl, .csv or .parquet file, or a directory that is not there.")],
) -> None:
    """Write a mix to a file, with its lockfile beside it, or as a saved Hugging Face dataset with its card."""
    with open_workspace() as ws:
        written = ws.mix(mix_name).export(path)
        beside = f"{written.name}.lock.json" if written.is_file() else f"its card, {written.name}/README.md"
        out.print(f"{written} and {beside}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def atlas(
    mix_name: Annotated[str, typer.Argument(metavar="MIX")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The .parquet file; else MIX.atlas.parquet, here.")
    ] = None,
    port: Annotated[int, typer.Option(help="Where the browser finds it.")] = 5055,
) -> None:
    """Write the documents of a mix with their places on a map, and open them in embedding-atlas."""
    path = output or Path(f"{mix_name}.atlas.parquet")
    with open_workspace() as ws:
        out.print(ws.mix(mix_name).atlas(path), markup=False, highlight=False, soft_wrap=True)
    program = shutil.which("embedding-atlas", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        raise MissingExtraError("embedding-atlas", "atlas", f"{path} is written; opening it")
    opened = subprocess.run([program, str(path), *PLACES, "--port", str(port)], check=False)  # noqa: S603
    if opened.returncode:
        raise CuratorError(f"{path} is written, but embedding-atlas ended with {opened.returncode}; it said why above")


@app.command()
def tag(
    mix_name: Annotated[str, typer.Argument(metavar="MIX")],
    words: Annotated[list[str] | None, typer.Argument(metavar="[TAG]...", help="Without any, they are shown.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take them off.")] = False,
    as_json: Json = False,
) -> None:
    """Put tags on a mix, or take them off; `curator ls --tag TAG` lists the mixes that have one."""
    with open_workspace() as ws:
        tagged = ws.mix(mix_name)
        left = (tagged.untag if remove else tagged.tag)(*words) if words else tagged.tags
        if as_json:
            print_json(pl.DataFrame({"tag": left}, schema={"tag": pl.String}), {"mix": mix_name})
        else:
            out.print(f"{mix_name}: {', '.join(left) or 'no tags'}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def ls(
    mixes: Annotated[
        bool, typer.Option("--mixes", help="The mixes, with size, target, tags and what changed.")
    ] = False,
    tagged: Annotated[str | None, typer.Option("--tag", help="The mixes with this tag.")] = None,
    as_json: Json = False,
) -> None:
    """The corpora, mixes and races of the workspace."""
    with open_workspace() as ws:
        if mixes or tagged is not None:
            rows = ws.ls_mixes(tagged)
            if as_json:
                print_json(pl.DataFrame(rows, infer_schema_length=None), {"mixes": len(rows)})
            elif rows:
                print_table(_glance(rows))
            else:
                out.print("mixes: none", highlight=False)
            return
        corpora = pl.DataFrame(ws.ls())
        if as_json:
            print_json(corpora, {"mixes": ws.mixes(), "races": ws.races()})
            return
        if len(corpora):
            size = (pl.col("bytes") / 2**20).alias("MiB")
            print_table(corpora.select("corpus", "version", "versions", "documents", "rejects", "embedded", size))
        out.print(
            f"mixes: {', '.join(ws.mixes()) or 'none'}; races: {', '.join(ws.races()) or 'none'}", highlight=False
        )


def _glance(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """The stored mixes with the number of files that have changed since, and the corpora that were read again."""
    told = [
        {
            **{name: row[name] for name in ("mix", "documents", "pool", "target", "created")},
            "tags": " ".join(row["tags"]),
            "lockfile": "whole" if row["locked"] else "damaged",
            "stale": None if row["stale"] is None else f"{len(row['stale']):,} files",
            "newer": " ".join(row["newer"] or []),
        }
        for row in rows
    ]
    return pl.DataFrame(told, infer_schema_length=None)
