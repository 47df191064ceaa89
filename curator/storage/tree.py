"""The files of the copy of a workspace: those that are everybody's, and those of which there are only the places."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from curator.files import beside, sha256
from curator.storage.objects import Entry

LATE = re.compile(r"corpora/[^/]+/[^/]+/(documents|vectors)-[\d_]+\.\w+|vectors/[^/]+/[^/]+\.npy")  # fetched when read
OWN = re.compile(
    r"vectors/encoders\.json|sql_history|races/.*/runs/.*\.safetensors|.*/checkpoint\.safetensors"
    r"|.*/events\.out\.tfevents[^/]*|.*/wandb/.*|.*\.part"
)
ABSENT = 0  # the time of a file whose bytes were not fetched

Now = tuple[int, int]
"""Size and time of a file that is there."""


class Tree:
    """The files under a root, by their names there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sums: dict[tuple[str, Now], str] = {}  # of files that were asked for, as they were

    def walked(self, top: Path) -> Iterator[tuple[str, Now]]:
        """The files that are everybody's, with size and time."""
        for folder, inner, names in os.walk(top):
            inner[:] = [name for name in inner if not name.startswith(".")]
            for name in names:
                path = self.name_of(Path(folder, name))
                now = None if name.startswith(".") or OWN.fullmatch(path) else self.now(path)
                if now is not None:
                    yield path, now

    def now(self, name: str) -> Now | None:
        """Size and time of a file; none where it is not there."""
        try:
            stat = (self.root / name).stat()
        except FileNotFoundError:
            return None
        return stat.st_size, stat.st_mtime_ns

    def name_of(self, path: Path) -> str:
        """The name of a file at a path."""
        return path.relative_to(self.root).as_posix()

    def is_held(self, name: str, now: Now | None) -> bool:
        """Whether only the place of a file is there."""
        return now is not None and now[1] == ABSENT and LATE.fullmatch(name) is not None

    def is_as(self, name: str, *known: Entry | None) -> bool:
        """Whether a file is as it came from the store, or only its place."""
        now = self.now(name)
        return self.is_held(name, now) or any(one is not None and now == (one.size, one.time) for one in known)

    def moment(self) -> int:
        """The time of the file system."""
        place = beside(self.root / "now")
        place.touch()
        try:
            return place.stat().st_ctime_ns
        finally:
            place.unlink()

    def hold(self, name: str, entry: Entry) -> None:
        """Hold the place of a file."""
        part = self.part(name)
        with part.open("wb") as file:
            file.truncate(entry.size)
        os.utime(part, ns=(ABSENT, ABSENT))
        part.replace(self.root / name)

    def part(self, name: str) -> Path:
        """Where a file is written that then takes its place."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        return beside(self.root / name)

    def remove(self, name: str) -> None:
        """Delete a file, and the folders that it leaves empty."""
        path = self.root / name
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.root or not folder.is_dir() or any(folder.iterdir()):
                return
            folder.rmdir()

    def sum(self, name: str) -> str:
        """The checksum of a file; empty where it is not there any more."""
        now = self.now(name)
        if now is None:
            return ""
        if (name, now) not in self._sums:
            try:
                self._sums[name, now] = sha256(self.root / name)
            except FileNotFoundError:
                return ""
        return self._sums[name, now]

    def is_blank(self, name: str) -> bool:
        """Whether a file has nothing where every file of documents or vectors has something."""
        with (self.root / name).open("rb") as file:
            return not any(file.read(16))
