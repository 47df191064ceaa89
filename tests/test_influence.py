"""Influence against finite differences of the loss on dev, and against automatic differentiation."""

import importlib
import itertools

import numpy as np
import polars as pl
import pytest
import torch

from curator import probe
from curator.errors import QueryError
from curator.functions import FUNCTIONS, influence
from curator.functions._documents import labelled
from curator.functions._labelled import splits
from curator.nearest import Tools, rewrite
from curator.relation import Relation
from curator.session import Session
from curator.vectors import Vectors


def relation(rows, labels, name="c"):
    ids = [f"{name}{i:04}" for i in range(len(labels))]
    schema = {"corpus": pl.String, "id": pl.String, "label": pl.String}
    frame = pl.DataFrame({"corpus": name, "id": ids, "label": labels}, schema=schema)
    return Relation(frame, Vectors.of(np.asarray(rows, np.float32).reshape(len(labels), -1)))


def documents(n, labels, seed, name, dimension=6, noise=0.5):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % labels
    rows = np.eye(labels, dimension)[codes] + noise * rng.normal(size=(n, dimension))
    return relation(rows, ["abcdef"[code] for code in codes], name)


def scored(target, dev, candidates, **parameters):
    return pl.DataFrame(influence(target, dev, candidates, **parameters))


def gradient(found, rows, codes):
    """The gradient by weights and intercept of the mean log loss, by torch."""
    weights, intercept = (torch.tensor(part, requires_grad=True) for part in (found.weights, found.intercept))
    logits = torch.tensor(rows, dtype=torch.float64) @ weights.T + intercept
    torch.nn.functional.cross_entropy(logits, torch.tensor(codes)).backward()
    return np.hstack([weights.grad.numpy(), intercept.grad.numpy()[:, None]])


def of(documents, names):
    part = labelled("test", "test", documents)
    return part.vectors.matrix(), part.codes(names)


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("normalised", [False, True])
def test_it_is_the_inner_product_of_gradients(labels, normalised):
    target, dev, pool = (documents(n, labels, n, name) for n, name in ((20, "t"), (12, "d"), (30, "c")))
    names = list("abcdef")[:labels]
    taught = of(target, names)
    found = probe.fit(*taught, np.full(20, 1 / 20), labels, c=10.0)
    judged = gradient(found, *of(dev, names))
    rows, codes = of(pool, names)
    expected = []
    for row, code in zip(rows, codes, strict=True):
        own = gradient(found, row[None], [code])
        expected.append((own * judged).sum() / (np.linalg.norm(own) * np.linalg.norm(judged) if normalised else 1))
    got = scored(target, dev, pool, c=10.0, normalised=normalised)
    np.testing.assert_allclose(got["score"], expected, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(got["probability"], found.probabilities(rows)[range(30), codes], rtol=1e-5)
    assert min(expected) < 0 < max(expected)


def test_a_step_on_a_document_lowers_the_loss_on_dev_by_as_much():
    target, dev, pool = documents(20, 3, 1, "t"), documents(12, 3, 2, "d"), documents(40, 3, 3, "c", noise=1.0)
    names, step = list("abc"), 1e-5
    found = probe.fit(*of(target, names), np.full(20, 1 / 20), 3, c=1.0)
    judges = of(dev, names)
    before, lowered = found.losses(*judges).mean(), []
    for row, code in zip(*of(pool, names), strict=True):
        moved = gradient(found, row[None], [code])
        after = probe.Probe(found.weights - step * moved[:, :-1], found.intercept - step * moved[:, -1])
        lowered.append((before - after.losses(*judges).mean()) / step)
    np.testing.assert_allclose(scored(target, dev, pool)["score"], lowered, rtol=2e-3, atol=1e-4)


def test_without_dev_each_fold_of_the_target_judges_a_probe_of_the_others():
    target, pool = documents(30, 3, 4, "t"), documents(20, 3, 5, "c")
    parts = splits(labelled("", "", target), labelled("", "", target.take([])), 4, seed=3)
    assert len(parts) == 4
    ids = [judge.keys["id"].to_list() for _, judge in parts]
    assert sorted(itertools.chain(*ids)) == target.frame["id"].to_list()
    for taught, judge in parts:
        assert sorted(taught.keys["id"].to_list() + judge.keys["id"].to_list()) == target.frame["id"].to_list()
        assert sorted(judge.labels.value_counts()["count"]) in ([2, 2, 2], [3, 3, 3])
    each = []
    for own in ids:
        inside = target.frame["id"].is_in(own).to_numpy()
        each.append(scored(target.take(np.flatnonzero(~inside)), target.take(np.flatnonzero(inside)), pool)["score"])
    found = scored(target, target.take([]), pool, folds=4, seed=3)["score"]
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-9)
    assert not found.equals(scored(target, target.take([]), pool, folds=4, seed=4)["score"])


def test_the_only_document_of_a_label_is_never_judged():
    target = relation(np.eye(5), ["a", "a", "b", "b", "c"], "t")
    parts = splits(labelled("", "", target), labelled("", "", target.take([])), 5, seed=0)
    assert len(parts) == 2
    assert all("t0004" in taught.keys["id"].to_list() for taught, _ in parts)
    assert all(set(taught.labels) == {"a", "b", "c"} for taught, _ in parts)


def test_a_wrong_label_is_of_no_help():
    target, dev = documents(40, 2, 6, "t", noise=0.3), documents(20, 2, 7, "d", noise=0.3)
    pool = documents(200, 2, 8, "c", noise=0.3)
    wrong = np.arange(200) % 5 == 0
    labels = [
        ("b" if label == "a" else "a") if bad else label for label, bad in zip(pool.frame["label"], wrong, strict=True)
    ]
    pool = pool.with_frame(pool.frame.with_columns(pl.Series("label", labels)))
    for given in (dev, dev.take([])):
        score = scored(target, given, pool)["score"].to_numpy()
        assert (score[wrong] < 0).mean() > 0.95
        assert (score[~wrong] > 0).mean() > 0.95


def test_what_cannot_be_told_is_null():
    target, dev = documents(12, 2, 9, "t"), documents(6, 2, 10, "d")
    pool = relation(np.vstack([np.eye(6)[:3], np.zeros(6)]), ["a", None, "z", "b"])
    assert scored(target, dev, pool)["score"].is_null().to_list() == [False, True, True, True]
    assert scored(target, dev, pool)["probability"].is_null().to_list() == [False, True, True, True]
    assert scored(target.take([0, 2, 4]), dev, pool)["score"].null_count() == 4  # one label
    assert scored(target.take([]), dev, pool)["score"].null_count() == 4
    assert scored(target.take([0, 1]), dev.take([]), pool)["score"].null_count() == 4  # nobody to judge
    assert scored(target, dev, pool.take([])).is_empty()
    strangers = dev.with_frame(dev.frame.with_columns(label=pl.lit("z")))
    assert scored(target, strangers, pool).equals(scored(target, dev.take([]), pool))


def test_the_order_of_the_rows_and_blocks_make_no_difference(monkeypatch):
    target, dev, pool = documents(20, 3, 11, "t"), documents(9, 3, 12, "d"), documents(50, 3, 13, "c")
    for judges in (dev, dev.take([])):
        first = scored(target, judges, pool)
        backward = scored(
            target.take(range(20)[::-1]), judges.take(range(len(judges))[::-1]), pool.take(range(50)[::-1])
        )
        assert backward.reverse().equals(first)
    monkeypatch.setattr(importlib.import_module("curator.functions.influence"), "BLOCK", 7)
    np.testing.assert_allclose(scored(target, dev.take([]), pool)["score"], first["score"], atol=1e-12)


def test_from_sql():
    tables = {"target": documents(20, 2, 14, "t"), "dev": documents(8, 2, 15, "d"), "pool": documents(9, 2, 16, "c")}
    query = "SELECT id, score FROM influence('target', 'dev', 'pool', c := 5, normalised := true) ORDER BY id"
    table = rewrite(Session(), query, {}, Tools(tables, FUNCTIONS)).fetch()
    expected = scored(*tables.values(), c=5.0, normalised=True)["score"]
    assert table["score"].to_pylist() == pytest.approx(expected.to_list())


@pytest.mark.parametrize(
    ("parameters", "message"), [({"c": 0.0}, "c is 0.0"), ({"folds": 1}, "folds is 1"), ({"seed": -1}, "seed is -1")]
)
def test_bad_parameters_are_refused(parameters, message):
    some = documents(6, 2, 17, "t")
    with pytest.raises(QueryError, match=f"influence: {message}"):
        influence(some, some, some, **parameters)
