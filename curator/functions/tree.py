"""The way of each document through a tree of clusters."""

import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.functions._results import key_of
from curator.functions.clusters import clusters
from curator.relation import Relation


def tree(relation: Relation, counts: list[int] | None = None, *, resampling: int = 0, seed: int = 0) -> pa.Table:
    """The clusters of each document from the topmost down, in a tree with so many clusters at each level.

    ``counts``: from the lowest level up, decreasing, like [1000, 100, 10]; the tree is that of ``clusters``. With NULL
    there are no levels: the path of each is empty, and no vector is looked at.

    Returns a row per document, in their order: ``corpus`` (where the relation has it), ``id``, ``path``, the numbers of
    its clusters as text, and ``similarity``, its cosine to the centroid of the lowest. NULL for a vector of zeros.

    Raises QueryError for counts without a number in them, and as ``clusters`` does.
    """
    if counts is None:
        key = key_of(relation)
        path = pl.lit([], dtype=pl.List(pl.String)).alias("path")
        table: pa.Table = (
            relation.select(key)
            .with_columns(path, pl.lit(None, pl.Float32).alias("similarity"))
            .to_arrow(compat_level=pl.CompatLevel.newest())
        )
        return table
    if not counts or None in counts:
        raise QueryError(f"tree: counts is {counts}; numbers of clusters are needed, like [1000, 100, 10]")
    found = clusters(relation, counts[0], levels=counts[1:] or None, resampling=resampling, seed=seed)
    frame = pl.DataFrame(found).with_columns(pl.col("path").cast(pl.List(pl.String))).drop("cluster", "rank")
    result: pa.Table = frame.to_arrow(compat_level=pl.CompatLevel.newest())
    return result
