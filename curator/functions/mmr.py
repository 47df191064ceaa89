"""Maximal marginal relevance: documents that are relevant and unlike those chosen before them."""

import numpy as np
import pyarrow as pa

from curator.functions._greedy import Chosen, Quotas, Values, check_budget, check_number, lazily, ranking, relevant
from curator.relation import Relation
from curator.vectors import Rows

LEAST = -2.0  # below any cosine: before anything is chosen, a value bounds what it will be


def mmr(
    target: Relation, candidates: Relation, budget: int | None = None, *, trade_off: float = 0.5,
    relevance: str | None = None, balanced: bool = False,
) -> pa.Table:  # fmt: skip
    """Candidates in the order of Carbonell and Goldstein (SIGIR 1998), each time that of the largest

        trade_off · relevance − (1 − trade_off) · largest cosine to what is chosen

    where ``trade_off`` is the paper's λ: 1 is relevance alone, 0 is unlikeness alone. The first is the most relevant;
    of equal ones the first by corpus and id. ``relevance`` names a column of the candidates, which should be on the
    scale of a cosine; without it, it is the cosine to the nearest target document. The values of all candidates count:
    as they only fall, few must be worked out for a choice (see ``lazily``). With ``balanced``, labels have equal parts
    of the budget as far as they have candidates, and a candidate of a full label is passed over.

    Returns a row per candidate, in their order: ``corpus`` (where the relation has it), ``id``, ``rank`` (1 for the
    first chosen, NULL where it is not), ``score`` (the value above, as it was chosen; of the others, given all chosen),
    ``relevance``, ``similarity``, ``partner_corpus`` and ``partner_id`` (the nearest of those chosen before). What has
    no relevance, or a vector of zeros, has NULL but for its keys. The result does not depend on the order of the rows.

    Raises QueryError without a budget, for a trade_off outside [0, 1], for a column that is not there or not of
    numbers, and for relations without ids or vectors.
    """
    budget = check_budget("mmr", budget)
    check_number("mmr", "trade_off", trade_off, 0, 1)
    pool, wanted = relevant("mmr", target, candidates, relevance, labels=balanced)
    chosen = Chosen(pool.vectors)

    def marginal(rows: Rows, seen: Rows) -> Values:
        chosen.update(rows, int(seen.min()))
        likest = np.maximum(chosen.similarity[rows].astype(np.float64), LEAST)
        return trade_off * wanted[rows] - (1 - trade_off) * likest

    bounds = trade_off * wanted - (1 - trade_off) * LEAST
    score = lazily(bounds, Quotas(pool.labels, budget), marginal, chosen.rows.append)
    first = chosen.rows[:1]
    score[first] = trade_off * wanted[first]  # there was nothing to be like
    return ranking(candidates, pool, chosen, {"score": score, "relevance": wanted})
