"""The recall that was asked, on public texts and fresh queries, where CURATOR_DATA says the texts are."""

import logging
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curator import Workspace, indexes
from curator.indexes.measured import interval
from curator.vectors import Vectors

log = logging.getLogger(__name__)
DATA = os.environ.get("CURATOR_DATA", "")
CORPORA = {"titles": "bulk/reddit_titles.parquet", "sentences": "bulk/wiki_sentences.parquet"}
ROWS, FRESH, K = 12_000, 1_500, 10

pytestmark = pytest.mark.skipif(not DATA, reason="CURATOR_DATA does not name a folder with the public data sets")


@pytest.fixture(scope="module", params=CORPORA)
def corpus(request, tmp_path_factory):
    """Documents and, not among them, fresh ones; embedded by the model that curator brings."""
    path = Path(DATA) / CORPORA[request.param]
    column = "text" if "text" in pl.read_parquet_schema(path) else next(iter(pl.read_parquet_schema(path)))
    texts = pl.scan_parquet(path).select(column).unique(maintain_order=True).collect().to_series()
    texts = texts.sample(ROWS + FRESH, seed=0, shuffle=True)
    ws = Workspace(tmp_path_factory.mktemp(request.param))
    ws.add("docs", pl.DataFrame({"text": texts[:ROWS]}))
    ws.add("fresh", pl.DataFrame({"text": texts[ROWS:]}))
    vectors = {name: ws._corpora.relation(ws.catalogue.corpus(name)).vectors.matrix() for name in ("docs", "fresh")}
    best = np.argsort(-(vectors["fresh"] @ vectors["docs"].T), axis=1, kind="stable")[:, :K]
    return ws, Vectors.of(vectors["fresh"], unit=True), best


@pytest.mark.parametrize("kind", ["ivf-pq", "ivf-sq8", "ivf", "hnsw", "hnsw-sq8"])
@pytest.mark.parametrize("asked", [0.9, 0.95, 0.99])
def test_fresh_queries_find_what_was_asked(corpus, kind, asked):
    ws, fresh, best = corpus
    told = ws.index("docs", recall=asked, kind=kind)
    relation = ws._corpora.relation(ws.catalogue.corpus("docs"))
    found = indexes.find(relation).nearest(fresh, relation.vectors, K).right.reshape(-1, K)
    recall = np.mean([len({*a} & {*b}) / K for a, b in zip(best.tolist(), found.tolist(), strict=True)])
    low, high = interval(float(recall), len(fresh))
    log.info("%s: %s; fresh %.4f (%.4f to %.4f)", ws.root.name, told["index"], recall, low, high)
    assert recall >= asked
