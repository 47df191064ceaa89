"""The probe against another optimiser, and its shares against the pairing loss that BERT is trained by."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.metrics import f1_score

from curator import probe
from curator.training.loss import pairing_loss


def documents(n, dimension, labels, seed):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(labels), rng.integers(0, labels, n - labels)])
    rows = np.eye(labels, dimension)[codes] + 0.7 * rng.normal(size=(n, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), codes


def losses(weights, intercept, rows, codes):
    """(n,) log losses, written out."""
    logits = rows.astype(np.float64) @ weights.T + intercept
    return (
        np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1) - logits[range(len(codes)), codes]
    )


def objective(parameters, rows, codes, shares, labels, c):
    matrix = parameters.reshape(labels, -1)
    return shares @ losses(matrix[:, :-1], matrix[:, -1], rows, codes) + (matrix[:, :-1] ** 2).sum() / (2 * c)


@pytest.mark.parametrize("labels", [2, 3, 5])
@pytest.mark.parametrize("c", [0.5, 30.0])
def test_it_is_the_optimum_of_its_objective(labels, c):
    rows, codes = documents(40, 4, labels, seed=labels)
    shares = np.random.default_rng(1).dirichlet(np.ones(40))
    found = probe.fit(rows, codes, shares, labels, c=c)
    ours = np.hstack([found.weights, found.intercept[:, None]])
    best = minimize(objective, np.zeros(ours.size), (rows, codes, shares, labels, c), tol=1e-9)
    assert objective(ours.ravel(), rows, codes, shares, labels, c) == pytest.approx(best.fun, abs=1e-7)
    np.testing.assert_allclose(found.weights, best.x.reshape(ours.shape)[:, :-1], atol=1e-2)
    expected = losses(found.weights, found.intercept, rows, codes)
    np.testing.assert_allclose(found.losses(rows, codes), expected, rtol=1e-9)
    np.testing.assert_allclose(found.probabilities(rows)[range(40), codes], np.exp(-expected), rtol=1e-9)
    truth = np.eye(labels)[codes]
    np.testing.assert_allclose(found.residuals(rows, codes), found.probabilities(rows) - truth, atol=1e-12)


@pytest.mark.parametrize("labels", [2, 3])
def test_a_start_changes_nothing_but_the_time(labels):
    rows, codes = documents(60, 6, labels, seed=1)
    even = np.full(60, 1 / 60)
    first = probe.fit(rows, codes, even, labels)
    np.testing.assert_array_equal(probe.fit(rows, codes, even, labels).weights, first.weights)
    shares = probe.balanced(codes) / labels
    cold, warm = (probe.fit(rows, codes, shares, labels, start=start) for start in (None, first))
    np.testing.assert_allclose(warm.weights, cold.weights, atol=1e-3)
    np.testing.assert_allclose(warm.probabilities(rows), cold.probabilities(rows), atol=1e-5)


def test_a_good_start_takes_fewer_steps(monkeypatch):
    from sklearn.linear_model import LogisticRegression

    steps, fit = [], LogisticRegression.fit

    def counted(model, *arguments, **settings):
        fit(model, *arguments, **settings)
        steps.append(int(model.n_iter_[0]))
        return model

    monkeypatch.setattr(LogisticRegression, "fit", counted)
    for labels in (2, 3):
        rows, codes = documents(60, 6, labels, seed=2)
        even = np.full(60, 1 / 60)
        known = probe.fit(rows, codes, even, labels)
        probe.fit(rows, codes, even, labels, start=known)
        assert steps[-1] < steps[-2] / 3


def test_a_label_without_a_document_has_no_probability():
    rows, codes = documents(30, 4, 3, seed=3)
    shown = codes != 1
    found = probe.fit(rows[shown], codes[shown], np.full(shown.sum(), 1 / shown.sum()), 3)
    probabilities = found.probabilities(rows)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.isinf(found.losses(rows, codes)[codes == 1]).all()
    # As a start for a probe of all three it says nothing, which is no error.
    even = np.full(30, 1 / 30)
    again = probe.fit(rows, codes, even, 3, start=found)
    np.testing.assert_allclose(again.weights, probe.fit(rows, codes, even, 3).weights, atol=1e-3)


def test_one_label_is_refused():
    with pytest.raises(ValueError, match="of two labels, not of 1"):
        probe.fit(np.eye(3, dtype=np.float32), np.zeros(3, np.int64), np.full(3, 1 / 3), 2)


WEIGHTS = st.lists(st.floats(0.01, 5), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(target=WEIGHTS, selected=WEIGHTS, lambda_=st.sampled_from([-1.0, -0.7, -0.5, 0.0]), seed=st.integers(0, 9))
def test_shares_make_the_pairing_loss(target, selected, lambda_, seed):
    rng = np.random.default_rng(seed)
    theirs, ours = rng.random(len(target)), rng.random(len(selected))
    shares = probe.shares_of(np.array(target), np.array(selected), lambda_=lambda_)
    means = np.average(ours, weights=selected), np.average(theirs, weights=target)
    assert shares @ np.concatenate([theirs, ours]) == pytest.approx(pairing_loss(*means, lambda_))
    assert shares.sum() == pytest.approx(1)


def test_a_side_of_nothing_leaves_all_to_the_other():
    some, none = np.array([1.0, 3.0]), np.zeros(2)
    assert probe.shares_of(some, np.empty(0)).tolist() == [0.25, 0.75]
    assert probe.shares_of(some, none, lambda_=0.0).tolist() == [0.25, 0.75, 0, 0]
    assert probe.shares_of(none, some, lambda_=-1.0).tolist() == [0, 0, 0.25, 0.75]
    assert probe.shares_of(none, none).tolist() == [0, 0, 0, 0]
    for bad in (0.1, -1.1, float("nan")):
        with pytest.raises(ValueError, match="lambda is"):
            probe.shares_of(some, some, lambda_=bad)


def test_balanced_gives_each_label_the_same():
    labels = np.array([0, 0, 2, 2, 2, 2])
    assert probe.balanced(labels).tolist() == [0.5, 0.5, 0.25, 0.25, 0.25, 0.25]
    assert probe.balanced(labels, np.array([1.0, 3.0, 0, 1, 1, 0])).tolist() == [0.25, 0.75, 0, 0.5, 0.5, 0]
    assert probe.balanced(labels, np.zeros(6)).tolist() == [0] * 6
    assert probe.balanced(np.empty(0, np.int64)).tolist() == []


def test_macro_f1_is_over_the_labels_that_occur():
    truth, predicted = np.array([0, 0, 1, 3]), np.array([0, 1, 1, 1])
    by_hand = (2 / 3 + 2 * 1 / (2 * 1 + 2) + 0) / 3
    assert probe.macro_f1(truth, predicted) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(f1_score(truth, predicted, average="macro", labels=[0, 1, 3], zero_division=0))
