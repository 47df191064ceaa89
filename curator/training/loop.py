"""The training loop: draws, steps, looks at dev, keeps the best."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curator.hardware import Device
from curator.recipe import UNDECIDING, Kind
from curator.training.batches import draw_batches, rows_per_batch
from curator.training.course import Best, Checkpoint, Course, digest, trained
from curator.training.labels import Label, coded, outputs, outputs_of
from curator.training.loss import losses_of
from curator.training.metrics import LOOKED, evaluate, main_score
from curator.training.prediction import predict_logits
from curator.training.scale import Scale
from curator.training.steps import Task, adamw, take_step

logger = logging.getLogger(__name__)

Progress = Callable[[int, float], None]
OnLook = Callable[[Sequence[dict[str, Any]]], None]


def after(progress: Progress | None, done: int) -> Progress | None:
    """The same, for a part of a run before which ``done`` steps were."""
    return progress and (lambda step, loss: progress(done + step, loss))


@contextmanager
def seeded(seed: int, device: Device) -> Iterator[None]:
    """torch's generators of this device start from ``seed`` inside, and go on as if nothing had been outside."""
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device == "cuda":
            torch.cuda.manual_seed(seed)
        yield


@dataclass(frozen=True, eq=False)
class Dev:
    """What the weights are chosen by. ``own`` are the labels of its task, and ``earlier`` dev sets of earlier ones."""

    ids: list[list[int]]
    truth: tuple[Label, ...]
    labels: tuple[str, ...]
    kind: Kind = "single"
    scale: Scale | None = None  # of a regression, whose model gives standardised values

    own: tuple[str, ...] | None = None
    earlier: tuple["Dev", ...] = ()

    @cached_property
    def known(self) -> Tensor:
        """What a loss is of."""
        codes = coded(self.truth, self.labels, self.kind, "dev")
        return torch.from_numpy(self.scale.standardised(codes)[:, None] if self.scale else codes)

    def scores(self, logits: NDArray[np.float32]) -> dict[str, Any]:
        """What ``evaluate`` says of (n, outputs) logits, and the mean ``loss``, which is of standardised values."""
        given = self.scale.in_unit(logits) if self.scale else outputs(logits, self.kind)
        if self.kind == "single":  # whose mean torch takes in another order than that of many losses
            loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), self.known)
        else:
            loss = losses_of(self.kind, torch.from_numpy(logits), self.known).mean()
        return {**evaluate(self.truth, given, self.labels, self.kind, self.own), "loss": float(loss)}


def checkpoint_of(path: Path, task: Task, dev: Dev | None, seed: int) -> Checkpoint:
    """The file that keeps the state of a run of ``task``."""
    settings = task.settings.model_dump(mode="json", exclude=set(UNDECIDING))
    lengths = torch.tensor([len(row) for row in task.ids])
    tokens = torch.tensor([token for row in task.ids for token in row])
    rows = (type(task).__name__, task.kind, task.sides, task.share, task.sure, task.classes.shape, task.classes.dtype)
    numbers = (lengths, tokens, task.classes, task.weights, *(task.tasks or ()))
    judges = dev and [(one.ids, one.truth, one.labels, one.scale, one.own) for one in (dev, *dev.earlier)]
    place = (task.precision, task.model.device.type, torch.get_num_threads(), task.model.config.to_json_string())
    inputs = digest((sorted(settings.items()), task.lambdas, seed, rows, judges, place, *numbers), task.model)
    return Checkpoint(path, inputs, task.settings.checkpoint)


def run_steps(
    task: Task, dev: Dev | None, seed: int, progress: Progress | None, checkpoint: Checkpoint | None, *,
    on_look: OnLook | None = None, last: bool,
) -> Course:  # fmt: skip
    """Run the steps of a task and leave the best weights in its model.

    Unless this is the ``last`` part of a run, the checkpoint is there at the end, for the parts after it to go on from.
    """
    settings = task.settings
    optimizer = adamw(task.model, settings)
    course = checkpoint.restore(task, optimizer) if checkpoint else Course()
    if on_look and course.history:
        on_look(tuple(course.history))
    per_batch = rows_per_batch(settings.batch_size, task.lambdas, task.share, task.sure)
    batches = draw_batches(*task.sides, per_batch=per_batch, seed=seed)
    for batch in islice(batches, course.step, settings.steps):
        if course.has_waited(settings.patience):
            break
        course.step += 1
        course.losses.append(take_step(task, optimizer, course.step, batch))
        if progress:
            progress(course.step, course.losses[-1])
        if course.step % settings.evaluate_every == 0 or course.step == settings.steps:
            _look(task, dev, course)
            if on_look:
                on_look(tuple(course.history))
        if checkpoint:
            checkpoint.save_if_due(course, task, optimizer)
    if checkpoint and not last:
        checkpoint.save(course, task, optimizer)
    if course.best and course.best.weights:
        task.model.load_state_dict(course.best.weights, strict=False)
    return course


def _look(task: Task, dev: Dev | None, course: Course) -> None:
    """Score the weights on dev, and keep them if they are the best so far."""
    score = _score(task, dev) if dev else None
    course.history.append({"step": course.step, "loss": float(np.mean(course.losses)), **_summary(score, task.kind)})
    logger.debug("%s", course.history[-1])
    course.losses.clear()
    if task.adapter and not task.adapter.is_settled(course.step):
        return
    if course.best is None or course.best.beaten_by(score, main_score(task.kind)):
        weights = {name: value.clone() for name, value in trained(task.model).items()} if dev else {}
        course.best = Best(course.step, len(course.history), score, weights)


def _score(task: Task, dev: Dev) -> dict[str, Any]:
    logits = predict_logits(task.model, task.tokenizer, dev.ids, task.precision)
    scores = dev.scores(logits[:, : len(outputs_of(dev.labels, dev.kind))])
    return scores | ({"earlier": [_score(task, one) for one in dev.earlier]} if dev.earlier else {})


def _summary(dev: dict[str, Any] | None, kind: Kind) -> dict[str, float | None]:
    return {f"dev_{name}": dev[name] if dev else None for name in (*LOOKED[kind], "loss")}
