"""What functions that pair share: both sides in order of their keys, who may have whom, and the nearest for sure."""

import warnings
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator import neighbours
from curator.errors import CuratorWarning, QueryError
from curator.functions._results import key_of
from curator.relation import Relation
from curator.vectors import Rows, Vectors

SEARCHED = 1 << 22  # places in the lists of the rows searched together

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Side:
    """The documents of a relation that have a direction, in order of corpus and id.

    ``keys``: their ``corpus`` (where the relation has it) and ``id``; ``labels``: (n,) text, or the same text for all
    where labels do not count; ``vectors``: (n, d), unit rows.
    """

    keys: pl.DataFrame
    labels: pl.Series
    vectors: Vectors

    @classmethod
    def of(cls, function: str, role: str, relation: Relation, *, same_label: bool) -> Self:
        """Raises QueryError for missing columns or vectors, and warns of vectors of zeros, which are left out."""
        wanted = ["id", *(["label"] if same_label else [])]
        missing = [name for name in wanted if name not in relation.columns]
        if missing:
            advice = "; same_label := false does without" if missing[0] == "label" else ""
            raise QueryError(
                f"{function}: the {role} needs a column {missing[0]!r}{advice}; it has: {', '.join(relation.columns)}"
            )
        if not relation.can_embed:
            raise QueryError(f"{function}: there are no vectors of the {role}; name a corpus, or select 'embedding'")
        key = key_of(relation)
        order = relation.select(key).with_row_index("row").sort(key, maintain_order=True)["row"].to_numpy()
        vectors = relation.vectors.take(order).unit()
        directed = _directed(vectors)
        if len(directed) < len(order):
            warnings.warn(
                f"{function}: {len(order) - len(directed):,} documents of the {role} have a vector of zeros, which is "
                "near nothing: they are left out",
                CuratorWarning,
                stacklevel=4,
            )
        rows = order[directed]
        labels = relation.select(["label"])["label"].cast(pl.String) if same_label else None
        nothing = pl.Series("label", [""], dtype=pl.String).new_from_index(0, len(rows))
        return cls(
            relation.select(key)[rows],
            nothing if labels is None else labels.gather(rows),
            vectors if len(directed) == len(order) else vectors.take(directed),
        )

    def columns(self, rows: Rows, prefix: str = "") -> pl.DataFrame:
        """The keys of some documents, their names behind a prefix."""
        return self.keys[rows].rename(lambda name: f"{prefix}{name}")


def _directed(vectors: Vectors) -> Rows:
    """The positions of the rows that are not zero."""
    parts = [start + np.flatnonzero(block.any(axis=1)) for start, block in vectors.blocks(65_536)]
    return np.concatenate([np.empty(0, np.int64), *parts])


def sides(function: str, target: Relation, candidates: Relation, *, same_label: bool) -> tuple[Side, Side]:
    """Both sides, checked. Raises QueryError also for vectors of different encoders."""
    if not isinstance(same_label, bool):
        raise QueryError(f"{function}: same_label is {same_label!r}; true or false is needed")
    left = Side.of(function, "target", target, same_label=same_label)
    right = Side.of(function, "candidates", candidates, same_label=same_label)
    if left.vectors.dimension != right.vectors.dimension:
        raise QueryError(
            f"{function}: the vectors of the target have {left.vectors.dimension} components and those of the "
            f"candidates {right.vectors.dimension}: they come from different encoders"
        )
    return left, right


def groups(function: str, left: Side, right: Side) -> list[tuple[Rows, Rows]]:
    """The positions of the target documents of each label and of the candidates that they may have, in order.

    Warns of target documents that may have none.
    """
    found = []
    for label in left.labels.drop_nulls().unique().sort():
        ours, theirs = ((side.labels == label).arg_true().to_numpy().astype(np.int64) for side in (left, right))
        if len(theirs):
            found.append((ours, theirs))
    alone = len(left.labels) - sum(len(ours) for ours, _ in found)
    if alone and len(right.labels):
        warnings.warn(
            f"{function}: {alone:,} of {len(left.labels):,} target documents have no candidate of their label",
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
