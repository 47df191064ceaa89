"""The copy on this machine of a workspace that is on an object store.

The files are those of the store's latest version (see ``objects``), but for what is one machine's: names that begin
with a dot, and ``OWN``. ``pull`` brings what is new in the store, and ``push`` makes a version with what is new here,
so that what one machine adds does not undo what another has. A file that is missing is brought again: only what goes
while its folder is written to goes from the store.

Documents and vectors are fetched when they are read: until then a file of their size without bytes, of the time 0, is
in their place.
"""

import itertools
import logging
import os
import time
import uuid
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from curator.errors import CuratorWarning, WorkspaceError
from curator.files import HOST, beside, link, sha256, writer
from curator.storage.memory import ARRIVED, SENT, STATE, Files, Memory, State
from curator.storage.objects import Entry, Objects
from curator.storage.tree import ABSENT, LATE, Tree

log = logging.getLogger(__name__)

UNSENT = 24 * 3600  # seconds until bytes that no version names are taken for those of a process that was killed
SKEW = 60  # seconds that the clocks of two machines may differ


class GoneError(WorkspaceError):
    """Bytes that a version names are not in the store."""

    def __init__(self, url: str, names: Iterable[str], checksums: Iterable[str] = ()) -> None:
        self.checksums = set(checksums)
        listed = sorted(names)
        super().__init__(
            f"{url}: the bytes of {', '.join(listed[:3])}{' …' * (len(listed) > 3)} are not in the store: another "
            "machine has removed them (open the workspace again), or they are lost (curator check --repair)"
        )


class Mirror:
    """The copy at ``root`` of the workspace at ``url``."""

    def __init__(self, url: str, root: Path) -> None:
        self.url = url
        self.root = root
        self._store = Objects(url)
        self._tree = Tree(root)
        self._memory = Memory(url, root)
        self._blocks: list[list[str]] = []  # the files that there were when blocks of ``sending`` began
        self._pushed = time.monotonic()  # when it was last

    def __repr__(self) -> str:
        return f"Mirror({self.url!r}, {str(self.root)!r})"

    @property
    def id(self) -> str:
        """Tells this copy from those on other machines."""
        with self._memory.held() as state:
            return state.id

    # From the store

    def pull(self, *, whole: bool) -> None:
        """Have what is new in the store, and with ``whole`` also what is missing here.

        Where a file was changed here and not sent, and in the store since, the store's is taken, with a warning.
        """
        with self._memory.held() as state:
            self._update(state, whole=whole)

    def _update(self, state: State, *, whole: bool) -> None:
        self._note_removed(state)
        if state.trying:
            self._conclude(state)
        version = self._store.latest()
        if version < state.version:
            raise WorkspaceError(
                f"{self.url} is at version {version}, and {self.root} has version {state.version} of it: versions are "
                f"missing from the store; to make one of what is here, delete {self.root / STATE}"
            )
        lost = list[str]()
        while True:
            there = self._store.files(version, (state.version, state.files))
            if new := {name: entry for name, entry in there.items() if state.files.get(name) != entry}:
                state.coming = state.coming | new
                self._memory.save(state)  # who is killed now knows that these are not of its own making
            try:
                lost += self._bring(state, there, whole=whole)
                break
            except GoneError as error:
                if (later := self._store.latest()) == version:
                    warnings.warn(str(error), CuratorWarning, stacklevel=2)
                    state.missing = sorted({*state.missing, *error.checksums})
                    break
                version = later
        for name in (state.files.keys() | state.coming.keys()) - there.keys():
            if self._tree.is_as(name, state.files.get(name), state.coming.get(name)):
                self._tree.remove(name)
        state.version, state.files, state.coming = version, there, {}
        state.removed = {name: entry for name, entry in state.removed.items() if self._is_gone(state, name, entry)}
        self._memory.save(state)
        if whole:
            self._settle(there)
        if lost:
            warnings.warn(
                f"{self.url}: files were changed both here and by another machine, and the store's are kept: "
                f"{', '.join(sorted(lost)[:5])}{' …' * (len(lost) > 5)}",
                CuratorWarning,
                stacklevel=2,
            )

    def _bring(self, state: State, there: Files, *, whole: bool) -> list[str]:
        """Have files as they are there. Returns those of which others were here that nobody else has."""
        coming, lost = Files(), list[str]()
        for name, entry in there.items():
            is_known = state.files.get(name) == entry
            if (is_known and not whole) or state.removed.get(name) == entry:
                continue
            now = self._tree.now(name)
            if now == (entry.size, entry.time) or (is_known and now is not None):
                continue
            if now is None or self._tree.is_as(name, state.files.get(name), state.coming.get(name)):
                coming[name] = entry
            elif (checksum := self._tree.sum(name)) == entry.sha256:
                os.utime(self.root / name, ns=(entry.time, entry.time))
            else:
                coming[name] = entry
                lost += [name] if checksum else []
        for name in [name for name in coming if LATE.fullmatch(name)]:
            self._tree.hold(name, coming.pop(name))
        self._fetch(coming)
        return lost

    def _conclude(self, state: State) -> None:
        """Find out whether a version was made, where that could not be seen."""
        number = state.version + 1
        if self._store.author(number) == state.trying:
            after = self._store.files(number, (state.version, state.files))
            self._made(state, after)
        state.trying = ""
        self._memory.save(state)

    def _made(self, state: State, after: Files) -> None:
        """Remember that the next version was made, and what it has."""
        used = {entry.sha256 for entry in after.values()}
        freed = {entry.sha256: time.time() for entry in state.files.values() if entry.sha256 not in used}
        state.freed = {checksum: since for checksum, since in (state.freed | freed).items() if checksum not in used}
        state.version, state.files, state.removed, state.trying = state.version + 1, after, {}, ""
        state.missing = [checksum for checksum in state.missing if checksum in used]
        self._memory.save(state)
        left = {name: entry for name, entry in self._memory.noted(ARRIVED).items() if after.get(name) != entry}
        self._memory.renote(ARRIVED, left)

    def _settle(self, there: Files) -> None:
        """Give up what a process that was killed was told of, or has told, and which came to nothing."""
        for name, entry in self._memory.noted(SENT).items():
            if name not in there and self._tree.now(name) == (entry.size, entry.time):
                self._tree.remove(name)  # the driver has it, or has no use for it
        self._memory.renote(SENT, {})
        arrived = self._memory.noted(ARRIVED)
        stored = self._store.stored() if arrived else {}
        lost = {name.rpartition(".")[0] for name, entry in arrived.items() if entry.sha256 not in stored}
        left = {name: entry for name, entry in arrived.items() if name.rpartition(".")[0] not in lost}
        for name in arrived.keys() - left.keys():  # of what belongs together nothing is left
            if name not in there:
                self._tree.remove(name)
        self._memory.renote(ARRIVED, {name: entry for name, entry in left.items() if there.get(name) != entry})

    def fetch(self, paths: Iterable[Path]) -> None:
        """Have the bytes of files that hold only their places. Raises GoneError."""
        names = [self._tree.name_of(path) for path in paths]
        absent = [name for name in names if (now := self._tree.now(name)) is None or self._tree.is_held(name, now)]
        if not absent:
            return
        with self._memory.held() as state:
            arrived = self._memory.noted(ARRIVED)
            known = {name: arrived.get(name) or state.coming.get(name) or state.files.get(name) for name in absent}
            if unknown := [name for name, entry in known.items() if entry is None and self._tree.now(name) is not None]:
                raise GoneError(self.url, unknown)
            try:
                self._fetch({name: entry for name, entry in known.items() if entry is not None})
            except GoneError as error:
                state.missing = sorted({*state.missing, *error.checksums})
                self._memory.save(state)
                raise

    # To the store

    def push(self, *, pause: float = 0) -> None:
        """Make a version with what was written here, and without what was removed while it was written to.

        ``pause``: seconds since the last that must be over.
        """
        if time.monotonic() - self._pushed < pause:
            return
        self._pushed = time.monotonic()
        with self._memory.held() as state:
            self._note_removed(state)
            if not state.trying and not state.coming and not self._changed(state) and not self._gone(state):
                return
            for attempt in itertools.count():
                self._update(state, whole=False)
                changed, gone = self._changed(state), self._gone(state)
                arrived = {entry.sha256 for entry in self._memory.noted(ARRIVED).values()}
                there = {entry.sha256 for entry in state.files.values()} - {*state.missing} | arrived
                left_out = self._send(changed, there)
                if left_out and attempt < 3:
                    continue  # it is being written: what it makes complete may be here already
                changed = {name: entry for name, entry in changed.items() if name not in left_out}
                if not changed and not gone:
                    return
                after = {name: entry for name, entry in state.files.items() if name not in gone} | changed
                state.trying = uuid.uuid4().hex
                self._memory.save(state)
                if self._store.commit(state.version + 1, state.trying, changed, gone, after):
                    again = {entry.sha256 for entry in changed.values()}
                    state.missing = [checksum for checksum in state.missing if checksum not in again]
                    self._made(state, after)
                    break
        size = sum(entry.size for entry in changed.values())
        log.info("%s: sent %d files of %s bytes, removed %d", self.url, len(changed), f"{size:,}", len(gone))

    def sent(self) -> Files:
        """Send the bytes of what was written here, for another to make a version with them. Returns what they are."""
        with self._memory.held() as state:
            told = self._memory.noted(SENT)
            changed = {name: entry for name, entry in self._changed(state).items() if told.get(name) != entry}
            left_out = self._send(changed, {entry.sha256 for entry in (*told.values(), *state.files.values())})
            changed = {name: entry for name, entry in changed.items() if name not in left_out}
            self._memory.note(SENT, changed)
        return changed

    def arrived(self, entries: Files) -> None:
        """Have what a worker has sent the bytes of; it is in the next version that is made."""
        with self._memory.held() as state:
            self._memory.note(ARRIVED, entries)
            self._bring(state, entries, whole=False)

    def _changed(self, state: State) -> Files:
        """What was written here, or by workers, since the files were those of the store.

        Raises WorkspaceError for files of which there are only the places.
        """
        began, arrived = self._tree.moment(), self._memory.noted(ARRIVED)
        changed = {name: entry for name, entry in arrived.items() if self._tree.now(name) is None}
        places = list[str]()
        for name, now in self._tree.walked(self.root):
            known = arrived.get(name) or state.files.get(name)
            if known is not None and (now == (known.size, known.time) or self._tree.is_held(name, now)):
                if known != state.files.get(name) or (
                    known.sha256 in state.missing and not self._tree.is_held(name, now)
                ):
                    changed[name] = known
                continue
            if self._tree.is_held(name, now):
                places.append(name)
                continue
            path = self.root / name
            with suppress(FileNotFoundError):  # others write here
                if path.stat().st_ctime_ns > began:
                    continue  # now: what this makes complete may be seen, and the rest not
                checksum = self._tree.sum(name)
                if known is not None and checksum == known.sha256:
                    os.utime(path, ns=(known.time, known.time))  # it was copied, without its time, or made again
                    changed |= {name: known} if checksum in state.missing else {}
                elif known is not None and LATE.fullmatch(name) and now[0] == known.size and self._tree.is_blank(name):
                    os.utime(path, ns=(ABSENT, ABSENT))  # so was this, which held a place
                elif checksum:
                    changed[name] = Entry(*now, checksum)
        if places:
            raise WorkspaceError(
                f"{self.root} has only the places of {len(places):,} files that no version of {self.url} has: "
                f"{', '.join(sorted(places)[:3])}{' …' * (len(places) > 3)}; delete them, or bring them back"
            )
        return changed

    def _gone(self, state: State) -> list[str]:
        """What was removed here since the files were those of the store."""
        return [name for name, entry in state.removed.items() if self._is_gone(state, name, entry)]

    def _is_gone(self, state: State, name: str, entry: Entry) -> bool:
        return state.files.get(name) == entry and self._tree.now(name) is None

    def _note_removed(self, state: State) -> None:
        """Remember what went in the blocks that are open."""
        gone = {
            name for names in self._blocks for name in names if name in state.files and self._tree.now(name) is None
        }
        state.removed = state.removed | {name: state.files[name] for name in gone}

    def _send(self, entries: Files, there: set[str]) -> set[str]:
        """Send bytes that are not there. Returns the names of files that others have changed meanwhile."""
        links, left_out = dict[Path, Entry](), set[str]()
        try:
            for name, entry in entries.items():
                if entry.sha256 in there:
                    continue
                path = self.root / name
                part = beside(path)
                with suppress(FileNotFoundError):
                    link(path, part)  # whatever takes its place, these are its bytes
                    links[part] = entry
                if self._tree.now(name) != (entry.size, entry.time) or part not in links:
                    left_out.add(name)
            self._store.put({part: entry for part, entry in links.items() if _is_of(part, entry)})
        finally:
            for part in links:
                part.unlink(missing_ok=True)
        return left_out

    # Blocks of writing

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
        """Send what is written to the workspace meanwhile, and remove there what goes from a folder of it."""
        before = [name for name, _ in self._tree.walked(self.root / folder)]
        self._blocks.append(before)
        try:
            yield
        finally:
            with self._memory.held() as state:
                self._note_removed(state)
                self._memory.save(state)
            self._blocks.remove(before)
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

    def collect(self) -> None:
        """Delete the bytes that no version names any more; what another machine may be sending now stays.

        Who calls it is the one that writes. Raises WorkspaceError where they cannot be deleted.
        """
        with self._memory.held() as state:
            self._update(state, whole=False)
            used = {entry.sha256 for entry in (*state.files.values(), *self._memory.noted(ARRIVED).values())}
            old = time.time() - UNSENT
            stored = self._store.stored()
            self._store.remove(
                [
                    checksum for checksum, sent in stored.items()
                    if checksum not in used and sent < max(old, state.freed.get(checksum, 0) + SKEW)
                ]
            )  # fmt: skip
            state.freed = {}

    def _fetch(self, entries: Files) -> None:
        """Fetch files; what makes others complete was written after them, and takes its place after them.

        Raises GoneError once all others are there.
        """
        order = sorted(entries, key=lambda name: entries[name].time)
        parts = {name: self._tree.part(name) for name in order}
        gone = list[str]()
        try:
            try:
                self._store.get({parts[name]: entries[name] for name in order})
            except FileNotFoundError:
                for name in order:
                    try:
                        self._store.get({parts[name]: entries[name]})
                    except FileNotFoundError:
                        gone.append(name)
            for name in order:
                if name not in gone and sha256(parts[name]) != entries[name].sha256:
                    gone.append(name)  # others are there than were sent
                if name not in gone:
                    os.utime(parts[name], ns=(entries[name].time, entries[name].time))
                    parts[name].replace(self.root / name)
        finally:
            for part in parts.values():
                part.unlink(missing_ok=True)
        if gone:
            raise GoneError(self.url, gone, (entries[name].sha256 for name in gone))


def _is_of(part: Path, entry: Entry) -> bool:
    stat = part.stat()
    return (stat.st_size, stat.st_mtime_ns) == (entry.size, entry.time)
