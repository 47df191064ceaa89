"""The command line: each command a thin call into the front door.

Exit codes: 0 done, 1 failed, 2 asked for something that cannot be, 3 done with rejects under --strict.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import polars as pl
import typer

from curator.cli import sql
from curator.cli.app import Data, Json, Settings, app, open_workspace
from curator.cli.terminal import err, out, print_json, print_report, print_rows, print_table, print_verdict, write_out
from curator.errors import CuratorError, UsageError
from curator.mix import Mix, told


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


app.command()(sql.sql)


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
    as_json: Json = False,
) -> None:
    """Label and probability for each document of a file, or each line of standard input."""
    with open_workspace() as ws:
        lines = None if file else [line.rstrip("\n") for line in sys.stdin if line.strip()]
        rows = ws.predict(model, pl.DataFrame({"text": lines}) if lines is not None else file, text=text)
        print_rows(rows, ws.last_report, as_json)


@app.command()
def race(
    recipe: Annotated[str, typer.Argument(help="A recipe's .toml, or the name of a finished race.")],
    data: Data = None,
    seeds: Annotated[int | None, typer.Option(help="Fewer seeds than the recipe's make it a smoke test.")] = None,
    report: Annotated[Path | None, typer.Option(help="Where to write the report (.html or .md).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate time, memory and disk.")] = False,
    as_json: Json = False,
) -> None:
    """Race a mix against baselines at equal budget, and report whether it was worth it."""
    with open_workspace() as ws:
        if dry_run:
            print_report(ws.estimate_recipe(recipe, data=data, race=True), as_json)
            return
        command = (
            f"curator race {Path(recipe).name}"
            + (" --data DIR" if data else "")
            + (f" --seeds {seeds}" if seeds else "")
        )
        finished = ws.race(recipe, data=data, seeds=seeds, command=command)
        path = finished.report(report)
        if as_json:
            report_ = {"verdict": finished.verdict, "path": str(path)}
            write_out(json.dumps({"rows": finished.table(), "report": report_}) + "\n")
            return
        print_verdict(finished.table(), finished.verdict, path)


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
        str | None, typer.Option(help="Count by source, label, target, cluster, or a column of the pool's documents.")
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
