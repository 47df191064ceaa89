"""A workspace on an object store: what one machine writes another has, whatever stops anybody on the way."""

import json
import os
import shutil
import signal
import sys
import time
import traceback
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from test_upkeep import recipe, rows, small_parts, write  # noqa: F401  a fixture for all tests of this file

from curator import Workspace, storage
from curator.catalogue.corpus import texts_of
from curator.cli import main
from curator.errors import CuratorWarning, UnknownNameError, UsageError, WorkspaceError
from curator.files import sha256, write_npy, write_text
from curator.storage import objects
from curator.storage.memory import STATE
from curator.storage.mirror import Mirror
from curator.storage.objects import Objects
from curator.storage.tree import ABSENT
from curator.vectors import Encoding, VectorStore
from curator.vectors.encoding import Lacking

TORTURE = "CURATOR_TORTURE" in os.environ  # every few lines at which a process may be killed


@pytest.fixture
def machine(monkeypatch, tmp_path, toy, url):
    """Opens the workspace as a machine of that name does, whose copy nobody else has."""

    def opened(name, at=url):
        monkeypatch.setenv("CURATOR_MIRRORS", str(tmp_path / name))
        return Workspace(at, encoder=toy)

    return opened


@pytest.fixture
def data(tmp_path):
    write(tmp_path / "data" / "target.jsonl", rows(100, 30))
    write(tmp_path / "data" / "more.jsonl", rows(300, 11))
    write(tmp_path / "data" / "notes.jsonl", rows(0, 90))
    return tmp_path / "data"


def files_of(ws):
    """The files of a copy, but for those that are one machine's."""
    found = {path.relative_to(ws.root).as_posix(): path for path in ws.root.rglob("*") if path.is_file()}
    return {name: path for name, path in found.items() if "/." not in f"/{name}" and name != "vectors/encoders.json"}


def contents(ws):
    return {name: path.read_bytes() for name, path in files_of(ws).items()}


def held(ws):
    return {name for name, path in files_of(ws).items() if path.stat().st_mtime_ns == ABSENT}


def in_store(url):
    """The checksums of the files of the latest version, each of which there must be bytes of."""
    store = Objects(url)
    files = store.files(store.latest(), (0, {}))
    assert {entry.sha256 for entry in files.values()} <= store.stored().keys()
    return {name: entry.sha256 for name, entry in files.items()}


def versions(ws):
    return {name: ws.catalogue.present(name) for name in ws.catalogue.names()}


def test_what_one_machine_makes_another_has(machine, url, data):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    mix = ours.mix(recipe(data))
    mix.tag("good")
    assert in_store(url) == {name: sha256(path) for name, path in files_of(ours).items()}
    theirs = machine("b")
    assert theirs.root != ours.root
    assert theirs.ls() == ours.ls()
    assert theirs.ls_mixes("good") == ours.ls_mixes()
    opened = theirs.mix("small")
    assert opened.frame().equals(mix.frame())
    opened.verify()
    assert theirs.sql("SELECT * FROM notes").equals(ours.sql("SELECT * FROM notes"))
    assert theirs.check() == []
    assert contents(theirs) == contents(ours)
    assert repr(theirs).startswith(f"Workspace('{url}', 3 corpora, 1 mixes)")


def test_documents_and_vectors_are_fetched_when_they_are_read(machine, url, data):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    ours.add("more", data / "more.jsonl")
    for name in ("notes", "more"):
        ours.embed(name)
    theirs = machine("b")
    large = {name for name in files_of(ours) if name.endswith(".npy") or "/documents-" in name}
    assert held(theirs) == large
    assert len(large) == 15
    assert all(not any(path.read_bytes()) for name, path in files_of(theirs).items() if name in large)
    assert theirs.ls() == ours.ls()  # sizes and all
    assert held(theirs) == large
    assert theirs.sql("SELECT 1 AS one").item() == 1
    assert len(held(theirs)) == len(large) - 2  # one of each corpus tells the columns
    before = in_store(url)
    assert theirs.search("notes", rows(3, 1)[0]["text"], 1)["text"].item() == rows(3, 1)[0]["text"]
    assert not [name for name in held(theirs) if name.startswith("corpora/notes/")]
    assert len([name for name in held(theirs) if name.startswith("vectors/")]) == 1  # of more
    theirs.push()
    assert in_store(url) == before


def test_only_what_is_new_travels(machine, data, monkeypatch):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    sent = []
    put = Objects.put
    monkeypatch.setattr(Objects, "put", lambda self, entries: (sent.extend(entries), put(self, entries)))
    ours.add("notes", data / "notes.jsonl")
    assert sent == []
    write(data / "notes.jsonl", rows(0, 95))
    ours.add("notes", data / "notes.jsonl")  # of ten files nine are as they were
    assert sum("documents-" in path.name for path in sent) == 1
    theirs = machine("b")
    theirs.embed("notes")
    sent.clear()
    ours.embed("notes")  # it is there
    assert [path for path in sent if path.suffix == ".npy"] == []


class _StoppedError(BaseException):
    """The machine is gone."""


def stopping(patch, left):
    """Let so many objects be written or removed, and nothing more."""

    def counted(what):
        real = getattr(Objects, what)

        def call(own, given, *more):
            nonlocal left
            many = not isinstance(given, (int, str))
            parts = [{one: given[one]} if isinstance(given, dict) else [one] for one in given] if many else [given]
            for part in parts:
                if left == 0:
                    raise _StoppedError
                left -= 1
                found = real(own, part, *more)
            return None if many else found

        patch.setattr(Objects, what, call)

    for what in ("put", "commit", "remove", "release"):
        counted(what)
    return lambda: left


@pytest.mark.parametrize("change", ["adds", "forgets", "mixes"])
def test_who_stops_anywhere_leaves_what_was_there_or_what_is_new(machine, url, data, change, monkeypatch):
    """Killed after any object was sent; then again by who goes on; other machines look on all the time."""
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    ours.mix(recipe(data))
    first = in_store(url)
    write(data / "notes.jsonl", rows(0, 95))

    def changes():
        if change == "adds":
            ours.add("notes", data / "notes.jsonl")
            ours.embed("notes")
        elif change == "forgets":
            ours.forget("notes:notes.jsonl:3")
        else:
            again = recipe(data)
            ours.mix(again.model_copy(update={"stage": again.stage[:1]}))

    seen = [first]
    for steps in range(100):
        with monkeypatch.context() as patch:
            left = stopping(patch, steps)
            with suppress(_StoppedError, UnknownNameError):  # which forgetting raises for what is forgotten
                changes()
            ended = left() > 0
        if (now := in_store(url)) != seen[-1]:
            seen.append(now)
            theirs = machine(f"b{steps}")
            assert theirs.check() == [], f"after {steps} objects"
            assert contents(theirs).keys() == now.keys()
            monkeypatch.setenv("CURATOR_MIRRORS", str(ours.root.parent))
        if ended:
            break
    assert ended
    assert steps >= 3
    assert in_store(url) == {name: sha256(storage.here(path)) for name, path in files_of(ours).items()}
    assert in_store(url) != first


def ended(work, lines):
    """Do work of storage's in a process that is killed at the line of it that comes after so many; whether it was."""
    pid = os.fork()
    if not pid:

        def trace(frame, event, _):
            nonlocal lines
            if "curator/storage" not in frame.f_code.co_filename:
                return None
            if event == "line":
                lines -= 1
                if lines < 0:
                    os._exit(9)
            return trace

        sys.settrace(trace)
        try:
            work()
        except BaseException:  # noqa: BLE001  what is forked must not go on
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    until = time.monotonic() + 20
    while not (gone := os.waitpid(pid, os.WNOHANG))[0]:
        time.sleep(0.01)
        if time.monotonic() > until:  # what is forked beside threads may wait for ever, or fall: it is killed, too
            os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(gone[1])
    assert code != 1  # an exception
    return code == 0


def left_unsent(ws, change):
    """Change a workspace, as a machine does that is stopped before it sends anything."""
    mirror = storage._mirrors[ws.root]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirror, "push", lambda: None)
        with mirror.sending("."):
            change(ws.root / "models")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to be killed")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("step", [7 if TORTURE else 37])
def test_a_push_that_is_killed_at_any_line_loses_and_doubles_nothing(machine, url, step):
    ours, theirs = machine("a"), machine("b")
    (ours.root / "models").mkdir()
    for name in ("kept", "changed"):
        (ours.root / "models" / name).write_text("of the first")
    ours.push()
    for number in range(1000):
        added, changed = f"{number}.txt", f"of {number}"

        def change(folder, added=added, changed=changed, number=number):
            (folder / added).write_text(added)
            write_text(folder / "changed", changed)
            (folder / f"{number - 1}.txt").unlink(missing_ok=True)

        left_unsent(ours, change)
        was_ended = ended(Mirror(url, ours.root).push, step * number)
        theirs = machine("b")
        found = {name.removeprefix("models/") for name in in_store(url)} - {"curator.json"}
        before = {"kept", "changed"} | ({f"{number - 1}.txt"} if number else set())
        assert found in (before, {"kept", "changed", added}), number
        assert {path.name for path in (theirs.root / "models").iterdir()} == found
        if came := added in found:  # then others may remove it, and who was killed does not bring it back
            with storage._mirrors[theirs.root].sending("."):
                (theirs.root / "models" / added).unlink()
        ours = machine("a")
        ours.push()
        now = in_store(url)
        assert (f"models/{added}" in now) == (not came)
        assert f"models/{number - 1}.txt" not in now
        assert (machine("b").root / "models" / "changed").read_text() == changed
        if was_ended:
            break
    assert was_ended
    assert number > 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to be killed")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("step", [7 if TORTURE else 37])
def test_a_pull_that_is_killed_at_any_line_leaves_nothing_behind(machine, url, step):
    ours, theirs = machine("a"), machine("b")
    (ours.root / "models").mkdir()
    for number in range(1000):
        for name in ("changed", f"{number}.txt"):
            write_text(ours.root / "models" / name, f"of {number}")
        write_npy(ours.root / "vectors" / "toy" / f"{number}.npy", np.ones(4))
        ours.push()
        was_ended = ended(partial(Mirror(url, theirs.root).pull, whole=True), step * number)
        with storage._mirrors[ours.root].sending("."):
            (ours.root / "models" / f"{number}.txt").unlink()
            (ours.root / "vectors" / "toy" / f"{number}.npy").unlink()
        expected = in_store(url)
        theirs = machine("b")
        theirs.push()
        assert in_store(url) == expected, number
        assert files_of(theirs).keys() == expected.keys()
        if was_ended:
            break
    assert was_ended
    assert number > 5


def test_one_machine_writes_at_a_time(machine, url, data):
    ours, theirs = machine("a"), machine("b")
    with ours.catalogue.writing():
        said = rf"\d+@\S+ has been writing to {url} since 2\S+; .*delete {url}/locks/\.\.json"
        with pytest.raises(WorkspaceError, match=said):
            theirs.add("notes", data / "notes.jsonl")
        with theirs.catalogue.writing("races/other"):  # which is another folder
            pass
        with machine("b").catalogue.writing("races/other"):  # and opening asks for no lock
            pass
    theirs.add("notes", data / "notes.jsonl")
    assert machine("a").catalogue.names() == ["notes"]


def test_the_lock_of_a_killed_process_is_taken_by_the_next_of_its_copy_alone(machine, data, monkeypatch):
    ours, theirs = machine("a"), machine("b")
    with monkeypatch.context() as patch:
        patch.setattr(Objects, "release", lambda *_: None)  # as one that is killed does not
        with ours.catalogue.writing():
            pass
    with pytest.raises(WorkspaceError, match="has been writing"):
        theirs.add("notes", data / "notes.jsonl")
    shutil.copytree(ours.root, theirs.root.parent.parent / "c" / ours.root.name)  # an image of that machine
    monkeypatch.setattr("curator.storage.mirror.HOST", "another-host")
    with pytest.raises(WorkspaceError, match="has been writing"):
        machine("c").add("notes", data / "notes.jsonl")
    monkeypatch.undo()


def test_who_lost_its_lock_leaves_that_of_another(machine, url):
    ours, theirs = machine("a"), machine("b")
    store = Objects(url)
    with ours.catalogue.writing():
        store.release(".", store.holder("."))  # by a person who thought it was gone
        with theirs.catalogue.writing():
            pass
        with theirs.catalogue.writing():
            held_by = store.holder(".")
            ours_told = {**held_by, "nonce": "another"}
            store.release(".", ours_told)
            assert store.holder(".") == held_by


def test_who_writes_has_what_others_have_written_meanwhile(machine, data):
    ours, theirs = machine("a"), machine("b")
    ours.add("notes", data / "notes.jsonl")
    assert theirs.catalogue.names() == []  # as when it was opened
    theirs.add("more", data / "more.jsonl")
    assert theirs.catalogue.names() == ["more", "notes"]
    assert machine("c").catalogue.names() == ["more", "notes"]


def test_versions_that_two_make_at_once_both_count(machine, url, data, monkeypatch):
    ours, theirs = machine("a"), machine("b")
    ours.add("notes", data / "notes.jsonl")
    for ws, name in ((ours, "x"), (theirs, "y")):
        (ws.root / f"{name}.txt").write_text(name)
    commit = Objects.commit
    with monkeypatch.context() as patch:
        patch.setattr(Objects, "commit", lambda *given: (patch.undo(), theirs.push(), commit(*given))[-1])
        ours.push()
    assert {"x.txt", "y.txt"} <= in_store(url).keys()
    assert versions(machine("c")) == versions(ours)


def test_versions_are_read_from_the_last_that_says_all(machine, url, data, monkeypatch):
    monkeypatch.setattr(objects, "CHECKPOINT", 4)
    ours = machine("a")
    theirs = machine("b")
    for number in range(11):
        (ours.root / f"{number}.txt").write_text(str(number))
        with ours.catalogue.writing():
            (ours.root / f"{number - 2}.txt").unlink(missing_ok=True)
        if number == 5:
            theirs = machine("b")
    read = []
    real = Objects._call
    monkeypatch.setattr(Objects, "_call", lambda own, *a, **k: (read.append(a), real(own, *a, **k))[1])
    machine("b")
    logs = [given[1][-13:] for given in read if given[0] == "cat_file"]
    latest = Objects(url).latest()
    assert logs == [f"{number:08}.json" for number in range(latest - latest % 4, latest + 1)]
    assert files_of(theirs).keys() == files_of(ours).keys() == {"curator.json", "9.txt", "10.txt"}


def test_what_is_removed_there_goes_here_and_what_is_missing_comes_back(machine, url, data):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    ours.embed("notes")
    theirs = machine("b")
    theirs.sql("SELECT * FROM notes")
    (theirs.root / "models").mkdir()
    (theirs.root / "models" / "of mine.txt").write_text("mine")
    write(data / "notes.jsonl", rows(7, 50))
    ours.add("notes", data / "notes.jsonl")
    ours.gc()
    again = machine("b")
    assert len(again.catalogue.versions("notes")) == 1
    assert len(list((again.root / "corpora" / "notes").iterdir())) == 2
    assert (again.root / "models" / "of mine.txt").read_text() == "mine"
    assert again.check() == []
    again.push()
    whole = in_store(url)
    assert "models/of mine.txt" in whole
    for gone in ("corpora", "vectors"):  # by who wanted room on the disk
        shutil.rmtree(again.root / gone)
    again.push()
    assert in_store(url) == whole
    once_more = machine("b")
    once_more.add("more", data / "more.jsonl")
    assert whole.items() <= in_store(url).items()
    assert len(once_more.sql("SELECT * FROM notes")) == 50


def test_a_copy_that_was_copied_without_times_is_a_copy(machine, url, data, tmp_path):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    theirs = machine("b")
    theirs.catalogue.corpus("notes").texts(theirs.catalogue.corpus("notes").shards[:2])
    places = held(theirs)
    assert places
    assert len(places) < len([name for name in files_of(theirs) if "/documents-" in name])
    before = in_store(url)
    for path in theirs.root.rglob("*"):
        os.utime(path)
    theirs.push()
    assert in_store(url) == before
    assert held(theirs) == places
    (theirs.root / STATE).write_text("{")
    assert contents(machine("b")).keys() == before.keys()
    assert len(theirs.sql("SELECT * FROM notes")) == 90


def test_bytes_that_no_version_names_go_with_gc(machine, url, data):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    store = Objects(url)
    write(data / "notes.jsonl", rows(7, 50))
    ours.add("notes", data / "notes.jsonl")
    (ours.root / "of another").write_bytes(b"on its way")
    other = sha256(ours.root / "of another")
    store.put({ours.root / "of another": objects.Entry(10, 1, other)})
    (ours.root / "of another").unlink()
    ours.gc(dry_run=True)
    assert set(in_store(url).values()) | {other} < store.stored().keys()
    ours.gc()
    assert store.stored().keys() == set(in_store(url).values()) | {other}


def test_what_is_forgotten_is_nowhere(machine, bucket, data):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    ours.mix(recipe(data))

    def holding(*words):
        found = set()
        for one in bucket.objects.all():
            body = one.get()["Body"].read()
            if body[:4] == b"PAR1":
                frame = pl.read_parquet(body)
                texts = [text for text in frame["text"] if text] if "text" in frame.columns else []
            else:
                texts = [body.decode("utf8", "replace")]
            found |= {one.key for text in texts for word in words if word in text}
        return found

    assert holding("remark3 ")
    ours.forget("notes:notes.jsonl:4")
    assert holding("remark3 ") == set()
    assert holding("remark4 ")


def test_what_was_changed_here_and_there_is_what_is_there_and_that_is_said(machine, data):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl", licence="MIT")
    theirs = machine("b")
    with ours.catalogue.writing():
        ours.catalogue.state_licence("notes", "CC0")
    theirs.catalogue.state_licence("notes", "CC-BY")  # killed before it was sent
    with pytest.warns(CuratorWarning, match="by another machine, and the store's are kept: corpora/notes/licence.json"):
        again = machine("b")
    assert again.catalogue.licence("notes") == "CC0"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        machine("b")


def test_a_worker_elsewhere_reads_and_writes_by_the_store(machine, url, data, toy, monkeypatch):
    """On one machine another is played by moving directories."""
    driver = machine("a")
    driver.add("notes", data / "notes.jsonl")
    corpus = driver.catalogue.corpus("notes")
    vectors = VectorStore(driver.root / "vectors" / "toy")
    window = tuple(str(corpus.directory / name) for name in corpus.shards)
    work = Encoding(toy, vectors.directory, texts_of)
    aside, copies = driver.root.with_name("aside"), storage.every()
    driver.root.rename(aside)
    keys, told = [], []
    with monkeypatch.context() as patch:
        patch.setattr(storage, "_mirrors", {})
        patch.setattr(storage, "_away", set())
        storage.joined(copies)
        storage.refreshed()
        assert driver.root.exists()
        for start in (0, 5):
            keys += work.run([Lacking(window, np.arange(start, start + 5))])
            told.append(storage.sent())
        assert storage.sent() == {}
        driver.root.rename(driver.root.with_name("worker"))
    aside.rename(driver.root)

    for sent in told:
        assert {name.rpartition(".")[2] for name in sent[driver.root]} == {"npy", "parquet", "json"}
        storage.arrived(sent)
    shards = [f"vectors/toy/{shard.name}.npy" for shard in vectors._shards()]
    assert len(shards) == 2
    assert held(driver) == set(shards)
    assert not in_store(url).keys() & set(shards)
    with monkeypatch.context() as patch:  # who goes on where the driver was killed has them, too
        patch.setattr(storage, "_mirrors", {})
        again = machine("a")
        assert held(again) == set(shards)
        with patch.context() as only:
            only.setattr(Objects, "put", lambda own, entries: entries and pytest.fail("sent twice"))
            again.push()
    assert in_store(url).keys() >= set(shards)
    texts, index = corpus.texts(), vectors.index()
    places = vectors.places(texts, np.arange(10), index)
    assert np.allclose(vectors.vectors(places).matrix(), toy.encode(texts[:10].to_list()).vectors, atol=1e-6)
    assert machine("b").check() == []


def test_a_long_embedding_is_sent_as_it_goes_on(machine, url, data, monkeypatch):
    shards = []
    commit = Objects.commit

    def listened(own, version, by, added, *more):
        shards.append(sum(name.endswith(".npy") for name in added))
        return commit(own, version, by, added, *more)

    monkeypatch.setattr(Objects, "commit", listened)
    for place, seconds in (("once", 600.0), ("often", 0.0)):
        monkeypatch.setattr(storage, "OFTEN", seconds)
        ours = machine("a", f"{url}/{place}")
        ours.add("notes", data / "notes.jsonl")
        shards.clear()
        ours.embed("notes")
        assert list(filter(None, shards)) == ([3] if place == "once" else [1, 1, 1])


def test_what_workers_sent_for_nothing_leaves_no_trace(machine, url, data):
    driver = machine("a")
    driver.add("notes", data / "notes.jsonl")
    entry = objects.Entry(100, 5, "0" * 64)  # whose bytes are gone, as the driver was killed long ago
    mirror = Mirror(url, driver.root)
    mirror.arrived({"vectors/toy/abc.npy": entry})
    assert held(driver) == {"vectors/toy/abc.npy"}
    again = machine("a")
    assert held(again) == set()
    again.push()
    assert "vectors/toy/abc.npy" not in in_store(url)


def test_what_is_read_after_another_removed_it_is_said(machine, url, data):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    theirs = machine("b")
    write(data / "notes.jsonl", rows(7, 50))
    ours.add("notes", data / "notes.jsonl")
    ours.gc()
    with pytest.raises(WorkspaceError, match=f"{url}: the bytes of corpora/notes/.* are not in the store: another"):
        theirs.sql("SELECT * FROM notes")
    assert len(machine("b").sql("SELECT * FROM notes")) == 50


def test_what_goes_while_blocks_are_open_does_not_come_back(machine, url, data):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    (ours.root / "models").mkdir()
    (ours.root / "models" / "old").write_text("old")
    ours.push()
    with storage.sending(ours.root):
        (ours.root / "models" / "old").unlink()
        ours.add("more", data / "more.jsonl")  # has all that is there, but for this
        assert not (ours.root / "models" / "old").exists()
    assert "models/old" not in in_store(url)
    (ours.root / "models" / "old").write_text("old")  # and may come again
    ours.push()
    assert "models/old" in in_store(url)
    assert (machine("a").root / "models" / "old").exists()


def test_files_with_the_times_of_other_clocks_are_sent(machine, url, data):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    for path in ours.root.rglob("*.parquet"):
        os.utime(path, (4e9, 4e9))  # as of a machine whose clock is wrong
    ours.push()
    write(data / "notes.jsonl", rows(0, 95))
    ours.add("notes", data / "notes.jsonl")
    assert machine("b").check() == []
    assert len(machine("b").sql("SELECT * FROM notes")) == 95


def test_bytes_that_the_store_has_lost_are_said_and_made_again(machine, url, data, bucket):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    ours.embed("notes")
    whole = in_store(url)
    lost = [name for name in whole if name.startswith("vectors/") and not name.endswith("json")][:2]
    lost += [name for name in whole if name.startswith("corpora/") and name.endswith("00003.parquet")]
    assert len(lost) == 3
    for name in lost:
        bucket.Object(f"some/where/objects/{whole[name][:2]}/{whole[name]}").delete()
    with pytest.warns(CuratorWarning, match="the bytes of .* are not in the store"):
        theirs = machine("b")
    damaged = {str(damage.path) for damage in theirs.check()}
    assert any(name in "".join(damaged) for name in lost)
    with pytest.raises(WorkspaceError, match="are not in the store"):
        theirs.sql("SELECT * FROM notes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CuratorWarning)  # that they are not there still
        theirs.repair()
    assert theirs.check() == []
    assert len(theirs.sql("SELECT * FROM notes")) == 90
    in_store(url)
    latest = Objects(url).latest()
    theirs.push()
    assert Objects(url).latest() == latest
    assert machine("c").check() == []


def test_other_bytes_than_were_sent_are_not_taken(machine, url, bucket):
    ours = machine("a")
    (ours.root / "models").mkdir()
    (ours.root / "models" / "x").write_text("good")
    ours.push()
    checksum = in_store(url)["models/x"]
    bucket.put_object(Key=f"some/where/objects/{checksum[:2]}/{checksum}", Body=b"evil")
    with pytest.warns(CuratorWarning, match="the bytes of models/x are not in the store"):
        theirs = machine("b")
    assert not (theirs.root / "models" / "x").exists()


def test_a_store_that_lets_two_write_the_same_object_is_refused(machine, data, monkeypatch):
    ours = machine("a")
    monkeypatch.setattr(Objects, "_created", lambda *_: True)
    with pytest.raises(UsageError, match="lets two machines write the same object"):
        ours.add("notes", data / "notes.jsonl")


def test_what_is_no_workspace_or_cannot_be_reached_is_said(machine, url, bucket):
    bucket.put_object(Key="some/where/thesis.txt", Body=b"years of work")
    with pytest.raises(WorkspaceError, match=f"{url} is not a workspace and not empty"):
        machine("a")
    with pytest.raises(WorkspaceError, match=r"s3://no-such-bucket/ws: .*bucket does not exist"):
        machine("a", "s3://no-such-bucket/ws")
    with pytest.raises(UsageError, match=r"nowhere://a/b: .*nowhere.*such as s3://"):
        machine("a", "nowhere://a/b")
    with pytest.raises(UsageError, match="give it as a string"):
        machine("a", Path(url))


def test_a_store_that_lost_versions_takes_nothing_from_the_copy(machine, url, data, bucket):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")
    before = contents(ours)
    bucket.objects.all().delete()
    with pytest.raises(WorkspaceError, match=r"is at version 0, .* has version \d+ of it.*delete .*\.mirror\.json"):
        machine("a")
    assert contents(ours) == before
    (ours.root / STATE).unlink()
    machine("a").push()
    assert contents(machine("b")).keys() == before.keys()
    assert machine("b").check() == []


@pytest.mark.parametrize("name", ["../../thesis.txt", "/etc/passwd"])
def test_a_log_that_names_files_elsewhere_is_refused(machine, url, name):
    store = Objects(url)
    assert store.commit(1, "somebody", {name: objects.Entry(1, 1, "0" * 64)}, [], {})
    with pytest.raises(WorkspaceError, match=f"{url}/log/00000001.json names '{name}', which is in no workspace"):
        machine("a")


def test_where_the_store_is_away_the_copy_is_whole(machine, url, data, monkeypatch):
    ours = machine("a")
    ours.add("notes", data / "notes.jsonl")

    def down(*_):
        raise WorkspaceError("nobody answers")

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "put", down)
        with pytest.raises(WorkspaceError, match="nobody answers"):
            ours.add("more", data / "more.jsonl")
    assert ours.catalogue.names() == ["more", "notes"]
    ours.push()
    assert machine("b").catalogue.names() == ["more", "notes"]


def test_the_command_line_takes_a_url(url, data, tmp_path, monkeypatch, capsys):
    def told(mirrors, *words):
        monkeypatch.setenv("CURATOR_MIRRORS", str(tmp_path / mirrors))
        monkeypatch.setattr(sys, "argv", ["curator", "-q", "-w", url, *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    assert told("a", "add", "notes", str(data / "notes.jsonl"))[0] == 0
    code, out, _ = told("b", "ls", "--json")
    assert code == 0
    assert json.loads(out)["rows"][0]["documents"] == 90
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs = pytest.importorskip("s3fs")
    s3fs.S3FileSystem.clear_instance_cache()
    code, _, err = told("c", "ls")
    s3fs.S3FileSystem.clear_instance_cache()
    assert code == 1
    assert "see to its address, the credentials and the network" in " ".join(err.split())


def test_a_directory_named_by_a_url_is_that_directory(tmp_path, toy, data):
    ws = Workspace(f"file://{tmp_path}/ws", encoder=toy)
    assert ws.root == tmp_path / "ws"
    ws.add("notes", data / "notes.jsonl")
    assert not list((tmp_path / "ws").glob(".mirror*"))
    ws.push()
