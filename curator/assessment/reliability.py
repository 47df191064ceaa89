"""What a classifier's probabilities mean: whether of those that say 0.8, eight in ten are right.

**Expected calibration error** (Naeini et al. 2015): documents are put into bins by the largest probability, and the
distance between a bin's mean probability and its share of right predictions is averaged over documents. The headline
has 15 bins of equal width, as Guo et al. (2017) have, because that is the figure that others report, and because on
few documents it was the less biased of two in our simulations: of 200 documents of a perfectly calibrated model with
most confidences near 1, 0.031, against 0.051 with bins of equal mass (Nguyen and O'Connor 2015), which are given beside
it because they part the crowd at the top.

**By chance.** Both are biased upwards: a perfectly calibrated model has an error too, as its share of right predictions
is not its expectation. So labels are drawn from the model's own confidences, many times by a seed: the mean error and
the 95 % quantile of a perfectly calibrated model with these confidences, and the share of such models with an error
as large. An error below that quantile is none that these documents could show.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax

from curator.assessment.labelled import Booleans, Floats, Integers
from curator.assessment.resampling import Figure, share
from curator.race.statistics import ERROR, interval

BINS = 15
SIMULATIONS = 1000
BLOCK = 1 << 24  # random numbers in memory at once


@dataclass(frozen=True)
class Error:
    """A calibration error, and what a perfectly calibrated model with the same confidences would show by chance."""

    value: float
    by_chance: float  # mean
    most_by_chance: float  # 95 % quantile
    p: float  # share of simulated models with an error at least as large, itself counted as one


@dataclass(frozen=True)
class Bin:
    """The documents whose confidence is in ``low`` to ``high``; of bins of equal mass, those that occur."""

    low: float
    high: float
    documents: int
    confidence: float  # mean
    accuracy: Figure


@dataclass(frozen=True)
class Reliability:
    """Calibration of one model on n documents."""

    documents: int
    confidence: float  # mean of the largest probability
    accuracy: float
    ece: Error  # bins of equal width
    ece_equal_mass: Error
    mce: Error  # the largest distance of a bin of equal width that has documents
    brier: Figure  # of all labels together, 0 to 2 (Brier 1950)
    nll: Figure  # negative log likelihood, in nats
    diagram: tuple[Bin, ...]  # bins of equal width that have documents
    diagram_equal_mass: tuple[Bin, ...]

    @property
    def verdict(self) -> str:
        """In words: over- or underconfident, or neither that these documents could show."""
        if self.ece.value <= self.ece.most_by_chance:
            return "no calibration error beyond what chance gives on so few documents"
        gap = self.confidence - self.accuracy
        return f"{'overconfident' if gap > 0 else 'underconfident'} by {abs(gap):.3f} on the average"

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


def reliability(logits: Floats, truth: Integers, *, seed: int, simulations: int = SIMULATIONS) -> Reliability:
    """Calibration of (n, labels) logits against ``n`` ≥ 2 true labels, in whatever order they come."""
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    probabilities = np.exp(log_probabilities)
    confidence, right = probabilities.max(axis=1), logits.argmax(axis=1) == truth
    order = np.lexsort([right, confidence])  # so that sums and draws do not depend on the order of the documents
    confidence, right = confidence[order], right[order]
    wide, massive = by_width(confidence), by_mass(confidence)
    expected, largest = _errors(confidence, right, wide, seed, simulations)
    squares = (probabilities**2).sum(axis=1) - 2 * probabilities[np.arange(len(truth)), truth] + 1
    return Reliability(
        documents=len(truth),
        confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
        ece=expected,
        ece_equal_mass=_errors(confidence, right, massive, seed, simulations)[0],
        mce=largest,
        brier=_mean(squares),
        nll=_mean(-log_probabilities[np.arange(len(truth)), truth]),
        diagram=_diagram(confidence, right, wide, lambda bin_: (bin_ / BINS, (bin_ + 1) / BINS)),
        diagram_equal_mass=_diagram(confidence, right, massive, None),
    )


def by_width(confidence: Floats, bins: int = BINS) -> Integers:
    """The bin of each confidence, of ``bins`` that are each above its lower bound up to its upper one."""
    found: Integers = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")
    return found


def by_mass(confidence: Floats, bins: int = BINS) -> Integers:
    """The bin of each confidence, of ``bins`` with the same number of documents but for ties, which stay together."""
    ordered = np.sort(confidence)
    bounds = np.unique(ordered[[len(ordered) * part // bins for part in range(1, bins)]])
    found: Integers = np.searchsorted(bounds, confidence, side="right")
    return found


def _errors(confidence: Floats, right: Booleans, bin_of: Integers, seed: int, simulations: int) -> tuple[Error, Error]:
    """Expected and largest calibration error over bins. Confidences ascend, and so do their bins."""
    starts = np.flatnonzero(np.diff(bin_of, prepend=-1))
    sums, sizes = np.add.reduceat(confidence, starts), np.diff(starts, append=len(confidence))

    def of(rights: Booleans) -> tuple[Floats, Floats]:
        """Of (models, n) right or not: both errors of each model."""
        gaps = np.abs(np.add.reduceat(rights.astype(np.int64), starts, axis=1) - sums)
        return gaps.sum(axis=1) / len(confidence), (gaps / sizes).max(axis=1)

    rng, block = np.random.default_rng(seed), max(1, BLOCK // len(confidence))
    blocks = (min(block, simulations - start) for start in range(0, simulations, block))
    drawn = [of(rng.random((models, len(confidence))) < confidence) for models in blocks]
    own, chance = of(right[None]), [np.concatenate(parts) for parts in zip(*drawn, strict=True)]
    expected, largest = (_error(float(value[0]), models) for value, models in zip(own, chance, strict=True))
    return expected, largest


def _error(value: float, chance: Floats) -> Error:
    p = (1 + int((chance >= value).sum())) / (1 + len(chance))
    return Error(value, float(chance.mean()), float(np.quantile(chance, 1 - ERROR)), p)


def _diagram(
    confidence: Floats, right: Booleans, bin_of: Integers, bounds: Callable[[int], tuple[float, float]] | None
) -> tuple[Bin, ...]:
    rows = []
    for bin_ in np.unique(bin_of).tolist():
        own, hits = confidence[bin_of == bin_], right[bin_of == bin_]
        low, high = bounds(bin_) if bounds else (float(own[0]), float(own[-1]))
        rows.append(Bin(low, high, len(own), float(own.mean()), share(int(hits.sum()), len(own))))
    return tuple(rows)


def _mean(values: Floats) -> Figure:
    """The mean with its t-interval over documents."""
    found = interval(values := np.sort(values))
    assert found is not None
    return Figure(float(values.mean()), found.low, found.high)
