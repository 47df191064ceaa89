"""Runs of a race that take the vectors that there are: by a probe, and by the names of the labels."""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from scipy.special import softmax

from curator import probe
from curator.corpora import Corpora
from curator.errors import DataError, UsageError
from curator.mix import Task
from curator.probe import Codes, Probe
from curator.race.arms import Arm
from curator.recipe import USES
from curator.relation import Relation
from curator.training import decided, evaluate
from curator.training.labels import coded

Outputs = Callable[[probe.Rows], probe.Floats]
Loss = Callable[[probe.Rows, list[Any]], float]

SCALE = 20.0  # of cosines: what encoders of sentences are trained with


def probed(task: Task, arm: Arm, ids: list[str], truth: list[Any]) -> dict[str, Any]:
    """Softmax regression on the vectors of an arm's documents and of the target, under the pairing loss, and its test.

    Where documents have several labels, a logistic regression for each; where labels are numbers, ridge regression.
    The figures are those of a training, with 0 steps. ``ids`` are test documents, ``truth`` their labels. A document
    whose text a stage has changed is taken by the vector of the text that it had; of a λ that is scheduled the mean
    counts. Documents that serve without a label of the task do not take part. Raises DataError where there are no
    others, and where there are fewer than two labels, or values, to learn from.
    """
    started = time.perf_counter()
    labelled = arm.documents.filter(~pl.col("serves").is_in(list(USES)))
    if len(arm.documents) and not len(labelled):
        raise DataError(
            f"the arm {arm.name!r}: a probe knows no use of documents but their labels; race by fine-tuning, or leave "
            "the arm out"
        )
    outputs, loss_of = _learnt(task, replace(arm, documents=labelled))
    dev = None
    if len(task.dev):
        known = task.dev.frame["label"].to_list()
        rows = task.dev.vectors.matrix()
        scores = evaluate(known, outputs(rows).astype(np.float32), task.labels, task.kind)
        dev = {**scores, "loss": loss_of(rows, known)}
    return _as_run(started, outputs(_rows(task.test, ids)), truth, task, dev)


def zero_shot(task: Task, corpora: Corpora, ids: list[str], truth: list[str]) -> dict[str, Any]:
    """The label whose name has the largest cosine with a document's vector, for test documents ``ids``.

    Names are embedded as queries; the figures are those of a training, with 0 steps, and probabilities the softmax of
    ``SCALE`` times the cosines. Raises UsageError where the documents came with vectors of their own.
    """
    started = time.perf_counter()
    if own := next((use.corpus.name for use in task.used if use.corpus.has_own_vectors), None):
        raise UsageError(f"{own!r} came with vectors of its own, and curator cannot embed the names of labels to match")
    if unknown := sorted(set(task.recipe.task.names) - set(task.labels)):
        raise UsageError(
            f"[task] names has {unknown[0]!r}, which is no label of the task: {', '.join(task.labels[:12])}"
        )
    names = np.stack([corpora.embed_query(name_of(label, task)) for label in task.labels]).astype(np.float32)
    names /= np.linalg.norm(names, axis=1, keepdims=True)
    cosines = np.asarray(_rows(task.test, ids), np.float32) @ names.T
    return _as_run(started, softmax(SCALE * cosines, axis=1), truth, task, None)


def name_of(label: str, task: Task) -> str:
    """What a label is called."""
    return task.recipe.task.names.get(label, re.sub("[_-]+", " ", label).strip() or label)


def _as_run(started: float, outputs: Any, truth: list[Any], task: Task, dev: dict[str, Any] | None) -> dict[str, Any]:
    scores = evaluate(truth, outputs.astype(np.float32), task.labels, task.kind)
    return {
        "steps": 0,
        "best_step": 0,
        "seconds": round(time.perf_counter() - started, 3),
        "truncated": 0,
        "predictions": decided(outputs, task.kind),
        "roc_auc": scores.get("roc_auc"),
        "dev": dev,
        "history": [],
        "error": None,
    }


def vectors_digest(task: Task, arm: Arm, ids: list[str]) -> str:
    """Of every vector that the figures come from: another encoder gives others."""
    found = hashlib.sha256()
    keys = arm.documents.select("corpus", "id").rows()
    for matrix in (
        task.target.vectors.matrix(),
        task.dev.vectors.matrix(),
        _rows(arm.pool, keys),
        _rows(task.test, ids),
    ):
        found.update(np.ascontiguousarray(matrix).tobytes())
    return found.hexdigest()


def _learnt(task: Task, arm: Arm) -> tuple[Outputs, Loss]:
    """What a probe of the task's kind says of rows, as ``Classifier.predict`` would, and its mean loss on labels."""
    target, documents, settings = task.target.frame, arm.documents, task.recipe.train
    labels = [*target["label"].to_list(), *documents["label"].to_list()]
    weights = [np.ones(len(target)), documents["weight"].cast(pl.Float64).to_numpy()]
    if settings.class_weights == "balanced":
        codes = _codes(labels, task.labels)
        sides = (codes[: len(target)], codes[len(target) :])
        weights = [probe.balanced(*side) for side in zip(sides, weights, strict=True)]
    shares = probe.shares_of(weights[0], weights[1], lambda_=sum(settings.lambdas) / 2)
    keys = documents.select("corpus", "id").rows()
    counted = shares > 0
    rows = np.concatenate([task.target.vectors.matrix(), _rows(arm.pool, keys)])[counted]
    labels, shares = [label for label, counts in zip(labels, counted, strict=True) if counts], shares[counted]
    try:
        match task.kind:
            case "single":
                return _of_one(probe.fit(rows, _codes(labels, task.labels), shares, len(task.labels)), task)
            case "multi":
                has = coded(labels, task.labels, "multi", arm.name) > 0
                # Of many labels each is rare: with the usual penalty none of them would ever reach a half.
                several = probe.fit_several(rows, has, shares, c=probe.STRENGTH * len(task.labels))
                return _of_several(several, task)
            case "regression":
                return _of_values(probe.fit_ridge(rows, np.array(labels, np.float64), shares))
    except ValueError as error:
        raise DataError(f"the arm {arm.name!r}: {error}") from error


def _of_one(fitted: Probe, task: Task) -> tuple[Outputs, Loss]:
    return fitted.probabilities, lambda rows, labels: float(fitted.losses(rows, _codes(labels, task.labels)).mean())


def _of_several(fitted: probe.Several, task: Task) -> tuple[Outputs, Loss]:
    def loss(rows: probe.Rows, labels: list[Any]) -> float:
        """The mean log loss of all decisions, in nats."""
        has = coded(labels, task.labels, "multi", "dev") > 0
        chances = fitted.probabilities(rows)
        return float(-np.log(np.maximum(np.where(has, chances, 1 - chances), np.finfo(float).tiny)).mean())

    return fitted.probabilities, loss


def _of_values(fitted: probe.Ridge) -> tuple[Outputs, Loss]:
    def loss(rows: probe.Rows, labels: list[Any]) -> float:
        """The mean squared error in units of the spread that training saw."""
        return float((((fitted.values(rows) - np.array(labels)) / fitted.spread) ** 2).mean())

    return lambda rows: fitted.values(rows)[:, None], loss


def _rows(relation: Relation, keys: list[Any]) -> probe.Rows:
    """The vectors of documents by id, or by corpus and id, in their order."""
    columns = ["corpus", "id"] if keys and isinstance(keys[0], tuple) else ["id"]
    known = relation.select(columns).rows()
    places = dict(zip(known if len(columns) > 1 else (name for (name,) in known), range(len(known)), strict=True))
    matrix: probe.Rows = relation.vectors_of(np.array([places[key] for key in keys], np.int64)).matrix()
    return matrix


def _codes(labels: list[str], names: tuple[str, ...]) -> Codes:
    place = {name: number for number, name in enumerate(names)}
    return np.array([place[label] for label in labels], np.int64)
