"""Is the default recipe worth more than random documents? Six tasks of four families, two kinds of pool.

    python benchmarks/races.py --data DIR --work DIR [--choose | --bert | --small] [--tasks a,b] [--seeds N]

The tasks of pools.py, each with a clean pool (related sources, their own labels) and with one as pools really are: four
fifths of it irrelevant text that carries a label of the task by chance, one label in eight of the rest wrong, three
documents in a hundred twice, and copies of 200 test documents. A mix is the ``BUDGET`` documents that the stages of
``recipes/default.toml`` choose; every other arm is curator's own (``curator race``), at equal budget and evaluation
documents.

``--choose``: which stages are the default. Candidates are arms of one race by the probe, on the tasks of ``DEVELOPED``
alone and on training documents alone: a third of them, by hash, stands in for the test set, and no test document is
read. Without it: the default as it is frozen, by the probe, on the test sets of all tasks at 4, 16 and 64 examples a
label. ``--bert``: the embedded MiniLM, which is a BERT, fine-tuned on the tasks of ``TUNED`` at 16 examples.
``--small``: one task, few seeds, in minutes. Records are kept under ``records/races/``, one for each race; a run that
was stopped goes on where it was.
"""

import argparse
import dataclasses
import json
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pools
from circumstances import circumstances
from tables import bare

from curator import Recipe, Workspace
from curator.race.statistics import analyse

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
DEFAULT = HERE.parent / "recipes" / "default.toml"
DEVELOPED = ("airline", "scicite", "intents")
TUNED = ("airline", "scicite", "agnews")
POOLS = ("clean", "real")
SHOTS = (4, 16, 64)
BUDGET, EVALUATED = 1_500, 1_000
RELATED = 4_000  # documents of a clean pool, at most: as many of each of its sources
IRRELEVANT = 0.8  # of a real pool
HELD_OUT = 1 / 3  # of the training documents, to choose by
ARMS = (
    "zero-shot", "target-only", "random", "random-balanced", "full", "bm25", "dsir", "knn", "round-robin", "tsds", "mix"
)  # fmt: skip
TUNED_ARMS = ("target-only", "random-balanced", "dsir", "mix")
SMALL = ("target-only", "random-balanced", "mix")
BALANCED: Row = {"use": "ratio", "budget": BUDGET, "by": "label", "temperature": math.inf}
AT_RANDOM = BALANCED | {"order": "random"}
RELEVANT: Row = {"use": "relevance", "min_score": -1.0}
QUALITY: Row = {"use": "label_quality"}
BY_SCORE: Row = BALANCED  # of the stage before: the highest first
CANDIDATES: dict[str, list[Row]] = {
    "label_noise": [{"use": "label_noise"}, AT_RANDOM],
    "trust": [{"use": "trust"}, AT_RANDOM],
    "source_value": [{"use": "source_value"}, AT_RANDOM],
    "shapley": [{"use": "knn_shapley", "on": "both", "min_value": -1.0}, BY_SCORE],
    "relevance": [RELEVANT, BY_SCORE],
    "pairing": [{"use": "pairing", "k": 1_000}, BY_SCORE],
    "quality": [QUALITY, AT_RANDOM],
    "quality_plain": [QUALITY, BY_SCORE],
    "quality_relevance": [QUALITY, RELEVANT, BY_SCORE],
    "quality_pairing": [QUALITY, {"use": "pairing", "k": 1_000}, BY_SCORE],
    "quality_value": [QUALITY, {"use": "source_value"}, AT_RANDOM],
    "quality_trust": [QUALITY, {"use": "trust", "action": "weight"}, AT_RANDOM],
}


def main() -> None:
    """Run what was asked for, and keep the records."""
    parser = argparse.ArgumentParser(description="Races of the default recipe.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--work", type=Path, metavar="DIR", required=True, help="keeps pools, vectors, finished runs")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--choose", action="store_true", help="candidates, on training documents")
    what.add_argument("--bert", action="store_true", help="fine-tuning instead of the probe")
    what.add_argument("--small", action="store_true", help="one task, in minutes")
    parser.add_argument("--tasks", default="")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "records" / "races")
    given = parser.parse_args()
    given.work = given.work.resolve()  # recipes name files from where they are themselves
    if given.choose:
        choose(given)
        return
    if not DEFAULT.exists():
        raise SystemExit(
            f"there is no {DEFAULT.name} among the recipes yet: --choose says which stages it ought to have"
        )
    for task, kind, shots in cells(given):
        values = recipe(task, kind, shots, given)
        record = bare(raced(values, given))
        if not given.small:
            given.out.mkdir(parents=True, exist_ok=True)
            path = given.out / f"{values['name']}.json"
            path.write_text(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n", "utf8")


def cells(given: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """Task, pool and examples a label of every race."""
    usual = DEVELOPED if given.choose else TUNED if given.bert else ("airline",) if given.small else tuple(pools.TASKS)
    for task in given.tasks.split(",") if given.tasks else usual:
        for kind in POOLS[1:] if given.small else POOLS:
            for shots in (16,) if given.bert or given.small else SHOTS:
                yield task, kind, shots


def choose(given: argparse.Namespace) -> None:
    """Race the candidates on training documents, and write what each adds to random-balanced and target-only."""
    command = f"python benchmarks/races.py --data DIR --work DIR --choose --seeds {given.seeds}"
    record = circumstances(command, ("duckdb", "faiss-cpu", "numpy", "polars", "scikit-learn"))
    record |= {"seeds": given.seeds, "budget": BUDGET, "held_out": HELD_OUT, "candidates": CANDIDATES, "cells": []}
    for task, kind, shots in cells(given):
        values = recipe(task, kind, shots, given)
        values |= {"name": f"choice-{values['name']}", "stage": [AT_RANDOM]}
        arms = [f"recipe:{name}.toml" for name in CANDIDATES]
        for name, stages in CANDIDATES.items():
            written(given.work / f"{name}.toml", {**values, "stage": stages})
        values["race"] |= {"arms": ["target-only", "random-balanced", "mix", *arms]}
        result = analyse(raced(values, given))
        scores = {arm.name: list(arm.scores) for arm in result.arms}
        record["cells"].append({"task": task, "pool": kind, "shots": shots, "scores": scores})
        given.out.parent.mkdir(parents=True, exist_ok=True)
        path = given.out.parent / "choice.json"
        path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def raced(values: Row, given: argparse.Namespace) -> Row:
    """The record of a race."""
    what = [f"--{name}" for name in ("choose", "bert", "small") if getattr(given, name)]
    command = " ".join(["python benchmarks/races.py --data DIR --work DIR", *what])
    workspace = Workspace(given.work / "workspace")
    record: Row = workspace.race(Recipe.parse(values, folder=given.work), command=command).record
    result = analyse(record)
    failed = {run["arm"]: run["error"] for run in record["runs"] if run["error"]}
    means = {arm.name: round(arm.mean, 1) for arm in result.arms if arm.mean is not None}
    print(values["name"], means, failed or "", f"{record['seconds']:.0f} s", flush=True)
    return record


def recipe(task: str, kind: str, shots: int, given: argparse.Namespace) -> Row:
    """The values of a race's recipe; the files of its pool are made where they are not there yet."""
    part = "chosen" if given.choose else "tested"
    within = Path("pools") / part / kind / task  # a record names no folder of this machine
    folder = given.work / within
    if not (folder / "target.parquet").exists():
        about = scaled(pools.TASKS[task], given.data)
        pools.prepare(task, about, given.data, folder, clean=kind == "clean", held_out=HELD_OUT if given.choose else 0)
    names = [path.stem for path in sorted(folder.glob("*.parquet")) if path.stem not in ("target", "test")]
    arms = SMALL if given.small else TUNED_ARMS if given.bert else ARMS
    race: Row = {"arms": list(arms), "seeds": 2 if given.small else given.seeds, "evaluation": EVALUATED}
    return {
        "name": f"{task}-{kind}-{shots}" + "-bert" * given.bert + "-small" * given.small,
        "description": f"{task}, {shots} examples a label, {kind} pool",
        "task": {**{role: str(within / f"{role}.parquet") for role in ("target", "test")}, "shots": shots},
        "pool": {name: {"path": str(within / f"{name}.parquet")} for name in names},
        "stage": [] if given.choose else tomllib.loads(DEFAULT.read_text("utf8"))["stage"],
        "train": {"steps": 40 if given.small else 200, "max_length": 64},
        "race": race | ({} if given.bert or given.small else {"by": "probe"}),
    }


def scaled(task: pools.Task, data: Path) -> pools.Task:
    """The task with so much irrelevant text that a real pool is ``IRRELEVANT`` of it."""
    most = RELATED // len(task.sources)
    labels = sorted(task.labels or pools.read(data, task.target)["label"].unique())
    related = sum(
        len(pools.related(pools.read(data, file), mapping, labels, most)) for file, mapping in task.sources.items()
    )
    each = math.ceil(IRRELEVANT / (1 - IRRELEVANT) * (related + pools.LEAKED) / len(task.bulk))
    return dataclasses.replace(task, most=most, bulk_each=each)


def written(path: Path, values: Row) -> None:
    """A recipe as TOML."""
    lines = [f'name = "{path.stem}"']
    for table in ("task", "pool"):
        lines += flat(table, values[table])
    for stage in values["stage"]:
        lines += ["", "[[stage]]", *(f"{key} = {toml(value)}" for key, value in stage.items())]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf8")


def flat(name: str, values: Row) -> list[str]:
    """A table of TOML, with the tables in it."""
    inner = {key: value for key, value in values.items() if isinstance(value, dict)}
    own = [f"{key} = {toml(value)}" for key, value in values.items() if key not in inner]
    lines = ["", f"[{name}]", *own] if own else []
    for key, value in inner.items():
        lines += flat(f"{name}.{key}", value)
    return lines


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    return "inf" if value == math.inf else json.dumps(value)


if __name__ == "__main__":
    main()
