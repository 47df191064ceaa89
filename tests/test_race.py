"""A whole race, with a tiny BERT and the toy encoder: equal budgets, one evaluation, resumed runs, failing arms."""

import json
import shutil
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from unittest import mock

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file, save_file
from test_training import one_thread, tiny  # noqa: F401  fixtures

from curator import Recipe, Workspace, probe, training
from curator.errors import DataError, RecipeError, UnknownNameError, UsageError
from curator.mix.union import StoredMix
from curator.models import fitting
from curator.race.arms import choose, choose_of
from curator.race.statistics import score
from curator.recipe import StageUse
from curator.training import Served, code

READ = Path.read_bytes


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
    assert len(runs) == 7 * 2
    assert {run["error"] for run in runs.values()} == {None}
    assert {run["steps"] for run in runs.values()} == {3}
    assert {len(run["predictions"]) for run in runs.values()} == {20}
    documents = {arm: {runs[arm, seed]["documents"] for seed in (0, 1)} for arm in recipe.race.arms}
    selecting = {arm: {11} for arm in ("mix", "random", "random-balanced", "bm25", "dsir")}
    assert documents == {**selecting, "target-only": {0}, "full": {60}}
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
    trained, fine_tune = [], fitting.fine_tune

    def watched(*settings, **rest):
        trained.append(rest["seed"])
        return fine_tune(*settings, **rest)

    monkeypatch.setattr(fitting, "fine_tune", watched)
    again = ws.race(recipe).record["runs"]
    assert trained == [1]  # the run whose file is not what was written
    timeless = [{name: value for name, value in run.items() if "seconds" not in name} for run in again]
    assert timeless == [{name: run[name] for name in run if "seconds" not in name} for run in race.record["runs"]]
    assert ws.check() == []


def test_a_race_by_probe_is_softmax_regression_on_the_vectors(tmp_path, toy, recipe, monkeypatch):
    twice = StageUse.model_validate({"use": "ratio", "budget": 80, "max_repeats": 2})
    recipe = recipe.model_copy(update={"stage": [twice]})
    ws = Workspace(tmp_path / "work", encoder=toy)
    assert sorted(set(ws.mix(recipe).frame()["weight"])) == [1, 2]
    monkeypatch.setattr(fitting, "fine_tune", None)
    raced = ws.race(recipe, probe=True)
    assert raced.directory.name == "race-probe"
    runs = {(run["arm"], run["seed"]): run for run in raced.record["runs"]}
    assert {run["error"] for run in runs.values()} == {None}
    assert {run["steps"] for run in runs.values()} == {0}
    texts = {name: row["text"] for path in tmp_path.glob("*.jsonl") for name, row in lines_of(path).items()}
    for (arm, seed), run in runs.items():
        task = ws._workshop(None).prepare(recipe, seed)
        mix = ws.mix(recipe) if not seed else None
        shots, dev = task.target.frame, task.dev.frame
        if arm == "target-only":
            chosen = []
        elif arm == "full":
            chosen = [f"shop{label}{i}" for i in range(30) for label in ("good", "bad")]
        elif arm == "mix" and mix is not None:
            chosen = mix.frame()["id"].to_list()
        else:
            continue
        names = [*shots["id"], *chosen]
        weights = mix.frame()["weight"].to_list() if arm == "mix" else [1] * len(chosen)
        shares = [(0.5 if chosen else 1) / len(shots)] * len(shots) + [0.5 * w / sum(weights) for w in weights]
        codes = np.array([int("good" in name) for name in names])
        fitted = probe.fit(toy.encode([texts[name] for name in names]).vectors, codes, np.array(shares), 2)
        given = toy.encode([texts[name] for name in raced.record["evaluation"]["ids"]]).vectors
        assert run["predictions"] == fitted.probabilities(given).argmax(axis=1).tolist(), arm
        truth = np.array([int("good" in name) for name in dev["id"]])
        losses = fitted.losses(toy.encode([texts[name] for name in dev["id"]]).vectors, truth)
        assert run["dev"]["loss"] == pytest.approx(losses.mean(), abs=1e-6)
    assert ws.race(recipe, probe=True).record["runs"] == raced.record["runs"]  # from their files
    assert not (tmp_path / "work" / "races" / "race").exists()
    assert "by probe" in raced.report().read_text("utf8")


def test_a_race_by_probe_with_another_encoder_is_another(tmp_path, toy, recipe):
    """Its runs are kept by the vectors that they came from."""
    first = Workspace(tmp_path / "work", encoder=toy).race(recipe, probe=True).record["runs"]
    other = type(toy)()
    other.key = "other"
    other.direction = lambda word: toy.direction(word[::-1] + "x")
    second = Workspace(tmp_path / "work", encoder=other).race(recipe, probe=True).record["runs"]
    fresh = Workspace(tmp_path / "fresh", encoder=other).race(recipe, probe=True).record["runs"]
    told = [[(run["arm"], run["seed"], run["predictions"], run["dev"]) for run in runs] for runs in (second, fresh)]
    assert told[0] == told[1]
    assert [run["dev"] for run in first] != [run["dev"] for run in second]


def test_a_probe_knows_balanced_classes(tmp_path, toy, recipe):
    balanced = recipe.train.model_copy(update={"class_weights": "balanced", "lambda_": -0.2})
    plain = recipe.train.model_copy(update={"lambda_": -0.2})
    where = recipe.pool["shop"].model_copy(update={"where": "label = 'good' OR id < 'shopbad2'"})
    recipe = recipe.model_copy(update={"pool": {"shop": where}})
    losses = []
    for number, train in enumerate((plain, balanced)):
        ws = Workspace(tmp_path / f"work{number}", encoder=toy)
        runs = ws.race(recipe.model_copy(update={"train": train}), probe=True).record["runs"]
        losses.append({run["arm"]: run["dev"]["loss"] for run in runs if run["seed"] == 0})
    assert losses[0]["full"] != pytest.approx(losses[1]["full"], rel=1e-3)
    assert losses[0]["target-only"] == pytest.approx(losses[1]["target-only"])


def test_a_probe_refuses_a_lambda_above_0(tmp_path, toy, recipe):
    for ends in ({"lambda_": 0.5}, {"lambda_": -0.5, "lambda_to": 0.8}):
        changed = recipe.model_copy(update={"train": recipe.train.model_copy(update=ends)})
        with pytest.raises(UsageError, match=r"a probe takes lambda from -1 to 0, and the recipe has 0\.[58]"):
            Workspace(tmp_path / "work", encoder=toy).race(changed, probe=True)


def test_a_killed_training_hides_no_raced_model(tmp_path, toy, recipe):
    ws = Workspace(tmp_path / "work", encoder=toy)
    ws.race(recipe)
    assert not list((tmp_path / "work" / "races").rglob("*seed*.safetensors"))
    (tmp_path / "work" / "models" / "race").mkdir(parents=True)
    (tmp_path / "work" / "models" / "race" / "checkpoint.safetensors").touch()
    assert len(ws.predict("race", str(tmp_path / "test.jsonl"))) == 30


def lines_of(path):
    rows = [json.loads(line) for line in path.read_text("utf8").splitlines()]
    return {row["id"]: row for row in rows}


def test_an_arm_that_fails_is_reported_and_the_others_finish(tmp_path, toy, recipe, monkeypatch):
    true = fitting.fine_tune

    def fails_on_everything(settings, *, selected, **rest):
        if selected is not None and len(selected.texts) == 60:
            raise RuntimeError("out of memory")
        return true(settings, selected=selected, **rest)

    monkeypatch.setattr(fitting, "fine_tune", fails_on_everything)
    race = Workspace(tmp_path / "work", encoder=toy).race(recipe)
    errors = {(run["arm"], run["error"]) for run in race.record["runs"] if run["error"]}
    assert errors == {("full", "out of memory")}
    assert len([run for run in race.record["runs"] if run["error"] is None]) == 12
    assert "out of memory" in race.report().read_text("utf8")


def test_a_stored_mix_is_an_arm_at_the_same_budget_without_what_is_in_the_test_set(tmp_path, toy, recipe):
    leak = json.loads((tmp_path / "test.jsonl").read_text().splitlines()[0])
    shop = [json.loads(line) for line in (tmp_path / "shop.jsonl").read_text().splitlines()]
    rows = [*shop[:18], {**leak, "id": "leak"}, {**shop[20], "id": "odd", "label": "none"}]
    (tmp_path / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ws = Workspace(tmp_path / "work", encoder=toy)
    loose = {"target": "target.jsonl", "test": "test.jsonl", "shots": 8, "decontaminate": False}
    pool = {"other": {"path": "other.jsonl", "labels": {"none": "good"}}}
    ws.mix(Recipe.parse({"name": "others", "task": loose, "pool": pool}, folder=tmp_path))
    assert len(ws.mix("others")) == 20
    arms = {"arms": ["mix", "mix:others"], "seeds": 2, "evaluation": 20}
    raced = recipe.model_copy(update={"race": type(recipe.race).model_validate(arms)})
    task = ws._workshop(None).prepare(raced, 0)
    stored = StoredMix.open(ws.catalogue, "others")
    workshop, mix = ws._workshop(None), ws.mix(raced)
    drawn = [choose_of(stored, workshop, replace(task, seed=seed), mix).documents for seed in (0, 0, 1)]
    with pytest.raises(DataError, match="has 19 documents that may train here"):
        choose_of(stored, workshop, task, ws.mix(raced.model_copy(update={"name": "wide", "stage": []})))
    assert drawn[0].equals(drawn[1])
    assert set(drawn[0]["id"]) != set(drawn[2]["id"])
    for documents in drawn:
        assert len(documents) == documents["id"].n_unique() == 11
        assert set(documents["corpus"]) == {"other"}
        assert "leak" not in documents["id"]
    race = ws.race(raced)
    assert {run["error"] for run in race.record["runs"]} == {None}
    assert {run["documents"] for run in race.record["runs"]} == {11}
    told = race.record["arms"][1]
    assert (told["name"], told["selecting"]) == ("mix:others", True)
    assert told["mix"] == {"mix": "others", "version": stored.version, "ids_sha256": stored.lock["ids_sha256"]}
    assert (race.directory / "runs" / "mix--others-seed1.json").exists()
    assert "mix:others" in race.report(tmp_path / "report.md").read_text()
    assert ws.check() == []


def test_a_stored_mix_of_too_few_documents_is_an_arm_that_fails(tmp_path, toy, recipe):
    ws = Workspace(tmp_path / "work", encoder=toy)
    ws.mix(recipe.model_copy(update={"name": "few", "stage": [StageUse(use="ratio", budget=10)]}))
    arms = {"arms": ["mix", "mix:few"], "seeds": 2, "evaluation": 20}
    race = ws.race(recipe.model_copy(update={"race": type(recipe.race).model_validate(arms)}))
    errors = {run["arm"]: run["error"] for run in race.record["runs"]}
    assert errors["mix"] is None
    assert "has 10 documents that may train here, and the race's own mix has 11" in errors["mix:few"]


def test_an_arm_that_is_no_stored_mix_is_refused_before_anything_is_trained(tmp_path, toy, recipe, monkeypatch):
    monkeypatch.setattr(fitting, "fine_tune", lambda *_, **__: pytest.fail("trained"))
    arms = {"arms": ["mix", "mix:nothing"], "seeds": 2, "evaluation": 20}
    with pytest.raises(UnknownNameError, match="no mix named 'nothing'"):
        Workspace(tmp_path / "work", encoder=toy).race(
            recipe.model_copy(update={"race": type(recipe.race).model_validate(arms)})
        )
    for wrong in ("mix:", "mix:1", "mix:a b", "mixed"):
        with pytest.raises(RecipeError, match="a stored mix"):
            Recipe.parse({**recipe.model_dump(by_alias=True), "race": {"arms": [wrong]}})


# Documents that serve without a label of the task


@pytest.fixture
def serving(tmp_path, recipe):
    """The same with a second source of other labels, and a third without any."""
    for name, labels in (("others", ["p", "q", None]), ("plain", [None])):
        rows = [
            {"id": f"{name}{label}{i}", "text": f"{name} {label} thing {i}"} | ({"label": label} if label else {})
            for i in range(12)
            for label in labels
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pools = {
        "shop": {"path": "shop.jsonl"},
        "others": {"path": "others.jsonl", "serves": "auxiliary"},
        "plain": {"path": "plain.jsonl", "serves": "text"},
    }
    values = recipe.model_dump(by_alias=True, exclude_none=True)
    values |= {"pool": pools, "stage": [{"use": "ratio", "budget": 96, "by": "corpus"}]}
    brief = {"text": {"steps": 2, "batch_size": 4}, "auxiliary": {"steps": 2}, "teacher": {"confidence": 0.0}}
    values["train"] |= brief
    return Recipe.parse(values, folder=tmp_path)


def test_a_mix_keeps_what_serves_without_a_label_and_says_as_what(tmp_path, toy, serving):
    ws = Workspace(tmp_path / "work", encoder=toy)
    mix = ws.mix(serving)
    frame = mix.frame()
    assert frame.columns == ["corpus", "id", "text", "label", "source", "weight", "serves", "source_label"]
    counts = dict(frame.group_by("corpus").len().iter_rows())
    assert counts["others"] == 24  # those without a label of their own are no task
    assert counts["plain"] == 12
    assert set(frame.filter(corpus="others")["source_label"]) == {"p", "q"}
    assert frame.filter(pl.col("corpus") != "shop")["label"].null_count() == 36
    ledger = mix.ledger().filter((pl.col("corpus") == "others") & (pl.col("position") == 0) & ~pl.col("keep"))
    assert set(ledger["reason"]) == {"it has no label"}
    assert len(ledger) == 12
    assert mix.verify().documents == 96
    alone = ws.mix(serving.model_copy(update={"pool": {"shop": serving.pool["shop"]}, "name": "alone"}))
    assert alone.frame().columns == ["corpus", "id", "text", "label", "source", "weight"]


def test_documents_train_as_what_they_serve(tmp_path, toy, serving, monkeypatch):
    seen, fine_tune = {}, fitting.fine_tune

    def watched(*settings, **rest):
        seen[len(seen)] = (rest["selected"], rest["served"])
        return fine_tune(*settings, **rest)

    monkeypatch.setattr(fitting, "fine_tune", watched)
    arms = ["mix", "mix-as-text", "random-as-auxiliary", "full-as-teacher", "target-only"]
    race = serving.model_copy(update={"race": serving.race.model_copy(update={"arms": arms})})
    ws = Workspace(tmp_path / "work", encoder=toy)
    record = ws.race(race, seeds=2).record
    assert {run["error"] for run in record["runs"]} == {None}
    frame = ws.mix(race).frame()
    own = {name: frame.filter(corpus=name) for name in ("shop", "others", "plain")}
    selected, served = seen[0]
    assert selected.texts == tuple(own["shop"]["text"])
    assert selected.labels == tuple(own["shop"]["label"])
    assert (served.text, served.teacher) == (tuple(own["plain"]["text"]), ())
    assert (served.auxiliary.texts, served.auxiliary.labels) == (
        tuple(own["others"]["text"]),
        tuple(own["others"]["source_label"]),
    )
    assert set(served.sources) == {"others"}
    assert seen[1] == (None, Served(text=tuple(frame["text"]), text_weights=(1.0,) * 96))
    selected, served = seen[2]
    assert selected is None
    assert (served.text, served.teacher) == ((), ())
    assert set(zip(served.sources, served.auxiliary.labels, strict=True)) <= {
        ("shop", "good"), ("shop", "bad"), ("others", "p"), ("others", "q"),
    }  # fmt: skip
    selected, served = seen[3]
    assert selected is None
    assert len(served.teacher) == 60 + 24 + 12
    assert seen[4] == (None, Served())
    runs = {run["arm"]: run for run in record["runs"] if run["seed"] == 0}
    assert {arm: sorted(runs[arm]["uses"]) for arm in arms} == {
        "mix": ["auxiliary", "text"],
        "mix-as-text": ["text"],
        "random-as-auxiliary": ["auxiliary"],
        "full-as-teacher": ["teacher"],
        "target-only": [],
    }
    assert {arm: runs[arm]["documents"] for arm in arms} == {
        "mix": 96, "mix-as-text": 96, "random-as-auxiliary": 84, "full-as-teacher": 96, "target-only": 0,
    }  # fmt: skip
    told = {arm["name"]: arm for arm in record["arms"]}
    assert told["mix-as-text"]["description"].endswith("their text alone, for continued pre-training")
    assert [told[arm]["selecting"] for arm in arms] == [True, True, True, False, False]
    assert list((tmp_path / "work" / "races" / "race" / "runs").glob("*.safetensors")) == []


def test_arms_of_one_use_have_as_many_documents(tmp_path, toy, serving):
    """As many as the mix has that can serve so, also where some of what was drawn could not."""
    arms = ["mix-as-auxiliary", "random-as-auxiliary", "random-balanced-as-auxiliary", "random-as-text"]
    race = serving.model_copy(update={"stage": [StageUse(use="ratio", budget=30, by="corpus")]})
    ws = Workspace(tmp_path / "work", encoder=toy)
    mix, task = ws.mix(race), ws._workshop(None).prepare(race, 0)
    counts = [len(choose(arm, task, mix).documents) for arm in arms]
    able = mix.frame().filter(pl.col("source_label").is_not_null())
    assert counts == [len(able)] * 3 + [30]
    assert 0 < len(able) < 30


def test_other_weights_in_the_models_directory_are_another_race(tmp_path, toy, recipe, tiny, monkeypatch):  # noqa: F811
    directory = shutil.copytree(tiny, tmp_path / "model")
    train = recipe.train.model_copy(update={"model": str(directory)})
    arms = recipe.race.model_copy(update={"arms": ["target-only"]})
    race = recipe.model_copy(update={"train": train, "race": arms})
    trained, fine_tune = [], fitting.fine_tune

    def watched(*settings, **rest):
        trained.append(rest["seed"])
        return fine_tune(*settings, **rest)

    monkeypatch.setattr(fitting, "fine_tune", watched)
    ws = Workspace(tmp_path / "work", encoder=toy)
    for expected in ([0, 1], [0, 1]):
        ws.race(race)
        assert trained == expected
    weights = load_file(directory / "model.safetensors")
    save_file(
        {name: value + 0.01 for name, value in weights.items()}, directory / "model.safetensors", {"format": "pt"}
    )
    ws.race(race)
    assert trained == [0, 1, 0, 1]


def test_the_code_that_decides_a_run_is_part_of_its_key():
    """A run is taken from its file only while none of this has changed."""
    known = {path.name: path for path in Path(training.__file__).parents[1].rglob("*.py")}

    def changed(which: Path, path: Path) -> bytes:
        return READ(path) + (b"#" if path == which else b"")

    before = code.__wrapped__()
    for name in ("fitting.py", "unpadded.py", "preparation.py", "arms.py", "probe.py"):
        with mock.patch.object(
            Path, "read_bytes", partialmethod(lambda path, which: changed(which, path), known[name])
        ):
            assert code.__wrapped__() != before, name


def test_a_model_is_trained_on_what_serves(tmp_path, toy, serving):
    ws = Workspace(tmp_path / "work", encoder=toy)
    report = ws.train(serving)
    assert report["uses"]["text"]["documents"] == 12
    assert report["uses"]["auxiliary"]["sources"] == {"others": {"documents": 24, "labels": 2}}
    card = (tmp_path / "work" / "models" / "race" / "README.md").read_text("utf8")
    assert "60 documents of the mix race" in card
    assert "- Before that, 12 documents as text: mlm, 2 steps." in card
    assert "- 24 documents with their own labels, in 2 steps before the task: others." in card
    assert "teacher" not in card
    assert list((tmp_path / "work" / "models").rglob("checkpoint*")) == []


def test_a_probe_has_no_use_for_other_uses(tmp_path, toy, serving):
    arms = ["mix", "mix-as-text"]
    race = serving.model_copy(update={"race": serving.race.model_copy(update={"arms": arms})})
    runs = Workspace(tmp_path / "work", encoder=toy).race(race, probe=True).record["runs"]
    errors = {run["arm"]: run["error"] for run in runs}
    assert errors["mix"] is None
    assert "a probe knows no use of documents but their labels" in errors["mix-as-text"]


@pytest.mark.parametrize("arm", ["target-only-as-text", "mix-as-labels", "mix:x-as-what?", "mix-as-"])
def test_an_arm_that_is_none_is_refused(tmp_path, recipe, arm):
    with pytest.raises(RecipeError, match=r"unknown arm .*mix-as-text"):
        Recipe.parse({**recipe.model_dump(by_alias=True, exclude_none=True), "race": {"arms": [arm]}})


def test_a_name_for_no_label_is_refused(tmp_path, toy, recipe):
    values = recipe.model_dump(by_alias=True, exclude_none=True)
    values["task"] |= {"names": {"baad": "the bad words"}}
    values["race"] |= {"arms": ["target-only", "zero-shot"]}
    runs = Workspace(tmp_path / "work", encoder=toy).race(Recipe.parse(values, folder=tmp_path)).record["runs"]
    assert (
        "names has 'baad', which is no label of the task: bad, good"
        in {run["arm"]: run["error"] for run in runs}["zero-shot"]
    )


def test_zero_shot_is_the_nearest_name(tmp_path, toy, recipe):
    """Oracle: cosines of the encoder's own vectors; learned from nothing, and the same with a probe."""
    values = recipe.model_dump(by_alias=True, exclude_none=True)
    values["task"] |= {"names": {"bad": "the bad words"}}
    values["race"] |= {"arms": ["target-only", "zero-shot"]}
    named = Recipe.parse(values, folder=tmp_path)
    ws = Workspace(tmp_path / "work", encoder=toy)
    record = ws.race(named).record
    rows = {row["id"]: row["text"] for row in map(json.loads, (tmp_path / "test.jsonl").read_text().splitlines())}
    texts, names = ([toy.encode([text]).vectors[0] for text in of] for of in (
        [rows[name] for name in record["evaluation"]["ids"]], ["the bad words", "good"],
    ))  # fmt: skip
    expected = [int(np.argmax([name @ text for name in names])) for text in texts]
    assert set(expected) == {0, 1}
    runs = [run for run in record["runs"] if run["arm"] == "zero-shot"]
    assert [run["predictions"] for run in runs] == [expected] * 2
    assert {(run["documents"], run["steps"], run["error"]) for run in runs} == {(0, 0, None)}
    by_probe = ws.race(named, probe=True).record["runs"]
    assert [run["predictions"] for run in by_probe if run["arm"] == "zero-shot"] == [expected] * 2
    again = Recipe.parse(
        {**values, "task": {**values["task"], "names": {"bad": "good", "good": "bad"}}}, folder=tmp_path
    )
    swapped = [run["predictions"] for run in ws.race(again).record["runs"] if run["arm"] == "zero-shot"]
    assert swapped != [expected] * 2
