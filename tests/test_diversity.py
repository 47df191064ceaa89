"""The greedy choices against literal references that work out every value, and against the best of all subsets."""

import hashlib
import itertools
import math
import sys
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.errors import QueryError
from curator.functions import coverage, dpp, facility_location, k_center, mmr, vendi_score
from curator.functions._greedy import Quotas, lazily
from curator.relation import Relation
from curator.session import Session, sql_folder
from curator.stages import Stage, run
from curator.vectors import Vectors


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """A few rows are many blocks, and few of them are worked out anew together."""
    monkeypatch.setattr("curator.functions._greedy.FIRST", 2)
    monkeypatch.setattr("curator.functions._documents.BLOCK", 5)
    modules = sys.modules  # in the package, a function takes the place of the module of its name
    monkeypatch.setattr(modules["curator.functions.dpp"], "BLOCK", 5)
    monkeypatch.setattr(modules["curator.functions.facility_location"], "PAIRS", 16)


def relation(name, rows, seed=None, **columns):
    """Rows of any length as unit vectors, those of zeros as they are; shuffled when there is a seed."""
    rows = np.asarray(rows, np.float64).reshape(len(rows), -1 if len(rows) else 3)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0).astype(np.float32)
    keys = {"corpus": ["xy"[i % 2] + name for i in range(len(rows))], "id": [f"{i:03}" for i in range(len(rows))]}
    frame = pl.DataFrame(keys | columns, schema_overrides={"corpus": pl.String, "id": pl.String})
    found = Relation(frame, Vectors.of(unit, unit=True))
    return found if seed is None else found.take(np.random.default_rng(seed).permutation(len(rows)))


def directions(n, dimension, seed):
    return np.random.default_rng(seed).normal(size=(n, dimension))


def of(found: Relation):
    """Keys and unit vectors of what has a direction, in order of the keys."""
    rows = sorted(
        (key, tuple(vector))
        for key, vector in zip(found.frame.select("corpus", "id").iter_rows(), found.vectors.matrix(), strict=True)
        if any(vector)
    )
    shape = len(rows), found.vectors.dimension
    return [key for key, _ in rows], np.array([vector for _, vector in rows], np.float64).reshape(shape)


def products(left, right):
    """The true cosines: in double precision, rounded once."""
    if not len(left) or not len(right):
        return np.zeros((len(left), len(right)))
    return (left @ right.T).astype(np.float32).astype(np.float64)


def chosen(table):
    """The keys in the order of their ranks."""
    found = pl.DataFrame(table).filter(pl.col("rank").is_not_null()).sort("rank")
    assert found["rank"].to_list() == list(range(1, len(found) + 1))
    return list(found.select("corpus", "id").iter_rows())


def greedily(n, budget, value, least=-math.inf, labels=None):
    """All values worked out for each choice; ``max`` takes the first of equal ones.

    Where there are labels, places are dealt out to them one by one, and one that has none left is passed over.
    """
    labels = labels or [None] * n
    names = sorted(set(labels), key=lambda label: label or "")
    turns = [[name] * (labels.count(name) > turn) for turn in range(n) for name in names]
    places = Counter(list(itertools.chain(*turns))[:budget])
    picked = []
    while len(picked) < min(n, budget):
        taken = Counter(labels[i] for i in picked)
        open_ones = [i for i in range(n) if i not in picked and taken[labels[i]] < places[labels[i]]]
        values = {i: value(i, picked) for i in open_ones}
        best = max(values, key=values.__getitem__)
        if values[best] <= least:
            break
        picked.append(best)
    return picked


# Few directions with small whole numbers: many are equal, at right angles, or as far from one as from another.
LATTICE = st.lists(st.tuples(*[st.integers(-1, 2)] * 3), min_size=0, max_size=14)
BUDGET = st.integers(1, 16)
LABELS = st.none() | st.lists(st.sampled_from(["b", "a", None]), min_size=14, max_size=14)


def candidates_of(rows, seed, labels, **columns):
    """The rows as candidates, with labels if there are any."""
    if labels is not None:
        columns["label"] = pl.Series(labels[: len(rows)], dtype=pl.String)
    return relation("c", rows, seed=seed, **columns)


def labels_of(candidates, keys):
    """The labels of some; None where they have none."""
    if "label" not in candidates.columns:
        return None
    labels = candidates.frame.rows_by_key(["corpus", "id"], named=True, unique=True)
    return [labels[key]["label"] for key in keys]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(targets=LATTICE, rows=LATTICE, budget=BUDGET, start=st.sampled_from(["pool", "target"]), labels=LABELS)
def test_k_center_is_farthest_first(targets, rows, budget, start, labels):
    target, candidates = relation("t", targets), candidates_of(rows, budget, labels)
    (target_keys, there), (keys, vectors) = of(target), of(candidates)
    if start == "pool":
        target_keys, there = [], there[:0]
    given_similarity, similarity = products(vectors, there), products(vectors, vectors)

    def nearest(i, picked):
        """(cosine, key) of the first of the nearest centres."""
        centres = [(given_similarity[i, j], key) for j, key in enumerate(target_keys)]
        centres += [(similarity[i, j], keys[j]) for j in picked]
        return max(centres, key=lambda centre: centre[0], default=(-math.inf, (None, None)))

    labels = labels_of(candidates, keys)
    picked = greedily(len(keys), budget, lambda i, picked: -nearest(i, picked)[0], labels=labels)
    table = k_center(target, candidates, budget, start=start, balanced=labels is not None)
    assert chosen(table) == [keys[i] for i in picked]
    for row in table.to_pylist():
        if (row["corpus"], row["id"]) not in keys:
            assert {*row.values()} == {row["corpus"], row["id"], None}
            continue
        i = keys.index((row["corpus"], row["id"]))
        cosine, key = nearest(i, picked[: picked.index(i)] if i in picked else picked)
        assert (row["partner_corpus"], row["partner_id"]) == key
        if key[0] is None:
            assert row["score"] is row["similarity"] is None
        else:
            assert row["similarity"] == pytest.approx(cosine, abs=1e-7)
            assert row["score"] == pytest.approx(math.sqrt(max(0, 2 - 2 * cosine)), abs=1e-7)


@pytest.mark.parametrize("start", ["pool", "target"])
@pytest.mark.parametrize("seed", range(20))
def test_the_radius_of_k_center_is_at_most_twice_the_best(start, seed):
    budget = 1 + seed % 3
    candidates, target = relation("c", directions(9, 3, seed)), relation("t", directions(2, 3, seed + 100))
    keys, vectors = of(candidates)
    known = of(target)[1] if start == "target" else vectors[:0]

    def radius(rows):
        centres = np.concatenate([known, vectors[list(rows)]])
        return np.linalg.norm(vectors[:, None] - centres, axis=2).min(axis=1).max()

    table = k_center(target, candidates, budget, start=start)
    found = radius(keys.index(key) for key in chosen(table))
    assert found <= 2 * min(radius(rows) for rows in itertools.combinations(range(9), budget)) + 1e-6
    others = pl.DataFrame(table).filter(pl.col("rank").is_null())
    assert others["score"].max() == pytest.approx(found, abs=1e-6)


def represented(target, candidates, share, k=None):
    """f(rows) as its docstring says it, and the keys of the candidates."""
    (_, there), (keys, vectors) = of(target), of(candidates)
    near = products(vectors, vectors)
    if k is not None:
        for row in near:
            row[np.argsort(-row, kind="stable")[k:]] = 0
    sides = [(1 - share, near), (share, products(there, vectors))]

    def f(rows):
        best = [
            weight * np.maximum(similarity[:, list(rows)], 0).max(axis=1, initial=0).mean() if len(similarity) else 0
            for weight, similarity in sides
        ]
        return sum(best)

    return keys, f


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    targets=LATTICE, rows=LATTICE, budget=BUDGET, share=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    k=st.sampled_from([1, 3, 100]), labels=LABELS,
)  # fmt: skip
def test_facility_location_is_the_plain_greedy(targets, rows, budget, share, k, labels):
    target, candidates = relation("t", targets), candidates_of(rows, budget, labels)
    keys, f = represented(target, candidates, share, k)
    labels = labels_of(candidates, keys)
    table = facility_location(target, candidates, budget, target_share=share, k=k, balanced=labels is not None)
    similarity = products(of(candidates)[1], of(candidates)[1])

    def gain(i, picked):
        return round(f([*picked, i]) - f(picked), 10)

    picked = greedily(len(keys), budget, gain, least=0, labels=labels)
    assert chosen(table) == [keys[i] for i in picked]
    for row in table.to_pylist():
        if (row["corpus"], row["id"]) in keys:
            i = keys.index((row["corpus"], row["id"]))
            before = picked[: picked.index(i)] if i in picked else picked
            partner = max(before, key=lambda j: similarity[i, j], default=None)
            assert (row["partner_corpus"], row["partner_id"]) == ((None, None) if partner is None else keys[partner])
            assert row["score"] == pytest.approx(gain(i, before), abs=1e-9)
        else:
            assert {*row.values()} == {row["corpus"], row["id"], None}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(10))
def test_facility_location_reaches_its_share_of_the_best(share, seed):
    target, candidates = relation("t", directions(6, 3, seed)), relation("c", directions(9, 3, seed + 100))
    keys, f = represented(target, candidates, share)
    table = facility_location(target, candidates, 3, target_share=share)
    found = f([keys.index(key) for key in chosen(table)])
    assert found >= (1 - 1 / math.e) * max(f(rows) for rows in itertools.combinations(range(9), 3))
    assert pl.DataFrame(table).filter(pl.col("rank").is_not_null())["score"].sum() == pytest.approx(found, abs=1e-9)


def test_a_sample_of_the_pool_is_drawn_by_the_seed_and_candidates_outside_it_may_be_chosen():
    target, candidates = relation("t", []), relation("c", directions(60, 3, 1), seed=2)
    keys, vectors = of(candidates)
    similarity, found = np.maximum(products(vectors, vectors), 0), []
    for seed in (0, 1):
        draws = [hashlib.md5(f"{seed}:{corpus}:{name}".encode()).hexdigest() for corpus, name in keys]
        sample = similarity[np.argsort(draws)[:8]]

        def gain(i, picked, sample=sample):
            best = [sample[:, rows].max(axis=1, initial=0).mean() for rows in ([*picked, i], picked)]
            return best[0] - best[1]

        table = facility_location(target, candidates, 5, target_share=0.0, sample=8, seed=seed)
        found.append(chosen(table))
        assert found[-1] == [keys[i] for i in greedily(60, 5, gain)]
    assert found[0] != found[1]
    everything = facility_location(target, candidates, 5, target_share=0.0, sample=60)
    for sample in (None, 61):
        assert facility_location(target, candidates, 5, target_share=0.0, sample=sample).equals(everything)


def test_facility_location_of_the_target_alone_ends_where_each_has_its_nearest():
    target, candidates = relation("t", np.eye(3)), relation("c", [*np.eye(3), *np.eye(3), [1, 1, 1]])
    table = facility_location(target, candidates, 7, target_share=1.0)
    assert [key[1] for key in chosen(table)] == ["006", "000", "002", "004"]  # of corpus xc
    assert set(pl.DataFrame(table).filter(pl.col("rank").is_null())["score"]) == {0.0}


def test_a_label_that_had_no_place_keeps_its_gains_where_nothing_adds_anything():
    candidates = relation("c", [[-1, 0, 0], [-1, 1, 0]], label=["a", "b"])
    table = facility_location(relation("t", [[1, 0, 0]]), candidates, 1, target_share=1.0, balanced=True)
    assert table["score"].to_pylist() == [0.0, 0.0]
    assert table["rank"].to_pylist() == [None, None]


def relevances(target, candidates, scores):
    """Keys, vectors and relevance of the candidates that have both, in order."""
    keys, vectors = of(candidates)
    if scores is None:
        there = of(target)[1]
        relevance = products(vectors, there).max(axis=1, initial=-math.inf) if len(there) else np.full(len(keys), None)
        relevance = relevance.tolist()
    else:
        frame = candidates.frame.rows_by_key(["corpus", "id"], named=True, unique=True)
        relevance = [frame[key]["relevance"] for key in keys]
    rows = [i for i in range(len(keys)) if relevance[i] is not None]
    return [keys[i] for i in rows], vectors[rows], [relevance[i] for i in rows]


SCORES = st.none() | st.lists(st.none() | st.sampled_from([-0.5, 0.0, 0.25, 1.0]), min_size=14, max_size=14)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    targets=LATTICE, rows=LATTICE, budget=BUDGET, scores=SCORES, trade_off=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]),
    labels=LABELS,
)  # fmt: skip
def test_mmr_is_the_literal_one(targets, rows, budget, scores, trade_off, labels):
    target = relation("t", targets)
    columns = {} if scores is None else {"relevance": pl.Series(scores[: len(rows)], dtype=pl.Float64)}
    candidates = candidates_of(rows, budget, labels, **columns)
    keys, vectors, relevance = relevances(target, candidates, scores)
    similarity = products(vectors, vectors)

    def value(i, picked):
        return trade_off * relevance[i] - (1 - trade_off) * max((similarity[i, j] for j in picked), default=0)

    labels = labels_of(candidates, keys)
    picked = greedily(len(keys), budget, value, labels=labels)
    name = None if scores is None else "relevance"
    balanced = labels is not None
    table = mmr(target, candidates, budget, trade_off=trade_off, relevance=name, balanced=balanced)
    assert chosen(table) == [keys[i] for i in picked]
    for row in table.to_pylist():
        if (row["corpus"], row["id"]) not in keys:
            assert {*row.values()} == {row["corpus"], row["id"], None}
            continue
        i = keys.index((row["corpus"], row["id"]))
        before = picked[: picked.index(i)] if i in picked else picked
        assert row["score"] == pytest.approx(value(i, before), abs=1e-9)
        partner = max(before, key=lambda j: similarity[i, j], default=None)
        assert (row["partner_corpus"], row["partner_id"]) == ((None, None) if partner is None else keys[partner])


def log_volume(vectors, relevance, theta, ridge, rows):
    """The logarithm of the determinant of the kernel of some rows, by its definition."""
    rows = list(rows)
    quality = np.exp(theta * np.array(relevance)[rows])
    unit = vectors[rows] / np.linalg.norm(vectors[rows], axis=1, keepdims=True)
    kernel = quality[:, None] * (unit @ unit.T + ridge * np.eye(len(rows))) * quality
    return np.linalg.slogdet(kernel)[1] if rows else 0.0


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    targets=LATTICE, rows=LATTICE, budget=BUDGET, scores=SCORES, theta=st.sampled_from([0.0, 0.7, 3.0]),
    ridge=st.sampled_from([0.0, 0.01, 0.5]), labels=LABELS,
)  # fmt: skip
def test_dpp_is_greedy_in_the_determinant(targets, rows, budget, scores, theta, ridge, labels):
    target = relation("t", targets)
    columns = {} if scores is None else {"relevance": pl.Series(scores[: len(rows)], dtype=pl.Float64)}
    candidates = candidates_of(rows, budget, labels, **columns)
    keys, vectors, relevance = relevances(target, candidates, scores)

    def gain(i, picked):
        with_it = log_volume(vectors, relevance, theta, ridge, [*picked, i])
        more = with_it - log_volume(vectors, relevance, theta, ridge, picked)
        return round(more, 7) if more > -20 else -math.inf

    labels = labels_of(candidates, keys)
    picked = greedily(len(keys), budget, gain, labels=labels)
    name, balanced = None if scores is None else "relevance", labels is not None
    table = dpp(target, candidates, budget, theta=theta, ridge=ridge, relevance=name, balanced=balanced)
    similarity = products(vectors, vectors)
    assert chosen(table) == [keys[i] for i in picked]
    for row in table.to_pylist():
        if (row["corpus"], row["id"]) in keys:
            i = keys.index((row["corpus"], row["id"]))
            before = picked[: picked.index(i)] if i in picked else picked
            partner = max(before, key=lambda j: similarity[i, j], default=None)
            assert (row["partner_corpus"], row["partner_id"]) == ((None, None) if partner is None else keys[partner])
            expected = gain(i, before)
            assert row["score"] == (None if expected == -math.inf else pytest.approx(expected, abs=1e-6))
        else:
            assert {*row.values()} == {row["corpus"], row["id"], None}


@pytest.mark.parametrize("seed", range(10))
def test_dpp_reaches_its_share_of_the_best_determinant(seed):
    candidates = relation("c", directions(9, 4, seed), relevance=np.random.default_rng(seed).random(9))
    keys, vectors, relevance = relevances(None, candidates, [])

    def best_and_found(ridge):
        def value(rows):
            return log_volume(vectors, relevance, 1.0, ridge, rows)

        found = [keys.index(key) for key in chosen(dpp(candidates, candidates, 3, ridge=ridge, relevance="relevance"))]
        return max(value(rows) for rows in itertools.combinations(range(9), 3)), value(found)

    best, found = best_and_found(1.0)  # no eigenvalue is below 1: monotone and submodular
    assert found >= (1 - 1 / math.e) * best
    best, found = best_and_found(0.0)  # Çivril and Magdon-Ismail 2009, of squared volumes
    assert found >= best - 2 * math.log(math.factorial(3))


def test_many_rows_are_chosen_as_if_all_values_were_worked_out():
    """With lists that are long enough for FAISS and for a part of the bounds."""
    target, candidates = relation("t", directions(20, 8, 1)), relation("c", directions(3000, 8, 2))
    keys, vectors = of(candidates)
    similarity, relevance = products(vectors, vectors), products(vectors, of(target)[1]).max(axis=1)

    def plain(value):
        nearest, picked = np.full(len(keys), -np.inf), []
        for _ in range(40):
            values = value(nearest if picked else np.zeros(len(keys)))
            values[picked] = -np.inf
            picked.append(int(values.argmax()))
            nearest = np.maximum(nearest, similarity[picked[-1]])
        return [keys[i] for i in picked]

    assert chosen(mmr(target, candidates, 40)) == plain(lambda nearest: 0.5 * relevance - 0.5 * nearest)
    assert chosen(k_center(target, candidates, 40, start="pool")) == plain(lambda nearest: -nearest)


def test_few_values_are_worked_out():
    rows, n, budget = directions(2000, 16, 3), 2000, 100
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    nearest, picked, looked_at = np.full(n, -1.0), [], []

    def refresh(some, seen):
        assert (seen < len(picked)).all()
        looked_at.append(len(some) if len(picked) < budget else 0)  # in the end all are
        nearest[some] = (rows[some] @ rows[picked].T).max(axis=1)
        return -nearest[some]

    quotas = Quotas(pl.Series([None]).new_from_index(0, n), budget)
    values = lazily(-nearest, quotas, refresh, picked.append)
    assert sum(looked_at) < n * budget / 20
    similarity = rows @ rows[picked].T
    others = np.setdiff1d(np.arange(n), picked)
    np.testing.assert_allclose(values[others], -similarity[others].max(axis=1))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(targets=LATTICE, rows=LATTICE, min_score=st.sampled_from([-1.0, 0.0, 0.45, 0.9]))
def test_coverage_is_that_of_all_pairs(targets, rows, min_score):
    target, documents = relation("t", targets, seed=3), relation("c", rows, seed=4)
    (target_keys, there), (keys, vectors) = of(target), of(documents)
    similarity = products(there, vectors)
    table = coverage(target, documents, min_score=min_score)
    assert [(row["corpus"], row["id"]) for row in table.to_pylist()] == list(
        target.frame.select("corpus", "id").iter_rows()
    )
    for row in table.to_pylist():
        key = row["corpus"], row["id"]
        found = similarity[target_keys.index(key)] if key in target_keys else np.empty(0)
        assert row["within"] == (found >= min_score).sum()
        assert row["hole"] == (not (found >= min_score).any())
        if len(found):
            assert (row["nearest_corpus"], row["nearest_id"]) == keys[found.argmax()]
            assert row["similarity"] == found.max()
        else:
            assert row["similarity"] is row["nearest_corpus"] is row["nearest_id"] is None


def hill(eigenvalues, q):
    shares = [share for share in eigenvalues if share > 1e-9]
    if q == 1:
        return math.exp(-sum(share * math.log(share) for share in shares))
    return max(shares) ** -1 if q == math.inf else sum(share**q for share in shares) ** (1 / (1 - q))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rows=LATTICE, q=st.sampled_from([0.5, 1.0, 2.0, math.inf]))
def test_the_vendi_score_is_of_the_kernels_eigenvalues(rows, q):
    found = relation("c", rows)
    _, vectors = of(found)
    (row,) = vendi_score(found, q=q).to_pylist()
    assert (row["documents"], row["q"]) == (len(vectors), q)
    if len(vectors):
        eigenvalues = np.linalg.eigvalsh(vectors @ vectors.T / len(vectors))
        assert row["score"] == pytest.approx(hill(eigenvalues, q), abs=1e-5)
    else:
        assert row["score"] is None


def test_known_vendi_scores():
    def score(rows, q=1.0):
        return vendi_score(relation("c", rows), q=q)["score"][0].as_py()

    for q in (0.5, 1.0, 2.0, math.inf):
        assert score([[3, 4, 0]] * 7, q) == pytest.approx(1)
        assert score(np.eye(5), q) == pytest.approx(5)
    assert score([[1, 0]] * 3 + [[0, 1]]) == pytest.approx(math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4)))
    assert score([[1, 0]] * 3 + [[0, 1]], 2.0) == pytest.approx(1 / (0.75**2 + 0.25**2))


ONE = relation("c", [[1, 0, 0]])
PLAIN = Relation(ONE.frame)
NAMELESS = Relation(ONE.frame.drop("id"), ONE.vectors)
OTHER = relation("c", [[1, 0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: k_center(ONE, ONE), "k_center needs a budget"),
        (lambda: mmr(ONE, ONE), "mmr needs a budget"),
        (lambda: dpp(ONE, ONE), "dpp needs a budget"),
        (lambda: facility_location(ONE, ONE), "facility_location needs a budget"),
        (lambda: k_center(ONE, ONE, 0), "budget is 0; a whole number of at least 1"),
        (lambda: k_center(ONE, ONE, 1, start="mean"), "start is 'mean'; it must be 'pool' or 'target'"),
        (lambda: k_center(ONE, PLAIN, 1), "no vectors in the candidates; name a corpus"),
        (lambda: k_center(NAMELESS, ONE, 1), "no column 'id' in the target; there are: corpus"),
        (lambda: k_center(ONE, OTHER, 1), "vectors of 2 and 3 components"),
        (lambda: mmr(ONE, ONE, 1, trade_off=1.5), "trade_off is 1.5; a number of 0 to 1 is needed"),
        (lambda: mmr(ONE, ONE, 1, relevance="worth"), "relevance is 'worth'; the candidates have the columns: corpus"),
        (lambda: mmr(ONE, ONE, 1, relevance="id"), "relevance is 'id', a column of String; numbers are needed"),
        (lambda: dpp(ONE, ONE, 1, theta=-1.0), "theta is -1.0; a number of at least 0, and finite, is needed"),
        (lambda: dpp(ONE, ONE, 1, ridge=math.inf), "ridge is inf; a number of at least 0, and finite, is needed"),
        (lambda: facility_location(ONE, ONE, 1, k=0), "k is 0; a whole number of at least 1"),
        (lambda: facility_location(ONE, ONE, 1, sample=0), "sample is 0; a whole number of at least 1"),
        (lambda: facility_location(ONE, ONE, 1, target_share=-0.1), "target_share is -0.1; a number of 0 to 1"),
        (lambda: facility_location(ONE, ONE, 1, max_pairs=1), "2 pairs of vectors would be compared"),
        (lambda: coverage(ONE, ONE, min_score=2.0), "min_score is 2.0; a number of -1 to 1"),
        (lambda: vendi_score(ONE, q=0.0), "q is 0.0; a number above 0"),
        (lambda: vendi_score(PLAIN), "the relation has no vectors"),
    ],
)
def test_what_makes_no_sense_is_named(call, message):
    with pytest.raises(QueryError, match=message):
        call()


@pytest.mark.parametrize("name", ["k_center", "facility_location", "mmr", "dpp"])
def test_a_stage_without_a_budget_says_that_it_needs_one(name):
    stage = Stage.load(name, sql_folder())
    with pytest.raises(QueryError, match=f"{name} needs a budget"):
        run(stage, stage.bind({}, 0), {"target": ONE, "candidates": ONE}, Session())


@pytest.mark.parametrize("name", ["k_center", "facility_location", "mmr", "dpp"])
def test_what_has_no_direction_is_dropped_and_says_so(name):
    stage = Stage.load(name, sql_folder())
    candidates = relation("c", [[1, 0, 0], [0, 0, 0], [0, 1, 0]], label=["a", "b", "a"])
    found = run(stage, stage.bind({"budget": 9}, 0), {"target": ONE, "candidates": candidates}, Session()).frame
    assert found["keep"].to_list() == [True, False, True]
    assert "direction" in found["reason"][1]
