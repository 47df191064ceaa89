"""Certificates of stages that an index served: against selections worked out by hand, whole and on parts."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from curator import Recipe, Workspace, certificates, indexes, neighbours
from curator.certificates import Certificate, certify
from curator.cli import app
from curator.nearest import Searching, Tools, rewrite
from curator.report import mix_sections
from curator.stages import Stage, run

NEAR = """-- Keep the k nearest of each target document.
-- :k  INTEGER  3  how many
WITH found AS (
    SELECT c.corpus, c.id, array_inner_product(t.embedding, c.embedding) AS s
    FROM target AS t JOIN {} AS c {} NEAREST $k BY SIMILARITY array_inner_product(t.embedding, c.embedding)
)
SELECT c.corpus, c.id, count(f.id) > 0 AS keep, max(f.s) AS score
FROM candidates AS c LEFT JOIN found AS f ON f.corpus = c.corpus AND f.id = c.id GROUP BY ALL
"""
ALONE = """-- Drop what has a neighbour over a cosine.
WITH found AS (
    SELECT c.corpus, c.id, max(array_inner_product(c.embedding, o.embedding)) AS s
    FROM candidates AS c JOIN candidates AS o APPROX NEAREST 3
        BY SIMILARITY array_inner_product(c.embedding, o.embedding)
    WHERE c.id <> o.id GROUP BY ALL
)
SELECT c.corpus, c.id, coalesce(f.s, -1) < 0.8 AS keep, f.s AS score
FROM candidates AS c LEFT JOIN found AS f ON f.corpus = c.corpus AND f.id = c.id
"""
N, D = 400, 10


def unit(matrix):
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


POOL = unit(np.random.default_rng(1).normal(size=(N, D)))
ALL = np.arange(N)
TARGET = unit(np.random.default_rng(2).normal(size=(60, D)))


class Forgetful:
    """Stands for an index that never finds the documents in every third row of its corpus; else exact."""

    measured = SimpleNamespace(told=lambda _: "an index that forgets", zeros=0)

    def is_faster(self, *_):
        return True

    def seconds(self, *_):
        return 0.0

    def certified(self, left, right, k, among):
        rows = np.arange(len(right)) if among is None else among
        rows = rows[rows % 3 != 0]
        edges = neighbours.nearest(left, right.take(rows), k)
        return replace(edges, right=rows[edges.right]), None


@pytest.fixture
def forgetful(monkeypatch):
    """An index of every corpus."""
    monkeypatch.setattr(indexes, "find", lambda relation: None if relation.home is None else Forgetful())


@pytest.fixture
def folder(tmp_path):
    labels = ["a", "b"]
    ws = Workspace(tmp_path / "ws")
    for name, vectors in (
        ("docs", POOL),
        ("shots", TARGET),
        ("held", unit(np.random.default_rng(3).normal(size=(20, D)))),
    ):
        rows = [
            {"id": f"{name}{i:03}", "text": f"{name} is the text {i}", "label": labels[i % 2]}
            for i in range(len(vectors))
        ]
        ws.add(name, pl.DataFrame(rows), vectors=vectors)
    (tmp_path / "near.sql").write_text(NEAR.format("candidates", "APPROX"))
    (tmp_path / "exact.sql").write_text(NEAR.format("candidates", "EXACT"))
    return tmp_path


def recipe(folder, *stages, **pool):
    values = {
        "name": "made",
        "task": {"target": {"corpus": "shots"}, "test": {"corpus": "held"}},
        "pool": {"docs": pool},
        "stage": [{"use": stage} for stage in stages],
    }
    return Recipe.parse(values, folder=folder)


def prepared(folder, **pool):
    ws = Workspace(folder / "ws")
    made = recipe(folder, **pool)
    task = ws._workshop(made).prepare(made, 0)
    return ws, {**task.relations, "candidates": task.pool}


def nearest_of(target, rows, k=3):
    """Rows of the pool that are among the k nearest of some target vector, of some rows alone."""
    scores = target.astype(np.float64) @ POOL[rows].T.astype(np.float64)
    return {f"docs{rows[j]:03}" for line in np.argsort(-scores, axis=1)[:, :k] for j in line}


def test_the_overlap_is_that_of_the_two_selections(folder, forgetful):
    ws = Workspace(folder / "ws")
    mix = ws.mix(recipe(folder, "near.sql"))
    task = ws._workshop(None).prepare(recipe(folder), 0)
    target = task.target.vectors.matrix()
    left = mix.ledger().filter(pl.col("stage") == "decontaminate", "keep")["id"].to_list()
    rows = np.array([int(name.removeprefix("docs")) for name in left])
    ours, exact = nearest_of(target, rows[rows % 3 != 0]), nearest_of(target, rows)
    assert set(mix.frame()["id"]) == ours != exact
    expected = len(ours & exact) / len(ours | exact)
    told = Certificate(**mix.lock["certificates"][0])
    assert told == Certificate("near", expected, expected, expected, len(ours | exact), len(target), len(target))
    assert 0.3 < expected < 0.8
    summary = mix.summary()
    assert summary["certificates"] == mix.lock["certificates"]
    assert [join["exact"] for join in summary["joins"]] == [True, False]
    assert "selector on the index" in summary["joins"][1]["filter"]
    shown = CliRunner().invoke(app, ["-w", str(ws.root), "mix", str(written(folder))]).stdout
    assert f"near: selected by an approximate index; overlap with exact search {expected:.4f} of" in shown
    assert f"overlap with exact search {expected:.4f} of" in mix_sections.funnel(summary)
    assert mix.verify().documents == len(mix)


def written(folder):
    """The same recipe as a file."""
    (folder / "made.toml").write_text(
        'task = {target = {corpus = "shots"}, test = {corpus = "held"}}\npool = {docs = {}}\n'
        'stage = [{use = "near.sql"}]\n'
    )
    return folder / "made.toml"


def test_exact_stages_have_none_whether_there_is_an_index_or_not(folder, forgetful, monkeypatch):
    mix = Workspace(folder / "ws").mix(recipe(folder, "exact.sql"))
    assert mix.lock["certificates"] == mix.summary()["certificates"] == []
    monkeypatch.setattr(indexes, "find", lambda relation: None)
    plain = Workspace(folder / "ws").mix(recipe(folder, "near.sql"))
    assert plain.lock["certificates"] == []
    assert plain.frame().rows() == mix.frame().rows()


def test_an_index_serves_what_is_left_of_one_corpus_only(folder, forgetful):
    stage = Stage.parse("near", NEAR.format("candidates", "APPROX"), "near.sql")
    ws, relations = prepared(folder, where="id > 'docs100'", sample=200)
    relations["candidates"] = relations["candidates"].take(np.arange(0, 200, 2))
    verdicts = run(stage, {"k": 3}, relations, ws.session)
    rows = np.array([int(name.removeprefix("docs")) for name in relations["candidates"].frame["id"]])
    expected = nearest_of(relations["target"].vectors.matrix(), rows[rows % 3 != 0])
    assert set(verdicts.frame.filter("keep")["id"]) == expected
    filtered = NEAR.format("(SELECT * FROM candidates WHERE id > 'docs250')", "APPROX")
    verdicts = run(Stage.parse("near", filtered, "near.sql"), {"k": 3}, relations, ws.session)
    rows = rows[rows > 250]
    assert set(verdicts.frame.filter("keep")["id"]) == nearest_of(
        relations["target"].vectors.matrix(), rows[rows % 3 != 0]
    )
    shuffled = {**relations, "candidates": relations["candidates"].take(np.arange(100)[::-1])}
    assert run(stage, {"k": 3}, shuffled, ws.session).joins[0].exact


def test_a_pool_of_several_corpora_is_searched_exactly(folder, forgetful):
    Workspace(folder / "ws").add(
        "more", pl.DataFrame({"id": ["m"], "text": ["more"], "label": ["a"]}), vectors=POOL[:1]
    )
    made = recipe(folder, "near.sql")
    both = made.model_copy(update={"pool": {**made.pool, "more": made.pool["docs"]}})
    mix = Workspace(folder / "ws").mix(both)
    assert [join["exact"] for join in mix.summary()["joins"]] == [True, True]
    assert mix.lock["certificates"] == []


def near_to(rows, relations, found):
    """Documents of the pool nearest to some target vectors."""
    return nearest_of(relations["target"].vectors.matrix()[rows], found, 1)


def dropped(rows, relations, found):
    """Documents of some rows that have a neighbour over 0.8 among those that are found."""
    scores = POOL[rows].astype(np.float64) @ POOL[found].T.astype(np.float64)
    scores[rows[:, None] == found[None, :]] = -1
    return {f"docs{row:03}" for row in rows[scores.max(axis=1) >= 0.8]}


@pytest.mark.parametrize(
    ("sql", "parameters", "decided"),
    [(NEAR.format("candidates", "APPROX"), {"k": 1}, near_to), (ALONE, {}, dropped)],
    ids=["near", "alone"],
)
def test_on_parts_it_is_what_their_searches_decided(folder, forgetful, monkeypatch, sql, parameters, decided):
    ws, relations = prepared(folder)
    stage = Stage.parse("own", sql, "own.sql")
    verdicts = run(stage, parameters, relations, ws.session)
    whole = certify("own", stage, parameters, relations, ws.session, verdicts)
    assert whole.rows == whole.of == verdicts.joins[0].left_rows
    monkeypatch.setattr(certificates, "_exact_seconds", lambda *_: 2 * certificates.SECONDS)
    monkeypatch.setattr(certificates, "FEWEST", 2)
    found = certify("own", stage, parameters, relations, ws.session, verdicts)
    assert found.rows == whole.of // 2
    both = either = 0
    for number in range(5):
        rows = Searching(part=(number / 10, (number + 1) / 10)).rows(whole.of)
        ours, exact = (decided(rows, relations, every[every % 3 >= least]) for least, every in ((1, ALL), (0, ALL)))
        both, either = both + len(ours & exact), either + len(ours | exact)
    assert (found.overlap, found.selected) == (both / either, either)
    assert 0.4 < found.overlap < 0.95
    assert 0 <= found.low < found.overlap < found.high <= 1
    assert f"on {found.rows:,} of {found.of:,} rows searched for" in str(found)


def test_parts_are_of_different_rows_and_the_others_find_nothing(folder, forgetful):
    ws, relations = prepared(folder)
    joined = (
        "SELECT t.id AS t, c.id FROM target t LEFT JOIN candidates c {} NEAREST 2 "
        "BY SIMILARITY array_inner_product(t.embedding, c.embedding)"
    )

    def searched(how, part, exact):
        tools = Tools(relations)
        return pl.DataFrame(
            rewrite(ws.session, joined.format(how), {}, tools, searching=Searching(exact, part)).fetch()
        )

    halves = [searched("APPROX", part, exact=True) for part in ((0, 0.5), (0.5, 1))]
    everything = searched("APPROX", None, exact=True)
    assert sorted(pl.concat(halves).rows()) == sorted(everything.rows())
    assert {len(half) for half in halves} == {len(everything) // 2}
    assert len(searched("APPROX", (0, 0), exact=False)) == 0
    assert len(searched("EXACT", (0, 0), exact=False)) == len(everything)  # an index does not serve it
    assert all(int(name.removeprefix("docs")) % 3 for name in searched("APPROX", None, exact=False)["id"])


def test_the_interval_of_a_ratio_over_parts():
    pairs = [(8, 10), (9, 10), (7, 12), (10, 10), (8, 9)]
    overlap, low, high = certificates._estimated(pairs)
    assert overlap == 42 / 51
    without = np.array([34 / 41, 33 / 41, 35 / 39, 32 / 41, 34 / 42])
    spread = 2.776 * np.sqrt(4 / 5 * ((without - without.mean()) ** 2).sum())
    assert (low, high) == pytest.approx((42 / 51 - spread, min(1, 42 / 51 + spread)))
    overlap, low, high = certificates._estimated([(20, 20)] * 5)
    assert (overlap, high) == (1, 1)
    assert low == pytest.approx(0.025 ** (1 / 100))
    assert certificates._estimated([(0, 0)] * 5) == (1, 0, 1)


def test_a_real_index(tmp_path, monkeypatch):
    monkeypatch.setattr(indexes.Index, "is_faster", lambda *_: True)
    monkeypatch.setattr("curator.indexes.choice.LEAST_ROWS", 2_000)
    rng = np.random.default_rng(5)
    ws = Workspace(tmp_path / "ws")
    for name, n in (("docs", 3_000), ("shots", 40), ("held", 20)):
        rows = [{"id": f"{name}{i}", "text": f"{name} is the text {i}", "label": "ab"[i % 2]} for i in range(n)]
        ws.add(name, pl.DataFrame(rows), vectors=unit(rng.normal(size=(n, D))))
    ws.index("docs", recall=0.5, kind="ivf-sq8")
    (tmp_path / "near.sql").write_text(NEAR.format("candidates", "APPROX"))
    mix = ws.mix(recipe(tmp_path, "near.sql"))
    assert [join["exact"] for join in mix.summary()["joins"]] == [True, False]
    assert 0.3 < mix.lock["certificates"][0]["overlap"] < 1
    assert json.dumps(mix.lock["certificates"])
