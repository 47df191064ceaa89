"""What an index is, what was asked of it, and the recall that it was measured to have."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import numpy as np

from curator.neighbours import KINDS, Kind

DEPTHS = (10, 100)  # neighbours that recall is measured at; a search for more is exact
CERTAIN = 1.96  # standard errors of a 95 % interval

Wanted = Literal["auto", "flat"] | Kind
WANTED: tuple[Wanted, ...] = ("auto", "flat", *KINDS)


@dataclass(frozen=True)
class Wish:
    """What a person asks of an index."""

    recall: float = 0.99
    kind: Wanted = "auto"
    memory: float | None = None  # GiB that the index and its building may take; None: half of what is free
    expected: int | None = None  # queries that it is for; None: so many that the time to build it does not count


@dataclass(frozen=True)
class Promise:
    """For up to ``k`` neighbours: how far a search reads, and what was measured with that on other queries."""

    k: int
    reach: int  # lists read, or nodes of a graph held
    factor: int  # candidates compared for each neighbour
    queries: int
    recall: float  # mean recall@k
    low: float  # its 95 % interval
    high: float
    seconds: tuple[float, float]  # of one query, and of each of many

    def __str__(self) -> str:
        return f"recall@{self.k} {self.recall:.3f} ({self.low:.3f} to {self.high:.3f}) on {self.queries:,} queries"


@dataclass(frozen=True)
class Measured:
    """An index as it was built. ``kind`` flat is no index: exact search was found to be the better way."""

    wish: Wish
    kind: Literal["flat"] | Kind
    why: str  # this kind
    rows: int
    dimension: int
    lists: int
    entries: int  # that it was ever given
    dead: int  # entries whose row is gone
    zeros: int  # rows of length zero, whose cosine is undefined
    size: int  # bytes on disk
    source: str  # what the queries were that it was measured on: '' for rows of its own, a corpus, or 'vectors'
    did: str  # what the last call had to do
    promises: tuple[Promise, ...]
    exact_seconds: tuple[float, float]  # of one query, and of each of many
    sha256: dict[str, str] = field(default_factory=dict)  # of its files

    def promise(self, k: int) -> Promise | None:
        """What holds for k neighbours; None for more than were measured."""
        return next((promise for promise in self.promises if k <= promise.k), None)

    def told(self, k: int) -> str:
        """The index, and what it promises a search for k neighbours."""
        promise = self.promise(k)
        if promise is None:
            return (
                f"no index ({self.why})" if self.kind == "flat" else f"{self.kind}, not measured for {k:,} neighbours"
            )
        read = f"{promise.reach:,} of {self.lists:,} lists read" if self.lists else f"efSearch {promise.reach:,}"
        more = f", {promise.factor} candidates a neighbour" if promise.factor > 1 else ""
        asked = f"{self.source or 'of its own rows'}; asked {self.wish.recall:g}"
        return f"{self.kind}, {read}{more}: {promise} ({asked})"

    def __str__(self) -> str:
        return self.told(DEPTHS[0])

    def json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Measured":
        """From what ``json`` gave, after it was JSON. Raises TypeError or KeyError for something else."""
        values = {name: told[name] for name in (one.name for one in fields(cls))}
        promises = (Promise(**{**one, "seconds": tuple(one["seconds"])}) for one in told["promises"])
        wish, exact = Wish(**told["wish"]), tuple(told["exact_seconds"])
        return cls(**{**values, "wish": wish, "promises": tuple(promises), "exact_seconds": exact})


def interval(recall: float, queries: int, errors: float = CERTAIN) -> tuple[float, float]:
    """Wilson's interval of a mean recall over queries (Wilson 1927, equation 3), ``errors`` standard errors wide.

    The hits of one query are not independent of each other, so the queries are what is counted, not the hits. A mean of
    values between 0 and 1 varies at most as one of zeros and ones does: the interval is on the safe side, and it has
    a width where every neighbour was found, too.
    """
    square = errors**2
    middle = (recall + square / (2 * queries)) / (1 + square / queries)
    half = errors / (1 + square / queries) * np.sqrt(recall * (1 - recall) / queries + square / (4 * queries**2))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
