"""Tags: words that a person puts on the name of a mix, whichever version the name means."""

import re
from collections.abc import Iterable
from pathlib import Path

from curator.errors import UnknownNameError, UsageError, WorkspaceError
from curator.files import is_sealed, read_json, write_sealed

TAGS = "tags.json"
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def tags_of(home: Path) -> tuple[str, ...]:
    """The tags of a mix, in order, from its folder. Raises WorkspaceError where their file is damaged."""
    if not (home / TAGS).exists():
        return ()
    if not is_sealed(home / TAGS):
        raise WorkspaceError(f"{home / TAGS} is damaged; curator check --repair drops the tags of {home.name!r}")
    return tuple(read_json(home / TAGS)["tags"])


def retag(home: Path, add: Iterable[str], remove: Iterable[str]) -> tuple[str, ...]:
    """Write the tags of a mix. Returns them. Raises UsageError for what is no tag, UnknownNameError for one not there.

    Nothing is written where one of the words is refused.
    """
    known = set(tags_of(home))
    for word in add:
        if not TAG.fullmatch(word):
            raise UsageError(f"{word!r} cannot be a tag: use letters, digits, _, . and -, a letter or digit first")
    for word in remove:
        if word not in known:
            raise UnknownNameError("tag", word, known)
    left = sorted((known | set(add)) - set(remove))
    write_sealed(home / TAGS, {"tags": left})
    return tuple(left)
