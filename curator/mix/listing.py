"""The stored mixes of a workspace at a glance: size, target, tags, and whether what they were made from is still so."""

from pathlib import Path
from typing import Any

from curator import origins
from curator.catalogue import Catalogue
from curator.errors import UnknownNameError, WorkspaceError
from curator.files import read_json
from curator.mix.locked import CURRENT, corpora_of, lock_of
from curator.mix.tags import tags_of

TOLD = ("version", "documents", "pool", "target", "seed", "created", "stale", "newer")


def listed(catalogue: Catalogue, tag: str | None = None) -> list[dict[str, Any]]:
    """The present version of each mix, or of those with a ``tag``; see ``Workspace.ls_mixes``.

    Raises UnknownNameError for a tag that no mix has.
    """
    homes = sorted(path.parent for path in (catalogue.root / "mixes").glob(f"*/{CURRENT}"))
    tags = {home: tags_of(home) for home in homes}
    if tag is not None and not any(tag in words for words in tags.values()):
        raise UnknownNameError("tag", tag, {word for words in tags.values() for word in words})
    return [_row(home, words, catalogue) for home, words in tags.items() if tag is None or tag in words]


def _row(home: Path, tags: tuple[str, ...], catalogue: Catalogue) -> dict[str, Any]:
    directory = home / str(read_json(home / CURRENT)["version"])
    values = lock_of(directory)
    row = {"mix": home.name, "tags": list(tags), "locked": values is not None}
    if values is None:
        return row | dict.fromkeys(TOLD)
    entries = values["corpora"]
    told = (
        directory.name,
        values["documents"],
        read_json(directory / "summary.json")["pool"],
        next(entry["corpus"] for entry in entries if entry["role"] == "target"),
        values["seed"],
        values["created"],
        _stale(values, catalogue),
        sorted({entry["corpus"] for entry in entries if catalogue.present(entry["corpus"]) != entry["version"]}),
    )
    return row | dict(zip(TOLD, told, strict=True))


def _stale(values: dict[str, Any], catalogue: Catalogue) -> list[str] | None:
    """The files it came from that have changed or gone; None where a version of a corpus is gone, so nobody knows."""
    try:
        return [item.path for item in origins.stale(corpora_of(values, catalogue))]
    except WorkspaceError:
        return None
