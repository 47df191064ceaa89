"""A race whose model goes on from an earlier task: what is replayed in a run, and what the record says of it."""

import json
from collections.abc import Sequence
from typing import Any

from curator.mix import EarlierTask, Replayed, Task
from curator.models.continued import labels_of, rehearsal
from curator.race.evaluation import Evaluation
from curator.recipe import WITHOUT_REPLAY
from curator.training import Classifier, Rehearsal


def rehearsal_of(arm: str, task: Task, replayed: Replayed | None) -> Rehearsal | None:
    """What an arm has of the earlier tasks: an arm without replay the labels alone."""
    return rehearsal(task, None if arm.endswith(WITHOUT_REPLAY) else replayed)


def inputs(arm: str, task: Task, replayed: Replayed | None, evaluation: Evaluation) -> list[str]:
    """What decides a run's outcome beside all else; nothing where nothing is replayed."""
    if replayed is None:
        return []
    rows = [] if arm.endswith(WITHOUT_REPLAY) else replayed.frame.rows()
    told = [one.mix.told() for one in task.earlier]
    labels = [one.task.labels for one in task.earlier]
    dev = [one.task.dev.frame.select("text", "label").rows() for one in task.earlier]
    tested = [(one.ids, one.texts, one.truth) for one in evaluation.earlier]
    return [json.dumps([told, labels, rows, dev, tested])]


def predicted(classifier: Classifier, evaluation: Evaluation, labels: Sequence[str]) -> list[int]:
    """The label of each evaluation document, as a number among ``labels``."""
    numbers = [labels.index(label) for label in classifier.labels]
    return [numbers[column] for column in classifier.predict(evaluation.texts).argmax(axis=1)]


def recorded(
    task: Task, evaluation: Evaluation, before: Classifier | None, replayed: Sequence[Replayed]
) -> dict[str, Any]:
    """What a record says under ``replay``: the mix, the tasks before, what is replayed for each seed.

    ``own`` is how many of the record's labels, the first, are the race's task's; ``before`` are predictions of the
    model as it was, None where it is not of these tasks.
    """
    settings = task.recipe.train.replay
    assert settings is not None  # there are earlier tasks
    labels = labels_of(task)

    def told(one: EarlierTask, of: Evaluation) -> dict[str, Any]:
        return {
            "mix": one.mix.told(),
            "labels": [labels.index(label) for label in one.task.labels],
            "evaluation": of.told(labels, one.task.kind),
            "before": before and predicted(before, of, labels),
        }

    return {
        "mix": task.earlier[0].mix.told(),
        "share": settings.share,
        "own": len(task.labels),
        "before": before and predicted(before, evaluation, labels),
        "tasks": [told(one, of) for one, of in zip(task.earlier, evaluation.earlier, strict=True)],
        "seeds": [{"seed": seed, **one.told()} for seed, one in enumerate(replayed)],
    }
