"""Seconds and memory of every way to compose a mix, from 10,000 to 1,000,000 candidates and 1,000 target documents.

    python benchmarks/scale.py --data DIR --work DIR [--rows 10000,100000,1000000] [--methods 'a; b'] [--limit SECONDS]

The vectors are those of 100,000 bulk documents of DIR, made once and kept in the work folder; a million are ten times
these with noise, so that a document and its copies have a cosine of about 0.6. A candidate's label is which of four
random directions its vector is nearest to, one in eight replaced, and its source one of ten. Each method runs in a
process of its own, with the vectors mapped from a file, and gives a verdict on every candidate, or chooses 1,500 of
them. Memory is the most that was not a mapped file, less what the process had before: the vectors do not count, copies
of them do. A method that is not done after ``--limit`` seconds is stopped and said to be over it. Runs that are in
the record's file with the same commit are not repeated.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import memory
import numpy as np
import numpy.typing as npt
import polars as pl
from circumstances import circumstances, git
from compositions import compositions

from curator import Workspace
from curator.functions import FUNCTIONS
from curator.nearest import Tools, rewrite
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run
from curator.vectors import Vectors

Row = dict[str, Any]
Matrix = npt.NDArray[np.float32]

HERE = Path(__file__).resolve().parent
BUDGET = 1_500
TARGET, DEV = 1_000, 200
LABELS, SOURCES = 4, 10
BASE = 100_000
NOISE = 0.04  # per component: copies of a document are alike, and no near-duplicates
CUTS = {"ratio"}  # what comes after a stage that only scores
APART = (
    "random",
    "label_noise",
    "knowledge",
    "knowledge, same label",
)  # which have records of their own, but the first
ALIKE = (", any label", ", weights")  # cost what the same without it does
SQL = {
    "coverage": "SELECT count(*) FILTER (hole) FROM coverage('target', 'candidates', min_score := 0.5)",
    "vendi_score": "SELECT score FROM vendi_score('candidates')",
}


def methods() -> dict[str, Row]:
    """The stage of each way to compose that is one stage, with its parameters as in compositions.py."""
    alone = {
        name: stages[0] for name, stages in compositions(BUDGET).items() if len({s["use"] for s in stages} - CUTS) < 2
    }
    return {name: stage for name, stage in alone.items() if name not in APART and not name.endswith(ALIKE)}


def main() -> None:
    """Run every method at every size, print it and write the record."""
    parser = argparse.ArgumentParser(description="Cost curves of compositions.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--work", type=Path, metavar="DIR", required=True, help="keeps the vectors")
    parser.add_argument("--rows", default="10000,100000,1000000")
    parser.add_argument("--methods", default="; ".join([*methods(), *SQL]), help="names, with ; between")
    parser.add_argument("--limit", type=float, default=1_800.0, metavar="SECONDS")
    parser.add_argument("--out", type=Path, default=HERE / "records" / "scale.json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.rows.split(",")]
    if arguments.one:
        print(json.dumps(measured(arguments.one, arguments.work, sizes[0])))
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    command = f"python benchmarks/scale.py --data DIR --work DIR --rows {arguments.rows} --limit {arguments.limit:g}"
    record = circumstances(command, ("duckdb", "faiss-cpu", "numpy", "polars", "scikit-learn", "scipy"))
    record |= {"budget": BUDGET, "target": TARGET, "dev": DEV, "limit": arguments.limit, "runs": kept(arguments.out)}
    for size in sizes:
        prepare(arguments.data, arguments.work, size)
        for method in arguments.methods.split("; "):
            if any((row["method"], row["rows"]) == (method, size) for row in record["runs"]):
                continue
            row = watched(method, size, arguments)
            record["runs"].append(row)
            print(row, flush=True)
            arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def kept(path: Path) -> list[Row]:
    """What a record of this commit has already."""
    record = json.loads(path.read_text("utf8")) if path.exists() else {}
    return list(record["runs"]) if record.get("commit") == git("rev-parse", "HEAD") else []


def watched(method: str, size: int, arguments: argparse.Namespace) -> Row:
    """One run in a process of its own: its seconds, and the most memory that was not a file, in bytes."""
    options = ["--data", str(arguments.data), "--work", str(arguments.work), "--rows", str(size), "--one", method]
    answer, most = memory.watched([sys.executable, __file__, *options], arguments.limit)
    row = {"over": arguments.limit} if answer is None else beyond(answer, most)
    return {"method": method, "rows": size, **row}


def beyond(answer: Row, most: int) -> Row:
    """An answer of ``timed``, with what memory it took beyond what the process had before."""
    return {name: value for name, value in answer.items() if name != "before"} | {
        "memory": max(0, most - answer["before"])
    }


def measured(method: str, work: Path, size: int) -> Row:
    """Run a method once."""
    relations = {
        name: Relation(pl.read_parquet(work / f"{name}-{size}.parquet"), vectors(work / f"{name}-{size}.npy"))
        for name in ("candidates", "target", "dev")
    }
    session = Session()
    if method in SQL:
        tools = Tools(relations, FUNCTIONS)
        return timed(lambda: {"answer": pl.DataFrame(rewrite(session, SQL[method], {}, tools).fetch()).item()})
    settings = dict(methods()[method])
    stage = Stage.load(settings.pop("use"), Path())
    bound = stage.bind(settings, 0)
    return timed(lambda: {"kept": int(run(stage, bound, relations, session).frame["keep"].sum())})


def timed(action: Callable[[], Row]) -> Row:
    """What an action says, with its seconds; ``before``: the bytes that the process had when it began."""
    before, started = memory.status("self")["RssAnon"], time.perf_counter()
    told = action()
    return {"seconds": time.perf_counter() - started, **told, "before": before}


def vectors(path: Path) -> Vectors:
    """Rows of unit vectors, mapped from a file."""
    mapped = np.load(path, mmap_mode="r")
    n = len(mapped)
    return Vectors([mapped], np.zeros(n, np.int32), np.arange(n), unit=True)


def prepare(data: Path, work: Path, size: int) -> None:
    """The relations of one size, in the work folder."""
    if (work / f"dev-{size}.parquet").exists():
        return
    base = embedded(data, work)
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((LABELS, base.shape[1]), np.float32)
    rows = {"dev": np.arange(DEV), "target": DEV + np.arange(TARGET), "candidates": DEV + TARGET + np.arange(size)}
    for name in ("candidates", "target", "dev"):
        n = len(rows[name])
        copies = rows[name] // len(base) > 0
        matrix = np.lib.format.open_memmap(work / f"{name}-{size}.npy", "w+", np.float32, (n, base.shape[1]))
        labels = np.empty(n, np.int64)
        for start in range(0, n, BASE):
            part = slice(start, min(start + BASE, n))
            block = base[rows[name][part] % len(base)]
            noise = rng.standard_normal(block.shape, np.float32) * np.float32(NOISE)
            block = block + noise * copies[part, None]
            matrix[part] = block / np.linalg.norm(block, axis=1, keepdims=True)
            labels[part] = (matrix[part] @ directions.T).argmax(axis=1)
        wrong = rng.random(n) < (1 / 8 if name == "candidates" else 0)
        labels[wrong] = rng.integers(LABELS, size=int(wrong.sum()))
        matrix.flush()
        documents = {
            "corpus": np.repeat(name, n),
            "id": np.char.zfill(np.arange(n).astype(str), 7),
            "label": np.char.add("label ", labels.astype(str)),
            "source": np.char.add("source ", rng.integers(SOURCES, size=n).astype(str)),
        }
        scored = {"serves": np.repeat("labels", n), "weight": np.ones(n), "previous_score": rng.random(n)}
        pl.DataFrame({**documents, **scored}).write_parquet(work / f"{name}-{size}.parquet")


def embedded(data: Path, work: Path) -> Matrix:
    """(BASE + TARGET + DEV, d) unit vectors of bulk documents, the first of each file in turn."""
    path = work / "base.npy"
    if not path.exists():
        files = sorted((data / "bulk").glob("*.parquet"))
        wanted = BASE + TARGET + DEV
        texts = pl.concat(
            pl.read_parquet(file, columns=["text"]).head(wanted).with_row_index("place").unique("text", keep="first")
            for file in files
        )
        texts = texts.with_columns(pl.col("text").str.slice(0, 300)).unique("text", keep="first", maintain_order=True)
        texts = texts.sort("place", maintain_order=True).head(wanted)
        ws = Workspace(work / "workspace")
        ws.add("base", texts.select("text"))
        ws.embed("base")
        matrix = ws.sql("SELECT embedding FROM base")["embedding"].to_numpy()
        np.save(path, np.ascontiguousarray(matrix, dtype=np.float32))
    return np.load(path, mmap_mode="r")


if __name__ == "__main__":
    main()
