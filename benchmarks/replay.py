"""What is left of an earlier task when a model learns a new one, without a replay and with one?

    python benchmarks/replay.py --data DIR --work DIR [--seeds N] [--steps N] [--shares A,B] [--pairs a,b]

The pairs of PAIRS: intents of a bank and then of an assistant at home, which share no label, and sentiment of tweets to
airlines and then of reviews of apps, which have the same three. Each task has ``SHOTS`` labelled examples a label, and
a pool of its own training documents, other ones, of which a mix takes as many again by label. The embedded MiniLM,
which is a BERT, is fine-tuned on the earlier task for ``--steps`` steps (seed 0), and that model then on the new one
for as many, at ``--seeds`` draws of examples and weights: without a replay, and with one for each share of the loss.
Macro-F1 in points on 1,000 test documents of each task, predictions among the labels of both; before, as the earlier
model was; means over seeds and their 95 % intervals (Student's t, uncorrected). The learning rate was chosen on
training documents of banking77 (``uses.py``), the share of one half is that of Rolnick et al. (2019), and no default
was settled by what came out. A run that was stopped goes on where it was.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from circumstances import circumstances

from curator import Recipe, Workspace
from curator.race.retention import retained

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
SHOTS = 16
RATE = 5e-4
PAIRS: dict[str, tuple[str, str]] = {
    "intents": ("intent/banking77", "intent/hwu64"),
    "sentiment": ("sentiment/airline_tweets", "sentiment/google_play_reviews"),
}
LABELS = {"banking77": 77, "hwu64": 64, "airline_tweets": 3, "google_play_reviews": 3}
# The documents that examples are drawn from, the pool and the test set.
OFFICIAL = ("split = 'train' AND hash(id) % 2 = 0", "split = 'train' AND hash(id) % 2 = 1", "split = 'test'")
PARTS = {
    "banking77": OFFICIAL,
    "hwu64": OFFICIAL,
    "airline_tweets": tuple(f"hash(id) % 12 = {number}" for number in range(3)),
    "google_play_reviews": tuple(f"hash(id) % 32 = {number}" for number in range(3)),
}


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="A new task with and without a replay of an earlier one.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--work", type=Path, metavar="DIR", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--shares", default="0.5,0.1")
    parser.add_argument("--pairs", default=",".join(PAIRS))
    parser.add_argument("--out", type=Path, default=HERE / "records" / "replay.json")
    given = parser.parse_args()
    command = f"python benchmarks/replay.py --data DIR --work DIR --seeds {given.seeds} --steps {given.steps}"
    command += f" --shares {given.shares}" + f" --pairs {given.pairs}" * (given.pairs != ",".join(PAIRS))
    record = circumstances(command, ("torch", "transformers"))
    record |= {"seeds": given.seeds, "steps": given.steps, "shots": SHOTS, "learning_rate": RATE, "pairs": []}
    workspace = Workspace(given.work)
    for pair in given.pairs.split(","):
        record["pairs"].append(measured(workspace, pair, given))
        given.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def measured(workspace: Workspace, pair: str, given: argparse.Namespace) -> Row:
    """The model of the earlier task, and a race of the new one for each share."""
    before, after = PAIRS[pair]
    name, model = f"{pair}-earlier", given.work / "earlier" / pair
    if not (model / "curator.json").exists():
        workspace.train(Recipe.parse(recipe(name, before, given)), data=given.data, output=model)
    rows: list[Row] = []
    for number, share in enumerate(given.shares.split(",")):
        values = recipe(f"{pair}-{share.replace('.', '_')}", after, given)
        values["train"] |= {"model": str(model), "replay": {"mix": name, "share": float(share)}}
        values["race"]["arms"] = ["mix", "mix-without-replay"][: 2 if number == 0 else 1]
        record = workspace.race(Recipe.parse(values), data=given.data).record
        for run in record["runs"]:
            if run["error"]:
                raise SystemExit(f"{record['name']}, {run['arm']}, seed {run['seed']}: {run['error']}")
        seconds = {
            arm: [run["seconds"] for run in record["runs"] if run["arm"] == arm] for arm in values["race"]["arms"]
        }
        for one in retained(record):
            replays = one.arm == "mix"
            rows.append(
                {
                    "share": float(share) if replays else None,
                    "task": (after if one.new else before).partition("/")[2],
                    "new": one.new,
                    "before": one.before,
                    "macro_f1": list(one.scores),
                    "seconds": seconds[one.arm],
                    "replayed": record["replay"]["seeds"] if replays and not one.new else [],
                }
            )
            print(pair, share if replays else "none", rows[-1]["task"], one.before, one.mean, flush=True)
    return {"pair": pair, "earlier": before, "new": after, "rows": rows}


def recipe(name: str, path: str, given: argparse.Namespace) -> Row:
    """The recipe of a task: examples and pool are different training documents."""
    task = path.partition("/")[2]
    target, pool, test = ({"path": f"{path}.parquet", "where": part} for part in PARTS[task])
    return {
        "name": name,
        "task": {"target": target, "test": test, "shots": SHOTS},
        "pool": {task: pool},
        "stage": [{"use": "exact_duplicates"}, {"use": "ratio", "budget": SHOTS * LABELS[task], "by": "label"}],
        "train": {"steps": given.steps, "learning_rate": RATE, "max_length": 64},
        "race": {"arms": ["mix"], "seeds": given.seeds, "evaluation": 1_000},
    }


if __name__ == "__main__":
    main()
