"""Where a workspace is: a directory, or a place on an object store of which a directory here is the copy.

All else works on directories. What is different where they are copies is said to these functions, each of which does
nothing for any other directory: ``opened`` when a workspace is opened, ``writing`` and ``sending`` around what is
written, ``push`` after what is written without either, ``here`` before files of documents or vectors are read,
``collect`` when bytes may go; and for workers on other machines ``every``, ``joined``, ``refreshed``, ``sent`` and
``arrived``.
"""

import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from pathlib import Path

import filelock

from curator.errors import UsageError
from curator.storage.mirror import GoneError, Mirror
from curator.storage.objects import Entry

__all__ = [
    "OFTEN", "GoneError", "Sent", "all_here", "arrived", "collect", "every", "here", "is_copy", "joined", "name_of",
    "opened", "push", "refreshed", "sending", "sent", "writing",
]  # fmt: skip

Sent = dict[Path, dict[str, Entry]]
"""What was sent from the copies at some roots."""

OFTEN = 600.0  # seconds of a long work that may be lost with a machine

_mirrors: dict[Path, Mirror] = {}
_away = set[Path]()  # roots that a worker does not share with the driver


def opened(root: str | Path) -> Path:
    """The directory of a workspace: of a URL, that of its copy, with what the store has now.

    Raises UsageError for a URL that nothing installed can open, WorkspaceError where the store does not answer.
    """
    if isinstance(root, Path):
        if re.match(r"\w+:/", root.as_posix()) and os.name == "posix":
            raise UsageError(f"{root} is a Path, and no URL is one: give it as a string")
        return root
    url = root.rstrip("/")
    scheme, separator, path = url.partition("://")
    if not separator:
        return Path(root)
    if scheme == "file":
        return Path("/" + path.lstrip("/"))
    place = _place(url)
    mirror = _mirrors.get(place) or Mirror(url, place)
    mirror.pull(whole=False)
    try:
        with filelock.FileLock(place / ".lock").acquire(timeout=0):
            mirror.pull(whole=True)
    except filelock.Timeout:  # another process writes here: what it has removed is not to come back
        pass
    return _mirrors.setdefault(place, mirror).root


def _place(url: str) -> Path:
    """Where the copy is: the same for all processes of a user on a machine."""
    cache = os.environ.get("CURATOR_MIRRORS") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "curator")
    name = re.sub(r"\W+", "-", url.rpartition("/")[2])
    return Path(cache).expanduser().resolve() / f"{name}-{sha256(url.encode()).hexdigest()[:12]}"


def name_of(root: Path) -> str:
    """What a person calls a workspace: the URL that it is the copy of, or its directory."""
    mirror = _of(root)
    return str(root) if mirror is None else mirror.url


def is_copy(root: Path) -> bool:
    """Whether a workspace is on an object store, so that others need not see this directory."""
    return _of(root) is not None


def writing(root: Path, folder: str, wait: float) -> AbstractContextManager[None]:
    """Be the one that writes to a folder of a workspace, on whatever machine; see ``Mirror.writing``."""
    mirror = _of(root)
    return nullcontext() if mirror is None else mirror.writing(folder, wait)


def sending(root: Path) -> AbstractContextManager[None]:
    """Send what is written to a workspace and what goes from it, where others need not be kept from that."""
    mirror = _of(root)
    return nullcontext() if mirror is None else mirror.sending(".")


def push(root: Path, *, pause: float = 0) -> None:
    """Send what was written to a workspace, unless that was done less than ``pause`` seconds ago."""
    mirror = _of(root)
    if mirror is not None:
        mirror.push(pause=pause)


def collect(root: Path) -> None:
    """Have the store delete what is in no version of a workspace any more."""
    mirror = _of(root)
    if mirror is not None:
        mirror.collect()


def here(path: Path) -> Path:
    """The same path, with the bytes of the file there."""
    return all_here([path])[0]


def all_here(paths: Sequence[Path]) -> Sequence[Path]:
    """The same paths, with the bytes of the files there."""
    mirror = _of(paths[0]) if paths else None
    if mirror is not None:
        mirror.fetch(paths)
    return paths


def _of(path: Path) -> Mirror | None:
    """The copy that a path is in, or is."""
    if not _mirrors:
        return None
    return next((_mirrors[folder] for folder in (path, *path.parents) if folder in _mirrors), None)


# Of workers


def every() -> list[tuple[str, Path, str]]:
    """URL, root and id of each copy, for workers to join them."""
    return [(mirror.url, mirror.root, mirror.id) for mirror in _mirrors.values()]


def joined(copies: Sequence[tuple[str, Path, str]]) -> None:
    """In a worker: have copies where the driver has its own, unless those are the same directories."""
    for url, root, id_ in copies:
        mirror = _mirrors.setdefault(root, Mirror(url, root))
        if mirror.id != id_:
            _away.add(root)


def refreshed() -> None:
    """In a worker: have what the driver had when it gave out work."""
    for root in _away:
        _mirrors[root].pull(whole=True)


def sent() -> Sent:
    """In a worker: send what it has written, and say what that is."""
    return {root: entries for root in _away if (entries := _mirrors[root].sent())}


def arrived(what: Sent) -> None:
    """In the driver: have what a worker has sent."""
    for root, entries in what.items():
        _mirrors[root].arrived(entries)
