"""A trained model saved with what it was trained on: the record, the lockfile of its mix, and a card."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from curator.errors import DataError
from curator.files import write_json, write_text
from curator.hardware import decide, precision
from curator.mix import Mix, Replayed, Task
from curator.models.card import card
from curator.models.fitting import examples
from curator.training import CARD, MIX_LOCK, FineTuned, TrainedOn

OF_A_MODEL = ("curator.json", "config.json", "adapter_config.json", "checkpoint.safetensors", MIX_LOCK)


def check_place(directory: Path) -> None:
    """Raise DataError where a card would take the place of a README that is none of a model."""
    if (directory / CARD).exists() and not any((directory / name).exists() for name in OF_A_MODEL):
        raise DataError(f"{directory / CARD} is not a model's, and its card would replace it; give another directory")


def keep(tuned: FineTuned, directory: Path, mix: Mix, task: Task, replayed: Replayed | None = None) -> None:
    """Save a model that was fine-tuned on ``mix``, the target of ``task`` and what was ``replayed``, as
    ``Classifier.save`` does.

    Beside it lie mix.lock.json and README.md, its card; curator.json says as ``trained_on`` which mix it is.
    """
    classifier = replace(tuned.classifier, trained_on=_trained_on(tuned, mix, task, replayed))
    text = card(classifier, mix)

    def beside(folder: Path) -> None:
        write_json(folder / MIX_LOCK, mix.lock)
        write_text(folder / CARD, text)

    classifier.save(directory, also=beside)


def _trained_on(tuned: FineTuned, mix: Mix, task: Task, replayed: Replayed | None) -> TrainedOn:
    settings = tuned.classifier.settings
    labelled = examples(mix.frame().filter(pl.col("weight") > 0))
    return TrainedOn(
        mix=mix.name,
        version=mix.version,
        ids_sha256=mix.lock["ids_sha256"],
        recipe=task.recipe.model_dump(mode="json", by_alias=True, exclude_none=True),
        documents=0 if settings.lambdas == (-1, -1) else len(labelled),
        target=0 if settings.lambdas == (0, 0) else len(task.target),
        dev=len(task.dev),
        steps=tuned.steps,
        best_step=tuned.best_step,
        truncated=tuned.truncated,
        uses=tuned.uses,
        replay={**task.earlier[0].mix.told(), **replayed.told()} if replayed else None,
        scores=tuned.dev,
        device=decide().device,
        precision=precision(settings.precision),
    )
