"""The demo's mix, with its real encoder: what was planted in the sample corpora stays out."""

import json

import numpy as np
import polars as pl
import pytest

from curator import Recipe, Workspace, demo
from curator.race.choosing import Chooser


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("demo") / "work")
    docstrings = pl.DataFrame({"id": ["a", "b"], "text": ["Return the sum of two arrays.", "Open a file for reading."]})
    workspace.add("docstrings", docstrings)
    return workspace


@pytest.fixture(scope="module")
def mix(ws):
    return ws.mix(demo.recipe())


@pytest.fixture(scope="module")
def planted():
    return [json.loads(line) for line in (demo.corpora() / "planted.jsonl").read_text("utf8").splitlines()]


def test_no_planted_leak_is_in_the_mix_or_in_any_arm(ws, mix, planted):
    leaks = {(row["corpus"], row["id"]) for row in planted if row["kind"].startswith("leak")}
    assert len(leaks) == 24
    task = ws._workshop(None).prepare(Recipe.load(demo.recipe()), 0)
    selecting = ["mix", "random", "random-balanced", "bm25", "dsir", "knn", "round-robin", "tsds"]
    chooser = Chooser([*selecting, "full"], ws._workshop(None), demo.recipe().parent)
    sizes = {}
    for arm in (*selecting, "full"):
        documents = chooser.choose(arm, task, mix).documents
        assert not leaks & set(documents.select("corpus", "id").iter_rows()), arm
        sizes[arm] = len(documents)
    assert {sizes[arm] for arm in selecting} == {len(mix)}


def test_of_a_planted_exact_duplicate_at_most_one_is_kept(mix, planted):
    kept = set(mix.frame().select("corpus", "id").iter_rows())
    for row in planted:
        if row["kind"] == "exact-duplicate":
            assert not {(row["corpus"], row["id"]), tuple(row["of"].split(":"))} <= kept


def test_every_document_has_one_fate_and_the_counts_add_up(mix):
    deciding, summary = mix.ledger().filter("deciding"), mix.summary()
    assert len(deciding) == summary["pool"] == deciding.select("corpus", "id").n_unique()
    assert summary["funnel"][0]["seen"] == summary["pool"]
    assert summary["funnel"][-1]["kept"] == len(mix) == 360
    assert {row["rule"] for row in mix.ledger().filter(corpus="docstrings").to_dicts()} == {"no usable label"}
    assert {join["engine"] for join in summary["joins"]} == {"faiss"}


def test_only_documents_that_can_be_chosen_are_embedded(ws, mix):
    store, texts = ws._corpora.store(), ["Return the sum of two arrays.", "Open a file for reading."]
    assert store.missing([((), texts, np.arange(2))], store.index()) == 2
