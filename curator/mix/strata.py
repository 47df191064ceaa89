"""What documents are drawn by, so that each label comes in, or each part of the range where labels are numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.documents import told_label

BINS = 5  # by quantiles, where labels are numbers

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Which = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Stratum:
    """``members``: (n,) which documents it has. ``is_label``: not those without any label of several."""

    name: str
    members: Which
    is_label: bool = True

    def __len__(self) -> int:
        return int(self.members.sum())


def strata(labels: pl.Series, among: pl.Series | None = None) -> list[Stratum]:
    """The strata of n documents with labels of one kind; those of single labels and of numbers are disjoint.

    A name for each document: one for each name, in order. A list: one for each label, the rarest first, as Sechidis,
    Tsoumakas and Vlahavas (2011) take them, and at last the documents of the empty set. A number: ``BINS`` by the
    quantiles of the numbers that it is ``among``, else of these, as far as they differ.
    """
    if labels.dtype.is_float():
        known = labels if among is None else among
        edges = quantiles(known)
        places, names = bins(labels, edges), bin_names(known, edges)
        found = [Stratum(f"the bin {name}", places == place) for place, name in enumerate(names)]
        return [one for one in found if len(one)]
    if not labels.dtype.is_nested():
        return [Stratum(f"label {name!r}", (labels == name).to_numpy()) for name in labels.unique().sort()]
    sets = [frozenset(label) for label in labels.to_list()]
    found = [
        Stratum(f"label {name!r}", np.array([name in own for own in sets], bool)) for name in sorted(set().union(*sets))
    ]
    found.sort(key=len)  # stable: of equally many by name
    empty = np.array([not own for own in sets], bool)
    return [*found, Stratum("the empty set of labels", empty, is_label=False)] if empty.any() else found


def drawn(of: list[Stratum], order: Rows, wanted: Callable[[int], int]) -> Rows:
    """Positions of documents, ascending: of each stratum of n documents ``wanted(n)``, as far as it has them.

    Greedily, stratum by stratum: those that others took already count, and what is lacking comes in the given order. So
    a stratum that overlaps with others may get more, and never fewer.
    """
    chosen = np.zeros(len(order), bool)
    for one in of:
        mine = order[one.members[order]]
        lacking = wanted(len(mine)) - int(chosen[mine].sum())
        chosen[mine[~chosen[mine]][: max(lacking, 0)]] = True
    return np.flatnonzero(chosen)


def in_turn(of: Sequence[Rows]) -> Rows:
    """All documents that some queues have, one of each queue in turn: the first that no other has taken yet.

    A queue that runs out leaves its place to the others.
    """
    queues = [iter(rows.tolist()) for rows in of]
    taken = dict[int, None]()
    while queues:
        going = []
        for queue in queues:
            following = next((row for row in queue if row not in taken), None)
            if following is not None:
                taken[following] = None
                going.append(queue)
        queues = going
    return np.array(list(taken), np.int64)


def label_groups(labels: pl.Series, among: pl.Series | None = None) -> pl.Series:
    """(n,) what each label is counted under: itself, its whole set, or its bin; NULL where there is none.

    The bins are those of the numbers that it is ``among``, else of these.
    """
    if labels.dtype.is_float():
        known = (labels if among is None else among).drop_nulls()
        if not len(known):
            return labels.cast(pl.String)
        edges = quantiles(known)
        names = pl.Series(labels.name, bin_names(known, edges))
        return names.gather(pl.Series(bins(labels.fill_null(0.0), edges))).set(labels.is_null(), None)
    if labels.dtype.is_nested():
        return pl.Series(labels.name, [told_label(label) for label in labels.to_list()], dtype=pl.String)
    return labels


def quantiles(numbers: pl.Series) -> Floats:
    """The inner edges of ``BINS`` bins of about equally many numbers; fewer where quantiles are equal."""
    values = numbers.to_numpy()
    edges: Floats = np.unique(np.quantile(values, np.arange(1, BINS) / BINS))
    above: Floats = edges[edges > values.min()]
    return above


def bins(numbers: pl.Series, edges: Floats) -> Rows:
    """(n,) the bin of each number, from 0; an edge belongs to the bin above it."""
    return np.searchsorted(edges, numbers.to_numpy(), side="right").astype(np.int64)


def bin_names(numbers: pl.Series, edges: Floats) -> list[str]:
    """From where to where each bin goes, of those that some numbers are in."""
    bounds = [float(numbers.min()), *edges.tolist(), float(numbers.max())]  # type: ignore[arg-type]  # of floats
    return [f"{told_label(low)} to {told_label(high)}" for low, high in pairwise(bounds)]
