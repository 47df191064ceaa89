"""What a stored mix says already: the verdicts of its first stages, where everything that decides them is the same.

Stages see what those before them left, so another budget at the end changes nothing of them. Their verdicts are in the
ledger of the mix that had the old one; there is no other store of them to keep, to check or to collect.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curator.certificates import Certificate
from curator.files import read_json
from curator.nearest import JoinReport
from curator.relation import Relation
from curator.stages import VERDICT, Verdicts


@dataclass(frozen=True)
class Known:
    """A stored mix, and how many of its first stages are those of one that is to be made."""

    directory: Path
    stages: int

    def __str__(self) -> str:
        return f"{self.directory.parent.name}/{self.directory.name}"

    @functools.cached_property
    def _ledger(self) -> pl.DataFrame:
        return pl.read_parquet(self.directory / "ledger.parquet")

    @functools.cached_property
    def _summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = read_json(self.directory / "summary.json")
        return summary

    def verdicts(self, name: str, position: int, candidates: Relation) -> Verdicts | None:
        """What the stage in this place said of its candidates; None where it is not known, or was of others."""
        if position > self.stages:
            return None
        rows = self._ledger.filter(pl.col("position") == position)
        keys = ["corpus", "id"]
        if not rows.select(keys).equals(candidates.select(keys)):
            return None
        joins = [{**row} for row in self._summary["joins"] if row["stage"] == name]
        for row in joins:
            del row["stage"]
        frame = rows.with_columns(pl.lit(None, pl.String).alias("text")).select(list(VERDICT))
        return Verdicts(frame, tuple(JoinReport(**row) for row in joins))

    def certificate(self, name: str) -> Certificate | None:
        """How far that stage's selection was the one of exact search; None where it was exact."""
        rows = [row for row in self._summary["certificates"] if row["stage"] == name]
        return Certificate(**rows[0]) if rows else None

    def reductions(self, name: str) -> list[dict[str, Any]]:
        """What that stage gained, if it is ``dsir``."""
        return [row for row in self._summary.get("reductions", ()) if row["stage"] == name]

    def mixtures(self, name: str) -> list[dict[str, Any]]:
        """The searches of that stage for a ratio, if it is ``found_ratio``."""
        return [row for row in self._summary.get("mixtures", ()) if row["stage"] == name]
