"""Searches: with objectives whose best place is known, and whole ones with a tiny BERT and the toy encoder."""

import json
import re
import sys
from statistics import median

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import f1_score
from test_cli import run  # noqa: F401  a fixture
from test_race import recipe  # noqa: F401  a fixture
from test_training import one_thread, tiny  # noqa: F401  fixtures

from curator import Recipe, Workspace
from curator.errors import DataError, MissingExtraError, RecipeError, UnknownNameError, UsageError
from curator.mix import task as mix_task
from curator.models import fitting
from curator.race import evaluation as race_evaluation
from curator.recipe import Tune
from curator.tuning.found import standard_error
from curator.tuning.proposals import propose, tenths
from curator.tuning.search import Outcome, search
from curator.tuning.space import Between, OneOf, Space

pytest.importorskip("optuna", reason="the extra tune is not installed")

HILL = {"learning_rate": [1e-5, 1e-2], "lambda": [-1, 0], "batch_size": {"choices": [8, 16, 32]}}


def searching(recipe, **tune):  # noqa: F811
    return recipe.model_copy(update={"tune": Tune.model_validate(tune)})


def space_of(**tune):
    values = {"name": "hill", "task": {"target": "a", "test": "b"}, "pool": {"p": {"path": "c"}}, "tune": tune}
    values["stage"] = [{"use": "relevance", "k": 2}, {"use": "ratio", "budget": 50}, {"use": "ratio"}]
    return Space.of(Recipe.parse(values))


def height(values):
    """1 at a learning rate of 1e-3, λ = −0.25 and batches of 16, and lower with the distance."""
    away = abs(np.log10(values["learning_rate"]) + 3) / 3 + abs(values["lambda"] + 0.25)
    return float(1 - away / 2 - 0.1 * (values["batch_size"] != 16))


def climbing(values, _, on_look, looks=10):
    """A course that rises in a straight line to the height of its values, and is looked at ``looks`` times."""
    history = []
    for look in range(1, looks + 1):
        score = height(values) * look / looks
        history.append({"step": 10 * look, "loss": 1.0, "dev_macro_f1": score, "dev_accuracy": score, "dev_loss": 1.0})
        on_look(tuple(history), 10 * looks)
    dev = {"macro_f1": height(values), "loss": 1.0}
    return Outcome(dev, 10 * looks, 10 * looks, 7, tuple(history), 0.05)


def timeless(trials):
    return [{name: value for name, value in trial.items() if name != "seconds"} for trial in trials]


def test_a_search_finds_where_the_best_is(tmp_path):
    rng = np.random.default_rng(0)
    draws = zip(10 ** rng.uniform(-5, -2, 999), rng.uniform(-1, 0, 999), rng.choice([8, 16, 32], 999), strict=True)
    blind = [height(dict(zip(("learning_rate", "lambda", "batch_size"), draw, strict=True))) for draw in draws]
    for seed in (0, 1):
        trials = search(space_of(seed=seed, **HILL), climbing, tmp_path / f"{seed}.json", {}, trials=40)
        assert len(trials) == 40
        best = max(trials, key=lambda trial: trial["dev_macro_f1"])
        assert best["dev_macro_f1"] > 0.9
        assert best["values"]["batch_size"] == 16
        assert 10**-3.4 < best["values"]["learning_rate"] < 10**-2.6
        assert abs(best["values"]["lambda"] + 0.25) < 0.15
        later = [height(trial["values"]) for trial in trials[20:]]  # it has learned where to look
        assert np.mean(later) > np.mean(blind) + 0.1


def test_trials_are_pruned_below_the_median_of_complete_ones_and_not_before(tmp_path):
    """By hand: every look of every trial, against the complete trials before it."""
    trials = search(space_of(**HILL), climbing, tmp_path / "a.json", {}, trials=25)
    assert {trial["state"] for trial in trials} == {"complete", "pruned"}
    for trial in trials:
        complete = [one for one in trials[: trial["trial"] - 1] if one["state"] == "complete"]
        hopeless = None
        for look in range(2, 10) if len(complete) >= 4 else ():  # not in the first tenth, and not at the last look
            middle = median(height(one["values"]) * look / 10 for one in complete)
            if hopeless is None and height(trial["values"]) * look / 10 < middle - 1e-12:
                hopeless = 10 * look
        if hopeless is None:
            assert (trial["state"], trial["reason"], len(trial["history"])) == ("complete", None, 10)
        else:
            told = f"after {hopeless} of 100 steps below the median of the complete trials"
            assert (trial["state"], trial["reason"]) == ("pruned", told)
            assert trial["best_step"] == hopeless
            assert trial["dev_macro_f1"] == pytest.approx(height(trial["values"]) * hopeless / 100)


def test_courses_are_compared_where_they_are_equally_far():
    looks = [{"step": step, "dev_macro_f1": step / 100} for step in (20, 40, 60)]
    assert tenths(looks, 60) == {1: 0.2, 2: 0.2, 3: 0.2, 4: 0.4, 5: 0.4, 6: 0.4, 7: 0.6, 8: 0.6, 9: 0.6, 10: 0.6}
    assert tenths(looks, 400) == {1: 0.4}
    assert tenths([], 10) == {}


def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path):
    space = space_of(**HILL)
    whole = timeless(search(space, climbing, tmp_path / "whole.json", {"arm": "mix"}, trials=12))
    began = []

    def killed(values, number, on_look):
        began.append(number)
        if len(began) % 2:
            raise KeyboardInterrupt
        return climbing(values, number, on_look)

    path = tmp_path / "killed.json"
    for _ in range(12):
        with pytest.raises(KeyboardInterrupt):
            search(space, killed, path, {"arm": "mix"}, trials=12)
    assert timeless(search(space, climbing, path, {"arm": "mix"}, trials=12)) == whole
    assert began[:4] == [1, 1, 2, 2]
    assert json.loads(path.read_text())["arm"] == "mix"
    shorter = search(space, pytest.fail, path, {}, trials=5)  # those that there are
    assert timeless(shorter) == whole[:5]
    few = tmp_path / "few.json"
    search(space, climbing, few, {}, trials=4)
    assert timeless(search(space, climbing, few, {}, trials=12)) == whole  # more are the same search, gone on with
    path.write_text(path.read_text().replace('"trial": 3', '"trial": 4'))  # not what was written: begun anew
    assert timeless(search(space, climbing, path, {}, trials=12)) == whole


def test_trials_that_fail_are_listed_and_the_search_goes_on(tmp_path):
    def failing(values, number, on_look):
        if values["learning_rate"] > 1e-3:
            raise (RuntimeError if number % 2 else UsageError)(f"the loss is nan in {number}")
        return climbing(values, number, on_look)

    trials = search(space_of(**HILL), failing, tmp_path / "a.json", {}, trials=15)
    failed = [trial for trial in trials if trial["state"] == "failed"]
    assert [trial["trial"] for trial in failed] == [
        trial["trial"] for trial in trials if trial["values"]["learning_rate"] > 1e-3
    ]
    assert 0 < len(failed) < 15
    for trial in failed:
        assert (trial["reason"], trial["dev_macro_f1"]) == (f"the loss is nan in {trial['trial']}", None)
    with pytest.raises(ZeroDivisionError):  # a mistake of ours is no failed trial
        search(space_of(**HILL), lambda *_: 1 / 0, tmp_path / "b.json", {}, trials=1)


def test_values_that_were_tried_are_not_tried_again(tmp_path):
    seen = []

    def counted(values, number, on_look):
        seen.append(values["batch_size"])
        return climbing({"learning_rate": 1e-3, "lambda": -0.25, **values}, number, on_look)

    trials = search(space_of(batch_size=HILL["batch_size"]), counted, tmp_path / "a.json", {}, trials=9)
    assert len(trials) == 9
    assert sorted(seen) == sorted({trial["values"]["batch_size"] for trial in trials})
    first = {}
    for trial in trials:
        twin = first.setdefault(trial["values"]["batch_size"], trial)
        assert trial["dev_macro_f1"] == twin["dev_macro_f1"]
        if twin is not trial and trial["state"] == "complete":
            assert trial["reason"] == f"the values of trial {twin['trial']}"


def test_the_first_trial_is_the_recipe_as_it_is():
    space = space_of(**{"learning_rate": [1e-5, 1e-3], "lambda": [-0.3, 0], "ratio.budget": [10, 90], "steps": [9, 99]})
    assert space.own() == {"learning_rate": 2e-4, "ratio.budget": 50}  # the others are not among what is searched
    first = propose(space.ranges, space.own(), [], 0)
    assert {name: first[name] for name in space.own()} == space.own()
    assert -0.3 <= first["lambda"] <= 0
    assert isinstance(first["steps"], int)
    assert 9 <= first["steps"] <= 99


def test_ranges_and_their_scales():
    space = space_of(**{"learning_rate": [1e-5, 1e-4], "steps": [10, 101], "relevance.min_score": [0, 0.5]})
    assert space.ranges == {
        "learning_rate": Between(1e-5, 1e-4, whole=False),
        "steps": Between(10, 101, whole=True),
        "relevance.min_score": Between(0.0, 0.5, whole=False),
    }
    assert [range_.logarithmic for range_ in space.ranges.values()] == [False, True, False]  # above 10 ×, from above 0
    assert Between(1e-5, 1e-2, whole=False).rounded(3.14159e-4) == 3.14e-4
    assert Between(-1.0, 0.0, whole=False).rounded(-0.31459) == -0.315
    assert Between(0.351, 0.3512, whole=False).rounded(0.351149) == 0.3511490
    assert Between(1.5e-5, 1e-2, whole=False).rounded(1.4999e-5) == 1.5e-5
    usual = space_of().ranges
    assert usual["learning_rate"] == Between(2e-5, 1e-3, whole=False)
    assert usual["batch_size"] == OneOf((8, 16, 32))
    assert usual["lambda"] == Between(-1.0, 0.0, whole=False)


def test_values_go_into_the_recipe():
    space = space_of(
        **{
            "steps": [5, 9],
            "relevance.fpr": [1e-5, 1e-2],
            "ratio_2.budget": [1, 9],
            "ratio.by": {"choices": ["label", "source"]},
        }
    )
    changed = space.applied({"steps": 7, "relevance.fpr": 1e-3, "ratio_2.budget": 4, "ratio.by": "source"})
    assert changed.train.steps == 7
    assert [use.parameters for use in changed.stage] == [
        {"k": 2, "fpr": 1e-3}, {"budget": 50, "by": "source"}, {"budget": 4},
    ]  # fmt: skip
    cosine = space_of(**{"relevance.min_score": [0, 1]})
    recipe = cosine.recipe.model_copy(update={"stage": changed.stage})  # noqa: F811
    took = Space(recipe, cosine.ranges, cosine.stages).applied({"relevance.min_score": 0.5})
    assert took.stage[0].parameters == {"k": 2, "min_score": 0.5}  # a rate and its cosine are not given both


def test_a_bare_key_is_a_quoted_one():
    assert space_of(ratio={"budget": [1, 9]}).ranges == space_of(**{"ratio.budget": [1, 9]}).ranges
    recipe = space_of(ratio={"budget": [1, 9]}, trials=3).recipe  # noqa: F811
    assert Recipe.parse(recipe.model_dump(by_alias=True, exclude_none=True)) == recipe
    assert "tune" not in Recipe.parse(recipe.model_dump(by_alias=True, exclude={"tune"})).model_dump()


@pytest.mark.parametrize(
    ("tune", "error", "told"),
    [
        ({"speed": [1, 2]}, RecipeError, r"'speed' is no setting of \[train\].*there are: model, steps, .*lambda"),
        ({"checkpoint": [1, 2]}, RecipeError, "'checkpoint' is no setting"),
        ({"steps": [1, 2, 3]}, RecipeError, r"an interval is \[low, high\]; single values are \{ choices"),
        ({"steps": [9, 2]}, RecipeError, "from a lower number to a higher one"),
        ({"steps": [True, 2]}, RecipeError, r"an interval is \[low, high\]"),
        ({"steps": {"choices": [2]}}, RecipeError, "two or more"),
        ({"steps": {"choices": [2, 2]}}, RecipeError, "has one twice"),
        ({"steps": [1.5, 9]}, RecipeError, "it takes whole numbers"),
        ({"lambda": [-2, 0]}, RecipeError, r"hill: \[tune\] lambda: .*greater than or equal to -1 \(got -2"),
        ({"adapter": [1, 2]}, RecipeError, "it is no number, and so has no interval"),
        ({"adapter": {"choices": ["lora", "lara"]}}, RecipeError, r"\[tune\] adapter: .*got 'lara'"),
        ({"model": {"choices": ["a", ["b"]]}}, RecipeError, "cannot be a choice"),
        ({"dsir.budget": [1, 2]}, UnknownNameError, "no stage of hill named 'dsir': there are: ratio, ratio_2, relev"),
        ({"ratio.budgt": [1, 2]}, UnknownNameError, "no parameter of ratio named 'budgt': did you mean 'budget'"),
        ({"relevance.min_score": [0.2, 1.5]}, RecipeError, "min_score is 1.5: it must be at least -1 and at most 1"),
        ({"relevance.fpr": [0.0, 0.1]}, RecipeError, "fpr is 0.0: it must be above 0"),
        ({"relevance.k": [1.5, 3]}, RecipeError, "it takes whole numbers"),
        ({"trials": 0}, RecipeError, r"tune\.trials"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_what_can(tune, error, told):
    with pytest.raises(error, match=told):
        space_of(**tune)


def test_the_standard_error_is_that_of_the_bootstrap():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 4, 30)
    guess = np.where(rng.random(30) < 0.7, truth, rng.integers(0, 4, 30))
    confusion = np.zeros((5, 5), int)  # of the last label there is nothing
    np.add.at(confusion, (truth, guess), 1)
    scores = []
    for _ in range(500):
        rows = rng.integers(0, 30, 30)
        scores.append(f1_score(truth[rows], guess[rows], average="macro", zero_division=0))
    assert standard_error(confusion) == pytest.approx(np.std(scores), rel=0.12)
    assert standard_error(np.diag([3, 4])) == pytest.approx(0, abs=1e-12)


# Whole searches


SMALL = {"trials": 3, "learning_rate": [2e-5, 1e-2], "ratio.budget": [6, 40]}


def tuned_by(ws, recipe, **rest):  # noqa: F811
    found = ws.tune(recipe, **rest)
    return {arm: timeless(trials) for arm, trials in found.arms.items()}


def test_every_arm_has_as_many_trials_and_begins_alike(tmp_path, toy, recipe):  # noqa: F811
    ws = Workspace(tmp_path / "work", encoder=toy)
    own = ws.mix(recipe).lock["ids_sha256"]
    found = ws.tune(searching(recipe, **SMALL), arms=("mix", "random", "target-only"))
    rows = found.frame()
    assert rows.group_by("arm").len().sort("arm").rows() == [("mix", 3), ("random", 3), ("target-only", 3)]
    assert rows["state"].to_list() == ["complete"] * 9
    first = {arm: [trial["values"] for trial in trials] for arm, trials in found.arms.items()}
    assert first["mix"] == first["random"] == first["target-only"]  # random trials, by the same seed
    assert first["mix"][0] == {"learning_rate": recipe.train.learning_rate, "ratio.budget": 11}
    for arm in ("mix", "random"):  # a mix of its own for each budget
        of_arm = rows.filter(pl.col("arm") == arm)
        assert of_arm["documents"].to_list() == of_arm["ratio.budget"].to_list()
        assert of_arm["documents"].n_unique() == 3
    assert set(rows.filter(pl.col("arm") == "target-only")["documents"]) == {0}
    assert ws.mix("race").lock["ids_sha256"] == own  # the name means what it did
    assert ws.mixes() == ["race"]
    left = {path.name.split("-")[0] for path in found.directory.iterdir()} - {".lock"}
    assert left == {"mix", "random", "target"}
    best = found.best("random")
    assert best["dev_macro_f1"] == max(trial["dev_macro_f1"] for trial in found.arms["random"])
    damaged = next(found.directory.glob("random-*.json"))
    damaged.write_text(damaged.read_text().replace("complete", "pruned"))
    told = [(item.path, item.remedy) for item in ws.check()]
    remedy = "it is removed: curator tune, with its recipe, searches again"
    assert told == [(f"tunings/race/{damaged.name}", remedy)]
    assert ws.repair().left == ()
    assert not damaged.exists()
    assert f"{best['dev_macro_f1']:.3f} on dev is the best of 3 trials" in found.told()[1]
    assert "dev has 4 documents" in found.told()[-1]
    assert ws.check() == []


def test_a_trial_scores_what_training_with_its_values_scores(tmp_path, toy, recipe):  # noqa: F811
    ws = Workspace(tmp_path / "work", encoder=toy)
    found = ws.tune(searching(recipe, **SMALL))
    trial = found.arms["mix"][2]
    changed = Space.of(searching(recipe, **SMALL)).applied(trial["values"])
    report = Workspace(tmp_path / "other", encoder=toy).train(changed)
    assert report["documents"] == trial["documents"]
    assert (report["dev"], report["best_step"]) == (trial["dev_macro_f1"], trial["best_step"])


def test_a_whole_search_that_was_killed_in_a_training_goes_on(tmp_path, toy, recipe, monkeypatch):  # noqa: F811
    train = recipe.train.model_copy(update={"checkpoint": 0.0, "evaluate_every": 1, "steps": 4})
    recipe = searching(recipe.model_copy(update={"train": train}), trials=6, learning_rate=[1e-4, 1e-2])
    whole = tuned_by(Workspace(tmp_path / "whole", encoder=toy), recipe)
    ws, fine_tune, ran = Workspace(tmp_path / "work", encoder=toy), fitting.fine_tune, []

    def killed(*settings, on_look, **rest):
        def looked(history):
            on_look(history)
            ran.append(len(history))
            if len(ran) in (3, 7, 8, 14):
                raise KeyboardInterrupt

        return fine_tune(*settings, on_look=looked, **rest)

    monkeypatch.setattr(fitting, "fine_tune", killed)
    stopped = 0
    while True:
        try:
            again = tuned_by(ws, recipe)
            break
        except KeyboardInterrupt:
            stopped += 1
    assert stopped == 4
    assert again == whole
    assert not list((tmp_path / "work" / "tunings").rglob("*.safetensors"))
    monkeypatch.setattr(fitting, "fine_tune", lambda *_, **__: pytest.fail("trained again"))
    assert tuned_by(ws, recipe) == whole


def test_no_label_of_the_test_set_is_read_and_no_text_of_it_embedded(tmp_path, toy, recipe, monkeypatch):  # noqa: F811
    task = recipe.task.model_copy(update={"decontaminate": False})
    recipe = searching(recipe.model_copy(update={"task": task}), **SMALL)
    honest = tuned_by(Workspace(tmp_path / "honest", encoder=toy), recipe, arms=("mix", "full"))
    assert toy.seen
    assert not [text for text in toy.seen if text.startswith("counter")]

    def never(*_, **__):
        pytest.fail("the labels of the test set were read")

    for module in (mix_task, race_evaluation):
        monkeypatch.setattr(module, "evaluation_truth", never)
    rows = [json.loads(line) for line in (tmp_path / "test.jsonl").read_text().splitlines()]
    poisoned = [{**row, "label": "good" if row["label"] == "bad" else "rotten"} for row in rows]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in poisoned))
    assert tuned_by(Workspace(tmp_path / "poisoned", encoder=toy), recipe, arms=("mix", "full")) == honest


def test_without_dev_the_error_says_how_to_get_one(tmp_path, toy, recipe):  # noqa: F811
    ws = Workspace(tmp_path / "work", encoder=toy)
    few = recipe.model_copy(update={"task": recipe.task.model_copy(update={"shots": 5})})
    with pytest.raises(DataError, match=r"no dev set.*\[task\] dev = …\), or have 8 .*\(shots = 8\).*has 5"):
        ws.tune(few)
    with pytest.raises(UsageError, match="unknown arm 'mixed'; there are: target-only"):
        ws.tune(recipe, arms=("mixed",))
    with pytest.raises(UsageError, match="at least 1 trial, not 0"):
        ws.tune(recipe, trials=0)
    with pytest.raises(UsageError, match="needs an arm"):
        ws.tune(recipe, arms=())


def test_a_search_none_of_whose_trials_ends_says_why(tmp_path, toy, recipe):  # noqa: F811
    own = {"train": recipe.train.model_copy(update={"model": str(tmp_path / "nowhere")})}
    found = Workspace(tmp_path / "work", encoder=toy).tune(
        searching(recipe.model_copy(update=own), trials=2, learning_rate=[1e-4, 1e-3])
    )
    assert found.told()[0] == "mix: none of 2 trials was completed, 2 failed"
    assert found.best() is None
    with pytest.raises(DataError, match=r"no trial was completed.*nowhere"):
        found.toml()


def test_without_optuna_the_error_says_which_extra(tmp_path, toy, recipe, monkeypatch):  # noqa: F811
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"'optuna', which is not installed.*curator\[tune\]"):
        Workspace(tmp_path / "work", encoder=toy).tune(recipe)


RECIPE = """# A search.
[task]
target = "target.jsonl"   # the few
test = "test.jsonl"
shots = 8
[pool.shop]
path = "shop.jsonl"
[[stage]]
use = "relevance"
fpr = 0.5        # a rate
[[stage]]
use = "ratio"
budget = 11
[tune]
trials = 2
steps = [2, 4]
"relevance.min_score" = [-1.0, 0.0]
ratio.budget = [5, 20]
"""


def test_the_command_prints_and_writes_the_best_values(run, recipe, tiny):  # noqa: F811
    path = run.folder / "desk.toml"
    train = f'[train]\nmodel = "{tiny}"\nbatch_size = 4\nmax_length = 16\nprecision = "fp32"\n'
    path.write_text(RECIPE + train)
    code, out, err = run("tune", path, "--write", run.folder / "best.toml", "--arm", "mix", "--arm", "target-only")
    assert (code, [line for line in err.splitlines() if "error" in line]) == (0, [])
    assert "# the best of mix\n[train]\nsteps = " in out
    code, out, _ = run("tune", path, "--arm", "mix", "--arm", "target-only", "--json")
    told = json.loads(out)
    assert [(row["arm"], row["trial"]) for row in told["rows"]] == [
        ("mix", 1), ("mix", 2), ("target-only", 1), ("target-only", 2),
    ]  # fmt: skip
    best, written = told["report"]["best"]["mix"], Recipe.load(run.folder / "best.toml")
    assert written.train.steps == best["steps"]
    assert written.stage[0].parameters == {"min_score": best["relevance.min_score"]}
    assert written.stage[1].parameters == {"budget": best["ratio.budget"]}
    kept = {line for line in RECIPE.splitlines() if not re.match("fpr|budget", line)}
    assert kept <= set((run.folder / "best.toml").read_text().splitlines())
    (run.folder / "inner").mkdir()
    code, _, err = run("tune", path, "--write", run.folder / "inner" / "best.toml")
    assert code == 2
    assert "start at its folder; write it there" in err
