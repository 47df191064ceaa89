"""What the sections of a page are made from, and how a section is added to it.

A section is a function of the ``Material`` that returns ``section(name, title, …)``, or None where it has nothing to
say. One line in ``page.PARTS`` gives it its place and its word in the contents.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from curator.race.statistics import Results
from curator.report.elements import Markup


@dataclass(frozen=True)
class Material:
    """A race record, what its statistics say, and the look at its documents where there is one."""

    record: dict[str, Any]
    results: Results
    look: dict[str, Any] | None = None

    @property
    def mix(self) -> dict[str, Any] | None:
        """The summary of the mix of seed 0; None for a race whose mix could not be built."""
        found: dict[str, Any] | None = self.record["mix"]
        return found


Draw = Callable[[Material], Markup | None]


@dataclass(frozen=True)
class Part:
    """A section's id, its word in the contents, the group that it is listed under, and what draws it."""

    name: str
    word: str
    group: str
    draw: Draw


def of_mix(draw: Callable[[dict[str, Any]], Markup | None]) -> Draw:
    """A section that needs the summary of the mix alone."""
    return lambda material: draw(material.mix) if material.mix else None
