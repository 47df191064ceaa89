"""What is a document worth that carries no label of the task: as text, as a task of its own, or for a teacher?

    python benchmarks/uses.py --data DIR --work DIR [--seeds N] [--others] [--tasks a,b]

The tasks of TASKS, each a few labelled examples of every label and a pool without a label of the task: two other sets
of intents for banking77, text of several kinds for the others, relevant and not. A mix is the ``BUDGET`` documents
nearest to a target document, and the embedded MiniLM, which is a BERT, is fine-tuned for as many steps as TASKS says
(more where there are more examples) on the examples alone or also on these documents: on their text first (``text``:
masked words, or with ``--others`` SimCSE; beside it a random draw of the same pool and size), on their sources' own
labels first, or with ``--others`` beside (``auxiliary``), or with the labels of a model trained on the examples
(``teacher``). The examples' steps are the same for all; what comes before them comes on top, and is told. Macro-F1 in
points on 1,000 test documents, ``--seeds`` draws of examples and weights, and what each use adds to the target alone:
the mean over the seeds and its 95 % interval (Student's t, uncorrected). The learning rate was chosen on training
documents of banking77; all else is the default, and README.md says which defaults were settled after a look at these
test sets. A run that was stopped goes on where it was.
"""

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

from circumstances import circumstances

from curator import Recipe, Workspace
from curator.race.statistics import interval, score

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
BUDGET = 2_000
RATE = 5e-4
TASKS: dict[str, Row] = {
    "banking77": {
        "shots": {4: 200, 16: 400},
        "target": "intent/banking77",
        "split": True,
        "pool": {"clinc150": "intent/clinc150", "hwu64": "intent/hwu64"},
        "serves": "auxiliary",
    },
    "scicite": {
        "shots": {16: 100},
        "target": "scientific/scicite",
        "split": True,
        "pool": {"sentences": "bulk/biomedical_sentences", "titles": "bulk/paper_titles", "talk": "bulk/reddit_titles"},
        "serves": "text",
    },
    "airline_tweets": {
        "shots": {16: 100},
        "target": "sentiment/airline_tweets",
        "split": False,
        "pool": {
            "tweets": "sentiment/semeval2017_tweets",
            "talk": "bulk/reddit_titles",
            "queries": "bulk/search_queries",
        },
        "serves": "text",
    },
}
SAMPLE = 12_000  # of each source
# What the arms of a race are called in the record; those of the second race have other settings.
ARMS = {
    "target-only": "target only",
    "mix-as-auxiliary": "auxiliary, before",
    "mix-as-text": "text, masked words",
    "random-as-text": "random text, masked words",
    "mix-as-teacher": "teacher",
}
OTHER_ARMS = {
    "mix-as-auxiliary": "auxiliary, beside",
    "mix-as-text": "text, SimCSE",
    "random-as-text": "random text, SimCSE",
}
OTHER = {"text": {"objective": "simcse"}, "auxiliary": {"place": "beside"}}


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Uses of documents without a label of the task.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--work", type=Path, metavar="DIR", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--others", action="store_true", help="SimCSE and other tasks beside, too")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--out", type=Path, default=HERE / "records" / "uses.json")
    given = parser.parse_args()
    command = f"python benchmarks/uses.py --data DIR --work DIR --seeds {given.seeds}"
    command += " --others" * given.others + f" --tasks {given.tasks}"
    record = circumstances(command, ("torch", "transformers"))
    record |= {"seeds": given.seeds, "budget": BUDGET, "learning_rate": RATE, "tasks": []}
    workspace = Workspace(given.work)
    for task in given.tasks.split(","):
        for shots in TASKS[task]["shots"]:
            record["tasks"].append(raced(workspace, task, shots, given))
            given.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def raced(workspace: Workspace, task: str, shots: int, given: argparse.Namespace) -> Row:
    """Both races of a task, and what each use adds to the target alone."""
    about = TASKS[task]
    runs: dict[str, list[Row]] = {}
    truth: list[int] = []
    for suffix, arms, changes in (("", ARMS, {}), *([("-other", OTHER_ARMS, OTHER)] if given.others else [])):
        names = [arm for arm in arms if about["serves"] == "auxiliary" or "auxiliary" not in arm]
        values = recipe(task, shots, given.seeds, names, changes)
        values["name"] = f"{task}-{shots}{suffix}"
        result = workspace.race(Recipe.parse(values), data=given.data).record
        truth = result["evaluation"]["truth"]
        for run in result["runs"]:
            if run["error"]:
                raise SystemExit(f"{values['name']}, {run['arm']}, seed {run['seed']}: {run['error']}")
            runs.setdefault(arms[run["arm"]], []).append(run)
    scores = {name: [score(truth, run["predictions"], "macro_f1") for run in own] for name, own in runs.items()}
    rows = []
    for name, own in runs.items():
        rows.append({"use": name, "macro_f1": scores[name], "seconds": [run["seconds"] for run in own]})
        rows[-1]["told"] = [run["uses"] for run in own]
        if name != "target only":
            rows[-1]["adds"] = added(scores[name], scores["target only"])
        print(task, shots, name, round(mean(scores[name]), 4), rows[-1].get("adds"), flush=True)
    return {"task": task, "shots": shots, "steps": about["shots"][shots], "labels": len(set(truth)), "rows": rows}


def recipe(task: str, shots: int, seeds: int, arms: list[str], changes: Row) -> Row:
    """The recipe of a race."""
    about = TASKS[task]
    target: Row = {"path": f"{about['target']}.parquet"}
    ends: Row = {"target": {**target, "where": "split = 'train'"}, "test": {**target, "where": "split = 'test'"}}
    if not about["split"]:
        ends = {"target": target, "split": {"test": 0.3}}
    serves = about["serves"]
    return {
        "task": {**ends, "shots": shots},
        "pool": {
            name: {"path": f"{path}.parquet", "serves": serves, "sample": SAMPLE}
            for name, path in about["pool"].items()
        },
        "stage": [
            {"use": "exact_duplicates"},
            {"use": "relevance", "min_score": -1.0},
            {"use": "ratio", "budget": BUDGET, "by": "serves"},
        ],
        "train": {"steps": about["shots"][shots], "learning_rate": RATE, "max_length": 64, **changes},
        "race": {"arms": arms, "seeds": seeds, "evaluation": 1_000},
    }


def added(scores: list[float], base: list[float]) -> Row:
    """The mean difference over seeds, and its interval."""
    gaps = [one - other for one, other in zip(scores, base, strict=True)]
    bounds = interval(gaps)
    assert bounds is not None  # there are seeds enough
    return {"mean": mean(gaps), "low": bounds.low, "high": bounds.high}


if __name__ == "__main__":
    main()
