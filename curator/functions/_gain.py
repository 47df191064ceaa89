"""What one way to train gains over another on the same documents, with an interval."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from curator.probe import Codes, Floats

RESAMPLES = 2000


@dataclass(frozen=True)
class Gain:
    """A mean and its 95 % interval; above 0 is better."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled: Floats) -> Self:
        low, high = np.quantile(resampled, [0.025, 0.975])
        return cls(round(value, 6), round(float(low), 6), round(float(high), 6))


def gains(losses: tuple[Floats, Floats], predicted: tuple[Codes, Codes], truth: Codes, seed: int) -> tuple[Gain, Gain]:
    """Of log loss (nats) and of macro-F1, of the second over the first: (draws, judges) of each, and (judges,) labels.

    Draws and judges are drawn anew, both with replacement and the same for both ways: a paired bootstrap of two levels.
    """
    draws, judges = losses[0].shape
    rng = np.random.default_rng(seed)
    of_draws = rng.multinomial(draws, np.full(draws, 1 / draws), RESAMPLES) / draws
    of_judges = rng.multinomial(judges, np.full(judges, 1 / judges), RESAMPLES).astype(np.float64)
    lower = losses[0] - losses[1]
    loss = np.einsum("bd,bd->b", of_draws, of_judges @ lower.T) / judges
    ones = np.ones((1, judges))
    better = _macro_f1(predicted[1], truth, of_judges) - _macro_f1(predicted[0], truth, of_judges)
    here = _macro_f1(predicted[1], truth, ones) - _macro_f1(predicted[0], truth, ones)
    f1 = np.einsum("bd,bd->b", of_draws, better)
    return Gain.of(float(lower.mean()), loss), Gain.of(float(here.mean()), f1)


def _macro_f1(predicted: Codes, truth: Codes, weights: Floats) -> Floats:
    """(b, draws) the mean F1 of the labels that are among the truth or the predictions; weights: (b, judges)."""
    found = np.empty((len(weights), len(predicted)))
    count = max(truth.max(), predicted.max()) + 1
    true = np.eye(count)[truth]
    for draw, codes in enumerate(predicted):
        said = np.eye(count)[codes]
        both, of_said, of_true = weights @ (said * true), weights @ said, weights @ true
        there = of_said + of_true > 0
        f1 = np.divide(2 * both, of_said + of_true, out=np.zeros_like(both), where=there)
        found[:, draw] = f1.sum(axis=1) / there.sum(axis=1)
    return found
