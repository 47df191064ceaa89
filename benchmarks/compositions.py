"""Does composing a mix in one way or another help a probe more than random documents do?

    python benchmarks/compositions.py --data DIR --work DIR [--draws N] [--budget N] [--tasks a,b] [--pools clean,real]

Each task of pools.py, at 4, 16 and 64 examples a label, over ``--draws`` draws of the examples: every composition of
COMPOSITIONS picks ``--budget`` (1,500) documents of the same decontaminated pool, and the probe (``curator.probe``) is
trained on them and the examples, half of the loss each. Told is macro-F1 on up to 2,000 test documents, the same for
all, and the seconds that the stages took. A mix whose stages leave no document is scored as the target alone.
``target only`` and ``full`` are outside the budget. The pools are those of pools.py: ``clean`` ones of related
sources, and ``real`` ones with one label in eight wrong, irrelevant text that carries a label by chance, and repeats.
Parameters are defaults or what the method's paper says, but for what the budget sets; README.md says which defaults
were settled after a look at these test sets. The graphs of ``knowledge/``, by which ``knowledge`` goes, were written
by hand. The four of ONCE are run on the first draw alone. A run that was stopped goes on where it was, as long as the
commit is the same, or one of ``--same``; each row has its own.
"""

import argparse
import dataclasses
import itertools
import json
import time
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pools
from circumstances import circumstances

from curator import CuratorWarning, Recipe, Workspace, probe
from curator.errors import DataError
from curator.mix import Task, Workshop, build, evaluation_truth, steps
from curator.relation import Relation

Row = dict[str, Any]
Stages = list[Row]

HERE = Path(__file__).resolve().parent
SHOTS = (4, 16, 64)
EVALUATED = 2_000
ONCE = ("k_center, any label", "facility_location, any label", "mmr, any label", "dpp, any label")
SEED = 0


def compositions(budget: int) -> dict[str, Stages]:
    """The stages of each way to compose a mix; what only scores is cut to the same number of each label."""
    balanced = {"use": "ratio", "budget": budget, "by": "label", "temperature": float("inf")}
    at_random = {**balanced, "order": "random"}
    return {
        "random": [{"use": "ratio", "budget": budget, "by": "label", "order": "random"}],
        "random-balanced": [at_random],
        "relevance": [{"use": "relevance", "min_score": -1.0}, balanced],
        "relevance_label": [{"use": "relevance_label", "min_score": -1.0}, balanced],
        "domain": [{"use": "domain", "min_score": -100.0}, balanced],
        "pairing": [{"use": "pairing", "k": 100}, balanced],
        "pairing, any label": [{"use": "pairing", "k": 100, "same_label": False}, balanced],
        "pairing, mutual": [{"use": "pairing", "k": 1000, "mutual": True, "partners": 3}, balanced],
        "round_robin": [{"use": "round_robin", "budget": budget}],
        "round_robin, any label": [{"use": "round_robin", "budget": budget, "same_label": False}],
        "tsds": [{"use": "tsds", "budget": budget}],
        "found_ratio": [{"use": "found_ratio", "budget": budget, "order": "random"}],
        "found_ratio, by label": [{"use": "found_ratio", "budget": budget, "by": "source, label", "order": "random"}],
        "hierarchy": [{"use": "hierarchy", "budget": budget, "levels": "label", "clusters": "100, 10"}],
        "k_center": [{"use": "k_center", "budget": budget}],
        "k_center, any label": [{"use": "k_center", "budget": budget, "balanced": False}],
        "facility_location": [{"use": "facility_location", "budget": budget}],
        "facility_location, any label": [{"use": "facility_location", "budget": budget, "balanced": False}],
        "mmr": [{"use": "mmr", "budget": budget, "trade_off": 0.7}],
        "mmr, any label": [{"use": "mmr", "budget": budget, "trade_off": 0.7, "balanced": False}],
        "dpp": [{"use": "dpp", "budget": budget, "theta": 3.0}],
        "dpp, any label": [{"use": "dpp", "budget": budget, "theta": 3.0, "balanced": False}],
        "knn_shapley": [{"use": "knn_shapley", "on": "both", "min_value": -1.0}, balanced],
        "influence": [{"use": "influence", "min_score": -4.0}, balanced],
        "knowledge": [{"use": "knowledge", "min_score": 0.0}, balanced],
        "knowledge, same label": [{"use": "knowledge", "min_score": 0.0, "same_label": True}, balanced],
        "label_noise": [{"use": "label_noise"}, at_random],
        "trust": [{"use": "trust"}, at_random],
        "trust, weights": [{"use": "trust", "action": "weight"}, at_random],
        "source_value": [{"use": "source_value"}, at_random],
        "source_value, weights": [{"use": "source_value", "action": "weight"}, at_random],
        "trust, label_noise, pairing": [
            {"use": "trust"},
            {"use": "label_noise"},
            {"use": "pairing", "k": 100},
            balanced,
        ],
    }


def main() -> None:
    """Run every cell, print it and write the record."""
    parser = argparse.ArgumentParser(description="A probe race of compositions.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--work", type=Path, metavar="DIR", required=True, help="keeps pools, vectors, finished cells")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--budget", type=int, default=1_500)
    parser.add_argument("--tasks", default=",".join(pools.TASKS))
    parser.add_argument("--pools", default="clean,real")
    parser.add_argument("--same", default="", help="commits whose finished cells are still right, with commas")
    parser.add_argument("--out", type=Path, default=HERE / "records" / "compositions.json")
    arguments = parser.parse_args()
    told = f"--draws {arguments.draws} --budget {arguments.budget} --tasks {arguments.tasks} --pools {arguments.pools}"
    command = f"python benchmarks/compositions.py --data DIR --work DIR {told}"
    record = circumstances(command, ("duckdb", "faiss-cpu", "numpy", "polars", "scikit-learn"))
    record |= {"draws": arguments.draws, "budget": arguments.budget, "evaluated": EVALUATED}
    cells = Cells(arguments.work / f"cells-{arguments.budget}.jsonl", record["commit"], arguments.same.split(","))
    found = []
    for name in arguments.tasks.split(","):
        for kind in arguments.pools.split(","):
            out = arguments.work / kind / name
            pools.prepare(name, pools.TASKS[name], arguments.data, out, clean=kind == "clean")
            ws = Workspace(arguments.work / "workspaces" / f"{name}-{kind}")
            race = Race(name, kind, out, ws, arguments.budget)
            for shots, draw in itertools.product(SHOTS, range(arguments.draws)):
                rows = cells.of(race, shots, draw)
                found += rows
                scores = {row["composition"]: round(row["score"], 3) for row in rows}
                print(name, kind, shots, draw, scores, flush=True)
    record["cells"] = found
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


class Cells:
    """Finished compositions of a commit, or some that are the same, one a line, so that a stopped run goes on."""

    def __init__(self, path: Path, commit: str, same: list[str]) -> None:
        self.path, self.commit = path, commit
        lines = path.read_text("utf8").splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines]
        self.known = {self.key(row): row for row in rows if row["commit"] in (commit, *same)}

    @staticmethod
    def key(row: Row) -> tuple[Any, ...]:
        return tuple(row[name] for name in ("task", "pool", "shots", "draw", "composition"))

    def of(self, race: "Race", shots: int, draw: int) -> list[Row]:
        """Every composition of a cell; those that are known are not run again."""
        shared = {"task": race.name, "pool": race.kind, "shots": shots, "draw": draw}
        names = ["target only", "full", *compositions(race.budget)]
        names = [name for name in names if not draw or name not in ONCE]
        missing = [name for name in names if self.key({**shared, "composition": name}) not in self.known]
        for row in race.cell(shots, draw, missing) if missing else ():
            whole = {**shared, **row, "commit": self.commit}
            self.known[self.key(whole)] = whole
            with self.path.open("a", encoding="utf8") as file:
                file.write(json.dumps(whole) + "\n")
        return [self.known[self.key({**shared, "composition": name})] for name in names]


class Race:
    """One task with one pool."""

    def __init__(self, name: str, kind: str, folder: Path, ws: Workspace, budget: int) -> None:
        self.name, self.kind, self.folder, self.budget = name, kind, folder, budget
        self.sources = [path.stem for path in sorted(folder.glob("*.parquet")) if path.stem not in ("target", "test")]
        self.workshop: Workshop = ws._workshop(None)
        self.pool: Relation | None = None

    def recipe(self, shots: int, stages: Stages, *, decontaminate: bool) -> Recipe:
        files = {name: {"path": str(self.folder / f"{name}.parquet")} for name in self.sources}
        ends = {role: str(self.folder / f"{role}.parquet") for role in ("target", "test")}
        task = {**ends, "shots": shots, "decontaminate": decontaminate}
        graph = {of: {"path": str(HERE / "knowledge" / f"{self.name}-{of}.csv")} for of in ("concepts", "relations")}
        return Recipe.parse({"name": self.name, "task": task, "pool": files, "stage": stages, "knowledge": graph})

    def cell(self, shots: int, draw: int, names: Collection[str]) -> Iterator[Row]:
        """Some compositions for one draw of the examples."""
        task = self.workshop.prepare(self.recipe(shots, [], decontaminate=False), draw)
        task = dataclasses.replace(task, pool=self.cleaned(task))
        self.evaluate_on(task)
        usable = task.pool.take(np.flatnonzero(task.pool.frame["label"].is_not_null().to_numpy()))
        for name, selected in (("target only", usable.take(np.empty(0, np.int64))), ("full", usable)):
            if name in names:
                yield {"composition": name, "score": self.score(task, selected), "documents": len(selected)}
        for name, stages in compositions(self.budget).items():
            if name in names:
                yield {"composition": name, **self.composed(task, shots, stages)}

    def composed(self, task: Task, shots: int, stages: Stages) -> Row:
        """Score, documents and seconds of a mix of these stages."""
        plan = steps(dataclasses.replace(task, recipe=self.recipe(shots, stages, decontaminate=False)))
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CuratorWarning)
            try:
                frame = build(task, plan, self.workshop.session).frame
            except DataError:  # its stages leave no document: what is trained on is the target alone
                frame = task.pool.frame.clear()
        seconds = time.perf_counter() - started
        return {"score": self.score(task, chosen(task.pool, frame)), "documents": len(frame), "seconds": seconds}

    def cleaned(self, task: Task) -> Relation:
        """The pool without what is in the test set; it is the same for every draw."""
        if self.pool is None:
            plan = steps(dataclasses.replace(task, recipe=self.recipe(4, [], decontaminate=True)))
            self.pool = chosen(task.pool, build(task, plan, self.workshop.session).frame)
        return self.pool

    def evaluate_on(self, task: Task) -> None:
        """The test documents that everything is measured on, with their labels."""
        ids = task.test.frame["id"]
        rows = np.sort(np.random.default_rng(SEED).permutation(len(ids))[:EVALUATED])
        self.test = task.test.vectors.take(rows).matrix()
        recipe = self.recipe(4, [], decontaminate=False)
        self.truth = evaluation_truth(
            recipe, self.workshop.corpora, task, self.workshop.session, ids.gather(rows).to_list()
        )

    def score(self, task: Task, selected: Relation) -> float:
        """Macro-F1 of a probe of the examples and what was selected, each side with half of the loss."""
        names = list(task.labels)
        sides = [side.frame["label"].replace_strict(names, range(len(names))) for side in (task.target, selected)]
        codes = np.concatenate([side.to_numpy().astype(np.int64) for side in sides])
        rows = np.concatenate([task.target.vectors.matrix(), selected.vectors.matrix()])
        weights = selected.frame["weight"].to_numpy()
        shares = probe.shares_of(np.ones(len(task.target)), weights)
        predicted = probe.fit(rows, codes, shares, len(names)).log_probabilities(self.test).argmax(axis=1)
        truth = np.array([names.index(label) for label in self.truth])
        return probe.macro_f1(truth, predicted)


def chosen(pool: Relation, frame: pl.DataFrame) -> Relation:
    """The documents of a mix, with its labels and weights and the pool's vectors."""
    rows = pool.frame.with_row_index("_row").join(frame.select("corpus", "id"), on=["corpus", "id"], how="semi")
    taken = pool.take(rows["_row"].to_numpy().astype(np.int64))
    given = taken.frame.select("corpus", "id").join(
        frame.select("corpus", "id", "label", "weight"), on=["corpus", "id"], how="left", maintain_order="left"
    )
    return taken.with_frame(taken.frame.with_columns(given["label"], given["weight"]))


if __name__ == "__main__":
    main()
