"""The front door: adding, searching and querying corpora, with the toy encoder."""

import numpy as np
import polars as pl
import pytest

from curator import CuratorWarning, Workspace, recipe
from curator.corpora import Corpora
from curator.encoder import RememberedEncoder
from curator.errors import DataError, QueryError, UnknownNameError, UsageError, WorkspaceError
from curator.vectors import Encoded

FRAME = pl.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "text": ["my card was declined", "the room was cold", "card card card", "late train again"],
        "label": ["bad", "bad", None, "bad"],
        "score": [1, 2, 3, 4],
    }
)


@pytest.fixture
def ws(tmp_path, toy):
    workspace = Workspace(tmp_path / "work", encoder=toy)
    workspace.add("notes", FRAME)
    return workspace


def test_search_ranks_by_cosine(ws, toy):
    found = ws.search("notes", "card declined", k=3)
    vectors = toy.encode(FRAME["text"].to_list()).vectors
    truth = vectors @ toy.encode(["card declined"]).vectors[0]
    assert found["id"].to_list() == [FRAME["id"][int(i)] for i in np.argsort(-truth)[:3]]
    np.testing.assert_allclose(found["score"], np.sort(truth)[::-1][:3], rtol=1e-5)
    assert found.columns[:3] == ["id", "score", "text"]
    assert ws.search("notes", "x", k=99).height == 4


def test_reserved_names_are_renamed_and_told(ws):
    added = ws.add("again", FRAME)
    assert added.renamed == ("score",)
    assert "score → score_" in str(added)
    assert ws.sql("SELECT score_ FROM again ORDER BY id")["score_"].to_list() == [1, 2, 3, 4]


def test_sql_binds_parameters_and_reports(ws):
    sql = (
        "SELECT t.id, p.id, array_inner_product(t.embedding, p.embedding) AS s FROM notes t JOIN notes p "
        "EXACT NEAREST $k BY SIMILARITY array_inner_product(t.embedding, p.embedding) WHERE s < $most"
    )
    with pytest.warns(CuratorWarning, match="4 lists of the 2 nearest of p .* are saturated"):
        rows = ws.sql(sql, k=2, most=0.999)
    assert rows.columns == ["id", "id_1", "s"]
    assert rows.height == 4
    assert ws.last_report["joins"][0]["engine"] == "faiss"
    told = ws.explain(sql, k=2, most=0.5)
    assert told.startswith("FAISS: NEAREST 2")
    assert "4 × 4 rows" in told
    assert "estimated" in told
    assert "measured" not in told
    assert "measured" in ws.explain(sql, analyze=True, k=2, most=0.5)


def test_embed_in_sql_is_the_encoders_vector(ws, toy):
    rows = ws.sql("SELECT id, array_inner_product(embedding, embed($q)) AS s FROM notes ORDER BY s DESC", q="cold room")
    truth = toy.encode(FRAME["text"].to_list()).vectors @ toy.encode(["cold room"]).vectors[0]
    np.testing.assert_allclose(rows["s"], np.sort(truth)[::-1], atol=1e-5)
    with pytest.raises(QueryError, match="embed takes a text"):
        ws.sql("SELECT embed(1)")


def test_half_floats_on_disk_are_unit_rows_of_float32_in_sql_and_in_faiss(tmp_path, toy):
    class Half(type(toy)):
        def encode(self, texts, **rest):
            encoded = super().encode(texts, **rest)
            return Encoded(encoded.vectors.astype(np.float16), encoded.n_tokens, encoded.truncated)

    ws = Workspace(tmp_path / "half", encoder=Half())
    ws.add("notes", FRAME)
    exact = toy.encode(FRAME["text"].to_list()).vectors.astype(np.float16).astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    rows = ws.sql("SELECT embedding FROM notes")
    assert rows.schema["embedding"] == pl.Array(pl.Float32, 64)
    np.testing.assert_allclose(rows["embedding"].to_numpy(), exact, atol=1e-7)
    scores = ws.sql(
        "SELECT array_inner_product(t.embedding, p.embedding) AS s FROM notes t JOIN notes p "
        "EXACT NEAREST 4 BY SIMILARITY array_inner_product(t.embedding, p.embedding)"
    )["s"]
    np.testing.assert_allclose(np.sort(scores), np.sort((exact @ exact.T).ravel()), atol=1e-6)
    assert ws.last_report["joins"][0]["engine"] == "faiss"
    query = ws._corpora.embed_query("card declined")
    assert query.dtype == np.float32
    np.testing.assert_allclose(ws.search("notes", "card declined")["score"].max(), (exact @ query).max(), atol=1e-3)


def test_embedding_is_lazy_and_only_when_named(ws, toy):
    assert toy.seen == []
    assert ws.sql("SELECT * FROM notes").columns == ["id", "text", "label", "source", "split", "score_"]
    assert ws.ls()[0]["embedded"] is False
    assert "embedding" in ws.sql("SELECT id, embedding FROM notes").columns
    assert toy.seen == FRAME["text"].to_list()
    assert ws.ls()[0]["embedded"] is True
    assert "embedding" not in ws.sql("SELECT * FROM notes").columns  # the same columns before and after
    assert "embedding" in ws.sql("SELECT * FROM notes WHERE embedding IS NOT NULL").columns


def test_what_duckdb_must_do_is_said(ws):
    with pytest.warns(CuratorWarning, match="compares every pair"):
        ws.sql(
            "SELECT t.id FROM notes t JOIN notes p EXACT NEAREST 1 BY SIMILARITY "
            "array_inner_product(t.embedding, p.embedding) + 1"
        )


def test_truncated_texts_are_counted(ws):
    ws.add("long", pl.DataFrame({"text": ["word " * 60, "short"]}))
    with pytest.warns(CuratorWarning, match="1 of 2 texts of 'long' are longer"):
        report = ws.embed("long")
    assert report["truncated"] == 1


def test_vectors_of_ones_own(ws):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(4, 3)).astype(np.float32)
    ws.add("own", FRAME, vectors=vectors)
    ws.add("column", FRAME.with_columns(pl.Series("v", vectors.tolist())), vectors="v")
    sql = (
        "SELECT a.id, b.id, array_distance(a.embedding, b.embedding) AS d FROM own a JOIN column_ b "
        "EXACT NEAREST 1 BY DISTANCE array_distance(a.embedding, b.embedding)"
    ).replace("column_", '"column"')
    rows = ws.sql(sql)
    assert rows["id"].to_list() == rows["id_1"].to_list()
    np.testing.assert_allclose(rows["d"], 0, atol=1e-6)
    with pytest.raises(UsageError, match="vectors of its own"):
        ws.search("own", "x")
    with pytest.raises(UsageError, match="vectors of its own"):
        ws.sql("SELECT array_inner_product(embedding, embed('x')) FROM own")
    ws.add("own", FRAME, vectors=(vectors * 2).tolist())
    assert ws.sql("SELECT embedding FROM own WHERE id = 'a'")["embedding"][0].to_list() == (vectors[0] * 2).tolist()
    with pytest.raises(UsageError, match="nothing to embed"):
        ws.embed("own")


def test_bad_vectors_are_rejected_or_refused(ws):
    vectors = np.ones((4, 3), np.float32)
    vectors[2, 1] = np.nan
    assert ws.add("own", FRAME, vectors=vectors).documents == 3
    assert ws.rejects("own")["reason"].to_list() == ["vector with NaN or infinity"]
    assert ws.sql("SELECT count(*) AS n FROM own")["n"][0] == 3
    with pytest.raises(DataError, match="7 vectors for 4 rows"):
        ws.add("many", FRAME, vectors=np.ones((7, 3), np.float32))
    with pytest.raises(DataError, match="3 vectors for at least 4 rows"):
        ws.add("few", FRAME, vectors=vectors[:3])
    with pytest.raises(DataError, match="shape"):
        ws.add("flat", FRAME, vectors=vectors[0])
    ragged = FRAME.with_columns(pl.Series("v", [[1.0], [1.0, 2.0], [1.0], [1.0]]))
    with pytest.raises(DataError, match="one length"):
        ws.add("ragged", ragged, vectors="v")


def test_a_file_is_read_again_only_when_it_changed(tmp_path, ws, monkeypatch):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "one"}\n{"text": "two"}\n')
    first = ws.add("files", str(path))
    monkeypatch.setattr("curator.corpora.read", lambda *_, **__: pytest.fail("read again"))
    assert ws.add("files", str(path)).version == first.version
    monkeypatch.undo()
    path.write_text('{"text": "one"}\n{"text": "three"}\n')
    second = ws.add("files", str(path))
    assert second.version != first.version
    assert ws.catalogue.corpus("files", first.version).frame()["text"].to_list() == ["one", "two"]


def test_rejects_are_kept_with_their_place(tmp_path, ws):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "fine"}\n{"text": \n{"text": ""}\n')
    added = ws.add("bad", str(path))
    assert (added.documents, added.rejects) == (1, 2)
    rejects = ws.sql("SELECT * FROM rejects('bad') ORDER BY line")
    assert rejects["line"].to_list() == [2, 3]
    assert rejects["reason"][1] == "empty text"


def test_a_corpus_of_nothing_is_refused(tmp_path, ws):
    path = tmp_path / "empty.jsonl"
    path.write_text('{"text": ""}\n')
    with pytest.raises(DataError, match="no document could be read, 1 rejects"):
        ws.add("empty", str(path))
    assert "empty" not in ws.catalogue.names()


@pytest.mark.parametrize("name", ["pool", "two words", "1st", "a-b", "__x"])
def test_names_that_cannot_be_relations_are_refused(ws, name):
    with pytest.raises(UsageError):
        ws.add(name, FRAME)


def test_names_that_sql_cannot_tell_apart_are_refused(ws):
    with pytest.raises(UsageError, match="'notes'"):
        ws.add("Notes", FRAME)


def test_a_kill_at_the_first_write_does_not_lock_the_directory(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".curator.json.123.part").write_text("{")
    assert Workspace(tmp_path / "new").ls() == []


def test_unknown_names_get_a_suggestion(ws):
    with pytest.raises(UnknownNameError, match="did you mean 'notes'"):
        ws.search("note", "x")
    with pytest.raises(QueryError, match=r"no corpus or table named 'nots': did you mean 'notes'"):
        ws.sql("SELECT * FROM nots")
    with pytest.raises(UnknownNameError, match="there is no mix yet"):
        ws.mix("missing")


def test_one_writer_at_a_time(tmp_path, ws):
    other = Workspace(tmp_path / "work")
    with ws.catalogue.writing(), pytest.raises(WorkspaceError, match="another process"), other.catalogue.writing():
        pass


def test_only_a_workspace_or_an_empty_directory_is_opened(tmp_path):
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(WorkspaceError, match="not a workspace and not empty"):
        Workspace(tmp_path)
    (tmp_path / "ws").mkdir()
    Workspace(tmp_path / "ws")
    (tmp_path / "ws" / "curator.json").write_text('{"format": 99}')
    with pytest.raises(WorkspaceError, match="format 99"):
        Workspace(tmp_path / "ws")


def test_reprs_are_readable(ws):
    assert repr(ws).endswith("notes: 4 documents")
    assert "4 rows" in repr(ws._corpora.relation(ws.catalogue.corpus("notes")))


def test_a_corpus_is_read_without_asking_for_the_encoder(ws, tmp_path, monkeypatch):
    asked = []

    def load(settings):
        asked.append(settings)
        raise UsageError("no such model")

    monkeypatch.setattr("curator.encoder.remembered.load", load)
    encoder = RememberedEncoder(recipe.Encoder(model=str(tmp_path / "none")), tmp_path / "encoders.json")
    relation = Corpora(ws.catalogue, lambda: encoder).relation(ws.catalogue.corpus("notes"))
    assert relation.frame["id"].to_list() == FRAME["id"].to_list()
    assert asked == []
    for needs_it in (lambda: relation.vectors_key, lambda: relation.dimension, lambda: relation.vectors):
        with pytest.raises(UsageError, match="no such model"):
            needs_it()


def test_an_encoder_of_ones_own_that_changes_its_key_makes_other_vectors(ws, toy, monkeypatch):
    before = ws._corpora.relation(ws.catalogue.corpus("notes"))
    assert before.vectors_key == "toy"
    first = before.vectors.matrix()
    monkeypatch.setattr(toy, "key", "shouting", raising=False)
    monkeypatch.setattr(toy, "direction", lambda word: type(toy).direction(word.upper()), raising=False)
    after = ws._corpora.relation(ws.catalogue.corpus("notes"))
    assert after.vectors_key == "shouting"
    assert np.abs(after.vectors.matrix() - first).max() > 0.01
