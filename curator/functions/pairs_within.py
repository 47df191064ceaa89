"""Every pair of documents that is close enough, however many neighbours that gives one of them."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pyarrow as pa

from curator import neighbours
from curator.errors import QueryError
from curator.functions._results import check_pairs, key_of
from curator.neighbours import Edges
from curator.relation import Relation
from curator.vectors import Vectors


def pairs_within(
    left: Relation, right: Relation | None = None, *, min_score: float, max_pairs: int = 2_000_000_000_000
) -> pa.Table:
    """All pairs whose cosine is at least ``min_score``: what a NEAREST join cuts at k is complete here.

    Without ``right``, the pairs within ``left``, each once, the document that is first by corpus and id on the left.
    Returns ``left_id, right_id, score``, with ``left_corpus`` and ``right_corpus`` where the relations have a column
    ``corpus``, in order of the left document and then the right. Every vector is compared with every other, a block
    of left documents at a time; what is held is the result, 12 bytes a pair (20 with the corpora) beside the keys
    themselves, which its columns hold once, as dictionaries: a low threshold on a large relation may still give more
    pairs than there is memory.

    Raises QueryError for a threshold outside [−1, 1], a relation without ``id``, vectors of different dimensions, and,
    with an estimate of the time, for more than ``max_pairs`` pairs to compare: those within 2 million documents.
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
    n = len(left)
    compared = n * (n - 1) // 2 if right is None else n * len(other)
    check_pairs("pairs_within", compared, max_pairs, left.vectors.dimension)
    sides = _keys(left.frame, "left"), _keys(other.frame, "right")
    vectors = left.vectors.unit(), None if right is None else other.vectors.unit()
    batches = []
    for edges in _blocks(*vectors, min_score):
        columns: dict[str, pa.Array] = {}
        for keys, rows in zip(sides, (edges.left, edges.right), strict=True):
            chosen = pa.array(rows)
            columns |= {name: values.take(chosen) for name, values in keys.items()}
        batches.append(pa.record_batch(columns | {"score": pa.array(edges.score)}))
    return pa.Table.from_batches(batches)


def _blocks(left: Vectors, right: Vectors | None, min_score: float) -> Iterator[Edges]:
    """All pairs in order of the left row and then the right, one block of left rows after another; at least one."""
    yield neighbours.concat([])
    for start in range(0, len(left), neighbours.LEFT_BLOCK):
        part = left.take(np.arange(start, min(start + neighbours.LEFT_BLOCK, len(left))))
        other = right if right is not None else left.take(np.arange(start, len(left)))
        edges = neighbours.concat(list(neighbours.pairs_within(part, other, min_score)))
        if right is not None:
            yield Edges(edges.left + start, edges.right, edges.score, edges.rank)
        else:
            once = edges.left < edges.right  # both count from start
            yield Edges(edges.left[once] + start, edges.right[once] + start, edges.score[once], edges.rank[once])


def _by_key(relation: Relation, side: str) -> Relation:
    """The relation in order of corpus and id, so that which comes first does not depend on where a row stands."""
    if "id" not in relation.columns:
        raise QueryError(f"pairs_within: the {side} relation has no column 'id'")
    key = key_of(relation)
    order = relation.select(key).with_row_index("row").sort(key, maintain_order=True)["row"]
    return relation.take(order.to_numpy())


def _keys(frame: pl.DataFrame, side: str) -> dict[str, pa.Array]:
    """The key columns of a side, text as a dictionary: a pair then holds 4 bytes for a key of any length."""
    names = key_of(frame)
    columns = {f"{side}_{name}": frame[name].to_arrow() for name in names}
    return {
        name: values.dictionary_encode() if pa.types.is_large_string(values.type) else values
        for name, values in columns.items()
    }
