"""A probe: softmax regression on vectors of length one, which says in a second what labelled documents teach.

Where documents have several labels it is a logistic regression for each, and where labels are numbers ridge regression.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax
from threadpoolctl import ThreadpoolController

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.floating]
Codes = npt.NDArray[np.int64]
"""Labels as numbers from 0, in an order that all documents of a task share."""

STRENGTH = 100.0  # the usual ``c``
SMALL = 200_000  # logits in a step; with fewer, threads wait for one another longer than they work


@dataclass(frozen=True)
class Probe:
    """``weights``: (labels, d); ``intercept``: (labels,), −inf for a label that it was never shown."""

    weights: Floats
    intercept: Floats

    def log_probabilities(self, rows: Rows) -> Floats:
        """(n, labels) of (n, d) rows."""
        found: Floats = log_softmax(rows @ self.weights.T + self.intercept, axis=1)
        return found

    def probabilities(self, rows: Rows) -> Floats:
        """(n, labels) of (n, d) rows."""
        found: Floats = np.exp(self.log_probabilities(rows))
        return found

    def losses(self, rows: Rows, labels: Codes) -> Floats:
        """(n,) nats, the log loss of each document; infinite for a label that it was never shown."""
        return -self.log_probabilities(rows)[np.arange(len(labels)), labels]

    def residuals(self, rows: Rows, labels: Codes) -> Floats:
        """(n, labels) p − y: the gradient of a document's log loss by its logits."""
        found = self.probabilities(rows)
        found[np.arange(len(labels)), labels] -= 1
        return found


def fit(
    rows: Rows, labels: Codes, shares: Floats, count: int, *, c: float = STRENGTH,
    start: Probe | None = None,
) -> Probe:  # fmt: skip
    """The probe of least Σ share · log loss + ‖weights‖² / (2 c), for (n, d) rows, whose (n,) shares sum to one.

    As the loss is a mean, ``c`` means the same for any number of documents. In double precision and to a gradient of
    1e-7: in single precision it stops short of the optimum, and where depends on the machine. ``start`` is a probe of
    nearly the same documents, from which the optimum is found in fewer steps. ``count`` is the number of labels of the
    task; one of which there is no document gets no probability.

    Raises ValueError where there are no two labels to tell apart.
    """
    from sklearn.linear_model import LogisticRegression  # it takes a second

    shown = np.unique(labels)
    if len(shown) < 2:
        raise ValueError(f"a probe needs documents of two labels, not of {len(shown)}")
    # Of two labels scikit-learn fits the difference of the weights, whose square is twice that of the two.
    binary = len(shown) == 2
    model = LogisticRegression(C=c * (2 if binary else 1), tol=1e-7, max_iter=10_000, warm_start=True)
    if start is not None and np.isfinite(start.intercept[shown]).all():
        model.coef_, model.intercept_ = start.weights[shown], start.intercept[shown]
        if binary:
            model.coef_, model.intercept_ = np.diff(model.coef_, axis=0), np.diff(model.intercept_)
    with _few_threads(len(rows) * len(shown)):
        model.fit(rows.astype(np.float64), labels, sample_weight=shares)
    weights, intercept = np.zeros((count, rows.shape[1])), np.full(count, -np.inf)
    halves = np.array([[-0.5], [0.5]])
    weights[shown] = halves * model.coef_ if binary else model.coef_
    intercept[shown] = halves[:, 0] * model.intercept_ if binary else model.intercept_
    return Probe(weights, intercept)


@dataclass(frozen=True)
class Several:
    """A probe for each of several labels, which a document may have together."""

    probes: tuple[Probe, ...]

    def probabilities(self, rows: Rows) -> Floats:
        """(n, labels) of (n, d) rows: of each label by itself."""
        return np.stack([probe.probabilities(rows)[:, 1] for probe in self.probes], axis=1)


def fit_several(rows: Rows, has: npt.NDArray[np.bool_], shares: Floats, *, c: float = STRENGTH) -> Several:
    """``fit`` for each column of (n, labels), whether a document has that label; shares are those of ``fit``.

    A label that every document has, or none, has a probability of 1 or 0.
    """
    return Several(tuple(_yes_or_no(rows, column.astype(np.int64), shares, c) for column in has.T))


def _yes_or_no(rows: Rows, codes: Codes, shares: Floats, c: float) -> Probe:
    if len(shown := np.unique(codes)) > 1:
        return fit(rows, codes, shares, 2, c=c)
    return Probe(np.zeros((2, rows.shape[1])), np.where(np.isin([0, 1], shown), 0.0, -np.inf))


@dataclass(frozen=True)
class Ridge:
    """``weights``: (d,); ``intercept``, and ``spread``: the standard deviation of the values that it was shown."""

    weights: Floats
    intercept: float
    spread: float

    def values(self, rows: Rows) -> Floats:
        """(n,) of (n, d) rows."""
        found: Floats = rows @ self.weights + self.intercept
        return found


def fit_ridge(rows: Rows, values: Floats, shares: Floats, *, c: float = STRENGTH) -> Ridge:
    """The ridge regression of least Σ share · (z − w·x − b)² / 2 + ‖w‖² / (2 c), z the values, standardised by the
    shares.

    So ``c`` means the same for any number of documents and any unit of the values. Raises ValueError where all are the
    same.
    """
    from sklearn.linear_model import Ridge as Fitted

    mean = float(shares @ values)
    spread = float(np.sqrt(shares @ (values - mean) ** 2))
    if not np.ptp(values):
        raise ValueError(f"a probe needs documents of two values, not of {mean:g} alone")
    model = Fitted(alpha=1 / c, solver="cholesky").fit(
        rows.astype(np.float64), (values - mean) / spread, sample_weight=shares
    )
    return Ridge(model.coef_ * spread, float(model.intercept_) * spread + mean, spread)


def fit_many(rows: Rows, labels: Codes, shares: Floats, count: int, *, c: float = STRENGTH) -> list[Probe]:
    """The probes of ``fit`` for each column of (n, probes) shares, all at once: each row is read once for all of them.

    Raises ValueError where a probe has no two labels to tell apart.
    """
    probes = shares.shape[1]
    shown = np.array([np.bincount(labels, share, minlength=count) > 0 for share in shares.T])
    if (fewest := shown.sum(axis=1).min()) < 2:
        raise ValueError(f"a probe needs documents of two labels, not of {fewest}")
    across, parts = np.ascontiguousarray(rows.T, dtype=np.float64), np.ascontiguousarray(shares.T)
    barred = np.where(shown, 0.0, -1e30).T[:, :, None]
    true = (np.arange(count)[:, None] == labels)[:, None, :] * parts  # (labels, probes, n), as all that is large here

    def objective(flat: Floats) -> tuple[float, Floats]:
        matrix = flat.reshape(count * probes, -1)
        logits = (matrix[:, :-1] @ across + matrix[:, -1:]).reshape(count, probes, -1) + barred
        logits -= logits.max(axis=0)
        chances = np.exp(logits)
        totals = chances.sum(axis=0)
        loss = np.vdot(parts, np.log(totals)) - np.vdot(true, logits) + np.vdot(matrix[:, :-1], matrix[:, :-1]) / 2 / c
        slopes = (chances * (parts / totals) - true).reshape(count * probes, -1)
        by_weights = slopes @ across.T + matrix[:, :-1] / c
        return float(loss), np.hstack([by_weights, slopes.sum(axis=1)[:, None]]).ravel()

    start = np.zeros(count * probes * (len(across) + 1))
    options = {"gtol": 1e-7, "ftol": 0.0, "maxiter": 10_000, "maxfun": 100_000}
    with _few_threads(len(rows) * count * probes):
        best = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x.reshape(count, probes, -1)
    weights, intercepts = (
        np.where(shown.T[:, :, None], best[:, :, :-1], 0.0),
        np.where(shown.T, best[:, :, -1], -np.inf),
    )
    return [Probe(weights[:, probe], intercepts[:, probe]) for probe in range(probes)]


def _few_threads(logits: int) -> AbstractContextManager[object]:
    """One BLAS thread for the vectors of the optimiser, and for the products of a step if they are small.

    The optimiser is scipy's, with a BLAS of its own beside that of numpy: where both have a thread for each core, each
    waits in a loop for the other to be done. On two cores a fit on 1,500 documents was up to five times as slow.
    """
    every, of_scipy = _blas()
    limited: AbstractContextManager[object] = (every if logits < SMALL else of_scipy).limit(limits=1)
    return limited


@cache
def _blas() -> tuple[ThreadpoolController, ThreadpoolController]:
    """Every BLAS that is loaded, and scipy's own."""
    every = ThreadpoolController().select(user_api="blas")
    paths = [library["filepath"] for library in every.info()]
    return every, every.select(filepath=[path for path in paths if "scipy" in Path(path).parent.name])


def shares_of(target: Floats, selected: Floats, *, lambda_: float = -0.5) -> Floats:
    """What each document's loss counts for in the pairing loss (1+λ) L_S − λ L_T, the target's documents first.

    Both losses are means, weighted by (n,) weights of at least 0. Where one side has none, the other is all there is.
    The shares sum to one. Raises ValueError for λ outside [−1, 0]: above 0 the loss has no least value.
    """
    if not -1 <= lambda_ <= 0:
        raise ValueError(f"lambda is {lambda_}; a probe takes −1 to 0")
    totals = np.array([target.sum(), selected.sum()])
    parts = np.where(totals > 0, [-lambda_, 1 + lambda_], 0.0)
    if not parts.any():
        parts = np.where(totals > 0, 1.0, 0.0)
    scales = np.divide(parts, totals, out=np.zeros(2), where=totals > 0) / max(parts.sum(), np.finfo(float).tiny)
    return np.concatenate([target * scales[0], selected * scales[1]])


def balanced(labels: Codes, weights: Floats | None = None) -> Floats:
    """(n,) weights that give each label that there is the same total, 1, and within one keep the proportions."""
    weights = np.ones(len(labels)) if weights is None else weights
    totals = np.bincount(labels, weights, minlength=1)[labels]
    return np.divide(weights, totals, out=np.zeros(len(labels)), where=totals > 0)


def macro_f1(truth: Codes, predicted: Codes) -> float:
    """The mean F1 of the labels that are among the truth or the predictions, by scikit-learn."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth, predicted, average="macro", zero_division=0))
