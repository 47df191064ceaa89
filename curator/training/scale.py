"""The scale of a regression's labels: it is trained on standardised values, and predicts in the labels' unit."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from curator.errors import DataError


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of labels, in their unit."""

    mean: float
    spread: float

    @classmethod
    def of(cls, values: NDArray[np.float64], weights: NDArray[np.float64]) -> Self:
        """That of labels, each counted by its weight. Raises DataError where all are equal, as float32 has them."""
        if len(np.unique(values.astype(np.float32))) < 2:
            raise DataError(
                f"all {len(values)} training examples have the value {values[0]:g}: there is nothing to be learnt from "
                "them; check the column of the label"
            )
        mean = float(np.average(values, weights=weights))
        return cls(mean, float(np.sqrt(np.average((values - mean) ** 2, weights=weights))))

    def standardised(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """In standard deviations from the mean."""
        return ((values - self.mean) / self.spread).astype(np.float32)

    def in_unit(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The way back."""
        return (values.astype(np.float64) * self.spread + self.mean).astype(np.float32)
