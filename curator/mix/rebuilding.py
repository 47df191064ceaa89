"""A stored mix built anew, from its lockfile and the stored versions and vectors."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from curator.corpora import Corpora
from curator.errors import DataError, VerificationError, WorkspaceError
from curator.mix.build import Built, Step, build, sum_of
from curator.mix.differences import changes
from curator.mix.lock import CHANGED, digest, locked_steps
from curator.mix.locked import corpora_of
from curator.mix.replay import of_lock
from curator.mix.task import Task
from curator.session import Session
from curator.vectors import Encoded


class StoredEncoder:
    """Stands for the encoder of a lockfile: its vectors are in the store, and nothing is encoded again."""

    def __init__(self, key: str, root: Path) -> None:
        self.key = key
        self.dimension = 0
        self._root = root

    def encode(self, texts: Sequence[str], **_: Any) -> Encoded:
        raise WorkspaceError(
            f"{len(texts):,} vectors of {self.key} are not in {self._root} any more; build the mix again"
        )


def rebuilt(
    values: dict[str, Any], corpora: Corpora, session: Session, stored: Callable[[], pl.DataFrame]
) -> tuple[Built, Task]:
    """The mix of a lockfile, whose documents are ``stored``, and its task. No verdict is taken from a stored mix.

    Raises VerificationError when it is not what the lockfile says, WorkspaceError when what it needs is damaged.
    """
    name, plan = values["name"], locked_steps(values)
    damaged = [f"{corpus.name}/{file}" for corpus in corpora_of(values, corpora.catalogue) for file in corpus.damaged()]
    if damaged:
        raise WorkspaceError(f"{name} cannot be verified, these files are damaged: {', '.join(damaged)}")
    _check_models(name, plan)
    gone = values.get("forgotten", 0)
    since = f"{gone:,} documents were forgotten since; " if gone else ""
    try:
        task = of_lock(values, corpora, session)
        again = build(task, plan, session)
    except (DataError, WorkspaceError) as error:  # others may stand in the places of those forgotten
        if not gone:
            raise
        raise VerificationError(f"{name} does not rebuild: {since}{error}") from error
    changed = CHANGED in values or bool(len(again.changed))
    if digest(again.frame, texts=changed) != values["ids_sha256"]:
        differing = len(changes(stored(), again.frame))
        raise VerificationError(
            f"{name} does not rebuild: {differing:,} documents differ, or else their order or weights; {since}"
            f"it was made with {_listed(values['versions'])}"
        )
    return again, task


def _check_models(name: str, plan: Sequence[Step]) -> None:
    """Raises VerificationError for a classifier's directory that is not what the mix was made with."""
    for step in plan:
        directory = Path(str(step.parameters.get("model")))
        if step.model and sum_of(directory) != step.model:
            what = "is not what it was" if directory.is_dir() else "is not there any more"
            raise VerificationError(
                f"{name} cannot be verified: {directory}, the model of its stage {step.name!r}, {what}; "
                "put back the one that the mix was made with"
            )


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
