"""What do ``label_noise`` and ``label_quality`` find of planted wrong labels, beside cleanlab, and what do they take?

    python benchmarks/label_noise.py --data DIR --rivals PYTHON [--cache DIR] [--sizes N …] [--out FILE]

``planted``: of each of TASKS (up to 10,000 documents), a tenth and a fifth of the labels are each replaced by another
of the set, drawn evenly. Recall is the share of these that are dropped, precision the share of what is dropped that
they are; a set has wrong labels of its own, which count against it. cleanlab (PYTHON is that of an environment with it)
gets probabilities of logistic regression on the same vectors, five-fold, and finds errors by its default. k and
min_share of ``label_noise`` were chosen on sst2, trec and hwu64; ``label_quality`` has no setting that was.

``cost``: seconds for so many documents of the sentiment sets together, labels as they are. The record goes to
``benchmarks/records/label_noise.json``.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from circumstances import circumstances
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from curator import Workspace
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run
from curator.vectors import Vectors

Row = dict[str, Any]
Rows = npt.NDArray[np.int64]

HERE = Path(__file__).resolve().parent
TASKS = (
    "topic/ag_news", "topic/search_snippets", "topic/dbpedia14_part", "intent/banking77", "sentiment/airline_tweets",
    "scientific/scicite",
)  # fmt: skip
MOST = 10_000
RATES = (0.1, 0.2)
SHORT = 300  # characters: how long a text is costs the encoder time, and the stages none
STAGES = ("label_noise", "label_quality")


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Planted wrong labels, and the cost of looking for them.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--rivals", metavar="PYTHON", required=True)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="a workspace to keep the vectors in")
    parser.add_argument("--sizes", type=int, nargs="*", default=[25_000, 50_000, 100_000])
    parser.add_argument("--out", type=Path, default=HERE / "records" / "label_noise.json")
    arguments = parser.parse_args()
    sizes = " ".join(map(str, arguments.sizes))
    command = f"python benchmarks/label_noise.py --data DIR --rivals PYTHON --sizes {sizes}"
    record = circumstances(command, ("numpy", "polars", "scikit-learn"))
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace(arguments.cache or folder)
        record["planted"] = []
        for task in TASKS:
            documents = labelled(arguments.data / f"{task}.parquet").head(MOST)
            vectors = embedded(ws, Path(task).name, documents)
            for rate in RATES:
                row = {"task": Path(task).name, "documents": len(documents), "rate": rate}
                row |= planted(documents, vectors, rate, arguments.rivals, Path(folder))
                record["planted"].append(row)
                print(row, flush=True)
        paths = sorted((arguments.data / "sentiment").glob("*.parquet"))
        every = pl.concat([labelled(path) for path in paths]).sample(fraction=1, seed=0, shuffle=True)
        short = every.filter(pl.col("text").str.len_chars() <= SHORT)
        many = short.filter(pl.col("label").is_in(["positive", "negative", "neutral"])).head(max(arguments.sizes))
        vectors = embedded(ws, "sentiment", many)
        record["cost"] = [cost(stage, many.head(size), vectors[:size]) for stage in STAGES for size in arguments.sizes]
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf8")


def labelled(path: Path) -> pl.DataFrame:
    """The documents of a set, each text once, in an order of its own."""
    frame = (
        pl.read_parquet(path, columns=["text", "label"]).drop_nulls().unique("text", keep="first", maintain_order=True)
    )
    return frame.sample(fraction=1, seed=0, shuffle=True)


def embedded(ws: Workspace, name: str, frame: pl.DataFrame) -> npt.NDArray[np.float32]:
    ws.add(name, frame.select("text"))
    matrix: npt.NDArray[np.float32] = ws._corpora.relation(ws.catalogue.corpus(name)).vectors.unit().matrix()
    return matrix


def planted(documents: pl.DataFrame, vectors: npt.NDArray[np.float32], rate: float, python: str, folder: Path) -> Row:
    """How much of what was planted each finds, and how much else."""
    rng = np.random.default_rng(int(rate * 100))
    names = documents["label"].unique().sort()
    labels = names.to_frame().with_row_index("n").join(documents, on="label", maintain_order="right")["n"].to_numpy()
    labels = labels.astype(np.int64)
    wrong = np.zeros(len(labels), np.bool_)
    wrong[rng.choice(len(labels), int(rate * len(labels)), replace=False)] = True
    labels[wrong] = (labels[wrong] + rng.integers(1, len(names), wrong.sum())) % len(names)
    frame = documents.with_columns(label=names.gather(pl.Series(labels)))
    model = LogisticRegression(C=10, max_iter=1_000)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "probabilities.npy", cross_val_predict(model, vectors, labels, cv=5, method="predict_proba"))
    answer = subprocess.run([python, str(HERE / "cleanlab_rival.py"), str(folder)], check=True, capture_output=True)
    return {
        **{stage: judged(dropped(stage, frame, vectors), wrong) for stage in STAGES},
        "cleanlab": judged(np.load(folder / "found.npy"), wrong),
        **json.loads(answer.stdout),
    }


def dropped(name: str, frame: pl.DataFrame, vectors: npt.NDArray[np.float32]) -> Rows:
    """The rows that a stage drops, with its defaults and an empty target."""
    ids = [f"{i:06}" for i in range(len(frame))]
    pool = pl.lit("pool")
    keyed = frame.select(pool.alias("corpus"), pl.Series("id", ids), "text", "label", pool.alias("source"))
    candidates = Relation(keyed, Vectors.of(vectors, unit=True))
    stage = Stage.load(name, HERE)
    relations = {"candidates": candidates, "target": candidates.take([])}
    rows: Rows = np.flatnonzero(~run(stage, stage.bind({}, 0), relations, Session()).frame["keep"].to_numpy())
    return rows


def judged(found: Rows, wrong: npt.NDArray[np.bool_]) -> Row:
    hits = int(wrong[found].sum())
    return {"recall": hits / int(wrong.sum()), "precision": hits / max(1, len(found)), "dropped": len(found)}


def cost(stage: str, frame: pl.DataFrame, vectors: npt.NDArray[np.float32]) -> Row:
    started = time.perf_counter()
    found = dropped(stage, frame, vectors)
    row = {"stage": stage, "documents": len(frame), "seconds": time.perf_counter() - started, "dropped": len(found)}
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
