"""Fine-tuning on the documents of an arm, whatever they serve as."""

from typing import Any

import polars as pl

from curator.mix import Task
from curator.recipe import USES, Train
from curator.training import Examples, FineTuned, Served, fine_tune


def fit(settings: Train, task: Task, documents: pl.DataFrame, **rest: Any) -> FineTuned:
    """A classifier by ``fine_tune``, on a task's target and these documents, chosen on its dev set, by its seed."""
    labelled = examples(documents)
    return fine_tune(
        settings,
        selected=labelled if len(labelled) else None,
        target=examples(task.target.frame),
        dev=examples(task.dev.frame) if len(task.dev) else None,
        labels=task.labels,
        kind=task.recipe.task.kind,
        seed=task.seed,
        served=served(documents),
        **rest,
    )


def examples(frame: pl.DataFrame) -> Examples:
    """Documents as training examples, with their weights where they have any; not those that serve without a label."""
    if "serves" in frame.columns:
        frame = frame.filter(~pl.col("serves").is_in(list(USES)))
    weights = tuple(frame["weight"].to_list()) if "weight" in frame.columns else ()
    labels = frame["label"].to_list()
    if isinstance(frame.schema["label"], pl.List):
        labels = [None if own is None else tuple(own) for own in labels]
    return Examples(tuple(frame["text"].to_list()), tuple(labels), weights)


def served(frame: pl.DataFrame) -> Served:
    """The documents that serve without a label of the task."""
    if "serves" not in frame.columns:
        return Served()
    frames = {use: frame.filter(serves=use) for use in USES}
    texts = {use: tuple(own["text"]) for use, own in frames.items()}
    weights = {use: tuple(own["weight"].cast(pl.Float64)) for use, own in frames.items()}
    own = frames["auxiliary"]
    auxiliary = Examples(texts["auxiliary"], tuple(own["source_label"]), weights["auxiliary"])
    return Served(
        texts["text"], auxiliary, tuple(own["corpus"]), texts["teacher"], weights["text"], weights["teacher"]
    )  # fmt: skip
