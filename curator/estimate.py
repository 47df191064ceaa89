"""What long work would take, before it is done: a timed sample, multiplied. Estimates, and named so."""

import time
from typing import Any

import numpy as np

from curator.catalogue.corpus import WINDOW_ROWS
from curator.corpora import Corpora
from curator.mix import Task, Workshop
from curator.mix.build import is_usable
from curator.recipe import ZERO_SHOT, Contrastive, Recipe, use_of
from curator.vectors import Texts

SAMPLE = 96  # texts that are encoded to estimate the rest


def embedding(corpora: Corpora, texts: Texts) -> dict[str, Any]:
    """Seconds, memory and disk to embed those of ``texts`` that have no vector yet."""
    store, characters = corpora.store(), sum(map(len, texts))
    missing = store.missing([((), texts, np.arange(len(texts)))], store.index())
    seconds, vector_bytes = 0.0, 0
    if missing:
        sample = [texts[i] for i in np.linspace(0, len(texts) - 1, min(SAMPLE, len(texts))).astype(int).tolist()]
        corpora.encoder.encode(sample[:8])  # the first call warms the model up
        started = time.perf_counter()
        vector_bytes = corpora.encoder.encode(sample).vectors[0].nbytes
        # By characters rather than texts: a sample of a few dozen may miss the long ones.
        share = characters * (missing / len(texts)) / max(1, sum(map(len, sample)))
        seconds = (time.perf_counter() - started) * share
    held = len(texts) if isinstance(texts, list) else min(len(texts), WINDOW_ROWS)  # a corpus is read window by window
    return {
        "texts": len(texts),
        "to embed": missing,
        "estimated seconds": seconds,
        "disk MiB": missing * (vector_bytes + 24) / 2**20,
        "memory MiB": (held * (200 + characters / max(1, len(texts))) + 70 * len(texts)) / 2**20,
    }


def recipe(recipe: Recipe, workshop: Workshop, *, race: bool) -> dict[str, Any]:
    """The same for a recipe's mix and, with ``race``, for its trainings. Its sources are read (and kept) for that."""
    task = workshop.prepare(recipe, 0)
    frames = [relation.frame for relation in task.relations.values()]
    usable = task.pool.frame.select(is_usable()).to_series()
    texts = [text for frame in (*frames[:3], task.pool.frame.filter(usable)) for text in frame["text"]]
    report = {"pool": len(task.pool), "usable": int(usable.sum()), **embedding(workshop.corpora, texts)}
    if race and recipe.race.by == "fine-tuning":
        per_step = _seconds_per_step(recipe, task)
        steps = [_steps(recipe, arm) for arm in recipe.arms if arm != ZERO_SHOT]
        times = recipe.race.seeds * (len(recipe.points()) or 1)
        report |= {
            "trainings": len(steps) * times,
            "steps each": recipe.train.steps,
            "steps of all": sum(steps) * times,
            "estimated training seconds": sum(steps) * times * per_step,
        }
    return report


def _steps(recipe: Recipe, arm: str) -> int:
    """Those of one run, with all that comes before and a teacher's, as if every use had a document."""
    use, train = use_of(arm), recipe.train
    uses = {use} if use else {pool.serves for pool in recipe.pool.values()}
    if arm == "target-only":
        uses = set()
    before = train.text.steps * ("text" in uses)
    before += train.auxiliary.steps * ("auxiliary" in uses and train.auxiliary.place == "before")
    before += train.contrastive.steps
    return before + train.steps * (1 + train.teacher.rounds * ("teacher" in uses))


def _seconds_per_step(recipe: Recipe, task: Task) -> float:
    """From two short trainings on the target, so that the time to load the model cancels out."""
    from curator.models.fitting import examples
    from curator.training import fine_tune  # transformers takes seconds to import

    seconds = {}
    for steps in (2, 8):
        adapter = recipe.train.adapter.replace("adalora", "lora")  # which chooses its ranks in more steps than these
        changes = {"steps": steps, "evaluate_every": steps, "adapter": adapter, "contrastive": Contrastive()}
        settings = recipe.train.model_copy(update=changes)
        target = examples(task.target.frame)
        tuned = fine_tune(
            settings, selected=None, target=target, dev=None, labels=task.labels, kind=recipe.task.kind, seed=0
        )
        seconds[steps] = tuned.seconds
    return max(0.0, seconds[8] - seconds[2]) / 6
