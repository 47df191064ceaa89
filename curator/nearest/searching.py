"""How the NEAREST joins of a statement are searched."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Searching:
    """As asked; or, to tell what an approximate search has changed, in another way where an index serves a join.

    ``exact``: exactly all the same. ``part``: for a part of the left rows, from one share of them to another in an
    order drawn once; the others find nothing, and the join is an inner one.
    """

    exact: bool = False
    part: tuple[float, float] | None = None

    def rows(self, count: int) -> npt.NDArray[np.int64]:
        """Which of so many left rows are searched for, in order."""
        start, stop = self.part or (0.0, 1.0)
        order = np.random.default_rng(0).permutation(count)
        return np.sort(order[round(start * count) : round(stop * count)])
