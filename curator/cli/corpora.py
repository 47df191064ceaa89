"""Commands of corpora: read, embed, index, calibrate and search them."""

from typing import Annotated, Any, cast

import polars as pl
import typer

from curator.cli.app import Json, app, open_workspace
from curator.cli.terminal import out, print_json, print_report, print_rows, print_table


@app.command()
def add(
    name: str,
    origin: Annotated[list[str], typer.Argument(help="Files, globs, a directory, or hf://owner/name.")],
    text: Annotated[str | None, typer.Option(help="Column with the text.")] = None,
    label: Annotated[str | None, typer.Option(help="Column with the label.")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column with the id.")] = None,
    vectors: Annotated[str | None, typer.Option(help="Column with vectors of one's own.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of the documents, such as CC-BY-4.0.")] = None,
    strict: Annotated[bool, typer.Option(help="Exit with 3 if anything was rejected.")] = False,
    as_json: Json = False,
) -> None:
    """Read files into a corpus."""
    with open_workspace() as ws:
        added = ws.add(
            name, origin if len(origin) > 1 else origin[0], text=text, label=label, id=id_, vectors=vectors,
            licence=licence,
        )  # fmt: skip
        if as_json:
            print_json(ws.rejects(name), ws.last_report)
        else:
            out.print(str(added), markup=False, highlight=False)
            if added.rejects:
                for file, line, reason, _ in ws.rejects(name).head(5).iter_rows():
                    out.print(f"  {file}:{line}: {reason}", markup=False, highlight=False, soft_wrap=True)
    if strict and added.rejects:
        raise typer.Exit(3)


@app.command()
def embed(
    name: str,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate time, memory and disk.")] = False,
    as_json: Json = False,
) -> None:
    """Embed a corpus now rather than when first needed."""
    with open_workspace() as ws:
        report = ws.estimate(name) if dry_run else ws.embed(name)
        print_report(report, as_json)


@app.command()
def index(
    name: str,
    recall: Annotated[float | None, typer.Option(help="It must reach; as before, or 0.99.")] = None,
    kind: Annotated[str | None, typer.Option(help="auto, flat, ivf, ivf-sq8, ivf-pq, hnsw or hnsw-sq8.")] = None,
    queries: Annotated[str | None, typer.Option(help="A corpus of real queries to measure it on.")] = None,
    memory: Annotated[float | None, typer.Option(help="GiB it may take; without it half of what is free.")] = None,
    expected: Annotated[int | None, typer.Option(help="How many queries it is for.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only measure its recall again, on fresh queries.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build it again from nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make the index of a corpus that joins with APPROX may use, for the recall that is asked."""
    with open_workspace() as ws:
        report = ws.index(
            name, recall=recall, kind=cast(Any, kind), queries=queries, memory=memory, expected=expected, check=check,
            rebuild=rebuild,
        )  # fmt: skip
        if as_json:
            print_report(report, as_json)
        else:
            told = [report["index"], *(report[key] for key in ("did", "why") if key in report)]
            out.print(f"{name}: " + "\n  ".join(told), markup=False, highlight=False, soft_wrap=True)
    if report.get("drifted"):
        raise typer.Exit(1)


@app.command()
def calibrate(
    name: str,
    against: Annotated[str | None, typer.Option(help="Another corpus: pairs of one and the other.")] = None,
    fpr: Annotated[list[float] | None, typer.Option(help="A share of random pairs; by default powers of ten.")] = None,
    as_json: Json = False,
) -> None:
    """Which cosine only a given share of random pairs reaches, with its interval."""
    with open_workspace() as ws:
        found = ws.calibrate(name, against)
        thresholds = found.thresholds(*fpr or ())
        if as_json:
            print_json(thresholds, ws.last_report)
            return
        out.print(
            f"{len(found.pairs):,} random pairs, {len(found.nearest):,} documents with their nearest; 'nearest' is the "
            "share of these at or over the cosine",
            highlight=False,
        )
        print_table(thresholds.with_columns(pl.col("fpr").map_elements("{:g}".format, pl.String)))
        print_table(found.quantiles())


@app.command()
def search(
    name: str,
    text: str,
    k: Annotated[int, typer.Option("-k", help="How many documents.")] = 10,
    as_json: Json = False,
) -> None:
    """The documents of a corpus nearest to a text."""
    with open_workspace() as ws:
        print_rows(ws.search(name, text, k), ws.last_report, as_json)
