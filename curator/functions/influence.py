"""Whether a step of training on a candidate would help on dev: inner products of a probe's gradients."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from curator import probe
from curator.errors import QueryError
from curator.functions._documents import BLOCK, Documents, check_encoder, labelled
from curator.functions._labelled import splits, table
from curator.functions._results import check_whole_number
from curator.probe import Codes, Floats, Probe
from curator.relation import Relation
from curator.vectors import Matrix


@dataclass(frozen=True)
class Slope:
    """A probe, and the gradient there of the mean loss of those who judge it.

    ``weights``: (labels, d), ``intercept``: (labels,).
    """

    at: Probe
    weights: Floats
    intercept: Floats


def influence(
    target: Relation, dev: Relation, candidates: Relation, *, c: float = 1.0, normalised: bool = False,
    folds: int = 5, seed: int = 0,
) -> pa.Table:  # fmt: skip
    """How much a small step of gradient descent on a candidate lowers the loss on dev, for each unit of the step.

    The model is a softmax regression on the vectors, trained on the target; ``c`` is the inverse of the strength of its
    penalty. A strong one is right here: it stops the probe where there is still something to learn, as TracIn's early
    checkpoints do. At the target's own optimum the mean gradient is 0, and what dev has there is chance.

    The gradient of a document's log loss is (p − y) outer (x, 1), and ``score`` is the inner product of the candidate's
    with the mean over dev: TracIn with one checkpoint (Pruthi et al., NeurIPS 2020, section 3), of the last layer.
    Above 0 a step on the candidate lowers the loss on dev. With ``normalised`` it is the cosine of the two, as in LESS
    (Xia et al., ICML 2024): a document that the probe finds hard then counts no more than an easy one.

    Where dev has no document, each of ``folds`` parts of the target judges a probe of the others, and ``score`` is the
    mean: no probe is judged by what it was trained on. Target and dev are a few documents of one origin, and what they
    share by chance counts like what the task is made of: a mix that was chosen by dev is not to be judged by dev.

    Returns a row per candidate: ``corpus`` (where the relation has it), ``id``, ``score`` and ``probability`` (its own
    label's, by the probe). NULL for a candidate of no label of the target or of a vector of zeros, and for all where
    the target has no two labels, or nobody is left to judge. The result does not depend on the order of the rows. Time
    is that of the probes and linear in the candidates.

    Raises QueryError for relations without vectors or labels, or parameters out of range.
    """
    check_whole_number("influence", "folds", folds, least=2)
    check_whole_number("influence", "seed", seed, least=0)
    if not 0 < c < float("inf"):
        raise QueryError(f"influence: c is {c}; a number above 0 is needed")
    taught, judges = labelled("influence", "target", target), labelled("influence", "dev", dev)
    names = sorted(set(taught.labels.to_list()))
    among = labelled("influence", "candidates", candidates)
    check_encoder("influence", taught, judges, among)
    among = among.take(among.codes(names) >= 0)
    judges = judges.take(judges.codes(names) >= 0)
    slopes = [_slope(*part, names, c) for part in splits(taught, judges, folds, seed)]
    score, probability = np.full(len(among), np.nan), np.full(len(among), np.nan)
    labels = among.codes(names)
    for start, rows in among.vectors.blocks(BLOCK) if slopes else ():
        part = slice(start, start + len(rows))
        found = [_along(slope, rows, labels[part], normalised=normalised) for slope in slopes]
        score[part], probability[part] = np.mean(found, axis=0)
    return table(candidates, among.rows, {"score": score, "probability": probability})


def _slope(taught: Documents, judges: Documents, names: list[str], c: float) -> Slope:
    labels = taught.codes(names)
    at = probe.fit(taught.vectors.matrix(), labels, np.full(len(labels), 1 / len(labels)), len(names), c=c)
    rows = judges.vectors.matrix().astype(np.float64)
    residuals = at.residuals(rows, judges.codes(names)) / len(rows)
    return Slope(at, residuals.T @ rows, residuals.sum(axis=0))


def _along(slope: Slope, rows: Matrix, labels: Codes, *, normalised: bool) -> tuple[Floats, Floats]:
    """(n,) inner products (or cosines) of each row's gradient with the slope, and the probability of its own label.

    A gradient is an outer product, so its product with the slope is that of p − y with the slope applied to x: no
    gradient is made.
    """
    rows = rows.astype(np.float64)
    residuals = slope.at.residuals(rows, labels)
    products = np.einsum("ij,ij->i", residuals, rows @ slope.weights.T + slope.intercept)
    if normalised:
        ours = np.linalg.norm(residuals, axis=1) * np.sqrt(1 + np.einsum("ij,ij->i", rows, rows))
        lengths = ours * np.hypot(np.linalg.norm(slope.weights), np.linalg.norm(slope.intercept))
        products = np.divide(products, lengths, out=np.zeros(len(rows)), where=lengths > 0)
    return products, 1 + residuals[np.arange(len(rows)), labels]
