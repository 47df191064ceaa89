"""What is it worth to tune a body on pairs of labelled documents before its classifier is trained?

    python benchmarks/contrastive.py --data DIR --work DIR [--tasks a:4,b:16] [--seeds N] [--pool N] [--setfit PYTHON]

For each task and number of examples a label, from the embedded MiniLM: a classifier fine-tuned for ``--steps`` steps
(``first token``, which is the default); the same with a head that reads the mean of a text's vectors (``mean``); that
after ``--contrastive`` steps on pairs that sql/training/pairs.sql finds (``nearest pairs, mean``) or on as many random
ones (``random pairs, mean``; with ``--random``); and a softmax regression on the mean vectors of the body as it comes
(``probe``) and as those pairs leave it (``nearest pairs, probe``), which is SetFit's own head. Macro-F1 in points on
``--evaluation`` test documents over ``--seeds`` draws of examples and weights, and what each adds to ``first token``:
the mean and its 95 % interval (Student's t, uncorrected). Settings were frozen before a test document was read. With
``--setfit PYTHON``, an interpreter of an environment that has it, SetFit itself is trained on the same examples for as
many steps on pairs, with its own defaults. With ``--pool N`` pairs are also found among N documents with made labels
and vectors, and what that took is told.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from circumstances import circumstances
from uses import added

from curator import Recipe, Workspace, probe
from curator.encoder.loading import embedded_model
from curator.hardware import precision
from curator.mix.task import evaluation_truth
from curator.models.fitting import examples, fit
from curator.models.pairing import found, pairs_of
from curator.race.statistics import score
from curator.recipe import Train
from curator.relation import Relation
from curator.training import Examples, Pairs
from curator.training.contrasting import contrasted
from curator.training.model import load_pretrained, tokenise
from curator.training.prediction import mixed, sentence_vectors, token_batches
from curator.training.preparation import Body, Prepared, with_body
from curator.vectors import Vectors

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
RATE = 5e-4  # of the classifier: chosen on training documents of banking77
TASKS: dict[str, Row] = {
    "banking77": {"target": "intent/banking77", "split": True, "pool": "intent/clinc150"},
    "airline_tweets": {"target": "sentiment/airline_tweets", "split": False, "pool": "sentiment/sst5"},
}
BULK, LABELS = "bulk/reddit_titles", 77


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Contrastive tuning on pairs of labelled documents.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--work", type=Path, metavar="DIR", required=True)
    parser.add_argument("--tasks", default="banking77:4,banking77:16,airline_tweets:16")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--contrastive", type=int, default=100)
    parser.add_argument("--evaluation", type=int, default=1_000)
    parser.add_argument("--random", action="store_true", help="random pairs, too")
    parser.add_argument("--setfit", metavar="PYTHON", default="")
    parser.add_argument("--pool", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "records" / "contrastive.json")
    given = parser.parse_args()
    words = ("tasks", "seeds", "steps", "contrastive", "evaluation", "pool")
    command = " ".join(
        ["python benchmarks/contrastive.py --data DIR --work DIR", *(f"--{w} {getattr(given, w)}" for w in words)]
    )
    command += " --random" * given.random + " --setfit PYTHON" * bool(given.setfit)
    record = circumstances(command, ("torch", "transformers"))
    record |= {"learning_rate": RATE, "tasks": [], "pool": None}
    workspace = Workspace(given.work)
    if given.pool:
        record["pool"] = among_many(given)
    for one in filter(None, given.tasks.split(",")):
        task, _, shots = one.partition(":")
        runs: dict[str, list[Row]] = {}
        for seed in range(given.seeds):
            for name, run in measured(workspace, task, int(shots), seed, given).items():
                runs.setdefault(name, []).append(run)
                print(task, shots, seed, name, {key: run[key] for key in ("macro_f1", "seconds")}, flush=True)
            rest = [row for row in record["tasks"] if (row["task"], row["shots"]) != (task, int(shots))]
            record["tasks"] = [*rest, {"task": task, "shots": int(shots), "rows": rows_of(runs)}]
            given.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")
    given.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def rows_of(runs: dict[str, list[Row]]) -> list[Row]:
    """A row for each way, with what it adds to fine-tuning alone."""
    base = [run["macro_f1"] for run in runs["first token"]]
    rows = []
    for name, own in runs.items():
        row: Row = {"way": name, **{key: [run[key] for run in own] for key in ("macro_f1", "seconds", "told")}}
        if name != "first token" and len(base) > 1:
            row["adds"] = added(row["macro_f1"], base)
        rows.append(row)
    return rows


def measured(workspace: Workspace, name: str, shots: int, seed: int, given: argparse.Namespace) -> dict[str, Row]:
    """Every way to a classifier, for one draw of the examples."""
    recipe_ = recipe(name, shots, given)
    workshop = workspace._workshop(recipe_, given.data)
    task = workshop.prepare(recipe_, seed)
    ids = task.test.frame["id"].to_list()
    chosen = [ids[row] for row in np.sort(np.random.default_rng(0).permutation(len(ids))[: given.evaluation])]
    known = dict(zip(ids, task.test.frame["text"].to_list(), strict=True))
    texts = [known[one] for one in chosen]
    truth = [
        task.labels.index(one) for one in evaluation_truth(recipe_, workshop.corpora, task, workshop.session, chosen)
    ]
    none, settings = task.pool.frame.head(0), recipe_.train
    first = settings.model_copy(update={"contrastive": type(settings.contrastive)(), "head": "first"})
    train = examples(task.target.frame)
    codes = np.array([task.labels.index(label) for label in train.labels])

    def scored(predicted: Any, started: float, told: Row) -> Row:
        points = score(truth, [int(one) for one in predicted], "macro_f1")
        return {"macro_f1": points, "seconds": round(time.perf_counter() - started, 1), "told": told}

    def probed(body: Body | None) -> Any:
        sides = [vectors(settings, body, task.labels, part) for part in (list(train.texts), texts)]
        shares = probe.shares_of(np.ones(len(codes)), np.empty(0))
        return probe.fit(sides[0], codes, shares, len(task.labels)).probabilities(sides[1]).argmax(axis=1)

    started = time.perf_counter()
    ways = {"probe": scored(probed(None), started, {})}
    for way, own in (("first token", first), ("mean", first.model_copy(update={"head": "mean"}))):
        started = time.perf_counter()
        ways[way] = scored(fit(own, task, none).classifier.predict(texts).argmax(axis=1), started, {})
    if given.setfit:
        own, run = setfit(given.setfit, train, texts, given.contrastive, seed)
        ways["SetFit"] = {**scored([task.labels.index(label) for label in own], 0, run), "seconds": run.pop("seconds")}
    nearest = pairs_of(settings, task, none)
    assert nearest is not None
    kinds = {"nearest pairs": nearest, **({"random pairs": at_random(nearest, codes, seed)} if given.random else {})}
    for kind, pairs in kinds.items():
        kept = given.work / f"{name}-{shots}-{seed}-{kind.partition(' ')[0]}.safetensors"
        started = time.perf_counter()
        ready = contrasted(
            settings, train, None, pairs, Prepared(None, {}, 0), task.labels, seed=seed, progress=None, checkpoint=kept
        )
        ways[f"{kind}, probe"] = scored(probed(ready.body), started, ready.uses["contrastive"])
        tuned = fit(settings, task, none, pairs=pairs, checkpoint=kept)  # goes on after the steps on pairs
        ways[f"{kind}, mean"] = scored(
            tuned.classifier.predict(texts).argmax(axis=1), started, tuned.uses["contrastive"]
        )
    return ways


def setfit(python: str, train: Examples, texts: list[str], steps: int, seed: int) -> tuple[list[str], Row]:
    """What SetFit says of ``texts``, and what it took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.json").write_text(json.dumps({"text": train.texts, "label": train.labels}), "utf8")
        (folder / "test.json").write_text(json.dumps(texts), "utf8")
        script = [python, str(HERE / "setfit_rival.py"), str(embedded_model()), name, str(steps), str(seed)]
        ran = subprocess.run(script, check=True, capture_output=True, text=True)
        return json.loads((folder / "predicted.json").read_text("utf8")), json.loads(ran.stdout.splitlines()[-1])


def at_random(pairs: Pairs, codes: "np.ndarray[Any, Any]", seed: int) -> Pairs:
    """As many partners of each document and kind, drawn instead of found."""
    rng = np.random.default_rng([seed, 5])
    rows = pairs.rows.copy()
    for same in (True, False):
        for anchor in np.unique(rows[:, 0]):
            own = np.flatnonzero((rows[:, 0] == anchor) & (pairs.same == same))
            there = np.flatnonzero(((codes == codes[anchor]) == same) & (np.arange(len(codes)) != anchor))
            rows[own, 1] = rng.permutation(there)[: len(own)]
    return Pairs(rows, pairs.same)


def vectors(settings: Any, body: Body | None, labels: tuple[str, ...], texts: list[str]) -> Any:
    """(n, d) sentence vectors by a body."""
    model, tokenizer = load_pretrained(settings.model, labels)
    model = with_body(model, body).train(False)
    ids, _ = tokenise(tokenizer, texts, settings.max_length)
    rows_of_all = np.empty((len(ids), int(model.config.hidden_size)), np.float32)
    with torch.inference_mode(), mixed(model, precision(settings.precision)):
        for rows in token_batches([len(tokens) for tokens in ids], 2_048):
            rows_of_all[rows] = sentence_vectors(model, tokenizer, [ids[row] for row in rows]).cpu().numpy()
    return rows_of_all


def among_many(given: argparse.Namespace) -> Row:
    """Pairs among so many labelled documents: seconds to find them, and for ten steps on them.

    The texts are titles; labels and vectors are made, as they decide which pairs there are and not how long it takes.
    """
    texts = pl.read_parquet(given.data / f"{BULK}.parquet", columns=["text"], n_rows=given.pool)["text"].to_list()
    rng = np.random.default_rng(0)
    codes, drawn = rng.integers(0, LABELS, len(texts)), np.zeros(len(texts), bool)
    made = rng.normal(size=(LABELS, 384))[codes] + 2 * rng.normal(size=(len(texts), 384))
    unit = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    settings = Train.model_validate({"max_length": 64, "contrastive": {"steps": given.contrastive}})
    own = settings.contrastive
    drawn[rng.permutation(len(texts))[: own.steps * own.batch_size]] = True
    names = [f"label {code}" for code in codes]
    documents = Relation(pl.DataFrame({"label": names, "text": texts, "drawn": drawn}), Vectors.of(unit, unit=True))
    started = time.perf_counter()
    pairs = found(documents, own.neighbours)
    seconds = time.perf_counter() - started
    few = settings.model_copy(update={"contrastive": own.model_copy(update={"steps": 10})})
    started = time.perf_counter()
    ready = contrasted(
        few, Examples(tuple(texts), tuple(names)), None, pairs, Prepared(None, {}, 0), tuple(sorted(set(names))),
        seed=0, progress=None, checkpoint=None,
    )  # fmt: skip
    row = {
        "documents": len(texts),
        "labels": LABELS,
        "anchors": len(np.unique(pairs.rows[:, 0])),
        "pairs": len(pairs),
        "seconds": round(seconds, 1),
        "steps": ready.steps,
        "steps_seconds": round(time.perf_counter() - started, 1),
    }
    print(row, flush=True)
    return row


def recipe_values(name: str, shots: int, given: argparse.Namespace) -> Row:
    """What a recipe of a task has."""
    about = TASKS[name]
    target: Row = {"path": f"{about['target']}.parquet"}
    ends: Row = {"target": {**target, "where": "split = 'train'"}, "test": {**target, "where": "split = 'test'"}}
    if not about["split"]:
        ends = {"target": target, "split": {"test": 0.3}}
    return {
        "name": f"contrastive-{name}-{shots}",
        "task": {**ends, "shots": shots},
        "pool": {"other": {"path": f"{about['pool']}.parquet", "serves": "text", "sample": 100}},
        "train": {
            "steps": given.steps,
            "learning_rate": RATE,
            "max_length": 64,
            "evaluate_every": given.steps,
            "head": "mean",
            "contrastive": {"steps": given.contrastive},
        },
    }


def recipe(name: str, shots: int, given: argparse.Namespace) -> Recipe:
    """A task's own."""
    return Recipe.parse(recipe_values(name, shots, given))


if __name__ == "__main__":
    main()
