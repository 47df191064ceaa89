"""Quotas against their definition in exact fractions, and what groups may be made of."""

import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.errors import QueryError, RecipeError
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run
from curator.vectors import Vectors

SESSION = Session()
RATIO = Stage.load("ratio", Path())
NOTHING = {"target": Relation(pl.DataFrame({"id": []}))}


def candidates(rows: list[dict]) -> Relation:
    kinds = {"corpus": pl.String, "id": pl.String, "source": pl.String, "label": pl.String, "weight": pl.Float64}
    kinds |= {"previous_score": pl.Float64, "text": pl.String, "words": pl.Int64}
    filled = [{"corpus": "c", "weight": 1.0, "text": "t", "source": "s", **row} for row in rows]
    return Relation(pl.DataFrame([{name: row.get(name) for name in kinds} for row in filled], schema=kinds))


def ratio(relation: Relation, **given) -> pl.DataFrame:
    return run(RATIO, RATIO.bind(given, 0), {**NOTHING, "candidates": relation}, SESSION).frame


def level(total: Fraction, floors: dict, rooms: dict, pulls: dict) -> Fraction:
    """The x at which Σ min(room, max(floor, x · pull)) is the total, in exact fractions, from mark to mark."""
    marks = sorted({bound[g] / pulls[g] for bound in (floors, rooms) for g in pulls})

    def poured(x):
        return sum(min(rooms[g], max(floors[g], x * pulls[g])) for g in pulls)

    for low, high in zip(marks, [*marks[1:], None], strict=True):
        if high is None or poured(high) >= total:
            rising = sum(pulls[g] for g in pulls if floors[g] <= low * pulls[g] < rooms[g])
            return low + ((total - poured(low)) / rising if rising else 0)
    raise AssertionError("unreachable")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    vessels=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 40), st.sampled_from([0.1, 1.0, 2.5, 1e-30])),
        min_size=1,
        max_size=6,
    ),
    share=st.fractions(0, 1, max_denominator=20),
)
def test_the_level_of_water_solves_its_equation(vessels, share):
    floors = {i: Fraction(low) for i, (low, _, _) in enumerate(vessels)}
    rooms = {i: Fraction(low + more) for i, (low, more, _) in enumerate(vessels)}
    pulls = {i: Fraction(pull) for i, (_, _, pull) in enumerate(vessels)}
    total = sum(floors.values()) + share * sum(rooms[i] - floors[i] for i in rooms)
    lists = {
        name: [float(n) for n in numbers.values()] for name, numbers in (("f", floors), ("r", rooms), ("p", pulls))
    }
    columns = "CAST($f AS DOUBLE[]) AS f, CAST($r AS DOUBLE[]) AS r, CAST($p AS DOUBLE[]) AS p"
    sql = f"SELECT water_level(CAST($t AS DOUBLE), f, r, p) FROM (SELECT {columns})"
    x = SESSION.fetch(sql, {**lists, "t": float(total)}).column(0)[0].as_py()
    wanted = level(total, floors, rooms, pulls)
    for i in range(len(vessels)):
        ours, theirs = (min(rooms[i], max(floors[i], at * pulls[i])) for at in (Fraction(x), wanted))
        assert abs(ours - theirs) < 1e-9


def reference(groups: dict[str, list[int]], *, budget, minimums, caps, each, ratios, temperature, repeats):
    """How often each document (group, place) counts. ``groups``: sizes of their documents, the best first."""
    sizes = {g: sum(documents) for g, documents in groups.items()}
    bounds = {g: [Fraction(sizes[g] * repeats)] + ([Fraction(each)] if each else []) for g in groups}
    bounds = {g: min([*bounds[g], Fraction(math.floor(caps[g] * budget + 1e-9))]) for g in groups}
    floors = {g: min(bounds[g], Fraction(math.ceil(minimums[g] - 1e-9))) for g in groups}
    if ratios is None:
        pulls = {g: Fraction((sizes[g] / max(sizes.values())) ** (1 / temperature)) for g in groups}
        rooms = bounds
    else:
        pulls = {g: Fraction(ratios[g]) if ratios[g] else Fraction(1) for g in groups}
        rooms = {g: bounds[g] if ratios[g] else floors[g] for g in groups}
    if sum(floors.values()) > budget:
        return None
    total = min(Fraction(budget), sum(rooms.values()))
    x = level(total, floors, rooms, pulls)
    shares = {g: round(float(min(rooms[g], max(floors[g], x * pulls[g]))), 6) for g in groups}
    lines = {g: list(enumerate(documents)) * repeats for g, documents in groups.items()}
    taken, used = dict.fromkeys(groups, 0), dict.fromkeys(groups, 0)
    for g, line in lines.items():
        while taken[g] < len(line) and used[g] + line[taken[g]][1] <= shares[g]:
            used[g] += line[taken[g]][1]
            taken[g] += 1
    left = total - sum(used.values())
    for g in sorted(groups, key=lambda g: (-(shares[g] - used[g]), g)):
        if taken[g] < len(lines[g]) and used[g] + lines[g][taken[g]][1] <= rooms[g]:
            left -= lines[g][taken[g]][1]
            if left < 0:
                break
            taken[g] += 1
    counts = {(g, place): 0 for g, documents in groups.items() for place in range(len(documents))}
    for g, line in lines.items():
        for place, _ in line[: taken[g]]:
            counts[g, place] += 1
    return counts


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), unit=st.sampled_from(["documents", "words"]))
def test_shares_are_what_the_definition_says(data, unit):
    size = st.just(1) if unit == "documents" else st.integers(1, 9)
    lists = data.draw(st.lists(st.lists(size, min_size=1, max_size=12), min_size=1, max_size=5))
    groups = {f"g{i}": documents for i, documents in enumerate(lists)}
    budget = data.draw(st.integers(1, 80))
    each = data.draw(st.none() | st.integers(1, 10))
    repeats = data.draw(st.integers(1, 3))
    minimum = data.draw(st.sampled_from([0, 0, 1, 3]))
    minimums = {g: data.draw(st.sampled_from([0.0, 0.1, 2.0])) for g in groups if data.draw(st.booleans())}
    caps = {g: data.draw(st.sampled_from([0.5, 0.25, 1.0])) for g in groups if data.draw(st.booleans())}
    ratios = data.draw(st.none() | st.just({g: data.draw(st.sampled_from([0, 1, 2, 5])) for g in groups}))
    temperature = data.draw(st.sampled_from([0.5, 1.0, 2.0, 50.0]))
    rows = [
        {"id": f"{g}-{place:02}", "label": g, "words": n, "previous_score": -float(place)}
        for g, documents in groups.items()
        for place, n in enumerate(documents)
    ]
    wanted = reference(
        groups,
        budget=budget,
        minimums={g: (m * budget if m < 1 else m) for g in groups for m in [minimums.get(g, minimum)]},
        caps={g: caps.get(g, 1.0) for g in groups},
        each=each,
        ratios=ratios,
        temperature=temperature,
        repeats=repeats,
    )
    told = {"minimums": minimums, "caps": caps, "ratios": ratios, "each": each}
    given = {name: value for name, value in told.items() if value}
    given |= {"budget": budget, "by": "label", "max_repeats": repeats, "temperature": temperature}
    given |= {"minimum": minimum, "size": "1" if unit == "documents" else "words"}
    relation = candidates(rows)
    if wanted is None:
        with pytest.raises(QueryError, match=r"the minimums add up to .* but the budget is"):
            ratio(relation, **given)
        return
    got = ratio(relation, **given)
    times = got.select("id", pl.when("keep").then(pl.coalesce("weight", 1.0)).otherwise(0).alias("times"))
    counted = {(name.split("-")[0], int(name.split("-")[1])): int(n) for name, n in times.iter_rows()}
    assert counted == wanted
    assert sum(n * groups[g][place] for (g, place), n in counted.items()) <= budget


def test_the_unit_of_a_budget_is_read_only_where_it_is_asked_for():
    def count(rows):
        asked.append(len(rows))
        return np.full(len(rows), 10, np.int32)

    asked: list[int] = []
    frame = candidates([{"id": str(i), "previous_score": float(i)} for i in range(10)]).frame
    relation = Relation(frame, count_tokens=count)
    assert ratio(relation, budget=3)["keep"].sum() == 3
    assert not asked
    assert ratio(relation, budget=39, size="n_tokens")["keep"].sum() == 3
    assert max(asked) == 10


def test_groups_may_be_made_of_vectors_and_of_parts_of_columns():
    frame = candidates([{"id": str(i)} for i in range(4)]).frame.with_columns(
        pl.struct(pl.Series("lang", ["en", "en", "de", "de"])).alias("meta"),
        pl.Series("tags", [["A", "b"], [], ["A"], ["b"]]),
    )
    vectors = Vectors.of(np.array([[1, 0], [0, 1], [1, 0], [1, 0]], np.float32), unit=True)
    relation = Relation(frame, vectors)
    for by, groups in {
        "meta.lang": ["en", "de"],
        "embedding[1] > 0.5 -- near the first axis": ["true", "false"],
        "len(list_filter(tags, lambda tag: tag = 'A'))": ["0", "1"],
        "Label": ["none"],
        "ntile(2) OVER (ORDER BY id)": ["1", "2"],
        "word_count(text), 1": ["1 / 1"],
    }.items():
        got = ratio(relation, each=1, by=by)
        rules = {rule.removeprefix("over the quota of ") for rule in got["rule"].drop_nulls()}
        assert got["keep"].sum() == len(groups)
        assert rules <= set(groups)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("sauce", "no column 'sauce'; there are: corpus, id, source, label, weight, previous_score, text, words$"),
        ("candidates.source", "there is no column 'candidates'; there are: corpus"),
        ("both", "syntax error"),
        ("", "SELECT clause without selection list"),
        ("length(", "syntax error"),
        ("source; SELECT 1", "one statement at a time, not 2"),
        ("source; DELETE FROM candidates", "only SELECT is run here"),
        ("source FROM target", "it is more than an expression"),
        ("source UNION SELECT 1", "it is more than an expression"),
        ("DISTINCT source", "it is more than an expression"),
        ("source LIMIT 1", "it is more than an expression"),
        ("(SELECT max(id) FROM target)", "it contains a subquery"),
        ("source IN (FROM target)", "it contains a subquery"),
        ("*", "it contains a star"),
        ("source = $budget", "it contains a parameter"),
        ("max(source)", "must appear in the GROUP BY clause"),
        ("length(words)", "No function matches"),
    ],
)
def test_what_is_no_expression_over_candidates_is_named(by, message):
    with pytest.raises(RecipeError, match=rf"^[^\n]*ratio\.sql: by is {re.escape(repr(by))}: [\s\S]*{message}"):
        ratio(candidates([{"id": "a"}]), by=by)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": "words, 1"}, r"ratio\.sql: size is 'words, 1': one expression is needed, not 2"),
        ({"size": "words"}, "the size of c:[ab] is NULL; a number of at least 0 is needed"),
        ({"size": "-1"}, "the size of c:[ab] is -1.0; a number of at least 0 is needed"),
        ({"size": "'x'"}, "Could not convert string 'x' to DOUBLE"),
        ({"ratios": {"positve": 1}}, "ratios names 'positve', which is no group; there are: negative, positive"),
        ({"minimums": {"neutral": 1}}, "minimums names 'neutral', which is no group"),
        ({"caps": {"neutral": 1}}, "caps names 'neutral', which is no group"),
        ({"minimum": 2}, "the minimums add up to 2, but the budget is 1"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_with_the_candidates_are_named(given, message):
    rows = [{"id": "a", "label": "positive"}, {"id": "b", "label": "negative"}]
    with pytest.raises((RecipeError, QueryError), match=message):
        ratio(candidates(rows), **{"by": "label", "budget": 1, **given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ratios": "a=1"}, "ratios takes a NUMBERS, not 'a=1'$"),
        ({"ratios": {"a": "1"}}, r"ratios\.a takes a number, not '1'$"),
        ({"ratios": {"a": -1}}, r"ratios\.a is -1: it must be at least 0$"),
        ({"ratios": {"a": math.inf}}, r"ratios\.a is inf: it must be at least 0 and finite$"),
        ({"by": {"path": "x"}}, 'by takes a EXPRESSIONS, not .*; a text in a file is given as { file = "list.txt" }$'),
    ],
    ids=str,
)
def test_tables_of_numbers_are_checked(given, message):
    with pytest.raises(RecipeError, match=message):
        RATIO.bind(given, 0)


def test_a_larger_budget_asks_nothing_of_vectors():
    frame = candidates([{"id": str(i)} for i in range(5)]).frame

    def load(rows):
        if len(rows):
            raise AssertionError("embedded")
        return Vectors.of(np.empty((0, 2), np.float32))

    assert ratio(Relation(frame, load=load), budget=2)["keep"].sum() == 2


def test_no_candidates_and_nothing_to_share():
    assert len(ratio(candidates([]), budget=2, minimum=5, ratios={"a": 1})) == 0
    got = ratio(candidates([{"id": "a", "words": 0}, {"id": "b", "words": 0}]), budget=1, size="words")
    assert got["keep"].to_list() == [True, True]


def test_what_a_small_group_leaves_goes_to_the_others_alike():
    rows = [{"id": f"{label}{i:02}", "label": label} for label, n in (("a", 2), ("b", 30), ("c", 10)) for i in range(n)]
    got = ratio(candidates(rows), budget=20, by="label", temperature=math.inf)
    kept = got.filter("keep")["id"].str.slice(0, 1)
    assert [int((kept == label).sum()) for label in "abc"] == [2, 9, 9]
