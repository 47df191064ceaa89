"""The value of sources against probes by another optimiser, and shown to tell planted sources apart."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

from curator import probe
from curator.errors import QueryError
from curator.functions import FUNCTIONS, source_value
from curator.functions._documents import labelled
from curator.functions._labelled import splits
from curator.functions._shrunk import shrunk
from curator.nearest import Tools, rewrite
from curator.relation import Relation
from curator.session import Session
from curator.vectors import Vectors

LABELS = "abc"


def relation(rows, labels, sources="x", name="c"):
    ids = [f"{name}{i:04}" for i in range(len(labels))]
    frame = pl.DataFrame({"corpus": name, "id": ids, "label": labels}, schema_overrides={"label": pl.String})
    frame = frame.with_columns(pl.Series("source", [sources] * len(ids) if isinstance(sources, str) else sources))
    return Relation(frame, Vectors.of(np.asarray(rows, np.float32).reshape(len(ids), -1)))


def documents(n, seed, sources="x", name="c", noise=0.35, dimension=10):
    """Rows around one direction for each label, the labels by turns."""
    codes = np.arange(n) % 3
    rows = np.eye(3, dimension)[codes] + noise * np.random.default_rng(seed).normal(size=(n, dimension))
    return relation(rows, [LABELS[code] for code in codes], sources, name)


def together(*parts):
    frame = pl.concat([part.frame.with_columns(corpus=pl.lit(f"c{i}")) for i, part in enumerate(parts)])
    return Relation(frame, Vectors.concat([part.vectors for part in parts]))


def planted(n, seed):
    """Sources that help, have their labels dealt out anew, and lie where no label lies, with labels at random."""
    rng = np.random.default_rng(seed)
    good, shuffled = documents(n, seed + 1, "good"), documents(n, seed + 2, "shuffled")
    labels = shuffled.frame["label"].to_numpy()[rng.permutation(n)]
    shuffled = shuffled.with_frame(shuffled.frame.with_columns(pl.Series("label", labels)))
    far = np.hstack([np.zeros((n, 3)), rng.normal(size=(n, 7))])
    return together(good, shuffled, relation(far, [LABELS[code] for code in rng.integers(0, 3, n)], "irrelevant"))


def valued(*arguments, **parameters):
    return pl.DataFrame(source_value(*arguments, **parameters))


def loss(target, chosen, judges, c):
    """The mean log loss on judges of the probe of the target and of chosen documents, each side's half."""
    rows, codes, weights = [], [], []
    for part, half in ((target, False), (chosen, True)):
        if len(part):
            labels = [LABELS.index(label) for label in part.frame["label"]]
            counts = np.bincount(labels, minlength=3)
            present = (counts > 0).sum()
            rows.append(part.vectors.unit().matrix().astype(float))
            codes += labels
            each = [1 / counts[code] / present for code in labels] if half else [1 / len(labels)] * len(labels)
            weights += [(0.5 if len(chosen) else 1.0) * weight for weight in each]
    rows = np.concatenate(rows)

    def losses(parameters, rows, codes):
        matrix = parameters.reshape(3, -1)
        logits = rows @ matrix[:, :-1].T + matrix[:, -1]
        return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(codes)), codes]

    def objective(parameters):
        return np.dot(weights, losses(parameters, rows, codes)) + (parameters.reshape(3, -1)[:, :-1] ** 2).sum() / 2 / c

    best = minimize(objective, np.zeros(3 * (rows.shape[1] + 1)), tol=1e-10).x
    truth = [LABELS.index(label) for label in judges.frame["label"]]
    return losses(best, judges.vectors.unit().matrix().astype(float), truth)


def of_sources(pool, names):
    return pool.take(np.flatnonzero(pool.frame["source"].is_in(list(names)).to_numpy()))


@pytest.mark.parametrize("design", ["add", "leave"])
def test_values_are_differences_of_losses(design):
    target, dev = documents(9, 1, name="t", dimension=4), documents(7, 2, name="d", dimension=4)
    # Every document fits into the budget, so that nothing is drawn.
    pool = together(documents(8, 3, "x", dimension=4), documents(5, 4, "y", dimension=4, noise=1.0))
    pool = together(pool, documents(4, 5, "z", dimension=4))
    found = valued(target, dev, pool, design=design, budget=50, draws=2, c=5.0)
    assert found["source"].to_list() == ["x", "y", "z"]
    assert found["documents"].to_list() == [8, 5, 4]
    gains = []
    for source in "xyz":
        if design == "add":
            arms = pool.take([]), of_sources(pool, source)
        else:
            arms = of_sources(pool, set("xyz") - {source}), pool
        gains.append(np.subtract(*(loss(target, arm, dev, 5.0) for arm in arms)))
    np.testing.assert_allclose(found["value"], np.mean(gains, axis=1), atol=1e-4)
    np.testing.assert_allclose(found["standard_error"], np.std(gains, axis=1, ddof=1) / np.sqrt(7), atol=1e-4)


def test_without_dev_parts_of_the_target_judge():
    target, pool = documents(9, 1, name="t", dimension=4), documents(8, 3, "x", dimension=4)
    found = valued(target, target.take([]), pool, budget=50, draws=2, folds=3, c=5.0, seed=2)
    documents_of = labelled("", "", target)
    gains = []
    for taught, judge in splits(documents_of, documents_of.take(np.zeros(9, bool)), 3, 2):
        taught, judge = target.take(taught.rows), target.take(judge.rows)
        gains.append(loss(taught, pool.take([]), judge, 5.0) - loss(taught, pool, judge, 5.0))
    gains = np.concatenate(gains)
    assert len(gains) == 9
    assert found["value"][0] == pytest.approx(gains.mean(), abs=1e-4)
    assert found["shrunk"][0] == found["value"][0]
    assert found["weight"][0] == 1


@pytest.mark.parametrize("design", ["add", "leave"])
@pytest.mark.parametrize("with_dev", [True, False])
def test_planted_sources_are_told_apart(design, with_dev):
    target, dev = documents(24, 10, name="t", noise=0.5), documents(300, 20, name="d", noise=0.5)
    if not with_dev:
        target, dev = documents(60, 10, name="t", noise=0.5), dev.take([])
    found = valued(target, dev, planted(300, 30), design=design, budget=200, draws=3, folds=3)
    by = {row["source"]: row for row in found.to_dicts()}
    assert by["good"]["value"] > by["irrelevant"]["value"] > by["shuffled"]["value"]
    assert by["good"]["weight"] > by["irrelevant"]["weight"] > by["shuffled"]["weight"]
    assert by["good"]["value"] > 2 * by["good"]["standard_error"]
    assert by["shuffled"]["value"] < -2 * by["shuffled"]["standard_error"]
    assert found["weight"].mean() == pytest.approx(1)
    assert (found["shrunk"] - found["shrunk"].mean()).abs().sum() < (found["value"] - found["value"].mean()).abs().sum()


def test_sources_without_a_difference_have_nearly_equal_weights():
    target, dev = documents(24, 10, name="t", noise=0.5), documents(60, 20, name="d", noise=0.5)
    pool = together(*(documents(200, 40 + i, f"s{i}", noise=0.5) for i in range(4)))
    found = valued(target, dev, pool, budget=100, draws=3)
    assert found["weight"].is_between(0.9, 1.1).all()
    assert valued(target, dev, pool, budget=100, draws=3, strength=0.0)["weight"].to_list() == [1.0] * 4


def test_probes_have_the_budget_and_sources_give_the_same_number(monkeypatch):
    seen, fit = [], probe.fit
    monkeypatch.setattr(probe, "fit", lambda rows, *rest, **named: seen.append(rows) or fit(rows, *rest, **named))
    target, dev = documents(6, 1, name="t"), documents(6, 2, name="d")
    pool = together(documents(50, 3, "x"), documents(50, 4, "y"), documents(5, 5, "z"))
    ours = [{row.tobytes() for row in of_sources(pool, s).vectors.unit().matrix()} for s in "xyz"]

    def counts():
        return [tuple(sum(row.tobytes() in own for row in rows) for own in ours) for rows in seen]

    valued(target, dev, pool, design="add", budget=20, draws=2)
    assert counts() == 2 * [(0, 0, 0), (20, 0, 0), (0, 20, 0), (0, 0, 5)]
    first, second = ({row.tobytes() for row in seen[i]} for i in (1, 5))
    assert 6 <= len(first & second) < 26  # another sample in another draw
    seen.clear()
    valued(target, dev, pool, design="leave", budget=20, draws=2)
    assert counts() == 2 * [(8, 7, 5), (0, 15, 5), (15, 0, 5), (10, 10, 0)]


def test_the_order_of_the_rows_makes_no_difference_and_the_seed_does():
    target, dev, pool = documents(12, 1, name="t"), documents(9, 2, name="d"), planted(60, 3)
    for judges in (dev, dev.take([])):
        first = valued(target, judges, pool, budget=20, draws=2)
        shuffled = [part.take(np.random.default_rng(1).permutation(len(part))) for part in (target, judges, pool)]
        assert valued(*shuffled, budget=20, draws=2).equals(first)
        assert not valued(target, judges, pool, budget=20, draws=2, seed=1)["value"].equals(first["value"])


def test_what_cannot_be_told_is_null():
    target, dev, pool = documents(12, 1, name="t"), documents(9, 2, name="d"), documents(30, 3, "x")
    strangers = relation(np.eye(10)[:2], ["z", None], "y")
    found = valued(target, dev, together(pool, strangers), draws=2)
    assert found["documents"].to_list() == [30, 0]
    assert found["value"].is_null().to_list() == [False, True]
    assert found["weight"].to_list() == [1.0, 1.0]
    for teaches, judges in ((target.take([]), dev), (target.take([0, 3]), dev), (target, dev.take([0]))):
        unknown = valued(teaches, judges, pool, draws=2)
        assert unknown.select("value", "standard_error", "shrunk").null_count().row(0) == (1, 1, 1)
        assert unknown["weight"].to_list() == [1.0]
    assert valued(target, dev, pool.take([])).is_empty()
    assert valued(target, dev, pool.with_frame(pool.frame.drop("source")), draws=2)["source"].to_list() == ["c"]
    nameless = pool.with_frame(pool.frame.with_columns(source=pl.when(pl.col("id") < "c0010").then(pl.lit("x"))))
    assert valued(target, dev, nameless, draws=2)["source"].to_list() == [None, "x"]
    assert valued(target, dev, nameless, draws=2)["documents"].to_list() == [20, 10]


def test_from_sql():
    tables = {"target": documents(9, 1, name="t"), "dev": documents(9, 2, name="d"), "pool": planted(20, 3)}
    query = "SELECT source, value FROM source_value('target', 'dev', 'pool', draws := 2, budget := 10) ORDER BY source"
    table = rewrite(Session(), query, {}, Tools(tables, FUNCTIONS)).fetch()
    assert table["value"].to_pylist() == valued(*tables.values(), draws=2, budget=10)["value"].to_list()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"design": "both"}, "design is 'both'; it must be add or leave"),
        ({"budget": 0}, "budget is 0"),
        ({"draws": 1}, "draws is 1"),
        ({"folds": 1}, "folds is 1"),
        ({"c": -1.0}, "c is -1.0"),
        ({"strength": -1.0}, "strength is -1.0"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    some = documents(6, 1)
    with pytest.raises(QueryError, match=f"source_value: {message}"):
        source_value(some, some, some, **parameters)
    with pytest.raises(QueryError, match="no column 'source' or 'corpus'"):
        source_value(some, some, some.with_frame(some.frame.drop("source", "corpus")))


def test_shrinkage_by_hand():
    middle, deviation = shrunk(np.array([0.0, 2.0]), np.array([1.0, 1.0]))  # variance 2, of which 1 is error
    assert middle.tolist() == [0.5, 1.5]
    np.testing.assert_allclose(deviation**2, [0.5 + 0.25] * 2)  # half of 1, and a quarter of (2 + 2) / 2²
    middle, deviation = shrunk(np.array([0.0, 1.0]), np.array([1.0, 1.0]))  # all of it may be error
    assert middle.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(deviation**2, [0.5] * 2)
    exact = shrunk(np.array([0.0, 1.0, 5.0]), np.zeros(3))
    assert exact[0].tolist() == [0.0, 1.0, 5.0]
    assert exact[1].tolist() == [0.0, 0.0, 0.0]
    assert [part.tolist() for part in shrunk(np.array([3.0]), np.array([2.0]))] == [[3.0], [2.0]]
    assert [part.tolist() for part in shrunk(np.ones(2), np.zeros(2))] == [[1.0, 1.0], [0.0, 0.0]]


def test_shrunk_values_are_nearer_to_the_truth():
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 0.5, (200, 12))
    errors = rng.uniform(0.3, 1.5, (200, 12))
    values = truth + errors * rng.normal(size=truth.shape)
    found = [shrunk(*pair) for pair in zip(values, errors, strict=True)]
    middle, deviation = np.array([m for m, _ in found]), np.array([d for _, d in found])
    assert np.mean((middle - truth) ** 2) < 0.5 * np.mean((values - truth) ** 2)
    assert 0.8 < np.mean(np.abs(middle - truth) < 2 * deviation) < 0.99
