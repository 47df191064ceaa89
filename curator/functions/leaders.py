"""Near duplicates by the leader rule: whatever is dropped is close to something that is kept."""

import polars as pl
import pyarrow as pa

from curator import neighbours
from curator.errors import QueryError
from curator.functions._leading import LOOK, Leading, alarm, precedence
from curator.functions._results import check_pairs
from curator.relation import Relation
from curator.vectors import Vectors


def leaders(
    candidates: Relation, *, min_score: float = 0.95, priority: str | None = None, max_pairs: int = 2_000_000_000_000
) -> pa.Table:
    """The kept document that each near duplicate stands for.

    Documents are taken in order: the sources that ``priority`` names (separated by commas), then the others, by
    corpus and id. One whose cosine to an earlier *leader* is at least ``min_score`` is a near duplicate of it; any
    other becomes a leader. So no two leaders are that close, and similarity is not passed on through documents that
    are themselves dropped (as it is in SemDeDup's code).

    Returns ``corpus, id, leader_corpus, leader_id, similarity``, a row per candidate in their order. The leader of a
    near duplicate is the most similar of those before it; a leader's own three last columns are NULL. The result does
    not depend on the order of the rows. All pairs are compared, a block of pairs in memory at a time: time grows with
    the square of the number of documents.

    Raises QueryError for a threshold outside (0, 1], missing columns, a ``priority`` without a column ``source``, and,
    with an estimate of the time, for more than ``max_pairs`` pairs, which are those of 2 million documents.
    Warns when a source of 50 documents or more loses over 30 %, and of names in ``priority`` that are no source.
    """
    if not 0 < min_score <= 1:
        raise QueryError(f"leaders: min_score is {min_score}; a cosine above 0, at most 1, is needed")
    n = len(candidates)
    check_pairs("leaders", n * (n - 1) // 2, max_pairs, candidates.dimension if n else 0)
    frame = candidates.frame
    order = precedence("leaders", frame, priority)
    found = _assign(candidates.vectors.unit().take(order), min_score).table(frame, order)
    found = found.with_columns(pl.col("similarity").cast(pl.Float32))
    what = f"near duplicates at cosine {min_score}"
    alarm(frame, found["leader_id"].is_not_null(), what, f"{LOOK} this encoder")
    table: pa.Table = found.to_arrow()
    return table


def _assign(vectors: Vectors, min_score: float) -> Leading:
    """The leaders among vectors in order of precedence.

    Only the pairs of one block are held, so a corpus of one text repeated does not fill the memory. This needs pairs
    in blocks of rising left rows, the pairs within a block of rows before those with later ones.
    """
    leading = Leading(len(vectors))
    for edges in neighbours.pairs_within(vectors, None, min_score):
        leading.add(edges.left, edges.right, edges.score)
    return leading
