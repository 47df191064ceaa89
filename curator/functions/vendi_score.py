"""How many different documents a relation holds in effect."""

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.relation import Relation

BLOCK = 16_384  # rows summed at once


def vendi_score(relation: Relation, *, q: float = 1.0) -> pa.Table:
    """The Vendi score: the exponential of the entropy of the eigenvalues of K / n, with K the cosines of all pairs.

    Of Friedman and Dieng (TMLR 2023): 1 where all n documents have the same direction, n where all directions are at
    right angles. As the other eigenvalues are those of the d × d matrix of the vectors' second moments, the time grows
    with n, and the score is at most the number of components d. ``q`` is the order of the entropy (Pasarkar and Dieng,
    AISTATS 2024): 1 is Shannon's, a smaller one counts what is rare for more, a larger one for less, infinity counts
    only the most frequent direction.

    Returns one row: ``documents`` (those with a direction), ``q`` and ``score``, NULL without documents. The result
    does not depend on the order of the rows but for rounding.

    Raises QueryError for a relation without vectors, and q not above 0.
    """
    if not q > 0:
        raise QueryError(f"vendi_score: q is {q}; a number above 0 is needed")
    if not relation.can_embed:
        raise QueryError("vendi_score: the relation has no vectors; name a corpus, or a SELECT with 'embedding'")
    moments, documents = np.zeros((relation.dimension, relation.dimension)), 0
    for _, block in relation.vectors.unit().blocks(BLOCK):
        rows = block.astype(np.float64)
        moments += rows.T @ rows
        documents += int(rows.any(axis=1).sum())
    score = _effective(np.linalg.eigvalsh(moments), q) if documents else None
    result = pl.DataFrame(
        {"documents": [documents], "q": [q], "score": [score]}, schema_overrides={"score": pl.Float64}
    )
    table: pa.Table = result.to_arrow()
    return table


def _effective(eigenvalues: npt.NDArray[np.floating], q: float) -> float:
    """The effective number of different things that have such shares of a whole (Hill 1973)."""
    shares = eigenvalues[eigenvalues > 1e-12 * eigenvalues.max()]  # the others are 0 but for rounding
    shares = shares / shares.sum()
    if q == 1:
        return float(np.exp(-(shares * np.log(shares)).sum()))
    if np.isinf(q):
        return float(1 / shares.max())
    return float((shares**q).sum() ** (1 / (1 - q)))
