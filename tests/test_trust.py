"""The reliability of sources against plain loops, its error against a jackknife, and planted wrong labels found."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from curator.errors import QueryError
from curator.functions import FUNCTIONS, trust
from curator.nearest import Tools, rewrite
from curator.relation import Relation
from curator.session import Session
from curator.vectors import Vectors


def relation(rows, labels, sources="x", name="c"):
    ids = [f"{name}{i:05}" for i in range(len(labels))]
    frame = pl.DataFrame({"corpus": name, "id": ids, "label": labels}, schema_overrides={"label": pl.String})
    frame = frame.with_columns(pl.Series("source", [sources] * len(ids) if isinstance(sources, str) else sources))
    return Relation(frame, Vectors.of(np.asarray(rows, np.float32).reshape(len(ids), -1)))


def documents(n, seed, name="c", sources="x", wrong=0.0, labels=3, dimension=8, noise=0.3):
    """Rows around one direction for each label; a share of the labels is drawn anew."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, labels, n)
    rows = np.eye(labels, dimension)[codes] + noise * rng.normal(size=(n, dimension))
    given = np.where(rng.random(n) < wrong, rng.integers(0, labels, n), codes)
    return relation(rows, ["abcdef"[code] for code in given], sources, name)


def found(target, candidates, **parameters):
    return pl.DataFrame(trust(target, candidates, **parameters))


def by_loops(target, candidates, k):
    """{source: (agreement, chance)}, chance by dealing each label out to each document."""
    theirs, ours = target.vectors.unit().matrix().astype(float), candidates.vectors.unit().matrix().astype(float)
    labels = target.frame["label"].to_list()
    result = {}
    for source in sorted(set(candidates.frame["source"])):
        own = np.flatnonzero((candidates.frame["source"] == source).to_numpy())
        near = {i: [labels[j] for j in np.argsort(-theirs @ ours[i], kind="stable")[:k]] for i in own}
        names = {i: candidates.frame["label"][int(i)] for i in own}
        agrees = [near[i].count(names[i]) / len(near[i]) for i in own]
        dealt = [near[i].count(names[j]) / len(near[i]) for i in own for j in own]
        result[source] = (np.mean(agrees), np.mean(dealt))
    return result


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99), k=st.integers(1, 9), wrong=st.sampled_from([0.0, 0.5, 1.0]))
def test_it_is_agreement_beyond_chance(seed, k, wrong):
    target = documents(7, seed, "t")
    candidates = documents(40, seed + 100, sources=["xyz"[i % 3] for i in range(40)], wrong=wrong)
    keep = candidates.frame["label"].is_in(target.frame["label"].unique().to_list()).to_numpy()
    expected = by_loops(target, candidates.take(np.flatnonzero(keep)), k)
    rows = found(target, candidates, k=k).to_dicts()
    assert [row["source"] for row in rows] == list(expected)
    for row in rows:
        assert (row["agreement"], row["chance"]) == pytest.approx(expected[row["source"]])
        if row["reliability"] is not None:
            agreement, chance = expected[row["source"]]
            assert row["reliability"] == pytest.approx((agreement - chance) / (1 - chance))


def test_with_one_neighbour_it_is_cohens_kappa():
    target, candidates = documents(30, 1, "t"), documents(500, 2, wrong=0.4)
    nearest = (candidates.vectors.unit().matrix() @ target.vectors.unit().matrix().T).argmax(axis=1)
    kappa = cohen_kappa_score(candidates.frame["label"], target.frame["label"].to_numpy()[nearest])
    assert found(target, candidates, k=1)["reliability"][0] == pytest.approx(kappa)


@pytest.mark.parametrize("skewed", [False, True])
def test_the_error_is_that_of_a_jackknife_over_target_documents(skewed):
    """With a rare label chance is no longer the same whichever group is left out."""
    target, candidates = documents(60, 3, "t", noise=0.6), documents(4000, 4, wrong=0.3, noise=0.6)
    if skewed:
        common = (candidates.frame["label"] == "a") | (pl.Series(range(4000)) % 12 == 0)
        candidates = candidates.take(np.flatnonzero(common.to_numpy()))
    nearest = (candidates.vectors.unit().matrix() @ target.vectors.unit().matrix().T).argmax(axis=1)
    groups = np.unique(nearest)
    left_out = [found(target, candidates.take(np.flatnonzero(nearest != g)))["reliability"][0] for g in groups]
    m = len(groups)
    jackknife = np.sqrt((m - 1) / m * ((left_out - np.mean(left_out)) ** 2).sum())
    error = found(target, candidates)["standard_error"][0]
    assert error == pytest.approx(jackknife, rel=0.1)
    assert error > (1.2 if skewed else 2) * np.sqrt(0.25 / len(candidates))  # they are not so many as they look


def test_planted_wrong_labels_are_found():
    target = documents(60, 5, "t")
    shares = {"right": 0.0, "half": 0.5, "wrong": 1.0}
    parts = [documents(600, 6 + i, sources=name, wrong=share) for i, (name, share) in enumerate(shares.items())]
    frame = pl.concat([part.frame.with_columns(corpus=part.frame["source"]) for part in parts])
    candidates = Relation(frame, Vectors.concat([part.vectors for part in parts]))
    by = {row["source"]: row for row in found(target, candidates).to_dicts()}
    assert by["right"]["trust"] > 0.9
    assert by["half"]["trust"] == pytest.approx(0.5, abs=0.1)
    assert by["wrong"]["trust"] == pytest.approx(0.0, abs=0.1)
    for row in by.values():
        assert row["low"] < row["trust"] < row["high"]
        assert row["high"] - row["trust"] == pytest.approx(row["trust"] - row["low"])


def test_sources_alike_are_drawn_together():
    target = documents(30, 7, "t", noise=0.6)
    candidates = documents(400, 8, sources=[f"s{i % 8}" for i in range(400)], wrong=0.5, noise=0.6)
    table = found(target, candidates)
    assert table["trust"].std() < 0.6 * table["reliability"].std()
    assert table["trust"].mean() == pytest.approx(table["reliability"].mean(), abs=0.02)


def test_what_cannot_be_told_is_null():
    target = relation(np.eye(4)[:2], ["a", "b"], name="t")
    rows, labels = np.eye(4)[[0, 1, 0, 1, 2, 0, 0]], ["a", "b", "a", "a", "z", "a", "b"]
    sources = ["both", "both", "one label", "one label", "stranger", "one place", "one place"]
    pool = relation(rows, labels, sources)
    by = {row["source"]: row for row in found(target, pool, k=1).to_dicts()}
    assert by["both"]["reliability"] == by["both"]["trust"] == 1
    assert (by["one label"]["agreement"], by["one label"]["reliability"], by["one label"]["trust"]) == (0.5, None, None)
    assert (by["one place"]["agreement"], by["one place"]["reliability"], by["one place"]["trust"]) == (0.5, None, None)
    assert (by["stranger"]["documents"], by["stranger"]["agreement"], by["stranger"]["trust"]) == (0, None, None)
    assert found(target.take([]), pool)["trust"].null_count() == 4
    assert found(target, pool.take([])).is_empty()
    assert found(target, pool.take([4]))["documents"].to_list() == [0]
    one_place = found(relation(np.eye(4)[[0, 0]], ["a", "b"], name="t"), pool.take([5, 6]), k=2).to_dicts()[0]
    assert (one_place["reliability"], one_place["standard_error"], one_place["trust"]) == (None, None, None)


def test_the_order_of_the_rows_and_blocks_make_no_difference(monkeypatch):
    target, pool = documents(12, 9, "t"), documents(90, 10, sources=["xyz"[i % 3] for i in range(90)], wrong=0.5)
    first = found(target, pool)
    assert found(target.take(range(12)[::-1]), pool.take(range(90)[::-1])).equals(first)
    monkeypatch.setitem(trust.__globals__, "BLOCK", 7)
    assert found(target, pool).equals(first)


def test_from_sql_and_bad_parameters():
    target, pool = documents(12, 11, "t"), documents(50, 12)
    query = "SELECT trust FROM trust('target', 'pool', k := 3)"
    table = rewrite(Session(), query, {}, Tools({"target": target, "pool": pool}, FUNCTIONS)).fetch()
    assert table["trust"].to_pylist() == found(target, pool, k=3)["trust"].to_list()
    with pytest.raises(QueryError, match="trust: k is 0"):
        trust(target, pool, k=0)
    with pytest.raises(QueryError, match="trust: no column 'label' in the target"):
        trust(target.with_frame(target.frame.drop("label")), pool)
    with pytest.raises(QueryError, match="no column 'source' or 'corpus'"):
        trust(target, pool.with_frame(pool.frame.drop("source", "corpus")))
