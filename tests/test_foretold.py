"""What the probe's race, which comes first, foretells of fine-tuning: its runs, the ranking, what a record may say."""

import json
import random

import pytest
from test_race import recipe  # noqa: F401  a fixture
from test_training import one_thread, tiny  # noqa: F401  fixtures

from curator import Workspace
from curator.errors import DataError
from curator.models import fitting
from curator.race import environment, probing
from curator.race import run as running
from curator.race.foretold import foretold
from curator.race.statistics import check
from curator.report import html, markdown
from curator.report.foretold import said


def record_of(shares):
    """A record whose arms are right on so many of 20 documents, by the probe and fine-tuned, one less at seed 1."""
    truth, names = [0, 1] * 10, [f"arm{number}" for number in range(len(shares))]

    def runs(side):
        return [
            {"arm": name, "seed": seed, "documents": 1, "error": None, "predictions": _right(truth, share[side] - seed)}
            for name, share in zip(names, shares, strict=True)
            for seed in (0, 1)
        ]

    return {
        "format": 1, "kind": "race", "name": "r", "smoke": None, "metric": "accuracy", "labels": ["a", "b"],
        "evaluation": {"ids": [str(n) for n in range(20)], "truth": truth},
        "arms": [{"name": name, "selecting": True, "description": ""} for name in names],
        "runs": runs(1), "probe": {"arms": list(names), "left_out": [], "runs": runs(0)},
    }  # fmt: skip


def _right(truth, number):
    return [true if place < number else 1 - true for place, true in enumerate(truth)]


@pytest.mark.parametrize("seed", range(4))
def test_the_correlation_is_that_of_ranks(seed):
    """Oracle: 1 - 6 * sum of squared differences of ranks / (n^3 - n), which holds without ties."""
    draw = random.Random(seed)
    shares = list(zip(draw.sample(range(1, 20), 6), draw.sample(range(1, 20), 6), strict=True))
    found = foretold(record_of(shares))
    ranks = [[sorted(side).index(value) for value in side] for side in zip(*shares, strict=True)]
    squares = sum((one - other) ** 2 for one, other in zip(*ranks, strict=True))
    assert found.correlation == pytest.approx(1 - 6 * squares / (6**3 - 6))
    assert [name for name, *_ in found.arms] == [f"arm{number}" for number in range(6)]
    assert found.arms[2][1:] == pytest.approx([5 * (share - 0.5) for share in shares[2]])
    best = [max(range(6), key=lambda arm, side=side: shares[arm][side]) for side in (0, 1)]
    assert found.best == tuple((f"arm{arm}",) for arm in best)
    assert found.agrees == (best[0] == best[1])


def test_it_is_told_in_a_sentence():
    four = said(record_of([(5, 6), (9, 8), (12, 15), (14, 13)]))
    assert four == [
        "The probe's race came first: over 4 arms its means rank as those of fine-tuning with a Spearman correlation "
        "of 0.80; its best is arm3, and by fine-tuning it is arm2"
    ]
    two = said(record_of([(5, 6), (9, 8)]))
    assert "over 2 arms whether it ranks them alike is undecided; its best, arm1, is best by fine-tuning, too" in two[0]
    same = record_of([(5, 6), (5, 8), (5, 9)])
    assert foretold(same).correlation is None
    assert foretold(same).best == (("arm0", "arm1", "arm2"), ("arm2",))
    assert "told none apart; its best are arm0 and arm1 and arm2, and by fine-tuning arm2" in said(same)[0]
    plain = record_of([(5, 6), (9, 8)])
    del plain["probe"]
    assert foretold(plain) is None
    assert said(plain) == []


def test_means_are_of_the_seeds_that_both_finished():
    record = record_of([(5, 6), (9, 8), (7, 12)])
    record["runs"][0] |= {"error": "out of memory", "predictions": []}
    assert foretold(record).arms[0][1:] == pytest.approx((20, 25))
    record["probe"]["runs"][1] |= {"error": "no", "predictions": []}
    assert [name for name, *_ in foretold(record).arms] == ["arm1", "arm2"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda probe: probe["runs"][0].update(predictions=[0, 1]), "2 predictions for 20 evaluation documents"),
        (lambda probe: probe["runs"][0].update(predictions=[7] * 20), "label index 7"),
        (lambda probe: probe["runs"].append(probe["runs"][0]), "recorded twice"),
        (lambda probe: probe["arms"].append("other"), "the probe raced 'other', and there is no such arm"),
        (lambda probe: probe["arms"].remove("arm1"), "run 'arm1', seed 0: there is no such arm"),
    ],
)
def test_a_probe_that_contradicts_its_race_is_refused(change, told):
    record = record_of([(5, 6), (9, 8), (7, 12)])
    check(record)
    change(record["probe"])
    with pytest.raises(DataError, match=told):
        check(record)


@pytest.fixture
def counted(monkeypatch):
    """The arms that were probed, how many were fine-tuned, and how often what to measure on was drawn."""
    done, fine_tune, learnt = {"probed": [], "trained": 0, "drawn": 0}, fitting.fine_tune, probing._learnt
    drawn = running.drawn

    def counted_draw(*of):
        done["drawn"] += 1
        return drawn(*of)

    monkeypatch.setattr(running, "drawn", counted_draw)

    def trained(*settings, **rest):
        done["trained"] += 1
        return fine_tune(*settings, **rest)

    monkeypatch.setattr(fitting, "fine_tune", trained)
    monkeypatch.setattr(probing, "_learnt", lambda task, arm: done["probed"].append(arm.name) or learnt(task, arm))
    return done


def test_the_probe_races_first_and_only_what_was_not_finished_is_repeated(tmp_path, toy, recipe, counted):  # noqa: F811
    arms = ["target-only", "knn", "mix-as-text", "zero-shot", "mix"]
    race = recipe.model_copy(update={"race": recipe.race.model_copy(update={"arms": arms})})
    ws = Workspace(tmp_path / "work", encoder=toy)
    raced = ws.race(race)
    probe = raced.record["probe"]
    assert probe["arms"] == ["target-only", "knn", "mix"]
    assert [one["arm"] for one in probe["left_out"]] == ["mix-as-text", "zero-shot"]
    assert counted == {"probed": ["target-only", "knn", "mix"] * 2, "trained": 8, "drawn": 1}
    alone = ws.race(race.model_copy(update={"race": race.race.model_copy(update={"arms": probe["arms"]})}), probe=True)
    assert [run["predictions"] for run in alone.record["runs"]] == [run["predictions"] for run in probe["runs"]]
    assert alone.record["evaluation"] == raced.record["evaluation"]
    for text in (html(raced.record), markdown(raced.record)):
        assert "over 3 arms" in text
        assert "Not raced by the probe: mix-as-text" in text

    counted |= {"probed": [], "trained": 0, "drawn": 0}
    (raced.directory / "probe" / "runs" / "knn-seed1.json").unlink()
    (raced.directory / "runs" / "mix-seed0.json").unlink()
    again = ws.race(race).record
    assert counted == {"probed": ["knn"], "trained": 1, "drawn": 1}
    assert [run["predictions"] for run in again["runs"]] == [run["predictions"] for run in raced.record["runs"]]
    damaged = raced.directory / "probe" / "runs" / "knn-seed0.json"
    damaged.write_text(damaged.read_text().replace('"seed": 0', '"seed": 1'))
    assert [damage.path for damage in ws.check()] == ["races/race/probe/runs/knn-seed0.json"]


@pytest.mark.filterwarnings("ignore:lambda = 0.5 is above 0")
@pytest.mark.parametrize("changes", [{"race": {"probe_first": False}}, {"train": {"lambda_": 0.5}}])
def test_there_is_no_probe_where_none_is_wanted_or_can_be(tmp_path, toy, recipe, counted, changes):  # noqa: F811
    race = recipe.race.model_copy(update={"arms": ["target-only", "mix"], **changes.get("race", {})})
    train = recipe.train.model_copy(update=changes.get("train", {}))
    raced = Workspace(tmp_path / "work", encoder=toy).race(recipe.model_copy(update={"race": race, "train": train}))
    assert "probe" not in raced.record
    assert counted == {"probed": [], "trained": 4, "drawn": 1}


# The commit of a hub model


def test_a_hub_model_is_named_by_the_commit_it_is_loaded_at(tmp_path, monkeypatch):
    """Oracle: the folder in which the hub's client keeps a model, without a network."""
    cache, commits = tmp_path / "hub", ["0" * 40, "1" * 40]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    for name in ("someone/tiny", "plain"):
        home = cache / f"models--{name.replace('/', '--')}"
        (home / "refs").mkdir(parents=True)
        for commit in commits:
            (home / "snapshots" / commit).mkdir(parents=True)
            (home / "snapshots" / commit / "config.json").write_text(json.dumps({"model_type": "bert"}))
        for commit in commits:
            (home / "refs" / "main").write_text(commit)
            environment.hub_commit.cache_clear()
            assert environment.weights(name) == commit
    assert environment.weights("not/there") == ""
    assert environment.weights("embedded") == ""
    environment.hub_commit.cache_clear()


def test_the_weights_decide_a_run(tmp_path, toy, recipe, counted, monkeypatch):  # noqa: F811
    race = recipe.model_copy(update={"race": recipe.race.model_copy(update={"arms": ["target-only"]})})
    ws = Workspace(tmp_path / "work", encoder=toy)
    for commit, trained in (("a", 2), ("a", 2), ("b", 4)):
        monkeypatch.setattr("curator.race.run.weights", lambda model, commit=commit: commit)
        ws.race(race)
        assert counted["trained"] == trained
