"""From examples to a classifier: what comes before, a teacher's rounds, the model itself."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curator.encoder.packed import tune_memory
from curator.errors import UsageError
from curator.hardware import decide, precision
from curator.recipe import Kind, Train
from curator.training.adapters import Adapter
from curator.training.classifier import Classifier
from curator.training.continued import load_continued
from curator.training.course import phase
from curator.training.embedding import SeenEmbedding
from curator.training.examples import NOTHING_SERVED, Examples, Served
from curator.training.head import narrow, to_unit
from curator.training.labels import coded, task_labels
from curator.training.loop import Dev, OnLook, Progress, after, checkpoint_of, run_steps, seeded
from curator.training.model import check_length, load_pretrained, tokenise, word_embedding
from curator.training.preparation import Body, described, prepared, with_body
from curator.training.rehearsal import NOTHING, Rehearsal, all_labels, check_rehearsal
from curator.training.scale import Scale
from curator.training.sides import sides_of
from curator.training.steps import Task
from curator.training.teaching import Taught, teach

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FineTuned:
    """A classifier and how it came about.

    ``steps`` were run and the weights are those after ``best_step``; ``dev`` is what ``evaluate`` says of them there,
    with the mean of ``losses_of`` as ``loss`` (None without dev). ``history`` has one entry for each look: ``step``,
    ``loss`` (mean of the training loss since the last look), ``dev_loss``, and of single labels ``dev_macro_f1`` and
    ``dev_accuracy``, of other kinds what ``LOOKED`` names.
    ``seconds`` is wall-clock time with loading and all that came before; ``truncated`` counts the training texts cut at
    ``max_length``. ``uses`` says what was done with documents that served without a label: under ``text`` and
    ``auxiliary`` documents, steps and their mean loss, under ``teacher`` a list with what each round taught.
    """

    classifier: Classifier
    steps: int
    best_step: int
    dev: dict[str, Any] | None
    history: tuple[dict[str, Any], ...]
    seconds: float
    truncated: int
    uses: dict[str, Any] = field(default_factory=dict)


def fine_tune(
    settings: Train,
    *,
    selected: Examples | None,
    target: Examples,
    dev: Examples | None,
    labels: Sequence[str],
    seed: int,
    kind: Kind = "single",
    served: Served = NOTHING_SERVED,
    rehearsal: Rehearsal | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    on_look: OnLook | None = None,
) -> FineTuned:
    """Fine-tune a classifier for ``labels`` by the pairing loss on ``selected`` and ``target`` documents.

    ``kind`` says what the label of an example is: one of ``labels``, a tuple of any number of them (``multi``), or a
    number (``regression``, for which ``labels`` are empty). ``losses_of`` says what each is trained by. A regression is
    trained on standardised values, by the weighted mean and spread of all that it is trained on, and the head that
    comes out is folded back: it gives values in the unit of the labels.

    Without ``selected``, or at λ = −1, only the target is trained on; at λ = 0 only ``selected``. With ``lambda_to``
    λ goes there from ``lambda`` in a straight line, and the rows of a batch are those of the mean of the two. Exactly
    ``settings.steps`` steps are run unless ``patience`` stops them; the weights returned are those with the best
    ``main_score`` on ``dev`` (then the lower loss, then the earlier), or the last. ``seed`` fixes initialisation, order
    and dropout: on a CPU with the same number of threads the weights come out bit for bit the same. The caller's random
    state is untouched.

    ``served`` are documents without a label of the task: the model is trained on their text first, then on their own
    tasks (or on these beside the target's), and those for a teacher get their labels from a model that is trained as
    above without them; ``settings.text``, ``auxiliary`` and ``teacher`` say how.

    With a ``rehearsal`` the classifier is one for ``labels`` and those of earlier tasks together, in this order; where
    ``settings.model`` is a classifier that curator saved, its rows of the head are kept. What is replayed has
    ``settings.replay.share`` of the loss and of the rows, and weights are chosen by the mean macro-F1 over the dev sets
    of all tasks, ``dev["earlier"]`` of those that come with one. Documents that serve do not go with it. ``progress``
    is called with (step, loss), steps counted through all of this; ``planned`` says how many there will be.

    ``checkpoint`` is a file that gets the state every ``settings.checkpoint`` seconds while this runs, with a file
    beside it for each part that is done: after a kill the same call goes on from there and ends in the same weights.
    They are the caller's to ``forget``, once what came of the run is kept. ``on_look`` is called after each look of the
    last model with the whole history until then, and where a run goes on; what it raises ends the training. Raises
    DataError for examples that cannot be trained on, UsageError for a model that cannot be loaded and for a loss that
    is no longer a number.
    """
    started = time.perf_counter()
    labels, given = task_labels(labels, kind), served
    served = given.weighing()
    _check(kind, settings, served)
    if rehearsal:
        check_rehearsal(settings, rehearsal, served)
    if served.teacher and settings.lambdas == (-1, -1):
        raise UsageError("lambda = -1 trains on the target alone, and what a teacher labels would not count; raise it")
    if decide().device == "cpu":
        tune_memory()
    ready = prepared(settings, served, seed=seed, progress=progress, checkpoint=checkpoint)
    uses, done, before = dict(ready.uses), ready.steps, ready.seconds
    fit = partial(
        _fit, settings, target=target, selected=selected, dev=dev, labels=labels, kind=kind, seed=seed, served=served,
        body=ready.body, rehearsal=rehearsal,
    )  # fmt: skip
    taught = None
    for number in range(settings.teacher.rounds if served.teacher else 0):
        place = phase(checkpoint, f"teacher{number}")
        teacher = fit(taught=taught, progress=after(progress, done), checkpoint=place, last=False)
        taught, told = teach(teacher.classifier, served.teacher, served.teacher_weights, settings.teacher, dev)
        if not told["taught"]:
            logger.warning(
                "the teacher is sure of none of %d documents: its probability reaches %.2f, and confidence is %g; "
                "lower it, or train for more steps", told["documents"], told["highest"], settings.teacher.confidence,
            )  # fmt: skip
        uses.setdefault("teacher", []).append({"round": number + 1, "dev_macro_f1": _score_of(teacher), **told})
        done, before = done + teacher.steps, before + teacher.seconds
    tuned = fit(taught=taught, progress=after(progress, done), checkpoint=checkpoint, on_look=on_look, last=True)
    uses |= tuned.uses
    if given.alone:
        uses.setdefault("auxiliary", {})["single_label"] = list(given.alone)
    seconds = before + tuned.seconds + time.perf_counter() - started
    return replace(tuned, seconds=seconds, uses=uses)


def _fit(
    settings: Train, *, target: Examples, selected: Examples | None, dev: Examples | None, labels: tuple[str, ...],
    kind: Kind, seed: int, served: Served, body: Body | None, rehearsal: Rehearsal | None, taught: Taught | None,
    progress: Progress | None, checkpoint: Path | None, on_look: OnLook | None = None, last: bool,
) -> FineTuned:  # fmt: skip
    """One model. ``seconds`` are those of processes that were killed, alone."""
    beside = served if settings.auxiliary.place == "beside" and len(served.auxiliary) else NOTHING_SERVED
    own, replayed = labels, rehearsal.replayed if rehearsal else NOTHING
    if rehearsal:
        labels = all_labels(own, rehearsal.labels)
    sides = sides_of(settings, target, selected, taught, beside, labels, kind, replayed)
    coded(dev.labels if dev else (), labels, kind, "dev")
    device = decide().device
    with seeded(seed, device):
        model, tokenizer = (
            load_continued(settings.model, sides.labels)
            if rehearsal
            else load_pretrained(settings.model, sides.labels, kind, sides.scale)
        )
        with_body(model, body)
        check_length(model, settings.max_length, settings.rank if settings.adapter == "prefix" else 0)
        ids, cut = tokenise(tokenizer, sides.texts, settings.max_length, settings.long_texts)
        judges = _judges(tokenizer, settings, dev, labels, own, kind, sides.scale, rehearsal) if dev else None
        seen = ids + [row for one in (judges, *judges.earlier) for row in one.ids] if judges else ids
        embedding, adapter = _trained(model, settings, {token for row in seen for token in row})
        task = Task(
            model=(adapter.model if adapter else model).train(),
            tokenizer=tokenizer,
            embedding=embedding,
            adapter=adapter,
            precision=precision(settings.precision),
            settings=settings,
            lambdas=sides.lambdas,
            ids=ids,
            classes=sides.classes.to(device),
            weights=sides.weights.to(device),
            targets=sides.targets,
            sure=sides.sure,
            auxiliary=sides.beside,
            share=sides.share,
            tasks=sides.tasks and (sides.tasks[0].to(device), sides.tasks[1].to(device)),
            kind=kind,
        )
        kept = checkpoint_of(checkpoint, task, judges, seed) if checkpoint else None
        course = run_steps(task, judges, seed, progress, kept, on_look=on_look, last=last)
        if embedding:
            model.set_input_embeddings(embedding.whole())
    best = course.best
    assert best is not None  # the last step always looks, and there is at least one
    base = adapter.base if adapter else ""
    whole = task.model.train(False)
    if len(beside.auxiliary):
        narrow(whole, labels)
    if sides.scale:
        to_unit(whole, sides.scale)
    return FineTuned(
        classifier=Classifier(whole, tokenizer, labels, settings, seed, base, None, kind, sides.scale),
        steps=course.step,
        best_step=best.step,
        dev=best.dev,
        history=tuple(course.history),
        seconds=course.seconds,
        truncated=len(cut),
        uses={"auxiliary": {"place": "beside", **described(beside)}} if len(beside.auxiliary) else {},
    )


def _judges(
    tokenizer: PreTrainedTokenizerBase, settings: Train, dev: Examples, labels: tuple[str, ...],
    own: tuple[str, ...], kind: Kind, scale: Scale | None, rehearsal: Rehearsal | None,
) -> Dev:  # fmt: skip
    """The dev sets of a task and of those before it, as token ids and numbers of labels."""

    def judging(examples: Examples, own: tuple[str, ...], earlier: tuple[Dev, ...] = ()) -> Dev:
        ids, _ = tokenise(tokenizer, examples.texts, settings.max_length, settings.long_texts)
        return Dev(ids, examples.labels, labels, kind, scale, own, earlier)

    earlier = zip(rehearsal.labels, rehearsal.dev, strict=False) if rehearsal else ()
    return judging(dev, own, tuple(judging(other, theirs) for theirs, other in earlier if other))


def _check(kind: Kind, settings: Train, served: Served) -> None:
    """Raise UsageError for what has a meaning for single labels alone."""
    if kind == "single":
        return
    refused = {
        "documents that serve as teacher": bool(served.teacher),
        "class_weights = 'balanced'": settings.class_weights == "balanced",
        "[train.auxiliary] place = 'beside'": bool(len(served.auxiliary)) and settings.auxiliary.place == "beside",
    }
    for told, is_there in refused.items():
        if is_there:
            raise UsageError(f"{told}: this is for tasks of a single label a document, and the task's kind is {kind!r}")


def _score_of(tuned: FineTuned) -> float | None:
    return float(tuned.dev["macro_f1"]) if tuned.dev else None


def _trained(
    model: PreTrainedModel, settings: Train, tokens: set[int]
) -> tuple[SeenEmbedding, None] | tuple[None, Adapter]:
    """What stands in the place of the word vectors, where the whole model is trained, or the adapter that is."""
    if settings.adapter != "none":
        return None, Adapter(model, settings)
    embedding = SeenEmbedding(word_embedding(model), tokens)
    model.set_input_embeddings(embedding)
    return embedding, None
