"""TSDS against the transport problem solved as a linear program, and the stage's draws against their definition."""

import hashlib
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
