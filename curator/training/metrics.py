"""What the outputs of a model are worth, by scikit-learn and scipy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

from curator.errors import DataError
from curator.recipe import Kind
from curator.training.labels import THRESHOLD, Label, coded, outputs_of

# The figures of a look at dev; by the first of a kind the weights are chosen.
LOOKED: dict[Kind, tuple[str, ...]] = {
    "single": ("macro_f1", "accuracy"),
    "multi": ("macro_f1", "micro_f1", "accuracy"),
    "regression": ("spearman", "pearson", "rmse", "mae"),
}


def main_score(kind: Kind) -> str:
    """The score of ``evaluate`` that models of a kind are chosen by; a larger one is better."""
    return LOOKED[kind][0]


def evaluate(
    truth: Sequence[Label],
    outputs: NDArray[np.float32],
    labels: Sequence[str],
    kind: Kind = "single",
    own: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Scores of the (n, outputs) that ``Classifier.predict`` gives against ``n`` true labels, as plain values for JSON.

    single: ``accuracy``; ``macro_f1``; ``per_label``: precision, recall, f1 and support of each; ``confusion``: counts,
    rows the truth and columns the prediction, in the order of ``labels``; ``roc_auc``: macro, one against the rest. The
    prediction is the first largest probability. A label that occurs neither in the truth nor among the predictions has
    no F1 (its figures are None) and stays out of the macro mean; one that occurs only on one side counts with 0. Of
    a model of several tasks ``own`` are the labels of the one that is evaluated: others stay out of the mean, and
    predicting one is a miss.

    multi, where a document has the labels of a probability of 0.5 or more: ``macro_f1``, the mean of the F1 of all
    labels, 0 for one that is neither there nor predicted; ``micro_f1``, of all decisions together; ``accuracy``, the
    share of the documents whose labels are all right; ``per_label`` and ``roc_auc``, as above.

    regression: ``spearman`` and ``pearson`` correlation, 0 where one side is constant; ``rmse`` and ``mae`` in the unit
    of the labels.

    ``roc_auc`` averages over the labels that the truth both has and has not, and is None where there is none. All have
    ``n``. Raises DataError if sizes do not fit or an output is not a number.
    """
    known = coded(truth, labels, kind, "evaluation")
    names = outputs_of(labels, kind)
    if outputs.shape != (len(truth), len(names)):
        raise DataError(f"outputs of shape {outputs.shape} do not fit {len(truth)} × {len(names)} of a document")
    if not len(truth):
        raise DataError("nothing to evaluate: there are no examples")
    if not np.isfinite(outputs).all():
        raise DataError("some outputs are NaN or infinite")
    match kind:
        case "single":
            scores = _of_one(known, outputs, labels, own)
        case "multi":
            scores = _of_several(known, outputs, labels)
        case "regression":
            scores = _of_values(known, outputs[:, 0].astype(np.float64))
    return {**scores, "n": len(truth)}


def _of_one(
    classes: NDArray[np.int64], probabilities: NDArray[np.float32], labels: Sequence[str], own: Sequence[str] | None
) -> dict[str, Any]:  # fmt: skip
    predicted = probabilities.argmax(axis=1)
    every = list(range(len(labels)))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        classes, predicted, labels=every, zero_division=0
    )
    seen = np.isin(every, classes) | np.isin(every, predicted)
    counted = seen if own is None else seen & np.isin(labels, own)
    per_label: dict[str, dict[str, float | int | None]] = {
        label: {
            "precision": float(precision[i]) if seen[i] else None,
            "recall": float(recall[i]) if seen[i] else None,
            "f1": float(f1[i]) if seen[i] else None,
            "support": int(support[i]),
        }
        for i, label in enumerate(labels)
    }
    return {
        "accuracy": float(metrics.accuracy_score(classes, predicted)),
        "macro_f1": float(f1[counted].mean()),
        "per_label": per_label,
        "confusion": metrics.confusion_matrix(classes, predicted, labels=every).tolist(),
        "roc_auc": _macro_auc(np.eye(len(labels), dtype=np.bool_)[classes], probabilities),
    }


def _of_several(
    known: NDArray[np.float32], probabilities: NDArray[np.float32], labels: Sequence[str]
) -> dict[str, Any]:
    truth, predicted = known > 0, probabilities >= THRESHOLD
    hits, guessed, there = (one.sum(axis=0) for one in (truth & predicted, predicted, truth))
    f1 = 2 * hits / np.maximum(guessed + there, 1)
    per_label = {
        label: {
            "precision": float(hits[i] / max(guessed[i], 1)),
            "recall": float(hits[i] / max(there[i], 1)),
            "f1": float(f1[i]),
            "support": int(there[i]),
        }
        for i, label in enumerate(labels)
    }
    return {
        "accuracy": float((truth == predicted).all(axis=1).mean()),
        "macro_f1": float(f1.mean()),
        "micro_f1": float(2 * hits.sum() / max(guessed.sum() + there.sum(), 1)),
        "per_label": per_label,
        "roc_auc": _macro_auc(truth, probabilities),
    }


def _of_values(truth: NDArray[np.float64], values: NDArray[np.float64]) -> dict[str, Any]:
    errors = values - truth
    return {
        "spearman": _correlation(stats.rankdata(truth), stats.rankdata(values)),
        "pearson": _correlation(truth, values),
        "rmse": float(np.sqrt((errors**2).mean())),
        "mae": float(np.abs(errors).mean()),
    }


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    one, other = ((side - side.mean()) / np.abs(side - side.mean()).max() for side in (one, other))
    return float(np.clip(one @ other / np.sqrt((one @ one) * (other @ other)), -1, 1))


def _macro_auc(truth: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> float | None:
    """Of (n, labels), over the labels that the truth both has and has not."""
    told = np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0))
    if not len(told):
        return None
    return float(np.mean([metrics.roc_auc_score(truth[:, i], probabilities[:, i]) for i in told]))
