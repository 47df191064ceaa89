"""Shapley values of a nearest-neighbour classifier against their definition, as a mean over all permutations."""

import importlib
import itertools
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator import neighbours
from curator.errors import QueryError
from curator.functions import FUNCTIONS, knn_shapley
from curator.nearest import Tools, rewrite
from curator.relation import Relation
from curator.session import Session
from curator.vectors import Vectors


def relation(matrix, labels, name="c"):
    ids = [f"{name}{i:04}" for i in range(len(labels))]
    frame = pl.DataFrame(
        {"corpus": name, "id": ids, "label": labels}, schema={"corpus": pl.String, "id": pl.String, "label": pl.String}
    )
    return Relation(frame, Vectors.of(np.asarray(matrix, np.float32).reshape(len(labels), -1)))


def on_circle(steps):
    radians = np.deg2rad(5.0 * np.array(steps, float))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def worth(players, order, agrees, k):
    """The share of the k nearest of some players that agree; ``order``: all players, the nearest first."""
    nearest = [player for player in order if player in players][:k]
    return sum(agrees[player] for player in nearest) / k


def by_definition(judges, candidates, k):
    """(n,) the mean over judges and all permutations of what each player adds to those before it."""
    ours, theirs = candidates.vectors.unit().matrix().astype(float), judges.vectors.unit().matrix().astype(float)
    labels, n = candidates.frame["label"].to_list(), len(candidates)
    values = np.zeros(n)
    for vector, label in zip(theirs, judges.frame["label"], strict=True):
        order = sorted(range(n), key=lambda i: (-round(float(ours[i] @ vector), 5), i))
        agrees = [own == label for own in labels]
        for permutation in itertools.permutations(range(n)):
            before = set()
            for player in permutation:
                values[player] += worth(before | {player}, order, agrees, k) - worth(before, order, agrees, k)
                before.add(player)
    return values / math.factorial(n) / len(judges)


def valued(judges, candidates, **parameters):
    return pl.DataFrame(knn_shapley(judges, candidates, **parameters))


# Multiples of 5 degrees: equal cosines are ties of the same direction or of its mirror image.
DIRECTIONS = st.lists(st.tuples(st.integers(0, 71), st.sampled_from("abc")), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(judges=DIRECTIONS, candidates=DIRECTIONS, k=st.integers(1, 7), seed=st.integers(0, 9))
def test_values_are_those_of_all_permutations(judges, candidates, k, seed):
    # An odd turn parts what would be mirror images, which rounding orders at will.
    judging = relation(on_circle([step for step, _ in judges]) @ turn(2.0), [label for _, label in judges], "j")
    playing = relation(on_circle([step for step, _ in candidates]), [label for _, label in candidates])
    expected = by_definition(judging, playing, k)
    order = np.random.default_rng(seed).permutation(len(playing))
    found = valued(judging, playing.take(order), k=k)
    assert found["id"].to_list() == [f"c{i:04}" for i in order]
    np.testing.assert_allclose(found["value"], expected[order], atol=1e-12)
    assert found["max_error"].to_list() == [0.0] * len(order)


def turn(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, s], [-s, c]])


def random_game(judges, n, labels=3, seed=0, dimension=8):
    rng = np.random.default_rng(seed)
    names = np.array(list("abcdef"))[:labels]
    sides = [(m, names[rng.integers(0, labels, m)].tolist()) for m in (judges, n)]
    return [relation(rng.normal(size=(m, dimension)), own, name) for (m, own), name in zip(sides, "jc", strict=True)]


@pytest.mark.parametrize("k", [1, 3, 10, 80])
@pytest.mark.parametrize("pairs", [1, 130, 2**26])
def test_all_values_together_are_the_accuracy_with_all(k, pairs, monkeypatch):
    monkeypatch.setattr("curator.neighbours.ranking.PAIRS", pairs)  # one judge at a time, two, all
    monkeypatch.setattr("curator.neighbours.ranking.BASE_BLOCK", 7)
    judges, candidates = random_game(20, 60)
    cosines = judges.vectors.unit().matrix() @ candidates.vectors.unit().matrix().T
    labels = candidates.frame["label"].to_numpy()
    accuracy = [
        (labels[np.argsort(-row)[:k]] == label).sum() / k
        for row, label in zip(cosines, judges.frame["label"], strict=True)
    ]
    assert valued(judges, candidates, k=k)["value"].sum() == pytest.approx(np.mean(accuracy))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99), k=st.integers(1, 6), max_error=st.sampled_from([1.0, 0.4, 0.21, 0.1, 0.04, 0.001]))
def test_values_of_the_nearest_alone_are_as_near_as_they_say(seed, k, max_error):
    judges, candidates = random_game(1 + seed % 4, 30, seed=seed)
    exact, cut = valued(judges, candidates, k=k), valued(judges, candidates, k=k, max_error=max_error)
    error = (exact["value"] - cut["value"]).abs().max()
    bound = cut["max_error"][0]
    assert error <= bound + 1e-12
    assert bound <= max_error
    ranked = max(k, math.ceil(1 / max_error))
    if ranked >= 30:
        assert bound == 0
        assert error == 0
    else:
        assert bound == 1 / ranked
        if len(judges) == 1:  # those ranked are all off by the same; the last of them and those beyond count 0
            order = np.argsort(-(judges.vectors.unit().matrix() @ candidates.vectors.unit().matrix().T)[0])
            off = (exact["value"] - cut["value"]).to_numpy()[order[:ranked]]
            np.testing.assert_allclose(off, off[0], atol=1e-12)
            assert (cut["value"].to_numpy()[order[ranked - 1 :]] == 0).all()


def test_blocks_of_judges_change_nothing_where_the_nearest_are_ranked(monkeypatch):
    judges, candidates = random_game(9, 40, seed=5)
    whole = valued(judges, candidates, max_error=0.1)
    monkeypatch.setattr(importlib.import_module("curator.functions.knn_shapley"), "EDGES", 25)  # two judges
    assert valued(judges, candidates, max_error=0.1).equals(whole)


def test_a_wrong_label_among_right_ones_is_worth_less_than_nothing():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 300)
    rows = np.eye(2, 6)[y] + 0.25 * rng.normal(size=(300, 6))
    wrong = np.arange(300) % 10 == 0
    labels = np.where(wrong, 1 - y, y)
    judging = np.repeat([0, 1], 20)
    judges = relation(np.eye(2, 6)[judging] + 0.25 * rng.normal(size=(40, 6)), [str(label) for label in judging], "j")
    value = valued(judges, relation(rows, [str(label) for label in labels]))["value"].to_numpy()
    assert (value[wrong] < 0).mean() > 0.9
    assert (value[~wrong] > 0).mean() > 0.9
    assert value[wrong].mean() < 0 < value[~wrong].mean()


def test_those_without_a_label_or_a_direction_take_no_part():
    judges = relation([[1, 0], [0, 1], [1, 1], [0, 0]], ["a", "b", None, "a"], "j")
    candidates = relation([[1, 0], [1, 0.1], [0, 0], [0, 1]], ["a", None, "a", "b"])
    found = valued(judges, candidates, k=1)["value"].to_list()
    # Each has the right label where it is the nearest, and the wrong where it is second: (1 + 0 + 0) / 1 and 0.
    assert found == [0.5, None, None, 0.5]
    assert valued(judges.take([2, 3]), candidates)["value"].null_count() == 4
    assert valued(judges.take([]), candidates)["value"].null_count() == 4
    assert valued(judges, candidates.take([])).height == 0
    assert valued(judges, candidates.take([1]))["value"].to_list() == [None]
    alone = valued(judges, candidates.take([0]), k=5)
    assert alone["value"].to_list() == [0.1]  # a fifth of the vote for one of two judges
    stranger = valued(judges, relation([[1, 0], [0, 1]], ["z", "a"]), k=1)["value"].to_list()
    assert stranger == [-0.25, 0.25]  # the first judge: −½ and ½; the second: 0 and 0


def test_from_sql():
    judges, candidates = random_game(4, 12)
    query = "SELECT id, value FROM knn_shapley((SELECT * FROM judges WHERE label = 'a'), 'pool', k := $k) ORDER BY id"
    table = rewrite(Session(), query, {"k": 2}, Tools({"judges": judges, "pool": candidates}, FUNCTIONS)).fetch()
    chosen = judges.take(np.flatnonzero((judges.frame["label"] == "a").to_numpy()))
    assert table["value"].to_pylist() == pytest.approx(valued(chosen, candidates, k=2)["value"].to_list())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"max_error": -0.1}, "max_error is -0.1"),
        ({"max_error": 1.5}, "max_error is 1.5"),
        ({"max_pairs": 47}, "48 pairs would be ranked, which takes about .*; max_pairs is 47"),
        ({"max_error": 0.01, "max_pairs": 47}, "48 pairs"),  # it ranks all
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    judges, candidates = random_game(4, 12)
    with pytest.raises(QueryError, match=f"knn_shapley: {message}"):
        knn_shapley(judges, candidates, **parameters)


def test_relations_that_will_not_do_are_named():
    judges, candidates = random_game(4, 12)
    assert knn_shapley(judges, candidates, max_pairs=48).num_rows == 12
    assert knn_shapley(judges, candidates, max_error=0.2, max_pairs=47).num_rows == 12
    with pytest.raises(QueryError, match="no vectors in the judges"):
        knn_shapley(Relation(judges.frame), candidates)
    with pytest.raises(QueryError, match="no column 'label' in the candidates"):
        knn_shapley(judges, candidates.with_frame(candidates.frame.drop("label")))
    with pytest.raises(QueryError, match="vectors of 5 and 8 components"):
        knn_shapley(random_game(4, 12, dimension=5)[0], candidates)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    values=st.lists(st.sampled_from([-1.0, -0.5, -1e-30, -0.0, 0.0, 1e-30, 0.25, 1.0, 3.0]), min_size=1, max_size=20),
    factors=st.lists(st.sampled_from([-2.0, 0.0, 1.0]), max_size=4),
)
def test_orders_are_by_score_and_position(values, factors):
    right = Vectors.of(np.array(values)[:, None])
    found = list(neighbours.orders(Vectors.of(np.array(factors)[:, None].reshape(-1, 1)), right))
    assert len(found) == len(factors)
    for factor, order in zip(factors, found, strict=True):
        scores = (np.float32(factor) * np.array(values, np.float32)).tolist()
        assert order.tolist() == sorted(range(len(values)), key=lambda i: (-scores[i], i))


def test_orders_refuse_what_has_no_order():
    with pytest.raises(ValueError, match="NaN or infinity"):
        list(neighbours.orders(Vectors.of([[np.nan]]), Vectors.of([[1.0]])))
    with pytest.raises(ValueError, match="2 components and the right 1"):
        list(neighbours.orders(Vectors.of([[1.0, 2.0]]), Vectors.of([[1.0]])))
