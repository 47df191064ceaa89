"""Finds the stored mix whose first stages are those of one that is to be made."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import polars as pl

from curator.files import is_sealed, read_json, sha256
from curator.mix.lock import CHANGED, code, versions
from curator.mix.locked import LOCK, MADE_FROM
from curator.mix.reuse import Known

_OF_THE_POOL = ("corpora", "mixes", "stages")  # what of a lockfile's values another pool changes

Unchanged = Callable[[dict[str, Any]], pl.DataFrame]
"""``corpus, id`` of the candidates that the mix of a lockfile had too, the same in everything."""


def earlier(mixes: Path, made_from: dict[str, Any], alone: int, unchanged: Unchanged) -> Known | None:
    """The stored mix that shares the most first stages with one made from these inputs; None where none has any.

    Where its pool was another, only the first ``alone`` stages are shared, those that judge each document alone, and
    they say nothing of a document that is not ``unchanged``. Of several with as many stages, one of the same pool comes
    first, then the one of the most versions in common, then the latest.
    """
    wanted = json.loads(json.dumps(made_from))  # as a lockfile has it
    found = []
    for directory, values in _usable(mixes):
        same_pool, stages = _shared(values, wanted, alone)
        if stages:
            common = sum(entry in _pool(wanted) for entry in _pool(values))
            found.append(((stages, same_pool, common, values["created"], str(directory)), directory, values))
    for (stages, same_pool, *_), directory, values in sorted(found, key=lambda one: one[0], reverse=True):
        known = Known(directory, stages)
        if same_pool:
            return known
        if len(same := unchanged(values)):
            return replace(known, same=same)
    return None


def _usable(mixes: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Mixes made by this code, whose ledger says everything: no stage changed a text, and nothing was forgotten."""
    for path in sorted(mixes.glob(f"[!.]*/*/{LOCK}")):
        if not is_sealed(path):
            continue
        values = read_json(path)
        ours = values.get("code") == code() and values["versions"] == versions()
        if ours and CHANGED not in values and not values.get("forgotten"):
            files = {name: path.with_name(name) for name in ("mix.parquet", "ledger.parquet", "summary.json")}
            if all(file.exists() and sha256(file) == values["sha256"][name] for name, file in files.items()):
                yield path.parent, values


def _shared(values: dict[str, Any], wanted: dict[str, Any], alone: int) -> tuple[bool, int]:
    """Whether two mixes have the same pool, and how many first stages in common that say the same of a document."""
    if _but(values, "stage") == _but(wanted, "stage"):
        return True, _common(values["stages"], wanted["stages"])
    if _but(values, "stage", "pool") != _but(wanted, "stage", "pool") or not _pools_meet(values, wanted):
        return False, 0
    # A cosine that was given as a share of random pairs is among the parameters; how it was found decides nothing.
    decisive = [[{**stage, "calibrated": None} for stage in each["stages"]] for each in (values, wanted)]
    return False, min(alone, _common(*decisive))


def _common(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))


def _but(values: dict[str, Any], *sections: str) -> dict[str, Any]:
    """What mixes were made from, but for their stages and, with ``pool`` among the sections, where that is from."""
    recipe = {name: value for name, value in values["recipe"].items() if name not in ("name", *sections)}
    names = [name for name in MADE_FROM if name not in (_OF_THE_POOL if "pool" in sections else ("stages",))]
    others = [entry for entry in values["corpora"] if entry["role"] != "pool"]
    return {**{name: values.get(name) for name in names}, "recipe": recipe, "others": others}


def _pool(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in values["corpora"] if entry["role"] == "pool"]


def _pools_meet(values: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether two pools have a name in common, without which no document of them is the same."""
    return bool({entry["name"] for entry in _pool(values)} & {entry["name"] for entry in _pool(wanted)})
