"""Mixes of tasks with several labels a document, and with numbers for labels, end to end with the toy encoder."""

import json
import random
import re
from collections import Counter

import polars as pl
import pytest
from tiny_bert import write_classifier

from curator import Recipe, Workspace
from curator.documents import kept_labels
from curator.errors import DataError, QueryError, RecipeError, UsageError
from curator.mix import steps
from curator.mix.build import usable
from curator.mix.card import card
from curator.stages import check_kind, run, shipped
from curator.stages.kinds import COMPARES

WORDS = {"rude": "rude shouting", "slow": "slow waiting queue", "cold": "cold freezing"}
SUBJECTS = ("room", "train", "meal", "desk", "shop")
KINDS = ("multi", "regression")
TYPES = {"multi": pl.List(pl.String), "regression": pl.Float64}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def documents(kind, name, n):
    """Documents whose words say their label; of numbers there are eighths from 0 to 4."""
    rng = random.Random(f"{kind} {name}")
    rows = []
    for i in range(n):
        sets = [label for label in WORDS if rng.random() < 0.4]
        value = rng.randint(0, 32) / 8
        said = " ".join(WORDS[label] for label in sets) if kind == "multi" else "good " * int(2 * value) + "bad " * 4
        text = f"{said} {rng.choice(SUBJECTS)} {name} {i} {rng.randint(0, 999)}"
        rows.append({"id": f"{name}{i}", "text": text, "label": sets if kind == "multi" else value, "topic": i % 3})
    return rows


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def folder(tmp_path):
    for kind in KINDS:
        pool = documents(kind, "pool", 60)
        pool += [
            {"id": "other", "text": "another world", "label": ["weather"] if kind == "multi" else "high"},
            {"id": "some", "text": "a rude wind", "label": ["rude", "weather"] if kind == "multi" else "4.25"},
            {"id": "none", "text": "nobody said what this is"},
        ]
        write(tmp_path / f"{kind}-target.jsonl", documents(kind, "target", 80))
        write(tmp_path / f"{kind}-test.jsonl", documents(kind, "test", 30))
        write(tmp_path / f"{kind}-pool.jsonl", pool)
    return tmp_path


def recipe(folder, kind, **changes):
    task = {"kind": kind, "target": f"{kind}-target.jsonl", "test": f"{kind}-test.jsonl", "decontaminate": False}
    values = {
        "name": kind,
        "task": task | changes.pop("task", {}),
        "pool": {"one": {"path": f"{kind}-pool.jsonl"}},
        "stage": [{"use": "ratio", "budget": 20, "by": "source"}],
        **changes,
    }
    return Recipe.parse(values, folder=folder)


@pytest.fixture
def ws(folder, toy):
    return Workspace(folder / "work", encoder=toy)


def prepared(ws, recipe_, seed=0):
    return ws._workshop(None).prepare(recipe_, seed)


def test_labels_have_the_type_of_their_kind_everywhere(ws, folder, kind):
    task, mix = prepared(ws, recipe(folder, kind)), ws.mix(recipe(folder, kind))
    for frame in (task.target.frame, task.dev.frame, task.pool.frame, mix.frame(), mix.ledger()):
        assert frame.schema["label"] == TYPES[kind]
    assert "label" not in task.test.frame.columns
    assert task.labels == (("cold", "rude", "slow") if kind == "multi" else ())
    assert mix.lock["labels"] == list(task.labels)
    assert ws.sql("SELECT label FROM mix($m)", m=kind)["label"].dtype == TYPES[kind]


def test_what_pool_labels_count(ws, folder, kind):
    pool = prepared(ws, recipe(folder, kind)).pool.frame
    labels = {row["id"]: (row["label"], row["source_label"]) for row in pool.iter_rows(named=True)}
    assert labels["none"] == (None, None)
    if kind == "multi":
        assert labels["other"] == (None, '["weather"]')
        assert labels["some"] == (["rude"], '["rude", "weather"]')
        given = {row["id"]: sorted(row["label"]) for row in documents(kind, "pool", 60)}
        assert any(not own for own in given.values())
    else:
        assert labels["other"] == (None, "high")
        assert labels["some"] == (4.25, "4.25")
        given = {row["id"]: row["label"] for row in documents(kind, "pool", 60)}
    assert {name: label for name, (label, _) in labels.items() if name in given} == given
    reasons = {
        row["id"]: row["reason"] for row in ws.mix(recipe(folder, kind)).ledger().filter(~pl.col("keep")).to_dicts()
    }
    wanted = {
        "multi": 'none of its labels, ["weather"], is the target\'s',
        "regression": "its label high is no finite number",
    }
    assert reasons["other"] == wanted[kind]
    assert reasons["none"] == "it has no label"


def test_the_mix_is_built_again_verified_and_exported(ws, folder, kind):
    mix = ws.mix(recipe(folder, kind))
    assert len(mix) == 20
    assert mix.verify().documents == 20
    assert ws.mix(recipe(folder, kind)).version == mix.version
    own = {row["id"]: row["label"] for row in documents(kind, "pool", 60)} | {
        "some": ["rude"] if kind == "multi" else 4.25
    }
    for ending in ("parquet", "jsonl", "csv"):
        path = mix.export(folder / f"{kind}.{ending}")
        ws.add(f"again_{ending}", path)
        again = recipe(folder, kind, name="again", pool={"again": {"corpus": f"again_{ending}"}})
        labels = dict(prepared(ws, again).pool.frame.select("id", "label").iter_rows())
        assert len(labels) == 20
        assert labels == {name: sorted(own[name]) if kind == "multi" else own[name] for name in labels}


def test_composition_groups_and_differences_add_up(ws, folder, kind):
    mix = ws.mix(recipe(folder, kind))
    rows = mix.summary()["composition"]
    assert (sum(row["documents"] for row in rows), sum(row["of"] for row in rows)) == (20, 63)
    pool = prepared(ws, recipe(folder, kind)).pool.frame
    labels = [label for label in pool["label"].to_list() if label is not None]
    if kind == "multi":
        expected = Counter(", ".join(label) or "(none)" for label in labels)
        assert {row["label"]: row["of"] for row in rows if row["label"]} == expected
    else:
        assert len(rows) == 6
        for row in rows[:-1]:
            low, high = map(float, row["label"].split(" to "))
            assert row["of"] == sum(low <= label < high or label == high == max(labels) for label in labels)
    smaller = ws.mix(recipe(folder, kind, name="smaller", stage=[{"use": "ratio", "budget": 9, "by": "source"}]))
    by = mix.diff(smaller, by="label")
    assert by.select(pl.sum("both", "only_here", "only_there")).row(0) == (9, 11, 0)
    assert mix.affected("label")["seen"].sum() >= 63
    assert mix.diff(smaller).schema["label"] == TYPES[kind]
    text = card(mix.lock, mix.summary(), mix.frame(), mix.licences(), ())
    assert ("any number of them a document" in text) == (kind == "multi")
    assert ("labels: numbers" in text) == (kind == "regression")
    assert str(mix.explain("one:some"))


def test_shots_and_dev_are_drawn_of_each_label(ws, folder):
    task = prepared(ws, recipe(folder, "multi", task={"shots": 10}))
    both = [*task.target.frame["label"].to_list(), *task.dev.frame["label"].to_list()]
    for label in WORDS:
        assert sum(label in own for own in both) >= 10
        shots, held = (sum(label in own for own in f["label"].to_list()) for f in (task.target.frame, task.dev.frame))
        assert held >= max(1, round(0.2 * (shots + held)))
    assert sum(not own for own in both) == 10
    assert len(both) < 80
    other = prepared(ws, recipe(folder, "multi", task={"shots": 10}), seed=1)
    assert set(other.target.frame["id"]) != set(task.target.frame["id"])
    few = prepared(ws, recipe(folder, "multi", task={"shots": 3}))
    assert not len(few.dev)
    many = prepared(ws, recipe(folder, "multi", task={"shots": 70}))
    assert [re.sub(r"\d+", "n", line) for line in many.warnings] == [
        *[f"label {label!r} has n target documents, fewer than the n shots" for label in many_first(many)],
        "the empty set of labels has n target documents, fewer than the n shots",
    ]


def many_first(task):
    """The labels of a task, the rarest of the whole target first."""
    counts = Counter(label for f in (task.target.frame, task.dev.frame) for own in f["label"] for label in own)
    return sorted(counts, key=lambda label: (counts[label], label))


def test_shots_and_dev_are_drawn_of_each_fifth_of_the_values(ws, folder):
    task = prepared(ws, recipe(folder, "regression", task={"shots": 10}))
    values = sorted(row["label"] for row in documents("regression", "target", 80))
    assert (len(task.target), len(task.dev)) == (40, 10)
    both = [*task.target.frame["label"], *task.dev.frame["label"]]
    # The quantiles of the whole target, by hand: numpy's default is a line between two values.
    edges = [
        values[int(79 * q)] + (79 * q % 1) * (values[int(79 * q) + 1] - values[int(79 * q)])
        for q in (0.2, 0.4, 0.6, 0.8)
    ]
    assert Counter(sum(value >= edge for edge in edges) for value in both) == dict.fromkeys(range(5), 10)


def test_labels_that_cannot_be_read_are_counted_with_an_example(ws, folder, kind):
    rows = documents(kind, "target", 80)
    rows[3]["label"], rows[5]["label"], rows[8]["label"] = (
        ("[oops]", None, "[no]") if kind == "multi" else ("n/a", None, "inf")
    )
    write(folder / f"{kind}-target.jsonl", rows)
    task = prepared(ws, recipe(folder, kind))
    read_as = "a list of names" if kind == "multi" else "a finite number"
    assert task.warnings == (
        "3 target documents have no label and are not used",
        f"2 labels of the target, such as {rows[3]['label']!r}, cannot be read as {read_as} and count as none",
    )
    assert len(task.target) + len(task.dev) == 77
    write(folder / f"{kind}-target.jsonl", [row | {"label": "[x]"} for row in rows])
    with pytest.raises(DataError, match="the target"):
        prepared(ws, recipe(folder, kind))


def test_a_target_needs_something_to_tell_apart(ws, folder):
    write(folder / "regression-target.jsonl", [row | {"label": 3} for row in documents("regression", "target", 9)])
    with pytest.raises(DataError, match=r"1 number\(s\); a task needs at least two"):
        prepared(ws, recipe(folder, "regression"))
    write(folder / "multi-target.jsonl", [row | {"label": []} for row in documents("multi", "target", 9)])
    with pytest.raises(DataError, match="no document of the target has a label"):
        prepared(ws, recipe(folder, "multi"))


def test_lists_in_a_task_of_single_labels_are_told(ws, folder):
    task = prepared(ws, recipe(folder, "multi", task={"kind": "single"}))
    (told,) = task.warnings
    assert told == (
        "the target has labels such as [\"cold\"], each of which is one label here; kind = 'multi' reads lists"
    )
    assert '["rude"]' in task.labels


def test_a_separator_and_a_map_of_labels(ws, folder):
    cells = [
        {
            "text": f"{row['text']} again",
            "label": " | ".join(["R" if label == "rude" else label for label in row["label"]]),
        }
        for row in documents("multi", "cells", 30)
    ]
    write(folder / "cells.jsonl", [row for row in cells if row["label"]])
    source = {"path": "cells.jsonl", "separator": "|", "labels": {"R": "rude", "cold": ""}}
    pool = prepared(ws, recipe(folder, "multi", pool={"cells": source})).pool.frame
    expected = [sorted(set(row["label"]) - {"cold"}) for row in documents("multi", "cells", 30) if row["label"]]
    assert pool["label"].to_list() == expected
    for kind in ("single", "regression"):
        with pytest.raises(RecipeError, match=r"cells: separator = '\|' parts several labels, and \[task\] kind is"):
            recipe(folder, kind, pool={"cells": source})


def test_a_dev_set_of_its_own(ws, folder):
    write(folder / "dev.jsonl", [
        {"text": "one thing", "label": ["rude", "weather"]}, {"text": "two things", "label": ["weather"]},
        {"text": "no thing", "label": []}, {"text": "another thing"},
    ])  # fmt: skip
    task = prepared(ws, recipe(folder, "multi", task={"dev": "dev.jsonl"}))
    assert task.dev.frame["label"].to_list() == [["rude"], []]
    assert task.warnings == (
        "1 dev documents have labels that are none of the task's, too, which do not count",
        "2 dev documents have no label of the task and are not used",
    )


def test_when_the_pool_grows_what_is_known_of_it_is_taken(ws, folder, kind):
    stage = [{"use": "relevance", "min_score": -1.0}]
    first = ws.mix(recipe(folder, kind, stage=stage))
    rows = [json.loads(line) for line in (folder / f"{kind}-pool.jsonl").read_text().splitlines()]
    rows[1]["label"] = ["cold"] if kind == "multi" else 0.375  # others now
    rows.append({"id": "new", "text": "a new and rude one", "label": ["rude"] if kind == "multi" else 1.5})
    write(folder / f"{kind}-pool.jsonl", rows)
    second = ws.mix(recipe(folder, kind, stage=stage))
    (reused,) = second.summary()["reused"]["stages"]
    assert (reused["taken"], reused["judged"]) == (60, 2)
    assert second.verify().documents == len(first) + 1 == 62
    changes = second.diff(first)
    assert sorted(zip(changes["id"], changes["change"], strict=True)) == [("new", "removed"), ("pool1", "label")]


def test_mixes_as_pools_and_their_conflicts(ws, folder, kind):
    ws.add("shared", folder / f"{kind}-pool.jsonl")
    one = ws.mix(recipe(folder, kind, name="one", pool={"shared": {"corpus": "shared"}}))
    # The same documents with another label each.
    other = {"rude": "slow"} if kind == "multi" else {kept_labels(one.frame()["label"])[0]: "4.5"}
    two = ws.mix(recipe(folder, kind, name="two", pool={"shared": {"corpus": "shared", "labels": other}}))
    labels = [dict(mix.frame().select("id", "label").iter_rows()) for mix in (one, two)]
    assert list(labels[0]) == list(labels[1])
    both = recipe(folder, kind, name="both", pool={"mixed": {"mix": ["one", "two"]}})
    task = prepared(ws, both)
    pool = {row["id"]: row for row in task.pool.frame.iter_rows(named=True)}
    differ = {name for name in labels[0] if labels[0][name] != labels[1][name]}
    assert differ
    for name, row in pool.items():
        assert row["label"] == (None if name in differ else labels[0][name])
        assert (row["conflict"] is not None) == (name in differ)
    combined = ws.combine("combined", ["one", "two"])
    assert set(combined.frame()["id"]) == set(labels[0]) - differ
    assert combined.frame().schema["label"] == TYPES[kind]


def test_mixes_of_other_kinds_are_not_combined_but_can_be_compared(ws, folder):
    mixes = [ws.mix(recipe(folder, kind)) for kind in KINDS]
    with pytest.raises(
        UsageError, match=r"'multi' is of a task of kind 'multi' and 'regression' of one of kind 'regression'"
    ):
        ws.combine("both", list(KINDS))
    assert mixes[0].diff(mixes[1]).schema["label"] == pl.String
    counts = mixes[0].diff(mixes[1], by="label").sum().row(0, named=True)
    assert (counts["both"], counts["only_here"] + counts["moved_out"], counts["only_there"] + counts["moved_in"]) == (
        0, 20, 20,
    )  # fmt: skip


def test_a_stage_of_ones_own_may_give_labels(ws, folder, kind):
    value = "['slow', 'cold', 'slow']" if kind == "multi" else "2"
    (folder / "own.sql").write_text(
        f"-- All the same.\nSELECT corpus, id, true AS keep, {value} AS label FROM candidates\n"
    )
    mix = ws.mix(recipe(folder, kind, stage=[{"use": "own.sql"}]))
    assert mix.frame()["label"].to_list() == [["cold", "slow"] if kind == "multi" else 2.0] * 61
    assert mix.verify()
    (folder / "own.sql").write_text("-- Wrong.\nSELECT corpus, id, true AS keep, 'x' AS label FROM candidates\n")
    with pytest.raises(QueryError, match="another type"):
        ws.mix(recipe(folder, kind, stage=[{"use": "own.sql"}]))


def test_a_label_that_is_not_the_tasks_is_no_label_of_the_mix(ws, folder):
    for value in ("['slow', 'weather']", "NULL::VARCHAR[]"):
        (folder / "own.sql").write_text(f"-- x\nSELECT corpus, id, true AS keep, {value} AS label FROM candidates\n")
        if "weather" in value:
            with pytest.raises(DataError, match="without a label of the task"):
                ws.mix(recipe(folder, "multi", stage=[{"use": "own.sql"}]))
        else:
            assert len(ws.mix(recipe(folder, "multi", stage=[{"use": "own.sql"}]))) == 61


# Which stages know which kinds

MORE = {"blocklist": {"terms": "wind"}, "bm25": {"min_score": 0.0}, "ratio": {"budget": 5, "by": "source"}}
MORE |= {use: {"budget": 5} for use in ("dpp", "facility_location", "k_center", "mmr")}
OFF = {"same_label": False, "balanced": False, "by": "topic", "levels": "source"}


def judged(ws, folder, kind, use, given):
    """The verdicts of one stage, or the error."""
    known = {"concepts": "concepts.csv", "relations": "relations.csv"}
    (folder / "concepts.csv").write_text("concept,name\nr,rude\ng,good\nm,meal\n")
    (folder / "relations.csv").write_text("head,relation,tail\nr,of,m\n")
    recipe_ = recipe(folder, kind, stage=[{"use": use, **given}], knowledge=known if use == "knowledge" else None)
    task = prepared(ws, recipe_)
    (step,) = steps(task)
    candidates = usable(task)[0]
    candidates = candidates.with_frame(candidates.frame.with_columns(pl.lit(None, pl.Float64).alias("previous_score")))
    relations = {**task.relations, **task.knowledge, "candidates": candidates}
    found = run(step.stage, step.parameters, relations, ws._workshop(None).session).frame
    assert len(found) == 61
    return found


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return str(write_classifier(tmp_path_factory.mktemp("bert"), ["rude", "good"], ["no", "yes"]))


@pytest.mark.filterwarnings("ignore::curator.errors.CuratorWarning")
@pytest.mark.parametrize("use", shipped())
def test_every_stage_knows_the_kind_or_says_that_it_does_not(ws, folder, kind, use, classifier):
    given = dict(MORE.get(use, {})) | ({"model": classifier, "min_score": 0.1} if use == "classifier" else {})
    if use == "decontaminate":
        assert len(ws.mix(recipe(folder, kind, task={"decontaminate": True}))) <= 20
        return
    parameter = COMPARES.get(use)
    if parameter is None:
        assert judged(ws, folder, kind, use, given).schema["label"] == TYPES[kind]
        return
    comparing = {"same_label": True, "balanced": True, "by": "source, label", "levels": "label"}.get(parameter)
    if use in ("dsir", "relevance_centroid"):
        comparing = "label"
    given_ = given | ({} if comparing is None else {parameter: comparing})
    refused = rf"^{use}: the stage compares labels of one name each, and \[task\] kind is '{kind}'"
    with pytest.raises(RecipeError, match=refused):
        judged(ws, folder, kind, use, given_)
    check_kind(use, given_, "single")
    if comparing is not None:
        off = "source" if use in ("dsir", "relevance_centroid", "ratio") else OFF[parameter]
        assert judged(ws, folder, kind, use, given | {parameter: off}).schema["label"] == TYPES[kind]


def test_nothing_is_read_or_embedded_before_a_stage_is_refused(ws, folder, toy, kind):
    with pytest.raises(RecipeError, match=r"pairing: the stage compares labels"):
        ws.mix(recipe(folder, kind, stage=[{"use": "pairing"}]))
    with pytest.raises(RecipeError, match=r"ratio: .* by is 'source, label'"):  # its default
        ws.mix(recipe(folder, kind, stage=[{"use": "ratio", "budget": 5}]))
    assert toy.seen == []
    assert not ws.ls()


def test_expressions_of_the_label_share_out_a_budget(ws, folder, kind):
    by = "list_contains(label, 'rude')" if kind == "multi" else "label >= 2"
    mix = ws.mix(recipe(folder, kind, stage=[{"use": "ratio", "budget": 10, "by": by, "temperature": float("inf")}]))
    true = [("rude" in label) if kind == "multi" else label >= 2 for label in mix.frame()["label"].to_list()]
    assert Counter(true) == {True: 5, False: 5}


def test_a_function_that_compares_labels_says_so_in_ones_own_sql(ws, folder, kind):
    (folder / "own.sql").write_text(
        "-- x\nSELECT corpus, id, value > 0 AS keep FROM knn_shapley('target', 'candidates')\n"
    )
    with pytest.raises(QueryError, match=r"knn_shapley: label is .*, and labels of one name each are needed"):
        ws.mix(recipe(folder, kind, stage=[{"use": "own.sql"}]))


# What a recipe refuses


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"race": {"arms": ["zero-shot", "mix"]}}, "the arm 'zero-shot'"),
        ({"race": {"arms": ["mix", "mix-as-teacher"]}}, "what serves as 'teacher'"),
        ({"pool": {"one": {"path": "p", "serves": "vote"}}}, "what serves as 'vote'"),
        ({"pool": {"one": {"path": "p", "serves": "teacher"}}}, "what serves as 'teacher'"),
        ({"train": {"class_weights": "balanced"}}, "class_weights = 'balanced'"),
        ({"train": {"contrastive": {"steps": 5}}}, r"\[train.contrastive\]"),
        (
            {"pool": {"one": {"path": "p", "serves": "auxiliary"}}, "train": {"auxiliary": {"place": "beside"}}},
            "'beside'",
        ),
    ],
)
def test_what_is_for_single_labels_alone_is_refused_by_the_recipe(folder, kind, changes, told):
    with pytest.raises(
        RecipeError, match=rf"{told}.* is for tasks of one label a document, and \[task\] kind is '{kind}'"
    ):
        recipe(folder, kind, **changes)
    assert recipe(folder, "single", **changes)


def test_each_kind_has_its_metrics(folder):
    assert [recipe(folder, kind).race.metric for kind in ("single", "multi", "regression")] == [
        "macro_f1", "macro_f1", "spearman",
    ]  # fmt: skip
    for kind, metric in (("single", "micro_f1"), ("multi", "pearson"), ("regression", "accuracy")):
        with pytest.raises(RecipeError, match=rf"'{metric}' does not go with .* kind = '{kind}'; there are:"):
            recipe(folder, kind, race={"metric": metric})
    assert recipe(folder, "regression", race={"metric": "pearson"}).race.metric == "pearson"


def test_what_to_label_next_is_for_single_labels(ws, folder, kind):
    with pytest.raises(UsageError, match=rf"single labels, and .* kind is '{kind}'"):
        ws.label(recipe(folder, kind))


def test_a_recipe_of_single_labels_says_nothing_new_of_itself(folder):
    values = recipe(folder, "single").model_dump(mode="json", by_alias=True, exclude_none=True)
    assert values["task"]["kind"] == "single"
    assert values["race"]["metric"] == "macro_f1"
    assert "separator" not in json.dumps(values)
