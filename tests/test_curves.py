"""Learning curves: a race at each number of shots and budget, resumed, told and drawn."""

import json
from html.parser import HTMLParser

import pytest
from test_arms import COUNTER, WORDS, documents, raced, write
from typer.testing import CliRunner

from curator import Recipe, Workspace
from curator.cli import app
from curator.errors import DataError, RecipeError
from curator.race import choosing, probing
from curator.race.learning import curves
from curator.race.statistics import score
from curator.report import curves_html, curves_markdown
from curator.results import Curves


@pytest.fixture
def folder(tmp_path):
    test = documents("test", 30, 1, words=30, vocabulary=WORDS + COUNTER)
    for name, rows in (
        ("target", documents("desk", 40, 3)),
        ("test", test),
        ("shop", documents("shop", 60, 2)),
        ("mail", documents("mail", 50, 4)),
    ):
        write(tmp_path / f"{name}.jsonl", rows)
    return tmp_path


@pytest.fixture
def ws(tmp_path, toy):
    return Workspace(tmp_path / "work", encoder=toy)


def recipe_of(folder, **race):
    return raced(folder, "target-only", "random", "dsir", "mix", race=race)


def test_each_point_is_the_race_of_a_recipe_that_says_so(ws, folder):
    recipe = recipe_of(folder, shots=[16, 4], budgets=[10, 20])
    found = ws.race(recipe)
    assert isinstance(found, Curves)
    assert [name for name, _ in found.points] == [
        "shots 4, budget 10", "shots 4, budget 20", "shots 16, budget 10", "shots 16, budget 20"
    ]  # fmt: skip
    for (_, race), point in zip(found.points, found.record["points"], strict=True):
        assert {run["error"] for run in race.record["runs"]} == {None}
        assert {run["documents"] for run in race.record["runs"]} == {0, point["budget"]}
        assert race.record["evaluation"] == found.points[0][1].record["evaluation"]
        assert race.record["recipe"]["task"]["shots"] == point["shots"]
        if point not in (found.record["points"][0], found.record["points"][-1]):
            continue
        stage = [recipe.stage[0], recipe.stage[1].model_copy(update={"budget": point["budget"]})]
        task = recipe.task.model_copy(update={"shots": point["shots"]})
        race_ = recipe.race.model_copy(update={"shots": (), "budgets": ()})
        alone = recipe.model_copy(update={"name": "alone", "task": task, "stage": stage, "race": race_})
        expected = Workspace(folder / point["name"], encoder=ws._encoder).race(alone).record["runs"]
        assert [run["predictions"] for run in race.record["runs"]] == [run["predictions"] for run in expected]
    assert ws.races() == ["race-probe"]
    assert ws.check() == []
    again = Workspace(ws.root, encoder=ws._encoder).race("race-probe")
    assert isinstance(again, Curves)
    assert again.verdict == found.verdict


def test_stopped_curves_repeat_only_what_was_not_finished(ws, folder, monkeypatch):
    recipe = recipe_of(folder, shots=[4, 16])
    done, built, learnt, build = [], [], probing._learnt, choosing.tried

    def probed(task, arm):
        if len(done) == 9:
            raise KeyboardInterrupt
        done.append((arm.name, task.seed, task.recipe.task.shots))
        return learnt(task, arm)

    monkeypatch.setattr(probing, "_learnt", probed)
    monkeypatch.setattr(choosing, "tried", lambda *of: built.append(of[0].seed) or build(*of))
    with pytest.raises(KeyboardInterrupt):
        ws.race(recipe)
    assert not (ws.root / "races" / "race-probe" / "record.json").exists()
    first = list(done)
    done.append(None)  # goes on
    found = ws.race(recipe)
    rest = done[len(first) + 1 :]
    assert len(first) + len(rest) == 2 * 2 * 4
    assert not set(first) & set(rest)
    assert len(built) == 4  # dsir, two seeds at two points
    done.clear()
    again = ws.race(recipe)
    assert [race.record["runs"] for _, race in again.points] == [race.record["runs"] for _, race in found.points]
    assert done == []


def test_a_budget_is_that_of_the_last_stage_that_has_one(folder):
    stages = [{"use": "mmr", "budget": 50}, {"use": "ratio", "budget": 30}, {"use": "relevance"}]
    at = raced(folder, "mix", stage=stages, race={"budgets": [7]}).points()[0]
    assert [stage.parameters.get("budget") for stage in at.recipe.stage] == [50, 7, None]
    assert (at.shots, at.budget, at.recipe.name, at.recipe.task.shots) == (None, 7, "race-budget-7", 8)
    assert at.recipe.points() == []
    with pytest.raises(RecipeError, match=r"budgets = \[7\] are those of a stage, and no stage has one"):
        raced(folder, "mix", stage=[{"use": "relevance"}], race={"budgets": [7]})
    with pytest.raises(RecipeError, match="has a number twice"):
        raced(folder, "mix", race={"shots": [4, 4]})
    with pytest.raises(RecipeError, match="greater than or equal to 1"):
        raced(folder, "mix", race={"shots": [0]})


def test_curves_are_told_and_drawn(ws, folder):
    recipe = recipe_of(folder, shots=[4, 16])
    found = ws.race(recipe)
    races = [race.record for _, race in found.points]
    rows = {(row.arm, row.shots): row for row in curves(found.record, races)}
    assert len(rows) == 4 * 2
    runs = [run for run in races[1]["runs"] if run["arm"] == "dsir"]
    means = [score(races[1]["evaluation"]["truth"], run["predictions"], "macro_f1") for run in runs]
    assert rows["dsir", 16].mean == pytest.approx(sum(means) / 2)
    assert [(row["arm"], row["shots"], row["budget"]) for row in found.table()[:4]] == [
        ("mix", 4, None), ("target-only", 4, None), ("random", 4, None), ("dsir", 4, None)
    ]  # fmt: skip
    page, text = curves_html(found.record, races), curves_markdown(found.record, races)
    for name, race in found.points:
        assert f"{name}: {race.verdict}" in text
    HTMLParser().feed(page)
    assert page.count("<svg") == 1
    assert 'aria-label="Mean macro-F1 of each arm by shots' in page
    assert "<script" not in page
    assert page.count('<th scope="row">') == 4 * 2
    with pytest.raises(DataError, match="2 points, and records of 1 races"):
        curves(found.record, races[:1])
    with pytest.raises(DataError, match="not a record of curves"):
        curves(races[0], races)
    grid = ws.race(raced(folder, "random", "mix", race={"shots": [4, 16], "budgets": [10, 20]}))
    assert curves_html(grid.record, [race.record for _, race in grid.points]).count("<svg") == 2
    along = ws.race(raced(folder, "random", "mix", race={"budgets": [10, 20]}))
    assert "of each arm by budget" in along.report().read_text("utf8")
    single = ws.race(raced(folder, "random", "mix", race={"shots": [4]}))
    assert "of each arm by shots" in single.report().read_text("utf8")


def test_the_command_prints_each_verdict(tmp_path, folder):
    text = """
        [task]
        target = "target.jsonl"
        test = "test.jsonl"
        [pool.shop]
        path = "shop.jsonl"
        [[stage]]
        use = "ratio"
        budget = 20
        [race]
        seeds = 2
        by = "probe"
        shots = [4, 16]
        arms = ["random", "mix"]
    """
    (folder / "small.toml").write_text(text)
    assert [str(point) for point in Recipe.load(folder / "small.toml").points()] == ["shots 4", "shots 16"]
    asked = ["--workspace", str(tmp_path / "cli"), "race", str(folder / "small.toml")]
    ran = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    assert ran.output.index("shots 4") < ran.output.index("shots 16") < ran.output.index("learning curves:")
    assert ran.output.count("The mix is ") == 2
    told = CliRunner().invoke(app, [*asked, "--json"], catch_exceptions=False).stdout
    assert [row["shots"] for row in json.loads(told.splitlines()[-1])["rows"]] == [4, 4, 16, 16]
