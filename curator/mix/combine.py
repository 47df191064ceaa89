"""Several stored mixes as one: a recipe whose pool is these mixes, and whose task is that of the first."""

from collections.abc import Sequence
from typing import Any

from curator.corpora import Corpora
from curator.errors import UsageError
from curator.mix.lock import locked_recipe
from curator.mix.locked import MIX, fixed_versions
from curator.mix.task import Task, prepare, tested_texts
from curator.mix.union import StoredMix
from curator.recipe import DECONTAMINATE, Encoder, Recipe
from curator.session import Session

POOL = "mixes"


def recipe_of(name: str, mixes: Sequence[StoredMix], weights: Sequence[float] | None) -> Recipe:
    """The recipe of a combination; its only stage is decontamination, as the first mix has it, unless none has it.

    Raises UsageError for fewer than two mixes, or its own name among them, RecipeError for weights that do not fit.
    """
    names = [mix.name for mix in mixes]
    if len(names) < 2:
        raise UsageError(f"{name}: two mixes or more are combined, not {names!r}")
    if name in names:
        raise UsageError(f"{name!r} is the name of one of the mixes that are combined; give the result another")
    first = mixes[0].lock["recipe"]
    corpora = {entry["role"]: entry["corpus"] for entry in mixes[0].lock["corpora"] if entry["role"] != "pool"}
    task = {
        key: {**_unread(value), "corpus": corpora[key]} if key in corpora else value
        for key, value in first["task"].items()
    }
    task["decontaminate"] = any(mix.lock["recipe"]["task"].get("decontaminate", True) for mix in mixes)
    values: dict[str, Any] = {
        "name": name,
        "task": task,
        "pool": {POOL: {"mix": names, "weights": None if weights is None else list(weights)}},
        "stage": [use for use in first["stage"] if use["use"] == DECONTAMINATE],
    }
    encoder = Encoder.model_validate(first["encoder"])
    return Recipe.parse(values | ({} if encoder == Encoder() else {"encoder": encoder}), origin=f"combining {name}")


def _unread(source: dict[str, Any]) -> dict[str, Any]:
    """A source without what only says how to read it."""
    return {key: value for key, value in source.items() if key in ("where", "labels", "separator")}


def task_of(recipe: Recipe, mixes: Sequence[StoredMix], corpora: Corpora, session: Session) -> Task:
    """The task of a combination: target, dev and test set in the versions that the first mix was made with.

    Raises UsageError where another mix has other labels or another test set: documents of that would get in.
    """
    first, *others = mixes
    versions = fixed_versions(first.lock)
    tested = tested_texts(recipe, corpora, session, versions)
    for other in others:
        kinds = [mix.lock["recipe"]["task"].get("kind", "single") for mix in (first, other)]
        if kinds[0] != kinds[1]:
            raise UsageError(
                f"{first.name!r} is of a task of kind {kinds[0]!r} and {other.name!r} of one of kind {kinds[1]!r}; "
                f"{_instead(other)}"
            )
        if other.lock["labels"] != first.lock["labels"]:
            raise UsageError(
                f"{first.name!r} has the labels {', '.join(first.lock['labels'])} and {other.name!r} has "
                f"{', '.join(other.lock['labels'])}; {_instead(other)}"
            )
        theirs = tested_texts(locked_recipe(other.lock), corpora, session, fixed_versions(other.lock))
        if theirs != tested:
            raise UsageError(
                f"{first.name!r} and {other.name!r} have different test sets: {len(theirs - tested):,} texts are only "
                f"in that of {other.name!r}, {len(tested - theirs):,} only in the other; {_instead(other)}"
            )
    return prepare(recipe, 0, corpora, session, versions=versions | {(MIX, mix.name): mix.version for mix in mixes})


def _instead(mix: StoredMix) -> str:
    return f'in a recipe of the task that is meant, [pool.x] mix = "{mix.name}" takes its documents'
