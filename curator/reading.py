"""Files of an origin read by workers: each writes the parts of a run that does not end, and the one that does takes
them up, as it would those of a run that was killed. So what is read where changes nothing of what a corpus becomes.
"""

import logging
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.brought import Own
from curator.catalogue import Catalogue, begin, forgotten, write_parts
from curator.documents import Columns, Origin, firsts, read
from curator.errors import CuratorError

log = logging.getLogger(__name__)

PART_BYTES = 64 << 20  # of files that a worker reads together


@dataclass(frozen=True)
class Unread:
    """Some sources of an origin, one after the other, and where their parts go."""

    sources: slice
    files: str
    directory: Path


class Reading:
    """Reads sources of an origin, and writes their parts; returned is how many documents they have."""

    def __init__(
        self, name: str, origin: Origin, columns: Columns, base: Path | None, settings: dict[str, Any],
        own: Own | None,
    ) -> None:  # fmt: skip
        self._name, self._origin, self._columns, self._base = name, origin, columns, base
        self._settings, self._own = settings, own

    def name(self, part: Unread) -> str:
        """The files of the sources."""
        return part.files

    def unread(self, catalogue: Catalogue) -> list[Unread]:
        """What no earlier run has read, in parts."""
        keys = firsts(self._origin, corpus=self._name, columns=self._columns, base=self._base)
        earlier, places = catalogue.earlier(self._name, self._settings), catalogue.asides(self._name)
        groups, held = [list[int]()], 0
        for number, (_, _, stamp, _) in enumerate(keys):
            is_new = bool(stamp) and not earlier.has(keys[number])
            if groups[-1] and (not is_new or held >= PART_BYTES):
                groups.append([])
                held = 0
            if is_new:
                groups[-1].append(number)
                held += sum(size for _, size, _ in stamp)
        return [
            Unread(slice(group[0], group[-1] + 1), _told([keys[number][0] for number in group]), place)
            for group, place in zip(filter(None, groups), places, strict=False)
        ]

    def run(self, parts: Iterable[Unread]) -> Iterator[int]:
        """How many documents there are in each part; none where it cannot be read: who takes it up says why."""
        for part in parts:
            shutil.rmtree(part.directory, ignore_errors=True)  # of a worker that was killed
            begin(part.directory, self._settings)
            apart = None if self._own is None else self._own.apart
            try:
                batches = read(
                    self._origin, corpus=self._name, columns=self._columns, base=self._base, only=part.sources
                )
                written = write_parts(self._name, part.directory, batches, apart, forgotten(part.directory.parent))
            except (CuratorError, OSError) as error:
                log.debug("%s: %s", part.files, error)
                yield 0
            else:
                yield sum(one["documents"] for one in written)


def _told(files: list[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} to {Path(files[-1]).name}"
