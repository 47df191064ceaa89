"""What the verbs of the front door return: what was added, and a finished race."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from curator.errors import UnknownNameError, UsageError
from curator.files import is_sealed, read_json, write_text


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


class Race:
    """A finished race: its record, and the report made from it."""

    def __init__(self, directory: Path) -> None:
        if not (directory / "record.json").exists():
            raise UnknownNameError(
                "race", directory.name, [path.parent.name for path in directory.parent.glob("*/record.json")]
            )
        self.directory = directory
        self.record: dict[str, Any] = read_json(directory / "record.json")

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
