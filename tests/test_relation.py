"""A relation reads the columns it is asked for, and a corpus's vectors are found again without its texts."""

import shutil

import numpy as np
import polars as pl
import pytest

from curator import Workspace
from curator.catalogue import Corpus
from curator.relation import Documents, Relation
from curator.vectors import Vectors, text_hash

FRAME = pl.DataFrame({"id": ["a", "b", "c"], "text": ["red", "green", "blue"], "size": [3, 1, 2]})
NEAREST = (
    "SELECT t.id AS t_id, p.id AS p_id FROM notes t JOIN notes p EXACT NEAREST 1 "
    "BY SIMILARITY array_inner_product(t.embedding, p.embedding) ORDER BY t_id"
)


@pytest.fixture
def watched():
    """Documents, and the list of what has been read of them."""
    read: list[list[str]] = []

    def columns(names):
        read.append(names)
        return FRAME.select(names)

    return Relation(Documents(FRAME.schema, len(FRAME), columns)), read


def test_a_column_is_read_once_and_only_when_it_is_asked_for(watched):
    relation, read = watched
    assert (len(relation), relation.columns, read) == (3, FRAME.columns, [])
    assert relation.select(["size"]).equals(FRAME.select("size"))
    assert relation.select(["id", "size"]).equals(FRAME.select("id", "size"))
    assert read == [["size"], ["id"]]
    assert relation.empty().column_names == FRAME.columns
    assert read == [["size"], ["id"]]
    assert relation.frame.equals(FRAME)
    assert read == [["size"], ["id"], ["text"]]


def test_rows_taken_and_numbered_read_no_more_than_is_asked(watched):
    relation, read = watched
    taken = relation.take([2, 0]).numbered("n").take([1, 0, 1])
    assert taken.select(["n", "id"]).rows() == [(1, "a"), (0, "c"), (1, "a")]
    assert read == [["id"]]
    assert taken.frame.rows() == [(1, "a", "red", 3), (0, "c", "blue", 2), (1, "a", "red", 3)]
    assert relation.take([]).numbered("n").frame.schema == {"n": pl.Int64, **FRAME.schema}


@pytest.fixture
def root(tmp_path, toy):
    ws = Workspace(tmp_path / "work", encoder=toy)
    ws.add("notes", FRAME)
    ws.embed("notes")
    return ws.root


def test_a_query_reads_the_columns_that_it_names(root, toy, monkeypatch):
    def no_texts(corpus):
        raise AssertionError("texts are read again")

    monkeypatch.setattr(Corpus, "texts", no_texts)
    monkeypatch.setattr(Corpus, "frame", no_texts)
    ws = Workspace(root, encoder=toy)
    assert ws.sql(NEAREST).rows() == [(name, name) for name in FRAME["id"]]
    relation = ws._relations()["notes"]
    assert set(relation._documents._known) == {"id"}
    assert [row["embedded"] for row in ws.ls()] == [True]


def test_a_new_version_and_a_lost_store_are_embedded_again(root, toy):
    ws = Workspace(root, encoder=toy)
    more = pl.concat([FRAME, FRAME.with_columns(pl.col("id") + "2", pl.col("text") + " again")])
    ws.add("notes", more)
    assert ws.sql(NEAREST).rows() == [(name, name) for name in more["id"].sort()]
    shutil.rmtree(root / "vectors")
    assert [row["embedded"] for row in ws.ls()] == [False]
    assert ws.sql(NEAREST).height == len(more)
    expected = toy.encode(more["text"].to_list()).vectors
    np.testing.assert_array_equal(Workspace(root, encoder=toy)._relations()["notes"].vectors.matrix(), expected)


def test_a_store_that_was_tidied_is_looked_through_again(root, toy):
    ws = Workspace(root, encoder=toy)
    counts = ws.sql("SELECT id, n_tokens FROM notes")
    toy.seen.clear()
    assert ws._corpora.store().forget(text_hash(["red"])).rewritten == 1
    assert [row["embedded"] for row in ws.ls()] == [False]
    assert ws.sql("SELECT id, n_tokens FROM notes").equals(counts)
    assert toy.seen == ["red"]
    assert Workspace(root, encoder=toy).sql(NEAREST).rows() == [(name, name) for name in FRAME["id"]]


def test_shards_whose_columns_differ_are_one_relation(tmp_path, toy):
    ws = Workspace(tmp_path / "work", encoder=toy)
    (tmp_path / "a.jsonl").write_text('{"text": "red", "n": 1}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "blue", "n": 2.5, "more": "x"}\n')
    ws.add("notes", tmp_path / "*.jsonl")
    assert ws.sql("SELECT text, n, more FROM notes").rows() == [("red", 1.0, None), ("blue", 2.5, "x")]
    assert ws.sql("SELECT more FROM notes WHERE n > 2").rows() == [("x",)]


def test_tokens_follow_their_rows():
    def counting(*numbers):
        frame = pl.DataFrame({"id": [f"{number}" for number in numbers]})
        counts = np.array(numbers, np.int32)
        vectors = Vectors.of(np.array(numbers, np.float32)[:, None])
        return Relation(frame, vectors, count_tokens=lambda rows: counts[rows])

    parts = [counting(1, 2, 3), counting(4, 5).numbered("n"), counting(6).with_frame(pl.DataFrame({"id": ["6"]}))]
    joined = Relation.concat(parts, pl.concat([part.frame.select("id") for part in parts]))
    for relation in (joined, joined.take([5, 0, 3, 3, 1]), joined.take([5, 4, 2]).take([2, 0]), joined.take([])):
        table = relation.arrow(derived={"n_tokens"})
        assert table.column("n_tokens").to_pylist() == [int(name) for name in relation.frame["id"]]
        np.testing.assert_array_equal(relation.vectors.matrix()[:, 0], table.column("n_tokens").to_numpy())
        assert relation.empty(derived={"n_tokens"}).schema == table.schema
    without = Relation(FRAME, Vectors.of(np.ones((3, 1), np.float32)))
    assert Relation.concat([parts[0], without], pl.DataFrame({"id": list("abcdef")})).derived == {"embedding"}
    assert counting(1).with_frame(pl.DataFrame({"N_tokens": [7]})).derived == {"embedding"}
