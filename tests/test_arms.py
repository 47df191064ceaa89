"""The arms of a race that stages choose: against brute force and the stage alone, at equal budget, without leaks."""

import json
import random

import numpy as np
import polars as pl
import pytest

from curator import Recipe, Workspace
from curator.errors import DataError, RecipeError, UnknownNameError
from curator.mix import make
from curator.race import choosing, probing
from curator.race.arms import clean_pool
from curator.race.choosing import Chooser, file_name
from curator.race.statistics import analyse, points
from curator.report import ablation

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
        "stage": [{"use": "relevance", "min_score": 0.2}, {"use": "ratio", "budget": 21}],
        "race": {"seeds": 2, "evaluation": 20, "by": "probe"},
    }
    return Recipe.parse(values | changes, folder=folder)


class Chosen:
    """The arms of a recipe at one seed, without a race."""

    def __init__(self, ws, recipe, seed=0, folder=None):
        self.ws, self.recipe = ws, recipe
        self.workshop = ws._workshop(recipe)
        self.task = self.workshop.prepare(recipe, seed)
        self.mix = ws.mix(recipe) if not seed else make(recipe, self.workshop, seed=seed)
        self.folder = folder

    def __getitem__(self, arm):
        return Chooser([arm], self.workshop, self.recipe.folder, self.folder).choose(arm, self.task, self.mix).documents


def write_other(folder):
    text = '[task]\ntarget = "x"\ntest = "y"\n[pool.z]\n[[stage]]\nuse = "mmr"\nbudget = 40\n'
    (folder / "other.toml").write_text(text)


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


CONTROLS = ["shuffled-target", "random-vectors", "farthest"]
ARMS = ["random", "random-balanced", "bm25", "dsir", "knn", "round-robin", "tsds", "mix", *CONTROLS]


def test_every_selecting_arm_has_as_many_documents_and_none_of_the_test_set(ws, folder):
    """Of every kind: drawn, baselines, a stored mix, another recipe, ablations, controls."""
    other = {"task": {"target": "target.jsonl", "test": "test.jsonl", "decontaminate": False}, "stage": []}
    ws.mix(recipe_of(folder, name="loose", **other))
    assert set(ws.mix("loose").frame()["id"]) >= LEAKS
    write_other(folder)
    named = ["target-only", *ARMS, "mix:loose", "recipe:other.toml"]
    race = {"seeds": 2, "evaluation": 20, "by": "probe", "arms": named, "ablate": ["stages", "sources"]}
    recipe = recipe_of(folder, race=race)
    record = ws.race(recipe).record
    parts = ["stage:relevance", "stage:ratio", "source:shop", "source:mail"]
    selecting = [*named[1:], *(f"without-{part}" for part in parts)]
    assert {run["error"] for run in record["runs"]} == {None}
    assert [arm["name"] for arm in record["arms"]] == ["target-only", *selecting]
    sizes = {(run["arm"], run["documents"]) for run in record["runs"]}
    assert sizes == {("target-only", 0), *((arm, 21) for arm in selecting)}
    assert [arm["selecting"] for arm in record["arms"]] == [False, *[True] * len(selecting)]
    assert len({arm["description"] for arm in record["arms"]}) == 1 + len(selecting)
    timed = [run for run in record["runs"] if run["arm"] in ("bm25", "dsir", "knn", "tsds", "mix", "farthest")]
    assert all(run["selection_seconds"] > 0 for run in timed)
    for seed in (0, 1):
        chosen = Chosen(ws, recipe, seed)
        for arm in selecting:
            assert not set(chosen[arm]["id"]) & LEAKS, arm


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
    built, tried = [], choosing.tried
    monkeypatch.setattr(choosing, "tried", lambda *of: built.append(of[0].seed) or tried(*of))
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


# Another recipe's stages


def test_the_stages_of_another_recipe_choose_from_the_same_cleaned_pool(ws, folder):
    """Oracle: a race recipe that has those stages as its own; drawn down where they keep more."""
    other = folder / "others" / "other.toml"
    other.parent.mkdir()
    text = '[task]\ntarget = "x"\ntest = "y"\n[pool.z]\n[[stage]]\nuse = "own.sql"\n'
    other.write_text(text)
    own = "-- Keep what is good.\nSELECT corpus, id, label = 'good' AS keep FROM candidates\n"
    (other.parent / "own.sql").write_text(own)
    arm = "recipe:others/other.toml"
    arms = {"seeds": 2, "evaluation": 20, "by": "probe", "arms": ["mix", arm]}
    recipe = recipe_of(folder, race=arms)
    race = ws.race(recipe)
    runs = [run for run in race.record["runs"] if run["arm"] == arm]
    assert [(run["error"], run["documents"]) for run in runs] == [(None, 21)] * 2
    assert race.record["arms"][1]["recipe"] == text
    assert race.record["arms"][1]["selecting"]
    drawn = Chosen(ws, recipe)[arm]
    assert set(drawn["label"]) == {"good"}
    assert not set(drawn["id"]) & LEAKS
    whole = recipe_of(folder, name="whole", stage=[{"use": "others/own.sql"}])
    kept = keys(ws.mix(whole).frame())
    assert len(kept) == 55
    assert [key for key in kept if key in keys(drawn)] == keys(drawn)
    assert keys(drawn) != keys(Chosen(ws, recipe, seed=1)[arm])

    assert ws.race(recipe).record["runs"] == race.record["runs"]
    other.write_text(text + '[[stage]]\nuse = "ratio"\nbudget = 9\n')
    changed = ws.race(recipe).record
    runs = {run["arm"]: run["error"] for run in changed["runs"]}
    assert runs["mix"] is None
    assert "has 9 documents to choose from, and the mix has 21; give the mix a budget of at most 9" in runs[arm]
    (other.parent / "own.sql").write_text(own.replace("good'", "bad'"))
    other.write_text(text)
    assert set(Chosen(ws, recipe, folder=race.directory)[arm]["label"]) == {"bad"}


def test_a_recipe_that_is_not_there_ends_a_race_before_it_begins(ws, folder):
    arms = {"seeds": 2, "evaluation": 20, "by": "probe", "arms": ["mix", "recipe:nothing.toml"]}
    with pytest.raises(RecipeError, match=r"nothing\.toml: no such recipe"):
        ws.race(recipe_of(folder, race=arms))
    assert not (ws.root / "races" / "race-probe" / "runs").exists()


def test_files_of_arms_with_other_characters_do_not_collide():
    names = ["mix:a", "recipe:a/b.toml", "recipe:a-b.toml", "recipe:ä.toml", "without-stage:a b", "dsir"]
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(files)
    assert (files[0], files[-1]) == ("mix--a", "dsir")
    assert all("/" not in name and ":" not in name for name in files)


# Ablation


def raced(folder, *arms, **changes):
    race = {"seeds": 2, "evaluation": 20, "by": "probe", "arms": list(arms)}
    return recipe_of(folder, **{"race": race | changes.pop("race", {}), **changes})


def test_ablate_adds_an_arm_for_each_stage_and_source(folder):
    uses = ({"use": "decontaminate"}, {"use": "relevance"}, {"use": "relevance", "k": 2}, {"use": "ratio", "budget": 9})
    both = raced(folder, "mix", "without-stage:ratio", race={"ablate": ["stages", "sources"]}, stage=list(uses))
    parts = ["stage:ratio", "stage:relevance", "stage:relevance_2", "source:shop", "source:mail"]
    assert both.arms == ["mix", *(f"without-{part}" for part in parts)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arms": ["mix", "without-stage:quality"]}, "the recipe has no 'quality'; there are: relevance, ratio"),
        ({"arms": ["mix", "without-source:quality"]}, "the recipe has no 'quality'; there are: shop, mail"),
        ({"arms": ["mix", "without-stage:decontaminate"]}, "would train on what is tested"),
        ({"arms": ["random", "without-stage:ratio"]}, "have 'mix' among the arms"),
        ({"arms": ["random"], "ablate": ["sources"]}, "have 'mix' among the arms"),
        ({"arms": ["mix", "without:ratio"]}, "unknown arm 'without:ratio'"),
    ],
)
def test_a_part_that_cannot_be_left_out_is_refused(folder, changes, said):
    with pytest.raises(RecipeError, match=said):
        raced(folder, "mix", race=changes)


def test_a_single_source_cannot_be_left_out(folder):
    with pytest.raises(RecipeError, match="the pool has no other source"):
        raced(folder, "mix", race={"ablate": ["sources"]}, pool={"shop": {"path": "shop.jsonl"}})
    with pytest.raises(RecipeError, match="the recipe has no stage to do without"):
        raced(folder, "mix", race={"ablate": ["stages"]}, stage=[])


def test_the_mix_without_a_stage_or_source_is_what_a_recipe_without_it_chooses(ws, folder):
    recipe = raced(folder, "mix", race={"ablate": ["stages", "sources"]})
    race = ws.race(recipe)
    assert {run["error"] for run in race.record["runs"]} == {None}
    assert {run["documents"] for run in race.record["runs"]} == {21}
    stages, pool = recipe.stage, recipe.pool
    expected = {
        "without-stage:relevance": {"stage": stages[1:]},
        "without-source:mail": {"pool": {"shop": pool["shop"]}},
        "without-source:shop": {"pool": {"mail": pool["mail"]}},
    }
    chosen = Chosen(ws, recipe)
    for number, (arm, changes) in enumerate(expected.items()):
        alone = recipe.model_copy(update={**changes, "name": f"alone{number}"})
        assert keys(chosen[arm]) == keys(Workspace(folder / f"o{number}", encoder=ws._encoder).mix(alone).frame()), arm
    more = Workspace(folder / "more", encoder=ws._encoder).mix(recipe.model_copy(update={"stage": stages[:1]})).frame()
    drawn = keys(chosen["without-stage:ratio"])
    assert len(more) > 21
    assert [key for key in keys(more) if key in drawn] == drawn
    assert keys(chosen["mix"]) != drawn
    first = next(run for run in race.record["runs"] if run["arm"] == "without-stage:ratio")
    assert first["reused_verdicts"] > 0
    results = analyse(race.record)
    means = {arm.name: arm.mean for arm in results.arms}
    told = {row[0]: row for row in ablation.rows(results)}
    assert {name: row[1] for name, row in told.items()} == {
        "relevance": "stage", "ratio": "stage", "shop": "source", "mail": "source"
    }  # fmt: skip
    assert told["mail"][3] == points(means["mix"] - means["without-source:mail"], sign=True)
    for path in ("report.html", "report.md"):
        assert "Mix − without" in race.report(folder / path).read_text("utf8")


def test_a_stage_that_does_nothing_earns_nothing(ws, folder):
    (folder / "idle.sql").write_text("-- Keep everything.\nSELECT corpus, id, true AS keep FROM candidates\n")
    stage = [{"use": "relevance"}, {"use": "idle.sql"}, {"use": "ratio", "budget": 21}]
    recipe = raced(folder, "mix", "without-stage:idle", stage=stage)
    chosen = Chosen(ws, recipe)
    mix = chosen["mix"]
    assert chosen["without-stage:idle"].select(mix.columns).equals(mix)
    runs = ws.race(recipe).record["runs"]
    predictions = {arm: [run["predictions"] for run in runs if run["arm"] == arm] for arm in recipe.arms}
    assert predictions["mix"] == predictions["without-stage:idle"]


def test_what_is_tried_leaves_stored_mixes_as_they_were(ws, folder):
    recipe = raced(folder, "mix", "recipe:other.toml", *CONTROLS, race={"ablate": ["stages", "sources"]})
    write_other(folder)
    for seed in (0, 1):
        make(recipe, ws._workshop(recipe), seed=seed)
    before = {path: path.read_bytes() for path in sorted((ws.root / "mixes").rglob("*")) if path.is_file()}
    assert {run["error"] for run in ws.race(recipe).record["runs"]} == {None}
    after = {path: path.read_bytes() for path in sorted((ws.root / "mixes").rglob("*")) if path.is_file()}
    assert after == before
    assert ws.check() == []
    wider = recipe.model_copy(update={"stage": [recipe.stage[0], recipe.stage[1].model_copy(update={"budget": 30})]})
    assert ws.mix(wider).summary()["reused"]["stages"][0]["taken"] == 112


# Negative controls


def test_farthest_is_the_other_end_of_nearest(ws, toy, folder):
    chosen = Chosen(ws, recipe_of(folder))
    pool = clean_pool(chosen.task, chosen.mix)
    cosines = (vectors(toy, pool) @ vectors(toy, chosen.task.target.frame).T).max(axis=1).round(6)
    order = np.lexsort((pool["id"], pool["corpus"], cosines))
    assert set(keys(chosen["farthest"])) == set(keys(pool[order[:21]]))


def test_random_vectors_know_nothing_of_the_true_ones(ws, toy, folder):
    """Another encoder chooses the same, and stages do see vectors: those of the mix choose something else."""
    stage = [{"use": "pairing", "k": 6}, {"use": "ratio", "budget": 21}]
    other = type(toy)()
    other.key = "other"
    other.direction = lambda word: toy.direction(word[::-1] + "x")
    recipe = recipe_of(folder, stage=stage)
    seen = [Chosen(one, recipe)["random-vectors"] for one in (ws, Workspace(folder / "o", encoder=other))]
    assert keys(seen[0]) == keys(seen[1])
    mixes = [Chosen(one, recipe)["mix"] for one in (ws, Workspace(folder / "o", encoder=other))]
    assert keys(mixes[0]) != keys(mixes[1])
    assert set(keys(mixes[0])) != set(keys(seen[0]))
    assert keys(Chosen(ws, recipe, seed=1)["random-vectors"]) != keys(seen[0])
    assert not set(seen[0]["id"]) & LEAKS  # which true vectors have found


def test_a_shuffled_target_chooses_and_the_true_one_trains(ws, folder, monkeypatch):
    """Labels that say nothing: what a stage of own labels keeps is another thing, and training sees what is true."""
    stage = [{"use": "pairing", "k": 6}, {"use": "ratio", "budget": 21}]
    recipe = raced(folder, "mix", "shuffled-target", stage=stage)
    chosen = Chosen(ws, recipe)
    trained, learnt = [], probing._learnt
    monkeypatch.setattr(probing, "_learnt", lambda task, arm: trained.append((arm.name, task)) or learnt(task, arm))
    tasks, build = [], choosing.build
    monkeypatch.setattr(choosing, "build", lambda task, *rest: tasks.append(task) or build(task, *rest))
    assert {run["error"] for run in ws.race(recipe).record["runs"]} == {None}
    true = chosen.task.target.frame
    of_arm = [task.target.frame for name, task in trained if name == "shuffled-target"]
    assert of_arm[0].equals(true)
    assert [task.seed for task in tasks] == [0, 1]
    seen = tasks[0].target.frame
    assert seen.drop("label").equals(true.drop("label"))
    assert seen["label"].to_list() != true["label"].to_list()
    assert sorted(seen["label"]) == sorted(true["label"])
    assert set(keys(chosen["shuffled-target"])) != set(keys(chosen["mix"]))
    assert set(chosen["shuffled-target"].select("id", "label").rows()) <= {
        (row["id"], row["label"])
        for name in ("shop", "mail")
        for row in map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())
    }


def test_what_is_left_out_of_a_search_is_checked_too(ws, folder):
    """A search takes arms that its recipe does not name."""
    chosen = Chosen(ws, recipe_of(folder))
    for arm in ("without-stage:quality", "without-stage:decontaminate", "without-source:other"):
        with pytest.raises(UnknownNameError, match=arm.partition(":")[2]):
            chosen[arm]


def test_what_is_forgotten_is_in_no_selection(ws, folder):
    for race in ({}, {"shots": [4, 8]}):
        ws.race(raced(folder, "mix", "knn", "without-source:mail", race=race))
    folders = [path.parent for path in (ws.root / "races").rglob("selections/knn-seed0.json")]
    assert len(folders) == 3
    chosen = json.loads((folders[0] / "knn-seed0.json").read_text())["documents"][0]
    ws.forget(f"{chosen[0]}:{chosen[1]}")
    left = [path for path in (ws.root / "races").rglob("selections/*.json") if f'"{chosen[1]}"' in path.read_text()]
    assert left == []
    assert ws.check() == []
