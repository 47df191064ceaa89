"""Looking after a workspace: damage is named and mended, what nothing needs goes, and nothing else does."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import conftest
import numpy as np
import polars as pl
import pytest
from faulty import contents

from curator import Recipe, Workspace
from curator.documents import records, tables
from curator.errors import UnknownNameError, UsageError, VerificationError, WorkspaceError
from curator.files import announced, write_json, write_sealed
from curator.indexes import choice
from curator.vectors import store

MOODS = {"positive": "good thanks", "negative": "bad late"}
KINDS = ("card", "room", "food", "train")


def write(path, rows, more=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + more)


def rows(start, n):
    labels = list(MOODS)
    return [
        {"text": f"{MOODS[labels[i % 2]]} {KINDS[i % 4]} remark{i} a{i * 7} b{i * 11}", "label": labels[i % 2]}
        for i in range(start, start + n)
    ]


def recipe(data):
    values = {
        "name": "small",
        "task": {"target": "target.jsonl", "split": {"test": 0.3}},
        "pool": {"notes": {}, "more": {"path": "more.jsonl"}},
        "stage": [{"use": "deduplicate"}, {"use": "ratio", "budget": 12, "by": "label"}],
    }
    return Recipe.parse(values, folder=data)


@pytest.fixture(scope="module", autouse=True)
def small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "ROWS", 10)
        patch.setattr(tables, "ROWS", 10)
        patch.setattr(store, "SHARD_ROWS", 40)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A workspace with a corpus of two files with rejects, one of text files, vectors of one's own, a mix, bm25."""
    base = tmp_path_factory.mktemp("whole")
    data = base / "data"
    write(data / "target.jsonl", rows(100, 30))
    write(data / "more.jsonl", rows(300, 11))
    for name, start in (("a", 0), ("b", 20)):
        write(data / "notes" / f"{name}.jsonl", rows(start, 17), "{broken\n")
    for name in ("x", "y/z"):
        (data / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (data / "files" / f"{name}.txt").write_text(f"a text about {name}")
    pl.DataFrame({"text": ["one", "two", "three"], "v": [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]}).write_parquet(
        data / "own.parquet"
    )
    ws = Workspace(base / "ws", encoder=conftest.ToyEncoder())
    ws.add("notes", data / "notes", label="label")
    ws.add("files", data / "files")
    ws.add("own", data / "own.parquet", vectors="v")
    ws.embed("notes")
    ws.embed("files")
    ws.sql("SELECT id FROM bm25('notes', 'card', k := 3)")
    ws.mix(recipe(data))
    return base


@pytest.fixture
def ws(whole, tmp_path):
    shutil.copytree(whole / "ws", tmp_path / "ws", copy_function=shutil.copy2)
    return Workspace(tmp_path / "ws", encoder=conftest.ToyEncoder())


def files(root):
    found = (path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file())
    return [path.as_posix() for path in found if path.name not in (".lock", "curator.json")]


def flip(path, share):
    raw = bytearray(path.read_bytes())
    raw[min(int(len(raw) * share), len(raw) - 1)] ^= 1
    path.write_bytes(raw)


DAMAGES = {
    "flipped early": lambda path: flip(path, 0.3),
    "flipped late": lambda path: flip(path, 0.8),
    "last byte flipped": lambda path: flip(path, 1),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
}


def test_a_whole_workspace_has_no_damage(ws):
    assert ws.check() == []
    assert str(ws.repair()) == "nothing is damaged"


def test_checking_keeps_nobody_from_writing_and_sees_what_is_on_its_way(ws, monkeypatch):
    monkeypatch.setattr("curator.catalogue.Catalogue.writing", None)  # the lock is not asked for
    last = [
        next((ws.root / "vectors" / "toy").glob("*.json")),
        *(ws.root / "indexes" / "notes").glob("*/places-*.json"),
    ]
    last += [ws.root / "corpora" / "notes" / "current.json", ws.root / "mixes" / "small" / "current.json"]
    for path in last:
        with announced(path):
            path.rename(path.with_suffix(".aside"))
            assert ws.check() == []
        assert [ws.root / damage.path for damage in ws.check()] == [path]
        dead = path.with_name(f".{path.name}.{process_that_ended()}.part")
        dead.touch()
        assert [ws.root / damage.path for damage in ws.check()] == [path]
        dead.unlink()
        path.with_suffix(".aside").rename(path)
    assert ws.check() == []


def process_that_ended():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def batches(names):
    """One file of each folder in a batch, until every file was in one."""
    folders = {}
    for name in names:
        folders.setdefault(str(Path(name).parent), []).append(name)
    return [list(filter(None, batch)) for batch in itertools.zip_longest(*folders.values())]


@pytest.mark.parametrize("turn", range(len(DAMAGES)) if os.environ.get("CURATOR_TORTURE") == "1" else [0])
def test_every_damaged_file_is_named_and_mended(whole, tmp_path, turn):
    """One damage for each file here; ``make torture`` does every damage to every file."""
    expected = contents(whole / "ws")
    names = files(whole / "ws")
    assert len(names) > 40
    for batch in batches(names):
        root = tmp_path / "ws"
        shutil.copytree(whole / "ws", root, copy_function=shutil.copy2)
        done = {name: list(DAMAGES)[(names.index(name) + turn) % len(DAMAGES)] for name in batch}
        for name, damage in done.items():
            DAMAGES[damage](root / name)
        ws = Workspace(root, encoder=conftest.ToyEncoder())
        assert [found.path for found in ws.check()] == sorted(batch), done
        repaired = ws.repair()
        assert repaired.left == (), done
        assert ws.check() == [], done
        if any(name.endswith("lock.json") for name in batch):  # dropped, with the words that say what makes it again
            assert "curator mix" in str(repaired)
            ws.mix(recipe(whole / "data"))
        if any("bm25" in name for name in batch):
            assert not list(root.rglob("bm25"))
            ws.sql("SELECT id FROM bm25('notes', 'card', k := 3)")
        assert contents(root) == expected, done
        shutil.rmtree(root)


def test_everything_damaged_at_once_is_mended(ws, whole):
    for name in files(ws.root):
        if not name.endswith(("lock.json", "manifest.copy.json")) and "bm25" not in name:
            flip(ws.root / name, 0.5)
    repaired = ws.repair()
    assert repaired.left == ()
    ws.sql("SELECT id FROM bm25('notes', 'card', k := 3)")
    assert contents(ws.root) == contents(whole / "ws")


def test_what_cannot_be_read_again_is_said_with_what_is_lost(ws, whole, tmp_path):
    data = tmp_path / "data"
    write(data / "a.jsonl", rows(0, 12))
    ws.add("mine", data)
    ws.add("frame", pl.DataFrame({"text": ["one", "two"]}))
    write(data / "a.jsonl", rows(50, 12))
    for name in ("mine", "frame"):
        flip(ws.catalogue.corpus(name).directory / "documents-00000.parquet", 0.5)
    flip(ws.catalogue.corpus("notes").directory / "documents-00000.parquet", 0.5)
    told = {damage.path.split("/")[1]: damage.remedy for damage in ws.repair().left}
    assert set(told) == {"mine", "frame"}
    assert "a.jsonl, which it was read from, has changed; 10 documents are lost" in told["mine"]
    assert "is not in files" in told["frame"]
    assert "2 documents are lost" in told["frame"]
    write(data / "a.jsonl", rows(0, 12))
    assert [damage.path.split("/")[1] for damage in ws.repair().left] == ["frame"]


def test_a_version_that_is_not_present_is_mended_and_stays_that(ws, whole, tmp_path):
    first = ws.add("two", whole / "data" / "notes" / "a.jsonl")
    second = ws.add("two", whole / "data" / "notes")
    flip(ws.catalogue.corpus("two", first.version).directory / "documents-00001.parquet", 0.5)
    assert ws.repair().left == ()
    assert ws.catalogue.present("two") == second.version


def test_places_that_are_damaged_are_not_used(ws, whole):
    """A flipped bit in them would give documents the vectors of others."""
    truth = ws._corpora.relation(ws.catalogue.corpus("notes")).vectors.matrix()
    path = next((ws.root / "indexes" / "notes").glob("*/places-toy.parquet"))
    frame = pl.read_parquet(path)
    frame.reverse().write_parquet(path)
    again = Workspace(ws.root, encoder=conftest.ToyEncoder())
    np.testing.assert_array_equal(again._corpora.relation(ws.catalogue.corpus("notes")).vectors.matrix(), truth)
    assert ws.check() == []  # made again


def test_an_index_is_built_again_with_the_recall_that_was_asked(ws, monkeypatch):
    monkeypatch.setattr(choice, "LEAST_ROWS", 10)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 8)).astype(np.float32)
    ws.add("many", pl.DataFrame({"text": [f"t{i}" for i in range(600)]}), vectors=vectors)
    ws.index("many", recall=0.9, kind="ivf")
    folder = next((ws.root / "indexes" / "many").glob("*/approximate-own"))
    name = folder.relative_to(ws.root).as_posix()
    before = (folder / "index.faiss").read_bytes()
    flip(folder / "index.faiss", 0.5)
    assert [damage.path for damage in ws.check()] == [f"{name}/index.faiss"]
    assert "built again with a recall of 0.9" in str(ws.repair())
    assert (folder / "index.faiss").read_bytes() == before
    told = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(
        json.dumps({k: v for k, v in told.items() if k not in ("seal", "sha256")}, indent=1) + "\n"
    )
    assert [damage.what for damage in ws.check()] == ["has no checksum: it is of an older format"]
    assert ws.repair().left == ()
    assert json.loads((folder / "index.json").read_text())["wish"]["recall"] == 0.9
    flip(folder / "index.json", 0.5)
    assert "curator index many builds it again" in str(ws.repair())
    assert not folder.exists()


def test_runs_of_a_race_are_checked(ws):
    write(ws.root / "races" / "small" / "runs" / "mix-seed0.json", [])
    (ws.root / "races" / "small" / "record.json").write_text("{")
    assert [damage.path for damage in ws.check()] == ["races/small/record.json", "races/small/runs/mix-seed0.json"]
    repaired = ws.repair()
    assert [damage.path for damage in repaired.left] == ["races/small/record.json"]
    assert "curator race" in repaired.left[0].remedy
    assert not (ws.root / "races/small/runs/mix-seed0.json").exists()
    path = ws.root / "races" / "small" / "record.json"
    write_sealed(path, {"predictions": [0, 1, 1]})
    assert ws.check() == []
    path.write_text(path.read_text().replace("0,", "1,"))
    assert [damage.what for damage in ws.check()] == ["is not what was written"]
    write_json(path, {"predictions": [0, 1, 1]})  # by a curator that gave records no checksum
    assert ws.check() == []


def test_damage_is_an_error_of_curators_until_it_is_mended(ws):
    (ws.root / "corpora" / "notes" / "current.json").write_text("{")
    with pytest.raises(WorkspaceError, match="curator check --repair"):
        ws.sql("SELECT * FROM notes")
    ws.repair()
    assert ws.sql("SELECT * FROM notes").height == 34
    (ws.root / "curator.json").write_text("{")
    with pytest.raises(WorkspaceError, match=r'write \{"format": 2\} into it'):
        Workspace(ws.root)


# Garbage


def sizes(root):
    """Bytes on the disk, each file once however many names it has."""
    stats = {path.stat().st_ino: path.stat().st_size for path in root.rglob("*") if path.is_file()}
    return sum(stats.values())


def replaced(ws, whole, tmp_path):
    """A corpus that a mix was made from, and one that none was, each in a second version with another text."""
    data = tmp_path / "data"
    shutil.copytree(whole / "data", data)
    write(data / "loose.jsonl", rows(500, 20))
    ws.add("loose", data / "loose.jsonl")
    ws.embed("loose")
    old = ws.catalogue.corpus("loose")
    write(data / "loose.jsonl", rows(519, 3))
    write(data / "notes" / "b.jsonl", rows(700, 9))
    for name, path in (("loose", data / "loose.jsonl"), ("notes", data / "notes")):
        ws.add(name, path)
        ws.embed(name)
    return old


def test_what_nothing_refers_to_goes_and_the_rest_needs_no_encoding(ws, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHARD_ROWS", 10)
    old = replaced(ws, whole, tmp_path)
    seen = {text for name in ("loose", "notes", "more", "files") for text in ws.catalogue.corpus(name).texts()}
    before = sizes(ws.root)
    told = ws.gc(dry_run=True)
    assert sizes(ws.root) == before
    assert old.directory.exists()
    done = ws.gc()
    assert (told.bytes, told.versions, told.derived, told.shards) == (done.bytes, 1, 1, done.shards)
    assert done.shards == 2  # ten texts each, and one of the twenty is still in use
    renewed = 200  # bytes by which a file that says where vectors are may differ, when shards have other names
    assert abs(before - sizes(ws.root) - done.bytes) <= renewed
    assert not old.directory.exists()
    assert not (ws.root / "indexes" / "loose" / old.version).exists()
    assert ws.mix("small").verify().documents == 12
    assert len(ws.catalogue.versions("notes")) == 2  # one for the mix
    assert ws.check() == []
    again = Workspace(ws.root, encoder=(toy := conftest.ToyEncoder()))
    for name in ("loose", "notes", "more", "files"):
        again.embed(name)
    again.mix("small").rebuild(toy)
    assert toy.seen == []
    assert str(again.gc()) == "everything is in use"
    ws.add("new", pl.DataFrame({"text": sorted(seen)}))
    ws.embed("new")
    stored = ws._corpora.store().index()
    gone = {row["text"] for row in rows(500, 19)}
    missing = ws._corpora.store().missing([((), pl.Series(sorted(gone)), np.arange(19))], stored)
    assert missing == 19


def test_leftovers_go_and_what_is_being_written_stays(ws):
    before = contents(ws.root)
    home = ws.root / "corpora" / "notes"
    dead = 2**22 + 1  # no process has this number
    for path in (
        home / ".writing" / "documents-00000.parquet",
        home / ".earlier-00000" / "documents-00000.parquet",
        ws.root / "corpora" / "never" / ".writing" / "settings.json",
        ws.root / "mixes" / "small" / "abc" / "mix.parquet",
        ws.root / "mixes" / "small" / f".current.json.{dead}.part",
        ws.root / "vectors" / "toy" / f".0.npy.{dead}.part",
        ws.root / "vectors" / "toy" / "0.npy",
        ws.root / f".curator.json.{dead}.part",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
    busy = ws.root / "mixes" / f".x.{os.getpid()}.part"
    busy.touch()
    dry = ws.gc(dry_run=True)
    assert (dry.unfinished, dry.leftovers, dry.bytes) == (4, 2, 800)
    assert "would remove 4 unfinished corpora and mixes, 2 half-written files: 800 bytes" in str(dry)
    assert ws.gc().bytes == 800
    assert busy.exists()
    busy.unlink()
    assert contents(ws.root) == before
    assert not (ws.root / "corpora" / "never").exists()


def test_nothing_goes_while_it_is_not_known_what_is_needed(ws):
    files_before = files(ws.root)
    lock = next((ws.root / "mixes" / "small").glob("*/lock.json"))
    flip(lock, 0.5)
    with pytest.raises(WorkspaceError, match=r"lock\.json is damaged.*curator check --repair"):
        ws.gc()
    flip(lock, 0.5)
    (ws.root / "corpora" / "notes" / "current.json").unlink()
    with pytest.raises(WorkspaceError, match=r"current\.json is damaged"):
        ws.gc()
    ws.repair()
    flip(ws.catalogue.corpus("notes").directory / "documents-00000.parquet", 0.5)
    with pytest.raises(WorkspaceError, match=r"documents-00000\.parquet is damaged"):
        ws.gc()
    assert files(ws.root) == files_before


def test_a_killed_removal_is_no_damage_and_is_ended(ws, whole, tmp_path, monkeypatch):
    replaced(ws, whole, tmp_path)

    def stop(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["curator.upkeep.gc"], "remove", stop)
    with pytest.raises(KeyboardInterrupt):
        ws.gc()
    monkeypatch.undo()
    assert ws.check() == []
    ws.gc()
    assert not list(Path(ws.root).rglob(".gone-*"))
    assert ws.mix("small").verify().documents == 12


def test_vectors_of_another_encoder_are_made_again_by_it(tmp_path, toy, monkeypatch):
    """The settings that made them are remembered beside the vectors."""
    monkeypatch.setattr("curator.encoder.remembered.load", lambda settings: toy)
    monkeypatch.setattr("curator.encoder.identity.made_from", lambda settings, precision: "toy files")
    monkeypatch.setattr(toy, "made_from", "toy files", raising=False)
    first = Workspace(tmp_path / "ws", encoder="a-model")
    first.add("notes", pl.DataFrame({"text": ["one two", "three four"]}))
    first.embed("notes")
    shard = next((tmp_path / "ws" / "vectors" / "toy").glob("*.npy"))
    before = shard.read_bytes()
    flip(shard, 0.9)
    other = type("Other", (conftest.ToyEncoder,), {"key": "other"})()
    assert Workspace(tmp_path / "ws", encoder=other).repair().left == ()
    assert shard.read_bytes() == before
    assert other.seen == []


# Forgetting

SECRET = "xylophone7"


def strings(path):
    """All that can be read in a file."""
    if path.suffix == ".parquet":
        return str(pl.read_parquet(path).rows())
    return path.read_bytes().decode("utf8", "replace")


def telling(root, *words):
    """The files of a workspace in which one of some words can be read."""
    found = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return [str(path.relative_to(root)) for path in found if any(word in strings(path) for word in words)]


def has_vector(root, vector):
    arrays = [np.load(path) for path in root.rglob("*.npy")]
    return any((array == vector).all(axis=1).any() for array in arrays if array.shape[1:] == vector.shape)


def secret(tmp_path, whole):
    """A workspace with a document that is in two versions of a corpus, in a mix, a partner, an example, a reject."""
    data = tmp_path / "data"
    shutil.copytree(whole / "data", data)
    text = f"good thanks card {SECRET} a4242 b4343 c1 d2 e3 f4 g5 h6"
    mine = [{"id": f"n{row['text'].split()[3]}", **row} for row in rows(900, 25)]
    mine.insert(12, {"id": "the-id", "text": text, "label": "positive"})
    mine.insert(13, {"id": "zz-near", "text": text, "label": "positive"})
    mine.append({"id": "the-id", "text": f"again {text}"[6:50], "label": "positive"})
    for row in mine:
        row["v"] = [float(len(row["text"])), 1.0]
    mine[13]["text"] = mine[13]["text"].replace(SECRET, "another")
    write(data / "mine.jsonl", mine)
    ws = Workspace(tmp_path / "ws", encoder=conftest.ToyEncoder())
    ws.add("mine", data / "mine.jsonl")
    ws.embed("mine")
    values = recipe(data).model_dump(mode="json", by_alias=True, exclude_none=True)
    values = {
        **values,
        "pool": {"called": {"corpus": "mine"}},
        "stage": [{"use": "deduplicate", "min_similarity": 0.65}],
    }
    mix = ws.mix(Recipe.parse(values, folder=data))
    write(data / "mine.jsonl", mine[:-3])
    ws.add("mine", data / "mine.jsonl")
    ws.embed("mine")
    ws.sql("SELECT id FROM bm25('mine', 'card', k := 3)")
    return ws, mix, data, text


def test_a_document_is_forgotten_everywhere(whole, tmp_path):
    ws, mix, data, text = secret(tmp_path, whole)
    ledger = mix.ledger()
    assert "the-id" in ledger["partner_id"].to_list()
    assert SECRET in mix.frame()["text"].str.join(" ")[0]
    assert len(telling(ws.root, SECRET)) > 6
    others = ws.sql("SELECT id, text, embedding FROM mine WHERE id <> 'the-id'")
    row = ws._corpora.encoder.encode([text]).vectors[0]
    assert has_vector(ws.root, row)
    [told] = ws.forget("mine:the-id")
    assert telling(ws.root, SECRET, "the-id") == []
    assert not has_vector(ws.root, row)
    assert ws.check() == []
    assert len(told.versions) == 2
    assert [name.split()[0] for name in told.mixes] == ["small"]
    assert told.origin == (str(data / "mine.jsonl"),)
    assert told.same_text == ()
    ws._corpora.encoder.seen.clear()
    after = ws.sql("SELECT id, text, embedding FROM mine")
    assert after.equals(others)
    assert ws._corpora.encoder.seen == []
    again = ws.mix("small")
    assert again.lock["forgotten"] == 1
    assert len(again.frame()) == len(again) == len(mix) - 1
    changed = ("partner_corpus", "partner_id", "reason")
    assert again.ledger().drop(changed).equals(ledger.filter(pl.col("id") != "the-id").drop(changed))
    fate = again.explain("called:zz-near")
    assert "deduplicate" in str(fate)
    with pytest.raises(UnknownNameError, match="no document named 'the-id'"):
        ws.forget("mine:the-id")


def test_what_was_forgotten_is_not_read_again(whole, tmp_path):
    ws, _, data, _ = secret(tmp_path, whole)
    ws.forget("mine:the-id")
    before = ws.catalogue.corpus("mine")
    assert ws.add("mine", data / "mine.jsonl").version == before.version  # nothing changed, nothing is read
    with (data / "mine.jsonl").open("a") as file:
        file.write(json.dumps({"id": "new", "text": "one more"}) + "\n")
    ws.add("mine", data / "mine.jsonl")
    corpus = ws.catalogue.corpus("mine")
    assert "new" in corpus.frame()["id"].to_list()
    assert telling(ws.root, SECRET, "the-id") == []
    told = corpus.rejected().filter(reason="forgotten")
    assert told.select("line", "excerpt").rows() == [(13, "")]
    ws.add("elsewhere", data / "mine.jsonl")
    assert "the-id" in ws.catalogue.corpus("elsewhere").frame()["id"].to_list()


def test_a_text_that_another_document_has_keeps_its_vector(whole, tmp_path):
    ws, _, _, text = secret(tmp_path, whole)
    ws.add("other", pl.DataFrame({"id": ["mine-too"], "text": [text]}))
    [told] = ws.forget("mine:the-id")
    assert told.same_text == ("other:mine-too",)
    assert "other:mine-too" in str(told)
    ws._corpora.encoder.seen.clear()
    ws.embed("other")
    assert ws._corpora.encoder.seen == []


def test_brought_vectors_go_with_their_document(whole, tmp_path):
    ws, _, data, _ = secret(tmp_path, whole)
    ws.add("brought", data / "mine.jsonl", vectors="v")
    before = ws.sql("SELECT id, text, embedding FROM brought WHERE id <> 'the-id'")
    ws.forget("brought:the-id")
    assert ws.sql("SELECT id, text, embedding FROM brought").equals(before)
    assert ws.check() == []


def test_forget_refuses_what_it_does_not_know(whole, tmp_path):
    ws, *_ = secret(tmp_path, whole)
    before = contents(ws.root)
    with pytest.raises(UnknownNameError, match="did you mean 'the-id'"):
        ws.forget("mine:zz-near", "mine:the-ie")
    with pytest.raises(UnknownNameError, match="did you mean 'mine'"):
        ws.forget("mime:the-id")
    with pytest.raises(UsageError, match="corpus:id"):
        ws.forget("the-id")
    assert contents(ws.root) == before
    ws.add("single", pl.DataFrame({"id": ["x"], "text": ["alone"]}))
    with pytest.raises(UsageError, match="is all that version"):
        ws.forget("single:x")


def test_a_killed_forgetting_leaves_a_workspace_that_opens_and_is_ended_by_the_same_call(whole, tmp_path, monkeypatch):
    ws, mix, _, _ = secret(tmp_path, whole)
    start = tmp_path / "start"
    shutil.copytree(ws.root, start, copy_function=shutil.copy2)
    ws.forget("mine:the-id")
    expected = contents(ws.root)
    replace, unlink = Path.replace, Path.unlink
    stop = 0
    while True:
        shutil.rmtree(ws.root)
        shutil.copytree(start, ws.root, copy_function=shutil.copy2)
        calls = itertools.count()

        def counted(function, stop=stop, calls=calls):
            def call(path, *args, **kwargs):
                if next(calls) == stop:
                    raise KeyboardInterrupt
                return function(path, *args, **kwargs)

            return call

        again = Workspace(ws.root, encoder=conftest.ToyEncoder())
        try:
            with monkeypatch.context() as patch:
                patch.setattr(Path, "replace", counted(replace))
                patch.setattr(Path, "unlink", counted(unlink))
                again.forget("mine:the-id")
            break
        except KeyboardInterrupt:
            pass
        again = Workspace(ws.root, encoder=conftest.ToyEncoder())
        assert again.sql("SELECT count(*) AS n FROM mine")["n"][0] > 20
        assert len(again.mix("small").frame()) >= len(mix) - 1
        with suppress(UnknownNameError):  # it was all but done
            again.forget("mine:the-id")
        assert telling(ws.root, SECRET, "the-id") == [], stop
        assert again.check() == [], stop
        found = contents(ws.root)
        assert {name: sums for name, sums in found.items() if "/manifest" not in name} == {
            name: sums for name, sums in expected.items() if "/manifest" not in name
        }, stop
        stop += 3
    assert stop > 30


def test_an_example_of_the_task_is_forgotten_and_its_models_are_named(ws):
    (ws.root / "models" / "small").mkdir(parents=True)
    mix = ws.mix("small")
    named = (
        mix.ledger().drop_nulls("partner_id").filter(pl.col("partner_corpus").is_in(["target", "dev"]))["partner_id"]
    )
    key = named[0]
    [text] = ws.sql("SELECT text FROM small_target WHERE id = $key", key=key)["text"]
    record = {
        "evaluation": {"ids": [key, "other"]},
        "mix": {"examples": [*mix.summary()["examples"], {**mix.summary()["examples"][0], "partner_text": text}]},
    }
    (ws.root / "races" / "small").mkdir(parents=True)
    (ws.root / "races" / "small" / "record.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    (ws.root / "races" / "small" / "report.html").write_text(text)
    (ws.root / "races" / "small" / "look.json").write_text(text)
    shutil.copytree(ws.root / "races" / "small", ws.root / "races" / "small-probe")
    (ws.root / "races" / "small-probe" / "record.json").unlink()  # as a race that was stopped leaves it
    [told] = ws.forget(f"small_target:{key}")
    assert told.models == ("models/small",)
    assert told.mixes == ()
    assert len(told.pools) == 1
    word = text.split()[-1]
    assert telling(ws.root, word) == []
    assert telling(ws.root, f'"{key}"', f"'{key}'") == []
    kept = json.loads((ws.root / "races" / "small" / "record.json").read_text())
    assert kept["evaluation"]["ids"] == ["forgotten", "other"]
    assert 0 < len(kept["mix"]["examples"]) < len(record["mix"]["examples"])
    again = ws.mix("small")
    assert len(again) == len(mix)
    assert ws.check() == []
    with pytest.raises(VerificationError, match="1 documents were forgotten since"):
        again.verify()


def test_a_mix_that_does_not_rebuild_any_more_says_why(ws):
    mix = ws.mix("small")
    kept = mix.frame().filter(corpus="notes")["id"].to_list()
    ws.forget(*(f"notes:{key}" for key in kept[:3]))
    again = ws.mix("small")
    assert len(again) == len(mix) - 3
    with pytest.raises(VerificationError, match="3 documents were forgotten since"):
        again.verify()


def test_rejects_that_quote_a_document_are_forgotten(tmp_path, toy):
    write(
        tmp_path / "a.jsonl",
        [{"id": "a", "text": "the first"}, {"id": "b", "text": "kept"}, {"id": "a", "text": SECRET}],
    )
    ws = Workspace(tmp_path / "ws", encoder=toy)
    ws.add("notes", tmp_path / "a.jsonl")
    assert "duplicate id 'a'" in ws.rejects("notes")["reason"][0]
    ws.forget("notes:a")
    assert ws.rejects("notes")["reason"].to_list() == ["forgotten"]
    assert telling(ws.root, SECRET, "the first", "'a'") == []
