"""Runs that are trained: work that falls into parts, so that an engine's workers may do it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from curator.errors import CuratorError, UsageError
from curator.files import write_sealed
from curator.hardware import decide
from curator.mix import Mix, Replayed, Task
from curator.models import keep
from curator.models.fitting import fit, served
from curator.race.choosing import file_name
from curator.race.evaluation import Evaluation
from curator.race.replaying import predicted, rehearsal_of
from curator.relation import Relation
from curator.training import Pairs, Run, decided, evaluate, forget, planned, tracked
from curator.training.tracking import FOLDER as TRACKING

CHECKPOINTS = ".safetensors"  # beside the file of a run, while it trains


class Told(Protocol):
    """Is told what is done, and how many steps of all runs there are by now."""

    def __call__(self, what: str, done: int, /) -> None: ...


@dataclass(frozen=True)
class Ready:
    """A run that needs nothing of the workspace any more to be trained: it may travel.

    ``values``: what its file has so far. ``task`` has no vectors. ``mix`` is that of a run whose model is kept.
    ``done`` are the steps of the runs before it. ``hardware`` is that which its inputs were told for.
    """

    values: dict[str, Any]
    task: Task
    documents: pl.DataFrame
    mix: Mix | None
    pairs: Pairs | None
    replay: Replayed | None
    done: int
    hardware: tuple[str, str]

    @property
    def arm(self) -> str:
        return str(self.values["arm"])


def hardware() -> tuple[str, str]:
    """The device and the precision of this process: they decide what a training comes to, to the last digit."""
    found = decide()
    return found.device, found.precision


class Asking:
    """Asks a worker on what it would train."""

    def name(self, _: None) -> str:
        """What is asked."""
        return "the hardware of a worker"

    def run(self, parts: Iterable[None]) -> Iterator[tuple[str, str]]:
        """The same for each."""
        return (hardware() for _ in parts)


def bare(task: Task) -> Task:
    """A task as training sees it: the documents of its target and dev set."""
    none = Relation(pl.DataFrame())
    earlier = tuple(replace(one, task=bare(one.task)) for one in task.earlier)
    target, dev = Relation(task.target.frame), Relation(task.dev.frame)
    return replace(task, target=target, dev=dev, test=none, pool=none, used=(), knowledge={}, earlier=earlier)


def run_name(arm: str, seed: int) -> str:
    """What a person is told of a run."""
    return f"arm {arm}, seed {seed}"


def place(directory: Path, arm: str, seed: int) -> Path:
    """The file of a run."""
    return directory / "runs" / f"{file_name(arm)}-seed{seed}.json"


def tracking(directory: Path, arm: str, task: Task) -> Run:
    """What trackers are told a run is."""
    config = {"recipe": task.recipe.name, "arm": arm, "seed": task.seed}
    return Run(directory / TRACKING, task.recipe.name, place(directory, arm, task.seed).stem, config)


class Trainings:
    """Trains runs and predicts the evaluation documents. What comes back is what a run's file has, or an ``error``.

    A run that came to its end is in its file by then. ``told`` is told of each step, in this process alone.
    Raises UsageError where a run was to be made on other hardware.
    """

    def __init__(self, evaluation: Evaluation, directory: Path, told: Told | None = None) -> None:
        self._evaluation = evaluation
        self._directory = directory.absolute()
        self._told = told

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_told": None}

    def name(self, part: Ready) -> str:
        """The arm and the seed."""
        return run_name(part.arm, part.task.seed)

    def run(self, parts: Iterable[Ready]) -> Iterator[dict[str, Any]]:
        """What each run came to, in order; one that fails does not keep others from it."""
        for part in parts:
            if part.hardware != hardware():
                raise UsageError(
                    f"workers differ: one trains on {' in '.join(hardware())} and one on {' in '.join(part.hardware)}, "
                    "which does not give the same; have workers of one kind, or set CURATOR_DEVICE on all"
                )
            try:
                values = part.values | self._trained(part)
            except (CuratorError, RuntimeError) as error:  # RuntimeError: torch, out of memory among them
                yield part.values | {"error": str(error)}
                continue
            path = place(self._directory, part.arm, part.task.seed)
            write_sealed(path, values)
            forget(path.with_suffix(CHECKPOINTS))
            yield values

    def _trained(self, part: Ready) -> dict[str, Any]:
        task, arm = part.task, part.arm
        settings = task.recipe.train.model_copy(update={"patience": 0})  # every arm gets the same steps
        of = planned(settings, served(part.documents))

        def step(number: int, _: float) -> None:
            if self._told:
                self._told(f"training {arm}, seed {task.seed}", part.done + number * settings.steps // of)

        kept = place(self._directory, arm, task.seed).with_suffix(CHECKPOINTS)
        with tracked(settings, tracking(self._directory, arm, task)) as on_look:
            tuned = fit(
                settings, task, part.documents, pairs=part.pairs, progress=step, checkpoint=kept, on_look=on_look,
                rehearsal=rehearsal_of(arm, task, part.replay),
            )  # fmt: skip
        if part.mix is not None:
            keep(tuned, self._directory / "model", part.mix, task, part.replay)
        classifier, evaluation = tuned.classifier, self._evaluation
        outputs = classifier.predict(evaluation.texts)
        scores = evaluate(evaluation.truth, outputs, classifier.labels, task.kind, task.labels)
        earlier = [predicted(classifier, one, classifier.labels) for one in evaluation.earlier]
        return {
            "steps": tuned.steps,
            "best_step": tuned.best_step,
            "seconds": round(tuned.seconds, 2),
            "truncated": tuned.truncated,
            "predictions": decided(outputs, task.kind),
            **({"earlier": earlier} if earlier else {}),
            "roc_auc": scores.get("roc_auc"),
            "dev": tuned.dev,
            "history": list(tuned.history),
            "uses": tuned.uses,
            "error": None,
        }
