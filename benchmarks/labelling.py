"""What is a label worth that a person gives next? ``curator label`` by badge, by margin and at random, round by round.

    python benchmarks/labelling.py --data DIR [--cache DIR] [--seeds N] [--rounds N] [--documents N] [--out FILE]

``rounds``: banking77 (77 intents) with two examples of each label, drawn by seed. The pool ``mixed`` is the rest of its
training set without labels, and clinc150, of which no document has an intent of the task: whoever is asked for one
leaves the label empty, and that is a label wasted. (Some of clinc150's intents are about banking as well, with other
names; they count as wasted.) ``own`` is the same without clinc150, where none is wasted. Each round asks for so many
documents, answers from the sets' own labels, and adds the file to the target as a person would. A probe on the target,
as ``curator label`` fits it, is measured by macro-F1 on the test set.

``cost``: seconds for 50 of so many candidates with 77 labels, banking77's training set as target, from vectors that are
there; the candidates are those of clinc150, hwu64 and short texts of other sets. The record goes to
``benchmarks/records/labelling.json``.
"""

import argparse
import itertools
import json
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from circumstances import circumstances

from curator import Recipe, Workspace, probe
from curator.labelling import WAYS, at_random, badge, guesses, margin, probe_of
from curator.vectors import Vectors

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
SHOTS = 2
OTHERS = ("intent/clinc150", "intent/hwu64", "bulk/search_queries", "bulk/sgd_utterances")
MANY = 100_000
POOLS = {"mixed": ("banking", "clinc"), "own": ("banking",)}


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Rounds of labels by badge, by margin and at random.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="a workspace to keep the vectors in")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--documents", type=int, default=50, help="asked for in each round")
    parser.add_argument("--out", type=Path, default=HERE / "records" / "labelling.json")
    asked = parser.parse_args()
    command = (
        f"python benchmarks/labelling.py --data DIR --seeds {asked.seeds} --rounds {asked.rounds} "
        f"--documents {asked.documents}"
    )
    record = circumstances(command, ("numpy", "polars", "scikit-learn"))
    record |= {"task": "banking77", "shots": SHOTS, "others": "clinc150", "rounds": [], "cost": []}
    with tempfile.TemporaryDirectory() as name:
        folder, ws = Path(name), Workspace(asked.cache or Path(name) / "work")
        banking = pl.read_parquet(asked.data / "intent" / "banking77.parquet")
        taught, test = (banking.filter(split=part).drop("split", "source") for part in ("train", "test"))
        test.write_parquet(folder / "test.parquet")
        taught.drop("label").write_parquet(folder / "banking.parquet")
        pl.read_parquet(asked.data / "intent" / "clinc150.parquet").select("id", "text").write_parquet(
            folder / "clinc.parquet"
        )
        for pool, seed, by in itertools.product(POOLS, range(asked.seeds), WAYS):
            rows = rounds(ws, folder, taught, test, pool, by, seed, asked.rounds, asked.documents)
            record["rounds"] += rows
            print(pool, by, seed, *(f"{row['macro_f1']:.3f} ({row['wasted']})" for row in rows), flush=True)
        summary(record["rounds"])
        record["cost"] = cost(ws, asked.data, taught)
        print(*record["cost"], sep="\n")
    asked.out.write_text(json.dumps(record, indent=1) + "\n", "utf8")


def rounds(
    ws: Workspace, folder: Path, taught: pl.DataFrame, test: pl.DataFrame, pool: str, by: str, seed: int, count: int,
    size: int,
) -> list[Row]:  # fmt: skip
    """What the probe is worth before the first round and after each, and how many labels were wasted until then."""
    start = taught.sample(fraction=1, seed=seed, shuffle=True).group_by("label", maintain_order=True).head(SHOTS)
    files = [f"{pool}-{by}-{seed}-0.parquet"]
    start.write_parquet(folder / files[0])
    truth = dict(taught.select(pl.format("banking:{}", "id"), "label").iter_rows())
    rows = [{"pool": pool, "by": by, "seed": seed, "round": 0, "labelled": len(start), "wasted": 0, "seconds": 0.0}]
    rows[0]["macro_f1"] = score(ws, recipe(folder, pool, files), test)
    for number in range(1, count + 1):
        path = folder / f"{pool}-{by}-{seed}-{number}.csv"
        started = time.perf_counter()
        frame = ws.label(recipe(folder, pool, files), documents=size, by=by, seed=seed, output=path)
        seconds = time.perf_counter() - started
        answers = [truth.get(name) for name in frame["id"]]
        written = pl.read_csv(path, infer_schema=False)  # with the guarded cells as they are
        written.with_columns(pl.Series("label", answers, dtype=pl.String)).write_csv(path)
        files.append(path.name)
        wasted = rows[-1]["wasted"] + answers.count(None)
        rows.append({"pool": pool, "by": by, "seed": seed, "round": number})
        rows[-1] |= {"labelled": len(start) + number * size - wasted, "wasted": wasted, "seconds": round(seconds, 2)}
        rows[-1]["macro_f1"] = score(ws, recipe(folder, pool, files), test)
    return rows


def recipe(folder: Path, pool: str, files: list[str]) -> Recipe:
    sources = {name: {"path": f"{name}.parquet"} for name in POOLS[pool]}
    task = {"target": files, "test": "test.parquet"}
    return Recipe.parse({"name": "labelling", "task": task, "pool": sources}, folder=folder)


def score(ws: Workspace, of: Recipe, test: pl.DataFrame) -> float:
    """Macro-F1 on the test set of a probe on the target."""
    task = ws._workshop(of).prepare(of, 0)
    assert not len(task.dev), "a dev set was held out: the probe would not see all labels"
    code = {name: number for number, name in enumerate(task.labels)}
    known = dict(test.select("id", "label").iter_rows())
    truth = np.array([code[known[name]] for name in task.test.frame["id"]])
    return probe.macro_f1(truth, probe_of(task).probabilities(task.test.vectors.matrix()).argmax(axis=1))


def summary(rows: list[Row]) -> None:
    """Means over the seeds, and the standard deviation between them."""
    score = pl.col("macro_f1")
    table = pl.DataFrame(rows).group_by("pool", "round", "by").agg(
        score.mean().round(4), score.std().round(4).alias("sd"), pl.col("wasted").mean()
    )  # fmt: skip
    with pl.Config(tbl_rows=-1):
        print(table.sort("pool", "round", "by"))


def cost(ws: Workspace, data: Path, taught: pl.DataFrame) -> list[Row]:
    """Seconds and memory of each way, what the probe says of each document included, for 50 of MANY candidates."""
    texts = pl.concat([pl.read_parquet(data / f"{name}.parquet", columns=["text"]) for name in OTHERS])
    short = texts.unique("text", keep="first", maintain_order=True).head(MANY)
    names = taught["label"].unique().sort()
    code = dict(zip(names, range(len(names)), strict=True))
    labels = np.array([code[name] for name in taught["label"]])
    rows = embedded(ws, "taught", taught).matrix()
    fitted = probe.fit(rows, labels, np.full(len(rows), 1 / len(rows)), len(names), c=100 * len(names))
    vectors = embedded(ws, "many", short).take(np.random.default_rng(0).permutation(len(short)))  # as keys may lie
    luck = np.random.default_rng(0).integers(0, 2**64, len(short), np.uint64)
    found = []
    for by in ("margin", "random", "badge"):
        started = time.perf_counter()
        choose(by, fitted, vectors, luck)
        seconds = time.perf_counter() - started
        tracemalloc.start()  # which takes time
        choose(by, fitted, vectors, luck)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        found.append({"by": by, "candidates": len(short), "labels": len(names), "documents": 50})
        found[-1] |= {"seconds": round(seconds, 2), "peak_mib": round(peak)}
    return found


def choose(by: str, fitted: probe.Probe, vectors: Vectors, luck: npt.NDArray[np.uint64]) -> None:
    of = guesses(fitted, vectors)
    if by == "badge":
        badge(fitted, vectors, of, luck, 50)
    else:
        margin(of, 50) if by == "margin" else at_random(luck, 50)


def embedded(ws: Workspace, name: str, frame: pl.DataFrame) -> Vectors:
    ws.add(name, frame.select("text"))
    return ws._corpora.relation(ws.catalogue.corpus(name)).vectors


if __name__ == "__main__":
    main()
