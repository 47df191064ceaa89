"""Ratios that are found: each step against a plain definition of it, and the whole on planted sources."""

import importlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_source_value import LABELS, documents, planted, relation, together

from curator import probe
from curator.errors import QueryError
from curator.functions import FUNCTIONS, mixture
from curator.functions._documents import labelled
from curator.functions._gain import gains
from curator.functions._mixing import Panel
from curator.functions._ratios import LEAST, divergence, poured, simulated, trial_pulls, whole
from curator.functions._surface import Surface, _features
from curator.nearest import Tools, rewrite
from curator.session import Session
from curator.trials import Judged, Trials
from curator.vectors import Vectors

searching = importlib.import_module("curator.functions._searching")
FAST = {"budget": 60, "sample": 40, "trials": 24, "draws": 2}


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    """As many ratios as a test has time for."""
    monkeypatch.setattr(searching, "SIMULATED", 3000)


def grouped(pool, by="source"):
    return pool.with_frame(pool.frame.with_columns(group=pl.col(by)))


def mixed(target, dev, pool, by="source", **parameters):
    return pl.DataFrame(mixture(target, dev, pool, grouped(pool, by), **{**FAST, **parameters}))


# The steps


SESSION = Session()
SHARED_OUT = """
    SELECT shared_out(total, floors, rooms, pulls) AS n
    FROM (SELECT $total AS total, $floors AS floors, $rooms AS rooms, $pulls AS pulls)
"""

VESSELS = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(1, 40), min_size=n, max_size=n),
        st.lists(st.sampled_from([0.0, LEAST, 0.3, 1.0, 7.0]), min_size=n, max_size=n).filter(any),
        st.integers(1, 60),
    )
)


@given(VESSELS)
@settings(deadline=None, max_examples=60)
def test_shares_are_those_of_the_macro_that_ratio_pours_by(vessels):
    sizes, pulls, budget = vessels
    reachable = sum(size for size, pull in zip(sizes, pulls, strict=True) if pull)
    rooms = np.array(sizes) / budget
    ours = poured(rooms, np.array([pulls]))[0]
    assert (ours <= rooms + 1e-12).all()
    assert ours.sum() == pytest.approx(min(1, reachable / budget))
    assert not ours[np.array(pulls) == 0].any()
    total = round(ours.sum() * budget)
    theirs = SESSION.fetch(SHARED_OUT, {
        "total": total, "floors": [0.0] * len(sizes), "pulls": [max(pull, 1e-200) for pull in pulls],
        "rooms": [float(size) * (pull > 0) for size, pull in zip(sizes, pulls, strict=True)],
    }).column("n")[0].as_py()  # fmt: skip
    counts = whole(ours / max(ours.sum(), 1e-300), total)
    assert counts.sum() == total
    assert np.abs(counts - np.array(theirs)).max() <= 1  # LEAST and 1e-200 are not quite nothing
    assert (counts <= np.array(sizes)).all()


def test_whole_numbers_by_largest_remainder():
    assert whole(np.array([0.5, 0.3, 0.2]), 3).tolist() == [1, 1, 1]  # 1.5, 0.9, 0.6
    assert whole(np.array([0.25, 0.25, 0.25, 0.25]), 6).tolist() == [2, 2, 1, 1]
    assert whole(np.array([1 / 3, 2 / 3]), 3).tolist() == [1, 2]


def test_trials_without_a_new_group_are_the_trials_that_there_were():
    before = trial_pulls(["a", "c"], np.array([100.0, 50.0]), 400, 7)
    after = trial_pulls(["a", "b", "c"], np.array([100.0, 70.0, 50.0]), 400, 7)
    without = after[:, 1] == 0
    assert 0.4 < without.mean() < 0.55  # half, less where all three are out and its lot is the largest
    assert (before[without] == after[without][:, [0, 2]]).all()
    assert (before.max(axis=1) > 0).all()
    assert not np.array_equal(before, trial_pulls(["a", "c"], np.array([100.0, 50.0]), 400, 8))


def test_pulls_are_gamma_draws_times_the_root_of_the_size():
    strengths = np.geomspace(0.1, 5, 15)
    for pulls in (
        trial_pulls(["a", "b"], np.array([100.0, 4.0]), 6000, 0),
        simulated(np.array([100.0, 4.0]), 30_000, 0),
    ):
        there = pulls[:, 0] > 1e-90
        assert there.mean() == pytest.approx(0.625, abs=0.02)  # half, and half of the times that both are out
        for place in (5, 10, 14):
            own = pulls[place::15, 0][there[place::15]] / 10
            assert own.mean() == pytest.approx(1, abs=0.2)  # a gamma draw over its shape
            assert own.var() == pytest.approx(1 / strengths[place], rel=0.6)


def test_divergence():
    prior = np.array([0.25, 0.75])
    assert divergence(np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]]), prior) == pytest.approx(
        [0, np.log(4), 0.5 * np.log(2) + 0.5 * np.log(2 / 3)]
    )


@pytest.mark.parametrize("curved", [False, True])
def test_the_regression_is_the_one_that_predicts_left_out_trials_best(curved):
    rng = np.random.default_rng(3)
    ratios = rng.dirichlet(np.ones(3), 25)
    losses = ratios @ [1.0, 2.0, 0.5] + curved * 9 * ratios[:, 0] * ratios[:, 1] + 0.05 * rng.normal(size=25)
    surface = Surface.of(ratios, losses)
    best = (-np.inf,)
    for products in (False, True):
        x = _features(ratios, products=products)
        assert x.shape[1] == (9 if products else 3)
        z = (x - x.mean(axis=0)) / x.std(axis=0)
        for penalty in np.geomspace(1e4, 1e-3, 29):
            design = np.column_stack([np.ones(25), z])
            ridge = penalty * np.diag([0, *np.ones(z.shape[1])])
            missed = []
            for out in range(25):
                rest = np.arange(25) != out
                fitted = np.linalg.solve(design[rest].T @ design[rest] + ridge, design[rest].T @ losses[rest])
                missed.append(losses[out] - design[out] @ fitted)
            of_means = [losses[out] - losses[np.arange(25) != out].mean() for out in range(25)]
            explained = 1 - np.mean(np.square(missed)) / np.mean(np.square(of_means))
            whole_fit = np.linalg.solve(design.T @ design + ridge, design.T @ losses)
            best = max(best, (explained, products, penalty, design @ whole_fit), key=lambda found: found[0])
    assert surface.explained == pytest.approx(best[0], abs=1e-6)
    assert surface.products == best[1] == curved
    assert surface.penalty == pytest.approx(best[2])
    assert surface.predicted(ratios) == pytest.approx(best[3])


def test_where_all_trials_are_alike_nothing_is_explained():
    surface = Surface.of(np.eye(3), np.full(3, 0.5))
    assert surface.explained == 0
    assert surface.predicted(np.eye(3)) == pytest.approx([0.5] * 3)


def test_probes_at_once_are_those_one_by_one():
    pool = documents(40, 4)
    rows, codes = pool.vectors.unit().matrix(), np.array([LABELS.index(label) for label in pool.frame["label"]])
    shares = np.random.default_rng(0).dirichlet(np.ones(40), 3).T
    shares[codes == 1, 2] = 0  # the last is shown no b
    shares /= shares.sum(axis=0)
    together_ = probe.fit_many(rows, codes, shares, 3, c=10.0)
    for number, fitted in enumerate(together_):
        used = shares[:, number] > 0
        alone = probe.fit(rows[used], codes[used], shares[used, number], 3, c=10.0)
        assert fitted.probabilities(rows) == pytest.approx(alone.probabilities(rows), abs=1e-5)
    assert together_[2].intercept[1] == -np.inf
    with pytest.raises(ValueError, match="two labels, not of 1"):
        probe.fit_many(rows, np.zeros(40, np.int64), shares, 3)


def test_gains_against_scikit_learn_and_a_bootstrap_by_hand():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 40)
    losses = rng.random((3, 40)), rng.random((3, 40)) - 0.2
    said = [np.where(rng.random((3, 40)) < right, truth, rng.integers(0, 3, (3, 40))) for right in (0.4, 0.8)]
    loss, f1 = gains(losses, (said[0], said[1]), truth, 0)
    assert loss.value == pytest.approx((losses[0] - losses[1]).mean(), abs=1e-6)
    scores = [np.mean([probe.macro_f1(truth, codes) for codes in way]) for way in said]
    assert f1.value == pytest.approx(scores[1] - scores[0], abs=1e-6)
    by_hand = []
    for _ in range(300):
        draws, judges = rng.integers(0, 3, 3), rng.integers(0, 40, 40)
        ways = [np.mean([probe.macro_f1(truth[judges], way[draw][judges]) for draw in draws]) for way in said]
        by_hand.append(((losses[0] - losses[1])[np.ix_(draws, judges)].mean(), ways[1] - ways[0]))
    low, high = np.quantile(np.array(by_hand), [0.025, 0.975], axis=0)
    assert (loss.low, loss.high) == pytest.approx((low[0], high[0]), abs=0.03)
    assert (f1.low, f1.high) == pytest.approx((low[1], high[1]), abs=0.06)


def test_the_panel_lets_nobody_judge_what_taught_it():
    target, dev = (labelled("f", "r", documents(n, n, name=name)) for n, name in ((13, "t"), (9, "d")))
    panel = Panel.of(target, dev.take(np.zeros(9, bool)), 5, 0)
    assert sorted(panel.judges.keys["id"]) == sorted(target.keys["id"])
    for key, by in zip(panel.judges.keys["id"], panel.judged_by, strict=True):
        assert key not in target.keys["id"].filter(panel.teaches[by])
    with_dev = Panel.of(target, dev, 5, 0)
    assert with_dev.teaches.all()
    assert with_dev.judges.keys.equals(dev.keys)
    assert set(with_dev.folds) == {0, 1, 2}  # three of each label
    one = panel.only(2)
    assert set(one.folds) == {2}
    assert len(one.teaches) == 1


# The whole


def test_planted_sources_get_their_shares_and_are_believed():
    found = mixed(documents(12, 1, name="t"), documents(60, 2, name="d"), planted(100, 3), min_dev=0)
    assert found["group"].to_list() == ["good", "irrelevant", "shuffled"]
    shares = dict(found.select("group", "share").iter_rows())
    assert found["better"].all()
    assert shares["good"] > 0.9
    assert found["share"].to_list() == found["found"].to_list()
    assert found["prior"].to_list() == pytest.approx([1 / 3] * 3)
    assert found["loss_low"][0] > 0
    assert found["judges"][0] == 60
    assert found["reason"][0].startswith("better than proportional: log loss lower by 0.")


def test_shares_are_within_what_a_group_has():
    pool = planted(100, 3)
    few = pool.take(np.flatnonzero((pool.frame["source"] != "good") | (pool.frame["id"] < "c0012")))
    for repeats in (1, 2):
        found = mixed(documents(12, 1, name="t"), documents(60, 2, name="d"), few, max_repeats=repeats, min_dev=0)
        share = found.filter(pl.col("group") == "good")["found"][0]
        assert 0.9 * repeats * 12 / 60 < share <= repeats * 12 / 60 + 1e-9
        assert found["found"].sum() == pytest.approx(1, abs=1e-5)


def test_a_penalty_keeps_it_at_the_prior():
    found = mixed(documents(12, 1, name="t"), documents(60, 2, name="d"), planted(100, 3), penalty=1e6, min_dev=0)
    assert np.abs(found["found"] - found["prior"]).max() < 0.1


@pytest.mark.parametrize("kind", ["equal", "labels of dev dealt out anew"])
def test_no_better_than_proportional(kind):
    believed = 0
    for seed in range(12):
        dev = documents(45, 50 + seed, name="d")
        if kind == "equal":
            pool = together(*(documents(60, 90 * seed + i, f"s{i}") for i in range(3)))
        else:
            pool = planted(60, seed)
            labels = np.random.default_rng(seed).permutation(dev.frame["label"].to_numpy())
            dev = dev.with_frame(dev.frame.with_columns(pl.Series("label", labels)))
        # Where dev's labels are chance, bad labels do lower log loss: they make a probe timid.
        confirm = "loss" if kind == "equal" else "macro_f1"
        found = mixed(documents(12, seed, name="t"), dev, pool, seed=seed, min_dev=0, confirm=confirm)
        believed += bool(found["better"][0])
        if not found["better"][0]:
            assert found["share"].to_list() == found["prior"].to_list()
            assert found["reason"][0].startswith("no better than proportional: ")
    assert believed <= 2


def test_small_dev_joins_the_target():
    target, dev, pool = documents(12, 1, name="t"), documents(6, 2, name="d"), planted(60, 3)
    found = mixed(target, dev, pool, min_dev=7)
    assert found["judges"][0] == 18
    assert mixed(target, dev, pool, min_dev=6)["judges"][0] == 6
    assert found["found"][0] > 0.5


def test_the_order_of_rows_changes_nothing():
    target, dev, pool = documents(12, 1, name="t"), documents(30, 2, name="d"), planted(50, 3)
    first = mixed(target, dev, pool)
    rng = np.random.default_rng(0)
    again = mixed(*(part.take(rng.permutation(len(part))) for part in (target, dev, pool)))
    assert first.equals(again)
    assert not first.equals(mixed(target, dev, pool, seed=1))


def test_zero_vectors_other_labels_and_none_are_of_no_group():
    target, dev, pool = documents(12, 1, name="t"), documents(30, 2, name="d"), planted(50, 3)
    odd = relation(np.vstack([np.zeros((2, 10)), np.eye(2, 10)]), ["a", "b", None, "z"], "good", "odd")
    more = type(pool)(pl.concat([pool.frame, odd.frame]), Vectors.concat([pool.vectors, odd.vectors]))
    assert mixed(target, dev, more).equals(mixed(target, dev, pool))


def test_in_sql():
    pool = planted(40, 3)
    tables = {"target": documents(12, 1, name="t"), "dev": documents(30, 2, name="d"), "pool": pool}
    sql = """
        SELECT * FROM mixture(
            'target', 'dev', 'pool', (SELECT corpus, id, source AS "group" FROM pool),
            budget := 60, sample := 40, trials := 24, draws := 2
        ) ORDER BY "group"
    """
    got = pl.DataFrame(rewrite(SESSION, sql, {}, Tools(tables, FUNCTIONS)).fetch())
    assert got.equals(mixed(tables["target"], tables["dev"], pool))
    with pytest.raises(QueryError, match="memory"):
        rewrite(SESSION, sql.replace("draws := 2", "memory := 2"), {}, Tools(tables, FUNCTIONS)).fetch()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"budget": 0}, "budget is 0"), ({"sample": 0}, "sample is 0"), ({"trials": 7}, "trials is 7"),
        ({"max_repeats": 0}, "max_repeats is 0"), ({"draws": 1}, "draws is 1"), ({"folds": 1}, "folds is 1"),
        ({"min_dev": -1}, "min_dev is -1"), ({"penalty": -1.0}, "penalty is -1.0"), ({"c": 0.0}, "c is 0.0"),
        ({"confirm": "f2"}, "confirm is 'f2'; it must be loss or macro_f1"), ({"seed": -1}, "seed is -1"),
    ],
)  # fmt: skip
def test_parameters_out_of_range(parameters, message):
    some = documents(6, 0)
    with pytest.raises(QueryError, match=f"mixture: {message}"):
        mixed(some, some, some, **parameters)


def test_groups_that_do_not_serve():
    some = documents(60, 0)
    with pytest.raises(QueryError, match="mixture: no column 'group' in the groups; there are: corpus, id"):
        mixture(some, some, some, some)
    with pytest.raises(QueryError, match="60 groups; a search among more than 50 finds chance"):
        mixed(some, some, some, by="id")
    with pytest.raises(QueryError, match="must name each document of the candidates, and each once"):
        mixture(some, some, some, grouped(some.take(range(59))))
    twice = grouped(some.take([*range(60), 3]))
    with pytest.raises(QueryError, match="and each once"):
        mixture(some, some, some, twice)


# The evidence


def test_a_rerun_trains_nothing_and_a_new_source_what_is_new(tmp_path):
    target, dev = documents(12, 1, name="t"), documents(30, 2, name="d")
    pool = together(*(documents(40, 10 + i, f"s{i}", noise=0.2 * (i + 1)) for i in range(5)))
    old = pool.take(np.flatnonzero(pool.frame["source"] != "s2"))
    first = Trials(tmp_path)
    before = mixed(target, dev, old, memory=first, min_dev=0)
    assert first.fitted > 20
    again = Trials(tmp_path)
    assert mixed(target, dev, old, memory=again, min_dev=0).equals(before)
    assert again.fitted == 0
    alone, added = Trials(), Trials(tmp_path)
    plain = mixed(target, dev, pool, memory=alone, min_dev=0)
    assert mixed(target, dev, pool, memory=added, min_dev=0).equals(plain)
    assert alone.evidence == added.evidence
    counts = [trial["documents"] for trial in added.evidence[0]["trials"]]
    assert {sum(trial) for trial in counts} == {27, 40}  # one group alone has 40 of the 60 of the budget
    without = sum(trial[2] == 0 for trial in counts)
    assert alone.fitted - added.fitted == without > 5


def test_damaged_trials_are_trained_again(tmp_path):
    kept = Trials(tmp_path)
    kept.put("p", "k", Judged(np.array([0.25]), np.array([1])))
    kept.save()
    assert Trials(tmp_path).get("p", "k").losses == [0.25]
    assert Trials(tmp_path).get("p", "other") is None
    path = tmp_path / "p.json"
    path.write_text(path.read_text().replace("0.25", "0.35"))
    assert Trials(tmp_path).get("p", "k") is None


def test_another_label_weight_vector_or_c_is_another_trial(tmp_path):
    target, dev, pool = documents(12, 1, name="t"), documents(30, 2, name="d"), planted(20, 3)
    parameters = {"trials": 8, "sample": 60, "min_dev": 0}
    memory = Trials()
    mixed(target, dev, pool, memory=memory, **parameters)
    frame = pool.frame
    flipped = pool.with_frame(frame.with_columns(label=pl.lit("a")))
    heavier = pool.with_frame(frame.with_columns(weight=pl.int_range(1, len(frame) + 1).cast(pl.Float64)))
    turned = Vectors.of(np.roll(pool.vectors.matrix(), 1, axis=1))
    for changed, more in ((flipped, {}), (heavier, {}), (type(pool)(frame, turned), {}), (pool, {"c": 3.0})):
        known = memory.fitted
        fresh = Trials()
        assert mixed(target, dev, changed, memory=memory, **parameters, **more).equals(
            mixed(target, dev, changed, memory=fresh, **parameters, **more)
        )
        assert memory.fitted - known == fresh.fitted


def test_a_fold_is_judged_by_what_the_others_found(monkeypatch):
    seen, of = [], Surface.of
    monkeypatch.setattr(searching.Surface, "of", lambda ratios, losses: seen.append(losses) or of(ratios, losses))
    mixed(documents(12, 1, name="t"), documents(12, 2, name="d"), planted(30, 3), folds=3, min_dev=0)
    sizes = np.array([6, 3, 3])  # two of the four documents of each label are in the first
    assert sum((12 - size) * losses for size, losses in zip(sizes, seen[1:], strict=True)) == pytest.approx(
        24 * seen[0]
    )


def test_documents_beyond_a_group_count_again():
    choices = searching.Settings(150, 150, 8, 2, 0.01, "loss", 2, 1.0, 2, 0, 0)
    pool = planted(30, 3)
    prepared = importlib.import_module("curator.functions.mixture").prepared
    _, mixing = prepared(documents(6, 1), documents(6, 2), pool, grouped(pool), choices, Trials())
    rows, weights = mixing._chosen(np.array([40, 30, 5]), "x")
    assert len(rows) == len(set(rows.tolist())) == 65
    assert weights.tolist() == [2.0] * 10 + [1.0] * 55
