"""Reading the lockfiles of stored mixes."""

import hashlib
import json
from pathlib import Path
from typing import Any

from curator.catalogue import Catalogue, Corpus
from curator.files import is_sealed, read_json

CURRENT = "current.json"
LOCK = "lock.json"
MIX = "mix"  # the role of a mix among versions that are fixed
MADE_FROM = ("recipe", "seed", "labels", "corpora", "encoder", "stages", "mixes", "replay")  # what names the version


def version(values: dict[str, Any]) -> str:
    """A name for a mix made from these inputs, or with this lockfile, which has them."""
    made_from = {name: values[name] for name in MADE_FROM if name in values}
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:12]


def lock_of(directory: Path) -> dict[str, Any] | None:
    """The lockfile of a stored mix; None where it is not what was written, or that of another version."""
    if not is_sealed(directory / LOCK):
        return None
    values: dict[str, Any] = read_json(directory / LOCK)
    return values if version(values) == directory.name else None


def licences(values: dict[str, Any], catalogue: Catalogue) -> dict[str, str | None]:
    """The licence of each source in a mix's pool: what the recipe says, else what its corpus was added with.

    Of one that came with another mix: what is known of it there.
    """
    found: dict[str, str | None] = {}
    for used in values.get("mixes", ()):
        inner = lock_of(catalogue.root / "mixes" / used["mix"] / used["version"])
        found |= licences(inner, catalogue) if inner else {}
    for entry in (entry for entry in values["corpora"] if entry["role"] == "pool"):
        stated = values["recipe"]["pool"].get(entry["name"], {}).get("licence") or found.get(entry["name"])
        found[entry["name"]] = stated or catalogue.licence(entry["corpus"])
    return found


def fixed_versions(values: dict[str, Any]) -> dict[tuple[str, str], str]:
    """The versions of corpora that a lockfile names, by role and name, and those of mixes in its pool or replayed."""
    used = {(entry["role"], entry["name"]): entry["version"] for entry in values["corpora"]}
    return used | {(MIX, entry["mix"]): entry["version"] for entry in mixes_of(values)}


def mixes_of(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The versions of mixes that a lockfile names: ``mix, version, ids_sha256``."""
    return [*values.get("mixes", ()), *([values["replay"]] if "replay" in values else [])]


def corpora_of(values: dict[str, Any], catalogue: Catalogue) -> list[Corpus]:
    """The versions of corpora that a lockfile names. Raises WorkspaceError where one is gone."""
    pairs = sorted({(entry["corpus"], entry["version"]) for entry in values["corpora"]})
    return [catalogue.corpus(name, number) for name, number in pairs]
