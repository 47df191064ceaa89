"""Tasks of several labels a document and of numbers, from a recipe: trained, searched, used. As in test_race, small."""

import contextlib
import io
import json
import logging
import re

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.metrics import f1_score
from test_training import one_thread, tiny  # noqa: F401  fixtures
from test_tuning import timeless

from curator import Recipe, Workspace, cli
from curator.encoder import remembered
from curator.errors import DataError, UsageError
from curator.files import read_json
from curator.recipe import Tune
from curator.training import Classifier, decided
from curator.tuning.found import standard_error_of

KINDS = ("multi", "regression")
LABELS = {"multi": ["bad", "good", "poor"], "regression": []}


@pytest.fixture(params=KINDS)
def recipe(tmp_path, tiny, request):  # noqa: F811  the fixture above
    kind = request.param
    rng = np.random.default_rng(3)

    def write(name, n):
        rows = []
        for i in range(n):
            own = [word for word in ("good", "bad", "poor") if rng.random() < 0.4]
            text = " ".join([f"{name} words", *own, f"w{i} w{i // 2}"])
            label = own if kind == "multi" else 3.0 + ("good" in own) - 0.5 * ("bad" in own)
            rows.append({"id": f"{name}{i}", "text": text, "label": label})
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    write("target", 80)
    write("test", 40)
    write("shop", 60)
    return Recipe.parse(
        {
            "name": "kinds",
            "task": {"target": "target.jsonl", "test": "test.jsonl", "kind": kind, "shots": 8},
            "pool": {"shop": {"path": "shop.jsonl"}},
            "stage": [{"use": "ratio", "by": "source", "budget": 11}],
            "train": {"model": str(tiny), "steps": 3, "batch_size": 4, "max_length": 16, "precision": "fp32"},
            "race": {"seeds": 2, "evaluation": 20, "arms": ["target-only", "random", "mix"]},
        },
        folder=tmp_path,
    )


@pytest.fixture
def ws(tmp_path, toy):
    return Workspace(tmp_path / "work", encoder=toy)


@pytest.fixture
def model(ws, recipe):
    ws.train(recipe)
    return ws.root / "models" / "kinds"


ASKED = pl.DataFrame({"text": ["shop words good", "counter bad words", "something else"]})


def test_what_is_trained_is_what_the_recipe_says(ws, recipe, model):
    kind, classifier = recipe.task.kind, Classifier.load(model)
    mix = ws.mix("kinds")
    assert (classifier.kind, list(classifier.labels)) == (kind, LABELS[kind])
    assert classifier.trained_on.documents == 11
    assert set(classifier.trained_on.scores) >= ({"macro_f1", "micro_f1"} if kind == "multi" else {"spearman", "rmse"})
    if kind == "regression":
        weights = np.r_[np.ones(classifier.trained_on.target), mix.frame()["weight"].to_numpy()]
        assert np.ptp(weights) == 0
        assert 2.5 <= classifier.scale.mean <= 4
        assert 0 < classifier.scale.spread < 1


def test_predictions_by_kind(ws, recipe, model):
    found, classifier = ws.predict(model, ASKED), Classifier.load(model)
    given = classifier.predict(ASKED["text"].to_list())
    assert ws.last_report["kind"] == recipe.task.kind
    if recipe.task.kind == "regression":
        assert found.columns == ["id", "value", "text"]
        assert found["value"].to_numpy() == pytest.approx(given[:, 0])
    else:
        assert found.columns == ["id", "labels", "probabilities", "text"]
        assert found["probabilities"].struct.unnest().columns == LABELS["multi"]
        assert found["probabilities"].struct.unnest().to_numpy() == pytest.approx(given)
        wanted = [[name for name, p in zip(LABELS["multi"], row, strict=True) if p >= 0.5] for row in given]
        assert found["labels"].to_list() == wanted
        assert (found["labels"].list.len() < 3).any()
    with pytest.warns(UserWarning, match="nothing was predicted"):
        empty = ws.predict(model, ASKED.clear())
    assert empty.schema == found.schema


def test_the_neighbours_have_the_labels_of_the_mix(ws, recipe, model):
    found, mix = ws.predict(model, ASKED, explain=2), ws.mix("kinds").frame()
    known = dict(zip(mix["id"], mix["label"].to_list(), strict=True))
    for near in found["neighbours"]:
        assert len(near) == 2
        assert [known[one["id"]] for one in near] == [one["label"] for one in near]
    assert ws.predict(model, ASKED, explain=2).schema["neighbours"].inner.fields[2].dtype == (
        pl.List(pl.String) if recipe.task.kind == "multi" else pl.Float64
    )


@pytest.fixture
def run(ws, model, toy, monkeypatch, capsys):
    monkeypatch.setattr(remembered, "load", lambda _: toy)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)

    def command(*words, given=b""):
        monkeypatch.setattr("sys.argv", ["curator", "-w", str(ws.root), *words])
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        with contextlib.suppress(SystemExit):
            cli.main()
        return capsys.readouterr()

    return command


def test_the_command_prints_what_is_predicted(run, ws, recipe, model):
    given = b"shop words good\nsomething else\n"
    expected = ws.predict(model, pl.DataFrame({"text": ["shop words good", "something else"]}), explain=1)
    rows = json.loads(run("predict", "kinds", "--json", given=given).out)["rows"]
    assert pl.DataFrame(rows, expected.drop("neighbours").schema).equals(expected.drop("neighbours"))
    lines = run("predict", "kinds", given=given).out.splitlines()
    assert lines[0].split() == expected.drop("neighbours").columns
    told = run("predict", "kinds", "--explain", "1", given=given).out.splitlines()
    for row, head, near in zip(expected.iter_rows(named=True), told[::3], told[2::3], strict=True):
        said = f"{row['value']:.3f}" if recipe.task.kind == "regression" else f"[{', '.join(row['labels'])}]"
        assert head == f"{said}  {row['id']}"
        [one] = row["neighbours"]
        label = f"{one['label']:.3f}" if recipe.task.kind == "regression" else f"[{', '.join(one['label'])}]"
        assert re.split(r"  +", near.strip())[1] == label
    if recipe.task.kind == "multi":
        first = expected["probabilities"][0]
        assert f"{{{', '.join(f'{name}: {first[name]:.3f}' for name in LABELS['multi'])}}}" in lines[1]
    refused = run("assess", "kinds", str(recipe.folder / "test.jsonl"))
    assert f"of the kind {recipe.task.kind!r}" in " ".join(refused.err.split())


def test_the_card_says_what_the_model_gives_and_its_code_runs(recipe, model, monkeypatch):
    text, kind, classifier = (model / "README.md").read_text("utf8"), recipe.task.kind, Classifier.load(model)
    scores = classifier.trained_on.scores
    if kind == "multi":
        assert "A classifier of texts with 3 labels, of which a text has any number" in text
        assert "| 0 | bad |" in text
        assert f"| Micro-F1 | {scores['micro_f1']:.3f} |" in text
        own = scores["per_label"]["good"]
        assert f"| good | {own['precision']:.3f} | {own['recall']:.3f} | {own['f1']:.3f} | {own['support']} |" in text
    else:
        assert f"whose mean in training was {classifier.scale.mean:.6g}" in text
        assert f"| Spearman correlation | {scores['spearman']:.3f} |" in text
        assert "| Label |" not in text.partition("## Scores on dev")[2]
        assert "probabilities" not in text
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    monkeypatch.chdir(model)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "README.md", "exec"), {})
    answers = {one["label"]: one["score"] for one in eval(printed.getvalue())}
    given = classifier.predict(["a text"])[0]
    names = LABELS["multi"] if kind == "multi" else ["value"]
    assert [answers[name] for name in names] == pytest.approx(given.tolist(), abs=1e-3)


def test_an_assessment_of_another_kind_is_refused(ws, recipe, model):
    with pytest.raises(UsageError, match=rf"of the kind '{recipe.task.kind}'"):
        ws.assess(model, str(recipe.folder / "test.jsonl"))


# Searches


def test_a_search_is_by_the_score_of_the_kind(ws, recipe):
    score = "macro_f1" if recipe.task.kind == "multi" else "spearman"
    searched = {"trials": 3, "learning_rate": [1e-3, 1e-2], "ratio.budget": [6, 40]}
    own = recipe.model_copy(update={"tune": Tune.model_validate(searched)})
    found = ws.tune(own)
    frame, trials = found.frame(), found.arms["mix"]
    assert f"dev_{score}" in frame.columns
    assert {trial["state"] for trial in trials} == {"complete"}
    for trial in trials:
        looks = [(look[f"dev_{score}"], -look["dev_loss"]) for look in trial["history"]]
        assert (trial[f"dev_{score}"], -trial["dev_loss"]) == max(looks)
        assert 0 <= trial["standard_error"] < 1
    assert found.best() == max(trials, key=lambda trial: (trial[f"dev_{score}"], -trial["dev_loss"]))
    name = {"macro_f1": "macro-F1", "spearman": "Spearman correlation"}[score]
    assert found.told()[0].startswith(f"mix: {name} {found.best()[f'dev_{score}']:.3f} on dev is the best of 3 trials")
    assert timeless(ws.tune(own).arms["mix"]) == timeless(trials)
    few = own.model_copy(update={"task": own.task.model_copy(update={"shots": 2})})
    with pytest.raises(DataError, match=r"no dev set.*: (the bin|label) .* has \d"):
        ws.tune(few)


def test_standard_errors_are_those_of_the_bootstrap():
    rng = np.random.default_rng(3)
    known = rng.random((40, 3)) < 0.4
    said = np.where(rng.random((40, 3)) < 0.8, known, rng.random((40, 3)) < 0.4)
    values = rng.integers(1, 6, 40).astype(float)
    given = values + rng.normal(0, 2, 40)
    f1, rho = [], []
    for _ in range(500):
        rows = rng.integers(0, 40, 40)
        f1.append(f1_score(known[rows], said[rows], average="macro", zero_division=0))
        rho.append(stats.spearmanr(values[rows], given[rows]).statistic)
    names = ("a", "b", "c")
    truth = [[name for name, has in zip(names, row, strict=True) if has] for row in known]
    of_sets = standard_error_of("multi", truth, decided(said.astype(np.float32), "multi"), names)
    of_values = standard_error_of("regression", list(values), list(given), ())
    assert of_sets == pytest.approx(np.std(f1), rel=0.12)
    assert of_values == pytest.approx(np.std(rho), rel=0.12)


# A whole race


def test_a_race_by_kind(ws, recipe):
    race = ws.race(recipe)
    runs = race.record["runs"]
    assert {run["error"] for run in runs} == {None}
    assert race.record["labels"] == LABELS[recipe.task.kind]
    saved = read_json(race.directory / "runs" / "mix-seed0.json")
    texts = pl.read_ndjson(recipe.folder / "test.jsonl")
    of = dict(zip(texts["id"], texts["text"], strict=True))
    asked = [of[name] for name in race.record["evaluation"]["ids"]]
    classifier = Classifier.load(race.directory / "model")
    given = decided(classifier.predict(asked), recipe.task.kind)
    assert saved["predictions"] == (given if recipe.task.kind == "multi" else pytest.approx(given))
