"""What a stored mix says already: the verdicts of its first stages, where everything that decides them is the same.

Stages see what those before them left, so another budget at the end changes nothing of them. Where documents were added
to a pool, taken out of it or changed, a stage that judges each document alone says the same of the others. Their
verdicts are in the ledger of the stored mix; there is no other store of them to keep, to check or to collect.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curator.certificates import Certificate
from curator.files import read_json
from curator.mix.differences import changes, with_fates
from curator.nearest import JoinReport
from curator.relation import Relation
from curator.stages import VERDICT, Verdicts
from curator.vectors import Rows

KEY = ["corpus", "id"]


@dataclass(frozen=True)
class Taken:
    """What a stored mix says of some candidates of a stage, which are rows ``of`` them, and the ``rest`` of them."""

    verdicts: Verdicts
    of: Rows
    rest: Rows

    def with_rest(self, rest: Verdicts) -> Verdicts:
        """The verdicts on all candidates, with those on the rest, whose searches are those that were made."""
        order = np.argsort(np.concatenate([self.of, self.rest]))
        return Verdicts(pl.concat([self.verdicts.frame, rest.frame])[order], rest.joins)


@dataclass(frozen=True)
class Known:
    """A stored mix, and how many of its first stages are those of one that is to be made."""

    directory: Path
    stages: int
    same: pl.DataFrame | None = None  # corpus, id of those of which they say the same; None: the pool is the same

    def __str__(self) -> str:
        return f"{self.directory.parent.name}/{self.directory.name}"

    @functools.cached_property
    def _ledger(self) -> pl.DataFrame:
        return pl.read_parquet(self.directory / "ledger.parquet")

    @functools.cached_property
    def _summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = read_json(self.directory / "summary.json")
        return summary

    def verdicts(self, name: str, position: int, candidates: Relation) -> Taken | None:
        """What the stage in this place said of its candidates; None where that is not known, or was of others."""
        if position > self.stages:
            return None
        rows = self._ledger.filter(pl.col("position") == position)
        if self.same is not None:
            rows = rows.join(self.same, on=KEY, how="semi", maintain_order="left")
        elif not rows.select(KEY).equals(candidates.select(KEY)):
            return None
        numbered = candidates.select(KEY).with_row_index("_row")
        rows = numbered.join(rows, on=KEY, how="inner", maintain_order="left")
        found = rows["_row"].to_numpy().astype(np.int64)
        rest = np.setdiff1d(np.arange(len(candidates)), found, assume_unique=True)
        frame = rows.with_columns(pl.lit(None, pl.String).alias("text")).select(list(VERDICT))
        joins = [{**row} for row in self._summary["joins"] if row["stage"] == name and self.same is None]
        for row in joins:
            del row["stage"]
        return Taken(Verdicts(frame, tuple(JoinReport(**row) for row in joins)), found, rest)

    def warned(self, name: str) -> list[str]:
        """What that stage warned of."""
        return [row["message"] for row in self._summary["warned"] if row["stage"] == name]

    def certificate(self, name: str) -> Certificate | None:
        """How far that stage's selection was the one of exact search; None where it was exact."""
        rows = [row for row in self._summary["certificates"] if row["stage"] == name]
        return Certificate(**rows[0]) if rows else None

    def votes(self, name: str) -> list[dict[str, Any]]:
        """What it says of the labels that a stage gave by vote."""
        return [row for row in self._summary.get("votes", ()) if row["stage"] == name]

    def reductions(self, name: str) -> list[dict[str, Any]]:
        """What that stage gained, if it is ``dsir``."""
        return [row for row in self._summary.get("reductions", ()) if row["stage"] == name]

    def mixtures(self, name: str) -> list[dict[str, Any]]:
        """The searches of that stage for a ratio, if it is ``found_ratio``."""
        return [row for row in self._summary.get("mixtures", ()) if row["stage"] == name]

    def changes(self, frame: pl.DataFrame, ledger: pl.DataFrame) -> list[dict[str, Any]]:
        """How many documents a mix with this frame and ledger has and this one has not, and the other way round.

        ``change, stage, documents`` as in ``Mix.diff`` from this one to that.
        """
        changed = changes(pl.read_parquet(self.directory / "mix.parquet"), frame)
        fates = with_fates(changed, self._ledger, ledger)
        return fates.group_by("change", "stage").len("documents").sort("change", "stage", nulls_last=True).to_dicts()
