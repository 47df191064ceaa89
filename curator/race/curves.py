"""Learning curves: the same race at several numbers of shots or budgets, each a race of its own in a folder below.

record.json                     kind "curves": what the points are, and where
points/<name>/record.json …     each a whole race, which can be looked at and run again by itself
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curator.corpora import Progress
from curator.files import write_sealed
from curator.mix import Workshop
from curator.race.environment import commit, environment
from curator.race.run import run
from curator.recipe import Recipe

POINTS = "points"


def run_curves(
    recipe: Recipe, workshop: Workshop, directory: Path, *, command: str = "", smoke: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run (or finish) the race at each point, and write the record that names them. Returns it."""
    started, clock, source = datetime.now(UTC), time.perf_counter(), commit()
    told = []
    for point in recipe.points():
        folder = f"{POINTS}/{point.recipe.name}"
        run(point.recipe, workshop, directory / folder, command=command, smoke=smoke, progress=progress)
        told.append({"shots": point.shots, "budget": point.budget, "name": str(point), "folder": folder})
    record = {
        "format": 1,
        "kind": "curves",
        "name": recipe.name,
        "description": recipe.description,
        "smoke": smoke,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - clock, 1),
        "command": command,
        "commit": source,
        "environment": environment(),
        "recipe": recipe.model_dump(mode="json", by_alias=True, exclude_none=True),
        "metric": recipe.race.metric,
        "points": told,
    }
    with workshop.corpora.catalogue.writing(str(directory.relative_to(workshop.corpora.catalogue.root))):
        write_sealed(directory / "record.json", record)
    return record
