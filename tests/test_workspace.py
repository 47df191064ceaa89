"""The front door: adding, searching and querying corpora, with the toy encoder."""

import logging
import re
import subprocess
import sys

import duckdb
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


def test_the_log_says_how_fast_new_texts_were_embedded(ws, caplog):
    def told(name: str) -> list[str]:
        caplog.clear()
        ws.embed(name)
        return [message for message in caplog.messages if message.startswith("embedded")]

    with caplog.at_level(logging.INFO, "curator"):
        (first,), again = told("notes"), told("notes")
        ws.add("more", pl.DataFrame({"text": [*FRAME["text"], "two words", "three more words"]}))
        (more,) = told("more")
    assert re.fullmatch(r"embedded 4 texts of 14 tokens in [\d.]+ s: [\d,.]+ texts/s, [\d,]+ tokens/s", first)
    assert more.startswith("embedded 2 texts of 5 tokens in ")
    assert again == []
    texts, tokens = (float(rate.replace(",", "")) for rate in re.findall(r"([\d,.]+) (?:texts|tokens)/s", more))
    assert tokens == pytest.approx(2.5 * texts, rel=0.01)


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


def test_a_name_that_was_half_written_is_written_again_and_leaves_nothing(tmp_path, ws):
    """As after a kill between the version's manifest and the name that should mean it."""
    (tmp_path / "notes.jsonl").write_text('{"id": "1", "text": "one"}\n')
    ws.add("files", tmp_path / "notes.jsonl")
    current = ws.root / "corpora" / "files" / "current.json"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    current.rename(current.with_name(f".current.json.{gone.pid}.part"))
    before = {path.name for path in current.parent.iterdir()} - {f".current.json.{gone.pid}.part"}
    ws.add("files", tmp_path / "notes.jsonl")
    assert {path.name for path in current.parent.iterdir()} == before | {"current.json"}


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


# Tokens

COUNTED = FRAME.select("id", "label", pl.Series("text", ["one", "two of two", "two of two", "four words are here"]))
BY = "EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.embedding, p.embedding)"
OF_TOKENS = {
    "named": "SELECT id, n_tokens FROM notes",
    "in another case": "SELECT N_Tokens FROM notes",
    "summed": "SELECT sum(n_tokens), max(n_tokens) FROM notes",
    "by group": "SELECT label, sum(n_tokens) FROM notes GROUP BY label",
    "in a filter": "SELECT id FROM notes WHERE n_tokens > 2",
    "through a star": "SELECT id, n_tokens FROM (SELECT * FROM notes WHERE id != 'a')",
    "in a CTE": "WITH short AS (SELECT * FROM notes WHERE n_tokens < 4) SELECT count(*), sum(n_tokens) FROM short",
    "as a key": "SELECT a.id, b.id FROM notes a JOIN notes b USING (n_tokens)",
    "in a view": "SELECT * FROM lengths",
    "in a view of a view": "SELECT * FROM long",
    "vectors in a view": "SELECT id, v[1] > 0 FROM directions",
    "in a macro": "SELECT id FROM longer(2)",
    "in a scalar macro": "SELECT total()",
    "in a text": "SELECT * FROM query('SELECT id, n_tokens FROM notes')",
    "of both sides": f"SELECT t.id, p.id, t.n_tokens, p.n_tokens FROM notes t JOIN notes p {BY}",
    "in the filter of a side": f"SELECT t.id, p.id FROM notes t JOIN (SELECT * FROM notes WHERE n_tokens != 3) p {BY}",
    "of a filtered side": f"SELECT p.n_tokens FROM notes t JOIN (SELECT * FROM notes WHERE id > 'b') p {BY}",
    "of a CTE that is a side": (
        f"WITH few AS (SELECT * FROM notes LIMIT 9) SELECT p.id, p.n_tokens FROM notes t JOIN few p {BY}"
    ),
    "in a filter afterwards": f"SELECT t.id, p.id FROM notes t JOIN notes p {BY} WHERE p.n_tokens > t.n_tokens",
    "as a correlation": (
        f"SELECT t.id, p.id FROM notes t JOIN (SELECT * FROM notes c WHERE c.n_tokens = t.n_tokens) p {BY}"
    ),
    "PIVOT left whole": "SELECT * FROM (PIVOT (SELECT label, n_tokens FROM notes) ON n_tokens USING count(*))",
}
DEFINED = (
    "CREATE VIEW lengths AS SELECT id, n_tokens AS length FROM notes",
    "CREATE VIEW long AS SELECT * FROM lengths WHERE length > 2",
    "CREATE VIEW directions AS SELECT id, embedding AS v FROM notes",
    "CREATE MACRO total() AS (SELECT sum(n_tokens) FROM notes)",
    "CREATE MACRO longer(n) AS TABLE SELECT * FROM notes WHERE n_tokens > n",
)


@pytest.fixture
def counted(tmp_path, toy):
    workspace = Workspace(tmp_path / "counted", encoder=toy)
    workspace.add("notes", COUNTED)
    return workspace


@pytest.mark.parametrize("query", OF_TOKENS)
@pytest.mark.filterwarnings("ignore::curator.CuratorWarning")
def test_tokens_are_a_column_like_any_other(counted, toy, query):
    encoded = toy.encode(COUNTED["text"].to_list())
    assert encoded.n_tokens.tolist() == [1, 3, 3, 4]
    connection = duckdb.connect()
    given = counted.sql("SELECT * FROM notes").with_columns(
        pl.Series("n_tokens", encoded.n_tokens), pl.Series("embedding", encoded.vectors, pl.Array(pl.Float32, 64))
    )
    connection.register("given", given.to_arrow(compat_level=pl.CompatLevel.newest()))
    connection.execute("CREATE TABLE notes AS FROM given")
    for statement in DEFINED:
        connection.execute(statement)
        counted.execute(statement)
    plain = connection.execute(OF_TOKENS[query]).fetchall()
    assert plain
    assert sorted(counted.sql(OF_TOKENS[query]).rows(), key=repr) == sorted(plain, key=repr)
    assert all(join["engine"] == "faiss" for join in counted.last_report["joins"])


def test_tokens_are_counted_when_they_are_named_and_no_part_of_a_star(counted, toy):
    assert "n_tokens" not in counted.sql("SELECT * FROM notes").columns
    with pytest.raises(QueryError):
        counted.sql("SELECT n_tokens, nothing FROM notes")
    assert toy.seen == []
    counts = counted.sql("SELECT n_tokens FROM notes WHERE id = 'd'")
    assert counts.schema == {"n_tokens": pl.Int32}
    assert counts.rows() == [(4,)]
    assert toy.seen == ["one", "two of two", "four words are here"]
    assert counted.sql("SELECT * FROM notes").columns == ["id", "text", "label", "source", "split"]
    both = counted.sql("SELECT * FROM notes WHERE n_tokens > 3 AND embedding IS NOT NULL")
    assert both.columns[-2:] == ["n_tokens", "embedding"]
    assert "embedding" not in counted.sql("SELECT * FROM notes WHERE n_tokens > 3").columns


def test_a_score_called_like_them_is_not_what_a_filter_compares(counted):
    counted.sql(  # in DuckDB a column of FROM comes before an alias, so no list is cut by a threshold: no warning
        "SELECT t.id, array_inner_product(t.embedding, p.embedding) AS n_tokens "
        f"FROM (SELECT id, embedding FROM notes) t JOIN notes p {BY} WHERE n_tokens > 0.5"
    )
    assert counted.last_report["rows"] == 8


def test_tokens_of_what_has_none_and_of_files_that_call_a_column_so(counted):
    counted.add("own", FRAME, vectors=np.ones((4, 3), np.float32))
    assert counted.sql("SELECT * FROM own").columns[-1] == "embedding"
    with pytest.raises(QueryError, match='"n_tokens" not found'):
        counted.sql("SELECT n_tokens FROM own")
    beside = counted.sql("SELECT notes.n_tokens FROM own JOIN notes USING (id) WHERE own.embedding IS NOT NULL")
    assert sorted(beside["n_tokens"]) == [1, 3, 3, 4]
    added = counted.add("theirs", COUNTED.with_columns(n_tokens=9))
    assert added.renamed == ("n_tokens",)
    assert counted.sql("SELECT n_tokens, n_tokens_ FROM theirs WHERE id = 'b'").rows() == [(3, 9)]


def test_progress_of_embedding_tells_texts_and_tokens(tmp_path, toy, monkeypatch):
    monkeypatch.setattr("curator.vectors.store.SHARD_ROWS", 2)
    told = []
    ws = Workspace(tmp_path / "ws", encoder=toy, progress=lambda *step: told.append(step))
    ws.add("notes", pl.DataFrame({"text": ["one two", "three", "one two", "four five six"]}))
    assert told == [("reading notes", 4, 0)]
    told.clear()
    report = ws.embed("notes")
    assert told == [("embedding notes", 2, 3, 3), ("embedding notes", 3, 3, 6)]  # what comes twice is read once
    assert report["tokens"] == 8
