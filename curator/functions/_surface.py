"""A regression of losses on ratios: ridge on shares and their products, its form chosen by leaving out each trial."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from curator.probe import Floats

PENALTIES = np.geomspace(1e4, 1e-3, 29)  # from the strongest, which has the preference where two predict alike
BLOCK = 8192


@dataclass(frozen=True)
class Surface:
    """``products``: whether those of two shares are among the features, or the shares alone.

    ``mean``, ``scale``, ``weights``: (features,); ``explained``: the share of the trials' variance that is explained
    where each is predicted by a regression over the others: at most 1, below 0 where their mean would do better.
    """

    products: bool
    penalty: float
    mean: Floats
    scale: Floats
    weights: Floats
    intercept: float
    explained: float

    @classmethod
    def of(cls, ratios: Floats, losses: Floats) -> Self:
        """The one that predicts each of (n,) losses best from those of the other (n, groups) ratios.

        That error is exact, and costs no other regression: the residual over one less the leverage (Allen's PRESS).
        It is what the form is chosen by, so it flatters; whether a ratio is good is for documents to say.
        """
        best: Self | None = None
        variance = np.mean(((losses - losses.mean()) / (1 - 1 / len(losses))) ** 2)
        for products in (False, True):
            features = _features(ratios, products=products)
            mean, scale = features.mean(axis=0), features.std(axis=0)
            scale = np.where(scale > 1e-12, scale, 1.0)
            left, sizes, right = np.linalg.svd((features - mean) / scale, full_matrices=False)
            along = left.T @ (losses - losses.mean())
            for penalty in PENALTIES:
                kept = sizes**2 / (sizes**2 + penalty)
                residuals = losses - losses.mean() - left @ (kept * along)
                leverage = 1 / len(losses) + left**2 @ kept
                error = np.mean((residuals / np.maximum(1 - leverage, 1e-9)) ** 2)
                explained = float(1 - error / variance) if variance > 0 else 0.0
                if best is None or explained > best.explained + 1e-9:
                    weights = right.T @ (sizes / (sizes**2 + penalty) * along)
                    best = cls(products, float(penalty), mean, scale, weights, float(losses.mean()), explained)
        assert best is not None
        return best

    def predicted(self, ratios: Floats) -> Floats:
        """(n,) losses of (n, groups) ratios."""
        found = np.empty(len(ratios))
        for start in range(0, len(ratios), BLOCK):
            features = _features(ratios[start : start + BLOCK], products=self.products)
            found[start : start + BLOCK] = (features - self.mean) / self.scale @ self.weights + self.intercept
        return found


def _features(ratios: Floats, *, products: bool) -> Floats:
    if not products:
        return ratios
    one, other = np.triu_indices(ratios.shape[1])
    return np.hstack([ratios, ratios[:, one] * ratios[:, other]])
