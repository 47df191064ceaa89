"""The command that says which documents a person should label next."""

from pathlib import Path
from typing import Annotated, cast

import typer

from curator.cli.app import Data, Json, app, open_workspace
from curator.cli.terminal import err, out, print_json, print_table
from curator.labelling import By

SHOWN = 5


@app.command()
def label(
    recipe: Path,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write them: .csv, .jsonl or .parquet.")],
    documents: Annotated[int, typer.Option(help="How many to label.")] = 50,
    by: Annotated[str, typer.Option(help="badge, margin or random.")] = "badge",
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Which documents of the pool a person should label next, and why, as a file to fill in."""
    with open_workspace() as ws:
        frame = ws.label(recipe, documents=documents, by=cast(By, by), seed=seed, data=data, output=output)
        report = ws.last_report
        if as_json:
            print_json(frame, report)
            return
        print_table(frame.select("suggestion", "probability", "second", *frame.columns[:2], "why").head(SHOWN))
        chosen = f"{output}: {len(frame):,} of {report['candidates']:,} candidates"
        out.print(f"{chosen}; {report['told']}", markup=False, highlight=False, soft_wrap=True)
        fill = f"fill in {frame.columns[2]!r}, and leave it empty where no label is right; then"
        out.print(f"{fill}, {report['next']}", markup=False, highlight=False, soft_wrap=True)
        for warning in report["warnings"]:
            err.print(f"note: {warning}", markup=False)
