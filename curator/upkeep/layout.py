"""Which folders a workspace has, and which of its corpora's versions something refers to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curator.catalogue import MANIFEST, Catalogue, fits
from curator.errors import WorkspaceError
from curator.files import is_sealed, read_json
from curator.mix import CURRENT, LOCK, lock_of
from curator.trials import FOLDER as TRIALS

Version = tuple[str, str]  # a corpus, and which of its versions


def folders(path: Path) -> list[Path]:
    """The folders in a folder, in order, without those whose names begin with a dot."""
    return sorted(inner for inner in path.glob("[!.]*") if inner.is_dir())


def manifest_of(directory: Path, file: str = MANIFEST) -> dict[str, Any] | None:
    """The manifest of a version of a corpus, or its copy; None where that is not what was written."""
    path = directory / file
    if not is_sealed(path):
        return None
    values: dict[str, Any] = read_json(path)
    return values if fits(values, directory.name) else None


def mixes(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every version of every stored mix whose lockfile is whole, with that."""
    for home in folders(root / "mixes"):
        for directory in folders(home):
            if (values := lock_of(directory)) is not None:
                yield directory, values


def trial_files(root: Path) -> list[Path]:
    """What is kept of probes of ratios, in order."""
    return sorted((root / TRIALS).glob("*.json"))


def kept(catalogue: Catalogue) -> set[Version]:
    """The versions of corpora that are present, or that a stored mix was made from.

    Raises WorkspaceError where a file that would tell is damaged.
    """
    root, found = catalogue.root, set[Version]()
    for home in folders(root / "corpora"):
        if is_sealed(home / CURRENT):
            found.add((home.name, str(catalogue.present(home.name))))
        elif (home / CURRENT).exists() or folders(home):
            raise _not_known(root, home / CURRENT)
    for home in folders(root / "mixes"):
        for directory in folders(home):
            if (directory / LOCK).exists() and lock_of(directory) is None:
                raise _not_known(root, directory / LOCK)
    for _, values in mixes(root):
        found |= {(entry["corpus"], entry["version"]) for entry in values["corpora"]}
    return found


def _not_known(root: Path, path: Path) -> WorkspaceError:
    return WorkspaceError(
        f"{path.relative_to(root)} is damaged, so nobody knows what it refers to; first: curator check --repair"
    )
