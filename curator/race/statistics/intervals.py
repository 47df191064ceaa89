"""Intervals over few seeds, the difference they could detect, and the p-value over seeds and documents."""

from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import nct, t

from curator.race.statistics.records import Floats

ERROR = 0.05  # of a false finding, over all comparisons together
POWER = 0.80


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


def interval(values: npt.ArrayLike, error: float = ERROR) -> Interval | None:
    """The t-interval of the mean at level 1 − ``error``; None for fewer than 2 values."""
    array = np.asarray(values, float)
    if len(array) < 2:
        return None
    half = float(t.isf(error / 2, len(array) - 1) * array.std(ddof=1) / sqrt(len(array)))
    return Interval(float(array.mean()) - half, float(array.mean()) + half)


def detectable(sd: float, seeds: int, comparisons: int = 1) -> float:
    """The true difference found with 80 % power by ``comparisons`` corrected intervals over ``seeds`` differences."""
    return _shift(seeds, comparisons) * sd / sqrt(seeds)


@cache
def _shift(seeds: int, comparisons: int) -> float:
    """The same in standard errors."""
    critical = float(t.isf(ERROR / comparisons / 2, seeds - 1))
    return float(brentq(lambda nc: nct.cdf(critical, seeds - 1, nc) - (1 - POWER), 0, 2 * critical + 10))


def p_value(mean: float, seeds: float, documents: float, freedom: int) -> float:
    """Two-sided, from the variances of ``mean`` over seeds (with ``freedom`` degrees) and over documents.

    By Satterthwaite's degrees of freedom, and never less than with these documents alone: where few seeds lie close
    together by chance, the degrees would explode.
    """
    total = seeds + documents
    if total <= 0 or seeds <= 0:  # runs that do not differ by seed: only the documents speak, as a normal variable
        freedom, seeds, total = 10**9, 1.0, max(total, 1e-18)
        return float(2 * t.sf(abs(mean) / sqrt(total), freedom))
    both = 2 * t.sf(abs(mean) / sqrt(total), freedom * (total / seeds) ** 2)
    return float(max(both, 2 * t.sf(abs(mean) / sqrt(seeds), freedom)))


def shared_variance(differences: Floats) -> float:
    """The mean covariance between seeds over resamples, at least 0; (seeds, resamples) differences in points."""
    covariance, seeds = np.cov(differences), len(differences)
    return max(0.0, float((covariance.sum() - np.trace(covariance)) / (seeds * (seeds - 1))))
