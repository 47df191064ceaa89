"""The one number that logits are to be divided by, so that probabilities mean what they say (Guo et al. 2017)."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from curator.assessment.labelled import Floats, Integers
from curator.assessment.reliability import Reliability, reliability
from curator.documents import normalise

LIMIT = 100.0  # temperatures from 1/LIMIT to LIMIT are looked at
FEWEST = 20  # documents of a half, below which one number is too much to ask of it


@dataclass(frozen=True)
class Temperature:
    """A temperature from one half of the documents, and the calibration that it gives on the other half."""

    value: float
    fitted_on: int  # documents
    before: Reliability  # of the other half, at temperature 1
    after: Reliability  # … at this one

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "before": self.before.json(), "after": self.after.json()}


def temperature(texts: Sequence[str], logits: Floats, truth: Integers, *, seed: int) -> Temperature | str:
    """Fit on one half, measure on the other; texts that are the same are in the same half. Else why that cannot be."""
    logits = logits.astype(np.float64)
    fitting = np.array([_is_first(text, seed) for text in texts])
    least = int(min(fitting.sum(), (~fitting).sum()))
    if least < FEWEST:
        return f"too few documents: one half has {least}, and it takes {FEWEST} in each"
    if (logits[fitting].argmax(axis=1) == truth[fitting]).all():
        return "every document of the half it is fitted on is classified right, so that the lowest would be the best"
    value = fit(logits[fitting], truth[fitting])
    left, known = logits[~fitting], truth[~fitting]
    before, after = (reliability(scaled, known, seed=seed) for scaled in (left, left / value))
    return Temperature(value, int(fitting.sum()), before, after)


def fit(logits: Floats, truth: Integers) -> float:
    """The temperature of the smallest negative log likelihood, between 1/LIMIT and LIMIT, never a worse one than 1.

    The likelihood is concave in 1/temperature, so there is one maximum.
    """
    found = minimize_scalar(
        lambda cold: nll(logits * exp(cold), truth), bounds=(-log(LIMIT), log(LIMIT)), method="bounded",
        options={"xatol": 1e-6},
    )  # fmt: skip
    return min(1.0, exp(-found.x), key=lambda value: nll(logits / value, truth))


def nll(logits: Floats, truth: Integers) -> float:
    """Mean negative log likelihood, in nats, of (n, labels) logits."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(truth)), truth].mean())


def _is_first(text: str, seed: int) -> bool:
    return hashlib.blake2b(f"{seed}\0{normalise(text)}".encode("utf8", "surrogatepass")).digest()[0] % 2 == 0
