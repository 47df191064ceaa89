"""Every pair of documents that is close enough, however many neighbours that gives one of them."""

import numpy as np
import polars as pl
import pyarrow as pa

from curator import neighbours
from curator.errors import QueryError
from curator.relation import Relation


def pairs_within(left: Relation, right: Relation | None = None, *, min_score: float) -> pa.Table:
    """All pairs whose cosine is at least ``min_score``: what a NEAREST join cuts at k is complete here.

    Without ``right``, the pairs within ``left``, each once, the document that is first by corpus and id on the left.
    Returns ``left_id, right_id, score``, with ``left_corpus`` and ``right_corpus`` where the relations have a column
    ``corpus``. Every vector is compared with every other and all pairs found are held: a low threshold on a large
    relation gives more pairs than there is memory.

    Raises QueryError for a threshold outside [−1, 1], a relation without ``id``, or vectors of different dimensions.
    """
    if not -1 <= min_score <= 1:
        raise QueryError(f"pairs_within: min_score is {min_score}; a cosine, −1 to 1, is needed")
    left = _by_key(left, "left")
    other = left if right is None else _by_key(right, "right")
    if left.vectors.dimension != other.vectors.dimension:
        raise QueryError(
            f"pairs_within: the left vectors have {left.vectors.dimension} components and the right "
            f"{other.vectors.dimension}: they come from different encoders"
        )
    blocks = neighbours.pairs_within(left.vectors.unit(), None if right is None else other.vectors.unit(), min_score)
    edges = neighbours.concat(list(blocks))
    near = edges.score.astype(np.float64) >= min_score  # the search compares in single precision
    parts = [
        *(_keys(relation.frame[rows[near]], side)
          for relation, rows, side in ((left, edges.left, "left"), (other, edges.right, "right"))),
        pl.DataFrame({"score": edges.score[near]}),
    ]  # fmt: skip
    table: pa.Table = pl.concat(parts, how="horizontal").to_arrow()
    return table


def _by_key(relation: Relation, side: str) -> Relation:
    """The relation in order of corpus and id, so that which comes first does not depend on where a row stands."""
    if "id" not in relation.frame.columns:
        raise QueryError(f"pairs_within: the {side} relation has no column 'id'")
    key = [name for name in ("corpus", "id") if name in relation.frame.columns]
    order = relation.frame.select(key).with_row_index("row").sort(key, maintain_order=True)["row"]
    return relation.take(order.to_numpy())


def _keys(frame: pl.DataFrame, side: str) -> pl.DataFrame:
    return frame.select(pl.col(name).alias(f"{side}_{name}") for name in ("corpus", "id") if name in frame.columns)
