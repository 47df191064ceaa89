"""Clusters against brute force in double precision and scikit-learn; trees by their definition."""

import importlib
import itertools

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from curator.neighbours import Clusters, ClusterTree, cluster_tree, kmeans
from curator.vectors import Vectors

module = importlib.import_module("curator.neighbours.kmeans")  # the package has the function by this name


def unit(rows) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def uniform(n: int, d: int = 16, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(n, d)))


def planted(k: int, seed: int, d: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Rows within some degrees of k random directions, 10 to 60 of each, and which."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat(np.arange(k), rng.integers(10, 60, size=k)))
    return unit(uniform(k, d, seed)[label] + 0.03 * rng.normal(size=(len(label), d))), label


def shards(rows: np.ndarray, size: int) -> Vectors:
    """As the store has them: half floats in several arrays."""
    parts = [rows[start : start + size].astype(np.float16) for start in range(0, len(rows), size)]
    array = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    return Vectors(parts, array, np.concatenate([np.arange(len(part)) for part in parts]), unit=True)


def brute_force(vectors: Vectors, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest centroid of the largest cosine, and that, in double precision."""
    rows = vectors.matrix().astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = (rows / np.where(lengths > 0, lengths, 1)) @ centroids.astype(np.float64).T
    best = np.array([np.flatnonzero(row >= row.max() - 1e-12)[0] for row in cosines])
    return best, cosines[np.arange(len(rows)), best]


def check(vectors: Vectors, found: Clusters) -> None:
    """What holds for any clustering."""
    nearest, cosine = brute_force(vectors, found.centroids)
    zero = ~vectors.matrix().any(axis=1)
    np.testing.assert_array_equal(found.assignment, np.where(zero, -1, nearest))
    np.testing.assert_allclose(found.similarity, np.where(zero, 0, cosine), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1, atol=1e-6)
    assert set(found.assignment[~zero].tolist()) == set(range(len(found)))
    assert found.objective == pytest.approx(cosine[~zero].mean(), abs=1e-6)
    assert (found.centroids.dtype, found.assignment.dtype, found.similarity.dtype) == (np.float32, np.int32, np.float32)


@pytest.mark.parametrize("k", [1, 2, 7, 60])
@pytest.mark.parametrize("block", [17, 16_384])
@pytest.mark.parametrize("store", ["whole", "shards of half floats", "other lengths, and zeros"])
def test_every_row_is_with_its_nearest_centroid(k, block, store, monkeypatch):
    monkeypatch.setattr(module, "QUERY_BLOCK", block)
    rows = uniform(400, seed=k)
    vectors = Vectors.of(rows, unit=True) if store == "whole" else shards(rows, 90)
    if store.startswith("other"):
        rows = rows * np.random.default_rng(k).uniform(0.01, 50, size=(400, 1))
        rows[::9] = 0
        vectors = Vectors.of(rows)
    found = kmeans(vectors, k, seed=3)
    assert len(found) == k
    check(vectors, found)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    angles=st.lists(st.integers(0, 23), min_size=1, max_size=40),
    zeros=st.integers(0, 3),
    k=st.integers(1, 12),
    seed=st.integers(0, 3),
)
def test_few_directions_and_many_repeats(angles, zeros, k, seed):
    radians = np.deg2rad(15 * np.array(angles, float))
    rows = np.concatenate([np.zeros((zeros, 2)), np.stack([np.cos(radians), np.sin(radians)], axis=1)])
    vectors = Vectors.of(rows)
    if k > len(angles):
        with pytest.raises(ValueError, match=f"k is {k}, but only {len(angles)} of {len(rows)} rows"):
            kmeans(vectors, k, seed=seed)
        return
    found = kmeans(vectors, k, seed=seed)
    check(vectors, found)
    assert len(found) == min(k, len(set(angles)))


def test_as_many_clusters_as_rows_are_the_rows():
    rows = uniform(50)
    found = kmeans(Vectors.of(rows, unit=True), 50)
    assert found.sizes.tolist() == [1] * 50
    np.testing.assert_allclose(found.similarity, 1, atol=1e-6)


def test_equal_rows_are_one_cluster():
    found = kmeans(Vectors.of(np.ones((40, 4))), 3)
    assert len(found) == 1
    assert found.objective == pytest.approx(1, abs=1e-6)


def test_of_equally_near_centroids_the_lowest_is_taken():
    square = unit([[1, 1], [1, -1], [1, 1], [1, -1], [-1, 0]])
    rows = unit([[1, 0], [5, 1], [5, -1], [-1, 0]])
    assert module.assign(Vectors.of(rows, unit=True), square)[0].tolist() == [0, 0, 1, 4]
    assert module.assign(Vectors.of(rows, unit=True), square[[1, 0, 3, 2, 4]])[0].tolist() == [0, 1, 0, 4]


def test_what_sums_in_single_precision_cannot_tell_apart_is_told_apart():
    rng = np.random.default_rng(0)
    centroids = unit(uniform(1, 384) + 1e-6 * rng.normal(size=(20, 384)))
    rows = unit(centroids.mean(axis=0) + 0.05 * rng.normal(size=(300, 384)))
    rounded = (rows.astype(np.float64) @ centroids.astype(np.float64).T).astype(np.float32)
    nearest = rounded.argmax(axis=1)  # the first of equal ones
    assert (faiss.knn(rows, centroids, 1, metric=faiss.METRIC_INNER_PRODUCT)[1][:, 0] != nearest).sum() > 3
    np.testing.assert_array_equal(module.assign(Vectors.of(rows, unit=True), centroids)[0], nearest)


@pytest.mark.parametrize("k", [3, 8])  # with more, k-means++ may miss one: it promises no best clustering
def test_planted_clusters_are_found(k):
    rows, label = planted(k, seed=k)
    for seed in range(3):
        assert adjusted_rand_score(label, kmeans(Vectors.of(rows, unit=True), k, seed=seed).assignment) == 1


def test_the_objective_is_that_of_scikit_learn():
    # Overlapping clusters of uneven size, as text has; random directions alone have no structure to find.
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(60, 48)) * rng.uniform(0.3, 1, size=(60, 1))
    rows = unit(centres[rng.zipf(1.5, size=2000) % 60] + 0.5 * rng.normal(size=(2000, 48)))
    for k in (5, 50):
        theirs = KMeans(k, n_init=2, random_state=0).fit(rows)
        cosines = (rows.astype(np.float64) @ unit(theirs.cluster_centers_).astype(np.float64).T).max(axis=1)
        ours = kmeans(Vectors.of(rows, unit=True), k)
        assert ours.objective >= cosines.mean() * 0.99


def test_a_seed_gives_the_same_bytes_and_another_others():
    vectors = Vectors.of(uniform(3000), unit=True)
    first, again, other = (kmeans(vectors, 20, seed=seed, points_per_centroid=50) for seed in (1, 1, 2))
    assert first.trained_on == 1000
    for name in ("centroids", "assignment", "similarity"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
        assert getattr(first, name).tobytes() != getattr(other, name).tobytes()


@pytest.mark.parametrize(("k", "d"), [(7, 33), (50, 384)])
def test_the_number_of_threads_changes_nothing(k, d):
    vectors, threads = Vectors.of(uniform(2500, d), unit=True), faiss.omp_get_max_threads()
    bytes_by_threads = set()
    for number in (1, 2):
        faiss.omp_set_num_threads(number)
        with threadpool_limits(number):
            found = kmeans(vectors, k)
        bytes_by_threads.add(found.centroids.tobytes() + found.assignment.tobytes() + found.similarity.tobytes())
    faiss.omp_set_num_threads(threads)
    assert len(bytes_by_threads) == 1


def test_rows_are_read_a_block_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "QUERY_BLOCK", 64)
    vectors, read = shards(uniform(5000), 700), []

    class Watched(Vectors):
        def block(self, start, stop):
            read.append(stop - start)
            return super().block(start, stop)

    watched = Watched(vectors._arrays, vectors._array, vectors._row, unit=True)
    found = kmeans(watched, 4, points_per_centroid=25)
    assert found.trained_on == 100
    assert max(read) <= 64
    assert sum(read) == 5000


def test_rank_in_a_cluster_is_by_cosine_then_position():
    found = Clusters(
        unit(np.eye(2)),
        np.array([0, 1, 0, -1, 0, 1], np.int32),
        np.array([0.5, 0.1, 0.9, 0, 0.5, 0.2], np.float32),
        1,
        6,
    )
    assert found.rank[[0, 1, 2, 4, 5]].tolist() == [2, 2, 1, 3, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: kmeans(v, 0), "must be at least 1 .* not 0, 256, 25 and 0"),
        (lambda v: kmeans(v, 2, seed=-1), "and -1$"),
        (lambda v: kmeans(v, 31), "k is 31, but only 30 of 30 rows"),
        (lambda v: kmeans(v.take([]), 1), "only 0 of 0 rows"),
        (lambda v: kmeans(Vectors.of(np.zeros((9, 3))), 1), "only 0 of 9 rows"),
        (lambda v: kmeans(Vectors.of(np.full((9, 3), np.nan)), 1), "NaN or infinity"),
        (lambda v: module.assign(Vectors.of([[np.inf, 1]]), unit(np.eye(2))), "NaN or infinity"),
        (lambda v: cluster_tree(v, ()), r"not \[\]"),
        (lambda v: cluster_tree(v, (9, 9)), r"must decrease from the lowest level up to 1, not \[9, 9\]"),
        (lambda v: cluster_tree(v, (9, 0)), r"not \[9, 0\]"),
        (lambda v: cluster_tree(v, (9, 3), resampling=-1), "at least 0, not -1"),
        (lambda v: Clusters(unit(np.eye(2)), np.zeros(3, np.int32), np.ones(3, np.float32), 1, 3), r"of \[3, 0\] rows"),
        (lambda v: Clusters(unit(np.eye(1)), np.zeros(3, np.int32), np.ones(2, np.float32), 1, 3), "3 rows .* 2 sim"),
        (lambda v: ClusterTree((kmeans(v, 4), kmeans(v, 2))), "4 clusters, but 30 have a parent"),
    ],
)
def test_bad_requests_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(Vectors.of(uniform(30), unit=True))


@pytest.mark.parametrize("resampling", [0, 1, 10])
def test_a_tree_is_k_means_on_centroids(resampling):
    rows = uniform(600)
    rows[5] = 0
    vectors = Vectors.of(rows, unit=True)
    tree = cluster_tree(vectors, (60, 12, 3), seed=4, resampling=resampling)
    assert [len(level) for level in tree.levels] == [60, 12, 3]
    check(vectors, tree.levels[0])
    for below, above in itertools.pairwise(tree.levels):
        check(Vectors.of(below.centroids, unit=True), above)
    for lower, upper in itertools.pairwise(tree.nodes):
        pairs = {(a, b) for a, b in zip(lower.tolist(), upper.tolist(), strict=True) if a >= 0}
        assert len(pairs) == len({a for a, _ in pairs})  # every node has one parent
    parents = [level.assignment for level in tree.levels]
    path = [
        [parents[0][i], parents[1][parents[0][i]], parents[2][parents[1][parents[0][i]]]] for i in range(600) if i != 5
    ]
    np.testing.assert_array_equal(np.delete(np.stack(tree.nodes, axis=1), 5, axis=0), path)
    assert [level[5] for level in tree.nodes] == [-1, -1, -1]
    same, other = (cluster_tree(vectors, (60, 12, 3), seed=seed, resampling=resampling) for seed in (4, 5))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(tree.nodes, same.nodes, strict=True))
    assert any(a.tobytes() != b.tobytes() for a, b in zip(tree.nodes, other.nodes, strict=True))


def test_planted_groups_of_groups_are_found():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4), 8)  # of each of 32 tight groups of rows
    middles = unit(uniform(4, 24, 1)[group] + 0.09 * rng.normal(size=(32, 24)))
    member = rng.permutation(np.repeat(np.arange(32), 20))
    rows = unit(middles[member] + 0.004 * rng.normal(size=(640, 24)))
    lower, upper = cluster_tree(Vectors.of(rows, unit=True), (32, 4)).nodes
    assert adjusted_rand_score(member, lower) == 1
    assert adjusted_rand_score(group[member], upper) == 1


def test_resampling_clusters_the_nearest_half_of_the_members(monkeypatch):
    hierarchy = importlib.import_module("curator.neighbours.hierarchy")
    trained, real = [], module.clustered

    def watched(vectors, sample, k, seed, *rest):
        level = real(vectors, sample, k, seed, *rest)
        trained.append((sample.tolist(), level))
        return level

    monkeypatch.setattr(hierarchy, "clustered", watched)
    cluster_tree(Vectors.of(uniform(800), unit=True), (80, 10), resampling=3)
    assert len(trained) == 4
    assert trained[0][0] == list(range(80))
    for (_, before), (sample, _) in itertools.pairwise(trained):
        expected = [
            sorted(np.flatnonzero(before.assignment == c), key=lambda row: (-before.similarity[row], row))[:4]
            for c in range(10)
        ]
        assert sample == sorted(itertools.chain(*expected))  # a cluster of 80 in 10 has 8 on average: half are 4


def test_a_tree_of_few_directions_has_fewer_clusters():
    rows = np.repeat(uniform(5), 10, axis=0)
    tree = cluster_tree(Vectors.of(rows, unit=True), (20, 8, 2))
    assert [len(level) for level in tree.levels] == [5, 5, 2]
