"""The training loop: draws, steps, looks at dev, keeps the best."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from curator.encoder.packed import tune_memory
from curator.errors import CuratorWarning, DataError
from curator.hardware import Device, decide, precision
from curator.recipe import Train
from curator.training.adapters import Adapter
from curator.training.batches import draw_batches, rows_per_side
from curator.training.classifier import Classifier, probabilities
from curator.training.course import Best, Checkpoint, Course, digest, trained
from curator.training.embedding import SeenEmbedding
from curator.training.examples import Examples, class_ids, task_labels
from curator.training.metrics import evaluate
from curator.training.model import check_length, load_pretrained, tokenise, word_embedding
from curator.training.prediction import predict_logits
from curator.training.steps import Task, adamw, take_step

logger = logging.getLogger(__name__)

Progress = Callable[[int, float], None]
OnLook = Callable[[Sequence[dict[str, Any]]], None]
NOTHING = Examples((), ())


@dataclass(frozen=True)
class FineTuned:
    """A classifier and how it came about.

    ``steps`` were run and the weights are those after ``best_step``; ``dev`` is what ``evaluate`` says of them there,
    with the mean cross-entropy as ``loss`` (None without dev). ``history`` has one entry for each look: ``step``,
    ``loss`` (mean of the training loss since the last look), ``dev_macro_f1``, ``dev_accuracy`` and ``dev_loss``.
    ``seconds`` is wall-clock time with loading; ``truncated`` counts the training texts cut at ``max_length``.
    """

    classifier: Classifier
    steps: int
    best_step: int
    dev: dict[str, Any] | None
    history: tuple[dict[str, Any], ...]
    seconds: float
    truncated: int


def fine_tune(
    settings: Train,
    *,
    selected: Examples | None,
    target: Examples,
    dev: Examples | None,
    labels: Sequence[str],
    seed: int,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    on_look: OnLook | None = None,
) -> FineTuned:
    """Fine-tune a classifier for ``labels`` by the pairing loss on ``selected`` and ``target`` documents.

    Without ``selected``, or at λ = −1, only the target is trained on; at λ = 0 only ``selected``. With ``lambda_to``
    λ goes there from ``lambda`` in a straight line, and the rows of a batch are those of the mean of the two. Exactly
    ``settings.steps`` steps are run unless ``patience`` stops them; the weights returned are those with the best
    macro-F1 on ``dev`` (then the lower loss, then the earlier), or the last. ``seed`` fixes initialisation, order and
    dropout: on a CPU with the same number of threads the weights come out bit for bit the same. The caller's random
    state is untouched. ``progress`` is called with (step, loss). ``checkpoint`` is a file that gets the state every
    ``settings.checkpoint`` seconds while this runs: after a kill the same call goes on from there and ends in the same
    weights. It is the caller's to remove, once what came of the run is kept. ``on_look`` is called after each look with
    the whole history until then, and where a run goes on; what it raises ends the training. Raises DataError for
    examples that cannot be trained on, UsageError for a model that cannot be loaded and for a loss that is no longer a
    number.
    """
    started = time.perf_counter()
    labels = task_labels(labels)
    lambdas, target, selected = _sides(settings.lambdas, target, selected)
    if settings.class_weights == "balanced":
        target, selected = target.balanced(), selected.balanced()
    classes = class_ids(target.labels, labels, "target") + class_ids(selected.labels, labels, "selected")
    dev_classes = class_ids(dev.labels, labels, "dev") if dev else []
    device = decide().device
    if device == "cpu":
        tune_memory()
    with _seeded(seed, device):
        model, tokenizer = load_pretrained(settings.model, labels)
        check_length(model, settings.max_length, settings.rank if settings.adapter == "prefix" else 0)
        ids, cut = tokenise(tokenizer, target.texts + selected.texts, settings.max_length)
        dev_ids, _ = tokenise(tokenizer, dev.texts if dev else (), settings.max_length)
        embedding, adapter = _trained(model, settings, {token for row in ids + dev_ids for token in row})
        task = Task(
            model=(adapter.model if adapter else model).train(),
            tokenizer=tokenizer,
            embedding=embedding,
            adapter=adapter,
            precision=precision(settings.precision),
            settings=settings,
            lambdas=lambdas,
            ids=ids,
            classes=torch.tensor(classes, device=device),
            weights=torch.tensor(target.weights + selected.weights, dtype=torch.float64, device=device),
            targets=len(target),
        )
        judges = _Dev(dev_ids, dev_classes, labels) if dev else None
        kept = _checkpoint(checkpoint, task, judges, seed) if checkpoint else None
        course = _train(task, judges, seed, progress, kept, on_look)
        if embedding:
            model.set_input_embeddings(embedding.whole())
    best = course.best
    assert best is not None  # the last step always looks, and there is at least one
    base = adapter.base if adapter else ""
    return FineTuned(
        classifier=Classifier(task.model.train(False), tokenizer, labels, settings, seed, base),
        steps=course.step,
        best_step=best.step,
        dev=best.dev,
        history=tuple(course.history),
        seconds=course.seconds + time.perf_counter() - started,
        truncated=len(cut),
    )


def _trained(
    model: PreTrainedModel, settings: Train, tokens: set[int]
) -> tuple[SeenEmbedding, None] | tuple[None, Adapter]:
    """What stands in the place of the word vectors, where the whole model is trained, or the adapter that is."""
    if settings.adapter != "none":
        return None, Adapter(model, settings)
    embedding = SeenEmbedding(word_embedding(model), tokens)
    model.set_input_embeddings(embedding)
    return embedding, None


def _sides(
    lambdas: tuple[float, float], target: Examples, selected: Examples | None
) -> tuple[tuple[float, float], Examples, Examples]:
    """λ in force, first and last, and the examples it looks at. Raises DataError if a side that counts is empty."""
    if selected is None or lambdas == (-1, -1):
        lambdas, selected = (-1.0, -1.0), NOTHING
    elif lambdas == (0, 0):
        target = NOTHING
    elif max(lambdas) > 0:
        warnings.warn(
            f"lambda = {max(lambdas):g} is above 0: training raises the loss on the target documents; between -1 and 0 "
            "it weighs target and selection",
            CuratorWarning,
            stacklevel=3,
        )
    target, selected = target.weighing(), selected.weighing()
    told = " to ".join(f"{one:g}" for one in dict.fromkeys(lambdas))
    if lambdas != (0, 0) and not len(target):
        raise DataError(f"no target example has a weight above 0, and lambda = {told} trains on them")
    if lambdas != (-1, -1) and not len(selected):
        raise DataError(
            f"no selected example has a weight above 0, and lambda = {told} trains on them; "
            "to train on the target alone pass selected=None"
        )
    return lambdas, target, selected


@contextmanager
def _seeded(seed: int, device: Device) -> Iterator[None]:
    """torch's generators of this device start from ``seed`` inside, and go on as if nothing had been outside."""
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device == "cuda":
            torch.cuda.manual_seed(seed)
        yield


@dataclass(frozen=True)
class _Dev:
    ids: list[list[int]]
    classes: list[int]
    labels: tuple[str, ...]


def _checkpoint(path: Path, task: Task, dev: _Dev | None, seed: int) -> Checkpoint:
    settings = task.settings.model_dump(mode="json", exclude={"checkpoint", "track"})
    rows = (task.ids, task.classes.tolist(), task.weights.tolist(), task.targets)
    judges = dev and (dev.ids, dev.classes, dev.labels)
    place = (task.precision, task.model.device.type, torch.get_num_threads(), task.model.config.to_json_string())
    inputs = digest((sorted(settings.items()), task.lambdas, seed, rows, judges, place), task.model)
    return Checkpoint(path, inputs, task.settings.checkpoint)


def _train(
    task: Task,
    dev: _Dev | None,
    seed: int,
    progress: Progress | None,
    checkpoint: Checkpoint | None,
    on_look: OnLook | None,
) -> Course:
    """Run the steps and leave the best weights in the model."""
    settings = task.settings
    optimizer = adamw(task.model, settings)
    course = checkpoint.restore(task, optimizer) if checkpoint else Course()
    if on_look and course.history:
        on_look(tuple(course.history))
    per_batch = rows_per_side(settings.batch_size, task.lambdas)
    batches = draw_batches(task.targets, len(task.ids) - task.targets, per_batch=per_batch, seed=seed)
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
    if course.best and course.best.weights:
        task.model.load_state_dict(course.best.weights, strict=False)
    return course


def _look(task: Task, dev: _Dev | None, course: Course) -> None:
    """Score the weights on dev, and keep them if they are the best so far."""
    score = _score(task, dev) if dev else None
    course.history.append({"step": course.step, "loss": float(np.mean(course.losses)), **_summary(score)})
    logger.debug("%s", course.history[-1])
    course.losses.clear()
    if task.adapter and not task.adapter.is_settled(course.step):
        return
    if course.best is None or course.best.beaten_by(score):
        weights = {name: value.clone() for name, value in trained(task.model).items()} if dev else {}
        course.best = Best(course.step, len(course.history), score, weights)


def _score(task: Task, dev: _Dev) -> dict[str, Any]:
    logits = predict_logits(task.model, task.tokenizer, dev.ids, task.precision)
    truth = torch.tensor(dev.classes)
    scores = evaluate([dev.labels[index] for index in dev.classes], probabilities(logits), dev.labels)
    return {**scores, "loss": float(torch.nn.functional.cross_entropy(torch.from_numpy(logits), truth))}


def _summary(dev: dict[str, Any] | None) -> dict[str, float | None]:
    names = {"dev_macro_f1": "macro_f1", "dev_accuracy": "accuracy", "dev_loss": "loss"}
    return {name: dev[key] if dev else None for name, key in names.items()}
