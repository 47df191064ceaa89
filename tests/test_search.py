"""search, bm25 and hybrid against numpy, the formula of BM25 and the formula of rank fusion, all written out here."""

import importlib
import json
import logging
import math
import shutil

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator import Workspace
from curator.errors import QueryError, UsageError
from curator.files import sha256
from curator.functions import bm25, hybrid, search
from curator.relation import Relation
from curator.vectors import Vectors

module = importlib.import_module("curator.functions.bm25")  # the name in the package is the function


def documents(texts, **columns) -> Relation:
    ids = [f"d{i:02}" for i in range(len(texts))]
    return Relation(pl.DataFrame({"id": ids, "text": texts, **columns}, schema_overrides={"text": pl.String}))


def lucene(corpus, query):
    """BM25 of each document, from lists of terms: one line of formula per term of the query."""
    n, mean = len(corpus), np.mean([len(document) for document in corpus])
    scores = [0.0] * n
    for term in query:
        having = sum(term in document for document in corpus)
        for i, document in enumerate(corpus):
            f = document.count(term)
            idf = math.log(1 + (n - having + 0.5) / (having + 0.5))
            scores[i] += idf * f / (f + 1.5 * (1 - 0.75 + 0.75 * len(document) / mean))
    return scores


def best(scores, k, *, above=-math.inf):
    """Positions of the k highest, the first of equals first."""
    order = sorted(range(len(scores)), key=lambda i: (-round(scores[i], 5), i))
    return [i for i in order if scores[i] > above][:k]


def found(table) -> list[str]:
    assert table["rank"].to_pylist() == list(range(1, len(table) + 1))
    return table["id"].to_pylist()


# bm25

WORDS = st.lists(st.sampled_from(["card", "cold", "late", "room", "train"]), max_size=6)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(corpus=st.lists(WORDS, min_size=1, max_size=12), query=WORDS.filter(bool), k=st.integers(1, 13))
def test_bm25_is_the_formula_of_lucene(corpus, query, k):
    table = bm25(documents([" ".join(words) for words in corpus]), " ".join(query), k)
    truth = lucene(corpus, query) if any(corpus) else [0.0] * len(corpus)
    rows = best(truth, k, above=0)
    assert found(table) == [f"d{i:02}" for i in rows]
    np.testing.assert_allclose(table["score"].to_pylist(), [truth[i] for i in rows], rtol=1e-5)


def test_bm25_by_hand():
    table = bm25(documents(["cold room", "room room late", "train"]), "room")
    # 2 of 3 documents have it, the mean length is 2: idf = ln(1 + 1.5 / 2.5), then f / (f + 1.5 · (¼ + ¾ length / 2)).
    assert found(table) == ["d01", "d00"]
    assert table["score"].to_pylist() == pytest.approx([0.470004 * 2 / (2 + 2.0625), 0.470004 / 2.5], rel=1e-5)


def test_bm25_keeps_the_words_that_lists_of_stop_words_drop():
    corpus = documents(["to be or not to be", "the question", "a train"])
    assert found(bm25(corpus, "to be")) == ["d00"]
    assert found(bm25(corpus, "THE")) == ["d01"]


@pytest.mark.parametrize(
    ("text", "query", "is_found"),
    [
        ("The driver's phone", "driver", True),
        ("Card-holder", "HOLDER", True),
        ("snake_case", "snake", True),
        ("L’avion", "avion", True),
        ("ＡＢＣ 2024", "abc", True),  # full width
        ("½ ﬁnal", "final", True),
        ("cafe\u0301", "café", True),  # composed or not
        ("café", "cafe", False),
        ("cards", "card", False),  # no stemming
        ("मानव अधिकार", "मानव", True),
        ("मानव अधिकार", "मान", False),  # a vowel sign does not end a word
        ("Über die Straße", "über", True),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευς", True),
        ("добрый день", "ДЕНЬ", True),
        ("我喜欢喝茶。", "茶", True),
        ("我喜欢喝茶。", "咖啡", False),
        ("用GPT模型", "gpt", True),
        ("二〇二四年", "〇", True),
        ("コーヒーを飲む", "ｺｰﾋｰ", True),
        ("ร้านกาแฟ", "กาแฟ", True),
        ("안녕하세요", "안녕", True),
        ("?!", "?!", False),
        (None, "none", False),
    ],
)
def test_how_a_text_is_cut_into_terms(text, query, is_found):
    assert found(bm25(documents([text, "x"]), query)) == (["d00"] if is_found else [])


def test_chinese_terms_are_characters_and_pairs_of_neighbours():
    texts = ["喝茶好", "茶好喝", "好。喝 abc"]
    terms = [
        ["喝", "茶", "好", "喝茶", "茶好"],
        ["茶", "好", "喝", "茶好", "好喝"],
        ["好", "喝", "abc"],  # what punctuation parts are no neighbours
    ]
    truth = lucene(terms, ["喝", "茶", "喝茶"])
    table = bm25(documents(texts), "喝茶")
    assert found(table) == ["d00", "d01", "d02"]
    np.testing.assert_allclose(table["score"].to_pylist(), [truth[i] for i in best(truth, 3)], rtol=1e-5)
    odd = bm25(documents(["一二三四五", "五四三二一"]), "二三")  # pairs from either place of a run
    assert found(odd) == ["d00", "d01"]
    assert odd["score"][0].as_py() > odd["score"][1].as_py()


def test_bm25_pads_nothing_and_breaks_ties_by_position():
    corpus = documents(["late"] * 5 + ["room", None, ""])
    assert found(bm25(corpus, "late", 99)) == ["d00", "d01", "d02", "d03", "d04"]
    assert found(bm25(corpus, "late", 3)) == ["d00", "d01", "d02"]
    assert found(bm25(corpus, "unheard of", 3)) == []


@pytest.mark.parametrize("texts", [[], ["?!", None, ""]])
def test_bm25_of_a_corpus_without_a_term(tmp_path, texts):
    corpus = Relation(documents(texts).frame, home=tmp_path)
    assert bm25(corpus, "late").column_names == ["id", "score", "rank", "text"]
    assert found(bm25(corpus, "late")) == []


def test_columns_that_are_not_ours_get_an_underscore():
    table = bm25(documents(["late"], corpus=["c"], Score=[7], rank_=[8], rank=[9], embedding=[[1.0]]), "late")
    assert table.column_names == ["corpus", "id", "score", "rank", "text", "Score_", "rank_", "rank__"]
    row = table.to_pylist()[0]
    assert (row["corpus"], row["id"], row["rank"], row["Score_"], row["rank_"], row["rank__"]) == (
        "c",
        "d00",
        1,
        7,
        8,
        9,
    )


# The stored index

TEXTS = ["my card was declined", "the room was cold", "card card card", "late train again", "喜欢喝茶"]


@pytest.fixture
def kept(tmp_path):
    """A relation with a home; each call another object, as in another process."""
    return lambda texts=TEXTS: Relation(documents(texts).frame, home=tmp_path / "home")


def refuse(*_):
    raise AssertionError("the index was built again")


def test_the_stored_index_is_used_and_gives_the_same_rows(kept, monkeypatch, tmp_path):
    fresh = [bm25(documents(TEXTS), query) for query in ("card", "the cold", "茶")]
    assert bm25(kept(), "card").equals(fresh[0])
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["bm25"]
    monkeypatch.setattr(module, "built", refuse)
    for query, expected in zip(("card", "the cold", "茶"), fresh, strict=True):
        assert bm25(kept(), query).equals(expected)
    with pytest.raises(AssertionError, match="built again"):
        bm25(documents(TEXTS), "card")


def change(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


DAMAGE = {
    "a score": lambda home: change(home / "data.csc.index.npy"),
    "a shorter file": lambda home: (home / "indices.csc.index.npy").write_bytes(b""),
    "a missing file": lambda home: (home / "indptr.csc.index.npy").unlink(),
    "a word": lambda home: change(home / "vocab.index.json"),
    "a setting": lambda home: edit(home / "params.index.json", k1=1.2),
    "a further file": lambda home: (home / "more").write_text(""),
    "a folder": lambda home: (home / "more").mkdir(),
    "no manifest": lambda home: (home / "manifest.json").unlink(),
    "no JSON": lambda home: (home / "manifest.json").write_text("{"),
    "no object": lambda home: (home / "manifest.json").write_text("[]"),
    "no checksums": lambda home: edit(home / "manifest.json", sha256=None),
    "another format": lambda home: edit(home / "manifest.json", format=0),
    "another library": lambda home: edit(home / "manifest.json", bm25s="0.0.1"),
    "another k1": lambda home: edit(home / "manifest.json", k1=1.2),
    "other documents": lambda home: edit(home / "manifest.json", documents=4),
    "nothing": lambda home: shutil.rmtree(home),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_or_foreign_index_is_built_again(kept, monkeypatch, tmp_path, what):
    expected = bm25(documents(TEXTS), "card cold")
    bm25(kept(), "card")
    DAMAGE[what](tmp_path / "home" / "bm25")
    with monkeypatch.context() as patch:
        patch.setattr(module, "built", refuse)
        with pytest.raises(AssertionError, match="built again"):
            bm25(kept(), "card cold")
    assert bm25(kept(), "card cold").equals(expected)
    monkeypatch.setattr(module, "built", refuse)
    assert bm25(kept(), "card cold").equals(expected)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["bm25"]


class Payload:
    ran = False

    def __reduce__(self):
        return setattr, (Payload, "ran", True)


def test_a_pickle_in_the_index_is_not_read(kept, tmp_path):
    expected = bm25(kept(), "card")
    data, manifest = (tmp_path / "home" / "bm25" / name for name in ("data.csc.index.npy", "manifest.json"))
    np.save(data, np.array([Payload()], dtype=object), allow_pickle=True)
    sums = json.loads(manifest.read_text())["sha256"]
    edit(manifest, sha256={**sums, data.name: sha256(data)})
    assert bm25(kept(), "card").equals(expected)
    assert not Payload.ran


def test_an_index_that_cannot_be_kept_is_still_used(kept, monkeypatch, tmp_path, caplog):
    def full(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(module, "write_sealed", full)
    assert found(bm25(kept(), "card")) == ["d02", "d00"]
    assert "no space left" in caplog.text
    assert list((tmp_path / "home").iterdir()) == []


def test_the_library_says_nothing(kept, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    bm25(kept(), "card")
    bm25(kept(), "card")
    bm25(documents(TEXTS), "?!")
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


# search


def embedded(texts, toy, **columns) -> Relation:
    frame = documents(texts, **columns).frame
    vectors = Vectors.of(toy.encode(texts).vectors, unit=True) if texts else Vectors.of(np.empty((0, 64)))
    return Relation(frame, vectors, embed_query=lambda text: toy.encode([text]).vectors[0])


def sentences(n, seed=0):
    rng = np.random.default_rng(seed)
    words = ["card", "cold", "late", "room", "train", "bank", "tea", "rain"]
    return [" ".join(rng.choice(words, rng.integers(1, 7))) for _ in range(n)]


@pytest.mark.parametrize("k", [1, 3, 7, 40, 99])
def test_search_is_the_order_of_the_cosines(toy, k):
    texts = sentences(40)
    table = search(embedded(texts, toy, corpus=["c"] * 40, n=list(range(40))), "cold rain", k)
    cosines = toy.encode(texts).vectors.astype(float) @ toy.encode(["cold rain"]).vectors[0]
    rows = best(list(cosines), k)
    assert found(table) == [f"d{i:02}" for i in rows]
    np.testing.assert_allclose(table["score"].to_pylist(), cosines[rows], atol=1e-6)
    assert table.column_names == ["corpus", "id", "score", "rank", "text", "n"]
    assert table["n"].to_pylist() == rows
    assert table["text"].to_pylist() == [texts[i] for i in rows]


@pytest.mark.parametrize("k", [5, 40, 150])
def test_search_takes_the_first_of_equal_documents(toy, k):
    texts = ["tea", "cold rain", "cold", "cold", "cold"] * 100  # 100 of the best, then 300 that are alike
    first = [i for i in range(500) if i % 5 == 1] + [i for i in range(500) if i % 5 > 1]
    assert found(search(embedded(texts, toy), "cold rain", k)) == [f"d{i:02}" for i in first[:k]]


def test_search_compares_by_cosine_where_vectors_are_not_unit():
    matrix = np.array([[3, 3], [0, 0.1], [-1, 0]], np.float32)
    corpus = Relation(documents(["a", "b", "c"]).frame, Vectors.of(matrix), embed_query=lambda _: np.float32([0, 2]))
    table = search(corpus, "up")
    assert found(table) == ["d01", "d00", "d02"]
    assert table["score"].to_pylist() == pytest.approx([1, math.sqrt(0.5), 0], abs=1e-6)


def test_nothing_is_found_where_there_is_nothing(toy):
    toy.seen.clear()
    assert found(search(embedded([], toy), "late")) == []
    table = hybrid(embedded([], toy), "late")
    assert found(table) == []
    assert table.column_names == ["id", "score", "rank", "vector_rank", "cosine", "bm25_rank", "bm25", "text"]
    assert toy.seen == []


# hybrid


@pytest.mark.parametrize(
    ("k", "depth", "rrf"), [(5, 5, 60), (3, 8, 60), (9, 4, 60), (40, 40, 60), (10, 6, 0), (10, 6, 1)]
)
def test_hybrid_is_the_sum_of_reciprocal_ranks(toy, k, depth, rrf):
    texts, query = sentences(40), "cold rain cold"
    cosines = list(toy.encode(texts).vectors.astype(float) @ toy.encode([query]).vectors[0])
    matches = lucene([text.split() for text in texts], query.split())
    depth_used = max(depth, k)
    lists = best(cosines, depth_used), best(matches, depth_used, above=0)
    ranks = [{row: rank for rank, row in enumerate(rows, start=1)} for rows in lists]
    fused = {row: sum(1 / (rrf + of[row]) for of in ranks if row in of) for row in sorted({*lists[0], *lists[1]})}
    rows = sorted(fused, key=lambda row: (-round(fused[row], 9), row))[:k]
    table = hybrid(embedded(texts, toy), query, k, depth=depth, rrf=rrf)
    assert found(table) == [f"d{row:02}" for row in rows]
    assert table["score"].to_pylist() == pytest.approx([fused[row] for row in rows])
    assert table["vector_rank"].to_pylist() == [ranks[0].get(row) for row in rows]
    assert table["bm25_rank"].to_pylist() == [ranks[1].get(row) for row in rows]
    for name, of, scores in (("cosine", ranks[0], cosines), ("bm25", ranks[1], matches)):
        assert table[name].to_pylist() == [pytest.approx(scores[r], abs=1e-5) if r in of else None for r in rows]


def test_hybrid_takes_the_first_of_equal_scores(toy):
    # By words: d01, then d00; by vectors the other way round. The sums are the same.
    corpus = Relation(
        documents(["card x", "card", "tea"]).frame,
        Vectors.of([[1, 0], [0.9, 0.1], [0.5, 0.5]]),
        embed_query=lambda _: np.float32([1, 0]),
    )
    assert found(search(corpus, "card")) == ["d00", "d01", "d02"]
    assert found(bm25(corpus, "card")) == ["d01", "d00"]
    table = hybrid(corpus, "card")
    assert found(table) == ["d00", "d01", "d02"]
    assert table["score"][0] == table["score"][1]


# Arguments


@pytest.mark.parametrize("function", [search, bm25, hybrid])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("late", 0), "k is 0; a whole number of at least 1"),
        (("late", -3), "k is -3"),
        (("late", 2.0), r"k is 2\.0"),
        (("late", True), "k is True"),
        (("late", None), "k is None"),
        (("",), "the text is ''"),
        ((" \n",), "the text is"),
        ((None,), "the text is None"),
        ((7,), "the text is 7"),
    ],
)
def test_wrong_arguments_are_named(function, toy, arguments, message):
    with pytest.raises(QueryError, match=f"{function.__name__}.*{message}"):
        function(embedded(TEXTS, toy), *arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: search(r.with_frame(r.frame.drop("id")), "x"), "search needs a column 'id'; the relation has: text"),
        (lambda r: bm25(r.with_frame(r.frame.drop("text")), "x"), "bm25 needs a column 'text'; the relation has: id"),
        (lambda r: hybrid(r.with_frame(r.frame.drop("text")), "x"), "hybrid needs a column 'text'"),
        (lambda r: bm25(r.with_frame(r.frame.with_columns(text=1)), "x"), "'text' is Int32, not strings; cast it"),
        (lambda r: search(Relation(r.frame), "x"), "search: the relation has no vectors"),
        (lambda r: hybrid(Relation(r.frame, r.vectors), "x"), "hybrid: it is not known which encoder"),
        (lambda r: search(Relation(r.frame, r.vectors, embed_query=lambda _: np.ones(3)), "x"), "3 comp.* 64: they"),
        (lambda r: hybrid(r, "x", depth=0), "depth is 0; a whole number of at least 1"),
        (lambda r: hybrid(r, "x", rrf=-1), "rrf is -1; a whole number of at least 0"),
        (lambda r: hybrid(r, "x", rrf=0.5), r"rrf is 0\.5"),
    ],
)
def test_what_cannot_be_searched_is_told(toy, call, message):
    with pytest.raises(QueryError, match=message):
        call(embedded(TEXTS, toy))


# Through SQL


@pytest.fixture
def ws(tmp_path, toy):
    workspace = Workspace(tmp_path / "work", encoder=toy)
    workspace.add(
        "notes", pl.DataFrame({"id": list("abcde"), "text": TEXTS, "label": ["bad", "bad", None, "bad", "good"]})
    )
    return workspace


def indexes(tmp_path):
    return sorted(path.parent for path in (tmp_path / "work" / "indexes").glob("notes/*/bm25"))


def test_functions_in_sql(ws, toy, tmp_path):
    rows = ws.sql("SELECT * FROM hybrid('notes', 'cold room', 5)")
    assert rows.columns[:7] == ["id", "score", "rank", "vector_rank", "cosine", "bm25_rank", "bm25"]
    assert rows.columns[7:] == ["text", "label", "source", "split"]
    assert (rows["id"][0], rows["score"][0], rows["bm25_rank"].to_list()[1:]) == ("b", 2 / 61, [None] * 4)
    assert ws.sql("SELECT id FROM bm25(notes, 'card', k := 1)")["id"].to_list() == ["c"]
    assert ws.sql("SELECT id FROM bm25('notes', $q)", q="喝茶")["id"].to_list() == ["e"]
    near = ws.sql("SELECT id, score FROM search('notes', text := 'late delivery', k := 2)")
    truth = toy.encode(TEXTS).vectors @ toy.encode(["late delivery"]).vectors[0]
    np.testing.assert_allclose(near["score"], np.sort(truth)[::-1][:2], atol=1e-6)
    assert near["id"][0] == "d"
    named = ws.sql("SELECT * FROM hybrid('notes', 'cold room', k := 2, depth := 3, rrf := 9) AS h WHERE h.rank = 1")
    assert named["score"].to_list() == [2 / 10]
    assert len(indexes(tmp_path)) == 1


def test_functions_among_other_sql(ws):
    joined = ws.sql(
        "WITH hits AS (SELECT id, rank FROM bm25('notes', 'card', 5)) "
        "SELECT h.rank, n.text, s.score FROM hits h JOIN notes n USING (id) "
        "JOIN search('notes', 'card declined', 2) s USING (id) ORDER BY h.rank"
    )
    assert joined["text"].to_list() == ["card card card", "my card was declined"]
    counted = ws.sql("SELECT label, count(*) AS n FROM bm25('notes', 'was card') GROUP BY label ORDER BY label")
    assert counted.rows() == [("bad", 2), (None, 1)]


def test_bm25_of_a_select_counts_what_it_selects(ws, tmp_path):
    rows = ws.sql("SELECT id, score FROM bm25((SELECT id, text FROM notes WHERE label = 'bad'), 'card was')")
    truth = lucene([TEXTS[i].split() for i in (0, 1, 3)], ["card", "was"])
    assert rows["id"].to_list() == ["a", "b"]
    assert rows["score"].to_list() == pytest.approx(truth[:2], rel=1e-5)
    later = "WITH later AS (SELECT id, text FROM notes WHERE id > 'a') SELECT id FROM bm25(later, 'card')"
    assert ws.sql(later)["id"].to_list() == ["c"]
    assert ws.sql("SELECT * FROM bm25((SELECT id, text FROM notes WHERE false), 'card')").columns[:3] == [
        "id",
        "score",
        "rank",
    ]
    assert indexes(tmp_path) == []
    with pytest.raises(QueryError, match="bm25 needs a column 'text'; the relation has: id, label"):
        ws.sql("SELECT * FROM bm25((SELECT id, label FROM notes), 'card')")


def test_another_version_of_a_corpus_has_another_index(ws, tmp_path):
    assert ws.sql("SELECT id FROM bm25('notes', 'cold')")["id"].to_list() == ["b"]
    ws.add("notes", pl.DataFrame({"id": list("abcde"), "text": [*TEXTS[:4], "cold cold"]}))
    assert ws.sql("SELECT id FROM bm25('notes', 'cold')")["id"].to_list() == ["e", "b"]
    assert len(indexes(tmp_path)) == 2
    assert ws.catalogue.corpus("notes").version in {path.name for path in indexes(tmp_path)}


def test_vectors_of_ones_own_can_be_searched_by_words_only(ws):
    ws.add("own", pl.DataFrame({"id": ["a", "b"], "text": ["late", "cold"]}), vectors=np.eye(2, 64))
    assert ws.sql("SELECT id FROM bm25('own', 'cold')")["id"].to_list() == ["b"]
    for function in ("search", "hybrid"):
        with pytest.raises(UsageError, match="vectors of its own"):
            ws.sql(f"SELECT * FROM {function}('own', 'cold')")


def test_a_select_is_searched_with_the_encoder_of_its_corpus(ws, toy):
    rows = ws.sql("SELECT id, score FROM search((SELECT * FROM notes WHERE id <> 'b'), 'cold room', 2)")
    texts = [text for text, of in zip(TEXTS, "abcde", strict=True) if of != "b"]
    truth = toy.encode(texts).vectors @ toy.encode(["cold room"]).vectors[0]
    np.testing.assert_allclose(rows["score"], np.sort(truth)[::-1][:2], atol=1e-6)
    later = (
        "WITH later AS (SELECT id, text, embedding FROM notes WHERE id > 'a') SELECT id FROM hybrid(later, 'card', 1)"
    )
    assert ws.sql(later)["id"].to_list() == ["c"]
