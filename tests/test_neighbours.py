"""Every returned score is the true score of the pair it names, and the pairs are those of brute force."""

import os

import faiss
import numpy as np
import pytest

from curator import neighbours
from curator.hardware import decide
from curator.neighbours import bfloat16
from curator.vectors import Vectors

RNG = np.random.default_rng(0)


def matrix(n, d=7):
    return RNG.normal(size=(n, d)).astype(np.float32)


def true_scores(left, right, metric):
    if metric == "inner_product":
        return left.astype(np.float64) @ right.astype(np.float64).T
    return np.sqrt(((left[:, None].astype(np.float64) - right[None].astype(np.float64)) ** 2).sum(-1))


def resize(monkeypatch, **modules):
    for module, sizes in modules.items():
        for name, size in sizes.items():
            monkeypatch.setattr(f"curator.neighbours.{module}.{name}", size)


@pytest.fixture(params=["fp32", "bf16"])
def precision(request, monkeypatch):
    """Products in bf16 give the same results on any processor, if not as fast."""
    monkeypatch.setattr("curator.neighbours.bfloat16.is_fast", lambda: request.param == "bf16")
    resize(monkeypatch, bfloat16={"LEAST_QUERIES": 1, "LEAST_ROWS": 1})
    return request.param


@pytest.fixture(params=["one piece", "many pieces"])
def pieces(request, monkeypatch):
    if request.param == "many pieces":
        resize(monkeypatch, exact={"QUERY_BLOCK": 5, "BASE_BLOCK": 8}, within={"PAIR_BLOCK": 6})
        resize(monkeypatch, distance={"BASE_BLOCK": 8}, bfloat16={"BASE_ROWS": 8, "QUERY_ROWS": 3, "GROUP": 2})


@pytest.mark.parametrize("metric", ["inner_product", "distance"])
@pytest.mark.parametrize("k", [1, 4, 30, 100])
def test_nearest_is_brute_force(pieces, precision, metric, k):
    left, right = matrix(13), matrix(30)
    edges = neighbours.nearest(Vectors.of(left), Vectors.of(right), k, metric=metric)
    truth = true_scores(left, right, metric)
    assert len(edges) == 13 * min(k, 30)
    assert edges.right.min() >= 0
    np.testing.assert_allclose(edges.score, truth[edges.left, edges.right], atol=1e-5)
    order = np.argsort(truth if metric == "distance" else -truth, axis=1)[:, :k]
    np.testing.assert_array_equal(edges.right.reshape(13, -1), order)
    np.testing.assert_array_equal(edges.rank.reshape(13, -1), np.tile(np.arange(1, min(k, 30) + 1), (13, 1)))


def test_small_distances_are_exact():
    base = matrix(50, 64) * 100
    near = base + np.float32(1e-3)
    edges = neighbours.nearest(Vectors.of(near), Vectors.of(base), 1, metric="distance")
    np.testing.assert_array_equal(edges.right, np.arange(50))
    np.testing.assert_allclose(edges.score, np.linalg.norm(near.astype(np.float64) - base, axis=1), rtol=1e-3)


def nearby(rng, shape, noise):
    """Unit vectors around one direction."""
    rows = rng.normal(size=shape[1]) / np.sqrt(shape[1]) + noise * rng.normal(size=shape)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


DISTANCE_CASES = {
    "near duplicates": lambda rng: nearby(rng, (500, 384), noise=5e-5),
    "nearer duplicates": lambda rng: nearby(rng, (300, 384), noise=3e-6),
    "exact duplicates": lambda rng: np.repeat(rng.normal(size=(12, 64)), 30, axis=0),
    "clusters far from the origin": lambda rng: (
        np.repeat(1e3 * rng.normal(size=(8, 24)), 40, axis=0) + rng.normal(size=(320, 24))
    ),
    "ordinary": lambda rng: rng.normal(size=(400, 48)),
    "very different lengths": lambda rng: rng.normal(size=(300, 16)) * 10.0 ** rng.integers(-6, 7, size=(300, 1)),
}


@pytest.mark.parametrize("products", [True, False])
@pytest.mark.parametrize("blocks", ["default", "small"])
@pytest.mark.parametrize("case", DISTANCE_CASES)
def test_nearest_by_distance_is_brute_force_in_double_precision(case, blocks, products, monkeypatch):
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", 1 if products else 10**9)
    if blocks == "small":
        resize(monkeypatch, exact={"QUERY_BLOCK": 90}, scores={"GATHER_BLOCK": 50})
        resize(monkeypatch, distance={"BASE_BLOCK": 70, "SWEPT_BLOCK": 33, "SWEPT_QUERIES": 20})
    rows = DISTANCE_CASES[case](np.random.default_rng(1)).astype(np.float32)
    rows = rows[np.random.default_rng(2).permutation(len(rows))]
    queries = np.random.default_rng(3).permutation(len(rows))[:100]
    truth = np.stack([np.sqrt(((rows.astype(np.float64) - rows[query]) ** 2).sum(1)) for query in queries])
    rounded = truth.astype(np.float32)
    order = np.stack([np.lexsort((np.arange(len(rows)), row)) for row in rounded])
    for k in (1, 5, len(rows) - 1, len(rows)):
        edges = neighbours.nearest(Vectors.of(rows[queries]), Vectors.of(rows), k, metric="distance")
        found = edges.right.reshape(len(queries), k)
        scores = edges.score.reshape(len(queries), k)
        best = np.take_along_axis(rounded, order[:, :k], 1)
        # A difference in the last place of a double may turn the rounding of one, and so the order of two.
        np.testing.assert_allclose(scores, best, rtol=3e-7)
        np.testing.assert_allclose(scores, np.take_along_axis(truth, found, 1), rtol=3e-7)
        swapped = found != order[:, :k]
        assert swapped.mean() < 1e-3, f"k = {k}: {swapped.sum()} of {swapped.size}"
        assert all(len(set(row)) == k for row in found.tolist())


def test_ordinary_vectors_are_not_searched_twice(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(3000, 384))
    rows = Vectors.of(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    monkeypatch.setattr("curator.neighbours.distance._sweep", None)
    neighbours.nearest(rows.take(np.arange(200)), rows, 10, metric="distance")


def unit(rows):
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def adverse(rng):
    """Rows whose order bf16 turns round: those nearest to the first 150 are made the farthest of them.

    In units of 2⁻⁷ above one, 1.49 is rounded to 1 and 1.51 to 2. The queries are rounded down where the few nearest
    rows have their components, which are rounded down too, and up where the others have theirs. The last rows are so
    short that nothing about them is in doubt.
    """
    step, half = 2.0**-7, 64
    query = np.repeat([1 + 1.49 * step, 1 + 1.51 * step], half)
    near = np.concatenate([np.full(half, 1 + 1.49 * step), np.zeros(half)])
    far = np.where(rng.random((2000, half)) < 0.9, 1 + 1.51 * step, 1 + 0.51 * step)
    far = np.hstack([np.zeros_like(far), far]) * np.where(np.arange(2000) < 300, 1, 0.5)[:, None]
    few = near * (1 + 1e-5 * rng.random((120, 1)))
    queries = query * (1 + 1e-5 * rng.random((150, 1))) / 4  # shorter, so that they are not near each other
    return np.vstack([queries, rng.permutation(np.vstack([few, far])), 1e-3 * rng.random((730, 2 * half))])


PRODUCT_CASES = {
    "ordinary": lambda rng: unit(rng.normal(size=(3000, 48))),
    "close together": lambda rng: nearby(rng, (3000, 96), noise=3e-3),
    "duplicates": lambda rng: np.repeat(unit(rng.normal(size=(1000, 48))), 3, axis=0),
    "many duplicates": lambda rng: unit(np.round(rng.normal(size=(3000, 3)))),  # more of one than a list looks at
    "one row": lambda rng: np.repeat(unit(rng.normal(size=(1, 48))), 3000, axis=0),
    "zero rows": lambda rng: unit(rng.normal(size=(3000, 48)) * (rng.random((3000, 1)) < 0.5)),
    "nearer and nearer": lambda rng: unit(rng.normal(size=(3000, 48)) / np.linspace(9, 0.1, 3000)[:, None] + 1),
    "different lengths": lambda rng: rng.normal(size=(3000, 48)) * 10.0 ** rng.uniform(-3, 3, size=(3000, 1)),
    "too long for bf16": lambda rng: rng.normal(size=(3000, 48)) * 1e17,
    "rounded the wrong way": adverse,
}


@pytest.mark.parametrize("k", [1, 10, 90])
@pytest.mark.parametrize("blocks", ["default", "small"])
@pytest.mark.parametrize("case", PRODUCT_CASES)
def test_nearest_by_product_is_brute_force_in_double_precision(case, blocks, k, precision, monkeypatch):
    if blocks == "small":
        resize(monkeypatch, exact={"QUERY_BLOCK": 70, "BASE_BLOCK": 900}, scores={"GATHER_BLOCK": 50})
        resize(monkeypatch, bfloat16={"BASE_ROWS": 700, "QUERY_ROWS": 40})
    rng = np.random.default_rng(1)
    rows = PRODUCT_CASES[case](rng).astype(np.float32)
    queries = np.arange(150) if case == "rounded the wrong way" else rng.permutation(3000)[:150]
    is_unit = bool(np.isin(np.round(np.linalg.norm(rows, axis=1), 4), [0, 1]).all())
    left, right = (Vectors.of(side, unit=is_unit) for side in (rows[queries], rows))
    edges = neighbours.nearest(left, right, k)
    truth = (rows[queries].astype(np.float64) @ rows.astype(np.float64).T).astype(np.float32)
    found, score = edges.right.reshape(150, k), edges.score.reshape(150, k)
    order = np.stack([np.lexsort((np.arange(3000), -row)) for row in truth])[:, :k]
    best = np.take_along_axis(truth, order, 1)
    np.testing.assert_allclose(score, np.take_along_axis(truth, found, 1), rtol=2e-7, atol=1e-12)
    np.testing.assert_allclose(score, best, rtol=2e-7, atol=1e-12)
    assert all(len(set(row)) == k for row in found.tolist())
    crowded = (truth >= best[:, -1:] - 1e-5 * np.abs(best[:, -1:])).sum(
        axis=1
    ) > k + 8  # ties that are not all looked at
    assert (found != order)[~crowded].sum() < 1e-3 * found.size
    assert case not in ("ordinary", "duplicates", "different lengths") or not crowded.any()


@pytest.mark.parametrize("share", [1e-4, 0.003, 0.3])
@pytest.mark.parametrize("case", ["ordinary", "duplicates", "different lengths", "rounded the wrong way"])
def test_pairs_within_are_those_of_brute_force_in_double_precision(case, share, precision, monkeypatch):
    resize(monkeypatch, within={"PAIR_BLOCK": 700}, bfloat16={"QUERY_ROWS": 300})
    rows = PRODUCT_CASES[case](np.random.default_rng(1)).astype(np.float32)
    truth = (rows[:150].astype(np.float64) @ rows.astype(np.float64).T).astype(np.float32)
    least = float(np.quantile(truth, 1 - share))
    edges = neighbours.concat(list(neighbours.pairs_within(Vectors.of(rows[:150]), Vectors.of(rows), least)))
    i, j = np.nonzero(truth.astype(np.float64) >= least)
    assert set(zip(edges.left.tolist(), edges.right.tolist(), strict=True)) == set(
        zip(i.tolist(), j.tolist(), strict=True)
    )
    np.testing.assert_allclose(edges.score, truth[edges.left, edges.right], rtol=2e-7)


def test_bf16_is_used_and_lets_nothing_through(monkeypatch, precision):
    """All rows that bf16 keeps of ordinary vectors are few, and FAISS is not asked."""
    if precision == "fp32":
        pytest.skip("this is about bf16")
    monkeypatch.setattr("curator.neighbours.flat.search", lambda *_: pytest.fail("searched in fp32"))
    rows = Vectors.of(unit(matrix(6000, 96)), unit=True)
    kept = bfloat16.candidates(rows.block(0, 200), rows, 10)
    assert 2000 <= len(kept.rows) < 8000
    assert not len(kept.crowded)
    neighbours.nearest(rows.take(np.arange(200)), rows, 10)


@pytest.mark.parametrize("damage", [np.nan, np.inf])
@pytest.mark.parametrize("k", [3, 1000])
def test_queries_that_are_not_finite_are_refused(damage, k, precision):
    queries = matrix(100, 16)
    queries[77, 3] = damage
    with pytest.raises(ValueError, match=r"NaN or infinity|beyond single"):
        neighbours.nearest(Vectors.of(queries), Vectors.of(matrix(2000, 16)), k)


def test_equal_scores_come_in_order_of_position(pieces, precision):
    right = np.repeat(matrix(3), 10, axis=0)
    edges = neighbours.nearest(Vectors.of(right[:1]), Vectors.of(right), 30)
    scores = edges.score
    assert all(a < b for a, b, s, t in zip(edges.right, edges.right[1:], scores, scores[1:], strict=False) if s == t)


def test_zero_and_minus_zero_are_equal_scores():
    negative, positive = [-0.0, -0.0], [0.0, 0.0]
    for rows in ([negative, positive], [positive, negative]):
        found = neighbours.nearest(Vectors.of([[1.0, 1.0]]), Vectors.of(rows), 2)
        assert found.right.tolist() == [0, 1]


@pytest.mark.parametrize("threshold", [-10.0, 0.0, 1.5, 99.0])
def test_pairs_within_are_all_pairs_over_the_threshold(pieces, precision, threshold):
    left, right = matrix(17), matrix(23)
    found = list(neighbours.pairs_within(Vectors.of(left), Vectors.of(right), threshold))
    edges = neighbours.concat(found)
    truth = left @ right.T
    assert set(zip(edges.left.tolist(), edges.right.tolist(), strict=True)) == set(
        zip(*(axis.tolist() for axis in np.nonzero(truth >= threshold)), strict=True)
    )
    np.testing.assert_allclose(edges.score, truth[edges.left, edges.right], atol=1e-5)


def test_pairs_within_one_side_come_once(pieces, precision):
    left = matrix(25)
    edges = neighbours.concat(list(neighbours.pairs_within(Vectors.of(left), None, 0.5)))
    i, j = np.nonzero(np.triu(left @ left.T, 1) >= 0.5)
    assert set(zip(edges.left.tolist(), edges.right.tolist(), strict=True)) == set(
        zip(i.tolist(), j.tolist(), strict=True)
    )


def test_gathered_rows_are_found_by_their_new_positions(pieces):
    right = matrix(40)
    rows = np.array([33, 2, 2, 17, 39, 0, 1])
    edges = neighbours.nearest(Vectors.of(right[[17]]), Vectors.of(right).take(rows), 7)
    np.testing.assert_allclose(edges.score, right[17] @ right[rows][edges.right].T, atol=1e-5)


def test_empty_sides_and_bad_requests():
    some, none = Vectors.of(matrix(3)), Vectors.of(np.empty((0, 7)))
    assert len(neighbours.nearest(some, none, 3)) == len(neighbours.nearest(none, some, 3)) == 0
    assert list(neighbours.pairs_within(none, None, 0.1)) == []
    with pytest.raises(ValueError, match="at least 1"):
        neighbours.nearest(some, some, 0)
    with pytest.raises(ValueError, match="7 components and the right 5"):
        neighbours.nearest(some, Vectors.of(matrix(3, 5)), 1)


@pytest.mark.skipif(decide().device != "cuda", reason=f"no GPU: {decide().device_reason}")
def test_gpu_finds_the_pairs_that_the_cpu_finds():
    left, right = matrix(700), matrix(5000)
    found = neighbours.concat(list(neighbours.pairs_within(Vectors.of(left), Vectors.of(right), 0.5)))
    i, j = np.nonzero(left @ right.T >= 0.5)
    assert len(set(zip(found.left, found.right, strict=True)) ^ set(zip(i, j, strict=True))) <= len(i) / 1000
    np.testing.assert_allclose(found.score, (left[found.left] * right[found.right]).sum(axis=1), atol=1e-5)


@pytest.mark.skipif(neighbours.device()[0] != "cuda", reason=f"no GPU: {neighbours.device()[1]}")
def test_gpu_finds_what_the_cpu_finds(monkeypatch):
    left, right = Vectors.of(matrix(200)), Vectors.of(matrix(5000))
    on_gpu = neighbours.nearest(left, right, 10)
    monkeypatch.setattr("curator.neighbours.flat.device", lambda: ("cpu", "for comparison"))
    on_cpu = neighbours.nearest(left, right, 10)
    np.testing.assert_array_equal(on_gpu.score, on_cpu.score)
    np.testing.assert_array_equal(on_gpu.right, on_cpu.right)


def test_kernels_are_named_for_processors_that_openblas_may_not_know(monkeypatch):
    from curator.neighbours.library import VARIABLE, _told, kernels

    flags = "fpu avx2 avx512f avx512dq avx512cd avx512bw avx512vl amx_bf16"
    intel = f"processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 207\nflags\t\t: {flags}\n\nprocessor\t: 1\n"
    assert kernels(intel) == "SKYLAKEX"
    assert kernels(intel.replace("avx512bw ", "")) is None
    assert kernels(intel.replace("GenuineIntel", "AuthenticAMD")) is None
    assert kernels("processor : 0\nBogoMIPS : 48\nFeatures : fp asimd\n") is None
    monkeypatch.setattr("curator.neighbours.library.Path.read_text", lambda *_: intel)
    monkeypatch.delenv(VARIABLE, raising=False)
    with _told():
        assert os.environ[VARIABLE] == "SKYLAKEX"
    assert VARIABLE not in os.environ  # it is for the import alone
    monkeypatch.setenv(VARIABLE, "Haswell")  # a person's own
    with _told():
        assert os.environ[VARIABLE] == "Haswell"
    assert os.environ[VARIABLE] == "Haswell"
