"""The trials of one arm, one after another, in a file that is written after each."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.errors import CuratorError
from curator.files import is_sealed, read_json, write_sealed
from curator.recipe import Recipe
from curator.training import forget, main_score
from curator.tuning.proposals import COMPLETE, FAILED, PRUNED, is_hopeless, propose, tenths
from curator.tuning.space import Space, Values

log = logging.getLogger(__name__)

History = Sequence[dict[str, Any]]  # looks at dev, as ``FineTuned.history`` has them
OnLook = Callable[[History, int], None]  # those until now, and the steps that the trial is to run


@dataclass(frozen=True)
class Outcome:
    """What a trial that ran to its end gives; ``dev`` are the scores of its best look, with the ``loss``."""

    dev: dict[str, Any]
    best_step: int
    steps: int
    documents: int
    history: tuple[dict[str, Any], ...]
    standard_error: float


Objective = Callable[[Values, int, OnLook], Outcome]  # of values, as the trial of a number


class _GivenUpError(Exception):
    """A trial is not worth going on with."""

    def __init__(self, history: History, steps: int) -> None:
        super().__init__()
        self.history, self.steps = list(history), steps


def search(
    space: Space, objective: Objective, path: Path, head: dict[str, Any], *, trials: int,
    starting: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The first ``trials`` trials of a search, those that are in the file ``path`` taken from there.

    ``starting`` is told the number of each trial that begins, ``head`` is what the file says beside them. A trial that
    fails is listed with why, and the others go on. Values that were tried before have the outcome that they had.
    """
    done = list(read_json(path)["trials"]) if is_sealed(path) else []
    own, seed, score = space.own(), space.recipe.tune.seed, searched_by(space.recipe)
    while len(done) < trials:
        if starting:
            starting(len(done) + 1)
        values = propose(space.ranges, own, done, seed, score)
        twin = next((trial for trial in done if trial["values"] == values), None)
        if twin is None:
            trial = _run(space, objective, values, done)
        else:
            told = f"the values of trial {twin['trial']}"
            trial = {**twin, "trial": len(done) + 1, "seconds": 0.0, "reason": twin["reason"] or told}
        done.append(trial)
        write_sealed(path, {**head, "trials": done})
        forget(checkpoint_of(path))
    return done[:trials]


def searched_by(recipe: Recipe) -> str:
    """The name of what is searched by, in a trial and in its looks at dev."""
    return f"dev_{main_score(recipe.task.kind)}"


def checkpoint_of(path: Path) -> Path:
    """Where the trial that runs keeps its state, until its outcome is in the file ``path``."""
    return path.with_suffix(".safetensors")


def _run(space: Space, objective: Objective, values: Values, done: Sequence[dict[str, Any]]) -> dict[str, Any]:
    started, score = time.perf_counter(), searched_by(space.recipe)
    trial: dict[str, Any] = {
        "trial": len(done) + 1, "values": values, score: None, "standard_error": None, "dev_loss": None,
        "best_step": None, "steps": 0, "documents": None, "state": COMPLETE, "reason": None, "history": [],
    }  # fmt: skip

    def on_look(history: History, steps: int) -> None:
        if history[-1]["step"] < steps and is_hopeless(space.ranges, done, tenths(history, steps, score), score):
            raise _GivenUpError(history, steps)

    try:
        outcome = objective(values, len(done) + 1, on_look)
        trial |= {name: getattr(outcome, name) for name in ("best_step", "steps", "documents", "standard_error")}
        trial |= {score: outcome.dev[main_score(space.recipe.task.kind)], "dev_loss": outcome.dev["loss"]}
        trial |= {"history": list(outcome.history)}
    except _GivenUpError as given_up:
        best = max(given_up.history, key=lambda look: (look[score], -look["dev_loss"]))
        at = f"after {given_up.history[-1]['step']} of {given_up.steps} steps"
        trial |= {name: best[name] for name in (score, "dev_loss")}
        trial |= {"state": PRUNED, "best_step": best["step"], "steps": given_up.steps, "history": given_up.history}
        trial |= {"reason": f"{at} below the median of the complete trials"}
    except (CuratorError, RuntimeError) as error:  # RuntimeError: torch, out of memory among them
        log.warning("trial %d failed: %s", len(done) + 1, error)
        trial |= {"state": FAILED, "reason": str(error)}
    return {**trial, "seconds": round(time.perf_counter() - started, 2)}
