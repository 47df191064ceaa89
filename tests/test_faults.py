"""Killed at any instant, out of disk, or with company: the same command ends in the same bytes.

A few trials of each kind here; ``make torture`` runs all of them, a kill at every call that changes a file among them.
"""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TORTURE = os.environ.get("CURATOR_TORTURE") == "1"
EVERY = 100_000  # a kill at every call that changes a file
HERE_ONLY = {
    "first": {"killed": 4, "full": 1, "random": 1, "vanished": 1, "checkers": 1},
    "second": {"killed": 4, "full": 1, "writers": 1, "readers": 1, "checkers": 1},
}
TORTURES = [
    (day, {fault: trials})
    for day in ("first", "second")
    for fault, trials in {
        "killed": EVERY,
        "full": 60,
        "random": 50,
        "vanished": 20,
        "writers": 20,
        "checkers": 20,
    }.items()
] + [("second", {"readers": 20})]


def trials(folder, day, faults, seed=0):
    asked = [f"{fault}={number}" for fault, number in faults.items()]
    command = [sys.executable, str(HERE / "faulty.py"), day, str(folder), str(seed), *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *failed, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert not failed, failed
    assert last["failed"] == 0
    return last


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("day", "faults"), TORTURES if TORTURE else HERE_ONLY.items())
def test_the_same_command_ends_in_the_same_bytes(day, faults, tmp_path):
    last = trials(tmp_path, day, faults)
    assert last["trials"] == sum(min(number, last["calls"]) for number in faults.values())


@pytest.mark.skipif(not TORTURE, reason="make torture")
def test_a_small_disk(tmp_path):
    """A real file system that is full: the error says so, and what was written is there when there is room again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("needs to be allowed to mount a tmpfs")
    data = tmp_path / "data"
    data.mkdir()
    for name in "abcd":
        rows = [{"text": f"{name}{i} {os.urandom(8).hex()}"} for i in range(17_000)]  # more than small files have
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    main = "from curator.cli import main; main()"
    command = [sys.executable, "-c", main, "-q", "-w", str(disk / "ws"), "add", "x", str(data)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "error:" in done.stderr
        assert os.strerror(errno.ENOSPC) in done.stderr
        assert "goes on where it was" in done.stderr
        assert "Traceback" not in done.stderr
        parts = list(disk.rglob("part-*.json"))
        assert 0 < len(parts) < 4
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "68,000 documents" in done.stdout
    finally:
        subprocess.run(["umount", str(disk)], check=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_trials_see_what_differs(tmp_path):
    """Without it, all of the above would pass on anything: here the second run finds other files."""
    code = """
import sys, faulty
trials_end = faulty.Trials.end
def end(self, what, root, *wanted):
    faulty.write(self.data / "notes" / "more.jsonl", [{"text": "one more"}])
    trials_end(self, what, root, *wanted)
faulty.Trials.end = end
faulty.main()
"""
    command = [sys.executable, "-c", code, "first", str(tmp_path), "0", "killed=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE)
    first, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert any(name.startswith("corpora/notes/") for name in first["different"])
    assert last == {"trials": 1, "failed": 1, "calls": last["calls"]}
