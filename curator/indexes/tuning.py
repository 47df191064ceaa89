"""How far a search must read for the recall that is asked: measured against exact search, on held-out queries.

One sample of queries is tuned on, another, disjoint one is reported on. Rows of the corpus serve as queries where the
person gives none; such a row is left out of its own answer. A graph finds a row that is in it far more easily than
another query, through the links that were made for it: there the samples are held out until it has been measured.
Vectors that are the same are one neighbour as good as the other, so they are told apart by their value, not by their
row.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from curator import neighbours
from curator.errors import UsageError
from curator.indexes.index import Index
from curator.indexes.measured import DEPTHS, Promise, interval
from curator.vectors import Matrix, Rows, Vectors

LEAST_QUERIES = 2_048  # of a sample, where there are so many
HELD_OUT = 10  # a sample that is held out is no more than this part of the rows, where that is enough
TIMED = 1_024  # queries of the longer of two timed searches: exact search gains most by searching many together
STRICT = 2.576  # standard errors that tuning stays above what was asked, so that a report rarely falls short of it
BETWEEN = 4  # parts, on a logarithmic scale, that lie between a reach and its half
MOST_CANDIDATES = 1_024  # of a query
RAISED = 4  # times that the reach is raised at most when the report falls short
STEP = 1.2  # by how much

Keys = npt.NDArray[np.uint64]
"""(n,) a number for each vector's value."""

Recalls = npt.NDArray[np.float64]
"""(q,) the share of its true neighbours that each query found."""


@dataclass(frozen=True)
class Sample:
    """Queries and the values of their true neighbours."""

    queries: Matrix
    itself: Rows | None  # the row that each query is
    truth: Keys  # (q, k) told apart where equal

    def __len__(self) -> int:
        return len(self.queries)


def keys_of(vectors: Vectors) -> Keys:
    """A number for each vector's value: its bits times odd random numbers, modulo 2⁶⁴.

    Two that differ share one in 2⁶³ at most; all that comes of it is a candidate too many, as scores are true.
    """
    odd = np.random.default_rng(0).integers(0, 2**63, vectors.dimension, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    keys = np.empty(len(vectors), np.uint64)
    for start, block in vectors.blocks(8_192):
        bits = (block + np.float32(0)).view(np.uint32).astype(np.uint64)  # −0 is 0
        keys[start : start + len(block)] = (bits * odd).sum(axis=1, dtype=np.uint64) + odd[0]  # none is 0
    return keys


def size_for(asked: float, available: int) -> int:
    """How many queries a sample needs to show a recall. Raises UsageError where they are not there."""
    needed = _needed(asked)
    if needed > available // 2:
        best = (available // 2) / (available // 2 + STRICT**2)
        raise UsageError(
            f"recall = {asked} cannot be shown on {available:,} queries, half of them to tune on and half to report: "
            f"it takes {2 * needed:,}; give more, ask for at most {math.floor(best * 1000) / 1000}, or use EXACT"
        )
    return min(available // 2, max(LEAST_QUERIES, 2 * needed))


def _needed(asked: float) -> int:
    """Queries whose neighbours must all be found for the lower end of the interval to reach a recall."""
    return math.ceil(STRICT**2 * asked / (1 - asked))


def samples(vectors: Vectors, keys: Keys, queries: Vectors | None, asked: float) -> list[Sample]:
    """Two disjoint samples, of the person's queries or of rows: to tune on, and to report."""
    source = vectors if queries is None else queries
    size = size_for(asked, len(source))
    rows = _shuffled(len(source))
    parts = [np.sort(rows[:size]), np.sort(rows[size : 2 * size])]
    return [sample_of(vectors, keys, source.take(part), part if queries is None else None) for part in parts]


def held_out(vectors: Vectors, keys: Keys, asked: float) -> tuple[list[Sample], Rows, Rows]:
    """Two samples of rows with their true neighbours among the rest; the rest, and the rows of the samples."""
    size = min(size_for(asked, len(vectors)), max(_needed(asked), len(vectors) // HELD_OUT))
    rows = _shuffled(len(vectors))
    rest, held = np.sort(rows[2 * size :]), np.sort(rows[: 2 * size])
    base, theirs = vectors.take(rest), keys[rest]
    parts = [np.sort(rows[:size]), np.sort(rows[size : 2 * size])]
    return [sample_of(base, theirs, vectors.take(part)) for part in parts], rest, held


def fresh(vectors: Vectors, keys: Keys) -> Sample:
    """Rows that are in neither sample of rows, where there are enough others."""
    rows = np.sort(_shuffled(len(vectors))[-LEAST_QUERIES:])
    return sample_of(vectors, keys, vectors.take(rows), rows)


def _shuffled(count: int) -> Rows:
    return np.random.default_rng(1).permutation(count)


def sample_of(vectors: Vectors, keys: Keys, queries: Vectors, itself: Rows | None = None) -> Sample:
    """Some queries with their true neighbours; ``itself``: the row that each is, where they are rows."""
    k = min(DEPTHS[-1], len(vectors) - 1)
    queries = Vectors.of(queries.unit().matrix(), unit=True)
    true = neighbours.nearest(queries, vectors, k if itself is None else k + 1).right.reshape(len(queries), -1)
    return Sample(queries.matrix(), itself, told_apart(keys[_without(true, itself, k)]))


def _without(rows: npt.NDArray[np.int64], itself: Rows | None, k: int) -> npt.NDArray[np.int64]:
    """The first k of each line of rows, without the query's own; −1 stays where it is."""
    if itself is None:
        return rows[:, :k]
    order = np.argsort(rows == itself[:, None], axis=1, kind="stable")
    return np.take_along_axis(rows, order, 1)[:, :k]


def told_apart(keys: Keys) -> Keys:
    """(q, c) the same, where equal ones of a line are numbered: the second of a value is another neighbour."""
    order = np.argsort(keys, axis=1, kind="stable")
    ordered = np.take_along_axis(keys, order, 1)
    column = np.arange(keys.shape[1])
    starts = np.concatenate([np.ones((len(keys), 1), np.bool_), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    number = column - np.maximum.accumulate(np.where(starts, column, 0), axis=1)
    numbered = np.empty_like(keys)
    np.put_along_axis(numbered, order, ordered + number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15), 1)
    return numbered


def recalls(index: Index, keys: Keys, sample: Sample, k: int, reach: int, factors: tuple[int, ...]) -> list[Recalls]:
    """Per factor the recall@k of each query, (q,): which of the true k are among the first candidates."""
    assert index.file is not None
    k = min(k, sample.truth.shape[1])
    more = 0 if sample.itself is None else 1
    count = min(k * max(factors) + more, index.file.entries)
    allowed = index.rows >= 0 if index.measured.dead and index.rows is not None else None
    found = index.candidates(sample.queries, count, reach, allowed)
    found = _without(found, sample.itself, max(1, count - more))
    values = told_apart(keys[found])
    values[found < 0] = 0  # which is the key of no vector
    hits = _among(values, sample.truth[:, :k])
    return [hits[:, : k * factor].sum(axis=1, dtype=np.float64) / k for factor in factors]


def _among(values: Keys, true: Keys) -> npt.NDArray[np.bool_]:
    """(q, c) which values of each line are among the true ones of the same line."""
    line = np.arange(len(values), dtype=np.uint64)[:, None] * np.uint64(0xD1B54A32D192ED03)  # modulo 2⁶⁴, as keys are
    wanted = np.sort((true + line).ravel())
    asked = values + line
    found: npt.NDArray[np.bool_] = wanted[np.searchsorted(wanted, asked).clip(max=len(wanted) - 1)] == asked
    return found


@dataclass(frozen=True)
class Short:
    """The best that was reached of what was asked and was not."""

    recall: float
    low: float
    reach: int
    factor: int

    def __str__(self) -> str:
        return (
            f"{self.recall:.3f} (at least {self.low:.3f}) with a reach of {self.reach:,} and a factor of {self.factor}"
        )


def tune(index: Index, keys: Keys, sample: Sample, k: int, furthest: int) -> tuple[int, int] | Short:
    """The cheapest reach and factor whose recall@k is at least what was asked, with a margin; else the best there is.

    The reach is doubled, with the least factor that is enough at each, for as long as that can be cheaper: a longer
    reach saves candidates at first. Then the reaches between the chosen one and its half are tried.
    """
    assert index.file is not None
    asked = index.measured.wish.recall
    factors = tuple(factor for factor in index.file.factors if factor == 1 or k * factor <= MOST_CANDIDATES)
    chosen, cheapest, best = (furthest, factors[-1]), math.inf, Short(-1.0, -1.0, 1, factors[-1])

    def trial(reach: int) -> None:
        nonlocal chosen, cheapest, best
        for factor, each in zip(factors, recalls(index, keys, sample, k, reach, factors), strict=True):
            low = interval(float(each.mean()), len(sample), STRICT)[0]
            if low > best.low:
                best = Short(float(each.mean()), low, reach, factor)
            cost = index.file.cost(reach, k * factor) if index.file else math.inf
            if low >= asked and cost < cheapest:
                chosen, cheapest = (reach, factor), cost

    for reach in doubled(furthest):
        if index.file.cost(reach, 0) >= cheapest:
            break
        trial(reach)
    if cheapest == math.inf:
        return best
    for reach in sorted({round(chosen[0] * 2 ** (-part / BETWEEN)) for part in range(1, BETWEEN)} - {chosen[0]}):
        trial(reach)
    return chosen


def doubled(furthest: int) -> list[int]:
    """1, 2, 4, … and the furthest."""
    return [*(2**power for power in range(furthest.bit_length()) if 2**power < furthest), furthest]


def report(index: Index, keys: Keys, sample: Sample, promise: Promise) -> Promise:
    """What a reach and factor give on queries that had no part in choosing them."""
    each = recalls(index, keys, sample, promise.k, promise.reach, (promise.factor,))[0]
    low, high = interval(float(each.mean()), len(sample))
    return replace(promise, queries=len(sample), recall=float(each.mean()), low=low, high=high)


def promised(index: Index, vectors: Vectors, keys: Keys, parts: list[Sample], k: int, furthest: int) -> Promise | Short:
    """Tune on the first sample, report on the second.

    Where the report falls short of what was asked, which a margin in tuning makes rare, the reach is raised a step.
    """
    tuned = tune(index, keys, parts[0], k, furthest)
    if isinstance(tuned, Short):
        return tuned
    reach, factor = tuned
    told = Promise(k, reach, factor, 0, 0.0, 0.0, 0.0, (0.0, 0.0))
    for _ in range(RAISED):
        told = report(index, keys, parts[1], told)
        if told.low >= index.measured.wish.recall:
            return timed(index, vectors, parts[1], told)
        told = replace(told, reach=min(furthest, math.ceil(told.reach * STEP)))
    return Short(told.recall, told.low, told.reach, told.factor)


def timed(index: Index, vectors: Vectors, sample: Sample, promise: Promise) -> Promise:
    """With the seconds that a search takes."""
    trial = replace(index, measured=replace(index.measured, promises=(promise,)))
    queries = Vectors.of(sample.queries, unit=True).take(np.arange(TIMED) % len(sample))
    return replace(promise, seconds=times(lambda n: trial.nearest(queries.take(np.arange(n)), vectors, promise.k)))


def times(search: Callable[[int], object]) -> tuple[float, float]:
    """Seconds of one query, and of each more when there are many; the least of three runs."""

    def least(n: int) -> float:
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            search(n)
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    one, many = least(1), least(TIMED)
    return one, max(0.0, many - one) / (TIMED - 1)
