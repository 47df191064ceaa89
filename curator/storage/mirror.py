"""The copy on this machine of a workspace that is on an object store.

The files are those of the store's latest version (see ``objects``), but for what is one machine's: names that begin
with a dot, and ``OWN``. ``pull`` brings what is new in the store, and ``push`` makes a version with what is new here,
so that what one machine adds does not undo what another has. A file that is missing is brought again: only what goes
while its folder is written to, by the one that writes, goes from the store.

Documents and vectors are fetched when they are read: until then a file of their size without bytes, of the time 0, is
in their place.
"""

import json
import logging
import os
import re
import time
import uuid
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import filelock

from curator.errors import CuratorWarning, WorkspaceError
from curator.files import HOST, beside, read_json, sha256, write_json, writer
from curator.storage.objects import Entry, Objects

log = logging.getLogger(__name__)

STATE = ".mirror.json"
ARRIVED = ".mirror-arrived.jsonl"  # what workers have sent the bytes of for this copy, and no version has yet
REMOVED = ".mirror-removed.jsonl"  # what was removed here, and is in the store's latest version still
SENT = ".mirror-sent.jsonl"  # what workers have sent the bytes of from this copy
LATE = re.compile(r"corpora/[^/]+/[^/]+/(documents|vectors)-[\d_]+\.\w+|vectors/[^/]+/[^/]+\.npy")  # fetched when read
OWN = re.compile(r"vectors/encoders\.json|sql_history|races/.*/runs/.*\.safetensors|.*/checkpoint\.safetensors")
ABSENT = 0  # the time of a file whose bytes were not fetched
UNSENT = 24 * 3600  # seconds until bytes that no version names are taken for those of a process that was killed


@dataclass
class State:
    """What a copy remembers."""

    id: str
    version: int  # of the store's, that it was last the same as
    files: dict[str, Entry]  # of that


class Mirror:
    """The copy at ``root`` of the workspace at ``url``."""

    def __init__(self, url: str, root: Path) -> None:
        self.url = url
        self.root = root
        self._store = Objects(url)
        self._freed = set[str]()  # bytes that no version names since this process made one without them
        self._last: tuple[int, State] | None = None  # what is remembered, by the time of its file
        self._pushed = time.monotonic()  # when it was last

    def __repr__(self) -> str:
        return f"Mirror({self.url!r}, {str(self.root)!r})"

    @property
    def id(self) -> str:
        """Tells this copy from those on other machines."""
        with self._state() as state:
            return state.id

    def pull(self, *, whole: bool) -> None:
        """Have what is new in the store, and with ``whole`` also what is missing here.

        Where a file was changed here and not sent, and in the store since, the store's is taken, with a warning.
        """
        with self._state() as state:
            self._update(state, whole=whole)

    def _update(self, state: State, *, whole: bool) -> None:
        version = self._store.latest()
        if version < state.version:
            raise WorkspaceError(
                f"{self.url} is at version {version}, and {self.root} has version {state.version} of it: the store has "
                f"lost some; to make a version of what is here, delete {self.root / STATE}"
            )
        while True:
            there = self._store.files(version, (state.version, state.files))
            try:
                lost = self._bring(state.files, there, whole=whole, but=self._noted(REMOVED))
                break
            except FileNotFoundError:  # another machine removed it meanwhile: then there is a version without it
                if (later := self._store.latest()) == version:
                    raise WorkspaceError(f"{self.url}: bytes of version {version} are gone from the store") from None
                version = later
        for name, known in state.files.items():
            if name not in there and self._now(name) in ((known.size, known.time), (known.size, ABSENT)):
                self._remove(name)
        state.version, state.files = version, there
        if whole:
            self._settle(there)
        if lost:
            warnings.warn(
                f"{self.url}: files were changed both here and by another machine, and the store's are kept: "
                f"{', '.join(sorted(lost)[:5])}{' …' * (len(lost) > 5)}",
                CuratorWarning,
                stacklevel=2,
            )

    def _settle(self, there: dict[str, Entry]) -> None:
        """Give up what a process that was killed was told of, or has told, and which came to nothing."""
        for name, entry in self._noted(SENT).items():
            if name not in there and self._now(name) == (entry.size, entry.time):
                self._remove(name)  # the driver has it, or has no use for it
        (self.root / SENT).unlink(missing_ok=True)
        arrived = self._noted(ARRIVED)
        stored = self._store.stored() if arrived else {}
        for name, entry in arrived.items():
            if entry.sha256 not in stored and self._now(name) == (entry.size, ABSENT):
                self._remove(name)
        left = {name: entry for name, entry in arrived.items() if entry.sha256 in stored and there.get(name) != entry}
        (self.root / ARRIVED).unlink(missing_ok=True)
        self._note(ARRIVED, left)

    def _bring(
        self, known: dict[str, Entry], there: dict[str, Entry], *, whole: bool, but: dict[str, Entry] | None = None
    ) -> list[str]:
        """Have files as they are there, ``but`` some. Returns those of which others were here that nobody else has."""
        coming, lost = dict[str, Entry](), list[str]()
        for name, entry in there.items():
            if (not whole and known.get(name) == entry) or (but and but.get(name) == entry):
                continue
            now, before = self._now(name), known.get(name)
            if now == (entry.size, entry.time) or (before == entry and now is not None):
                continue
            if now is None or now[1] == ABSENT or (before is not None and now == (before.size, before.time)):
                coming[name] = entry
            elif sha256(self.root / name) == entry.sha256:
                os.utime(self.root / name, ns=(entry.time, entry.time))
            else:
                coming[name] = entry
                lost.append(name)
        for name in coming.keys() & set(filter(LATE.fullmatch, coming)):
            self._hold(name, coming.pop(name))
        self._fetch(coming)
        return lost

    def push(self, *, pause: float = 0) -> None:
        """Make a version with what was written here, and without what was removed while it was written to.

        ``pause``: seconds since the last that must be over.
        """
        if time.monotonic() - self._pushed < pause:
            return
        self._pushed = time.monotonic()
        with self._state() as state:
            if not self._changed(state) and not self._gone(state):
                return
            while True:
                self._update(state, whole=False)
                changed, gone = self._changed(state), self._gone(state)
                if not changed and not gone:
                    return
                after = {name: entry for name, entry in state.files.items() if name not in gone} | changed
                there = {entry.sha256 for entry in (*state.files.values(), *self._noted(ARRIVED).values())}
                if self._send(changed, there) and self._store.commit(state.version + 1, changed, gone, after):
                    break
            before = {entry.sha256 for entry in state.files.values()}
            self._freed = (self._freed | before) - {entry.sha256 for entry in after.values()}
            state.version, state.files = state.version + 1, after
            for place in (ARRIVED, REMOVED):
                (self.root / place).unlink(missing_ok=True)
        size = sum(entry.size for entry in changed.values())
        log.info("%s: sent %d files of %s bytes, removed %d", self.url, len(changed), f"{size:,}", len(gone))

    def sent(self) -> dict[str, Entry]:
        """Send the bytes of what was written here, for another to make a version with them. Returns what they are."""
        with self._state() as state:
            told = self._noted(SENT)
            changed = {name: entry for name, entry in self._changed(state).items() if told.get(name) != entry}
            while not self._send(changed, {entry.sha256 for entry in told.values()}):
                changed = {name: entry for name, entry in self._changed(state).items() if told.get(name) != entry}
            self._note(SENT, changed)
        return changed

    def arrived(self, entries: dict[str, Entry]) -> None:
        """Have what a worker has sent the bytes of; it is in the next version that is made."""
        with self._state() as state:
            self._note(ARRIVED, entries)
            self._bring(state.files, entries, whole=False)

    @contextmanager
    def writing(self, folder: str, wait: float) -> Iterator[None]:
        """Be the only one, on all machines, that writes to a folder of the workspace; who asks is it on this machine.

        What others have written is there, and what is written is sent. Raises WorkspaceError where another has it for
        more than ``wait`` seconds, saying who.
        """
        told = self._lock(folder, wait)
        try:
            self.pull(whole=folder == ".")
            with self.sending(folder):
                yield
        finally:
            self._store.release(folder, told)

    @contextmanager
    def sending(self, folder: str) -> Iterator[None]:
        """Send what is written to the workspace, and remove what goes from a folder of it."""
        before = [name for name, _ in self._walked(self.root / folder)]
        try:
            yield
        finally:
            with self._state() as state:
                removed = [name for name in before if name in state.files and self._now(name) is None]
                self._note(REMOVED, {name: state.files[name] for name in removed})
            self.push()

    def _lock(self, folder: str, wait: float) -> dict[str, str]:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        told = {"copy": f"{self.id}@{HOST}", "writer": writer(), "since": since, "nonce": uuid.uuid4().hex}
        until = time.monotonic() + wait
        while not self._store.lock(folder, told):
            holder = self._store.holder(folder)
            if holder.get("copy") == told["copy"]:  # it was killed, as its lock on this machine is ours
                self._store.release(folder, holder)
            elif holder and time.monotonic() >= until:
                raise WorkspaceError(
                    f"{holder['writer']} has been writing to {self.url} since {holder['since']}; wait for it, or stop "
                    f"it; if that machine is gone, delete {self._store.lock_url(folder)}"
                )
            else:
                time.sleep(min(1.0, max(0.05, until - time.monotonic())))
        return told

    def fetch(self, paths: Iterable[Path]) -> None:
        """Have the bytes of files that hold only their places. Raises WorkspaceError where they are gone."""
        names = [self._name(path) for path in paths]
        absent = [name for name in names if (now := self._now(name)) is None or now[1] == ABSENT]
        if not absent:
            return
        with self._state() as state:
            arrived = self._noted(ARRIVED)
            known = {name: arrived.get(name) or state.files.get(name) for name in absent}
            try:
                self._fetch({name: entry for name, entry in known.items() if entry is not None})
            except FileNotFoundError:
                raise WorkspaceError(
                    f"{self.url}: another machine has removed {', '.join(absent[:3])}; open the workspace again"
                ) from None

    def collect(self) -> None:
        """Delete the bytes that no version names any more; what another machine may be sending now stays."""
        with self._state() as state:
            self._update(state, whole=False)
            used = {entry.sha256 for entry in state.files.values()}
        old = time.time() - UNSENT
        self._store.remove(
            checksum for checksum, sent in self._store.stored().items()
            if checksum not in used and (sent < old or checksum in self._freed)
        )  # fmt: skip

    # The files here

    @contextmanager
    def _state(self) -> Iterator[State]:
        """What is remembered, by one process at a time; kept where the block ends well."""
        self.root.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.root / ".mirror.lock"):
            state = self._remembered()
            kept = replace(state)
            yield kept
            if kept != state or self._last is None:
                files = {name: list(entry) for name, entry in kept.files.items()}
                values = {"url": self.url, "id": kept.id, "version": kept.version, "files": files}
                write_json(self.root / STATE, values)
                self._last = (self.root / STATE).stat().st_mtime_ns, kept

    def _remembered(self) -> State:
        """What is remembered; a copy that remembers nothing, or has lost that, compares bytes."""
        try:
            moment = (self.root / STATE).stat().st_mtime_ns
            if self._last is None or self._last[0] != moment:
                values = read_json(self.root / STATE)
                files = {name: Entry(*row) for name, row in values["files"].items()}
                self._last = moment, State(values["id"], values["version"], files)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            self._last = None
        return State(uuid.uuid4().hex, 0, {}) if self._last is None else self._last[1]

    def _note(self, place: str, entries: dict[str, Entry]) -> None:
        """Write down what was removed, or sent by workers, so that it is known whoever is killed."""
        if entries:
            with (self.root / place).open("a", encoding="utf8") as file:
                file.writelines(json.dumps([name, *entry]) + "\n" for name, entry in entries.items())

    def _noted(self, place: str) -> dict[str, Entry]:
        try:
            lines = (self.root / place).read_text("utf8").splitlines()
        except FileNotFoundError:
            return {}
        rows = [json.loads(line) for line in lines if line.endswith("]")]
        return {name: Entry(*row) for name, *row in rows}

    def _changed(self, state: State) -> dict[str, Entry]:
        """What was written here, or by workers, since the files were those of the store."""
        began, arrived = self._moment(), self._noted(ARRIVED)
        changed = {name: entry for name, entry in arrived.items() if self._now(name) is None}
        for name, now in self._walked(self.root):
            known = arrived.get(name) or state.files.get(name)
            if known is not None and now in ((known.size, known.time), (known.size, ABSENT)):
                if known != state.files.get(name):
                    changed[name] = known
                continue
            if now[1] == ABSENT or now[1] > began:  # others are writing: what these complete may be seen, and they not
                continue
            path = self.root / name
            checksum = sha256(path)
            if known is not None and (checksum == known.sha256 or (now[0] == known.size and _is_blank(path))):
                moment = known.time if checksum == known.sha256 else ABSENT
                os.utime(path, ns=(moment, moment))  # it was copied, without its time
            else:
                changed[name] = Entry(*now, checksum)
        return changed

    def _gone(self, state: State) -> list[str]:
        """What was removed here since the files were those of the store."""
        return [
            name for name, entry in self._noted(REMOVED).items()
            if state.files.get(name) == entry and self._now(name) is None
        ]  # fmt: skip

    def _send(self, entries: dict[str, Entry], there: set[str]) -> bool:
        """Send bytes that are not there; False where another process of this machine has changed them meanwhile."""
        coming = {entry.sha256: name for name, entry in entries.items() if entry.sha256 not in there}
        try:
            self._store.put({self.root / name: entries[name] for name in coming.values()})
        except FileNotFoundError:
            return False
        changed = {sum_ for sum_, name in coming.items() if self._now(name) != (entries[name].size, entries[name].time)}
        self._store.remove(changed)  # they may be others than those of the name
        return not changed

    def _moment(self) -> int:
        """The time of the file system."""
        place = beside(self.root / STATE)
        place.touch()
        try:
            return place.stat().st_mtime_ns
        finally:
            place.unlink()

    def _walked(self, top: Path) -> Iterator[tuple[str, tuple[int, int]]]:
        """The files that are everybody's, with size and time."""
        for folder, inner, names in os.walk(top):
            inner[:] = [name for name in inner if not name.startswith(".")]
            for name in names:
                path = self._name(Path(folder, name))
                now = None if name.startswith(".") or OWN.fullmatch(path) else self._now(path)
                if now is not None:
                    yield path, now

    def _now(self, name: str) -> tuple[int, int] | None:
        """Size and time of a file that is there."""
        try:
            stat = (self.root / name).stat()
        except FileNotFoundError:
            return None
        return stat.st_size, stat.st_mtime_ns

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _hold(self, name: str, entry: Entry) -> None:
        """Hold the place of a file."""
        part = self._part(name)
        with part.open("wb") as file:
            file.truncate(entry.size)
        os.utime(part, ns=(ABSENT, ABSENT))
        part.replace(self.root / name)

    def _fetch(self, entries: dict[str, Entry]) -> None:
        parts = {self._part(name): entry for name, entry in entries.items()}
        try:
            self._store.get(parts)
            for name, (part, entry) in zip(entries, parts.items(), strict=True):
                os.utime(part, ns=(entry.time, entry.time))
                part.replace(self.root / name)
        finally:
            for part in parts:
                part.unlink(missing_ok=True)

    def _part(self, name: str) -> Path:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        return beside(self.root / name)

    def _remove(self, name: str) -> None:
        """Delete a file, and the folders that it leaves empty."""
        path = self.root / name
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.root or any(folder.iterdir()):
                return
            folder.rmdir()


def _is_blank(path: Path) -> bool:
    """Whether a file has nothing where every file of ours has something."""
    with path.open("rb") as file:
        return not any(file.read(16))
