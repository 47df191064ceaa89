"""The score of a run: on the evaluation documents as they are, and on documents drawn from them. In points."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from curator.race.scores import of_sets, of_values
from curator.race.statistics.records import Floats, Integers, Values, finished, kind_of, own_labels, truth_of

METRICS = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "accuracy": "accuracy",
    "spearman": "Spearman correlation",
    "pearson": "Pearson correlation",
}


def score(truth: npt.ArrayLike, predicted: npt.ArrayLike, metric: str, own: Sequence[int] | None = None) -> float:
    """Macro-F1 over the labels that occur in either array (zero where undefined), or accuracy; (n,) ints, points.

    ``own``: the labels of the task, where a model tells those of others apart too; of these F1 is the mean.
    """
    true, guessed = np.asarray(truth, np.int64), np.asarray(predicted, np.int64)
    size = int(max(true.max(), guessed.max(), *(own or [0]))) + 1
    hits = np.bincount(true[true == guessed], minlength=size)
    counts = (hits, np.bincount(guessed, minlength=size), np.bincount(true, minlength=size))
    return float(from_counts(*counts, metric, own))


def from_counts(hits: Any, guessed: Any, actual: Any, metric: str, own: Sequence[int] | None = None) -> Any:
    """The metric from counts per label: right, predicted and true documents, (…, labels) → (…); see ``score``."""
    if metric == "accuracy":
        return 100 * hits.sum(-1) / actual.sum(-1)
    if own is not None:
        hits, guessed, actual = hits[..., own], guessed[..., own], actual[..., own]
    total = guessed + actual
    return 100 * (2 * hits / np.maximum(total, 1)).sum(-1) / (total > 0).sum(-1)


def score_of(record: dict[str, Any], run: Values) -> float:
    """The points of one run on all evaluation documents, by the race's metric."""
    truth, metric = truth_of(record), record["metric"]
    if kind_of(record) == "single":
        return score(truth, run, metric, own_labels(record))
    return float(drawn(record, truth, run, np.ones((1, len(truth))))[0])


def scores(record: dict[str, Any], arm: str) -> dict[int, float]:
    """Points by seed of the runs that ended well."""
    return {seed: score_of(record, run) for seed, run in finished(record, arm).items()}


def drawn(record: dict[str, Any], truth: Values, run: Values, draws: Floats) -> Floats:
    """(b,) points of one run on (b, documents) draws, of sets or of numbers."""
    of = of_sets if kind_of(record) == "multi" else of_values
    return of(truth, run, draws, record["metric"])


def resampled(
    record: dict[str, Any], runs: dict[str, dict[int, Values]], resamples: int
) -> dict[tuple[str, int], Floats]:
    """Each run's score, (resamples,) points, on evaluation documents drawn with replacement, the same for all runs."""
    truth, size, kind = truth_of(record), len(record["labels"]), kind_of(record)
    own = own_labels(record)
    n, rng = len(truth), np.random.default_rng(0)
    keys = [(arm, seed) for arm, seeds in runs.items() for seed in seeds]
    parts: dict[tuple[str, int], list[Floats]] = {key: [] for key in keys}
    for start in range(0, resamples, 100):  # in blocks: the draws are (block, documents)
        block = min(100, resamples - start)
        draws = rng.multinomial(n, np.full(n, 1 / n), size=block).astype(float)
        if kind != "single":
            for arm, seed in keys:
                parts[arm, seed].append(drawn(record, truth, runs[arm][seed], draws))
            continue
        actual = draws @ _indicator(truth, np.arange(n), n, size)
        for arm, seed in keys:
            run = runs[arm][seed]
            right = np.flatnonzero(run == truth)
            guessed = draws @ _indicator(run, np.arange(n), n, size)
            parts[arm, seed].append(
                from_counts(draws @ _indicator(run[right], right, n, size), guessed, actual, record["metric"], own)
            )
    return {key: np.concatenate(blocks) for key, blocks in parts.items()}


def _indicator(labels: Integers, rows: Integers, n: int, size: int) -> Any:
    return csr_matrix((np.ones(len(rows)), (rows, labels)), shape=(n, size))
