"""What a workspace is on an object store: bytes under their checksums, a log of what they are, and locks.

    log/00000001.json       which files came and went; every ``CHECKPOINT``-th says which there are
    objects/ab/abcd…        the bytes of a file, by their SHA-256
    locks/<folder>.json     who writes to a folder of the workspace

A version of the workspace is all of the log up to one entry. An entry is written when all bytes are there that it
names, and once only: of two machines that write the next one, one succeeds. So readers see whole versions, whoever is
stopped wherever, without a rename. This is the only module that imports fsspec.
"""

import json
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from curator.errors import UsageError, WorkspaceError

CHECKPOINT = 64
ATTEMPTS = 3  # at an object that another may be writing
AT_ONCE = 64  # objects that travel together, of
BYTES_AT_ONCE = 256 << 20  # at most, unless one has more


class Entry(NamedTuple):
    """A file of the workspace."""

    size: int  # bytes
    time: int  # of its last change, in nanoseconds, where it was written
    sha256: str


class Objects:
    """The objects under a URL, such as ``s3://bucket/prefix``.

    Raises UsageError where nothing installed opens the URL, WorkspaceError where the store does not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    # The log

    def latest(self) -> int:
        """The number of the last entry; 0 where nothing was ever written. Raises WorkspaceError for something else."""
        found = [int(Path(key).stem) for key in self._listed("log") if Path(key).stem.isdigit()]
        ours = tuple(self._key(folder) for folder in ("log/", "objects/", "locks/"))
        if not found and not all(key.startswith(ours) for key in self._listed("")):
            raise WorkspaceError(f"{self.url} is not a workspace and not empty; name another place")
        return max(found, default=0)

    def files(self, version: int, known: tuple[int, dict[str, Entry]]) -> dict[str, Entry]:
        """The files of a version, by name, read from where ``known`` ends: an earlier version and its files."""
        since, found = known[0], dict(known[1])
        start = max(since + 1, version - version % CHECKPOINT)
        for number in range(max(start, 1), version + 1):
            told = json.loads(self._call("cat_file", self._log(number)))
            if "files" in told:
                found, told = {}, {"added": told["files"], "removed": ()}
            for name in told["removed"]:
                found.pop(name, None)
            for name, row in told["added"].items():
                if name.startswith("/") or ".." in name.split("/"):
                    raise WorkspaceError(f"{self.url}/log/{number:08}.json names {name!r}, which is in no workspace")
                found[name] = Entry(*row)
        return found

    def commit(
        self, version: int, by: str, added: dict[str, Entry], removed: Sequence[str], files: dict[str, Entry]
    ) -> bool:
        """Make a version whose files are ``files``; False where there is one of its number."""
        told: dict[str, Any] = {"by": by, "added": added, "removed": sorted(removed)}
        if version % CHECKPOINT == 0:
            told = {"by": by, "files": files}
        return self._created(self._log(version), told)

    def author(self, version: int) -> str | None:
        """What ``commit`` was told that a version is by; None where there is none."""
        try:
            return str(json.loads(self._call("cat_file", self._log(version)))["by"])
        except FileNotFoundError:
            return None

    def _log(self, number: int) -> str:
        return self._key(f"log/{number:08}.json")

    # Bytes

    def put(self, entries: dict[Path, Entry]) -> None:
        """Send files."""
        for paths in _together({path: entry.size for path, entry in entries.items()}):
            self._call("put", list(map(str, paths)), [self._object(entries[path].sha256) for path in paths])

    def get(self, entries: dict[Path, Entry]) -> None:
        """Fetch files. Raises FileNotFoundError where one is not there any more."""
        for paths in _together({path: entry.size for path, entry in entries.items()}):
            self._call("get", [self._object(entries[path].sha256) for path in paths], list(map(str, paths)))

    def stored(self) -> dict[str, float]:
        """The checksums that there are bytes of, and when these were sent, in seconds."""
        return {Path(name).name: _seconds(info) for name, info in self._listed("objects").items()}

    def remove(self, checksums: Sequence[str]) -> None:
        """Delete bytes that are there. Raises WorkspaceError where the store does not."""
        keys = [self._object(checksum) for checksum in checksums]
        for start in range(0, len(keys), 1000):
            self._call("rm", keys[start : start + 1000])
        if keys and (left := self.stored().keys() & set(checksums)):  # some stores do not say so
            raise WorkspaceError(f"{self.url}: {len(left):,} objects could not be deleted; is that allowed there?")

    def _object(self, checksum: str) -> str:
        return self._key(f"objects/{checksum[:2]}/{checksum}")

    # Locks

    def lock(self, folder: str, told: dict[str, str]) -> bool:
        """Say who writes to a folder, unless somebody else does.

        Raises UsageError for a store that does not tell two who do so apart.
        """
        locked = self._created(self._lock(folder), told)
        if locked and self._created(self._lock(folder), told):
            raise UsageError(f"{self.url}: this kind of store lets two machines write the same object; use S3")
        return locked

    def holder(self, folder: str) -> dict[str, str]:
        """Who said that they write to a folder; nothing where nobody does."""
        try:
            holder: dict[str, str] = json.loads(self._call("cat_file", self._lock(folder)))
        except FileNotFoundError:
            return {}
        return holder

    def release(self, folder: str, told: dict[str, str]) -> None:
        """Take back what one has said, if that is what is said still."""
        if self.holder(folder) == told:
            self._call("rm_file", self._lock(folder))

    def lock_url(self, folder: str) -> str:
        """The object that says who writes to a folder."""
        return f"{self.url}/locks/{quote(folder, safe='')}.json"

    def _lock(self, folder: str) -> str:
        return self._key(f"locks/{quote(folder, safe='')}.json")

    # The store

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        try:
            from fsspec.core import url_to_fs  # takes a while, and few workspaces need it

            system, prefix = url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            extra = "; run: pip install 'curator[s3]'" if self.url.startswith("s3:") else ""
            raise UsageError(f"{self.url}: {error}{extra}") from None
        except ValueError as error:
            raise UsageError(f"{self.url}: {error}; name a directory, or a URL such as s3://bucket/prefix") from None
        return system, str(prefix)

    def _key(self, name: str) -> str:
        return f"{self._opened[1]}/{name}"

    def _call(self, what: str, *given: Any, **named: Any) -> Any:
        system, _ = self._opened
        try:
            return getattr(system, what)(*given, **named)
        except (FileNotFoundError, FileExistsError, TypeError):
            raise
        except Exception as error:  # each kind of store has exceptions of its own
            raise WorkspaceError(f"{self.url}: {error}; see to its address, the credentials and the network") from error

    def _listed(self, folder: str) -> dict[str, dict[str, Any]]:
        """What the store says of each object in a folder, by key."""
        try:
            found: dict[str, dict[str, Any]] = self._call("find", self._key(folder).rstrip("/"), detail=True)
        except FileNotFoundError as error:
            raise WorkspaceError(f"{self.url}: {error}; see to its address") from None
        return {key: info for key, info in found.items() if not key.endswith("/")}

    def _created(self, key: str, told: dict[str, Any]) -> bool:
        """Write an object that was not there; False where it was."""
        for attempt in range(ATTEMPTS):
            try:
                self._call("pipe_file", key, json.dumps(told).encode(), mode="create")
            except FileExistsError:
                return False
            except WorkspaceError:
                if self._call("exists", key):  # some stores say it in other words
                    return False
                if attempt + 1 == ATTEMPTS:  # or that another is at it
                    raise
                time.sleep(attempt + 1)
            else:
                return True
        raise AssertionError


def _together(sizes: dict[Path, int]) -> Iterable[list[Path]]:
    """Files in groups that travel together."""
    group, held = list[Path](), 0
    for path, size in sizes.items():
        if group and (len(group) == AT_ONCE or held + size > BYTES_AT_ONCE):
            yield group
            group, held = [], 0
        group.append(path)
        held += size
    if group:
        yield group


def _seconds(info: dict[str, Any]) -> float:
    """When an object was written; the beginning of time where the store does not say."""
    names = ("LastModified", "updated", "last_modified", "mtime", "created")
    moment = next((info[name] for name in names if info.get(name)), 0)
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)
