"""What does decontamination find: leaks planted among texts of other kinds, and sets that hold the same sentences?

    python benchmarks/leaks.py --data DIR [--cache DIR] [--number N] [--out FILE]

``planted``: of each of TASKS the documents marked as test are the test set; ``--number`` of them for each way are
copied, most of them changed, into up to 7,000 texts of at most 60 words of each file of DIR/bulk. For each way the
share that the stage ``decontaminate`` found at its defaults, and that each of its layers found; and how many of the
other texts each layer took for a leak.

``shared``: the same stage between sets of public text that were made from the same reviews, or repeat rows of their
own test sets, as they are. The record goes to ``benchmarks/records/leaks.json``.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from circumstances import circumstances
from duplicates import EDITS

from curator import Workspace
from curator.functions import decontamination_coverage
from curator.mix.summary import LAYERS
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run
from curator.vectors import Vectors

Row = dict[str, Any]
Edit = Callable[[list[str], random.Random, list[str]], str]

HERE = Path(__file__).resolve().parent
TASKS = ("sentiment/sst2", "intent/banking77", "topic/ag_news", "scientific/scicite")
TEST = 2_000  # documents of a test set, at most
EACH, LONGEST = 7_000, 60
SHARED = (
    ("sentiment/mr", None, "sentiment/sst2"), ("sentiment/mr", None, "sentiment/sst5"),
    ("sentiment/sst2", "train", "sentiment/sst5"), ("sentiment/sst5", "train", "sentiment/sst2"),
    ("sentiment/sst2", "train", "sentiment/sst2"), ("sentiment/sst5", "train", "sentiment/sst5"),
    ("sentiment/semeval2017_tweets", "train", "sentiment/semeval2017_tweets"),
    ("intent/banking77", "train", "intent/banking77"), ("intent/hwu64", "train", "intent/hwu64"),
    ("sentiment/amazon_video", "train", "sentiment/amazon_video"), ("topic/ag_news", "train", "topic/ag_news"),
)  # fmt: skip


def inside(words: list[str], rng: random.Random, others: list[str]) -> str:
    """Between other words, as a quotation is."""
    before, after = (" ".join(rng.choices(others, k=rng.randint(10, 30))) for _ in range(2))
    return f"{before} {' '.join(words)} {after}"


def half(words: list[str], rng: random.Random, others: list[str]) -> str:
    """Its first half, then other words."""
    return " ".join([*words[: -(-len(words) // 2)], *rng.choices(others, k=len(words) // 2)])


def reordered(words: list[str], rng: random.Random, _: list[str]) -> str:
    return " ".join(rng.sample(words, len(words)))


WAYS: dict[str, Edit] = {
    "as it is": lambda words, *_: " ".join(words), **EDITS, "inside a longer text": inside, "its first half": half,
    "its words in another order": reordered,
}  # fmt: skip


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Planted leaks, and sets that share sentences.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="a workspace to keep the vectors in")
    parser.add_argument("--number", type=int, default=100, help="leaks of each way")
    parser.add_argument("--out", type=Path, default=HERE / "records" / "leaks.json")
    arguments = parser.parse_args()
    record = circumstances(f"python benchmarks/leaks.py --data DIR --number {arguments.number}", ("numpy", "polars"))
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace(arguments.cache or folder)
        pool = embedded(ws, "others", others(arguments.data))
        record |= {"pool": len(pool), "number": arguments.number}
        record["planted"] = [planted(ws, arguments.data, task, pool, arguments.number) for task in TASKS]
        record["shared"] = [shared(ws, arguments.data, *pair) for pair in SHARED]
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def others(data: Path) -> pl.DataFrame:
    """Texts that have nothing to do with the tasks, each once."""
    parts = []
    for path in sorted((data / "bulk").glob("*.parquet")):
        texts = pl.read_parquet(path, columns=["text"]).unique().sort("text")
        short = texts.filter(pl.col("text").str.count_matches(r"\S+") <= LONGEST)
        parts.append(short.sample(min(EACH, len(short)), seed=0, shuffle=True))
    return pl.concat(parts).unique(maintain_order=True)


def embedded(ws: Workspace, name: str, frame: pl.DataFrame) -> Relation:
    """Texts with ids and vectors, which the workspace keeps."""
    ws.add(name, frame.select("text"))
    vectors = ws._corpora.relation(ws.catalogue.corpus(name)).vectors.unit()
    keys = {"corpus": name, "source": name, "label": "none"}
    documents = frame.select("text", *(pl.lit(value).alias(key) for key, value in keys.items()))
    return Relation(documents.with_columns(id=pl.format("{}-{}", pl.lit(name), pl.int_range(pl.len()))), vectors)


def of_split(data: Path, name: str, split: str | None) -> pl.DataFrame:
    frame = pl.read_parquet(data / f"{name}.parquet", columns=["text", "split"])
    return frame if split is None else frame.filter(pl.col("split") == split)


def planted(ws: Workspace, data: Path, task: str, pool: Relation, number: int) -> Row:
    """What is found of leaks of each way, and taken for one among the others."""
    name, rng = Path(task).name, random.Random(0)
    tests = of_split(data, task, "test").unique().sort("text").sample(fraction=1, seed=0, shuffle=True).head(TEST)
    words = [word for text in pool.frame["text"].head(10_000) for word in text.split()]
    origins = rng.choices(range(len(tests)), k=number * len(WAYS))
    ways = [way for way in WAYS for _ in range(number)]
    texts = [WAYS[way](tests["text"][row].split(), rng, words) for way, row in zip(ways, origins, strict=True)]
    leaks = embedded(ws, f"{name}_leaks", pl.DataFrame({"text": texts}))
    vectors = np.concatenate([pool.vectors.matrix(), leaks.vectors.matrix()])
    candidates = Relation(pl.concat([pool.frame, leaks.frame]), Vectors.of(vectors, unit=True))
    found, seconds, coverage = decontaminated(candidates, embedded(ws, f"{name}_test", tests))
    told = found[len(pool) :].with_columns(way=pl.Series(ways))
    row: Row = {"task": name, "test": len(tests), "seconds": seconds, "coverage": coverage, "ways": {}}
    for way in WAYS:
        part = told.filter(pl.col("way") == way)
        row["ways"][way] = {layer: float(part[layer].mean()) for layer in ("found", *LAYERS)}  # type: ignore[arg-type]
    row["others"] = {layer: int(found[: len(pool)][layer].sum()) for layer in ("found", *LAYERS)}
    print(row, flush=True)
    return row


def shared(ws: Workspace, data: Path, pool: str, split: str | None, test: str) -> Row:
    """What is found of one set in the test documents of another."""
    here = embedded(ws, f"{Path(pool).name}_{split or 'all'}", of_split(data, pool, split))
    there = embedded(ws, f"{Path(test).name}_tested", of_split(data, test, "test"))
    found, seconds, coverage = decontaminated(here, there)
    row: Row = {"pool": Path(pool).name, "split": split, "documents": len(here), "test": Path(test).name}
    row |= {"tested": len(there), "seconds": seconds, "coverage": coverage}
    row |= {layer: int(found[layer].sum()) for layer in ("found", *LAYERS)}
    print(row, flush=True)
    return row


def decontaminated(candidates: Relation, test: Relation) -> tuple[pl.DataFrame, float, list[Row]]:
    """Per candidate whether it was ``found``, and by which layers; seconds; how much of the test set they cover."""
    stage = Stage.load("decontaminate", HERE)
    relations = {"candidates": candidates, "test": test, "dev": test.take([]), "target": test.take([])}
    started = time.perf_counter()
    verdicts = run(stage, stage.bind({}, 0), relations, Session()).frame
    seconds = time.perf_counter() - started
    layers = verdicts["reason"].fill_null("").str.strip_prefix("found by ").str.split(", ")
    flags = [layers.list.contains(layer).alias(layer) for layer in LAYERS]
    coverage = pl.DataFrame(decontamination_coverage(test)).to_dicts()
    return verdicts.select(found=~pl.col("keep")).with_columns(flags), seconds, coverage


if __name__ == "__main__":
    main()
