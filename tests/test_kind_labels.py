"""Labels that are lists or numbers: what corpora keep of them, and what a task makes of that."""

import json
import math

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.documents import Columns, kept_labels, read, read_labels, told_label
from curator.mix.strata import bins, drawn, in_turn, label_groups, quantiles, strata

SETS = [["rude", "slow"], [], None, ["slow"]]
KEPT = ['["rude", "slow"]', "[]", None, '["slow"]']


def texts(*labels):
    return pl.Series("label", labels, dtype=pl.String)


def stored(origin, **columns):
    batches = list(read(origin, corpus="c", columns=Columns(**columns)))
    return [label for batch in batches for label in batch.frame["label"]], [r for b in batches for r in b.rejects]


@pytest.mark.parametrize("form", ["parquet", "array", "jsonl", "csv", "frame", "pandas"])
def test_lists_of_any_form_are_kept_as_json(tmp_path, form):
    frame = pl.DataFrame({"text": list("abcd"), "label": pl.Series(SETS, dtype=pl.List(pl.String))})
    expected, path = KEPT, tmp_path / f"f.{form}"
    if form == "parquet":
        frame.write_parquet(path)
    elif form == "array":
        path = frame[[0, 0]].with_columns(pl.col("label").cast(pl.Array(pl.String, 2)))
        expected = [KEPT[0]] * 2
    elif form == "jsonl":
        frame.write_ndjson(path)
    elif form == "csv":
        frame.with_columns(label=texts(*KEPT)).write_csv(path)
    else:
        path = pd.DataFrame({"text": list("abcd"), "label": SETS}) if form == "pandas" else frame
    assert stored(path) == (expected, [])


def test_labels_of_one_name_are_kept_as_they_were_and_lists_of_lists_are_still_refused(tmp_path):
    path = tmp_path / "f.jsonl"
    rows = ["pos", 1, 2.5, True, None, "[x", {"a": 1}, [["a"]], [{"a": 1}], ["a", 2, 1.5, False, None]]
    path.write_text("".join(json.dumps({"text": "t", "label": row}) + "\n" for row in rows))
    labels, rejects = stored(path)
    assert labels == ["pos", "1", "2.5", "true", None, "[x", '["a", 2, 1.5, false, null]']
    assert [(reject.line, reject.reason) for reject in rejects] == [
        (7, "label is an object, not a single value"),
        (8, "label is a list, not a single value"),
        (9, "label is a list, not a single value"),
    ]
    path.write_text('{"text": ["t"], "label": "a"}\n{"text": "t", "label": ["a"]}\n')
    assert stored(path)[1][0].reason == "text is a list, not a single value"
    assert read_labels(texts(labels[-1]), "multi").to_list() == [["1.5", "2", "a", "false"]]


def test_several_labels_are_read_from_lists_and_cells():
    cells = texts("slow | rude|slow", '["b|c", "a"]', "one", "", None, "[]", " | ", "['a', 'b']", '["a", ["b"]]', "[x")
    assert read_labels(cells, "multi", separator="|").to_list() == [
        ["rude", "slow"],
        ["a", "b|c"],
        ["one"],
        [],
        None,
        [],
        [],
        None,
        None,
        ["[x"],
    ]
    assert read_labels(texts("slow | rude", "a, b"), "multi").to_list() == [["slow | rude"], ["a, b"]]


def test_a_map_of_labels_maps_each_of_them_and_nothing_takes_one_away():
    names = {"r": "rude", "s": "slow", "neutral": ""}
    cells = texts("r|s", "s|rude|r", "neutral", '["neutral", "r"]', "other")
    expected = [["rude", "slow"], ["rude", "slow"], [], ["rude"], ["other"]]
    assert read_labels(cells, "multi", names, "|").to_list() == expected
    assert read_labels(texts("r", "r|s"), "single", names).to_list() == ["rude", "r|s"]
    assert read_labels(texts("five", "4"), "regression", {"five": "5"}).to_list() == [5.0, 4.0]


def test_numbers_are_read_where_they_are_finite():
    cells = texts("1", " 2.5 ", "1e-3", "-0.25", "nan", "inf", "-inf", "1,5", "x", "", None, "1_0", "0x1")
    assert read_labels(cells, "regression").to_list() == [1.0, 2.5, 0.001, -0.25, *[None] * 9]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_come_back_as_they_were(values):
    series = pl.Series("label", values, dtype=pl.Float64)
    assert read_labels(kept_labels(series), "regression").to_list() == values


@given(st.lists(st.none() | st.lists(st.text(min_size=1).filter(str.strip), unique=True).map(sorted)))
def test_sets_come_back_as_they_were(sets):
    series = pl.Series("label", sets, dtype=pl.List(pl.String))
    assert read_labels(kept_labels(series), "multi").to_list() == sets


def test_a_label_is_told_in_words():
    assert [told_label(label) for label in (None, "a", ["a", "b"], [], 0.123456789, 3.0)] == [
        None, "a", "a, b", "(none)", "0.123457", "3",
    ]  # fmt: skip


# What documents are drawn by


def test_the_rarest_label_comes_first_and_a_document_counts_for_all_of_its_labels():
    sets = [["a"], ["a"], ["a", "b"], ["b"], [], ["a"], ["a", "b", "c"], []]
    of = strata(pl.Series(sets, dtype=pl.List(pl.String)))
    assert [(one.name, len(one), one.is_label) for one in of] == [
        ("label 'c'", 1, True),
        ("label 'b'", 3, True),
        ("label 'a'", 5, True),
        ("the empty set of labels", 2, False),
    ]
    # One of each: 6 for c counts for b and a too; 4 for none. Two: b lacks one, 2 by the order, which a has too.
    order = pl.Series([7, 6, 5, 4, 3, 2, 1, 0]).to_numpy()[::-1]
    assert drawn(of, order, lambda _: 1).tolist() == [4, 6]
    assert drawn(of, order, lambda _: 2).tolist() == [2, 4, 6, 7]
    assert drawn(of, order[::-1], lambda _: 2).tolist() == [3, 4, 5, 6, 7]


@given(st.lists(st.sets(st.sampled_from("abcd")).map(sorted), min_size=1, max_size=40), st.integers(1, 6))
def test_each_label_gets_its_shots_where_there_are(sets, shots):
    labels = pl.Series(sets, dtype=pl.List(pl.String))
    chosen = drawn(strata(labels), pl.Series(range(len(sets))).to_numpy(), lambda _: shots)
    for name in "abcd":
        there = sum(name in own for own in sets)
        assert sum(name in sets[row] for row in chosen) >= min(shots, there)
    assert sum(not sets[row] for row in chosen) == min(shots, sum(not own for own in sets))
    assert len(chosen) <= 5 * shots


def test_numbers_are_drawn_by_fifths():
    labels = pl.Series([float(n) for n in range(20)][::-1])
    of = strata(labels)
    assert [one.name for one in of] == [
        "the bin 0 to 3.8", "the bin 3.8 to 7.6", "the bin 7.6 to 11.4", "the bin 11.4 to 15.2", "the bin 15.2 to 19",
    ]  # fmt: skip
    assert [len(one) for one in of] == [4] * 5
    assert [sorted(labels.filter(pl.Series(one.members)))[0] for one in of] == [0, 4, 8, 12, 16]
    every = pl.Series(range(20)).to_numpy()
    assert labels[drawn(of, every, lambda _: 1).tolist()].to_list() == [19, 15, 11, 7, 3]
    assert [len(one) for one in strata(pl.Series([0.0] * 8 + [1.0, 2.0]))] == [8, 2]  # equal quantiles are one
    assert [len(one) for one in strata(pl.Series([-5.0, 0.5, 99.0]), among=labels)] == [2, 1]


def test_bins_have_the_edge_below_and_not_the_one_above():
    edges = quantiles(pl.Series([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    assert edges.tolist() == [2.0, 3.0, 4.0, 5.0]
    assert bins(pl.Series([0.0, 2.0, math.nextafter(3, 0), 3.0, 9.0]), edges).tolist() == [0, 1, 1, 2, 4]


def test_queues_are_taken_in_turn_and_none_takes_what_another_has():
    queues = [pl.Series(rows).to_numpy() for rows in ([0, 1, 2], [1, 0, 3], [4], [], [0, 2, 5])]
    # first round: 0; 1; 4; (empty); 2. second: nothing left of the first queue; 3; nothing; 5.
    assert in_turn(queues).tolist() == [0, 1, 4, 2, 3, 5]


def test_groups_of_labels():
    sets = pl.Series("label", [["a", "b"], [], None], dtype=pl.List(pl.String))
    assert label_groups(sets).to_list() == ["a, b", "(none)", None]
    assert label_groups(texts("a", None)).to_list() == ["a", None]
    numbers = pl.Series("label", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, None])
    assert label_groups(numbers).to_list() == ["0 to 1", *[f"{n} to {n + 1}" for n in range(1, 5)], "4 to 5", None]
    among = pl.Series("label", [0.0, 10.0])
    assert label_groups(pl.Series("label", [1.0, 9.0]), among).to_list() == ["0 to 2", "8 to 10"]
    assert label_groups(pl.Series("label", [None, None], dtype=pl.Float64)).to_list() == [None, None]
