"""Scores of a race by label, source and any column of the test set: against scikit-learn, by hand, by simulation."""

import json

import numpy as np
import pytest
from scipy.stats import binom, ttest_rel
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, recall_score
from test_contaminated import RACE, folder, recipe  # noqa: F401  a fixture
from test_kind_race import record as of_kind
from test_statistics import record

from curator import Workspace
from curator.errors import DataError, RecipeError
from curator.race.statistics import SMALL, analyse, grouped, without


def of(race):
    results = analyse(race, 2)
    return {one.by: one for one in grouped(race, results)}


def with_groups(race, **columns):
    told = [{"by": "label"}]
    for name, values in columns.items():
        different = list(dict.fromkeys(values))
        told.append({"by": name, "values": different, "codes": [different.index(value) for value in values]})
    race["evaluation"]["groups"] = told
    return race


def predictions(rng, truth, seeds, share):
    return {
        seed: np.where(rng.random(len(truth)) < share, truth, rng.integers(0, 3, len(truth))) for seed in range(seeds)
    }


def raced(seed=0, n=400, seeds=4):
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n, p=[0.6, 0.36, 0.04])
    source = rng.choice(["shop", "forum", "mail"], n, p=[0.5, 0.47, 0.03])
    runs = {"mix": predictions(rng, truth, seeds, 0.8), "random": predictions(rng, truth, seeds, 0.5)}
    arms = {arm: {s: own.tolist() for s, own in by_seed.items()} for arm, by_seed in runs.items()}
    return with_groups(record(truth.tolist(), arms, metric="macro_f1"), source=source.tolist()), truth, source, runs


def test_groups_of_a_label_have_recall_and_others_accuracy():
    race, truth, source, runs = raced()
    found = of(race)
    assert [(one.measure, one.lower_is_better) for one in found.values()] == [("recall", False), ("accuracy", False)]
    for arm, by_seed in runs.items():
        recalls = np.mean([100 * recall_score(truth, run, average=None) for run in by_seed.values()], axis=0)
        assert {one.group: one.scores[arm].value for one in found["label"].groups} == pytest.approx(
            dict(zip("abc", recalls, strict=True))
        )
        for one in found["source"].groups:
            mine = source == one.group
            scores = [100 * accuracy_score(truth[mine], run[mine]) for run in by_seed.values()]
            assert (one.documents, one.scores[arm].value) == (mine.sum(), pytest.approx(np.mean(scores)))
    sizes = [one.documents for one in found["source"].groups]
    assert sizes == sorted(sizes, reverse=True)


def test_differences_are_paired_and_hold_for_all_groups_of_all_columns_and_small_groups_have_none():
    race, truth, source, runs = raced()
    found = of(race)
    every = [(by, one) for by, column in found.items() for one in column.groups]
    assert sum(one.small for _, one in every) == 2  # the label c, and mail
    for by, one in every:
        if one.small:
            assert one.documents < SMALL
            assert one.differences == {}
            continue
        mine = truth == "abc".index(one.group) if by == "label" else source == one.group
        sides = (
            [100 * accuracy_score(truth[mine], run[mine]) for run in runs[arm].values()] for arm in ("mix", "random")
        )
        expected = ttest_rel(*sides).confidence_interval(1 - 0.05 / 4)  # four groups that are not small
        told = one.differences["random"]
        assert (told.family.low, told.family.high) == pytest.approx((expected.low, expected.high))
        assert told.finding == ("better" if expected.low > 0 else "worse" if expected.high < 0 else "indistinguishable")


def test_the_gap_is_from_the_best_to_the_worst_group_that_is_not_small():
    race, *_ = raced()
    for column in of(race).values():
        for arm, gap in column.gaps.items():
            values = {one.group: one.scores[arm].value for one in column.groups if not one.small}
            assert gap.points == pytest.approx(max(values.values()) - min(values.values()))
            assert (gap.best, gap.worst) == (max(values, key=values.get), min(values, key=values.get))


def test_documents_of_several_labels_are_in_the_group_of_each():
    rng = np.random.default_rng(1)
    truth = rng.random((120, 4)) < [0.6, 0.4, 0.3, 0.0]
    runs = [truth ^ (rng.random(truth.shape) < 0.2) for _ in range(3)]
    source = rng.choice(["x", "y"], 120)
    race = with_groups(of_kind("multi", "macro_f1", truth, {"mix": runs, "random": runs[::-1]}), source=source.tolist())
    found = of(race)
    recalls = np.mean([100 * recall_score(truth, run, average=None, zero_division=0) for run in runs], axis=0)
    assert {one.group: one.scores["mix"].value for one in found["label"].groups} == pytest.approx(
        dict(zip("abc", recalls, strict=False))  # of d there is no document
    )
    assert found["source"].measure == "F1 of a document's labels"
    for one in found["source"].groups:
        mine = source == one.group
        scores = [100 * f1_score(truth[mine], run[mine], average="samples", zero_division=1) for run in runs]
        assert one.scores["mix"].value == pytest.approx(np.mean(scores))


def test_of_numbers_errors_are_told_and_less_is_better():
    truth = np.arange(200.0)
    rng = np.random.default_rng(2)
    sides = {arm: [truth + rng.normal(0, spread, 200) for _ in range(4)] for arm, spread in (("mix", 1), ("random", 9))}
    race = with_groups(of_kind("regression", "spearman", truth, sides), source=["x"] * 100 + ["y"] * 100)
    found = of(race)
    assert [one.group for one in sorted(found["label"].groups, key=lambda one: float(one.group.split()[0]))] == [
        f"{40 * i} to {40 * i + 39}" for i in range(5)
    ]
    for one in found["source"].groups:
        mine = slice(0, 100) if one.group == "x" else slice(100, 200)
        errors = {arm: [mean_absolute_error(truth[mine], run[mine]) for run in runs] for arm, runs in sides.items()}
        assert one.scores["random"].value == pytest.approx(np.mean(errors["random"]))
        assert one.differences["random"].value == pytest.approx(np.mean(errors["mix"]) - np.mean(errors["random"]))
        assert one.differences["random"].finding == "better"
    gap = found["source"].gaps["random"]
    values = {one.group: one.scores["random"].value for one in found["source"].groups}
    assert values[gap.best] < values[gap.worst]


def test_without_a_difference_one_is_found_in_at_most_one_race_in_twenty():
    """Family-wise over 6 groups of two columns, which hold the same documents: at most 0.05, and no idle test."""
    rng = np.random.default_rng(3)
    false = 0
    for _ in range(150):
        truth = rng.integers(0, 3, 240)
        arms = {}
        for arm in ("mix", "random"):
            ability = 0.7 + rng.normal(0, 0.05, (5, 3))  # of a seed, on a label
            right = rng.random((5, 240)) < ability[:, truth]
            arms[arm] = {seed: np.where(right[seed], truth, (truth + 1) % 3).tolist() for seed in range(5)}
        race = with_groups(record(truth.tolist(), arms), source=rng.choice(["x", "y", "z"], 240).tolist())
        said = [d.finding for column in of(race).values() for one in column.groups for d in one.differences.values()]
        assert len(said) == 6
        false += set(said) != {"indistinguishable"}
    assert binom.ppf(0.001, 150, 0.02) <= false <= binom.ppf(0.999, 150, 0.05)


def test_groups_go_with_their_documents():
    race, _, source, _ = raced()
    race["evaluation"]["contaminated"] = list(range(0, 400, 3))
    fewer = without(race, race["evaluation"]["contaminated"])
    counts = {one.group: one.documents for one in of(fewer)["source"].groups}
    kept = np.arange(400) % 3 != 0
    assert counts == {name: int((source[kept] == name).sum()) for name in counts}
    assert set(counts) == {"shop", "forum", "mail"}


def test_codes_that_are_none_are_an_error():
    race, *_ = raced()
    race["evaluation"]["groups"][1]["codes"][3] = 3
    with pytest.raises(DataError, match="groups by 'source': 400 codes for 400 evaluation documents, of 3 groups"):
        analyse(race)


# In a whole race


def test_a_race_records_the_group_of_each_document(folder, toy):  # noqa: F811
    ws = Workspace(folder / "work", encoder=toy)
    rows = {row["id"]: row for row in map(json.loads, (folder / "test.jsonl").read_text().splitlines())}
    plain = ws.race(recipe(folder)).record
    assert plain["evaluation"]["groups"] == [{"by": "label"}]  # one source, so that it is no group
    asked = ws.race(recipe(folder, race=RACE | {"groups": ["kind", "label"]})).record
    assert [run["predictions"] for run in asked["runs"]] == [run["predictions"] for run in plain["runs"]]
    told, label = asked["evaluation"]["groups"]
    assert (told["by"], label) == ("kind", {"by": "label"})
    assert [told["values"][code] for code in told["codes"]] == [
        rows[name]["kind"] for name in asked["evaluation"]["ids"]
    ]
    assert ws.race(recipe(folder, race=RACE | {"groups": []})).record["evaluation"].get("groups", []) == []


def test_by_source_where_there_are_several_and_a_value_that_is_missing_is_a_group(folder, toy):  # noqa: F811
    path = folder / "test.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for number, row in enumerate(rows):
        row |= {"source": f"s{number % 2}", "year": 2020 + number % 3 if number % 4 else None, "many": number}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ws = Workspace(folder / "work", encoder=toy)
    assert [told["by"] for told in ws.race(recipe(folder)).record["evaluation"]["groups"]] == ["label", "source"]
    record = ws.race(recipe(folder, race=RACE | {"groups": ["year"]})).record
    (told,) = record["evaluation"]["groups"]
    wanted = {row["id"]: row["year"] for row in rows}
    expected = [None if wanted[name] is None else str(wanted[name]) for name in record["evaluation"]["ids"]]
    assert [told["values"][code] for code in told["codes"]] == expected


@pytest.mark.parametrize(("name", "told"), [("colour", "no column 'colour'"), ("text_", "no column 'text_'")])
def test_a_column_that_is_none_is_an_error_that_names_those_there_are(folder, toy, name, told):  # noqa: F811
    with pytest.raises(RecipeError, match=rf"groups: the test set has {told} beside its label; it has: .*kind"):
        Workspace(folder / "work", encoder=toy).race(recipe(folder, race=RACE | {"groups": [name]}))


def test_a_column_of_too_many_values_is_no_group(folder, toy, monkeypatch):  # noqa: F811
    monkeypatch.setattr("curator.race.grouping.MOST", 30)
    with pytest.raises(RecipeError, match="'id' has 40 different values in 40 evaluation documents; name a column of"):
        Workspace(folder / "work", encoder=toy).race(recipe(folder, race=RACE | {"groups": ["id"]}))
    with pytest.raises(RecipeError, match="a column is named twice"):
        recipe(folder, race=RACE | {"groups": ["kind", "kind"]})
