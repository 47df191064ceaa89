"""The look at a race's documents, written beside its record: records are shared, and hold no text of a corpus."""

from pathlib import Path
from typing import Any

from curator.files import is_sealed, read_json, write_sealed
from curator.mix import Mix, Task

LOOK = "look.json"


def looked(mix: Mix, task: Task, directory: Path) -> dict[str, Any]:
    """The mix's summary without its examples; the look goes into the race's directory, if it is not there already."""
    path = directory / LOOK
    if not (is_sealed(path) and read_json(path)["version"] == mix.version):
        write_sealed(path, {**mix.look(task), "version": mix.version})
    return {name: value for name, value in mix.summary().items() if name != "examples"}
