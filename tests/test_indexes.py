"""The index of a corpus: chosen, tuned and measured, used where it is faster, and taken up by the next version."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from curator import CuratorWarning, Workspace, indexes, neighbours
from curator.errors import UsageError, WorkspaceError
from curator.indexes import Index, Measured, Promise, Wish, choice, tuning
from curator.indexes.measured import interval
from curator.vectors import Vectors

N, D = 12_000, 24
COSINE = "array_cosine_similarity(t.embedding, p.embedding)"
JOIN = f"SELECT t.id AS a, p.id AS b, {COSINE} AS s FROM few t JOIN many p {{}} BY SIMILARITY {COSINE}"


def clustered(n: int, seed: int) -> np.ndarray:
    """Unit vectors around 60 centres, which an inverted file is made for."""
    centres = np.random.default_rng(0).normal(size=(60, D))
    rng = np.random.default_rng(seed)
    x = centres[rng.integers(0, 60, n)] + 0.6 * rng.normal(size=(n, D))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


MANY, FEW = clustered(N, 1), clustered(40, 2)


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "LEAST_QUERIES", 400)
        patch.setattr(tuning, "TIMED", 64)
        patch.setattr(indexes.making, "TIMED", 64)
        yield


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    ws = Workspace(tmp_path_factory.mktemp("indexed"))
    for name, vectors in (("many", MANY), ("few", FEW)):
        rows = len(vectors)
        frame = pl.DataFrame({"id": [f"{name}{i}" for i in range(rows)], "text": ["t"] * rows, "n": range(rows)})
        ws.add(name, frame, vectors=vectors)
    ws.measured = ws.index("many", recall=0.9, kind="ivf-pq")
    return ws


@pytest.fixture
def always(monkeypatch):
    """Which way is faster depends on the machine; here it is the index."""
    monkeypatch.setattr(Index, "is_faster", lambda self, queries, kept, k: True)


def recall(rows: pl.DataFrame, allowed: np.ndarray, k: int) -> float:
    scores = FEW @ MANY[allowed].T
    best = allowed[np.argsort(-scores, axis=1)[:, :k]]
    truth = {(f"few{i}", f"many{j}") for i in range(len(FEW)) for j in best[i]}
    return len(truth & set(rows.select("a", "b").rows())) / len(truth)


def true_scores(rows: pl.DataFrame) -> np.ndarray:
    left = [int(name.removeprefix("few")) for name in rows["a"]]
    right = [int(name.removeprefix("many")) for name in rows["b"]]
    return np.einsum("ij,ij->i", FEW[left], MANY[right])


def test_the_recall_that_was_asked_is_measured_and_reached(ws, always):
    ten, hundred = ws.measured["promises"]
    assert (ten["k"], hundred["k"]) == (10, 100)
    assert ten["low"] >= 0.9
    assert hundred["low"] >= 0.9
    assert 1 <= ten["reach"] < ws.measured["lists"]
    rows = ws.sql(JOIN.format("APPROX NEAREST 10"))
    report = ws.last_report["joins"][0]
    assert not report["exact"]
    assert ws.measured["index"].split("\n")[0] in report["reason"]
    assert "ivf-pq" in report["reason"]
    assert "(0.9" in report["reason"]  # the interval
    assert "asked 0.9" in report["reason"]
    assert recall(rows, np.arange(N), 10) >= 0.85  # other queries than it was measured on
    np.testing.assert_allclose(rows["s"], true_scores(rows), atol=1e-6)


def test_exact_never_uses_it_and_approx_only_where_it_is_faster(ws, monkeypatch):
    monkeypatch.setattr(Index, "is_faster", lambda self, queries, kept, k: False)
    for kind in ("EXACT", "APPROX"):
        rows = ws.sql(JOIN.format(f"{kind} NEAREST 10"))
        assert ws.last_report["joins"][0]["exact"]
        assert recall(rows, np.arange(N), 10) == 1
    monkeypatch.setattr(Index, "is_faster", lambda self, queries, kept, k: True)
    ws.sql(JOIN.format("EXACT NEAREST 10"))
    assert ws.last_report["joins"][0]["exact"]


@pytest.mark.parametrize("share", [2, 10, 400])
def test_a_filter_is_applied_before_the_search(ws, always, share):
    allowed = np.arange(0, N, share)
    sql = JOIN.format("APPROX NEAREST 10").replace("JOIN many p", f"JOIN (SELECT * FROM many WHERE n % {share} = 0) p")
    rows = ws.sql(sql)
    assert "selector on the index" in ws.last_report["joins"][0]["filter"]
    assert rows.height == len(FEW) * 10  # lists that held fewer were searched exactly
    assert {int(name.removeprefix("many")) % share for name in rows["b"]} == {0}
    assert recall(rows, allowed, 10) >= 0.85
    np.testing.assert_allclose(rows["s"], true_scores(rows), atol=1e-6)


def test_more_neighbours_than_rows(ws, always):
    sql = JOIN.format("APPROX NEAREST 50").replace("JOIN many p", "JOIN (SELECT * FROM many WHERE n < 7) p")
    assert ws.sql(sql).group_by("a").len()["len"].to_list() == [7] * len(FEW)


def test_it_is_kept_and_belongs_to_a_version(ws, always, tmp_path):
    again = Workspace(ws.root)
    relation = again._corpora.relation(again.catalogue.corpus("many"))
    kept = indexes.find(relation)
    assert kept is not None
    assert kept.measured.rows == N
    (relation.home / "approximate-own" / "index.json").rename(tmp_path / "index.json")  # without it there is none
    assert indexes.find(relation) is None
    (tmp_path / "index.json").rename(relation.home / "approximate-own" / "index.json")
    assert again.index("many")["did"] == "nothing: it is there"  # what is not said is as before


def test_a_damaged_index_is_an_error_that_says_what_mends_it(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "LEAST_ROWS", 100)
    ws = Workspace(tmp_path)
    ws.add("many", pl.DataFrame({"text": ["t"] * 1_500}), vectors=MANY[:1_500])
    ws.index("many", recall=0.8, kind="ivf")
    codes = next((tmp_path / "indexes" / "many").glob("*/approximate-own/index.faiss"))
    codes.write_bytes(codes.read_bytes()[:1_000])
    (codes.parent / "index.json").touch()
    with pytest.raises(WorkspaceError, match="curator check --repair mends it"):
        indexes.find(ws._corpora.relation(ws.catalogue.corpus("many")))
    assert "built again with a recall of 0.8" in str(ws.repair())
    assert indexes.find(ws._corpora.relation(ws.catalogue.corpus("many"))) is not None


def test_more_neighbours_than_were_measured_are_searched_exactly(ws):
    ws.sql(JOIN.format("APPROX NEAREST 101"))
    assert ws.last_report["joins"][0]["exact"]


def test_another_version_takes_it_up(tmp_path, always):
    ws = Workspace(tmp_path)
    frame = pl.DataFrame({"id": [f"many{i}" for i in range(N)], "text": ["t"] * N})
    ws.add("many", frame, vectors=MANY)
    ws.add("few", pl.DataFrame({"id": [f"few{i}" for i in range(40)], "text": ["t"] * 40}), vectors=FEW)
    ws.index("many", recall=0.9, kind="ivf-sq8", queries=clustered(3_000, 7))
    more = pl.DataFrame({"id": [f"many{i}" for i in range(N + 400)], "text": ["t"] * (N + 400)})
    ws.add("many", more, vectors=np.vstack([MANY, clustered(400, 8)]))
    assert indexes.find(ws._corpora.relation(ws.catalogue.corpus("many"))) is None
    told = ws.index("many", recall=0.9, kind="ivf-sq8")
    assert "kept for 12,000 rows, 400 were added and 0 removed" in told["did"]
    assert told["source"].startswith("3,000 vectors")  # those of before serve again
    assert told["promises"][0]["low"] >= 0.9
    rows = ws.sql(JOIN.format("APPROX NEAREST 10"))
    assert not ws.last_report["joins"][0]["exact"]
    assert rows.height == 400


def test_queries_of_a_corpus_are_what_it_is_measured_on(tmp_path):
    ws = Workspace(tmp_path)
    ws.add("many", pl.DataFrame({"text": ["t"] * N}), vectors=MANY)
    ws.add("asks", pl.DataFrame({"text": ["t"] * 900}), vectors=clustered(900, 5))
    told = ws.index("many", recall=0.9, kind="ivf", queries="asks")
    assert told["source"] == "corpus asks"
    assert told["promises"][0]["queries"] == 400
    assert "on 400 queries (corpus asks; asked 0.9)" in told["index"]
    lower = ws.index("many", recall=0.8, kind="ivf", queries="asks")
    assert "the index was kept" in lower["did"]  # only tuned again
    assert lower["promises"][0]["reach"] < told["promises"][0]["reach"]
    checked = ws.index("many", check=True, queries=clustered(500, 6))
    assert not checked["drifted"]
    assert checked["promises"][0]["queries"] == 500
    with pytest.raises(UsageError, match=r"recall = 0\.999 cannot be shown on 900 queries.*at most 0\.985"):
        ws.index("many", recall=0.999, kind="ivf", queries="asks")


def test_a_search_in_which_the_index_falls_short_is_exact_and_says_so(ws, always, monkeypatch):
    bulk = clustered(1_400, 21)
    ws.add("bulk", pl.DataFrame({"id": [f"b{i}" for i in range(1_400)], "text": ["t"] * 1_400}), vectors=bulk)
    sql = JOIN.format("APPROX NEAREST 10").replace("few", "bulk")
    ws.sql(sql)
    report = ws.last_report["joins"][0]
    assert not report["exact"]
    assert "on 64 of its queries" in report["reason"]
    monkeypatch.setattr(Index, "reach", lambda self, promise, kept: 1)
    monkeypatch.setattr(Measured, "promise", lambda self, k: replace(self.promises[0], factor=1, k=10))
    with pytest.warns(CuratorWarning, match="gives less than was asked"):
        rows = ws.sql(sql)
    assert ws.last_report["joins"][0]["exact"]
    best = np.sort(-(bulk @ MANY.T), axis=1)[:, :10]
    np.testing.assert_allclose(np.sort(-rows["s"].to_numpy()), np.sort(best.ravel()), atol=1e-6)


# How it is chosen


def test_a_small_corpus_needs_none(ws):
    told = ws.index("few")
    assert told["kind"] == "flat"
    assert "40 rows: below 10,000 exact search is as fast" in told["index"]
    assert ws.index("few")["did"] == "nothing: it is there"
    assert ws.index("few", check=True)["drifted"] is False
    ws.sql(JOIN.format("APPROX NEAREST 10").replace("many", "few").replace("few t", "many t"))
    assert ws.last_report["joins"][0]["exact"]


def test_the_kind_is_chosen_by_size_memory_and_number_of_queries(monkeypatch):
    monkeypatch.setattr(neighbours, "estimated_seconds", lambda pairs, dimension: pairs * dimension / 1e11)
    gib = 2**30
    monkeypatch.setattr(choice, "free", lambda: 64 * gib)
    assert choice.kinds(Wish(), 9_999, 384)[0] == ()
    assert list(choice.kinds(Wish(), 10**6, 384)[0]) == ["ivf-pq", "ivf-sq8", "hnsw-sq8", "ivf"]
    assert "hnsw-sq8" not in choice.kinds(Wish(), 10**6 + 1, 384)[0]
    assert list(choice.kinds(Wish(memory=0.6), 10**6, 384)[0]) == ["ivf-pq"]
    assert list(choice.kinds(Wish(memory=0.8), 10**6, 384)[0]) == ["ivf-pq", "ivf-sq8", "hnsw-sq8"]
    with pytest.raises(UsageError, match=r"memory = 0\.100 GiB: .* at least 0\.4\d+ GiB \(ivf-pq\)"):
        choice.kinds(Wish(memory=0.1), 10**6, 384)
    with pytest.raises(UsageError, match=r"at least 1\.8\d+ GiB \(ivf\)"):
        choice.kinds(Wish(kind="ivf", memory=1), 10**6, 384)
    none, why = choice.kinds(Wish(expected=1_000), 10**6, 384)
    assert none == ()
    assert "1,000 queries take 3.8 s of exact search" in why
    assert choice.kinds(Wish(expected=10**6), 10**6, 384)[0]
    assert choice.kinds(Wish(kind="flat"), 10**6, 384) == ((), "asked")
    monkeypatch.setattr(choice, "free", lambda: gib)  # half of it
    assert list(choice.kinds(Wish(), 10**6, 384)[0]) == ["ivf-pq"]


def test_exact_search_is_chosen_where_the_index_is_no_faster(ws, monkeypatch):
    monkeypatch.setattr(tuning, "times", lambda search: (1.0, 1.0))
    monkeypatch.setattr(indexes.making, "times", lambda search: (1.0, 1.0))
    told = Workspace(ws.root).index("many", recall=0.9, kind="auto", rebuild=True)
    assert told["kind"] == "flat"
    assert "exact search no longer" in told["why"]
    assert ws.index("many", recall=0.9, kind="ivf-pq")["did"].startswith("built")


# What is measured, against other ways to compute it


def test_the_interval_is_wilsons():
    stats = pytest.importorskip("scipy.stats")
    for hits, n in [(0, 50), (47, 50), (950, 1000), (1024, 1024)]:
        theirs = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
        np.testing.assert_allclose(interval(hits / n, n), (theirs.low, theirs.high), atol=1e-4)


def test_the_interval_covers_the_recall_of_other_queries():
    """Recalls of queries that differ much from each other: the truth is inside at least 95 times in 100."""
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(2_000):
        each = rng.binomial(10, rng.beta(18, 1, 300)) / 10
        low, high = interval(float(each.mean()), 300)
        inside.append(low <= 18 / 19 <= high)
    assert np.mean(inside) >= 0.95


@pytest.mark.parametrize("own", [True, False])
def test_recall_is_counted_by_ids_without_the_query_itself(ws, own):
    index = indexes.find(ws._corpora.relation(ws.catalogue.corpus("many")))
    vectors = Vectors.of(MANY, unit=True)
    keys = tuning.keys_of(vectors)
    rows = np.arange(0, N, 400)
    queries = MANY[rows] if own else FEW
    sample = tuning.sample_of(vectors, keys, Vectors.of(queries), rows if own else None)
    found = index.candidates(queries, 41 if own else 40, 5, None)
    for factor, got in zip((1, 4), tuning.recalls(index, keys, sample, 10, 5, (1, 4)), strict=True):
        expected = []
        for i, query in enumerate(queries):
            order = np.argsort(-(MANY @ query), kind="stable")
            best = [row for row in order[:11].tolist() if not own or row != rows[i]][:10]
            seen = [row for row in found[i].tolist() if not own or row != rows[i]][: 10 * factor]
            expected.append(len(set(best) & set(seen)) / 10)
        np.testing.assert_allclose(got, expected)


def test_samples_are_disjoint_and_large_enough():
    vectors = Vectors.of(MANY, unit=True)
    tuned, reported = tuning.samples(vectors, tuning.keys_of(vectors), None, 0.9)
    fresh = tuning.fresh(vectors, tuning.keys_of(vectors))
    assert len(tuned) == len(reported) == len(fresh) == 400
    assert len({*tuned.itself, *reported.itself, *fresh.itself}) == 1_200
    assert interval(1.0, tuning.size_for(0.999, 10**6), tuning.STRICT)[0] > 0.999
    assert interval(1.0, tuning.size_for(0.99, 1400), tuning.STRICT)[0] > 0.99
    with pytest.raises(UsageError):
        tuning.size_for(0.99, 1_200)


def test_equal_values_are_told_apart_by_number():
    keys = np.array([[5, 7, 5, 5, 9]], np.uint64)
    other = np.array([[9, 5, 5, 8, 8]], np.uint64)
    mine, theirs = tuning.told_apart(keys)[0], tuning.told_apart(other)[0]
    assert len(set(mine.tolist())) == 5
    assert len(set(mine.tolist()) & set(theirs.tolist())) == 3  # 9, the first 5, the second 5


def test_a_vectors_key_is_its_value():
    base = np.vstack([MANY[:50], MANY[:50], np.zeros((2, D), np.float32), np.full((1, D), -0.0, np.float32)])
    keys = tuning.keys_of(Vectors.of(base))
    np.testing.assert_array_equal(keys[:50], keys[50:100])
    assert len(set(keys.tolist())) == 51
    assert len(set(keys[100:].tolist())) == 1


# When it is used


def promising(index_seconds, exact_seconds) -> Index:
    promise = Promise(10, 40, 4, 1000, 0.96, 0.95, 0.97, index_seconds)
    measured = Measured(
        Wish(0.95), "ivf-pq", "", 10**6, 8, 4000, 10**6, 0, 0, 0, "", "", (promise,), exact_seconds
    )  # fmt: skip
    return Index(None, None, measured)


def test_an_index_pays_for_few_queries_and_wide_filters_only(monkeypatch):
    monkeypatch.setattr(Index, "_furthest", 4000)
    index = promising((0.001, 0.001), (0.1, 0.002))
    assert index.is_faster(1, 1.0)
    assert index.is_faster(50, 1.0)
    assert not index.is_faster(1, 0.01)  # so few rows are sooner compared than looked for
    assert not index.is_faster(0, 1.0)
    assert not index.is_faster(1, 1.0, 11)  # for so many neighbours nothing is known
    assert not promising((0.001, 0.003), (0.1, 0.002)).is_faster(1000, 1.0)


def test_what_cannot_be_asked_is_said(ws):
    for asked in (0, 1.0):
        with pytest.raises(UsageError, match="recall = "):
            ws.index("many", recall=asked)
    with pytest.raises(UsageError, match="kind = 'pq': there are auto, flat, ivf"):
        ws.index("many", kind="pq")
    with pytest.raises(UsageError, match="40 rows need no index"):
        ws.index("few", kind="ivf")
    with pytest.raises(UsageError, match="memory = 0"):
        ws.index("many", memory=0)
    with pytest.raises(UsageError, match="expected = 0"):
        ws.index("many", expected=0)


def test_forgetting_a_document_takes_its_vector_out_of_every_index(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "LEAST_ROWS", 100)
    ws = Workspace(tmp_path)
    some, asks = clustered(600, 1), clustered(300, 2)
    for name, vectors in (("many", some), ("asks", asks)):
        ids = [f"{name}{i}" for i in range(len(vectors))]
        ws.add(name, pl.DataFrame({"id": ids, "text": [f"{name} text {i}" for i in range(len(ids))]}), vectors=vectors)
    ws.index("many", recall=0.8, kind="ivf", queries="asks")
    (forgotten,) = ws.forget("asks:asks3")
    assert "many" in forgotten.indexes
    assert not list((tmp_path / "indexes" / "many").glob("*/approximate-*"))
    ws.index("many", recall=0.8, kind="ivf")
    assert json.loads(next((tmp_path / "indexes" / "many").glob("*/approximate-own/index.json")).read_text())["sha256"]
