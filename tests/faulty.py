"""Runs the work of a person over and over, each time in a process that is killed, or meets a full disk, at some point.

    python tests/faulty.py DAY FOLDER SEED FAULT=TRIALS…

A process of its own, because it forks: it must not have used a thread before. Each trial is a child that works in a
workspace of its own; a second child then does the same work undisturbed. Prints one JSON line per trial that did not
end as it must, and a last line with the number of trials.
"""

import errno
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

import conftest

from curator import CuratorWarning, Workspace
from curator.documents import records, tables
from curator.errors import CuratorError, WorkspaceError
from curator.vectors import store

POINTS = ("rename", "replace", "unlink", "link", "mkdir", "rmdir", "fsync")
RECIPE = """
[task]
target = "target.jsonl"
split = { test = 0.3 }
[pool.notes]
path = "notes"
[[stage]]
use = "deduplicate"
[[stage]]
use = "ratio"
budget = 12
by = "label"
[encoder]
model = "toy"
"""


class Faulty:
    """Stands in for the functions by which files are changed; at the n-th call something happens instead."""

    def __init__(self, at, fault):
        self.calls = 0
        for name in POINTS:
            setattr(os, name, self._counted(getattr(os, name), at, fault, name))

    def _counted(self, function, at, fault, name):
        def call(*args, **kwargs):
            self.calls += 1
            if self.calls - 1 == at:
                if name == "fsync" and fault is killed:  # half of a file may be all that reached the disk
                    os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)
                fault()
            return function(*args, **kwargs)

        return call


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def full():
    raise OSError(errno.ENOSPC, "No space left on device")


def prepare(folder):
    """The files of the first day, and what the second day adds, changes and takes away."""
    draw = random.Random(0)
    words = [f"word{i}" for i in range(60)]

    def rows(n, label=True):
        for i in range(n):
            text = " ".join(draw.sample(words, 6)) if i % 9 else "one text again and again"
            yield {"text": text, **({"label": draw.choice(["good", "bad"])} if label else {})}

    for day in ("one", "two"):
        (folder / day / "notes").mkdir(parents=True)
    write(folder / "one" / "target.jsonl", rows(40))
    shutil.copy2(folder / "one" / "target.jsonl", folder / "two" / "target.jsonl")
    for name in "abc":
        write(folder / "one" / "notes" / f"{name}.jsonl", rows(21), "{broken\n")
    for name in "ac":
        shutil.copy2(folder / "one" / "notes" / f"{name}.jsonl", folder / "two" / "notes")
    write(folder / "two" / "notes" / "b.jsonl", rows(13))
    write(folder / "two" / "notes" / "d.jsonl", rows(30))


def write(path, rows, more=""):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + more)


def work(root, data):
    """What a person does: corpora, vectors, a mix. The files stand in one place, whatever day it is."""
    (root.parent / "recipe.toml").write_text(RECIPE)
    ws = Workspace(root, encoder=conftest.ToyEncoder())
    ws.add("notes", data / "notes", label="label")
    ws.embed("notes")
    ws.mix(root.parent / "recipe.toml", data=data)


def child(job):
    """Run a job in a fork. Returns what the parent waits for."""
    process = os.fork()
    if process == 0:
        warnings.simplefilter("ignore", CuratorWarning)
        code = 70
        try:
            job()
            code = 0
        except WorkspaceError:
            code = 3
        except CuratorError as error:
            print(json.dumps({"error": repr(error)}), flush=True)
            code = 4
        except OSError:
            code = 5
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stdout.flush()
            os._exit(code)
    return process


def ended(process):
    status = os.waitpid(process, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def contents(root):
    """The bytes of every file by its place, with what tells the time left out; and what is left over."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.name == ".lock" or path.is_dir():
            continue
        raw = path.read_bytes()
        if path.suffix == ".json":
            raw = json.dumps(timeless(json.loads(raw))).encode()
        found[name] = hashlib.sha256(raw).hexdigest()
    return found


def timeless(value):
    if isinstance(value, dict):
        clocks = ("created", "seconds", "estimated_seconds", "seal", "summary.json")  # the last two: of these
        return {key: timeless(item) for key, item in value.items() if key not in clocks}
    return [timeless(item) for item in value] if isinstance(value, list) else value


class Trials:
    """Trials of one scenario in a folder: from nothing, or from the workspace of the first day to the second."""

    def __init__(self, folder, second_day):
        self.folder = folder
        self.data = folder / "data"
        self.start = None
        prepare(folder)
        self._put("one")
        if second_day:
            self.start = folder / "first-day"
            self.start.mkdir()
            assert ended(child(lambda: work(self.start / "ws", self.data))) == 0
            self._put("two")
        self.failed, self.done = 0, 0
        whole = self.workspace("whole")
        counted = folder / "calls"

        def counting():
            faulty = Faulty(-1, killed)
            work(whole, self.data)
            counted.write_text(str(faulty.calls))

        started = time.perf_counter()
        assert ended(child(counting)) == 0
        self.seconds = time.perf_counter() - started
        self.calls = int(counted.read_text())
        self.expected = contents(whole)

    def _put(self, day):
        """Have a day's files where the work looks for them, unchanged ones as they were."""
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.copytree(self.folder / day, self.data, copy_function=shutil.copy2)

    def workspace(self, name):
        root = self.folder / name / "ws"
        shutil.rmtree(root.parent, ignore_errors=True)
        root.parent.mkdir()
        if self.start is not None:
            shutil.copytree(self.start / "ws", root, copy_function=shutil.copy2)
        return root

    def end(self, what, root, *wanted):
        """Do the work again, undisturbed, and compare."""
        self.done += 1
        codes = [*wanted, ended(child(lambda: work(root, self.data)))]
        found = contents(root)
        different = sorted(
            name for name in found.keys() | self.expected.keys() if found.get(name) != self.expected.get(name)
        )
        if different or codes[-1] or 70 in codes:
            self.failed += 1
            print(json.dumps({"trial": what, "codes": codes, "different": different[:9]}), flush=True)


def at_points(trials, points, fault):
    """A fault at calls spread evenly, each in a trial of its own."""
    for at in sorted({round(i * (trials.calls - 1) / max(1, points - 1)) for i in range(points)}):
        root = trials.workspace("trial")

        def job(root=root, at=at):
            Faulty(at, fault)
            work(root, trials.data)

        trials.end(f"{fault.__name__} at call {at} of {trials.calls}", root, ended(child(job)))


def at_random_times(trials, points, seed):
    draw = random.Random(seed)
    for _ in range(points):
        root, after = trials.workspace("trial"), draw.uniform(0, 1.1 * trials.seconds)
        process = child(lambda root=root: work(root, trials.data))
        time.sleep(after)
        os.kill(process, signal.SIGKILL)
        trials.end(f"killed after {after:.3f} s of {trials.seconds:.3f}", root, ended(process))


def vanished(trials, points, seed):
    draw = random.Random(seed)
    for _ in range(points):
        root, after = trials.workspace("trial"), draw.uniform(0, trials.seconds)
        process = child(lambda root=root: work(root, trials.data))
        time.sleep(after)
        shutil.rmtree(root, ignore_errors=True)
        code = ended(process)
        shutil.rmtree(root, ignore_errors=True)
        if trials.start is not None:
            shutil.copytree(trials.start / "ws", root, copy_function=shutil.copy2)
        trials.end(f"vanished after {after:.3f} s", root, code)


def two_writers(trials, points, seed):
    draw = random.Random(seed)
    for _ in range(points):
        root, after = trials.workspace("trial"), draw.uniform(0, trials.seconds / 2)
        first = child(lambda root=root: work(root, trials.data))
        time.sleep(after)
        second = child(lambda root=root: work(root, trials.data))
        trials.end(f"two writers, {after:.3f} s apart", root, ended(first), ended(second))


def readers(trials, points, seed):
    """Somebody queries while somebody writes, and sees the documents of before or of after."""
    assert trials.start is not None
    counts = {}
    for name, root in (("before", trials.start / "ws"), ("after", trials.folder / "whole" / "ws")):
        current = json.loads((root / "corpora" / "notes" / "current.json").read_text())["version"]
        manifest = json.loads((root / "corpora" / "notes" / current / "manifest.json").read_text())
        counts[name] = manifest["documents"]

    def read(root, stop):
        seen = set()
        while not stop.exists():
            ws = Workspace(root, encoder=conftest.ToyEncoder())
            seen.add(ws.sql("SELECT count(*) AS n FROM notes")["n"][0])
            try:
                assert ws.search("notes", "word1 word2", k=3).height == 3
            except WorkspaceError as error:  # vectors that the other one is making
                if "being written by another process" not in str(error):
                    raise AssertionError from error
        assert seen <= set(counts.values()), (seen, counts)

    for _ in range(points):
        root = trials.workspace("trial")
        stop = root.parent / "stop"
        reader = child(lambda root=root, stop=stop: read(root, stop))
        writer = ended(child(lambda root=root: work(root, trials.data)))
        stop.touch()
        code = ended(reader)
        trials.end("a reader beside a writer", root, writer, 70 if code else 0)


def checkers(trials, points, seed):
    """Somebody checks the files while somebody writes: what is on its way is no damage, and nobody has to wait."""

    def look(root, stop):
        while not (root / "curator.json").exists():
            time.sleep(0.001)
        ws = Workspace(root, encoder=conftest.ToyEncoder())
        while not stop.exists():
            found = ws.check()
            assert not found, [str(damage) for damage in found]

    for _ in range(points):
        root = trials.workspace("trial")
        stop = root.parent / "stop"
        checking = [child(lambda root=root, stop=stop: look(root, stop)) for _ in range(2)]
        writer = ended(child(lambda root=root: work(root, trials.data)))
        stop.touch()
        codes = [ended(one) for one in checking]
        trials.end("checked by two beside a writer", root, 70 if writer else 0, *[70 if code else 0 for code in codes])


FAULTS = {
    "killed": lambda trials, number, _: at_points(trials, number, killed),
    "full": lambda trials, number, _: at_points(trials, number, full),
    "random": at_random_times,
    "vanished": vanished,
    "writers": two_writers,
    "readers": readers,
    "checkers": checkers,
}


def main():
    day, folder, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    records.ROWS = tables.ROWS = 8
    store.SHARD_ROWS = 10
    trials = Trials(folder, day == "second")
    for asked in sys.argv[4:]:
        fault, _, number = asked.partition("=")
        FAULTS[fault](trials, int(number), seed)
    print(json.dumps({"trials": trials.done, "failed": trials.failed, "calls": trials.calls}))


if __name__ == "__main__":
    main()
