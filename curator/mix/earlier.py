"""Finds the stored mix whose first stages are those of one that is to be made."""

import json
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from curator.files import is_sealed, read_json, sha256
from curator.mix.lock import CHANGED, code, versions
from curator.mix.locked import LOCK, MADE_FROM
from curator.mix.reuse import Known


def earlier(mixes: Path, made_from: dict[str, Any]) -> Known | None:
    """The stored mix that shares the most first stages with one made from these inputs; None where none has any."""
    wanted = json.loads(json.dumps(made_from))  # as a lockfile has it
    shared = [Known(directory, _shared(values, wanted)) for directory, values in _usable(mixes)]
    best = max(shared, key=lambda found: (found.stages, str(found)), default=None)
    return best if best and best.stages else None


def _usable(mixes: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Mixes made by this code, whose ledger says everything: no stage changed a text, and nothing was forgotten."""
    for path in sorted(mixes.glob(f"[!.]*/*/{LOCK}")):
        if not is_sealed(path):
            continue
        values = read_json(path)
        ours = values.get("code") == code() and values["versions"] == versions()
        if ours and CHANGED not in values and not values.get("forgotten"):
            files = {name: path.with_name(name) for name in ("ledger.parquet", "summary.json")}
            if all(file.exists() and sha256(file) == values["sha256"][name] for name, file in files.items()):
                yield path.parent, values


def _shared(values: dict[str, Any], wanted: dict[str, Any]) -> int:
    """How many first stages two mixes have in common; none where their candidates were others."""
    if _without_stages(values) != _without_stages(wanted):
        return 0
    pairs = zip(values["stages"], wanted["stages"], strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _without_stages(values: dict[str, Any]) -> dict[str, Any]:
    recipe = {name: value for name, value in values["recipe"].items() if name not in ("name", "stage")}
    return {**{name: values.get(name) for name in MADE_FROM if name != "stages"}, "recipe": recipe}
