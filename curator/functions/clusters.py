"""Documents in clusters by the direction of their vectors, and clusters in a tree."""

import math
import warnings

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator import neighbours
from curator.errors import CuratorWarning, QueryError
from curator.functions._results import check_whole_number, key_of
from curator.neighbours import ClusterTree
from curator.relation import Relation

Labels = npt.NDArray[np.int32]


def clusters(
    relation: Relation, k: int | None = 100, *, levels: list[int] | None = None, resampling: int = 0, seed: int = 0
) -> pa.Table:
    """The cluster of each document: spherical k-means by cosine, seeded, trained on at most 256 k documents.

    ``k := NULL`` makes as many as the square root of the number of documents, rounded down.

    With ``levels``, a tree: ``k := 1000, levels := [100, 10]`` puts the 1,000 clusters in 100, and those in 10, by
    k-means on their centroids (Vo et al., TMLR 2024), with that paper's resampling in as many rounds as asked for.

    Returns a row per document, in their order: ``corpus`` (where the relation has it), ``id``, ``cluster``,
    ``similarity`` (cosine to its centroid), ``rank`` (1 for the nearest to the centroid; of equal ones the first by
    corpus and id) and ``path``, its clusters from the topmost level down to ``cluster``, the only one without
    ``levels``. Clusters are numbered from 0 at each level, that of the most documents first, of equal ones that of the
    document first by corpus and id. A vector of zeros has no direction: NULL but for its keys. A relation without rows
    gives none. The result does not depend on the order of the rows, and is the same for the same ``seed``.

    Raises QueryError for a relation without ``id`` or vectors, k below 1 or above the number of documents, or levels
    that do not decrease from k. Warns of vectors of zeros, and of fewer clusters than asked for: the vectors have then
    fewer directions.
    """
    counts = _counts(max(1, math.isqrt(len(relation))) if k is None else k, levels)
    check_whole_number("clusters", "resampling", resampling, least=0)
    check_whole_number("clusters", "seed", seed, least=0)
    key = key_of(relation)
    if "id" not in key:
        raise QueryError(f"clusters needs a column 'id'; the relation has: {', '.join(relation.columns)}")
    if not relation.can_embed:
        raise QueryError(
            "clusters: the relation has no vectors; name a corpus, or a SELECT with the column 'embedding'"
        )
    keys = relation.select(key)
    if not len(keys):
        return _table(keys, [np.empty(0, np.int32)], np.empty(0, np.float32), np.empty(0, np.int32))
    order = keys.with_row_index("row").sort(key, maintain_order=True)["row"].to_numpy()
    try:
        tree = neighbours.cluster_tree(relation.vectors.take(order), counts, seed=seed, resampling=resampling)
    except ValueError as error:
        raise QueryError(f"clusters: {error}") from None
    _warn(tree, counts)
    lowest = tree.levels[0]
    place = np.argsort(order)  # from the order of the keys back to that of the relation
    labels = [_by_size(nodes)[place] for nodes in tree.nodes]
    return _table(keys, labels, lowest.similarity[place], lowest.rank[place])


def _counts(k: int, levels: list[int] | None) -> list[int]:
    """The number of clusters at each level, from the lowest."""
    check_whole_number("clusters", "k", k, least=1)
    if not isinstance(levels, list | None):
        raise QueryError(f"clusters: levels is {levels!r}; a list of whole numbers is needed, like [100, 10]")
    for below, above in zip([k, *(levels or [])], levels or [], strict=False):
        check_whole_number("clusters", "levels", above, least=1)
        if above >= below:
            raise QueryError(f"clusters: levels is {levels}, above k = {k}; each must be less than the one before it")
    return [k, *(levels or [])]


def _by_size(nodes: Labels) -> Labels:
    """Clusters numbered anew: the largest first, of equal ones that of the first row."""
    found, first, sizes = np.unique(nodes[nodes >= 0], return_index=True, return_counts=True)
    number = np.full(len(found) + 1, -1, np.int32)  # the last for −1
    number[np.lexsort((first, -sizes))] = np.arange(len(found))
    return number[nodes]


def _warn(tree: ClusterTree, counts: list[int]) -> None:
    for level, count in zip(tree.levels, counts, strict=True):
        if len(level) < count:
            warnings.warn(
                f"clusters: {len(level):,} clusters instead of {count:,}: the vectors have no more directions",
                CuratorWarning,
                stacklevel=3,
            )
    zero = int((tree.levels[0].assignment < 0).sum())
    if zero:
        warnings.warn(
            f"clusters: {zero:,} documents have a vector of zeros, which belongs to no cluster",
            CuratorWarning,
            stacklevel=3,
        )


def _table(keys: pl.DataFrame, labels: list[Labels], similarity: npt.NDArray[np.float32], rank: Labels) -> pa.Table:
    """The result from the labels of each level, the lowest first; NULL where there is no cluster."""
    inside = pl.Series(labels[0] >= 0)
    values = {"cluster": labels[0], "similarity": similarity, "rank": rank}
    path = pl.Series("path", np.stack(labels[::-1], axis=1)).cast(pl.List(pl.Int32))
    columns = [pl.Series(name, column) for name, column in values.items()] + [path]
    result = keys.with_columns(pl.when(inside).then(column).alias(column.name) for column in columns)
    table: pa.Table = result.to_arrow(compat_level=pl.CompatLevel.newest())
    return table
