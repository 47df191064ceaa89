"""TSDS against the transport problem solved as a linear program, and the stage's draws against their definition."""

import hashlib
import importlib
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from curator.errors import CuratorWarning, QueryError
from curator.functions import tsds
from curator.relation import Relation
from curator.session import Session, sql_folder
from curator.stages import Stage, run
from curator.vectors import Vectors

MODULE = importlib.import_module("curator.functions.tsds")  # the package has the function by that name
SESSION = Session()
STAGE = Stage.load("tsds", sql_folder())


@pytest.fixture(autouse=True)
def short_lists(monkeypatch):
    """A few candidates are longer than a list."""
    monkeypatch.setattr("curator.functions._transport.SHORTEST", 2)


def relation(name, matrix, labels=None):
    ids = [f"{name}{i:04}" for i in range(len(matrix))]
    labels = ["a"] * len(matrix) if labels is None else labels
    frame = pl.DataFrame({"corpus": name, "id": ids, "label": labels, "weight": 1.0, "text": ids})
    return Relation(frame, Vectors.of(np.asarray(matrix, np.float32)))


def directions(n, dimension, seed, mean=None):
    rows = np.random.default_rng(seed).normal(size=(n, dimension)) + (0 if mean is None else mean)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def with_copies(n, seed):
    """Candidates of which some are copies of others, and some nearly."""
    rows, rng = directions(n, 3, seed), np.random.default_rng(seed)
    for i in range(1, n):
        if rng.random() < 0.3:
            rows[i] = rows[rng.integers(i)]
        elif rng.random() < 0.3:
            rows[i] = rows[rng.integers(i)] + 0.2 * rng.normal(size=3)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def problem(target, candidates, near_duplicate):
    """Distances (M, N) in units of their mean, and densities (N,), from all pairs in double precision."""
    x, y = (np.asarray(side, np.float32).astype(np.float64) for side in (target, candidates))
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
    distances = 1 - x @ y.T
    densities = np.ones(len(y))
    if near_duplicate < 1:
        densities = np.clip((y @ y.T - near_duplicate) / (1 - near_duplicate), 0, None).sum(axis=1)
    return distances / distances.mean(), densities


def optimum(distances, densities, alpha, c=5.0, *, papers=False):
    """The least objective by linear programming over γ (M·N) and u, the bound of M ρ γ, or of its absolute value."""
    m, n = distances.shape
    cost = np.append(alpha / c * distances.ravel(), 1 - alpha)
    share = 1 / (1 / densities).sum() if papers else 0.0
    above = np.hstack([np.diag(np.tile(m * densities, m)), -np.ones((m * n, 1))])
    limits, bounds = [above], [np.full(m * n, share)]
    if papers:
        limits.append(np.hstack([-np.diag(np.tile(m * densities, m)), -np.ones((m * n, 1))]))
        bounds.append(np.full(m * n, -share))
    rows = np.hstack([np.kron(np.eye(m), np.ones(n)), np.zeros((m, 1))])
    found = linprog(cost, np.vstack(limits), np.concatenate(bounds), rows, np.full(m, 1 / m), method="highs")
    assert found.success, found.message
    return found.fun


def planned(target, candidates, **parameters):
    """The plan as a frame and as γ (M, N)."""
    left, right = relation("t", target), relation("c", candidates)
    plan = pl.DataFrame(tsds(left, right, **parameters))
    gamma = np.zeros((len(target), len(candidates)))
    for partner, row, mass in plan.select("partner_id", "id", "mass").iter_rows():
        gamma[int(partner[1:]), int(row[1:])] += mass
    return plan, gamma


def objective(gamma, distances, densities, alpha, c=5.0):
    return alpha / c * (gamma * distances).sum() + (1 - alpha) * len(gamma) * (gamma * densities).max()


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    m=st.integers(1, 5), n=st.integers(1, 14), seed=st.integers(0, 10_000),
    alpha=st.sampled_from([0.05, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0]), near_duplicate=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
)  # fmt: skip
def test_no_plan_is_better(m, n, seed, alpha, near_duplicate):
    target, candidates = directions(m, 3, seed + 1), with_copies(n, seed)
    distances, densities = problem(target, candidates, near_duplicate)
    plan, gamma = planned(target, candidates, alpha=alpha, near_duplicate=near_duplicate)
    np.testing.assert_allclose(gamma.sum(axis=1), 1 / m, atol=1e-12)
    assert (plan["mass"] > 0).all()
    found = objective(gamma, distances, densities, alpha)
    assert found == pytest.approx(optimum(distances, densities, alpha), abs=1e-6)
    used = 1 / (m * (gamma * densities).max())  # of the sum of 1/density
    total = (1 / densities).sum()
    if used <= total / 2:
        papers = optimum(distances, densities, alpha, papers=True)
        assert found - (1 - alpha) / total == pytest.approx(papers, abs=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    m=st.integers(1, 4), n=st.integers(1, 14), seed=st.integers(0, 10_000), support=st.integers(1, 16),
    near_duplicate=st.sampled_from([0.5, 1.0]),
)  # fmt: skip
def test_support_is_the_solution_of_a_smaller_alpha(m, n, seed, support, near_duplicate):
    target, candidates = directions(m, 3, seed + 1), with_copies(n, seed)
    distances, densities = problem(target, candidates, near_duplicate)
    plan, gamma = planned(target, candidates, alpha=0.9, near_duplicate=near_duplicate, support=support)
    assert plan["id"].n_unique() >= min(support, n)
    _, less = planned(target, candidates, alpha=0.9, near_duplicate=near_duplicate)
    if (less.sum(axis=0) > 0).sum() >= min(support, n):
        np.testing.assert_allclose(gamma, less, atol=1e-9)
        return
    # No plan under that bound of M ρ γ has a smaller cost, and no smaller sum of 1/density at which a place ends does.
    bound = m * (gamma * densities).max()
    rows = np.kron(np.eye(m), np.ones(n))
    cap = np.tile(bound * (1 + 1e-9) / (m * densities), m)
    best = linprog(distances.ravel(), A_eq=rows, b_eq=np.full(m, 1 / m), bounds=np.stack([0 * cap, cap], axis=1))
    assert (gamma * distances).sum() == pytest.approx(best.fun, abs=1e-6)
    orders = [sorted(range(n), key=lambda j: (round(row[j], 6), j)) for row in distances]
    sums = [np.cumsum(1 / densities[order]) for order in orders]
    shorter = [upto for upto in np.concatenate(sums) if upto < (1 - 1e-5) / bound]
    used = {
        j
        for order, upto in zip(orders, sums, strict=True)
        for j, start in zip(order, [0, *upto[:-1]], strict=True)
        if start < (1 - 1e-5) * max(shorter, default=0)
    }
    assert len(used) < min(support, n)


def test_each_label_is_a_problem_of_its_own():
    target, labels = directions(6, 4, 1), ["a", "b", "b", "b", "a", None]
    candidates, theirs = directions(40, 4, 2), ["a", "b", None, "c"] * 10
    with pytest.warns(CuratorWarning, match="1 of 6 target documents have no candidate of their label"):
        plan = pl.DataFrame(tsds(relation("t", target, labels), relation("c", candidates, theirs), alpha=0.9))
    parts = []
    for label, share in (("a", 2 / 5), ("b", 3 / 5)):
        sides = [
            table.take(np.flatnonzero((table.frame["label"] == label).fill_null(value=False)))
            for table in (relation("t", target, labels), relation("c", candidates, theirs))
        ]
        parts.append(pl.DataFrame(tsds(*sides, alpha=0.9)).with_columns(pl.col("mass") * share))
    expected = pl.concat(parts).sort("partner_id", maintain_order=True)
    assert plan.drop("mass").equals(expected.drop("mass"))
    np.testing.assert_allclose(plan["mass"], expected["mass"], rtol=1e-12)
    assert plan["mass"].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("asked", "wanted"), [(1, [1, 1]), (6, [2, 4]), (10, [3, 7]), (20, [3, 17]), (40, [3, 30]), (99, [3, 30])]
)
def test_support_is_shared_out_as_far_as_labels_have_candidates(asked, wanted):
    assert MODULE._supports([(np.arange(3), np.arange(3)), (np.arange(6), np.arange(30))], asked) == wanted
    target, labels = directions(9, 4, 4), ["a", "b", "b"] * 3
    candidates, theirs = directions(33, 4, 5), ["a"] * 3 + ["b"] * 30
    plan = pl.DataFrame(
        tsds(relation("t", target, labels), relation("c", candidates, theirs), alpha=1.0, support=asked)
    )
    used = [
        plan.filter(pl.col("id").is_in([f"c{i:04}" for i in rows]))["id"].n_unique()
        for rows in (range(3), range(3, 33))
    ]
    assert all(mine >= least for mine, least in zip(used, wanted, strict=True))


def test_copies_share_and_the_scale_of_an_encoder_does_not_matter():
    """Cosines all pushed towards 1 by a component that all vectors have in common give the same plan."""
    target, candidates = directions(4, 5, 6), directions(60, 5, 7)
    _, gamma = planned(target, candidates, near_duplicate=1.0)
    pushed = [np.hstack([side, np.full((len(side), 1), 3.0)]) for side in (target, candidates)]
    again, other = planned(*pushed, near_duplicate=1.0)
    assert again["similarity"].min() > 0.8
    np.testing.assert_allclose(other, gamma, atol=1e-9)
    doubled, both = planned(target, np.concatenate([candidates, candidates]), near_duplicate=0.999)
    np.testing.assert_allclose(both[:, :60] + both[:, 60:], gamma, atol=1e-5)
    np.testing.assert_allclose(both[:, :60], both[:, 60:], atol=1e-5)
    np.testing.assert_allclose(doubled["density"], 2, atol=1e-3)


def test_the_order_of_the_rows_changes_nothing():
    target, candidates = relation("t", directions(7, 4, 8)), relation("c", with_copies(50, 9)[:, [0, 1, 2, 2]])
    plan = pl.DataFrame(tsds(target, candidates, near_duplicate=0.8, support=9))
    shuffled = [side.take(np.random.default_rng(1).permutation(len(side))) for side in (target, candidates)]
    assert pl.DataFrame(tsds(*shuffled, near_duplicate=0.8, support=9)).equals(plan)
    assert plan.equals(plan.sort("partner_id", -pl.col("similarity"), "id"))


def test_vectors_of_zeros_and_empty_relations():
    target, candidates = directions(3, 4, 10), directions(5, 4, 11)
    target[1] = candidates[2] = 0
    with (
        pytest.warns(CuratorWarning, match="target have a vector of zeros"),
        pytest.warns(CuratorWarning, match="candidates have a vector of zeros"),
    ):
        plan, _ = planned(target, candidates, alpha=0.01)
    assert set(plan["partner_id"]) == {"t0000", "t0002"}
    assert set(plan["id"]) == {"c0000", "c0001", "c0003", "c0004"}
    assert plan["mass"].sum() == pytest.approx(1)
    empty = relation("t", target[:0].reshape(0, 4))
    columns = ["partner_corpus", "partner_id", "corpus", "id", "similarity", "density", "mass"]
    for sides in ((empty, relation("c", candidates[:2])), (relation("t", target[:1]), empty), (empty, empty)):
        found = tsds(*sides)
        assert (found.num_rows, found.column_names) == (0, columns)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0.0}, "alpha is 0.0; a number above 0, at most 1"), ({"alpha": 1.5}, "alpha is 1.5"),
        ({"alpha": math.nan}, "alpha is nan"), ({"near_duplicate": -0.1}, "near_duplicate is -0.1; a cosine, 0 to 1"),
        ({"near_duplicate": 1.1}, "near_duplicate is 1.1"), ({"support": 0}, "support is 0"),
        ({"same_label": None}, "same_label is None"), ({"max_pairs": -1}, "max_pairs is -1"),
        ({"max_pairs": 39}, r"\d+ pairs of vectors would be compared, which takes about .* max_pairs is 39"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_parameters_are_refused(arguments, message):
    with pytest.raises(QueryError, match=f"^tsds: .*{message}"):
        planned(directions(3, 4, 12), directions(20, 4, 13), **{"alpha": 1.0} | arguments)


def test_what_fits_in_max_pairs_is_compared_and_uniform_compares_nothing():
    target, candidates = directions(1, 4, 12), directions(20, 4, 13)
    planned(target, candidates, alpha=1.0, max_pairs=40)  # one target document, two candidates in its list, 20 each
    planned(target, candidates, alpha=0.1, near_duplicate=1.0, max_pairs=0)
    with pytest.raises(QueryError, match="80 pairs"):  # a list of four more, of which the first were known
        planned(target, candidates, alpha=1.0, support=3, max_pairs=79)


def test_plans_beyond_memory_are_refused(monkeypatch):
    monkeypatch.setattr("curator.functions._transport.HELD", 60)
    planned(directions(3, 4, 14), directions(20, 4, 15), alpha=0.01)  # all pairs
    monkeypatch.setattr("curator.functions._transport.HELD", 59)
    with pytest.raises(QueryError, match=r"lists of \d+ pairs of a target document and a candidate .* 59 are the most"):
        planned(directions(3, 4, 14), directions(20, 4, 15), alpha=0.01)


def verdicts(target, candidates, **parameters):
    tables = {"target": relation("t", target), "candidates": relation("c", candidates)}
    return run(STAGE, STAGE.bind(parameters, seed=parameters.pop("seed", 0)), tables, SESSION).frame


def uniform(key):
    """A number of the last eight bytes of an MD5, worked out in Python."""
    return (int.from_bytes(hashlib.md5(key.encode()).digest()[8:], "little") + 0.5) / 2**64


def test_the_sample_without_replacement_is_gumbels():
    target, candidates = directions(5, 4, 16), with_copies(80, 17)[:, [0, 1, 2, 2]]
    found = verdicts(target, candidates, budget=12, alpha=0.5, near_duplicate=0.8)
    _, gamma = planned(target, candidates, alpha=0.5, near_duplicate=0.8, support=12)
    share = gamma.sum(axis=0)
    place = {
        i: math.log(share[i]) - math.log(-math.log(uniform(f"0:c:c{i:04}"))) for i in np.flatnonzero(share).tolist()
    }
    best = sorted(place, key=lambda i: -place[i])
    assert len(best) > 20
    kept = {int(row[1:]) for row in found.filter("keep")["id"]}
    assert kept == set(best[:12])
    assert found.filter("keep")["rank"].sort().to_list() == list(range(1, 13))
    np.testing.assert_allclose(found["threshold"][best[0]], place[best[11]], atol=1e-6)
    assert found.filter(pl.col("rule") == "no mass").height == 80 - len(best)


def test_a_budget_beyond_the_support_is_reached():
    target, candidates = directions(2, 4, 18), directions(60, 4, 19)
    assert verdicts(target, candidates, alpha=1.0)["keep"].sum() == 2
    for budget in (1, 7, 33, 60):
        assert verdicts(target, candidates, alpha=1.0, budget=budget)["keep"].sum() == budget
    assert verdicts(target, candidates, alpha=1.0, budget=61)["keep"].sum() == 60


def test_draws_with_replacement_are_multinomial():
    target, candidates = directions(5, 4, 20), directions(40, 4, 21)
    found = verdicts(target, candidates, budget=5_000, alpha=0.7, replacement=True)
    share = planned(target, candidates, alpha=0.7)[1].sum(axis=0)
    upto = np.cumsum(share)
    draws = [int(np.searchsorted(upto, uniform(f"0:draw:{n}") * upto[-1])) for n in range(5_000)]
    times = np.bincount(draws, minlength=40)
    assert found["weight"].fill_null(0).to_list() == times.tolist()
    assert found["keep"].to_list() == (times > 0).tolist()
    assert np.abs(times / 5_000 - share).max() < 4 * math.sqrt(0.25 / 5_000)
    with pytest.raises(QueryError, match="replacement needs a budget"):
        verdicts(target, candidates, replacement=True)


def test_another_seed_draws_another_sample():
    target, candidates = directions(5, 4, 22), directions(200, 4, 23)
    kept = [
        frozenset(verdicts(target, candidates, budget=10, alpha=0.3, seed=seed, replacement=again).filter("keep")["id"])
        for seed in (0, 0, 1)
        for again in (False, True)
    ]
    assert kept[:2] == kept[2:4]
    assert len(set(kept)) == 4


def test_the_stage_says_what_reaches_a_document_and_what_has_no_direction():
    target, candidates = directions(3, 4, 24), directions(30, 4, 25)
    candidates[4] = 0
    with pytest.warns(CuratorWarning, match="vector of zeros"):
        found = verdicts(target, candidates, alpha=0.9, budget=8)
    assert found["reason"][4] == "its vector has no direction"
    assert found.row(4)[4:8] == (None, None, None, None)
    out = found.filter((pl.col("rule") == "no mass") & pl.col("score").is_not_null())
    cosines = target.astype(np.float32) @ candidates.astype(np.float32).T
    for row in out.iter_rows(named=True):
        mine = cosines[:, int(row["id"][1:])]
        assert row["partner_id"] == f"t{mine.argmax():04}"
        assert row["score"] == pytest.approx(mine.max(), abs=1e-6)
        assert row["score"] <= row["threshold"]
