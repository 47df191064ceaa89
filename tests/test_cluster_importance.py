"""The stage cluster_importance against its formula over clusters counted in NumPy, and on a block that is hidden."""

import hashlib
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.functions import clusters
from curator.relation import Relation
from curator.session import Session, sql_folder
from curator.stages import Stage, run
from curator.vectors import Vectors

SESSION = Session()
STAGE = Stage.load("cluster_importance", sql_folder())


def relation(name, matrix):
    ids = [f"{name}{i:04}" for i in range(len(matrix))]
    frame = pl.DataFrame({"corpus": name, "id": ids}, schema={"corpus": pl.String, "id": pl.String})
    return Relation(frame, Vectors.of(np.asarray(matrix, np.float32), unit=True))


def directions(n, dimension, seed, mean=None):
    rows = np.random.default_rng(seed).normal(size=(n, dimension)) + (0 if mean is None else mean)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def verdicts(candidates, target, **parameters):
    return run(STAGE, STAGE.bind(parameters, seed=0), {"candidates": candidates, "target": target}, SESSION).frame


def weights(candidates, target, k, smoothing, seed):
    """(n,) log weights, by counting in each cluster; a target document is in that of the nearest mean direction."""
    cluster = np.array(pl.DataFrame(clusters(candidates, k, seed=seed))["cluster"])
    rows, found = candidates.vectors.matrix().astype(np.float64), np.unique(cluster)
    means = np.stack([rows[cluster == one].sum(axis=0) for one in found])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    wanted = np.bincount(np.argmax(target.vectors.matrix().astype(np.float64) @ means.T, axis=1), minlength=len(found))
    share = np.array([(cluster == one).mean() for one in found])
    ratios = np.log((wanted + smoothing * share) / (wanted.sum() + smoothing)) - np.log(share)
    return ratios[np.searchsorted(found, cluster)]


def noise(seed, row):
    """Gumbel noise of the last eight bytes of an MD5, worked out in Python."""
    digest = hashlib.md5(f"{seed}:{row['corpus']}:{row['id']}".encode()).digest()
    return -math.log(-math.log((int.from_bytes(digest[8:], "little") + 0.5) / 2**64))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    n=st.integers(12, 60), t=st.integers(1, 12), k=st.sampled_from([1, 3, 8]), smoothing=st.sampled_from([0.1, 10.0]),
    seed=st.integers(0, 3), order=st.sampled_from(["score", "sampled"]), budget=st.integers(1, 20),
)  # fmt: skip
def test_the_weights_are_those_of_counted_clusters(n, t, k, smoothing, seed, order, budget):
    candidates, target = relation("c", directions(n, 4, seed)), relation("t", directions(t, 4, 99, mean=[1, 0, 0, 0]))
    found = verdicts(
        candidates, target, k=k, smoothing=smoothing, seed=seed, order=order, budget=budget, min_score=-50.0
    )
    log_weight = weights(candidates, target, k, smoothing, seed)
    drawn = np.array([noise(seed, row) for row in candidates.frame.to_dicts()])
    place = log_weight + (drawn if order == "sampled" else 0)
    np.testing.assert_allclose(found["score"], place, atol=1e-9)
    best = sorted(range(n), key=lambda i: (-round(place[i], 9), -drawn[i]))
    assert found["rank"].to_list() == [best.index(i) + 1 for i in range(n)]
    assert found["keep"].to_list() == [best.index(i) < budget for i in range(n)]
    assert set(np.round(found["threshold"], 9)) == {round(place[best[min(budget, n) - 1]], 9)}


def test_min_score_is_of_the_weight_not_of_the_draw():
    candidates, target = relation("c", directions(200, 4, 1)), relation("t", directions(30, 4, 2, mean=[2, 0, 0, 0]))
    found = verdicts(candidates, target, min_score=0.0, order="sampled")
    log_weight = weights(candidates, target, math.isqrt(200), 10.0, 0)
    assert found["keep"].to_list() == (log_weight >= 0).tolist()
    assert 0 < found["keep"].sum() < 200


def test_a_hidden_block_is_found():
    mean = 3 * np.eye(16)[0]
    pool = np.concatenate([directions(1000, 16, 3), directions(100, 16, 4, mean=mean)])
    found = verdicts(relation("c", pool), relation("t", directions(30, 16, 5, mean=mean)), budget=100)
    assert found["keep"][1000:].sum() > 40  # 9 would be by chance
    drawn = verdicts(relation("c", pool), relation("t", directions(30, 16, 5, mean=mean)), budget=100, order="sampled")
    assert 20 < drawn["keep"][1000:].sum() < found["keep"][1000:].sum()


def test_of_a_cluster_that_does_not_fit_the_seed_draws():
    candidates, target = relation("c", directions(100, 4, 6)), relation("t", directions(5, 4, 7))
    kept = [set(verdicts(candidates, target, k=1, seed=seed, budget=50).filter("keep")["id"]) for seed in (0, 0, 1)]
    assert kept[0] == kept[1] != kept[2]
    assert 10 < len(kept[0] & {f"c{i:04}" for i in range(50)}) < 40  # not the first ones


def test_a_vector_of_zeros_is_in_no_cluster():
    rows = directions(20, 4, 8)
    rows[3] = 0
    with pytest.warns(match="vector of zeros"):
        found = verdicts(
            Relation(relation("c", rows).frame, Vectors.of(rows.astype(np.float32))), relation("t", rows[:2])
        )
    assert found["keep"].to_list() == [i != 3 for i in range(20)]
    assert found["reason"][3] == "its vector has no direction"
