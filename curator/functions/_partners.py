"""What functions that pair share: both sides, who may have whom, and the nearest for sure."""

import warnings

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator import neighbours
from curator.errors import CuratorWarning, QueryError
from curator.functions._documents import Documents, check_encoder
from curator.relation import Relation
from curator.vectors import Rows, Vectors

SEARCHED = 1 << 22  # places in the lists of the rows searched together

Scores = npt.NDArray[np.float32]


def sides(
    function: str, target: Relation, candidates: Relation, *, same_label: bool
) -> tuple[Documents, Documents]:  # fmt: skip
    """Both sides, checked. Warns of vectors of zeros, which are left out, and raises QueryError as Documents does."""
    if not isinstance(same_label, bool):
        raise QueryError(f"{function}: same_label is {same_label!r}; true or false is needed")
    found = []
    for role, relation in (("target", target), ("candidates", candidates)):
        if same_label and "label" not in relation.columns:
            there = ", ".join(relation.columns)
            raise QueryError(f"{function}: no column 'label' in the {role}, see same_label; there are: {there}")
        found.append(Documents.of(function, role, relation, labels=same_label))
        if left_out := len(relation) - len(found[-1]):
            warnings.warn(
                f"{function}: {left_out:,} documents of the {role} have a vector of zeros, which is near nothing: they "
                "are left out",
                CuratorWarning,
                stacklevel=3,
            )
    check_encoder(function, *found)
    return found[0], found[1]


def groups(function: str, left: Documents, right: Documents, *, same_label: bool) -> list[tuple[Rows, Rows]]:
    """The positions of target documents and of the candidates that they may have, in order: a pair for each label.

    Warns of target documents that may have none.
    """
    if not same_label:
        return [(np.arange(len(left)), np.arange(len(right)))] if len(left) and len(right) else []
    found = []
    for label in left.labels.drop_nulls().unique().sort():
        ours, theirs = ((side.labels == label).arg_true().to_numpy().astype(np.int64) for side in (left, right))
        if len(theirs):
            found.append((ours, theirs))
    alone = len(left) - sum(len(ours) for ours, _ in found)
    if alone and len(right):
        warnings.warn(
            f"{function}: {alone:,} of {len(left):,} target documents have no candidate of their label",
            CuratorWarning,
            stacklevel=3,
        )
    return found


def first(left: Vectors, right: Vectors, k: int) -> tuple[Rows, Scores]:
    """The min(k, len(right)) nearest of unit vectors, (q, k) positions and cosines; equal ones by position.

    A search may choose among rows that single precision does not tell from the last of its list. So each list is
    searched further than k, until its k-th cosine is told from the last.
    """
    k = min(k, len(right))
    ids, scores = np.empty((len(left), k), np.int64), np.empty((len(left), k), np.float32)
    doubt = 4 * (right.dimension + 8) * 2.0**-24  # of two products, each wrong by at most half of it
    pending, wanted = np.arange(len(left)), k + k // 8 + 8
    while len(pending) and k:
        wanted = min(wanted, len(right))
        unsure = []
        for rows in np.array_split(pending, -(-len(pending) * wanted // SEARCHED)):
            edges = neighbours.nearest(left.take(rows), right, wanted)
            found, cosines = edges.right.reshape(-1, wanted), edges.score.reshape(-1, wanted)
            ids[rows], scores[rows] = found[:, :k], cosines[:, :k]
            unsure.append(rows[cosines[:, k - 1] <= cosines[:, -1] + doubt])
        pending = np.concatenate(unsure) if wanted < len(right) else np.empty(0, np.int64)
        wanted *= 2
    return ids, scores


def arrow(frame: pl.DataFrame) -> pa.Table:
    """A frame as the table of a function."""
    table: pa.Table = frame.to_arrow(compat_level=pl.CompatLevel.newest())
    return table
