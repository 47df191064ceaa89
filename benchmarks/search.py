"""What does a search on dev find, and how much of it is there on the test set?

    pip install 'curator[tune]'
    python benchmarks/search.py --data DIR --work DIR [--trials N] [--seeds N] [--out FILE]

Tweets to airlines, 64 examples of each label of which a fifth is dev; the mix is the nearest labelled tweets on any
subject. ``curator tune`` searches learning rate, λ and budget with so many trials for the mix, and learning rate and
batch size for the examples alone, the first of them being the recipe as it is. Then both arms are raced with the
recipe's values and with those found, on 1,000 test documents that nothing before has read, over ``--seeds`` draws of
examples and weights; the search saw the first draw alone. Macro-F1; a gain on dev is of the best of all trials over the
first, a gain on test the mean over the seeds with its 95 % interval (Student's t).
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from circumstances import circumstances
from uses import added

from curator import Recipe, Workspace
from curator.race.statistics import score
from curator.tuning import Tuning

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
SEARCHED: dict[str, Row] = {
    "mix": {"learning_rate": [5e-5, 1e-3], "lambda": [-1.0, 0.0], "ratio.budget": [200, 4000]},
    "target-only": {"learning_rate": [5e-5, 1e-3], "batch_size": {"choices": [8, 16, 32]}},
}


def main() -> None:
    """Search, race and write the record."""
    parser = argparse.ArgumentParser(description="A search of hyper-parameters.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--work", type=Path, metavar="DIR", required=True)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "records" / "search.json")
    given = parser.parse_args()
    command = f"python benchmarks/search.py --data DIR --work DIR --trials {given.trials} --seeds {given.seeds}"
    record = circumstances(command, ("torch", "transformers", "optuna"))
    record |= {"trials": given.trials, "seeds": given.seeds, "arms": []}
    workspace = Workspace(given.work)
    for arm, searched in SEARCHED.items():
        record["arms"].append(found(workspace, arm, searched, given))
        given.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def found(workspace: Workspace, arm: str, searched: Row, given: argparse.Namespace) -> Row:
    """The search of one arm, and its values against the recipe's on test."""
    own = values(arm, given.seeds)
    started = time.perf_counter()
    tuning = workspace.tune(
        Recipe.parse({**own, "tune": {"trials": given.trials, **searched}}), data=given.data, arms=(arm,)
    )
    seconds = time.perf_counter() - started
    trials, best = tuning.arms[arm], tuning.best(arm)
    assert best is not None
    scores = [raced(workspace, one, arm, given) for one in (own, applied(own, best["values"]))]
    row: Row = {
        "arm": arm,
        "searched": searched,
        "dev_documents": tuning.dev_documents,
        "states": states(tuning, arm),
        "seconds": seconds,
        "steps_run": sum(len(trial["history"]) for trial in trials) / (len(trials) * len(best["history"])),
        "values": best["values"],
        "dev": [trials[0]["dev_macro_f1"], best["dev_macro_f1"]],
        "standard_error": best["standard_error"],
        "test": scores,
        "gain": added(scores[1], scores[0]),
    }
    print(row, flush=True)
    return row


def states(tuning: Tuning, arm: str) -> dict[str, int]:
    """How many trials ended in which state."""
    ends = [trial["state"] for trial in tuning.arms[arm]]
    return {state: ends.count(state) for state in sorted(set(ends))}


def raced(workspace: Workspace, own: Row, arm: str, given: argparse.Namespace) -> list[float]:
    """Macro-F1 in points of each seed on the test set."""
    result = workspace.race(Recipe.parse(own), data=given.data).record
    runs = [run for run in result["runs"] if run["arm"] == arm]
    if failed := next((run for run in runs if run["error"]), None):
        raise SystemExit(f"{arm}, seed {failed['seed']}: {failed['error']}")
    return [score(result["evaluation"]["truth"], run["predictions"], "macro_f1") for run in runs]


def values(arm: str, seeds: int) -> Row:
    """The recipe as it is."""
    return {
        "name": f"search-{arm}",
        "task": {"target": "sentiment/airline_tweets.parquet", "split": {"test": 0.3}, "shots": 64},
        "pool": {"tweets": {"path": "sentiment/semeval2017_tweets.parquet"}},
        "stage": [
            {"use": "exact_duplicates"},
            {"use": "relevance", "min_score": -1.0},
            {"use": "ratio", "budget": 1000, "by": "label"},
        ],
        "train": {"steps": 120, "max_length": 64},
        "race": {"arms": list(dict.fromkeys(["target-only", arm])), "seeds": seeds, "evaluation": 1_000},
    }


def applied(own: Row, best: Row) -> Row:
    """The recipe with what was found."""
    stages = [dict(stage) for stage in own["stage"]]
    train = dict(own["train"])
    for name, value in best.items():
        stage, dot, parameter = name.partition(".")
        if dot:
            next(one for one in stages if one["use"] == stage)[parameter] = value
        else:
            train[name] = value
    return {**own, "name": f"{own['name']}-found", "stage": stages, "train": train}


if __name__ == "__main__":
    main()
