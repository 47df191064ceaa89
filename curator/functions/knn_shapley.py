"""What each candidate is worth to a classifier by nearest neighbours: its Shapley value."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curator import neighbours
from curator.errors import QueryError
from curator.functions._documents import Documents, check_encoder, labelled
from curator.functions._labelled import table
from curator.functions._results import check_whole_number
from curator.nearest import duration
from curator.relation import Relation
from curator.vectors import Rows

EDGES = 2**22  # neighbours held at once, where only the nearest are ranked
RANKED_PER_SECOND = 15e6  # pairs that one core compares, sorts and values

Values = npt.NDArray[np.float64]


def knn_shapley(
    judges: Relation, candidates: Relation, *, k: int = 5, max_error: float = 0.0, max_pairs: int = 20_000_000_000
) -> pa.Table:
    """How much each candidate adds to the accuracy of a k-nearest-neighbour classifier on the judges.

    The candidates are the players of a game: what a set of them is worth to a judge (a document of dev, or of the
    target) is the share of its k nearest neighbours by cosine in the set that have its label, of k even where there are
    fewer. A candidate's Shapley value is what it adds, in the mean over all orders in which the set can come together;
    the exact recursion over the ranking is that of Jia et al., Efficient Task-Specific Data Valuation for Nearest
    Neighbor Algorithms (VLDB 2019, theorem 1). ``value`` is the mean over the judges: above 0 a candidate helps, below
    0 it is in the way of others that have the right label. All values together are the accuracy with all candidates.

    Of equal cosines the first by corpus and id is nearer. Nothing is fitted on the judges, so target documents may be
    judges as well as those of dev. With ``max_error`` above 0 only the nearest max(k, 1 / max_error) candidates of each
    judge are ranked, and those beyond count 0 (theorem 2): no value is further off than ``max_error``, and of those
    ranked by one judge none changes its place.

    Returns a row per candidate: ``corpus`` (where the relation has it), ``id``, ``value``, ``max_error`` (how far off
    it may be: 0 where all were ranked). NULL for a candidate without a label or of a vector of zeros, which takes no
    part, and for all where no judge has a label. The result does not depend on the order of the rows.

    Raises QueryError for relations without vectors or labels, parameters out of range and, where all are ranked, for
    more than ``max_pairs`` pairs, with an estimate of the time.
    """
    check_whole_number("knn_shapley", "k", k, least=1)
    check_whole_number("knn_shapley", "max_pairs", max_pairs, least=0)
    if not 0 <= max_error <= 1:
        raise QueryError(f"knn_shapley: max_error is {max_error}; it must be 0, for none, to 1")
    judging, players = labelled("knn_shapley", "judges", judges), labelled("knn_shapley", "candidates", candidates)
    check_encoder("knn_shapley", judging, players)
    if not len(players) or not len(judging):
        return table(candidates, np.empty(0, np.int64), {"value": np.empty(0), "max_error": np.empty(0)})
    ranked = max(k, math.ceil(1 / max_error)) if max_error else len(players)
    if ranked >= len(players):
        ranked = len(players)
        _check_pairs(len(players) * len(judging), max_pairs)
    names = sorted(set(judging.labels.to_list()))
    truth, labels = judging.codes(names), players.codes(names)
    values, cut = np.zeros(len(players)), ranked < len(players)
    factors = _factors(ranked, k)
    for label, nearest in zip(truth, _nearest(judging, players, ranked), strict=True):
        values[nearest] += _values(labels[nearest] == label, factors, cut=cut)
    bound = np.full(len(players), 1 / ranked if cut else 0.0)
    return table(candidates, players.rows, {"value": values / len(judging), "max_error": bound})


def _nearest(judges: Documents, players: Documents, ranked: int) -> Iterator[Rows]:
    """For each judge the (ranked,) positions of the nearest players, the nearest first."""
    if ranked == len(players):
        yield from neighbours.orders(judges.vectors, players.vectors)
        return
    step = max(1, EDGES // ranked)
    for start in range(0, len(judges), step):
        part = judges.vectors.take(np.arange(start, min(start + step, len(judges))))
        yield from neighbours.nearest(part, players.vectors, ranked).right.reshape(len(part), ranked)


def _factors(ranked: int, k: int) -> Values:
    """(ranked,) min(k, i) / (k i) for the places i from 1: how far the value falls or rises from one to the next."""
    places = np.arange(1, ranked + 1)
    return np.minimum(k, places) / (k * places)


def _values(agrees: npt.NDArray[np.bool_], factors: Values, *, cut: bool) -> Values:
    """(ranked,) values for one judge of players in order, from the last to the first; the last has 0 in a ``cut`` list.

    One comes to the value of the next by what it adds where the next would stand in its place.
    """
    right = agrees.astype(np.float64)
    steps = factors * (right - np.append(right[1:], 0.0))
    if cut:
        steps[-1] = 0.0
    values: Values = np.cumsum(steps[::-1])[::-1]
    return values


def _check_pairs(pairs: int, most: int) -> None:
    if pairs > most:
        raise QueryError(
            f"knn_shapley: {pairs:,} pairs would be ranked, which takes about {duration(pairs / RANKED_PER_SECOND)}; "
            f"max_pairs is {most:,}. Raise it if that is worth it, or rank the nearest 1,000 of each judge alone, with "
            "max_error := 0.001"
        )
