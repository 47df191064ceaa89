"""Approximate indexes: true scores, no missing neighbours, the recall that is promised, and when they are used."""

import numpy as np
import polars as pl
import pytest

from curator import Workspace, indexes
from curator.errors import UsageError
from curator.indexes import Index

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


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    ws = Workspace(tmp_path_factory.mktemp("indexed"))
    for name, vectors in (("many", MANY), ("few", FEW)):
        rows = len(vectors)
        frame = pl.DataFrame({"id": [f"{name}{i}" for i in range(rows)], "text": ["t"] * rows, "n": range(rows)})
        ws.add(name, frame, vectors=vectors)
    ws.measured = ws.index("many", recall=0.9)
    return ws


@pytest.fixture
def always(monkeypatch):
    """Which way is faster depends on the machine; here it is the index."""
    monkeypatch.setattr(Index, "is_faster", lambda self, queries, kept: True)


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
    assert ws.measured["recall_low"] >= 0.9
    assert 1 <= ws.measured["probes"] < ws.measured["lists"]
    rows = ws.sql(JOIN.format("APPROX NEAREST 10"))
    report = ws.last_report["joins"][0]
    assert not report["exact"]
    assert "recall@10 0." in report["reason"] or "recall@10 1." in report["reason"]
    assert recall(rows, np.arange(N), 10) >= 0.85  # other queries than it was measured on
    np.testing.assert_allclose(rows["s"], true_scores(rows), atol=1e-6)


def test_exact_never_uses_it_and_approx_only_where_it_is_faster(ws, monkeypatch):
    monkeypatch.setattr(Index, "is_faster", lambda self, queries, kept: False)
    for kind in ("EXACT", "APPROX"):
        rows = ws.sql(JOIN.format(f"{kind} NEAREST 10"))
        assert ws.last_report["joins"][0]["exact"]
        assert recall(rows, np.arange(N), 10) == 1
    monkeypatch.setattr(Index, "is_faster", lambda self, queries, kept: True)
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
    (relation.home / "ivf-own" / "index.json").rename(tmp_path / "index.json")  # without it there is none
    assert indexes.find(relation) is None
    (tmp_path / "index.json").rename(relation.home / "ivf-own" / "index.json")
    again.add("many", pl.DataFrame({"text": ["a", "b"]}), vectors=MANY[:2])
    assert indexes.find(again._corpora.relation(again.catalogue.corpus("many"))) is None


def test_what_cannot_be_indexed_is_said(ws):
    with pytest.raises(UsageError, match="40 documents need no index"):
        ws.index("few")
    with pytest.raises(UsageError, match=r"recall = 1\.0"):
        ws.index("many", recall=1.0)


def test_an_index_pays_for_few_queries_and_wide_filters_only():
    measured = indexes.Measured(10**6, 8, 4000, 40, 0.95, 0.96, 0.95, 0.97, (0.001, 0.001), (0.1, 0.002))
    index = Index(None, measured)
    assert index.is_faster(1, 1.0)
    assert index.is_faster(50, 1.0)
    assert not index.is_faster(1, 0.01)  # so few rows are sooner compared than looked for
    assert not index.is_faster(0, 1.0)
    bulk = indexes.Measured(10**6, 8, 4000, 40, 0.95, 0.96, 0.95, 0.97, (0.001, 0.003), (0.1, 0.002))
    assert not Index(None, bulk).is_faster(1000, 1.0)
