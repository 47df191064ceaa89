"""Which evaluation documents an arm may have learnt, against a comparison of every pair."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score
from test_statistics import record as made

from curator import Recipe, Workspace
from curator.documents import normalise
from curator.errors import DataError
from curator.mix import task as mix_task
from curator.race.contamination import contaminated
from curator.race.statistics import analyse, verdict, without

RACE = {"seeds": 2, "arms": ["target-only", "random", "mix"], "by": "probe"}
LONG = "the quick brown fox jumps over the lazy dog while seven old wizards mix strong green potions at night"
WORDS = [f"w{i}" for i in range(60)]


def written(path, texts, labels=("good", "bad")):
    rows = [
        {"id": f"{path.stem}{i}", "text": text, "label": labels[i % 2], "kind": f"k{i % 3}"}
        for i, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [row["id"] for row in rows]


def plain(rng, words, n, size):
    return [" ".join(rng.choice(words, size)) for _ in range(n)]


@pytest.fixture
def folder(tmp_path):
    """Random texts of few words, so that some are alike by chance, and planted copies of every kind."""
    rng = np.random.default_rng(4)
    test = plain(rng, WORDS, 40, 7)
    pool = plain(rng, WORDS, 50, 7) + plain(rng, WORDS, 10, 30)
    target = plain(rng, WORDS, 40, 7)
    pool[0] = test[0].upper() + "!"  # the same text
    pool[50] = f"before {test[1]} between {test[2]} after"  # one holds two whole test documents: a ledger names one
    test[3] = f"x y {LONG} z"
    pool[51] = f"so {' '.join(LONG.split()[2:16])} it was"  # 14 words in a row
    words = test[4].split()
    pool[1] = " ".join([words[-1], *words[1:-1], "other"])  # most of the words, in another order
    # Words in common with the nearest document from one side alone: the pool's nearest is the test document, whose own
    # nearest is another; and the other way round. A word that is repeated moves the vector, not the set of words.
    test[6] = "aa bb cc dd ee ff gg"
    pool[2] = "aa aa aa aa aa aa bb cc dd ee ff gg".replace("ee ff", "ff ee")
    pool[3] = "cc h1 aa h2 dd bb h3 gg h4 ff h5 ee"
    test[8] = "mm nn oo pp qq rr ss"
    test[9] = "mm mm mm mm xx yy zz"
    pool[4] = "mm mm mm mm mm mm nn oo pp qq ss rr"
    target[-1] = test[5] + " indeed"  # in the target's file; whether a seed draws it or not
    written(tmp_path / "test.jsonl", test)
    written(tmp_path / "target.jsonl", target)
    written(tmp_path / "shop.jsonl", pool)
    return tmp_path


def recipe(folder, **changes):
    values = {
        "name": "leaky",
        "task": {"target": "target.jsonl", "test": "test.jsonl", "shots": 8},
        "pool": {"shop": {"path": "shop.jsonl"}},
        "stage": [{"use": "ratio", "budget": 12}],
        "race": RACE,
    }
    return Recipe.parse({**values, **changes}, folder=folder)


def runs(words, n):
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def overlap(one, other):
    if min(len(one.split()), len(other.split())) < 5:
        return 0.0
    one, other = set(one.split()), set(other.split())
    return len(one & other) / len(one | other)


def by_every_pair(toy, folder, names=("shop", "target"), similarity=0.9, share=0.6):
    """Ids of test documents by comparing each with each, from the definitions of decontaminate's layers."""

    def texts(name):
        return {
            row["id"]: normalise(row["text"])
            for row in map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())
        }

    test = texts("test")
    known = [text for name in names for text in texts(name).values()]
    unit = [np.array(toy.encode(list(some)).vectors, float) for some in (test.values(), known)]
    cosines = (unit[0] / np.linalg.norm(unit[0], axis=1)[:, None]) @ (
        unit[1] / np.linalg.norm(unit[1], axis=1)[:, None]
    ).T
    found = set()
    for i, (name, text) in enumerate(test.items()):
        words = text.split()
        n = min(13, len(words))
        for j, other in enumerate(known):
            near = cosines[i, j] in (cosines[i].max(), cosines[:, j].max())
            if (
                text == other
                or (len(words) >= 5 and runs(words, n) & runs(other.split(), n))
                or cosines[i, j] >= similarity
                or (near and overlap(text, other) >= share)
            ):
                found.add(name)
    return found


def ids_of(record):
    return {record["evaluation"]["ids"][position] for position in record["evaluation"]["contaminated"]}


@pytest.mark.parametrize("decontaminate", [True, False])
def test_every_evaluation_document_with_a_copy_is_found_whether_or_not_the_pool_is_cleaned(folder, toy, decontaminate):
    task = {"target": "target.jsonl", "test": "test.jsonl", "shots": 8, "decontaminate": decontaminate}
    record = Workspace(folder / "work", encoder=toy).race(recipe(folder, task=task)).record
    expected = by_every_pair(toy, folder)
    assert {f"test{i}" for i in (*range(7), 8)} <= expected < {f"test{i}" for i in range(40)}
    assert ids_of(record) == expected
    assert record["evaluation"]["contaminated"] == sorted(record["evaluation"]["contaminated"])
    assert not any("w1" in str(value) for value in record["evaluation"].values())  # no text


def test_settings_of_the_recipes_own_stage_count(folder, toy):
    stages = [
        {"use": "decontaminate", "max_similarity": 0.6, "max_overlap": 2.0, "ngram": 0},
        {"use": "ratio", "budget": 9},
    ]
    record = Workspace(folder / "work", encoder=toy).race(recipe(folder, stage=stages)).record
    unit = {}
    for name in ("test", "shop", "target"):
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        vectors = np.array(toy.encode([row["text"] for row in rows]).vectors, float)
        unit[name] = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    nearest = (unit["test"] @ np.concatenate([unit["shop"], unit["target"]]).T).max(axis=1)
    same = by_every_pair(toy, folder, similarity=2, share=2) & {"test0"}
    assert ids_of(record) == {f"test{i}" for i in np.flatnonzero(nearest >= 0.6)} | same


def test_no_label_of_the_test_set_is_needed(folder, toy, monkeypatch):
    ws = Workspace(folder / "work", encoder=toy)
    own = recipe(folder)
    workshop = ws._workshop(None)
    task = workshop.prepare(own, 0)
    assert "label" not in task.test.columns
    monkeypatch.setattr(mix_task, "evaluation_truth", lambda *_, **__: pytest.fail("labels were read"))
    ids = task.test.frame["id"].to_list()
    assert {ids[position] for position in contaminated(task, workshop, ids)} == by_every_pair(toy, folder)
    few = ["test1", "test9", "test5"]
    assert contaminated(task, workshop, few) == (0, 2)  # positions among those asked for


def test_of_a_sampled_pool_the_documents_of_every_seed_count(folder, toy):
    ws = Workspace(folder / "work", encoder=toy)
    pool = {"shop": {"path": "shop.jsonl", "sample": 30}}
    record = ws.race(recipe(folder, pool=pool, race=RACE | {"seeds": 4})).record
    drawn = [set(ws._workshop(None).prepare(recipe(folder, pool=pool), seed).pool.frame["id"]) for seed in range(4)]
    planted = {"test0": "shop0", "test1": "shop50", "test3": "shop51"}
    assert len({len(one & set(planted.values())) for one in drawn}) > 1  # the seeds differ in what they have
    for name, copy in planted.items():
        assert (name in ids_of(record)) == any(copy in one for one in drawn)


def test_documents_of_a_stored_mix_that_is_an_arm_count(folder, toy):
    other = ["a wholly other text of seven words here"] * 3 + plain(np.random.default_rng(5), WORDS, 20, 7)
    test = [json.loads(line)["text"] for line in (folder / "test.jsonl").read_text().splitlines()]
    other[4] = test[7]
    written(folder / "more.jsonl", other)
    ws = Workspace(folder / "work", encoder=toy)
    off = {"target": "target.jsonl", "test": "test.jsonl", "shots": 8, "decontaminate": False}
    more = recipe(
        folder, name="more", task=off, pool={"more": {"path": "more.jsonl"}}, stage=[{"use": "ratio", "budget": 23}]
    )
    ws.mix(more)
    record = ws.race(recipe(folder, race=RACE | {"arms": ["mix", "mix:more"]})).record
    expected = by_every_pair(toy, folder, names=("shop", "target", "more"))
    assert "test7" in expected - by_every_pair(toy, folder)
    assert ids_of(record) == expected


# The figures without them


def leaked(rng, contaminated=tuple(range(30))):
    """A race on 100 documents, of which the mix knows 30 by heart and is no better on the others."""
    truth = rng.integers(0, 3, 100)
    arms = {"mix": {}, "random": {}, "full": {}}
    for seed in range(5):
        for arm in arms:
            wrong = rng.permutation(np.arange(30, 100))[:20]
            own = truth.copy()
            own[wrong] = (own[wrong] + 1) % 3
            if arm != "mix":
                own[rng.permutation(30)[:12]] = 0
            arms[arm][seed] = own.tolist()
    race = made(truth.tolist(), arms, metric="macro_f1")
    race["evaluation"]["contaminated"] = list(contaminated)
    return race


def test_scores_without_the_contaminated_documents_are_those_of_the_others_alone():
    race = leaked(np.random.default_rng(0))
    results = analyse(race)
    assert results.contaminated == 30
    truth = np.array(race["evaluation"]["truth"])
    for whole, clean in zip(results.arms, results.clean.arms, strict=True):
        runs = [np.array(run["predictions"]) for run in race["runs"] if run["arm"] == whole.name]
        assert whole.scores == pytest.approx([100 * f1_score(truth, run, average="macro") for run in runs])
        assert clean.scores == pytest.approx([100 * f1_score(truth[30:], run[30:], average="macro") for run in runs])
    assert {one.finding for one in results.comparisons} == {"better"}
    assert {one.finding for one in results.clean.comparisons} == {"indistinguishable"}
    assert verdict(results).endswith(
        "; without the 30 evaluation documents of which there are copies in the pool or the target it is "
        "indistinguishable from random and full."
    )


def test_nothing_is_said_of_them_where_they_change_no_finding_or_are_none_or_all():
    rng = np.random.default_rng(1)
    for some in ((), tuple(range(100)), (40, 70)):
        race = leaked(rng, some)
        results = analyse(race)
        assert results.contaminated == len(some)
        assert (results.clean is None) == (len(some) in (0, 100))
        assert "without the" not in verdict(results)
    del race["evaluation"]["contaminated"]
    assert (analyse(race).contaminated, analyse(race).clean) == (None, None)
    one = leaked(rng, (5,))["evaluation"]["contaminated"]
    assert without(race, one)["evaluation"]["ids"] == [str(i) for i in range(100) if i != 5]


@pytest.mark.parametrize(("copies", "told"), [([3, 3], "one twice"), ([100], "number 100"), ([-1], "number -1")])
def test_positions_that_are_none_are_an_error(copies, told):
    with pytest.raises(DataError, match=f"the contaminated documents: {told}, but there are 100"):
        analyse(leaked(np.random.default_rng(2), copies))
