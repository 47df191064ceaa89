"""Documents that lie far from each other: the centres that leave no document far from all of them."""

import numpy as np
import pyarrow as pa

from curator.errors import QueryError
from curator.functions._documents import Documents, check_encoder
from curator.functions._greedy import Chosen, Quotas, Values, check_budget, lazily, ranking
from curator.relation import Relation
from curator.vectors import Rows


def k_center(
    target: Relation, candidates: Relation, budget: int | None = None, *, start: str = "target", balanced: bool = False
) -> pa.Table:
    """The candidates farthest first: each time that whose nearest centre so far is the farthest away.

    Of Gonzalez (Theoretical Computer Science 38, 1985): the largest distance of a candidate to its nearest centre is at
    most twice that of the best choice of as many centres. Distances are those between ends of unit vectors,
    √(2 − 2 cosine), which obey the triangle inequality. With ``start := 'target'`` the target's documents are given
    centres that count for nothing in the budget, as the labelled ones in core-set selection (Sener and Savarese, ICLR
    2018); with ``'pool'``, and where the target is empty, the first centre is the first candidate by corpus and id. Of
    candidates equally far the first by corpus and id is chosen. It looks for what is unlike the rest, outliers first.
    With ``balanced``, labels have equal parts of the budget as far as they have candidates, and a candidate of a full
    label is passed over; the bound then does not hold.

    Returns a row per candidate, in their order: ``corpus`` (where the relation has it), ``id``, ``rank`` (1 for the
    first chosen, NULL where it is not), ``score`` (distance to the nearest centre before it was chosen; of the others,
    to the nearest of all), ``similarity`` (the cosine to that centre), ``partner_corpus`` and ``partner_id`` (that
    centre). A vector of zeros has no direction: NULL but for its keys. The result does not depend on the order of the
    rows.

    Raises QueryError without a budget, for another ``start``, and for relations without ids or vectors.
    """
    budget = check_budget("k_center", budget)
    if start not in ("pool", "target"):
        raise QueryError(f"k_center: start is {start!r}; it must be 'pool' or 'target'")
    pool = Documents.of("k_center", "candidates", candidates, labels=balanced)
    given = None
    if start == "target":
        given = Documents.of("k_center", "target", target)
        check_encoder("k_center", given, pool)
    chosen = Chosen(pool.vectors, None if given is None else given.vectors)

    def farness(rows: Rows, seen: Rows) -> Values:
        chosen.update(rows, int(seen.min()))
        return -chosen.similarity[rows].astype(np.float64)

    lazily(-chosen.similarity.astype(np.float64), Quotas(pool.labels, budget), farness, chosen.rows.append)
    distance = np.sqrt(np.maximum(2 - 2 * chosen.similarity.astype(np.float64), 0))
    distance[chosen.nearest < 0] = np.nan
    return ranking(candidates, pool, chosen, {"score": distance}, given)
