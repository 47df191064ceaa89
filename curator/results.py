"""What the verbs of the front door return: what was added, and a finished race."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.errors import UnknownNameError, UsageError
from curator.files import is_sealed, read_json, write_text

if TYPE_CHECKING:
    from curator.race.statistics import SideBySide


@dataclass(frozen=True)
class Added:
    """What became of an origin: documents kept, rows set aside with their reasons, columns renamed."""

    corpus: str
    version: str
    documents: int
    rejects: int
    renamed: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.corpus}: {self.documents:,} documents, version {self.version}"]
        if self.rejects:
            lines.append(
                f"  {self.rejects:,} rejects: rejects('{self.corpus}') in SQL lists them with file, line and reason"
            )
        if self.renamed:
            lines.append("  renamed, because the name is curator's: " + ", ".join(f"{n} → {n}_" for n in self.renamed))
        return "\n".join(lines)


class Compared:
    """Two races side by side: ``found`` has the figures."""

    def __init__(self, found: "SideBySide") -> None:
        self.found = found

    def __repr__(self) -> str:
        return "\n".join(self.told())

    def told(self) -> list[str]:
        """How they were compared, and what was found of each arm, in sentences."""
        from curator.race.statistics import told

        return told(self.found)

    def table(self) -> list[dict[str, Any]]:
        """One row per arm of both, the second race minus the first."""
        from curator.report import side_by_side_rows

        rows: list[dict[str, Any]] = side_by_side_rows(self.found)
        return rows

    def settings(self) -> list[dict[str, Any]]:
        """What differs in the recipes: ``name, first, second``."""
        return [asdict(one) for one in self.found.settings]

    def report(self, path: str | Path) -> Path:
        """Write one self-contained .html file. Returns its path."""
        from curator.report import side_by_side

        path = Path(path)
        if path.suffix != ".html":
            raise UsageError(f"{path}: two races side by side are written as .html")
        write_text(path, side_by_side(self.found))
        return path


class Race:
    """A finished race: its record, and the report made from it."""

    def __init__(self, directory: Path) -> None:
        if not (directory / "record.json").exists():
            raise UnknownNameError(
                "race", directory.name, [path.parent.name for path in directory.parent.glob("*/record.json")]
            )
        self.directory = directory
        self.record: dict[str, Any] = read_json(directory / "record.json")

    @classmethod
    def opened(cls, directory: Path) -> "Race":
        """The race of a folder, or its curves. Raises UnknownNameError where there is none."""
        race = cls(directory)
        return Curves(directory) if race.record["kind"] == "curves" else race

    def __repr__(self) -> str:
        return f"Race({self.record['name']!r}: {self.verdict})"

    @cached_property
    def verdict(self) -> str:
        """One sentence, generated from the numbers."""
        from curator.race.statistics import analyse, verdict

        return verdict(analyse(self.record))

    def table(self) -> list[dict[str, Any]]:
        """The verdict table: one row per arm."""
        from curator.report import table

        rows: list[dict[str, Any]] = table(self.record)
        return rows

    def tasks(self) -> list[dict[str, Any]]:
        """Of a race with a replay: a row for each task, the new one and the earlier, and each arm; else none."""
        from curator.report import tasks

        rows: list[dict[str, Any]] = tasks(self.record)
        return rows

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report: one self-contained .html file, or .md for markdown. Returns its path.

        The .html shows texts of the corpora, from ``look.json`` beside the record, where that is.
        """
        from curator import report

        path = Path(path or self.directory / "report.html")
        if path.suffix not in (".html", ".md"):
            raise UsageError(f"{path}: a report is written as .html or .md")
        write_text(path, self._page() if path.suffix == ".html" else report.markdown(self.record))
        return path

    def _page(self) -> str:
        from curator import report
        from curator.race.looking import LOOK

        place = self.directory / LOOK
        page: str = report.html(self.record, read_json(place) if is_sealed(place) else None)
        return page


class Curves(Race):
    """A race at several numbers of shots or budgets: each a race of its own, and what they show together."""

    @cached_property
    def points(self) -> list[tuple[str, Race]]:
        """What each point is, and its race."""
        return [(point["name"], Race(self.directory / point["folder"])) for point in self.record["points"]]

    @cached_property
    def verdict(self) -> str:
        """The sentence of each point, a line each."""
        return "\n".join(f"{name}: {race.verdict}" for name, race in self.points)

    def table(self) -> list[dict[str, Any]]:
        """The verdict tables of the points, each row with its ``shots`` and ``budget``, None where they stay."""
        at = [{"shots": point["shots"], "budget": point["budget"]} for point in self.record["points"]]
        return [own | row for own, (_, race) in zip(at, self.points, strict=True) for row in race.table()]

    def tasks(self) -> list[dict[str, Any]]:
        """The rows of a race with a replay, of each point."""
        return [{"point": name, **row} for name, race in self.points for row in race.tasks()]

    def report(self, path: str | Path | None = None) -> Path:
        """Write the curves: one self-contained .html file, or .md for markdown. Returns its path."""
        from curator import report

        path = Path(path or self.directory / "report.html")
        if path.suffix not in (".html", ".md"):
            raise UsageError(f"{path}: a report is written as .html or .md")
        written = report.curves_html if path.suffix == ".html" else report.curves_markdown
        write_text(path, written(self.record, [race.record for _, race in self.points]))
        return path
