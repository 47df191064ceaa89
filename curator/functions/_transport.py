"""Optimal transport with a cap on what a pair may take: nearest candidates first, in lists that grow as needed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from curator import neighbours
from curator.errors import QueryError
from curator.functions._partners import first
from curator.functions._results import check_pairs
from curator.vectors import Rows, Vectors

SHORTEST = 64  # places in a list
HELD = 1 << 24  # places in the lists of all target documents of a problem
SUMMED = 65_536  # rows summed at once
NO_DISTANCE = 1e-9  # a mean distance below is of copies, and rounding

PLAN = {
    "partner": pl.Int64, "row": pl.Int64, "similarity": pl.Float32, "density": pl.Float64, "mass": pl.Float64,
}  # fmt: skip

Values = npt.NDArray[np.float64]


class Densities:
    """How many each candidate stands for, worked out for those that are asked about."""

    def __init__(self, vectors: Vectors, near_duplicate: float, max_pairs: int) -> None:
        self.vectors = vectors
        self._least = near_duplicate
        self._max_pairs = max_pairs
        self._known = np.full(len(vectors), 1.0 if near_duplicate == 1 else np.nan)

    def of(self, rows: Rows) -> Values:
        """The density of each. Raises QueryError where that takes too many comparisons in all."""
        new = np.unique(rows[np.isnan(self._known[rows])])
        if len(new):
            compared = len(new) + int((~np.isnan(self._known)).sum())
            check_pairs("tsds", compared * len(self.vectors), self._max_pairs, self.vectors.dimension)
            sums = np.zeros(len(new))
            for edges in neighbours.pairs_within(self.vectors.take(new), self.vectors, self._least):
                near = (edges.score.astype(np.float64) - self._least) / (1 - self._least)
                np.add.at(sums, edges.left, near)  # one after the other: the same sum whatever the blocks
            self._known[new] = np.maximum(sums, 1)  # itself, but for rounding
        found: Values = self._known[rows]
        return found


@dataclass(frozen=True)
class _List:
    """The nearest candidates of a target document, (k,) each, best first; ``whole``: there are no others.

    ``upto``: the sum of 1/density over a place and those before it.
    """

    rows: Rows
    cosines: npt.NDArray[np.float32]
    densities: Values
    upto: Values
    whole: bool

    @property
    def before(self) -> Values:
        """(k,) that sum over the places before each."""
        before: Values = np.append(0.0, self.upto[:-1])
        return before

    def costs(self, scale: float) -> Values:
        """(k,) what spreading beyond each place costs more than spreading up to it; endless where there is no next.

        Σ (d_next − d_j)/ρ_j grows by upto (d_next − d_last) at each place. Past a list that goes on it is not known:
        0, so that the place that is found can only be too far.
        """
        distances = (1 - self.cosines.astype(np.float64)) / scale
        costs: Values = self.upto * np.diff(distances, append=np.inf if self.whole else distances[-1])
        return costs


class Transport:
    """One problem: target documents of a mass of one together, and the candidates to which it goes."""

    def __init__(self, targets: Vectors, densities: Densities) -> None:
        self._targets = targets
        self._densities = densities
        self._scale = _mean_distance(targets, densities.vectors)
        self._lists: dict[int, _List] = {}

    def solved(self, cost: float, support: int) -> pl.DataFrame:
        """The plan: ``PLAN``."""
        pending, length = np.arange(len(self._targets)), SHORTEST
        while len(pending):
            self._look_further(pending, length)
            spread = max(self._spread_for_cost(cost), self._spread_for_support(support))
            pending = np.array([i for i, one in self._lists.items() if not one.whole and one.upto[-1] <= spread], int)
            length *= 2
        return self._plan(spread)

    def _look_further(self, targets: Rows, length: int) -> None:
        length = min(length, len(self._densities.vectors))
        kept = self._lists.keys() - set(targets.tolist())
        held = sum(len(self._lists[target].rows) for target in kept) + len(targets) * length
        if held > HELD:
            raise QueryError(
                f"tsds: lists of {held:,} pairs of a target document and a candidate would be needed, and {HELD:,} are "
                "the most; raise alpha, ask for less support (a smaller budget), or take fewer target documents"
            )
        rows, cosines = first(self._targets.take(targets), self._densities.vectors, length)
        densities = self._densities.of(rows.ravel()).reshape(rows.shape)
        upto, whole = np.cumsum(1 / densities, axis=1), length == len(self._densities.vectors)
        for place, target in enumerate(targets.tolist()):
            self._lists[target] = _List(rows[place], cosines[place], densities[place], upto[place], whole)

    def _spread_for_cost(self, cost: float) -> float:
        """The least sum of 1/density from which spreading further costs so much, on average."""
        upto = np.concatenate([one.upto for one in self._lists.values()])
        costs = np.concatenate([one.costs(self._scale) for one in self._lists.values()])
        order = np.argsort(upto, kind="stable")
        reached = np.cumsum(costs[order]) >= cost * len(self._targets)
        return float(upto[order][np.argmax(reached)]) if reached.any() else np.inf

    def _spread_for_support(self, support: int) -> float:
        """The least sum with which so many candidates have mass: one has it from the least sum before it on."""
        entered = np.full(len(self._densities.vectors), np.inf)
        for one in self._lists.values():
            entered[one.rows] = np.minimum(entered[one.rows], one.before)
        enough = np.partition(entered, support - 1)[support - 1]
        upto = np.concatenate([one.upto for one in self._lists.values()])
        return float(upto[upto > enough].min(initial=np.inf))

    def _plan(self, spread: float) -> pl.DataFrame:
        """Mass up to the spread, the nearest first."""
        lists = list(self._lists.values())
        places = np.concatenate([np.minimum(one.upto, spread) - one.before for one in lists])
        columns = [
            np.repeat(np.fromiter(self._lists, np.int64), [len(one.rows) for one in lists]),
            np.concatenate([one.rows for one in lists]),
            np.concatenate([one.cosines for one in lists]),
            np.concatenate([one.densities for one in lists]),
            places / (spread * len(lists)),
        ]
        return pl.DataFrame(dict(zip(PLAN, columns, strict=True)), schema=PLAN).filter(pl.col("mass") > 0)


def _mean_distance(left: Vectors, right: Vectors) -> float:
    """The mean of 1 − cosine over all pairs; 1 where all are copies."""
    sums = [
        sum((block.sum(axis=0, dtype=np.float64) for _, block in side.blocks(SUMMED)), np.zeros(side.dimension))
        for side in (left, right)
    ]
    mean = 1 - float(sums[0] @ sums[1]) / (len(left) * len(right))
    return mean if mean > NO_DISTANCE else 1.0
