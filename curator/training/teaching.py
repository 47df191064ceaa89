"""Labels from a model for documents that have none, and what they are worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from curator.recipe import Teacher
from curator.training.classifier import Classifier
from curator.training.examples import Examples

PIECE = 4096  # texts that are tokens at a time


@dataclass(frozen=True)
class Taught:
    """Documents with the likeliest label each, and what counts: (n, labels) float32, rows sum to 1.

    ``unsure`` is the weight of the documents that the teacher was not sure of.
    """

    examples: Examples
    probabilities: NDArray[np.float32]
    unsure: float


def teach(
    teacher: Classifier, texts: Sequence[str], weights: Sequence[float], settings: Teacher, dev: Examples | None
) -> tuple[Taught, dict[str, Any]]:
    """The documents of which a teacher is confident, and what is known of the labels that it gives.

    On the dev documents of which it is as confident: how many there are, how many it has wrong, and the 95 % interval
    of that rate (Wilson 1927). It tells of documents like the target's; of others the error may be larger, and these
    dev documents chose the teacher's step, too.
    """
    pieces = [teacher.predict(texts[start : start + PIECE]) for start in range(0, max(len(texts), 1), PIECE)]
    of_texts = np.concatenate(pieces)
    sure = of_texts.max(axis=1) >= settings.confidence
    best = of_texts.argmax(axis=1)
    kept = np.flatnonzero(sure).tolist()
    probabilities = of_texts[kept]
    if settings.labels == "hard":
        probabilities = np.eye(len(teacher.labels), dtype=np.float32)[best[kept]]
    examples = Examples(
        tuple(texts[row] for row in kept),
        tuple(teacher.labels[best[row]] for row in kept),
        tuple(weights[row] for row in kept),
    )
    told: dict[str, Any] = {"documents": len(texts), "taught": len(kept), "labels": len(set(examples.labels))}
    told["highest"] = float(of_texts.max(initial=0.0))
    unsure = float(np.array(weights)[~sure].sum())
    return Taught(examples, probabilities, unsure), told | {"dev": dev and _on_dev(teacher, dev, settings.confidence)}


def _on_dev(teacher: Classifier, dev: Examples, confidence: float) -> dict[str, Any]:
    found = teacher.predict(dev.texts)
    sure = found.max(axis=1) >= confidence
    wrong = [teacher.labels[best] != label for best, label in zip(found.argmax(axis=1), dev.labels, strict=True)]
    missed, of = int(np.array(wrong)[sure].sum()), int(sure.sum())
    told: dict[str, Any] = {"documents": len(dev), "sure": of, "wrong": missed, "low": None, "high": None}
    if of:
        interval = stats.binomtest(missed, of).proportion_ci(method="wilson")
        told |= {"low": float(interval.low), "high": float(interval.high)}
    return told
