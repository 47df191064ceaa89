"""How much nearer to a target a selection is than what it was selected from: the audit figure of DSIR."""

import numpy as np
import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.functions._ngrams import Weights, counted, groups
from curator.functions._results import check_texts, check_whole_number
from curator.relation import Relation

ORDERS, BUCKETS = 2, 10_000  # the paper's
SMOOTHING = 1_000  # n-grams of the pool's distribution that a selection is given beside its own


def kl_reduction(
    target: Relation, pool: Relation, selected: Relation, *, by: str | None = None, seed: int = 0
) -> pa.Table:
    """KL(target ‖ pool) − KL(target ‖ selected), over hashed words and pairs of words.

    The data metric of Xie et al. (NeurIPS 2023, section 5), which over their selections correlated at r = 0.82 with
    what a model trained on them scored: positive where the selection is nearer to the target than its pool. So that no
    divergence is infinite, the pool gets one n-gram more, spread over all buckets, and the selection 1,000 n-grams of
    the pool's distribution, which draw the figure of a small one towards 0. ``random_reduction`` is that of as many
    documents of the pool drawn by ``seed``: what a selection that knows nothing of the target reaches.

    ``by`` names a column of the target, each value of which is a target of its own.

    Returns a row per target: ``target`` (the value of ``by``, else NULL), ``documents`` (of the target), ``kl_pool``,
    ``kl_selected``, ``reduction`` and ``random_reduction``, in nats.

    Raises QueryError for relations without texts or without rows, and for a selection larger than its pool.
    """
    check_whole_number("kl_reduction", "seed", seed, least=0)
    texts = {"pool": check_texts("kl_reduction", pool), "selected": check_texts("kl_reduction", selected)}
    targets = groups("kl_reduction", target, by)
    for role, part in (*texts.items(), *(("target", part) for part in targets.values())):
        if not len(part):
            raise QueryError(f"kl_reduction: {role} has no rows")
    if len(texts["selected"]) > len(texts["pool"]):
        raise QueryError(
            f"kl_reduction: {len(texts['selected']):,} documents are selected of {len(texts['pool']):,}; the relations "
            "are the target, the pool and the selection, in this order"
        )
    drawn = np.random.default_rng(seed).choice(len(texts["pool"]), len(texts["selected"]), replace=False)
    texts["random"] = texts["pool"].sort().gather(np.sort(drawn))
    counts = {name: counted(part, ORDERS, BUCKETS) for name, part in texts.items()}
    base = _shares(counts["pool"] + 1 / BUCKETS)
    shares = {"pool": base} | {name: _shares(counts[name] + SMOOTHING * base) for name in ("selected", "random")}
    rows = []
    for name, part in targets.items():
        own = counted(part, ORDERS, BUCKETS)
        if not own.any():
            raise QueryError(
                f"kl_reduction: the target{'' if name is None else f' {name!r}'} has no text with a word in it"
            )
        divergence = {other: _divergence(_shares(own), share) for other, share in shares.items()}
        rows.append(
            {
                "target": name,
                "documents": len(part),
                "kl_pool": divergence["pool"],
                "kl_selected": divergence["selected"],
                "reduction": divergence["pool"] - divergence["selected"],
                "random_reduction": divergence["pool"] - divergence["random"],
            }
        )
    table: pa.Table = pl.DataFrame(rows, schema_overrides={"target": pl.String}).to_arrow()
    return table


def _shares(counts: Weights) -> Weights:
    shares: Weights = counts / counts.sum()
    return shares


def _divergence(target: Weights, other: Weights) -> float:
    there = target > 0
    return float(np.sum(target[there] * np.log(target[there] / other[there])))
