"""What the functions that choose one document after another share: lazy evaluation, and the nearest of the chosen."""

from collections.abc import Callable, Mapping
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator import neighbours
from curator.errors import QueryError
from curator.functions._documents import Documents, check_encoder
from curator.functions._results import check_whole_number, key_of
from curator.neighbours.scores import all_products
from curator.relation import Relation
from curator.vectors import Rows, Vectors

FIRST = 64  # rows whose values are worked out anew together, twice as many each further time for the same choice
NEVER = np.iinfo(np.int64).max

Values = npt.NDArray[np.float64]
Refresh = Callable[[Rows, Rows], Values]
"""The values of some rows (m,), given all that is chosen; when each was last worked out, so many (m,) were chosen."""


class Chosen:
    """The rows chosen so far, and the nearest of them to each row as far as it has been compared.

    ``rows``: those chosen, in their order; ``similarity``: (n,) float32, cosine to the nearest, −inf without one;
    ``nearest``: (n,) its number, those ``given`` first and then the chosen ones, −1 without one. Of equally near ones
    the first. What is chosen keeps the nearest of those before it.
    """

    def __init__(self, vectors: Vectors, given: Vectors | None = None) -> None:
        self.vectors = vectors
        self.rows: list[int] = []
        self.similarity = np.full(len(vectors), -np.inf, np.float32)
        self.nearest = np.full(len(vectors), -1, np.int64)
        self._given = 0 if given is None else len(given)
        if given is not None and len(given):
            self._compare(np.arange(len(vectors)), given, 0)

    @classmethod
    def after(cls, vectors: Vectors, rows: list[int]) -> Self:
        """The same where the choice was made by other means: all rows compared with those chosen."""
        found = cls(vectors)
        found.rows = rows
        if not rows:
            return found
        found.update(np.setdiff1d(np.arange(len(vectors)), rows), 0)
        chosen = vectors.take(rows)
        for start, block in chosen.blocks(256):
            stop = start + len(block)
            earlier = np.arange(stop) < np.arange(start, stop)[:, None]
            products = np.where(earlier, all_products(block, chosen.block(0, stop)), -np.inf)
            found.similarity[rows[start:stop]] = products.max(axis=1)
            found.nearest[rows[start:stop]] = np.where(earlier.any(axis=1), products.argmax(axis=1), -1)
        return found

    def update(self, rows: Rows, since: int) -> None:
        """Compare rows that are not chosen with what was chosen after the first ``since``."""
        if len(rows):
            self._compare(rows, self.vectors.take(self.rows[since:]), self._given + since)

    def _compare(self, rows: Rows, others: Vectors, first: int) -> None:
        found = neighbours.nearest(self.vectors.take(rows), others, 1)
        closer = found.score > self.similarity[rows]
        self.similarity[rows[closer]] = found.score[closer]
        self.nearest[rows[closer]] = found.right[closer] + first


class Quotas:
    """How many more documents of each label may be chosen; those that are full take no part.

    A budget is dealt out to the labels in turn, in their order, one document each, as long as they have any: so labels
    have equal parts as far as their documents allow, and documents without a label are one more.
    """

    def __init__(self, labels: pl.Series, budget: int) -> None:
        self.code = labels.rank("dense").fill_null(0).to_numpy().astype(np.int64)
        documents = np.bincount(self.code)
        self.left = np.zeros(len(documents), np.int64)
        rest = min(budget, len(labels))
        while rest:
            there = np.flatnonzero(self.left < documents)[:rest]
            given = np.minimum(rest // len(there), documents[there] - self.left[there])
            self.left[there] += given
            rest -= int(given.sum())

    @property
    def total(self) -> int:
        return int(self.left.sum())

    def full(self) -> Rows:
        """The rows of labels that have no place left."""
        return np.flatnonzero(self.left[self.code] == 0)

    def take(self, row: int) -> Rows:
        """Give a row its place; the rows whose label has none left by that."""
        code = self.code[row]
        self.left[code] -= 1
        return np.empty(0, np.int64) if self.left[code] else np.flatnonzero(self.code == code)


def lazily(
    bounds: Values, quotas: Quotas, refresh: Refresh, choose: Callable[[int], None], *, least: float = -np.inf
) -> Values:
    """Choose rows one after another, each time that of the largest value, of equal ones the first.

    Values only fall as more is chosen, so that one worked out earlier bounds that of now: only rows whose bound is over
    the largest value are worked out anew (Minoux 1978), and the choice is that of working out all. ``bounds`` are the
    values (n,) before anything is chosen. Ends where the quotas are full, or no value is above ``least``.

    Returns (n,) the value that each row had when it was chosen; of the others, given all that are.
    """
    values, final = bounds.copy(), bounds.copy()
    seen = np.zeros(len(values), np.int64)  # how many were chosen when the value was worked out
    chosen, last_seen = np.zeros(len(values), bool), seen.copy()

    def work_out(rows: Rows, count: int) -> None:
        """Those together that have missed about as many choices: what one has seen need not be seen again."""
        rows = np.sort(rows[seen[rows] < count])
        missed = np.frexp(count - seen[rows])[1]  # the power of two
        for power in np.unique(missed):
            some = rows[missed == power]
            values[some] = refresh(some, seen[some])
        seen[rows] = count

    def set_aside(rows: Rows) -> None:
        rows = rows[seen[rows] < NEVER]
        final[rows], last_seen[rows] = values[rows], seen[rows]
        values[rows], seen[rows] = -np.inf, NEVER

    set_aside(quotas.full())
    for count in range(quotas.total):
        size = FIRST
        while seen[best := int(values.argmax())] < count:
            top = np.argpartition(values, -size)[-size:] if size < len(values) else np.arange(len(values))
            work_out(top, count)
            size *= 2
        if values[best] <= least:
            break
        chosen[best] = True
        set_aside(np.append(quotas.take(best), best))
        choose(best)
    full = np.flatnonzero(~chosen & (seen == NEVER))
    values[full], seen[full] = final[full], last_seen[full]
    others = np.flatnonzero(~chosen)
    work_out(others, int(chosen.sum()))
    final[others] = values[others]
    return final


def ranking(
    candidates: Relation, pool: Documents, chosen: Chosen, columns: Mapping[str, Values], given: Documents | None = None
) -> pa.Table:
    """A row per candidate, in their order: its keys, ``rank``, the columns, ``similarity`` and the partner's keys.

    The partner is the nearest of those chosen before, ``similarity`` the cosine to it. NULL for what has no direction,
    and ``rank`` for what is not chosen. ``columns`` have a value per document of ``pool``, NaN for NULL.
    """
    rank = np.zeros(len(pool), np.int64)
    rank[chosen.rows] = np.arange(1, len(chosen.rows) + 1)
    values = {"rank": pl.Series(rank).replace(0, None)} | {
        name: pl.Series(column, dtype=pl.Float64).fill_nan(None) for name, column in columns.items()
    }
    partner = pl.Series(chosen.nearest).replace(-1, None)
    values["similarity"] = pl.Series(chosen.similarity).set(partner.is_null(), None)
    centres = pool.keys[chosen.rows]
    if given is not None:
        centres = pl.concat([given.keys, centres], how="diagonal_relaxed")
    values |= {f"partner_{name}": centres[name].gather(partner) for name in pool.keys.columns}
    found = pl.DataFrame({"row": pool.rows} | values, schema_overrides={"row": pl.UInt32})
    keys = candidates.select(key_of(candidates)).with_row_index("row")
    result = keys.join(found, on="row", how="left", maintain_order="left").drop("row")
    table: pa.Table = result.to_arrow(compat_level=pl.CompatLevel.newest())
    return table


def check_budget(function: str, budget: int | None) -> int:
    """Raises QueryError where there is none, as nothing else ends the choice, or it is below 1."""
    if budget is None:
        raise QueryError(f"{function} needs a budget, the number of documents to choose: budget := 1000")
    check_whole_number(function, "budget", budget, least=1)
    return budget


def check_number(function: str, name: str, value: float, low: float, high: float) -> None:
    """Raises QueryError for a number outside [low, high], or that is not finite."""
    if not (low <= value <= high and np.isfinite(value)):
        told = f"of {low:g} to {high:g}" if np.isfinite(high) else f"of at least {low:g}, and finite,"
        raise QueryError(f"{function}: {name} is {value}; a number {told} is needed")


def relevant(
    function: str, target: Relation, candidates: Relation, column: str | None, *, labels: bool
) -> tuple[Documents, Values]:
    """The candidates that have a direction and a relevance, and the latter, (n,).

    It is what ``column`` of the candidates says, else the cosine to the nearest target document: without one, no
    candidate has any. Raises QueryError for a column that is not there or not of numbers.
    """
    pool = Documents.of(function, "candidates", candidates, labels=labels)
    if column is None:
        wanted = Documents.of(function, "target", target)
        check_encoder(function, wanted, pool)
        if not len(wanted):
            return pool.take(np.empty(0, np.int64)), np.empty(0)
        return pool, neighbours.nearest(pool.vectors, wanted.vectors, 1).score.astype(np.float64)
    if column not in candidates.columns:
        raise QueryError(
            f"{function}: relevance is {column!r}; the candidates have the columns: {', '.join(candidates.columns)}"
        )
    given = candidates.select([column])[column]
    if not given.dtype.is_numeric():
        raise QueryError(f"{function}: relevance is {column!r}, a column of {given.dtype}; numbers are needed")
    values = given.cast(pl.Float64).fill_null(np.nan).to_numpy()[pool.rows]
    there = np.flatnonzero(np.isfinite(values))
    return pool.take(there), values[there]
