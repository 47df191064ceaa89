"""Importance weights of documents by the n-grams of a target: DSIR, made fit for short texts and small targets."""

import numpy as np
import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.functions._ngrams import Weights, counted, groups, hashed_ngrams
from curator.functions._results import check_texts, check_whole_number, key_of
from curator.relation import Relation


def dsir(
    target: Relation, candidates: Relation, *, by: str | None = None, ngrams: int = 2, buckets: int = 100_000,
    smoothing: float = 30_000.0,
) -> pa.Table:  # fmt: skip
    """How much likelier a candidate's n-grams are in the target than among the candidates.

    After Xie et al., Data Selection for Language Models via Importance Resampling (NeurIPS 2023): the n-grams of 1 to
    ``ngrams`` tokens are hashed to ``buckets``, and

        log w = Σ over the document's n-grams of log(p_target / p_candidates)

    with two changes. The target's few documents do not say that an n-gram which they lack is impossible: p_target is
    smoothed towards the candidates' distribution by ``smoothing`` n-grams of it (Dirichlet prior, Zhai and Lafferty,
    TOIS 2004); the paper adds 1e-8 to each probability, by which a document is judged by how many n-grams the target
    lacks. And log w grows with the length of a text, so that it favours the longest or the shortest: ``score`` is log w
    over the number of n-grams and as many neutral ones as the mean candidate has, which leaves it finite and small for
    a text of a word. No text is too short to be weighed; one without n-grams has log w and score 0, and so has every
    text where the target has no rows.

    ``by`` names a column of the target, each value of which is a target of its own (``by := 'label'``).

    Returns a row per candidate (for each value of ``by``, in order): ``corpus`` (where the relation has it), ``id``,
    ``target`` (the value of ``by``, else NULL), ``log_weight`` (nats), ``ngrams`` (how many) and ``score`` (nats per
    n-gram). The result does not depend on the order of the rows.

    Raises QueryError for relations without texts, a target of texts without n-grams, or parameters out of range.
    """
    check_whole_number("dsir", "ngrams", ngrams, least=1)
    check_whole_number("dsir", "buckets", buckets, least=2)
    if not 0 < smoothing < float("inf"):
        raise QueryError(f"dsir: smoothing is {smoothing}; a number of n-grams above 0 is needed")
    if "id" not in candidates.columns:
        raise QueryError(f"dsir needs a column 'id'; the relation has: {', '.join(candidates.columns)}")
    targets = {name: counted(texts, ngrams, buckets) for name, texts in groups("dsir", target, by).items()}
    for name, counts in targets.items():
        if not counts.any() and len(target):
            raise QueryError(f"dsir: the target{'' if name is None else f' {name!r}'} has no text with a word in it")
    parts = list(hashed_ngrams(check_texts("dsir", candidates), ngrams, buckets, candidates.engine))
    pool = sum((part.counts(buckets) for part in parts), np.zeros(buckets))
    sizes = np.concatenate([part.sizes for part in parts])
    keys = candidates.select(key_of(candidates))
    mean = max(1.0, float(sizes.mean())) if len(sizes) else 1.0
    rows = []
    for name, counts in targets.items():
        ratios = _log_ratios(counts, pool, smoothing)
        log_weight = pl.Series(np.concatenate([part.sums(ratios) for part in parts]), dtype=pl.Float64)
        rows.append(
            keys.with_columns(
                pl.lit(name, pl.String).alias("target"),
                log_weight.alias("log_weight"),
                pl.Series("ngrams", sizes),
                (log_weight / (sizes + mean)).alias("score"),
            )
        )
    table: pa.Table = pl.concat(rows).to_arrow(compat_level=pl.CompatLevel.newest())
    return table


def _log_ratios(target: Weights, pool: Weights, smoothing: float) -> Weights:
    """(buckets,) log(p_target / p_pool) for counts of n-grams; 0 for what the pool does not have."""
    ratios = np.zeros(len(pool))
    there = pool > 0
    share = pool[there] / pool.sum()
    ratios[there] = np.log((target[there] + smoothing * share) / (target.sum() + smoothing)) - np.log(share)
    return ratios
