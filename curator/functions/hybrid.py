"""Vectors and words together: two rankings fused into one."""

import polars as pl
import pyarrow as pa

from curator.functions._results import check_question, check_whole_number, ranked_table
from curator.functions.bm25 import matching_hits
from curator.functions.search import nearest_hits
from curator.relation import Relation


def hybrid(corpus: Relation, text: str, k: int = 10, *, depth: int = 100, rrf: int = 60) -> pa.Table:
    """The k best documents of ``search`` and ``bm25`` together, by reciprocal rank fusion.

    score = Σ 1 / (rrf + rank) over the two lists, of which the first ``depth`` documents count, and at least k
    (Cormack, Clarke & Büttcher, SIGIR 2009, whose constant is 60). The scores of the lists are not compared, only
    their ranks: documents high in both come before those at the top of one.

    Returns ``corpus`` (where the relation has it), ``id``, ``score``, ``rank`` from 1, then of each list the rank and
    the score, ``vector_rank, cosine, bm25_rank, bm25``, NULL where a document is not among its first ``depth``; then
    the other columns of the relation. Among equal scores the earlier document comes first.

    Raises what ``search`` and ``bm25`` raise, and QueryError for a ``depth`` below 1 or an ``rrf`` below 0.
    """
    check_question("hybrid", corpus, text, k)
    check_whole_number("hybrid", "depth", depth, least=1)
    check_whole_number("hybrid", "rrf", rrf, least=0)
    depth = max(depth, k)
    near = nearest_hits("hybrid", corpus, text, depth).frame("cosine", "vector_rank")
    matching = matching_hits("hybrid", corpus, text, depth).frame("bm25", "bm25_rank")
    parts = [(1 / (rrf + pl.col(rank))).fill_null(0.0) for rank in ("vector_rank", "bm25_rank")]
    fused = (
        near.join(matching, on="row", how="full", coalesce=True)
        .with_columns(score=parts[0] + parts[1])
        .sort("score", "row", descending=[True, False])
        .head(k)
        .with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32))
    )
    return ranked_table(corpus, fused.select("row", "score", "rank", "vector_rank", "cosine", "bm25_rank", "bm25"))
