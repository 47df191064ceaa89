"""The vector store: each text once, whole shards, the same bytes after an interruption."""

import hashlib
import itertools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import curator.vectors
from curator.engines import HERE
from curator.errors import WorkspaceError
from curator.files import sha256, write_sealed
from curator.vectors import Encoded, Encoding, Freed, HashSet, Places, Vectors, VectorStore, hashes, text_hash
from curator.vectors import store as stores
from curator.vectors.places import ENTRY

TEXTS = [f"good card number {i}" for i in range(25)]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(stores, "SHARD_ROWS", 10)


def place(store, texts, encoder, rows=None, index=None):
    """Encode what a store lacks of some texts, as a corpus does, and say where all of them are."""
    rows, index = np.arange(len(texts)) if rows is None else rows, index or store.index()
    lacking = list(store.lacking([((), texts, rows)], index))
    for keys in HERE.map(Encoding(encoder, store.directory, lambda _: texts), lacking):
        store.written(keys, index)
    return store.places(texts, rows, index)


def embed(store, texts, encoder, rows=None):
    return store.vectors(place(store, texts, encoder, rows)).matrix()


def missing(store, texts):
    return store.missing([((), texts, np.arange(len(texts)))], store.index())


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
    assert (
        store.missing([((), ["a", "b"], np.array([1])), ((), ["b", "c", TEXTS[0]], np.arange(3))], store.index()) == 2
    )


def test_an_index_grows_as_shards_are_written(tmp_path, toy):
    store = VectorStore(tmp_path)
    index = store.index()
    for start in range(0, 25, 5):  # each part holds some of the one before
        texts = TEXTS[max(0, start - 3) : start + 5]
        places = place(store, texts, toy, index=index)
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


def test_the_public_names_are_there():
    for name in curator.vectors.__all__:
        assert hasattr(curator.vectors, name), name


# Half floats


@pytest.fixture
def half(toy):
    """The toy, whose vectors are to be kept as float16."""

    class Half(type(toy)):
        key = "toy-f16"

        def encode(self, texts, **rest):
            encoded = super().encode(texts, **rest)
            return Encoded(encoded.vectors.astype(np.float16), encoded.n_tokens, encoded.truncated)

    return Half()


def rounded(vectors):
    """Unit rows of the vectors after rounding, in double precision."""
    exact = vectors.astype(np.float16).astype(np.float64)
    return exact / np.linalg.norm(exact, axis=1, keepdims=True)


def test_half_floats_are_kept_as_such_and_read_as_unit_rows(tmp_path, toy, half, monkeypatch):
    store, texts = VectorStore(tmp_path), [f"{text} {'so ' * (i % 7)}" for i, text in enumerate(TEXTS)]
    places = place(store, texts, half)
    assert {np.load(path).dtype for path in tmp_path.glob("*.npy")} == {np.dtype(np.float16)}
    given = toy.encode(texts).vectors
    assert np.abs(np.linalg.norm(given.astype(np.float16).astype(np.float64), axis=1) - 1).max() > 1e-5
    held = store.vectors(places)
    assert held.is_unit
    found = held.matrix()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, rounded(given), atol=1e-7)
    np.testing.assert_allclose(found @ found.T, rounded(given) @ rounded(given).T, atol=1e-6)
    assert (found * given).sum(axis=1).min() >= 0.9999
    monkeypatch.setattr(stores, "HELD_BYTES", 0)
    mapped = store.vectors(places)
    for rows in (np.arange(25), np.array([24, 3, 3, 11]), np.arange(12, 19), np.array([7])):
        np.testing.assert_array_equal(mapped.take(rows).matrix(), found[rows])
        assert mapped.take(rows).matrix().dtype == np.float32
    np.testing.assert_array_equal(np.concatenate([block for _, block in mapped.blocks(4)]), found)


def test_half_floats_beside_single_ones_and_zero_rows():
    single, half = np.array([[3, 4], [1, 0]], np.float32), np.array([[0.6, 0.8], [0, 0]], np.float16)
    row = np.arange(2, dtype=np.int64)
    both = Vectors.concat([Vectors.of(single), Vectors([half], np.zeros(2, np.int32), row, unit=True)])
    np.testing.assert_array_equal(both.block(0, 2), single)
    assert np.shares_memory(both.block(0, 2), both._arrays[0])
    np.testing.assert_allclose(both.take([3, 0, 2]).matrix(), [[0, 0], [3, 4], rounded(half[:1])[0]], atol=1e-7)


def test_what_is_neither_half_nor_single_is_kept_as_float32(tmp_path, toy):
    class Double(type(toy)):
        def encode(self, texts, **rest):
            encoded = super().encode(texts, **rest)
            return Encoded(encoded.vectors.astype(np.float64), encoded.n_tokens, encoded.truncated)

    store = VectorStore(tmp_path)
    np.testing.assert_array_equal(embed(store, TEXTS, Double()), toy.encode(TEXTS).vectors)
    assert {np.load(path).dtype for path in tmp_path.glob("*.npy")} == {np.dtype(np.float32)}


# Damage


def no_file(path):
    path.unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def emptied(path):
    path.write_bytes(b"")


def a_byte_changed(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def another_shards(path):
    path.write_bytes(next(other for other in path.parent.glob(f"*{path.suffix}") if other != path).read_bytes())


def one_row_more(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "rows": 11}))


def a_checksum_less(path):
    manifest = json.loads(path.read_text())
    manifest["sha256"].popitem()
    path.write_text(json.dumps(manifest))


def other_counts(path):
    pl.read_parquet(path).with_columns(pl.col("n_tokens") + 1).write_parquet(path)


def other_numbers(path):
    np.save(path, np.load(path).astype(np.int32))


CHANGES = [
    *((".json", change) for change in (cut, emptied, another_shards, one_row_more, a_checksum_less)),
    *((".parquet", change) for change in (no_file, cut, emptied, a_byte_changed, another_shards, other_counts)),
    *((".npy", change) for change in (no_file, cut, emptied, other_numbers)),
]


@pytest.mark.parametrize(("suffix", "change"), CHANGES)
def test_damage_is_named_mended_and_never_a_traceback(tmp_path, toy, suffix, change):
    store = VectorStore(tmp_path)
    places = place(store, TEXTS[:20], toy)
    path = sorted(tmp_path.glob(f"*{suffix}"))[1]
    change(path)
    assert store.verify() == [path.name]

    def read():
        store.index()
        store.vectors(places)

    with pytest.raises(WorkspaceError, match=f"^{path} is damaged: .*; curator check --repair mends it$"):
        read()
    store.discard(store.verify())
    assert store.verify() == []
    assert not list(tmp_path.glob(f"{path.stem}.*"))
    toy.seen.clear()
    np.testing.assert_array_equal(embed(store, TEXTS[:20], toy), toy.encode(TEXTS[:20]).vectors)
    assert len(toy.seen) == 10 + 20  # the texts of one shard, and those encoded to compare


def test_keys_that_do_not_fit_their_name_are_damage_though_the_manifest_agrees(tmp_path, toy):
    store = VectorStore(tmp_path)
    place(store, TEXTS[:20], toy)
    manifest, keys = (sorted(tmp_path.glob(f"*{suffix}"))[0] for suffix in (".json", ".parquet"))
    another_shards(keys)
    told = json.loads(manifest.read_text())
    told["sha256"][keys.name] = sha256(keys)
    write_sealed(manifest, told)
    assert store.verify() == [keys.name]
    with pytest.raises(WorkspaceError, match="texts of its name"):
        store.index()


def test_vectors_of_another_length_are_damage(tmp_path, toy):
    store = VectorStore(tmp_path)
    places = place(store, TEXTS, toy)
    path = tmp_path / f"{places.shards[2]}.npy"
    np.save(path, np.load(path)[:, :-1])
    with pytest.raises(WorkspaceError, match=f"{path.name} is damaged: vectors of 63 components among those of 64"):
        store.vectors(places)


def test_leftovers_are_no_damage(tmp_path, toy):
    store = VectorStore(tmp_path)
    place(store, TEXTS, toy)
    next(tmp_path.glob("*.json")).unlink()
    (tmp_path / ".x.npy.1.part").write_bytes(b"half")
    assert store.verify() == []
    store.discard(["none"])


# Garbage


WORDY = [f"text {i} {'so ' * (i % 60)}" for i in range(40)]  # four shards of ten; some are truncated
LIVE = [*range(3), *range(20, 25), *range(30, 40)]  # three of the first, none of the second, half of the third


@pytest.fixture
def full(tmp_path, toy):
    """A store of WORDY, of which texts 30 and 31 are in two shards, with what killed runs left."""
    store = VectorStore(tmp_path / "full")
    place(store, WORDY, toy)
    place(store, WORDY[30:32], toy, index=hashes.Index())
    for name in (".x.npy.1.part", "y.npy", "y.parquet"):
        (store.directory / name).write_bytes(b"left")
    (store.directory / "note.txt").write_text("a person's")
    return store


def contents(store):
    return {path.name: sha256(path) for path in store.directory.iterdir()}


def check_holds(store, toy, rows):
    """Each of these texts of WORDY is there once or more, with its own vector and counts."""
    texts = [WORDY[row] for row in rows]
    entries, found = store.index().find(text_hash(texts))
    assert found.all()
    encoded = toy.encode(texts)
    np.testing.assert_array_equal(entries["n_tokens"], encoded.n_tokens)
    np.testing.assert_array_equal(entries["truncated"], encoded.truncated)
    np.testing.assert_array_equal(store.vectors(Places(tuple(store.index().shards), entries)).matrix(), encoded.vectors)


def test_a_set_of_hashes_holds_what_it_was_made_of():
    rng = np.random.default_rng(0)
    known, asked = (rng.integers(0, 9, (n, 2)).astype(np.uint64) for n in (40, 100))
    truth = {tuple(pair) for pair in known.tolist()}
    held = HashSet.of(known)
    assert held.holds(asked).tolist() == [tuple(pair) in truth for pair in asked.tolist()]
    assert len(held) == 40
    assert held.one.nbytes + held.two.nbytes == 16 * 40
    assert not HashSet.of(known[:0]).holds(asked).any()


def test_what_no_text_uses_is_collected(full, toy):
    before = {path.name: path.stat().st_size for path in full.directory.iterdir()}
    live = HashSet.of(text_hash([WORDY[row] for row in LIVE]))
    freed = full.collect(live)
    after = {path.name: path.stat().st_size for path in full.directory.iterdir()}
    assert freed == Freed(removed=1, rewritten=1, bytes=sum(before.values()) - sum(after.values()))
    assert freed.bytes > 0
    check_holds(full, toy, [*LIVE, *range(25, 30)])
    assert not full.index().find(text_hash(WORDY[3:20]))[1].any()
    assert full.verify() == []
    assert (full.directory / "note.txt").exists()
    assert len(list(full.directory.iterdir())) == 4 * 3 + 1
    again = contents(full)
    assert full.collect(live) == Freed(0, 0, 0)
    assert contents(full) == again


def test_the_rewritten_shard_is_the_one_its_texts_would_have_made(full, toy, tmp_path):
    full.collect(HashSet.of(text_hash([WORDY[row] for row in LIVE])))
    fresh = VectorStore(tmp_path / "fresh")
    place(fresh, WORDY[:3], toy)
    assert contents(fresh).items() <= contents(full).items()


def test_texts_are_forgotten_wherever_they_are(full, toy):
    gone = [1, 30, 31, *range(20, 30)]
    freed = full.forget(text_hash([*(WORDY[row] for row in gone), "never seen"]))
    assert (freed.removed, freed.rewritten) == (2, 2)
    kept = [row for row in range(40) if row not in gone]
    check_holds(full, toy, kept)
    stored = [pl.read_parquet(path)["hash"].to_list() for path in full.directory.glob("*.parquet")]
    digests = {hashlib.blake2b(WORDY[row].encode(), digest_size=16).digest() for row in kept}
    assert sorted(itertools.chain(*stored)) == sorted(digests)
    assert full.forget(text_hash(["never seen"])) == Freed(0, 0, 0)


def test_half_floats_are_copied_as_they_are(tmp_path, half):
    store = VectorStore(tmp_path)
    before = embed(store, TEXTS, half)
    store.forget(text_hash(TEXTS[:1]))
    assert {np.load(path).dtype for path in tmp_path.glob("*.npy")} == {np.dtype(np.float16)}
    half.seen.clear()
    np.testing.assert_array_equal(embed(store, TEXTS[1:], half), before[1:])
    assert half.seen == []


def test_readers_go_on_with_what_they_have_mapped(full, toy, monkeypatch):
    monkeypatch.setattr(stores, "HELD_BYTES", 0)
    mapped = full.vectors(place(full, WORDY, toy))
    full.forget(text_hash(WORDY[:35]))
    np.testing.assert_array_equal(mapped.matrix(), toy.encode(WORDY).vectors)


def test_damage_is_not_copied(full, toy):
    (shard,) = place(full, WORDY[:1], toy).shards
    a_byte_changed(full.directory / f"{shard}.npy")
    before = contents(full)
    for tidy in (lambda: full.forget(text_hash(WORDY[:1])), lambda: full.collect(HashSet.of(text_hash(WORDY[:1])))):
        with pytest.raises(WorkspaceError, match=f"{shard}.npy is damaged"):
            tidy()
    assert before.items() >= {name: s for name, s in contents(full).items() if name.startswith(shard)}.items()
    assert full.verify() == [f"{shard}.npy"]


def test_a_damaged_copy_from_an_earlier_run_is_written_again(full, toy):
    place_of_copy = VectorStore(full.directory.parent / "copy")
    (name,) = place(place_of_copy, WORDY[:3], toy).shards
    for path in place_of_copy.directory.iterdir():
        shutil.copy(path, full.directory)
    a_byte_changed(full.directory / f"{name}.npy")
    full.collect(HashSet.of(text_hash([WORDY[row] for row in LIVE])))
    assert full.verify() == []
    check_holds(full, toy, LIVE)


class Killed(BaseException):
    """Nothing more happens in the process."""


def killed(work, monkeypatch, operation):
    """Do some work until the n-th time that it begins, flushes, renames or deletes a file. Whether it was killed."""
    calls, opened = itertools.count(1), Path.open

    def watched(real):
        def watching(*arguments, **rest):
            reads = real is opened and "wb" not in arguments
            if not reads and next(calls) >= operation:
                raise Killed
            return real(*arguments, **rest)

        return watching

    with monkeypatch.context() as patch:
        for place_, name in ((Path, "open"), (Path, "replace"), (Path, "unlink"), (os, "fsync")):
            patch.setattr(place_, name, watched(getattr(place_, name)))
        try:
            work()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("verb", ["collect", "forget"])
def test_a_kill_at_any_instant_loses_nothing_and_the_same_call_ends_the_work(full, toy, tmp_path, monkeypatch, verb):
    live = LIVE if verb == "collect" else [row for row in range(40) if row not in (1, 30, *range(20, 30))]
    of_live = text_hash([WORDY[row] for row in live])
    others = text_hash([WORDY[row] for row in range(40) if row not in live])

    def tidy(store):
        return store.collect(HashSet.of(of_live)) if verb == "collect" else store.forget(others)

    whole = VectorStore(shutil.copytree(full.directory, tmp_path / "whole"))
    assert tidy(whole).rewritten
    for operation in itertools.count(1):
        store = VectorStore(shutil.copytree(full.directory, tmp_path / f"cut-{operation}"))
        if not killed(lambda store=store: tidy(store), monkeypatch, operation):
            break
        check_holds(store, toy, live)
        assert store.verify() == []
        tidy(store)
        assert contents(store) == contents(whole)
    assert operation > 20
    assert contents(store) == contents(whole)
