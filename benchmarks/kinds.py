"""Several labels a document, and numbers: what is learned of real text, against transformers' Trainer.

    pip install 'curator[peft]'
    python benchmarks/kinds.py --data DIR [--repeats N] [--out FILE]

The tasks of TASKS, the embedded MiniLM, the same documents, batch, steps, learning rate, warm-up and weight decay for
both; the Trainer with transformers' own losses (``problem_type``), and of numbers on values that were standardised for
it, as it standardises none. Every repeat has a seed of its own, and both train in turn; the time is that of training
alone. Scores are on test documents by the same code, with those of a trivial baseline beside them: every label to every
document, and the mean of the training values. Settings are those of a first guess; nothing was searched.
"""

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import polars as pl
from circumstances import circumstances
from training import ours, theirs

from curator.documents import read_labels
from curator.recipe import Kind, Train
from curator.training import Examples, evaluate

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
TASKS: dict[str, Row] = {
    "goemotions": {
        "path": "sentiment/goemotions", "kind": "multi", "train": 12_000, "test": 2_000,
        "settings": {"steps": 400, "batch_size": 32, "learning_rate": 5e-4, "max_length": 64},
    },
    "yelp stars": {
        "path": "sentiment/yelp_10k", "kind": "regression", "train": 4_000, "test": 2_000,
        "settings": {"steps": 200, "batch_size": 16, "learning_rate": 2e-4, "max_length": 96},
    },
}  # fmt: skip
SHOWN: dict[Kind, tuple[str, ...]] = {
    "multi": ("macro_f1", "micro_f1", "roc_auc"),
    "regression": ("spearman", "pearson", "rmse"),
}


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Several labels a document, and numbers.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "records" / "kinds.json")
    given = parser.parse_args()
    command = f"python benchmarks/kinds.py --data DIR --repeats {given.repeats}"
    record = circumstances(command, ("torch", "transformers", "accelerate")) | {"tasks": []}
    for name, about in TASKS.items():
        record["tasks"].append({"task": name, **measured(given, about)})
        given.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def measured(given: argparse.Namespace, about: Row) -> Row:
    """Both engines in turn, and the baseline."""
    kind: Kind = about["kind"]
    frame = pl.read_parquet(given.data / f"{about['path']}.parquet", columns=["text", "label"])
    frame = frame.unique("text", maintain_order=True).sample(about["train"] + about["test"], seed=0, shuffle=True)
    if kind == "multi":
        labels_of = [tuple(one) for one in read_labels(frame["label"], kind, {"neutral": ""}, "|").to_list()]
    else:
        labels_of = read_labels(frame["label"].str.extract(r"([\d.]+)", 1), kind).to_list()
    every = Examples(tuple(frame["text"]), tuple(labels_of))
    train, test = (
        Examples(every.texts[part], every.labels[part]) for part in (slice(about["train"]), slice(about["train"], None))
    )
    names = tuple(sorted({name for one in train.labels for name in one})) if kind == "multi" else ()
    truth = [tuple(n for n in one if n in names) for one in test.labels] if kind == "multi" else list(test.labels)
    settings = Train.model_validate({**about["settings"], "lambda": -1})
    rows: dict[str, Row] = {}
    for seed in range(given.repeats):
        for engine, trained in (("curator", ours), ("Trainer", theirs)):
            own = {} if engine == "curator" else {"bf16": False}
            classifier, seconds = trained(settings, train, names, seed, kind=kind, **own)
            scores = evaluate(truth, classifier.predict(test.texts), names, kind)
            row = rows.setdefault(engine, {"engine": engine, "seconds": [], **{score: [] for score in SHOWN[kind]}})
            row["seconds"].append(seconds)
            for score in SHOWN[kind]:
                row[score].append(scores[score])
            print(
                engine, seed, round(seconds, 1), {score: round(scores[score], 3) for score in SHOWN[kind]}, flush=True
            )
    outputs = np.ones((len(truth), len(names))) if kind == "multi" else np.full((len(truth), 1), mean(train.labels))
    trivial = evaluate(truth, outputs.astype(np.float32), names, kind)
    return {
        "kind": kind, "labels": len(names), "train": len(train), "test": len(test), "settings": about["settings"],
        "engines": list(rows.values()), "trivial": {score: trivial[score] for score in SHOWN[kind]},
    }  # fmt: skip


if __name__ == "__main__":
    main()
