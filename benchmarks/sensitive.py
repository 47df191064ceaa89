"""What do ``blocklist`` and ``classifier`` find of rude posts hidden among real documents, and how fast are they?

    python benchmarks/sensitive.py --data DIR [--rows N] [--steps N] [--out FILE]

Half of the posts of detection/davidson_hate teach: a MiniLM is fine-tuned on them for ``--steps`` steps of 32 (300) to
tell offensive and hateful posts from others, and the TERMS words that tell most are a list. Of the other half 1,000
rude posts and 1,000 others are put among ``--rows`` (100,000) documents of DIR/bulk. Of each stage: the share that it
drops of the rude posts, of the others, and of the documents, of which nobody knows how rude they are; ``classifier``
with ``max_score = 0.5`` and ``blocklist`` with its default. The record goes to ``benchmarks/records/sensitive.json``.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from circumstances import circumstances
from filters import documents

from curator.recipe import Train
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run
from curator.training import Examples, fine_tune

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
TERMS, HIDDEN, SEED = 50, 1_000, 0
WORD = r"[a-z']+"


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="What a list of words and a classifier find of rude posts.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--out", type=Path, default=HERE / "records" / "sensitive.json")
    arguments = parser.parse_args()
    command = f"python benchmarks/sensitive.py --data DIR --rows {arguments.rows} --steps {arguments.steps}"
    record = circumstances(command, ("duckdb", "polars", "torch", "transformers"))
    taught, hidden = posts(arguments.data / "detection" / "davidson_hate.parquet")
    rows = pl.concat([pool(arguments.data / "bulk", arguments.rows), hidden])
    record |= {"documents": len(rows), "characters": float(rows["text"].str.len_chars().mean())}  # type: ignore[arg-type]
    terms = telling(taught)
    record["stages"] = [dropped("blocklist", {"terms": ", ".join(terms)}, rows)]
    with tempfile.TemporaryDirectory() as folder:
        record["fine_tuning_s"] = taught_to(folder, taught, arguments.steps)
        parameters = {"model": folder, "label": "rude", "max_score": 0.5}
        record["stages"].append(dropped("classifier", parameters, rows))
    record["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def posts(path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Half of the posts to learn from, and of the rest HIDDEN rude and HIDDEN other ones, as ``label`` says."""
    rude = pl.when(pl.col("label") == "neither").then(pl.lit("other")).otherwise(pl.lit("rude"))
    frame = pl.read_parquet(path).sample(fraction=1, seed=SEED, shuffle=True).with_columns(rude.alias("label"))
    rest = frame.slice(len(frame) // 2)
    hidden = pl.concat([rest.filter(pl.col("label") == label).head(HIDDEN) for label in ("rude", "other")])
    columns = [pl.lit("pool").alias("corpus"), pl.format("post/{}", "id").alias("id"), "text", "label"]
    return frame.head(len(frame) // 2), hidden.select(columns)


def pool(folder: Path, rows: int) -> pl.DataFrame:
    """So many documents of all files, as many of each as there are."""
    paths = sorted(folder.glob("*.parquet"))
    each = -(-rows // len(paths))
    frame = pl.concat([documents(path).head(each) for path in paths])
    rest = pl.concat([documents(path).slice(each) for path in paths])
    frame = pl.concat([frame, rest.sample(max(0, rows - len(frame)), seed=SEED)]).head(rows)
    columns = ["corpus", pl.format("{}/{}", "source", "id").alias("id"), "text"]
    return frame.select(*columns, pl.lit("document").alias("label"))


def telling(taught: pl.DataFrame) -> list[str]:
    """The words with the highest log-odds of a rude post, counted once a post, each class smoothed by one post."""
    words = pl.col("text").str.to_lowercase().str.extract_all(WORD).list.unique().alias("word")
    counts = taught.select("label", words).explode("word").drop_nulls().group_by("word", "label").len()
    by_word = counts.pivot("label", index="word", values="len").fill_null(0)
    totals = dict(taught.group_by("label").len().iter_rows())
    odds = {label: (pl.col(label) + 1) / (totals[label] + 2) for label in ("rude", "other")}
    score = (odds["rude"] / (1 - odds["rude"])).log() - (odds["other"] / (1 - odds["other"])).log()
    return by_word.sort(score, "word", descending=[True, False])["word"].head(TERMS).to_list()


def taught_to(folder: str, taught: pl.DataFrame, steps: int) -> float:
    """Fine-tune a MiniLM and save it; both labels count alike. Seconds."""
    weights = 1 / taught.select(pl.len().over("label"))["len"].to_numpy().astype(np.float64)
    weights /= weights.mean()
    examples = Examples(tuple(taught["text"]), tuple(taught["label"]), tuple(weights.tolist()))
    settings = Train(steps=steps, batch_size=32)
    tuned = fine_tune(settings, selected=None, target=examples, dev=None, labels=["other", "rude"], seed=SEED)
    tuned.classifier.save(folder)
    return tuned.seconds


def dropped(name: str, parameters: Row, rows: pl.DataFrame) -> Row:
    """Which shares of the documents a stage drops, and how many it judges a second."""
    stage = Stage.load(name, HERE)
    started = time.perf_counter()
    relations = {"candidates": Relation(rows.select("corpus", "id", "text"))}
    verdicts = run(stage, stage.bind(parameters, 0), relations, Session()).frame
    seconds = time.perf_counter() - started
    judged = rows.join(verdicts, on=["corpus", "id"], how="left", validate="1:1")
    assert judged["keep"].null_count() == 0
    shares = dict(judged.group_by("label").agg((~pl.col("keep")).mean()).iter_rows())
    row = {"stage": name, "seconds": seconds, "documents_per_s": len(rows) / seconds, "dropped": shares}
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
