"""What the copy of a workspace remembers of the store, whoever is killed."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import filelock

from curator.files import read_json, write_json, write_text
from curator.storage.objects import Entry

STATE = ".mirror.json"
ARRIVED = ".mirror-arrived.jsonl"  # what workers have sent the bytes of for this copy, and no version has yet
SENT = ".mirror-sent.jsonl"  # what workers have sent the bytes of from this copy

Files = dict[str, Entry]


@dataclass
class State:
    """What a copy remembers."""

    id: str
    version: int = 0  # of the store's, that it was last the same as
    files: Files = field(default_factory=dict)  # of that
    coming: Files = field(default_factory=dict)  # of a later one, of which some may be here already
    trying: str = ""  # what the next version is by, if it was this copy that made it
    removed: Files = field(default_factory=dict)  # here, and not yet there
    freed: dict[str, float] = field(default_factory=dict)  # bytes that no version names, and since when
    missing: list[str] = field(default_factory=list)  # bytes that are not in the store though a version names them

    @classmethod
    def of(cls, values: dict[str, Any]) -> "State":
        """What ``json`` gave."""
        files = {name: _files(values[name]) for name in ("files", "coming", "removed")}
        return cls(**{**values, **files})

    def json(self) -> dict[str, Any]:
        """As plain values."""
        files = {
            name: {key: list(row) for key, row in vars(self)[name].items()} for name in ("files", "coming", "removed")
        }
        return {**vars(self), **files}


class Memory:
    """What the copy at ``root`` remembers."""

    def __init__(self, url: str, root: Path) -> None:
        self._url = url
        self._root = root
        self._last: tuple[tuple[int, int], State] | None = None  # what is remembered, and which file says so

    @contextmanager
    def held(self) -> Iterator[State]:
        """What is remembered, by one process at a time; kept where the block ends well, or when it says so."""
        self._root.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self._root / ".mirror.lock"):
            state = self._remembered()
            yield state
            self.save(state)

    def _remembered(self) -> State:
        """What is remembered; a copy that remembers nothing, or has lost that, compares bytes."""
        try:
            which = self._which()
            if self._last is None or self._last[0] != which:
                self._last = which, State.of(read_json(self._root / STATE)["state"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            self._last = None
        return State(uuid.uuid4().hex) if self._last is None else replace(self._last[1])

    def _which(self) -> tuple[int, int]:
        stat = (self._root / STATE).stat()
        return stat.st_ino, stat.st_mtime_ns

    def save(self, state: State) -> None:
        """Remember it from now on."""
        if self._last is None or self._last[1] != state:
            write_json(self._root / STATE, {"url": self._url, "state": state.json()})
            self._last = self._which(), replace(state)

    def note(self, place: str, entries: Files) -> None:
        """Write down what workers have sent, so that it is known whoever is killed."""
        if entries:
            with (self._root / place).open("a", encoding="utf8") as file:
                file.writelines(_lines(entries))

    def noted(self, place: str) -> Files:
        """What was written down."""
        try:
            lines = (self._root / place).read_text("utf8").splitlines()
        except FileNotFoundError:
            return {}
        rows = [json.loads(line) for line in lines if line.endswith("]")]
        return {name: Entry(*row) for name, *row in rows}

    def renote(self, place: str, entries: Files) -> None:
        """Write down these in the place of what was."""
        if entries:
            write_text(self._root / place, "".join(_lines(entries)))
        else:
            (self._root / place).unlink(missing_ok=True)


def _lines(entries: Files) -> Iterator[str]:
    return (json.dumps([name, *entry]) + "\n" for name, entry in entries.items())


def _files(rows: dict[str, list[Any]]) -> Files:
    return {name: Entry(*row) for name, row in rows.items()}
