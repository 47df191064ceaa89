"""What a classifier's probabilities are worth, by scikit-learn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from curator.errors import DataError
from curator.training.examples import class_ids


def evaluate(
    truth: Sequence[str], probabilities: NDArray[np.float32], labels: Sequence[str], own: Sequence[str] | None = None
) -> dict[str, Any]:
    """Scores of (n, len(labels)) probabilities against ``n`` true labels, as plain values for JSON.

    ``accuracy``; ``macro_f1``; ``per_label``: precision, recall, f1 and support of each; ``confusion``: counts, rows
    the truth and columns the prediction, in the order of ``labels``; ``roc_auc``: macro, one against the rest; ``n``.

    A label that occurs neither in the truth nor among the predictions has no F1 (its figures are None) and stays out of
    the macro mean; one that occurs only on one side counts with 0. Of a model of several tasks ``own`` are the labels
    of the one that is evaluated: others stay out of the mean, and predicting one is a miss. Likewise ``roc_auc``
    averages over the labels that the truth both has and has not, and is None where there is none. The prediction is the
    first largest probability. Raises DataError if sizes do not fit or a probability is not a number.
    """
    classes = np.array(class_ids(truth, labels, "evaluation"))
    if probabilities.shape != (len(truth), len(labels)):
        raise DataError(f"probabilities of shape {probabilities.shape} do not fit {len(truth)} × {len(labels)} labels")
    if not len(truth):
        raise DataError("nothing to evaluate: there are no examples")
    if not np.isfinite(probabilities).all():
        raise DataError("some probabilities are NaN or infinite")
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
        "roc_auc": _macro_auc(classes, probabilities),
        "n": len(truth),
    }


def _macro_auc(classes: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float | None:
    present = np.unique(classes)
    if len(present) < 2:
        return None
    return float(np.mean([metrics.roc_auc_score(classes == i, probabilities[:, i]) for i in present]))
