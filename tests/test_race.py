"""A whole race, with a tiny BERT and the toy encoder: equal budgets, one evaluation, resumed runs, failing arms."""

import json

import pytest
from test_training import one_thread, tiny  # noqa: F401  fixtures

from curator import Recipe, Workspace
from curator.race import run as race_run
from curator.race.statistics import score


@pytest.fixture
def recipe(tmp_path, tiny):  # noqa: F811  the fixture above
    def write(name, kind, n):
        rows = [
            {"id": f"{name}{label}{i}", "text": f"{kind} {label} words of {name} {i}", "label": label}
            for i in range(n)
            for label in ("good", "bad")
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    write("target", "desk", 10)
    write("test", "counter", 15)
    write("shop", "shop", 30)
    return Recipe.parse(
        {
            "name": "race",
            "task": {"target": "target.jsonl", "test": "test.jsonl", "shots": 8},
            "pool": {"shop": {"path": "shop.jsonl"}},
            "stage": [{"use": "ratio", "budget": 11}],
            "train": {"model": str(tiny), "steps": 3, "batch_size": 4, "max_length": 16, "precision": "fp32"},
            "race": {"seeds": 2, "evaluation": 20},
        },
        folder=tmp_path,
    )


def test_a_race_is_run_at_equal_budget_and_resumed(tmp_path, toy, recipe, monkeypatch):
    ws = Workspace(tmp_path / "work", encoder=toy)
    race = ws.race(recipe)
    runs = {(run["arm"], run["seed"]): run for run in race.record["runs"]}
    assert len(runs) == 5 * 2
    assert {run["error"] for run in runs.values()} == {None}
    assert {run["steps"] for run in runs.values()} == {3}
    assert {len(run["predictions"]) for run in runs.values()} == {20}
    documents = {arm: {runs[arm, seed]["documents"] for seed in (0, 1)} for arm in recipe.race.arms}
    assert documents == {"mix": {11}, "random": {11}, "random-balanced": {11}, "target-only": {0}, "full": {60}}
    truth = race.record["evaluation"]["truth"]
    wanted = ["bad" if "bad" in name else "good" for name in race.record["evaluation"]["ids"]]
    assert [race.record["labels"][label] for label in truth] == wanted
    shown = {row["arm"]: row["mean"] for row in race.table()}
    means = [score(truth, runs["full", seed]["predictions"], "macro_f1") for seed in (0, 1)]
    assert shown["full"] == pytest.approx(sum(means) / 2)
    predicted = ws.predict("race", str(tmp_path / "test.jsonl"))
    assert set(predicted["label"]) <= {"good", "bad"}

    damaged = race.directory / "runs" / "full-seed1.json"
    damaged.write_text(damaged.read_text().replace('"seed": 1', '"seed": 0'))
    trained, fine_tune = [], race_run.fine_tune

    def watched(*settings, **rest):
        trained.append(rest["seed"])
        return fine_tune(*settings, **rest)

    monkeypatch.setattr(race_run, "fine_tune", watched)
    again = ws.race(recipe).record["runs"]
    assert trained == [1]  # the run whose file is not what was written
    timeless = [{name: value for name, value in run.items() if "seconds" not in name} for run in again]
    assert timeless == [{name: run[name] for name in run if "seconds" not in name} for run in race.record["runs"]]
    assert ws.check() == []


def test_an_arm_that_fails_is_reported_and_the_others_finish(tmp_path, toy, recipe, monkeypatch):
    true = race_run.fine_tune

    def fails_on_everything(settings, *, selected, **rest):
        if selected is not None and len(selected.texts) == 60:
            raise RuntimeError("out of memory")
        return true(settings, selected=selected, **rest)

    monkeypatch.setattr(race_run, "fine_tune", fails_on_everything)
    race = Workspace(tmp_path / "work", encoder=toy).race(recipe)
    errors = {(run["arm"], run["error"]) for run in race.record["runs"] if run["error"]}
    assert errors == {("full", "out of memory")}
    assert len([run for run in race.record["runs"] if run["error"] is None]) == 8
    assert "out of memory" in race.report().read_text("utf8")
