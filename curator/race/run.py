"""Runs a race: every arm at every seed, with the same steps and evaluation ids, into a record.

A finished run is a file of its own, so a race that was stopped goes on where it was. The record holds raw
predictions; scores, intervals and the verdict are derived from it (statistics/) whenever they are shown.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from curator.corpora import Corpora, Progress
from curator.errors import CuratorError, DataError, UsageError
from curator.files import is_sealed, read_json, write_json, write_sealed
from curator.hardware import decide
from curator.mix import Mix, Replayed, Task, Workshop, make, replayed
from curator.mix.lock import versions
from curator.models import check_place, keep
from curator.models.continued import earlier_model, labels_of, on_dev, rehearsal
from curator.models.fitting import fit, served, wanted_pairs
from curator.race.arms import Arm
from curator.race.choosing import Chooser, file_name
from curator.race.environment import commit, environment, weights
from curator.race.evaluation import Evaluation, drawn
from curator.race.foretelling import probe_of, told
from curator.race.looking import looked
from curator.race.probing import name_of, probed, vectors_digest, zero_shot
from curator.race.replaying import inputs as replay_inputs
from curator.race.replaying import predicted, recorded, rehearsal_of
from curator.recipe import UNDECIDING, ZERO_SHOT, Recipe, base_of
from curator.training import Pairs, Run, code, decided, evaluate, forget, main_score, planned, tracked
from curator.training.tracking import FOLDER as TRACKING
from curator.training.tracking import require

PROBE = "probe"  # in a race's folder: the runs of the probe that goes before
CHECKPOINTS = ".safetensors"  # beside the file of a run, while it trains
CHECKPOINT = f"checkpoint{CHECKPOINTS}"  # in a model's folder
HISTORY = "history.json"  # there, too: its looks at dev

log = logging.getLogger(__name__)

Step = Callable[[int, float], None]  # number of a training step, its loss


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


@dataclass(frozen=True)
class _Course:
    """What all runs of a race gave, and what they were measured on."""

    runs: list[dict[str, Any]]
    evaluation: Evaluation
    labels: tuple[str, ...]
    summary: dict[str, Any] | None  # of the first mix
    chooser: Chooser
    replay: dict[str, Any] | None  # what the record says of earlier tasks


def _course(
    recipe: Recipe, workshop: Workshop, directory: Path, progress: Progress | None, *, kept: Path,
    evaluation: Evaluation | None = None,
) -> _Course:  # fmt: skip
    """Every arm at every seed, measured on ``evaluation`` where that was drawn before.

    Runs are in ``directory``, and what stages chose is ``kept``.
    """
    runs: list[dict[str, Any]] = []
    by_probe = recipe.race.by == "probe"
    steps = 1 if by_probe else recipe.train.steps
    total = recipe.race.seeds * len(recipe.arms) * steps
    first = workshop.prepare(recipe, 0)
    evaluation = evaluation or drawn(first, workshop, recipe.race.evaluation)
    before = earlier_model(recipe.train, first)
    replays: list[Replayed] = []
    summary: dict[str, Any] | None = None
    chooser = Chooser(recipe.arms, workshop, recipe.folder, kept)
    for seed in range(recipe.race.seeds):
        task = workshop.prepare(recipe, seed) if seed else first
        mix = _mix(recipe, workshop, task)
        if task.earlier:
            replays.append(replayed(task, workshop.corpora, workshop.session))
        if summary is None and isinstance(mix, Mix):
            summary = looked(mix, task, kept)
        for arm in recipe.arms:
            what, done = f"{'probing' if by_probe else 'training'} {arm}, seed {seed}", len(runs) * steps

            def step(number: int, _: float, what: str = what, done: int = done) -> None:
                if progress:
                    progress(what, done + number, total)

            step(0, 0.0)
            ran = _run(
                arm, task, mix, chooser, corpora=workshop.corpora, evaluation=evaluation, directory=directory,
                step=step, replay=replays[-1] if replays else None,
            )  # fmt: skip
            runs.append(ran)
    if progress:
        progress("training", total, total)
    replay = recorded(first, evaluation, before, replays) if replays else None
    return _Course(runs, evaluation, labels_of(first), summary, chooser, replay)


def _record(recipe: Recipe, workshop: Workshop, directory: Path, progress: Progress | None) -> dict[str, Any]:
    started, clock, source = datetime.now(UTC), time.perf_counter(), commit()
    first = probe_of(recipe)
    probe = first and _course(first, workshop, directory / PROBE, progress, kept=directory)
    evaluation = probe.evaluation if probe else None
    course = _course(recipe, workshop, directory, progress, kept=directory, evaluation=evaluation)
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
    with tracked(recipe.train, _tracking(directory, "mix", task)) as on_look:
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


def _run(
    arm: str,
    task: Task,
    mix: Mix | CuratorError,
    chooser: Chooser,
    *,
    corpora: Corpora,
    evaluation: Evaluation,
    directory: Path,
    step: Step,
    replay: Replayed | None,
) -> dict[str, Any]:
    """One arm at one seed, from its file if that was made from the same inputs."""
    started = time.perf_counter()
    path = _place(directory, arm, task)
    values: dict[str, Any] = {"arm": arm, "seed": task.seed}
    try:
        if isinstance(mix, CuratorError):
            raise mix
        one = chooser.choose(arm, task, mix)
        documents = one.documents
        selection = _selection(one, mix, time.perf_counter() - started)
        made_from = _inputs(arm, task, documents, evaluation, replay, also=chooser.decides(arm))
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
        if arm == ZERO_SHOT:
            values |= zero_shot(task, corpora, evaluation.ids, evaluation.truth)
        elif by_vectors:
            values |= probed(task, one, evaluation.ids, evaluation.truth)
        else:
            values |= _train(
                arm,
                of_arm,
                documents,
                mix,
                pairs=pairs,
                evaluation=evaluation,
                directory=directory,
                step=step,
                replay=replay,
            )
    except (CuratorError, RuntimeError) as error:  # RuntimeError: torch, out of memory among them
        log.warning("arm %s, seed %d failed: %s", arm, task.seed, error)
        failed = {
            "documents": 0,
            "selection_seconds": 0.0,
            "reused_verdicts": 0,
            "steps": 0,
            "best_step": 0,
            "seconds": 0.0,
        }
        return {**failed, **values, "predictions": [], "roc_auc": None, "dev": None, "error": str(error)}
    write_sealed(path, values)
    forget(path.with_suffix(CHECKPOINTS))
    return values


def _place(directory: Path, arm: str, task: Task) -> Path:
    return directory / "runs" / f"{file_name(arm)}-seed{task.seed}.json"


def _tracking(directory: Path, arm: str, task: Task) -> Run:
    config = {"recipe": task.recipe.name, "arm": arm, "seed": task.seed}
    return Run(directory / TRACKING, task.recipe.name, _place(directory, arm, task).stem, config)


def _train(
    arm: str, task: Task, documents: pl.DataFrame, mix: Mix, *, pairs: Pairs | None, evaluation: Evaluation,
    directory: Path, step: Step, replay: Replayed | None,
) -> dict[str, Any]:  # fmt: skip
    settings = task.recipe.train.model_copy(update={"patience": 0})  # every arm gets the same steps
    of = planned(settings, served(documents))

    def part_of(number: int, loss: float) -> None:
        step(number * settings.steps // of, loss)

    kept = _place(directory, arm, task).with_suffix(CHECKPOINTS)
    with tracked(settings, _tracking(directory, arm, task)) as on_look:
        tuned = fit(
            settings, task, documents, pairs=pairs, progress=part_of, checkpoint=kept, on_look=on_look,
            rehearsal=rehearsal_of(arm, task, replay),
        )  # fmt: skip
    if arm == "mix" and task.seed == 0:
        keep(tuned, directory / "model", mix, task, replay)
    labels = tuned.classifier.labels
    outputs = tuned.classifier.predict(evaluation.texts)
    scores = evaluate(evaluation.truth, outputs, labels, task.kind, task.labels)
    earlier = [predicted(tuned.classifier, one, labels) for one in evaluation.earlier]
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


def _inputs(
    arm: str, task: Task, documents: pl.DataFrame, evaluation: Evaluation, replay: Replayed | None, *, also: str
) -> str:  # fmt: skip
    """A hash of all that decides a run's outcome, the code that trains and its libraries included."""
    hardware = decide()
    parts = [
        code(),
        weights(task.recipe.train.model) if task.recipe.race.by == "fine-tuning" else "",
        json.dumps(versions()),
        hardware.device,
        hardware.precision,
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
