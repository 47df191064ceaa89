"""The assessment of one model: what it predicts for documents, changed ones and others, and what that says."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import softmax

from curator.assessment.domains import Detection, detection
from curator.assessment.groups import Group, by_label, groups
from curator.assessment.labelled import Floats, Integers, Labelled, check, labelled
from curator.assessment.perturbations import Perturbation, perturbations
from curator.assessment.reliability import Reliability, reliability
from curator.assessment.resampling import METRICS, RESAMPLES, Figure, difference, macro_f1, score, share
from curator.assessment.temperature import Temperature, temperature
from curator.corpora import Progress
from curator.errors import DataError
from curator.training import evaluate

Logits = Callable[[Sequence[str]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Scores:
    """Scores on the documents that have one of the model's labels, 0 to 1, and how many have none or another.

    ``accuracy_of_all`` counts the documents of labels that the model lacks as wrong; all else leaves them out.
    """

    documents: int
    accuracy: Figure
    macro_f1: Figure
    accuracy_of_all: Figure
    unlabelled: int
    unknown: dict[str, int]  # documents of each label that the model lacks


@dataclass(frozen=True)
class Robustness:
    """The same documents under one perturbation; differences are perturbed minus clean, with paired intervals."""

    perturbation: str
    accuracy: float
    accuracy_difference: Figure
    macro_f1: float
    macro_f1_difference: Figure
    texts_changed: float  # share of the documents whose text is another
    predictions_changed: float  # share of all documents whose prediction is another


@dataclass(frozen=True)
class OutOfDomain:
    """Another file: scores where it has labels of the model, and whether the model notices that it is another."""

    documents: int
    scores: Scores | None
    detection: Detection


@dataclass(frozen=True, repr=False)
class Assessment:
    """Everything an assessment found. ``temperature`` is a reason where there is none."""

    labels: tuple[str, ...]
    scores: Scores
    per_label: list[dict[str, Any]]
    confusion: list[list[int]]  # rows the truth, columns the prediction, in the order of ``labels``
    roc_auc: float | None
    groups: tuple[Group, ...]
    calibration: Reliability
    temperature: Temperature | str
    robustness: tuple[Robustness, ...]
    out_of_domain: OutOfDomain | None
    seed: int
    resamples: int

    def __repr__(self) -> str:
        f1, error = self.scores.macro_f1, self.calibration.ece
        return (
            f"Assessment({self.scores.documents:,} documents: macro-F1 {f1.value:.3f} ({f1.low:.3f} to {f1.high:.3f}), "
            f"expected calibration error {error.value:.3f}, {error.by_chance:.3f} by chance)"
        )

    def json(self) -> dict[str, Any]:
        """All of it as plain values."""
        fitted = self.temperature
        return {
            **asdict(self),
            "groups": [group.json() for group in self.groups],
            "calibration": self.calibration.json(),
            "temperature": {"value": None, "reason": fitted} if isinstance(fitted, str) else fitted.json(),
        }

    def frame(self) -> pl.DataFrame:
        """The headline figures: ``measure, value, low, high``, bounds where there are any."""
        found, fitted = self.calibration, self.temperature
        figures: list[tuple[str, Figure | float | None]] = [
            ("accuracy", self.scores.accuracy),
            ("macro-F1", self.scores.macro_f1),
            ("ROC AUC", self.roc_auc),
            ("expected calibration error", found.ece.value),
            ("Brier score", found.brier),
            ("negative log likelihood", found.nll),
            ("temperature", None if isinstance(fitted, str) else fitted.value),
            *((f"macro-F1, {one.perturbation}, minus clean", one.macro_f1_difference) for one in self.robustness),
        ]
        if self.out_of_domain is not None:
            figures += [
                ("AUROC in from out of domain", self.out_of_domain.detection.auroc),
                ("FPR at 95 % TPR", self.out_of_domain.detection.fpr),
            ]
        rows = [
            (name, *((one.value, one.low, one.high) if isinstance(one, Figure) else (one, None, None)))
            for name, one in figures
        ]
        schema = {"measure": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
        return pl.DataFrame(rows, schema, orient="row")


def assess(
    logits: Logits,
    labels: Sequence[str],
    documents: pl.DataFrame,
    *,
    by: Sequence[str] = (),
    out_of_domain: pl.DataFrame | None = None,
    under: Sequence[Perturbation] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    progress: Progress | None = None,
) -> Assessment:
    """Assess what gives (n, len(labels)) ``logits`` of texts, on documents with ``text, label`` and the columns ``by``.

    These are strings. ``out_of_domain`` has ``text, label``; a label is null where there is none. ``under`` are the
    perturbations, without it the usual ones. The order of the documents makes no difference. Raises DataError where
    nothing can be said.
    """
    under = perturbations() if under is None else under
    of = labelled(documents, labels, by)
    check(of, labels)
    texts = of.judged["text"].to_list()
    rounds = _Rounds(logits, progress, 1 + len(under) + (out_of_domain is not None))
    own = rounds(texts, "clean")
    predicted = own.argmax(axis=1)
    found = evaluate([labels[code] for code in of.truth], softmax(own, axis=1), labels)
    return Assessment(
        labels=tuple(labels),
        scores=_scores(of, predicted, seed, resamples),
        per_label=by_label(found, predicted),
        confusion=found["confusion"],
        roc_auc=found["roc_auc"],
        groups=tuple(group for name in by for group in groups(of, predicted, name, seed=seed, resamples=resamples)),
        calibration=reliability(own, of.truth, seed=seed),
        temperature=temperature(texts, own, of.truth, seed=seed),
        robustness=tuple(_robust(texts, of.truth, predicted, under, rounds, seed, resamples)),
        out_of_domain=None
        if out_of_domain is None
        else _outside(texts, own, labelled(out_of_domain, labels), rounds, seed, resamples),
        seed=seed,
        resamples=resamples,
    )


@dataclass
class _Rounds:
    """Predictions, counted for the progress bar."""

    logits: Logits
    progress: Progress | None
    total: int
    done: int = 0

    def __call__(self, texts: Sequence[str], what: str) -> Floats:
        if self.progress:
            self.progress(f"assessing ({what})", self.done, self.total)
        found = self.logits(texts).astype(np.float64)
        self.done += 1
        return found


def _scores(of: Labelled, predicted: Integers, seed: int, resamples: int) -> Scores:
    right, documents = int((predicted == of.truth).sum()), len(of.truth)
    return Scores(
        documents=documents,
        accuracy=share(right, documents),
        macro_f1=macro_f1(of.truth, predicted, seed=seed, resamples=resamples),
        accuracy_of_all=share(right, documents + of.foreign),
        unlabelled=of.unlabelled,
        unknown=of.unknown,
    )


def _robust(
    texts: list[str],
    truth: Integers,
    clean: Integers,
    under: Sequence[Perturbation],
    rounds: _Rounds,
    seed: int,
    resamples: int,
) -> Iterable[Robustness]:
    for perturbation in under:
        changed = [perturbation(text, seed) for text in texts]
        predicted = rounds(changed, perturbation.name).argmax(axis=1)
        accuracy, f1 = (
            difference(truth, clean, predicted, metric, seed=seed, resamples=resamples) for metric in METRICS
        )
        yield Robustness(
            perturbation=perturbation.name,
            accuracy=score(truth, predicted, "accuracy"),
            accuracy_difference=accuracy,
            macro_f1=score(truth, predicted, "macro_f1"),
            macro_f1_difference=f1,
            texts_changed=float(np.mean([new != old for new, old in zip(changed, texts, strict=True)])),
            predictions_changed=float((predicted != clean).mean()),
        )


def _outside(
    texts: list[str], inside: Floats, other: Labelled, rounds: _Rounds, seed: int, resamples: int
) -> OutOfDomain:
    if len(other.frame) < 2:
        raise DataError(f"out of domain: {len(other.frame)} documents; at least 2 are needed")
    theirs, known = other.frame["text"].to_list(), set(texts)
    own = rounds(theirs, "out of domain")
    confident, unsure = (softmax(one, axis=1).max(axis=1) for one in (inside, own))
    scores = _scores(other, own[other.known].argmax(axis=1), seed, resamples) if len(other.truth) else None
    return OutOfDomain(len(theirs), scores, detection(confident, unsure, sum(text in known for text in theirs)))
