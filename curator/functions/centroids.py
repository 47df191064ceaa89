"""The mean direction of a relation's vectors, or of each group of them."""

import numpy as np
import polars as pl
import pyarrow as pa
from scipy import sparse

from curator.errors import QueryError
from curator.relation import Relation, vector_column
from curator.vectors import Vectors

BLOCK = 65_536  # rows summed at once


def centroids(relation: Relation, *, by: str | None = None) -> pa.Table:
    """The centroid of the vectors of each value of a column, or of all: their mean, each first made of length one.

    Returns a row for each value of ``by``, in order, a NULL among them first: ``centroid`` (the value as text, NULL
    without ``by``), ``documents`` and ``embedding``, of length one; of zeros where the directions cancel out. A
    document's cosine to it is the mean cosine to the group's documents but for a factor (Rocchio 1971). The result does
    not depend on the order of the rows but for rounding. A relation without rows gives none.

    Raises QueryError for a relation without vectors or without the column.
    """
    if not relation.can_embed:
        raise QueryError("centroids: the relation has no vectors; name a corpus, or a SELECT with 'embedding'")
    if by is not None and by not in relation.columns:
        raise QueryError(f"centroids: by is {by!r}; the relation has: {', '.join(relation.columns)}")
    values = pl.Series("centroid", [None] * len(relation), dtype=pl.String)
    if by is not None:
        values = relation.select([by])[by].cast(pl.String).alias("centroid")
    groups = pl.DataFrame(values).group_by("centroid").len("documents").sort("centroid")
    number = pl.DataFrame(values).join(groups.with_row_index("n"), "centroid", "left", nulls_equal=True)["n"].to_numpy()
    sums = np.zeros((len(groups), relation.dimension))
    for start, block in relation.vectors.unit().blocks(BLOCK):
        of = number[start : start + len(block)], np.arange(len(block))
        sums += sparse.csr_array((np.ones(len(block)), of), (len(groups), len(block))) @ block.astype(np.float64)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    unit = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 1e-9).astype(np.float32)
    table: pa.Table = groups.to_arrow(compat_level=pl.CompatLevel.newest())
    return table.append_column("embedding", vector_column(Vectors.of(unit)))
