"""Work done in this process."""

from collections.abc import Iterable, Iterator
from typing import Any


class Local:
    """Does work here, one part after the other."""

    workers = 0

    def __repr__(self) -> str:
        return "Local()"

    def map(self, work: Any, parts: Iterable[Any]) -> Iterator[Any]:
        """The result of each part, in order. What a part raises is raised."""
        results: Iterator[Any] = work.run(parts)
        return results

    def close(self) -> None:
        """It has no workers."""


HERE = Local()
