"""Which documents of a target have nothing like them in a mix, and how near the nearest is."""

import numpy as np
import polars as pl
import pyarrow as pa

from curator import neighbours
from curator.functions._documents import Documents, check_encoder
from curator.functions._greedy import check_number
from curator.functions._results import key_of
from curator.relation import Relation


def coverage(target: Relation, documents: Relation, *, min_score: float) -> pa.Table:
    """The nearest of some documents, a mix or the candidates, to each target document, and how many are near.

    Returns a row per target document, in their order: ``corpus`` (where the relation has it), ``id``, ``similarity``
    (cosine to the nearest of the documents, of equal ones the first by corpus and id), ``nearest_corpus`` and
    ``nearest_id``, ``within`` (how many have a cosine of at least ``min_score``) and ``hole``: whether there is none,
    and the nearest is then a miss. A target document with a vector of zeros is like nothing, a hole without a nearest;
    documents with one are left out, and without any documents all are holes. All pairs are compared. The result does
    not depend on the order of the rows.

    Raises QueryError for a threshold outside [−1, 1] and for relations without ids or vectors.
    """
    check_number("coverage", "min_score", min_score, -1, 1)
    wanted, there = Documents.of("coverage", "target", target), Documents.of("coverage", "documents", documents)
    check_encoder("coverage", wanted, there)
    within = np.zeros(len(wanted), np.int64)
    found = pl.DataFrame({"row": wanted.rows}, schema={"row": pl.UInt32})
    if len(wanted) and len(there):
        nearest = neighbours.nearest(wanted.vectors, there.vectors, 1)
        for edges in neighbours.pairs_within(wanted.vectors, there.vectors, min_score):
            within += np.bincount(edges.left, minlength=len(wanted))
        keys = there.keys[nearest.right]
        found = found.with_columns(
            pl.Series("similarity", nearest.score),
            *(keys[name].alias(f"nearest_{name}") for name in keys.columns),
        )
    else:
        nothing = {f"nearest_{name}": pl.lit(None, kind) for name, kind in there.keys.schema.items()}
        found = found.with_columns(similarity=pl.lit(None, pl.Float32), **nothing)
    found = found.with_columns(pl.Series("within", within))
    rows = target.select(key_of(target)).with_row_index("row")
    result = rows.join(found, on="row", how="left", maintain_order="left").drop("row")
    result = result.with_columns(pl.col("within").fill_null(0)).with_columns(hole=pl.col("within") == 0)
    table: pa.Table = result.to_arrow(compat_level=pl.CompatLevel.newest())
    return table
