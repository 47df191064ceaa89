"""The model that a task goes on from, and what there is of the tasks that it was trained on before."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curator.errors import CuratorWarning, UsageError
from curator.mix import EarlierTask, Replayed, Task
from curator.models.fitting import examples
from curator.recipe import Train
from curator.training import Classifier, Examples, Rehearsal, all_labels, evaluate
from curator.training.continued import check_whole


def rehearsal(task: Task, replayed: Replayed | None) -> Rehearsal | None:
    """What a training has of a task's earlier ones; None where there is none.

    Where nothing is ``replayed`` their labels stay, and their dev sets have no say: it is as if nobody thought of them.
    """
    if not task.earlier:
        return None
    labels = tuple(one.task.labels for one in task.earlier)
    if replayed is None:
        return Rehearsal(labels)
    return Rehearsal(labels, tuple(_dev(one) for one in task.earlier), examples(replayed.frame))


def labels_of(task: Task) -> tuple[str, ...]:
    """Those of a task, then those of its earlier ones: what its classifier tells apart."""
    return all_labels(task.labels, [one.task.labels for one in task.earlier])


def earlier_model(settings: Train, task: Task, place: Path | None = None) -> Classifier | None:
    """The classifier of curator's that a task with a replay goes on from; None without one, or of another model.

    Raises UsageError where it has a label that no task has, is an adapter alone, or is in the ``place`` of the model to
    come; warns where it was not trained on the mix that is replayed.
    """
    if not task.earlier:
        return None
    directory, first = Path(settings.model), task.earlier[0].mix
    check_whole(directory)
    if not (directory / "curator.json").is_file():
        return None
    if place is not None and place.resolve() == directory.resolve():
        raise UsageError(
            f"{directory} is the model to go on from, and the new one would replace it; give another place"
        )
    classifier = Classifier.load(directory)
    unknown = sorted({*classifier.labels} - {*labels_of(task)})
    if unknown:
        raise UsageError(
            f"{directory} has the label {unknown[0]!r}, which neither the task nor the mix {first.name!r} has; "
            "replay the mix that it was trained on"
        )
    on = classifier.trained_on
    if on is None or (on.mix, on.version) != (first.name, first.version):
        was = (
            "does not say what it was trained on" if on is None else f"was trained on {on.mix!r}, version {on.version}"
        )
        warnings.warn(
            f"{directory} {was}, and what is replayed is {first.name!r}, version {first.version}: documents that it "
            "was trained on may be in the test set that it is measured on",
            CuratorWarning,
            stacklevel=2,
        )
    return classifier


def on_dev(task: Task, replayed: Replayed, dev: dict[str, Any] | None, before: Classifier | None) -> dict[str, Any]:
    """What there is to tell of a training with a replay: counts, and macro-F1 on the dev set of each task.

    ``dev`` is what ``fine_tune`` says; ``before`` the model as it was, None where it is not of these tasks.
    """
    told = replayed.told()
    after = iter(dev.get("earlier", ()) if dev else ())
    rows: list[dict[str, Any]] = [{"task": task.recipe.name, "dev": dev and dev["macro_f1"]}]
    rows += [
        {"task": one.mix.name, "dev": next(after)["macro_f1"] if dev and _dev(one) else None} for one in task.earlier
    ]
    if before:
        every = [(task.dev.frame, task.labels), *((one.task.dev.frame, one.task.labels) for one in task.earlier)]
        for row, (frame, labels) in zip(rows, every, strict=True):
            row["dev_before"] = _macro_f1(before, frame, labels, labels_of(task)) if len(frame) else None
    return {**told, "left_out": sum(row["documents"] for row in told["left_out"]), "tasks": rows}


def _macro_f1(classifier: Classifier, frame: pl.DataFrame, own: tuple[str, ...], labels: tuple[str, ...]) -> float:
    """Of documents of a task with the labels ``own``, by a classifier that may lack some of them."""
    probabilities = np.zeros((len(frame), len(labels)), np.float32)
    probabilities[:, [labels.index(label) for label in classifier.labels]] = classifier.predict(frame["text"].to_list())
    return float(evaluate(frame["label"].to_list(), probabilities, labels, own=own)["macro_f1"])


def _dev(one: EarlierTask) -> Examples | None:
    frame = one.task.dev.frame
    return examples(frame) if len(frame) else None
