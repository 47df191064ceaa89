"""Near duplicates by the leader rule: whatever is dropped is close to something that is kept."""

import itertools
import warnings

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator import neighbours
from curator.errors import CuratorWarning, QueryError
from curator.relation import Relation
from curator.vectors import Vectors

ALARM_SHARE = 0.3  # a source that loses more than this is worth a look: a template, or a threshold too low
ALARM_SIZE = 50  # documents; shares of smaller sources say little


def leaders(candidates: Relation, *, min_score: float = 0.95, priority: str | None = None) -> pa.Table:
    """The kept document that each near duplicate stands for.

    Documents are taken in order: the sources that ``priority`` names (separated by commas), then the others, by
    corpus and id. One whose cosine to an earlier *leader* is at least ``min_score`` is a near duplicate of it; any
    other becomes a leader. So no two leaders are that close, and similarity is not passed on through documents that
    are themselves dropped (as it is in SemDeDup's code).

    Returns ``corpus, id, leader_corpus, leader_id, similarity``, a row per candidate in their order. The leader of a
    near duplicate is the most similar of those before it; a leader's own three last columns are NULL. The result does
    not depend on the order of the rows. All pairs are compared, a block of pairs in memory at a time.

    Raises QueryError for a threshold outside (0, 1], missing columns, or a ``priority`` without a column ``source``.
    Warns when a source of 50 documents or more loses over 30 %, and of names in ``priority`` that are no source.
    """
    frame = candidates.frame
    missing = [name for name in ("corpus", "id") if name not in frame.columns]
    if missing:
        raise QueryError(f"leaders needs a column {missing[0]!r}; the relation has: {', '.join(frame.columns)}")
    if not 0 < min_score <= 1:
        raise QueryError(f"leaders: min_score is {min_score}; a cosine above 0, at most 1, is needed")
    order = _order(frame, priority)
    leader, similarity = _assign(candidates.vectors.unit().take(order), min_score)
    dropped = leader >= 0
    # From positions in the order of precedence back to the rows of the relation.
    leader_row, score = np.full(len(frame), -1, np.int64), np.empty(len(frame), np.float32)
    leader_row[order] = np.where(dropped, order[leader], -1)
    score[order] = similarity
    _alarm(frame, leader_row >= 0, min_score)
    rows = pl.Series(leader_row)
    rows = rows.set(rows < 0, None)
    result = frame.select("corpus", "id").with_columns(
        frame["corpus"].gather(rows).alias("leader_corpus"),
        frame["id"].gather(rows).alias("leader_id"),
        pl.when(rows.is_not_null()).then(pl.Series(score)).alias("similarity"),
    )
    table: pa.Table = result.to_arrow()
    return table


def _order(frame: pl.DataFrame, priority: str | None) -> npt.NDArray[np.int64]:
    """Row numbers in order of precedence."""
    names = [name.strip() for name in (priority or "").split(",") if name.strip()]
    keys = frame.select("corpus", "id").with_row_index("row")
    place = pl.Series("place", np.zeros(len(frame), np.int64))
    if names:
        if "source" not in frame.columns:
            raise QueryError(f"leaders: priority is {priority!r}, but the relation has no column 'source'")
        absent = [name for name in names if name not in frame["source"]]
        if absent:
            warnings.warn(f"priority names {absent[0]!r}, of which there is no document", CuratorWarning, stacklevel=2)
        places = {name: place for place, name in reversed(list(enumerate(names)))}
        place = frame["source"].replace_strict(places, default=len(names), return_dtype=pl.Int64).alias("place")
    ordered = keys.with_columns(place).sort("place", "corpus", "id", maintain_order=True)
    return ordered["row"].to_numpy().astype(np.int64)


def _assign(vectors: Vectors, min_score: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The leader's position (−1: itself one) and the cosine to it, (n,) each, for vectors in order of precedence.

    Only the pairs of one block are held, so a corpus of one text repeated does not fill the memory. This needs pairs
    in blocks of rising left rows, the pairs within a block of rows before those with later ones: by the time a row is
    on the left, every earlier row has been, and its fate is known.
    """
    leader = np.full(len(vectors), -1, np.int64)
    best = np.full(len(vectors), -np.inf, np.float32)
    for edges in neighbours.pairs_within(vectors, None, min_score):
        left, right, score = edges.left, edges.right, edges.score
        bounds = np.append(np.flatnonzero(np.diff(left, prepend=-1)), len(left))
        for start, stop in itertools.pairwise(bounds):
            row = left[start]
            if leader[row] < 0:
                others, scores = right[start:stop], score[start:stop]
                better = scores > best[others]
                best[others[better]], leader[others[better]] = scores[better], row
    return leader, best


def _alarm(frame: pl.DataFrame, dropped: npt.NDArray[np.bool_], min_score: float) -> None:
    """Warn when a source loses more than its share should be: the one that loses most, and how many others do."""
    source = "source" if "source" in frame.columns else "corpus"
    lost = frame.select(pl.col(source).alias("source")).with_columns(pl.Series("dropped", dropped)).group_by("source")
    shares = lost.agg(pl.len().alias("n"), pl.col("dropped").mean().alias("share"))
    alarming = shares.filter((pl.col("n") >= ALARM_SIZE) & (pl.col("share") > ALARM_SHARE))
    if len(alarming):
        name, n, share = alarming.sort("share", "source", descending=[True, False]).row(0)
        others = f" (and over {ALARM_SHARE:.0%} of {len(alarming) - 1} other sources)" if len(alarming) > 1 else ""
        warnings.warn(
            f"{share:.0%} of the {n:,} documents of source {name!r} are near duplicates at cosine {min_score}{others}; "
            "look at some pairs: it may be a template, or the threshold too low for this encoder",
            CuratorWarning,
            stacklevel=2,
        )
