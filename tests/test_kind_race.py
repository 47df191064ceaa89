"""Races of tasks with several labels a document, and with numbers for labels: scores, statistics, arms, the report."""

import json
from collections import Counter

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from test_kind_mix import documents, folder, kind, recipe, ws  # noqa: F401  fixtures
from test_training import tiny  # noqa: F401  a fixture

from curator import probe
from curator.errors import DataError
from curator.race import statistics
from curator.race.arms import choose
from curator.race.scores import indicators, of_sets, of_values
from curator.report import html, markdown
from curator.report.labels import errors, fifths, per_label

METRICS = {"multi": ("macro_f1", "micro_f1", "accuracy"), "regression": ("spearman", "pearson")}


def sample(kind, seed, n=30):  # noqa: F811
    """Truth and two predictions of n documents; of sets a label may be missing on a side, of numbers some are equal."""
    rng = np.random.default_rng(seed)
    if kind == "multi":
        return [rng.random((n, 4)) < [0.5, 0.3, 0.1, 0.0] for _ in range(3)]
    truth = rng.integers(0, 8, n).astype(float)
    return [truth, (truth + rng.normal(0, 2, n)).round(), rng.normal(size=n)]


def by_definition(kind, metric, truth, predicted):  # noqa: F811
    if kind == "multi":
        if metric == "accuracy":
            return 100 * accuracy_score(truth, predicted)
        return 100 * f1_score(truth, predicted, average=metric.removesuffix("_f1"), zero_division=0)
    if len(set(truth)) < 2 or len(set(predicted)) < 2:
        return 0.0
    return 100 * {"spearman": stats.spearmanr, "pearson": stats.pearsonr}[metric](truth, predicted).statistic


def scored(kind, metric, truth, predicted, draws):  # noqa: F811
    return (of_sets if kind == "multi" else of_values)(truth, predicted, draws.astype(float), metric)


@pytest.mark.parametrize("seed", range(4))
def test_a_score_on_a_draw_is_that_of_the_documents_repeated(kind, seed):  # noqa: F811
    truth, *predictions = sample(kind, seed)
    rng = np.random.default_rng(seed)
    draws = np.vstack([np.ones((1, 30), int), rng.multinomial(30, np.full(30, 1 / 30), size=8)])
    draws[-1] = 0
    draws[-1, [2, 5]] = 15  # two documents alone
    for metric in METRICS[kind]:
        for predicted in predictions:
            expected = [
                by_definition(kind, metric, truth.repeat(draw, axis=0), predicted.repeat(draw, axis=0))
                for draw in draws
            ]
            np.testing.assert_allclose(scored(kind, metric, truth, predicted, draws), expected, atol=1e-9)


def test_correlations_of_one_value_are_0_and_of_large_ones_exact():
    draws = np.ones((1, 4))
    rising = np.array([1.0, 2, 3, 4])
    for metric in ("spearman", "pearson"):
        assert of_values(rising, np.full(4, 0.1), draws, metric) == 0
        assert of_values(rising, -rising, draws, metric) == pytest.approx(-100)
        assert of_values(rising + 1e9, rising, draws, metric) == pytest.approx(100)
        assert of_values(rising, rising, np.array([[0.0, 0, 3, 0]]), metric) == 0
    assert of_values(rising, np.array([1, 10, 100, 1e6]), draws, "spearman") == pytest.approx(100)
    assert of_values(rising, np.array([1, 10, 100, 1e6]), draws, "pearson") < 90


def record(kind, metric, truth, arms, labels="abcd"):  # noqa: F811
    """A race record with only what statistics read; ``arms``: name → predictions by seed."""

    def written(values):
        return [np.flatnonzero(own).tolist() for own in values] if kind == "multi" else [float(v) for v in values]

    return {
        "format": 1, "kind": "race", "name": "toy", "smoke": None, "metric": metric,
        "recipe": {"task": {"kind": kind}}, "labels": list(labels) if kind == "multi" else [],
        "evaluation": {
            "documents": len(truth), "of": len(truth), "ids": [str(i) for i in range(len(truth))],
            "truth": written(truth),
        },
        "arms": [{"name": name, "selecting": name != "target-only", "description": ""} for name in arms],
        "runs": [
            {"arm": name, "seed": seed, "documents": 9, "predictions": written(run), "error": None}
            for name, runs in arms.items()
            for seed, run in enumerate(runs)
        ],
        "mix": None,
    }  # fmt: skip


def raced(kind, metric, seeds=4):  # noqa: F811
    """A race on one truth, with the two predictions of a sample for each seed, of which the mix's is better."""
    truth = sample(kind, 0)[0]
    rng = np.random.default_rng(1)
    arms = {"mix": [], "random": []}
    for _ in range(seeds):
        for name, share in (("mix", 0.1), ("random", 0.35)):
            if kind == "multi":
                arms[name].append(truth ^ (rng.random(truth.shape) < share))
            else:
                arms[name].append(truth + rng.normal(0, 10 * share, len(truth)))
    return record(kind, metric, truth, arms), truth, arms


def test_arms_are_compared_by_their_scores_and_p_counts_other_documents(kind):  # noqa: F811
    for metric in METRICS[kind]:
        rec, truth, arms = raced(kind, metric)
        results = statistics.analyse(rec, resamples=100)
        scores = {name: [by_definition(kind, metric, truth, run) for run in runs] for name, runs in arms.items()}
        for arm in results.arms:
            np.testing.assert_allclose(arm.scores, scores[arm.name], atol=1e-9)
        (one,) = results.comparisons
        differences = np.subtract(scores["mix"], scores["random"])
        assert one.difference == pytest.approx(differences.mean())
        expected = stats.ttest_rel(scores["mix"], scores["random"]).confidence_interval(0.95)
        assert (one.family.low, one.family.high) == pytest.approx(tuple(expected))
        # The covariance of seeds over a bootstrap of the documents, with the same draws, by scikit-learn and scipy.
        rng = np.random.default_rng(0)
        n = len(truth)
        draws = np.concatenate([rng.multinomial(n, np.full(n, 1 / n), size=100) for _ in range(1)])
        resampled = np.array(
            [
                [
                    by_definition(kind, metric, truth.repeat(draw, axis=0), ours.repeat(draw, axis=0))
                    - by_definition(kind, metric, truth.repeat(draw, axis=0), theirs.repeat(draw, axis=0))
                    for draw in draws
                ]
                for ours, theirs in zip(arms["mix"][:2], arms["random"][:2], strict=True)
            ]
        )
        shorter = record(kind, metric, truth, {name: runs[:2] for name, runs in arms.items()})
        (pair,) = statistics.analyse(shorter, resamples=100).comparisons
        shared = max(0.0, float(np.cov(resampled)[0, 1]))
        variance = float(np.var(differences[:2], ddof=1)) / 2
        freedom = ((variance + shared) / variance) ** 2
        expected = 2 * stats.t.sf(abs(pair.difference) / np.sqrt(variance + shared), freedom)
        of_seeds = stats.ttest_1samp(differences[:2], 0).pvalue  # these documents alone cannot be less sure
        assert pair.p == pytest.approx(max(expected, of_seeds))


def test_a_record_that_contradicts_its_kind_is_refused():
    rec, _, _ = raced("multi", "macro_f1")
    for truth_, told in (
        ([[9], *[[]] * 29], "label index 9"),
        ([[1, 1], *[[]] * 29], "different"),
        ([0] * 30, "no list"),
    ):
        broken = rec | {"evaluation": rec["evaluation"] | {"truth": truth_}}
        with pytest.raises(DataError, match=told):
            statistics.check(broken)
    with pytest.raises(DataError, match="kind multi there are: macro_f1, micro_f1, accuracy"):
        statistics.check(rec | {"metric": "spearman"})
    rec, _, _ = raced("regression", "spearman")
    rec["runs"][0]["predictions"][3] = float("nan")
    with pytest.raises(DataError, match="nan is no finite number"):
        statistics.check(rec)


# What the report shows


def test_scores_by_label_are_those_of_scikit_learn_and_there_are_no_confusions():
    rec, truth, arms = raced("multi", "macro_f1")
    by_run = np.array([precision_recall_fscore_support(truth, run, zero_division=0)[:3] for run in arms["mix"]])
    for i, own in enumerate(per_label(rec, "mix")):
        assert (own.label, own.support) == ("abcd"[i], truth[:, i].sum())
        assert (own.precision, own.recall, own.f1) == pytest.approx(tuple(100 * by_run.mean(axis=0)[:, i]))


def test_errors_and_their_fifths_by_hand():
    truth = np.arange(10.0)
    runs = [truth + 1, truth - 2]
    rec = record("regression", "spearman", truth, {"mix": runs, "random": [truth]})
    found = errors(rec, "mix")
    assert (found.spearman, found.pearson) == pytest.approx((100, 100))
    assert (found.mae, found.rmse, found.bias) == pytest.approx((1.5, 1.5, -0.5))
    assert [(f.low, f.high, f.documents, f.predicted, f.bias, f.mae) for f in fifths(rec, "mix")] == [
        (2 * i, 2 * i + 1, 2, pytest.approx(2 * i), pytest.approx(-0.5), pytest.approx(1.5)) for i in range(5)
    ]
    assert errors(rec | {"runs": []}, "mix") is None


# A whole race


@pytest.fixture
def small(folder, kind, tiny):  # noqa: F811
    return recipe(
        folder,
        kind,
        task={"shots": 10},
        train={"model": str(tiny), "steps": 3, "batch_size": 4, "max_length": 48, "precision": "fp32"},
        race={"seeds": 2, "evaluation": 25},
    )


def texts(folder, kind):  # noqa: F811
    rows = (json.loads(line) for path in folder.glob(f"{kind}-*.jsonl") for line in path.read_text().splitlines())
    return {row["id"]: row for row in rows}


def test_a_race_trains_predicts_and_reports(ws, folder, kind, small):  # noqa: F811
    assert ws.estimate_recipe(small, race=True)["trainings"] == 14
    race = ws.race(small)
    rec = race.record
    assert {run["error"] for run in rec["runs"]} == {None}
    assert {run["documents"] for run in rec["runs"] if run["arm"] not in ("target-only", "full")} == {20}
    known, ids = texts(folder, kind), rec["evaluation"]["ids"]
    if kind == "multi":
        names = [sorted(known[name]["label"]) for name in ids]
        assert [[rec["labels"][label] for label in own] for own in rec["evaluation"]["truth"]] == names
    else:
        assert rec["evaluation"]["truth"] == [known[name]["label"] for name in ids]
        assert rec["labels"] == []
    assert rec["metric"] == {"multi": "macro_f1", "regression": "spearman"}[kind]
    page, text = html(rec), markdown(rec)
    assert ('id="confusion"' in page, 'id="by-label"' in page) == (False, kind == "multi")
    assert ('id="by-arm"' in page, 'id="by-fifth"' in page) == (kind == "regression",) * 2
    assert {"multi": "macro-F1", "regression": "Spearman correlation"}[kind] in text
    assert race.verdict in text
    assert len(race.table()) == 7
    assert ws.race(small).record["runs"] == rec["runs"]  # from its files
    predicted = ws.predict(kind, str(folder / f"{kind}-test.jsonl"))
    assert len(predicted) == 30


def test_a_race_by_probe_is_a_regression_for_each_label_or_a_ridge(ws, folder, kind, small):  # noqa: F811
    rec = ws.race(small, probe=True).record
    assert {run["error"] for run in rec["runs"]} == {None}
    task = ws._workshop(None).prepare(small, 0)
    mix = ws.mix(small)
    run = next(run for run in rec["runs"] if (run["arm"], run["seed"]) == ("mix", 0))
    keys = [name for (name,) in task.pool.select(["id"]).rows()]
    chosen = task.pool.vectors_of(np.array([keys.index(name) for name in mix.frame()["id"]])).matrix()
    rows = np.concatenate([task.target.vectors.matrix(), chosen])
    labels = [*task.target.frame["label"].to_list(), *mix.frame()["label"].to_list()]
    shares = np.concatenate([np.full(len(task.target), 0.5 / len(task.target)), np.full(len(mix), 0.5 / len(mix))])
    names = [name for (name,) in task.test.select(["id"]).rows()]
    test = task.test.vectors_of(np.array([names.index(name) for name in rec["evaluation"]["ids"]])).matrix()
    if kind == "multi":
        columns = []
        for label in task.labels:
            has = [label in own for own in labels]
            # C is for a sum of losses and a penalty on the difference of two weights: see probe.fit.
            model = LogisticRegression(C=200 * 3, tol=1e-8, max_iter=10_000).fit(rows, has, sample_weight=shares)
            columns.append(model.predict_proba(test)[:, 1] >= 0.5)
        assert run["predictions"] == [np.flatnonzero(own).tolist() for own in np.stack(columns, axis=1)]
    else:
        mean = shares @ labels
        spread = np.sqrt(shares @ (np.array(labels) - mean) ** 2)
        model = Ridge(alpha=0.01).fit(rows, (np.array(labels) - mean) / spread, sample_weight=shares)
        np.testing.assert_allclose(run["predictions"], model.predict(test) * spread + mean, rtol=1e-4, atol=1e-4)


def test_random_balanced_takes_each_in_turn(ws, folder, kind, small):  # noqa: F811
    small = small.model_copy(update={"stage": small.stage[:0]})
    task, mix = ws._workshop(None).prepare(small, 0), ws.mix(small)
    every = choose("random-balanced", task, mix).documents
    assert len(every) == len(mix) == 61
    assert every.select("corpus", "id").n_unique() == 61
    first = every["label"].to_list()
    if kind == "multi":
        # The rarest label first, one that has it; then the others; then one without any.
        counts = Counter(label for own in first for label in own)
        order = sorted(counts, key=lambda label: (counts[label], label))
        for i, own in enumerate([*first[:3], *first[4:7]]):
            assert order[i % 3] in own
        assert first[3] == first[7] == []
    else:
        values = np.array(task.target.frame["label"])
        edges = np.quantile(values, [0.2, 0.4, 0.6, 0.8])
        assert [int((value >= edges).sum()) for value in first[:10]] == [0, 1, 2, 3, 4] * 2


def test_a_test_label_that_the_target_lacks_is_refused(ws, folder):  # noqa: F811
    rows = documents("multi", "test", 30)
    rows[0]["label"] = ["rude", "weather"]
    (folder / "multi-test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="the test set has a label that no target document has: 'weather'"):
        ws.race(recipe(folder, "multi", race={"seeds": 2}), probe=True)


# Probes


def test_a_ridge_is_the_optimum_of_its_objective_in_any_unit():
    rng = np.random.default_rng(0)
    rows, shares = rng.normal(size=(40, 5)), rng.dirichlet(np.ones(40))
    values = rows @ [3.0, -1, 0, 2, 0] + 7 + rng.normal(0, 0.1, 40)
    found = probe.fit_ridge(rows, values, shares, c=2.0)
    mean = shares @ values
    spread = np.sqrt(shares @ (values - mean) ** 2)
    z = (values - mean) / spread
    # The normal equations, with a column for the intercept, which has no penalty.
    with_one = np.hstack([rows, np.ones((40, 1))])
    penalty = np.diag([0.5] * 5 + [0.0])
    best = np.linalg.solve(with_one.T @ (shares[:, None] * with_one) + penalty, with_one.T @ (shares * z))
    np.testing.assert_allclose(found.values(rows), with_one @ best * spread + mean, rtol=1e-9)
    assert found.spread == pytest.approx(spread)
    other = probe.fit_ridge(rows, 1000 * values - 5, shares, c=2.0)
    np.testing.assert_allclose(other.values(rows), 1000 * found.values(rows) - 5, rtol=1e-9)
    with pytest.raises(ValueError, match="two values, not of 3 alone"):
        probe.fit_ridge(rows, np.full(40, 3.0), shares)


def test_a_label_that_all_or_none_have_is_certain():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(10, 3))
    has = np.stack([np.ones(10, bool), np.zeros(10, bool), rows[:, 0] > 0], axis=1)
    found = probe.fit_several(rows, has, np.full(10, 0.1)).probabilities(rows)
    np.testing.assert_array_equal(found[:, :2], [[1, 0]] * 10)
    np.testing.assert_array_equal(found[:, 2] > 0.5, has[:, 2])


def test_indicators_are_the_numbers_of_labels():
    assert indicators([[0, 2], [], [1]], 3).tolist() == [[True, False, True], [False] * 3, [False, True, False]]
