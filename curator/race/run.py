"""Runs a race: every arm at every seed, with the same steps and evaluation ids, into a record.

A finished run is a file of its own, so a race that was stopped goes on where it was. The record holds raw
predictions; scores, intervals and the verdict are derived from it (statistics/) whenever they are shown.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import polars as pl

from curator import storage
from curator.corpora import Corpora, Progress
from curator.engines import HERE
from curator.errors import CuratorError, DataError, UsageError, WorkError
from curator.files import is_sealed, read_json, write_json, write_sealed
from curator.mix import Mix, Replayed, Task, Workshop, make, replayed
from curator.mix.lock import versions
from curator.models import check_place, keep
from curator.models.continued import earlier_model, labels_of, on_dev, rehearsal
from curator.models.fitting import fit, wanted_pairs
from curator.race.arms import Arm
from curator.race.choosing import Chooser
from curator.race.environment import commit, environment, weights
from curator.race.evaluation import Evaluation, drawn
from curator.race.foretelling import probe_of, told
from curator.race.looking import looked
from curator.race.probing import name_of, probed, vectors_digest, zero_shot
from curator.race.replaying import inputs as replay_inputs
from curator.race.replaying import recorded
from curator.race.running import CHECKPOINTS, Asking, Ready, Trainings, bare, place, run_name, tracking
from curator.recipe import UNDECIDING, ZERO_SHOT, Recipe, base_of
from curator.training import code, forget, main_score, tracked
from curator.training.tracking import require

PROBE = "probe"  # in a race's folder: the runs of the probe that goes before
CHECKPOINT = f"checkpoint{CHECKPOINTS}"  # in a model's folder
HISTORY = "history.json"  # there, too: its looks at dev

log = logging.getLogger(__name__)


def run(
    recipe: Recipe,
    workshop: Workshop,
    directory: Path,
    *,
    command: str = "",
    smoke: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run (or finish) a race and write ``record.json`` into ``directory``. Returns the record.

    An arm that fails is reported in the record, and the others finish.
    """
    if recipe.race.by == "probe" and max(recipe.train.lambdas) > 0:
        raise UsageError(
            f"a probe takes lambda from -1 to 0, and the recipe has {max(recipe.train.lambdas):g}: above 0 its loss "
            "has no least value; lower it, or race by fine-tuning"
        )
    if recipe.race.by == "probe" and recipe.train.replay:
        raise UsageError("a probe knows no [train.replay]: it has no earlier model; race by fine-tuning")
    require(recipe.train)
    with workshop.corpora.catalogue.writing(str(directory.relative_to(workshop.corpora.catalogue.root))):
        record = _record(recipe, workshop, directory, progress)
        record |= {"command": command, "smoke": smoke}
        write_sealed(directory / "record.json", record)
    return record


class _Course:
    """Every arm of a recipe at every seed, measured on ``evaluation``; runs are in ``directory``.

    What stages choose is ``kept``. ``summary`` is of the first mix.
    """

    def __init__(
        self, recipe: Recipe, workshop: Workshop, directory: Path, progress: Progress | None, *, kept: Path,
        evaluation: Evaluation | None = None,
    ) -> None:  # fmt: skip
        self.recipe, self.workshop, self.directory, self.kept = recipe, workshop, directory, kept
        self.by_probe = recipe.race.by == "probe"
        self.first = workshop.prepare(recipe, 0)
        self.evaluation = evaluation or drawn(self.first, workshop, recipe.race.evaluation)
        self.before = earlier_model(recipe.train, self.first)
        self.chooser = Chooser(recipe.arms, workshop, recipe.folder, kept)
        self.summary: dict[str, Any] | None = None
        self._replays: list[Replayed] = []
        self._steps = 1 if self.by_probe else recipe.train.steps
        self._order = [(seed, arm) for seed in range(recipe.race.seeds) for arm in recipe.arms]
        self._done: dict[tuple[int, str], dict[str, Any]] = {}
        self._progress = progress
        self._engine = HERE if self.by_probe else workshop.corpora.engine
        self._hardware = next(self._engine.map(Asking(), [None]))

    def run(self) -> Self:
        """Do what is not done yet: by the workers of an engine what is trained, the rest here."""
        work = Trainings(self.evaluation, self.directory, self._tell)
        # Choosing asks workers for neighbours: all is chosen before the first is trained by them.
        ready = list(self._begin()) if self._engine.workers else self._begin()
        try:
            for values in self._engine.map(work, ready):
                self._done[values["seed"], values["arm"]] = values if values["error"] is None else _failed(values)
                if self._engine.workers:
                    self._tell("training", len(self._done) * self._steps)
                storage.push(self.workshop.corpora.catalogue.root, pause=storage.OFTEN)
        except WorkError as error:
            self._set_aside(ready, dict(error.parts))
        self._tell("training", len(self._order) * self._steps)
        return self

    def _set_aside(self, ready: Iterable[Ready], why: dict[str, str]) -> None:
        """Runs that no worker could do have failed."""
        for part in ready:
            name = run_name(part.arm, part.task.seed)
            if name in why:
                self._done[part.task.seed, part.arm] = _failed(part.values | {"error": why[name]})

    @property
    def runs(self) -> list[dict[str, Any]]:
        """What every run came to."""
        return [self._done[key] for key in self._order]

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of the task, and of the ones before it."""
        return labels_of(self.first)

    @property
    def replay(self) -> dict[str, Any] | None:
        """What the record says of earlier tasks."""
        return recorded(self.first, self.evaluation, self.before, self._replays) if self._replays else None

    def _tell(self, what: str, done: int) -> None:
        if self._progress:
            self._progress(what, done, len(self._order) * self._steps)

    def _begin(self) -> Iterator[Ready]:
        """The runs that are to be trained; those that need no training are done on the way."""
        for seed in range(self.recipe.race.seeds):
            task = self.workshop.prepare(self.recipe, seed) if seed else self.first
            mix = _mix(self.recipe, self.workshop, task)
            if task.earlier:
                self._replays.append(replayed(task, self.workshop.corpora, self.workshop.session))
            if self.summary is None and isinstance(mix, Mix):
                self.summary = looked(mix, task, self.kept)
            for arm in self.recipe.arms:
                done = self._order.index((seed, arm)) * self._steps
                if not self._engine.workers:
                    self._tell(f"{'probing' if self.by_probe else 'training'} {arm}, seed {seed}", done)
                begun = _begun(
                    arm, task, mix, self.chooser, corpora=self.workshop.corpora, evaluation=self.evaluation,
                    directory=self.directory, replay=self._replays[-1] if self._replays else None, done=done,
                    hardware=self._hardware,
                )  # fmt: skip
                if isinstance(begun, Ready):
                    yield begun
                else:
                    self._done[seed, arm] = begun


def _record(recipe: Recipe, workshop: Workshop, directory: Path, progress: Progress | None) -> dict[str, Any]:
    started, clock, source = datetime.now(UTC), time.perf_counter(), commit()
    first = probe_of(recipe)
    probe = first and _Course(first, workshop, directory / PROBE, progress, kept=directory).run()
    evaluation = probe.evaluation if probe else None
    course = _Course(recipe, workshop, directory, progress, kept=directory, evaluation=evaluation).run()
    evaluation = course.evaluation
    return {
        "format": 1,
        "kind": "race",
        "name": recipe.name,
        "description": recipe.description,
        "smoke": None,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - clock, 1),
        "command": "",
        "commit": source,
        "environment": environment(),
        "recipe": recipe.model_dump(mode="json", by_alias=True, exclude_none=True),
        "labels": list(course.labels),
        "metric": recipe.race.metric,
        "evaluation": evaluation.told(course.labels, recipe.task.kind),
        "arms": [course.chooser.described(arm, recipe.task.kind) for arm in recipe.arms],
        "runs": course.runs,
        "mix": course.summary,
        **({"replay": course.replay} if course.replay else {}),
        **({"probe": told(recipe, probe.runs)} if probe else {}),
    }


def _mix(recipe: Recipe, workshop: Workshop, task: Task) -> Mix | CuratorError:
    """The mix of one seed, or why there is none: the other seeds and arms go on."""
    try:
        return make(recipe, workshop, seed=task.seed, task=task)
    except DataError as error:
        return error


def _selection(arm: Arm, mix: Mix, seconds: float) -> dict[str, Any]:
    """How long it took to choose the documents of an arm: of a mix, its stages when it was built, whenever that was.

    ``reused_verdicts`` are those of the mix that are a stored mix's: making them is not in these seconds.
    """
    if base_of(arm.name) != "mix":
        seconds = seconds if arm.seconds is None else arm.seconds
        return {"selection_seconds": round(seconds, 3), "reused_verdicts": arm.reused}
    summary = mix.summary()
    reused = summary.get("reused") or {"stages": []}
    return {
        "selection_seconds": round(sum(row["seconds"] for row in summary["funnel"]), 3),
        "reused_verdicts": sum(row["taken"] for row in reused["stages"]),
    }


def train_on_mix(recipe: Recipe, workshop: Workshop, directory: Path) -> dict[str, Any]:
    """Fine-tune on the mix of seed 0, with early stopping as the recipe says, and save the model, card and history."""
    check_place(directory)
    task = workshop.prepare(recipe, 0)
    before = earlier_model(recipe.train, task, directory)
    mix = make(recipe, workshop, task=task)
    replay = replayed(task, workshop.corpora, workshop.session) if task.earlier else None
    with tracked(recipe.train, tracking(directory, "mix", task)) as on_look:
        tuned = fit(
            recipe.train, task, mix.frame(), checkpoint=directory / CHECKPOINT, on_look=on_look,
            rehearsal=rehearsal(task, replay),
        )  # fmt: skip
    write_json(directory / HISTORY, list(tuned.history))
    keep(tuned, directory, mix, task, replay)
    forget(directory / CHECKPOINT)
    return {
        "model": str(directory),
        "documents": len(mix),
        "steps": tuned.steps,
        "best_step": tuned.best_step,
        "dev": tuned.dev and tuned.dev[main_score(recipe.task.kind)],
        "truncated": tuned.truncated,
        **({"uses": tuned.uses} if tuned.uses else {}),
        **({"replay": on_dev(task, replay, tuned.dev, before)} if replay else {}),
        "seconds": round(tuned.seconds, 1),
    }


def _begun(
    arm: str, task: Task, mix: Mix | CuratorError, chooser: Chooser, *, corpora: Corpora, evaluation: Evaluation,
    directory: Path, replay: Replayed | None, done: int, hardware: tuple[str, str],
) -> dict[str, Any] | Ready:  # fmt: skip
    """One arm at one seed: what it came to, from its file if that was made from the same inputs; or all to train it."""
    started = time.perf_counter()
    path = place(directory, arm, task.seed)
    values: dict[str, Any] = {"arm": arm, "seed": task.seed}
    try:
        if isinstance(mix, CuratorError):
            raise mix
        one = chooser.choose(arm, task, mix)
        documents = one.documents
        selection = _selection(one, mix, time.perf_counter() - started)
        made_from = _inputs(arm, task, documents, evaluation, replay, hardware, also=chooser.decides(arm))
        by_vectors = task.recipe.race.by == "probe" or arm == ZERO_SHOT
        if by_vectors:
            made_from += vectors_digest(task, one, evaluation.ids)
        if arm == ZERO_SHOT:
            made_from += json.dumps([name_of(label, task) for label in task.labels])
        of_arm = replace(task, pool=one.pool)
        pairs = None if by_vectors else wanted_pairs(task.recipe.train, of_arm, documents)
        if pairs is not None:
            made_from += pairs.digest()
        if is_sealed(path) and (stored := read_json(path))["inputs"] == made_from:
            return {name: value for name, value in stored.items() if name != "seal"}
        values |= {"inputs": made_from, "documents": len(documents), **selection}
        if not by_vectors:
            kept = mix if (arm, task.seed) == ("mix", 0) else None
            return Ready(values, bare(task), documents, kept, pairs, replay, done, hardware)
        if arm == ZERO_SHOT:
            values |= zero_shot(task, corpora, evaluation.ids, evaluation.truth)
        else:
            values |= probed(task, one, evaluation.ids, evaluation.truth)
    except (CuratorError, RuntimeError) as error:
        return _failed(values | {"error": str(error)})
    write_sealed(path, values)
    return values


def _failed(values: dict[str, Any]) -> dict[str, Any]:
    """What is recorded of a run that could not be made: the others go on."""
    log.warning("%s failed: %s", run_name(values["arm"], values["seed"]), values["error"])
    none = {
        "documents": 0,
        "selection_seconds": 0.0,
        "reused_verdicts": 0,
        "steps": 0,
        "best_step": 0,
        "seconds": 0.0,
    }
    return {**none, **values, "predictions": [], "roc_auc": None, "dev": None}


def _inputs(
    arm: str, task: Task, documents: pl.DataFrame, evaluation: Evaluation, replay: Replayed | None,
    hardware: tuple[str, str], *, also: str,
) -> str:  # fmt: skip
    """A hash of all that decides a run's outcome, the code that trains and its libraries included."""
    parts = [
        code(),
        weights(task.recipe.train.model) if task.recipe.race.by == "fine-tuning" else "",
        json.dumps(versions()),
        *hardware,
        arm,
        str(task.seed),
        task.recipe.race.by,
        task.recipe.train.model_dump_json(exclude=set(UNDECIDING)),
        also,
        *task.labels,
        *(_rows(frame) for frame in (documents, task.target.frame, task.dev.frame)),
        *evaluation.ids,
        *evaluation.texts,
        *map(str, evaluation.truth),
        *replay_inputs(arm, task, replay, evaluation),
    ]
    return hashlib.sha256("\x00".join(parts).encode("utf8", "surrogatepass")).hexdigest()


def _rows(frame: pl.DataFrame) -> str:
    known = ("text", "label", "weight", "serves", "source_label", "corpus")
    columns = [name for name in known if name in frame.columns]
    return json.dumps(frame.select(columns).rows())
