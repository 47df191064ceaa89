"""Commands of upkeep: check, mend, reclaim, forget."""

from typing import Annotated

import polars as pl
import typer

from curator.cli.app import Json, app, open_workspace
from curator.cli.terminal import out, print_json


@app.command()
def check(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is damaged.")] = False,
    as_json: Json = False,
) -> None:
    """Name every file of the workspace that is not what was written; exit with 1 if there is one."""
    with open_workspace() as ws:
        repaired = ws.repair() if repair else None
        left = ws.check() if repaired is None else list(repaired.left)
        if as_json:
            print_json(
                pl.DataFrame([vars(damage) for damage in left]), {"done": list(repaired.done) if repaired else []}
            )
        elif repaired is not None:
            out.print(str(repaired), markup=False, highlight=False, soft_wrap=True)
        else:
            told = "\n".join(map(str, left)) or "nothing is damaged"
            out.print(told, markup=False, highlight=False, soft_wrap=True)
    if left:
        raise typer.Exit(1)


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what nothing refers to: versions that no mix was made from, their vectors, leftovers."""
    with open_workspace() as ws:
        collected = ws.gc(dry_run=dry_run)
        if as_json:
            print_json(pl.DataFrame(), vars(collected))
        else:
            out.print(str(collected), markup=False, highlight=False)


@app.command()
def forget(
    documents: Annotated[list[str], typer.Argument(metavar="CORPUS:ID...", help="The documents to remove.")],
    as_json: Json = False,
) -> None:
    """Remove documents everywhere in the workspace, and say where else they may be."""
    with open_workspace() as ws:
        told = ws.forget(*documents)
        if as_json:
            print_json(pl.DataFrame([vars(one) for one in told]), {"forgotten": len(told)})
        else:
            out.print("\n".join(map(str, told)), markup=False, highlight=False, soft_wrap=True)
