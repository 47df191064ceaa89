"""``curator atlas``: what is written for embedding-atlas, and how it is opened."""

import json
import stat

import numpy as np
import polars as pl
import pytest
from looked import raced
from test_cli import run  # noqa: F401  fixture

from curator import Recipe, Workspace
from curator.errors import UsageError


@pytest.fixture
def workspace(tmp_path, toy):
    return raced(tmp_path, toy)[0]


def test_every_document_that_was_seen_is_there_with_its_fate_and_vector(workspace, tmp_path, toy):
    said = workspace.mix("looked").atlas(tmp_path / "looked.parquet")
    assert said.startswith(f"{tmp_path / 'looked.parquet'}: 102 documents, on a plane by t-SNE")
    frame = pl.read_parquet(tmp_path / "looked.parquet")
    assert frame.schema["embedding"] == pl.Array(pl.Float32, toy.dimension)
    assert frame.filter(kind="target")["id"].n_unique() == 12
    ledger = workspace.sql("SELECT corpus, id, keep, stage FROM ledger('looked') WHERE deciding")
    pool = frame.filter(pl.col("kind") != "target").join(ledger, on=["corpus", "id"], how="full", coalesce=True)
    assert len(pool) == 90
    assert ((pool["kind"] == "kept") == pool["keep"]).all()
    assert pool["stage"].equals(pool["stage_right"].alias("stage"))
    assert all(why.startswith(stage) for why, stage in pool.select("reason", "stage").iter_rows())
    wanted = toy.encode(frame["text"].to_list()).vectors
    assert np.allclose(frame["embedding"].to_numpy(), wanted, atol=1e-6)
    assert frame.select("x", "y").to_numpy().min() >= 0
    with pytest.raises(UsageError, match=r"\.parquet"):
        workspace.mix("looked").atlas(tmp_path / "looked.csv")


def test_documents_that_no_stage_saw_are_left_out_and_counted(tmp_path, toy):
    rows = [
        {"id": f"{i}", "text": f"plain words of number {i}, told at some length", "label": "ab"[i % 2]}
        for i in range(20)
    ]
    (tmp_path / "target.jsonl").write_text("\n".join(map(json.dumps, rows)))
    other = [{"id": f"{i}", "text": f"others {i} talk of boats", "label": "abc"[i % 3]} for i in range(30)]
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, other)))
    split = {"target": "target.jsonl", "split": {"test": 0.3}}
    recipe = Recipe.parse({"name": "m", "task": split, "pool": {"p": {"path": "pool.jsonl"}}}, folder=tmp_path)
    ws = Workspace(tmp_path / "work", encoder=toy)
    assert "; 10 documents without a usable label" in ws.mix(recipe).atlas(tmp_path / "m.parquet")
    assert len(pl.read_parquet(tmp_path / "m.parquet").filter(pl.col("kind") != "target")) == 20


def test_embedding_atlas_is_started_with_the_file_or_asked_for(workspace, run, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    code, out, err = run("atlas", "looked")
    assert code == 1
    assert "looked.atlas.parquet: 102 documents" in out
    assert "looked.atlas.parquet is written" in err
    assert "pip install 'curator[atlas]'" in err
    assert (tmp_path / "looked.atlas.parquet").exists()
    program = tmp_path / "embedding-atlas"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > asked\ntest "$1" != broken.parquet\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert run("atlas", "looked", "--port", "5100")[0] == 0
    places = ["--text", "text", "--x", "x", "--y", "y", "--disable-projection"]
    assert (tmp_path / "asked").read_text().split() == ["looked.atlas.parquet", *places, "--port", "5100"]
    code, _, err = run("atlas", "looked", "-o", "broken.parquet")
    assert code == 1
    assert "broken.parquet is written, but embedding-atlas ended with 1" in err
