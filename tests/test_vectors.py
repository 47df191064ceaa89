"""The vector store: each text once, whole shards, the same bytes after an interruption."""

import hashlib

import numpy as np
import polars as pl
import pytest

from curator.files import sha256
from curator.vectors import Places, Vectors, VectorStore, hashes
from curator.vectors import store as stores
from curator.vectors.places import ENTRY

TEXTS = [f"good card number {i}" for i in range(25)]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(stores, "SHARD_ROWS", 10)


def place(store, texts, encoder, rows=None):
    return store.place(texts, np.arange(len(texts)) if rows is None else rows, encoder, store.index())


def embed(store, texts, encoder, rows=None):
    return store.vectors(place(store, texts, encoder, rows)).matrix()


def missing(store, texts):
    return store.missing([(texts, np.arange(len(texts)))], store.index())


def test_vectors_come_back_in_the_order_asked(tmp_path, toy):
    store = VectorStore(tmp_path)
    embed(store, TEXTS, toy)
    asked = [TEXTS[i] for i in (24, 3, 3, 11)]
    np.testing.assert_array_equal(embed(store, asked, toy), toy.encode(asked).vectors)


def test_a_text_is_encoded_once(tmp_path, toy):
    store = VectorStore(tmp_path)
    embed(store, TEXTS + TEXTS[:5], toy)
    assert toy.seen == TEXTS
    assert missing(store, [*TEXTS, "new", "new"]) == 1
    embed(store, ["new", *TEXTS], toy)
    assert toy.seen == [*TEXTS, "new"]
    assert store.missing([(["a", "b"], np.array([1])), (["b", "c", TEXTS[0]], np.arange(3))], store.index()) == 2


def test_an_index_grows_as_shards_are_written(tmp_path, toy):
    store = VectorStore(tmp_path)
    index = store.index()
    for start in range(0, 25, 5):  # each part holds some of the one before
        texts = TEXTS[max(0, start - 3) : start + 5]
        places = store.place(texts, np.arange(len(texts)), toy, index)
        np.testing.assert_array_equal(store.vectors(places).matrix(), toy.encode(texts).vectors)
    assert len(set(index.shards)) == len(index.shards) == 5
    again = store.index()
    for texts in (TEXTS, ["none"]):
        np.testing.assert_array_equal(*(one.find(hashes.text_hash(texts))[1] for one in (index, again)))
    assert index.find(hashes.text_hash(TEXTS))[1].all()


def test_an_interrupted_run_ends_in_the_same_bytes(tmp_path, toy):
    embed(VectorStore(tmp_path / "whole"), TEXTS, toy)

    class Stopping(type(toy)):
        def encode(self, texts, **rest):
            if TEXTS[10] in texts:
                raise KeyboardInterrupt
            return super().encode(texts, **rest)

    with pytest.raises(KeyboardInterrupt):
        embed(VectorStore(tmp_path / "cut"), TEXTS, Stopping())
    embed(VectorStore(tmp_path / "cut"), TEXTS, toy)
    whole = {path.name: sha256(path) for path in (tmp_path / "whole").iterdir()}
    assert whole == {path.name: sha256(path) for path in (tmp_path / "cut").iterdir()}
    assert len(whole) == 9


def test_a_shard_without_its_manifest_does_not_exist(tmp_path, toy):
    store = VectorStore(tmp_path)
    embed(store, TEXTS, toy)
    next(iter(tmp_path.glob("*.json"))).unlink()
    assert missing(store, TEXTS) in (5, 10)
    np.testing.assert_array_equal(embed(store, TEXTS, toy), toy.encode(TEXTS).vectors)


def test_damage_is_named(tmp_path, toy):
    store = VectorStore(tmp_path)
    embed(store, TEXTS, toy)
    assert store.verify() == []
    shard = sorted(tmp_path.glob("*.npy"))[1]
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert store.verify() == [shard.name]


def test_truncation_is_counted(tmp_path, toy):
    store = VectorStore(tmp_path)
    entries = place(store, ["word " * 60, "short text"], toy).entries
    assert entries["truncated"].tolist() == [True, False]
    assert entries["n_tokens"].tolist() == [60, 2]
    texts = ["word " * 60, "short text", "word " * 60, "word " * 70]
    assert store.truncated([(texts, np.arange(4))], store.index()) == 2


def test_blocks_cover_all_rows_once_and_takes_compose():
    parts = [np.arange(i, i + 3 * n, dtype=np.float32).reshape(n, 3) for i, n in ((0, 7), (100, 4), (200, 12))]
    whole = np.concatenate(parts)
    joined = Vectors.concat([Vectors.of(part) for part in parts])
    for size in (1, 3, 5, 100):
        np.testing.assert_array_equal(np.concatenate([block for _, block in joined.blocks(size)]), whole)
        assert [start for start, _ in joined.blocks(size)] == sorted({start for start, _ in joined.blocks(size)})
    rows = np.array([22, 0, 9, 9, 3])
    np.testing.assert_array_equal(joined.take(rows).take([4, 1]).matrix(), whole[rows][[4, 1]])
    assert np.shares_memory(Vectors.of(parts[2]).block(2, 9), Vectors.of(parts[2])._arrays[0])


def test_unit_keeps_zero_rows():
    unit = Vectors.of([[3, 4], [0, 0]]).unit()
    np.testing.assert_allclose(unit.matrix(), [[0.6, 0.8], [0, 0]])
    assert unit.is_unit


def test_bad_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        Vectors.of([1, 2, 3])
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        Vectors.concat([Vectors.of([[1, 2]]), Vectors.of([[1, 2, 3]])])


def test_a_column_and_some_of_its_rows_are_as_good_as_a_list(tmp_path, toy, monkeypatch):
    monkeypatch.setattr(hashes, "HASH_ROWS", 4)
    texts = [*TEXTS, "Grüße 信用卡 🙂", *TEXTS[:3]]
    embed(VectorStore(tmp_path / "list"), texts, toy)
    column = pl.concat([pl.Series(texts[:11]), pl.Series(texts[11:])])
    embed(VectorStore(tmp_path / "column"), column, toy)
    of = {d: {path.name: sha256(path) for path in (tmp_path / d).iterdir()} for d in ("list", "column")}
    assert of["list"] == of["column"]
    expected = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    stored = [pl.read_parquet(path)["hash"].to_list() for path in (tmp_path / "list").glob("*.parquet")]
    assert sorted(found for shard in stored for found in shard) == sorted(set(expected))
    rows = np.array([25, 3, 27, 3, 0])
    store = VectorStore(tmp_path / "some")
    found = embed(store, column, toy, rows)
    np.testing.assert_array_equal(found, toy.encode([texts[row] for row in rows]).vectors)
    assert missing(store, texts) == 26 - 4  # rows 27 and 2 are one text
    assert len(place(store, column, toy, rows[:0])) == 0


def test_hashes_that_share_a_half_are_told_apart_and_the_first_of_equals_is_found():
    rng = np.random.default_rng(0)
    known, asked = (rng.integers(0, 6, (n, 2)).astype(np.uint64) for n in (25, 60))
    first: dict[tuple[int, ...], int] = {}
    for number, pair in enumerate(known.tolist()):
        first.setdefault(tuple(pair), number)
    for sizes in ((25,), (20, 2, 2, 1), (1, 4, 20)):
        index, end = hashes.Index(), np.cumsum(sizes)
        for shard, (start, stop) in enumerate(zip(end - sizes, end, strict=True)):
            entries = np.zeros(stop - start, ENTRY)
            entries["row"] = np.arange(start, stop)
            index.add([f"{shard}"], known[start:stop], entries)
        found, there = index.find(asked)
        assert np.where(there, found["row"], -1).tolist() == [first.get(tuple(pair), -1) for pair in asked.tolist()]
        assert found["shard"][there].tolist() == np.searchsorted(end, found["row"][there], side="right").tolist()
    assert len(first) < len(known)


def test_places_survive_a_file_and_give_the_same_vectors_held_and_mapped(tmp_path, toy, monkeypatch):
    store = VectorStore(tmp_path / "store")
    embed(store, [f"other {i}" for i in range(7)], toy)
    asked = [TEXTS[i] for i in (24, 3, 3, 11, 0)]
    Places.concat([place(store, TEXTS[:13], toy), place(store, TEXTS[13:], toy)]).save(tmp_path / "places.parquet")
    places = Places.load(tmp_path / "places.parquet").take(np.array([24, 3, 3, 11, 0]))
    expected = toy.encode(asked).vectors
    np.testing.assert_array_equal(store.vectors(places).matrix(), expected)
    monkeypatch.setattr(stores, "HELD_BYTES", expected.nbytes - 1)
    np.testing.assert_array_equal(store.vectors(places).matrix(), expected)
    assert store.holds(places)
    (store.directory / f"{places.shards[0]}.json").unlink()
    assert not store.holds(places)
