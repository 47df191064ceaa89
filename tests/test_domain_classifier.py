"""The domain classifier against the closed form of two Gaussians and a refit by hand, and shown free of leakage."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

from curator.errors import QueryError
from curator.functions import domain_classifier
from curator.relation import Relation
from curator.vectors import Vectors


def relation(matrix, texts=None, name="c", **columns):
    ids = [f"{name}{i:04}" for i in range(len(matrix))]
    frame = pl.DataFrame({"corpus": name, "id": ids, "text": ids if texts is None else texts, **columns})
    return Relation(frame, Vectors.of(np.asarray(matrix, np.float32)))


def directions(n, dimension, seed, mean=None):
    rows = np.random.default_rng(seed).normal(size=(n, dimension)) + (0 if mean is None else mean)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def scored(target, candidates, **parameters):
    return pl.DataFrame(domain_classifier(target, candidates, **parameters))


def fitted(positives, negatives, c):
    """Weights and intercept that minimise ½‖w‖² + c Σ sᵢ log(1 + exp(−yᵢ(w·xᵢ + b))), by another optimiser."""
    rows = np.concatenate([positives, negatives]).astype(np.float64)
    signs = np.repeat([1.0, -1.0], [len(positives), len(negatives)])
    shares = np.repeat(
        [0.5 * len(rows) / len(positives), 0.5 * len(rows) / len(negatives)], [len(positives), len(negatives)]
    )

    def loss(w):
        return 0.5 * w[:-1] @ w[:-1] + c * np.sum(shares * np.logaddexp(0, -signs * (rows @ w[:-1] + w[-1])))

    found = minimize(loss, np.zeros(rows.shape[1] + 1), method="BFGS", options={"gtol": 1e-6})
    return found.x[:-1], found.x[-1]


def test_a_document_is_scored_by_what_the_other_folds_teach():
    target, pool = directions(30, 5, 1, mean=[1, 0, 0, 0, 0]), directions(120, 5, 2)
    found = scored(relation(target, name="t"), relation(pool), folds=3, c=2.0)
    assert sorted(found["fold"].unique()) == [0, 1, 2]
    for fold in range(3):
        mine = (found["fold"] == fold).to_numpy()
        weights, intercept = fitted(target, pool[~mine], 2.0)
        np.testing.assert_allclose(found["score"].to_numpy()[mine], pool[mine] @ weights + intercept, atol=2e-2)
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(-found["score"].to_numpy())))


def test_the_target_side_is_the_positive_one():
    target = directions(60, 8, 3, mean=[2, 0, 0, 0, 0, 0, 0, 0])
    pool = np.concatenate([directions(300, 8, 4), directions(20, 8, 5, mean=[2, 0, 0, 0, 0, 0, 0, 0])])
    found = scored(relation(target, name="t"), relation(pool))
    assert found["score"][300:].median() > 0 > found["score"][:300].median()


def test_no_document_is_scored_by_a_classifier_that_has_seen_it():
    """With more dimensions than documents a classifier knows by heart what it saw, and puts it far below the rest."""
    target, pool, fresh = directions(40, 400, 6), directions(160, 400, 7), directions(160, 400, 8)
    found = scored(relation(target, name="t"), relation(pool), c=100.0, folds=10)["score"].to_numpy()
    weights, intercept = fitted(target, pool, 100.0)
    seen, unseen = (float(np.mean(rows @ weights + intercept)) for rows in (pool, fresh))
    assert unseen - seen > 1  # so it would show
    assert abs(found.mean() - unseen) < 0.25 * (unseen - seen)


def test_a_document_does_not_change_its_own_score_nor_do_its_copies():
    target, pool = relation(directions(20, 6, 9, mean=1), name="t"), directions(80, 6, 10)
    texts = [f"text {i // 2}" for i in range(80)]  # each twice
    texts[1], texts[3] = "TEXT 0!", "Text  1"
    first = scored(target, relation(pool, texts))
    assert (first["fold"].gather_every(2) == first["fold"].gather_every(2, 1)).all()
    moved = pool.copy()
    moved[:2] = moved[2]
    again = scored(target, relation(moved, texts))
    same = (first["fold"] == first["fold"][0]).to_numpy()
    same[:2] = False
    assert first["score"].to_numpy()[same].tolist() == again["score"].to_numpy()[same].tolist()
    assert (first["score"].to_numpy()[~same] != again["score"].to_numpy()[~same]).all()


def test_the_order_of_the_rows_makes_no_difference_and_the_seed_does():
    target, candidates = relation(directions(20, 6, 11, mean=1), name="t"), relation(directions(90, 6, 12))
    first = scored(target, candidates, sample=40)
    backward = scored(target.take(np.arange(20)[::-1]), candidates.take(np.arange(90)[::-1]), sample=40)
    assert first.equals(backward.reverse())
    assert not first["score"].equals(scored(target, candidates, sample=40, seed=1)["score"])


def test_what_cannot_be_told_is_null():
    target, candidates = relation(directions(5, 4, 13), name="t"), relation(directions(6, 4, 14))
    assert scored(target.take([]), candidates)["score"].null_count() == 6
    alone = scored(target, relation(directions(3, 4, 15), ["same"] * 3))
    assert alone["score"].null_count() == alone["probability"].null_count() == 3
    assert scored(target, candidates.take([])).is_empty()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"folds": 1}, "folds is 1"), ({"sample": 0}, "sample is 0"), ({"c": 0.0}, "c is 0.0")],
)
def test_bad_parameters_are_refused(arguments, message):
    rows = relation(directions(5, 4, 16))
    with pytest.raises(QueryError, match=message):
        domain_classifier(rows, rows, **arguments)
    with pytest.raises(QueryError, match="the candidates has no vectors"):
        domain_classifier(rows, Relation(rows.frame))
