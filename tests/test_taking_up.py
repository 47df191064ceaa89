"""What was read once is not read again, and a corpus is the same however often its reading was interrupted."""

import gzip
import json
import random
import shutil
from pathlib import Path

import polars as pl
import pytest

from curator import Workspace
from curator.documents import gather, ingest, records, tables
from curator.files import sha256


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    for module in (records, tables):
        monkeypatch.setattr(module, "ROWS", 4)
    monkeypatch.setattr(gather, "SMALL", 0)  # every file has batches of its own


@pytest.fixture
def read_from(monkeypatch):
    """The (file, row) at which each reading of a file began."""
    begun = []

    def watch(reader):
        def chunks(path, *rest):
            begun.append((Path(path).name, rest[-1].rows))
            return reader(path, *rest)

        return chunks

    for name in ("json_chunks", "csv_chunks", "parquet_chunks"):
        monkeypatch.setattr(ingest, name, watch(getattr(ingest, name)))
    return begun


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def jsonl(path, rows):
    path.write_text(lines(rows))


def manifest(ws, name):
    return ws.catalogue.corpus(name).manifest


def contents(folder):
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(n, start=0, **more):
    return [{"text": f"text number {i}", **more} for i in range(start, start + n)]


def test_a_file_more_is_read_alone(tmp_path, read_from):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a", "c"):
        jsonl(data / f"{name}.jsonl", rows(10))
    ws = Workspace(tmp_path / "ws")
    first = ws.add("x", data)
    jsonl(data / "b.jsonl", rows(3, 100))
    read_from.clear()
    second = ws.add("x", data)
    assert read_from == [("b.jsonl", 0)]
    assert second.documents == first.documents + 3
    assert ws.sql("SELECT text FROM x").height == 23
    old, new = (ws.catalogue.corpus("x", version).directory for version in (first.version, second.version))
    assert (old / "documents-00000.parquet").samefile(new / "documents-00000.parquet")
    (data / "b.jsonl").unlink()
    read_from.clear()
    assert ws.add("x", data).version == first.version  # as it was before, with nothing to read
    assert ws.sql("SELECT text FROM x").height == 20
    assert read_from == []


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "csv", "tsv.gz", "parquet", "txt"])
def test_an_interrupted_reading_goes_on_where_it_was(tmp_path, read_from, kind, monkeypatch):
    """Whatever the batch after which it stops, the corpus is the same, and no batch before is read again."""
    texts = [f'the "{i}" of\n{i}' if i % 3 == 0 and "csv" in kind else f"text number {i} é" for i in range(23)]
    texts[7] = texts[15] = "  "
    path = written(tmp_path, kind, texts)
    whole = Workspace(tmp_path / "whole")
    whole.add("x", path)
    parts = manifest(whole, "x")["parts"]
    assert [part["documents"] for part in parts] == [4, 3, 4, 3, 4, 3]
    for stop in range(1, 6):
        ws = Workspace(tmp_path / f"stopped-{stop}")
        with monkeypatch.context() as patch:
            patch.setattr("curator.catalogue.parts.write_json", stopping(stop))
            with pytest.raises(KeyboardInterrupt):
                ws.add("x", path)
        assert ws.ls() == []
        read_from.clear()
        ws.add("x", path)
        assert kind == "txt" or read_from == [(path.name, 4 * stop)]
        assert manifest(ws, "x") == manifest(whole, "x")
        assert contents(ws.root / "corpora" / "x" / ws.ls()[0]["version"]) == contents(
            whole.root / "corpora" / "x" / whole.ls()[0]["version"]
        )
        assert sorted(p.name for p in (ws.root / "corpora" / "x").iterdir()) == sorted(
            p.name for p in (whole.root / "corpora" / "x").iterdir()
        )


def written(folder, kind, texts):
    path = folder / f"x.{kind}"
    if kind == "parquet":
        pl.DataFrame({"text": texts}).write_parquet(path, row_group_size=5)
        return path
    if kind == "txt":
        path = folder / "texts"
        path.mkdir()
        for number, text in enumerate(texts):
            (path / f"{number:03}.txt").write_text(text)
        return path
    if "jsonl" in kind:
        body = lines([{"text": text} for text in texts])
    else:
        body = pl.DataFrame({"text": texts}).write_csv(separator="\t" if "tsv" in kind else ",")
    raw = b"\xef\xbb\xbf" + body.encode()
    path.write_bytes(gzip.compress(raw) if kind.endswith("gz") else raw)
    return path


def stopping(after):
    """In the place of the function that says that a part is whole: stops instead of saying it of one more."""
    from curator.files import write_json

    done = 0

    def write(path, value):
        nonlocal done
        if done == after:
            raise KeyboardInterrupt
        done += 1
        write_json(path, value)

    return write


def some_file(draw, number):
    """Rows of which some have ids that other files have too, columns of one name in several cases, and bad lines."""
    made = []
    for i in range(draw.randrange(0, 11)):
        row = {"text": draw.choice(["", " ", f"text {draw.random()}"])}
        if draw.random() < 0.5:
            row["id"] = f"id{draw.randrange(25)}"
        if draw.random() < 0.4:
            row[draw.choice(["size", "Size", "SIZE", "score", "rank_", "rank"])] = i
        made.append(json.dumps(row) if draw.random() < 0.9 else "{not json")
    return "\n".join(made) + draw.choice(["", "\n"])


@pytest.mark.parametrize("seed", range(25))
def test_files_that_come_change_and_go_give_what_reading_them_anew_gives(tmp_path, seed, monkeypatch):
    draw = random.Random(seed)
    monkeypatch.setattr(gather, "SMALL", draw.choice([0, 2, 4]))
    monkeypatch.setattr(gather, "TOGETHER", draw.choice([2, 3, 9]))
    monkeypatch.setattr(records, "ROWS", draw.choice([4, 8]))
    data = tmp_path / "data"
    data.mkdir()
    jsonl(data / "m.jsonl", rows(1))  # so that there always is a document
    ws = Workspace(tmp_path / "ws")
    for step in range(8):
        for _ in range(draw.randrange(1, 4)):
            path = data / f"{draw.choice('abcxyz')}.jsonl"
            if draw.random() < 0.3:
                path.unlink(missing_ok=True)
            else:
                path.write_text(some_file(draw, step))
        ws.add("x", data)
        fresh = Workspace(tmp_path / "fresh")
        fresh.add("x", data)
        assert manifest(ws, "x") == manifest(fresh, "x"), f"step {step}"
        assert ws.catalogue.corpus("x").damaged() == []
        assert ws.rejects("x").equals(fresh.rejects("x"))
        shutil.rmtree(tmp_path / "fresh")


def test_small_files_share_batches_and_few_are_read_again_for_one_more(tmp_path, read_from, monkeypatch):
    monkeypatch.setattr(gather, "SMALL", 100)
    monkeypatch.setattr(gather, "TOGETHER", 5)
    monkeypatch.setattr(records, "ROWS", 1000)
    data = tmp_path / "data"
    data.mkdir()
    for number in range(200):
        jsonl(data / f"{number:03}.jsonl", rows(2, 2 * number))
    ws = Workspace(tmp_path / "ws")
    ws.add("x", data)
    corpus = ws.catalogue.corpus("x")
    assert 20 < len(corpus.shards) < 70
    assert corpus.frame()["text"].to_list() == [f"text number {i}" for i in range(400)]
    assert corpus.frame()["id"].to_list() == [f"{i:03}.jsonl:{line}" for i in range(200) for line in (1, 2)]
    jsonl(data / "0995.jsonl", rows(1, 999))
    read_from.clear()
    ws.add("x", data)
    assert 1 < len(read_from) < 40
    assert ("0995.jsonl", 0) in read_from
    fresh = Workspace(tmp_path / "fresh")
    fresh.add("x", data)
    assert manifest(ws, "x") == manifest(fresh, "x")


def test_a_damaged_part_is_read_again(tmp_path, read_from):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a", "b"):
        jsonl(data / f"{name}.jsonl", rows(3))
    ws = Workspace(tmp_path / "ws")
    ws.add("x", data)
    shard = ws.catalogue.corpus("x").directory / "documents-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    jsonl(data / "c.jsonl", rows(2))
    read_from.clear()
    ws.add("x", data)
    assert read_from == [("a.jsonl", 0), ("c.jsonl", 0)]
    assert ws.catalogue.corpus("x").damaged() == []


def test_other_settings_are_another_reading(tmp_path, read_from):
    path = tmp_path / "a.jsonl"
    jsonl(path, rows(6, title="a title"))
    ws = Workspace(tmp_path / "ws")
    first = ws.add("x", path)
    assert ws.add("x", path, text="title").version != first.version
    assert read_from == [("a.jsonl", 0)] * 2
    assert set(ws.sql("SELECT text FROM x")["text"]) == {"a title"}


def test_brought_vectors_are_taken_up_with_their_documents(tmp_path, read_from):
    data = tmp_path / "data"
    data.mkdir()
    for number, name in enumerate("ab"):
        frame = pl.DataFrame({"text": [f"{name} {i}" for i in range(6)], "v": [[number, i] for i in range(6)]})
        frame.write_parquet(data / f"{name}.parquet")
        if name == "a":
            ws = Workspace(tmp_path / "ws")
            ws.add("x", data, vectors="v")
    read_from.clear()
    ws.add("x", data, vectors="v")
    assert read_from == [("b.parquet", 0)]
    found = ws.sql("SELECT text, embedding FROM x ORDER BY text")
    assert found["embedding"].to_list() == [[number, i] for number in range(2) for i in range(6)]


def test_texts_that_an_earlier_version_has_are_not_hashed_again(tmp_path, toy, monkeypatch):
    hashed = []
    from curator.vectors import store

    def counting(texts, rows=None):
        hashed.append(len(texts) if rows is None else len(rows))
        return text_hash(texts, rows)

    text_hash = store.text_hash
    monkeypatch.setattr(store, "text_hash", counting)
    monkeypatch.setattr("curator.catalogue.corpus.WINDOW_ROWS", 5)
    data = tmp_path / "data"
    data.mkdir()
    for number, name in enumerate("abc"):
        jsonl(data / f"{name}.jsonl", rows(9, 10 * number))
    ws = Workspace(tmp_path / "ws", encoder=toy)
    ws.add("x", data)
    ws.embed("x")
    assert sum(hashed) == 2 * 27  # to count what is missing, and to place it
    jsonl(data / "bb.jsonl", [*rows(4, 100), *rows(2, 10)])
    ws.add("x", data)
    hashed.clear()
    toy.seen.clear()
    ws.embed("x")
    assert toy.seen == [f"text number {i}" for i in range(100, 104)]
    assert sum(hashed) < 2 * 20
    fresh = Workspace(tmp_path / "fresh", encoder=toy)
    fresh.add("x", data)
    corpus = ws.catalogue.corpus("x")
    expected = toy.encode(corpus.frame()["text"].to_list()).vectors
    for one in (ws, fresh):
        found = one._corpora.relation(one.catalogue.corpus("x")).vectors.matrix()
        assert (found == expected).all()
    again = Workspace(tmp_path / "ws", encoder=toy)
    assert (again._corpora.relation(corpus).vectors.matrix() == expected).all()
