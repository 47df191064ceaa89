"""The arms of a race that stages choose: against brute force and the stage alone, at equal budget, without leaks."""

import json
import random

import numpy as np
import polars as pl
import pytest

from curator import Recipe, Workspace
from curator.errors import DataError
from curator.race import choosing
from curator.race.arms import clean_pool
from curator.race.choosing import Chooser

WORDS = [f"{first}{second}" for first in ("ca", "de", "fi", "lo", "mu") for second in ("rd", "sk", "ne", "st", "te")]
COUNTER = [f"{word}ish" for word in WORDS]  # what test documents have besides
LEAKS = {"leak", "near"}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def documents(name, n, seed, words=8, vocabulary=WORDS):
    draw = random.Random(seed)
    return [
        {
            "id": f"{name}{i}",
            "text": " ".join([*draw.choices(vocabulary, k=words), name]),
            "label": ("good", "bad")[i % 2],
        }
        for i in range(n)
    ]


@pytest.fixture
def folder(tmp_path):
    """A target, a test set, and two sources, of which one has a test document and a near copy of one."""
    test = documents("test", 30, 1, words=30, vocabulary=WORDS + COUNTER)
    copy = test[3]["text"].split()
    shop = documents("shop", 60, 2)
    shop += [
        {"id": "leak", "text": test[0]["text"], "label": "good"},
        {"id": "near", "text": " ".join(["hello", *copy]), "label": "bad"},
    ]
    for name, rows in (
        ("target", documents("desk", 20, 3)),
        ("test", test),
        ("shop", shop),
        ("mail", documents("mail", 50, 4)),
    ):
        write(tmp_path / f"{name}.jsonl", rows)
    return tmp_path


def recipe_of(folder, **changes):
    values = {
        "name": "race",
        "task": {"target": "target.jsonl", "test": "test.jsonl", "shots": 8},
        "pool": {"shop": {"path": "shop.jsonl"}, "mail": {"path": "mail.jsonl"}},
        "stage": [{"use": "relevance", "min_score": 0.3}, {"use": "ratio", "budget": 21}],
        "race": {"seeds": 2, "evaluation": 20, "by": "probe"},
    }
    return Recipe.parse(values | changes, folder=folder)


class Chosen:
    """The arms of a recipe at one seed, without a race."""

    def __init__(self, ws, recipe, seed=0, folder=None):
        self.ws, self.recipe = ws, recipe
        self.workshop = ws._workshop(recipe)
        self.task = self.workshop.prepare(recipe, seed)
        self.mix = ws.mix(recipe) if not seed else choosing_mix(recipe, self.workshop, seed)
        self.folder = folder

    def __getitem__(self, arm):
        return Chooser([arm], self.workshop, self.folder).choose(arm, self.task, self.mix).documents


def choosing_mix(recipe, workshop, seed):
    from curator.mix import make

    return make(recipe, workshop, seed=seed)


def keys(frame):
    return [f"{corpus}:{name}" for corpus, name in frame.select("corpus", "id").rows()]


@pytest.fixture
def ws(tmp_path, toy):
    return Workspace(tmp_path / "work", encoder=toy)


def vectors(toy, frame):
    return toy.encode(frame["text"].to_list()).vectors


def test_knn_is_the_nearest_to_any_target_document(ws, toy, folder):
    for seed in (0, 1):
        chosen = Chosen(ws, recipe_of(folder), seed)
        pool = clean_pool(chosen.task, chosen.mix)
        cosines = vectors(toy, pool) @ vectors(toy, chosen.task.target.frame).T
        order = np.lexsort((pool["id"], pool["corpus"], -cosines.max(axis=1).round(6)))
        expected = pool[order[: len(chosen.mix)]]
        found = chosen["knn"]
        assert len(found) == 21
        assert set(keys(found)) == set(keys(expected))
        own = dict(zip(keys(pool), pool["label"], strict=True))
        assert [own[key] for key in keys(found)] == found["label"].to_list()
        assert found["label"].n_unique() == 2


@pytest.mark.parametrize(
    ("arm", "stage"),
    [
        ("bm25", {"use": "bm25", "min_score": 0.0}),
        ("dsir", {"use": "dsir"}),
        ("tsds", {"use": "tsds"}),
        ("round-robin", {"use": "round_robin"}),
    ],
)
def test_a_baseline_is_its_stage_alone_over_the_cleaned_pool(ws, folder, arm, stage):
    """Oracle: a recipe of that one stage, whose pools are files without the leaks."""
    chosen = Chosen(ws, recipe_of(folder))
    for name in ("shop", "mail"):
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        write(folder / f"clean-{name}.jsonl", [row for row in rows if row["id"] not in LEAKS])
    alone = recipe_of(
        folder,
        name="alone",
        task={"target": "target.jsonl", "test": "test.jsonl", "shots": 8, "decontaminate": False},
        pool={name: {"path": f"clean-{name}.jsonl"} for name in ("shop", "mail")},
        stage=[{**stage, "budget": len(chosen.mix)}],
    )
    dropped = chosen.mix.ledger().filter(~pl.col("keep"), stage="decontaminate")
    assert set(dropped["id"]) == LEAKS
    expected = Workspace(folder / "other", encoder=ws._encoder).mix(alone).frame()
    found = chosen[arm]
    assert len(expected) == len(found) == 21
    assert set(keys(found)) == set(keys(expected))
    assert sorted(found.select("corpus", "id", "label", "text").rows()) == sorted(
        expected.select("corpus", "id", "label", "text").rows()
    )


ARMS = ["random", "random-balanced", "bm25", "dsir", "knn", "round-robin", "tsds", "mix"]


def test_every_selecting_arm_has_as_many_documents_and_none_of_the_test_set(ws, folder):
    race = ws.race(
        recipe_of(folder, race={"seeds": 2, "evaluation": 20, "by": "probe", "arms": ["target-only", *ARMS]})
    )
    runs = race.record["runs"]
    assert {run["error"] for run in runs} == {None}
    assert {run["arm"]: run["documents"] for run in runs} == {"target-only": 0, **dict.fromkeys(ARMS, 21)}
    assert [arm["selecting"] for arm in race.record["arms"]] == [False, *[True] * len(ARMS)]
    assert len({arm["description"] for arm in race.record["arms"]}) == 1 + len(ARMS)
    assert all(run["selection_seconds"] > 0 for run in runs if run["arm"] in ("bm25", "dsir", "knn", "tsds", "mix"))
    pool = {
        row["id"]
        for name in ("shop", "mail")
        for row in map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())
    }
    assert pool >= LEAKS
    for arm in ARMS:
        assert not set(Chosen(ws, race_recipe(race, folder))[arm]["id"]) & LEAKS, arm


def race_recipe(race, folder):
    return Recipe.parse(race.record["recipe"], folder=folder)


def test_bm25_and_dsir_are_arms_by_default(folder):
    assert recipe_of(folder).race.arms == ["target-only", "random", "random-balanced", "full", "bm25", "dsir", "mix"]


def test_an_arm_of_too_few_documents_fails_and_the_others_finish(ws, folder):
    rows = [{**row, "text": f"{row['id']} nothing alike"} for row in documents("odd", 100, 5)]
    write(folder / "odd.jsonl", rows)
    recipe = recipe_of(
        folder,
        pool={"odd": {"path": "odd.jsonl"}, "mail": {"path": "mail.jsonl"}},
        stage=[{"use": "ratio", "budget": 70}],
        race={"seeds": 2, "evaluation": 20, "by": "probe", "arms": ["mix", "knn", "bm25", "dsir"]},
    )
    errors = {run["arm"]: run["error"] for run in ws.race(recipe).record["runs"]}
    assert [errors[arm] for arm in ("mix", "knn", "dsir")] == [None] * 3
    assert "the arm 'bm25' has 50 documents to choose from, and the mix has 70" in errors["bm25"]


def test_own_labels_of_documents_that_have_none_cannot_be_taken(ws, folder):
    """Documents that serve as text: bm25, dsir and knn take them, and the arms of a label say why they cannot."""
    pools = {"shop": {"path": "shop.jsonl"}, "mail": {"path": "mail.jsonl", "serves": "text"}}
    chosen = Chosen(ws, recipe_of(folder, pool=pools, stage=[{"use": "ratio", "budget": 80}]))
    for arm in ("bm25", "dsir", "knn"):
        assert len(chosen[arm]) == 80
        assert set(chosen[arm].filter(corpus="mail")["serves"]) == {"text"}
    for arm in ("round-robin", "tsds"):
        with pytest.raises(DataError, match=rf"'{arm}' has \d+ documents .* mix has 80; .*\(50 documents .* no label"):
            chosen[arm]
    as_text = chosen["dsir-as-text"]
    assert len(as_text) == 80
    assert set(as_text["serves"]) == {"text"}
    only = Chosen(ws, recipe_of(folder, name="votes", pool={"mail": {"path": "mail.jsonl", "serves": "vote"}},
                                stage=[{"use": "pairing", "k": 4}]))  # fmt: skip
    with pytest.raises(DataError, match="the arm 'bm25' has nothing to choose from"):
        only["bm25"]


def test_what_was_chosen_is_kept_by_id_and_not_chosen_again(ws, folder, monkeypatch):
    recipe = recipe_of(folder, race={"seeds": 2, "evaluation": 20, "by": "probe", "arms": ["mix", "dsir", "knn"]})
    first = ws.race(recipe)
    kept = sorted((first.directory / "selections").glob("*.json"))
    assert [path.stem for path in kept] == [f"{arm}-seed{seed}" for arm in ("dsir", "knn") for seed in (0, 1)]
    texts = {row["text"] for row in map(json.loads, (folder / "shop.jsonl").read_text().splitlines())}
    assert not [text for path in kept for text in texts if text in path.read_text()]
    built, build = [], choosing.build
    monkeypatch.setattr(choosing, "build", lambda *of: built.append(of[0].seed) or build(*of))
    assert ws.race(recipe).record["runs"] == first.record["runs"]
    assert built == []
    kept[1].write_text(kept[1].read_text().replace('"shop"', '"mail"', 1))
    assert [damage.path for damage in ws.check()] == ["races/race-probe/selections/dsir-seed1.json"]
    again = ws.race(recipe).record["runs"]
    assert built == [1]
    assert [run["predictions"] for run in again] == [run["predictions"] for run in first.record["runs"]]
    chosen = Chosen(ws, recipe, folder=first.directory)
    frames = chosen["dsir"], Chosen(ws, recipe)["dsir"]
    assert built == [1, 0]
    assert frames[0].equals(frames[1])
    ws.race(recipe.model_copy(update={"stage": recipe.stage[:1]}))
    assert len(built) > 2  # another mix has another number of documents
