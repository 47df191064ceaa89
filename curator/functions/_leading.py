"""What the functions of the leader rule share: the order of precedence, who stands for whom, the alarm, the result."""

import itertools
import warnings

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.errors import CuratorWarning, QueryError

ALARM_SHARE = 0.3  # a source that loses more than this is worth a look: a template, or a threshold too low
ALARM_SIZE = 50  # documents; shares of smaller sources say little
LOOK = "look at some pairs: it may be a template, or the threshold too low for"

Rows = npt.NDArray[np.int64]


class Leading:
    """Documents in order of precedence, and the leader that each stands behind as far as the pairs given so far say.

    ``leader``: (n,) int64 positions, −1 for a leader; ``similarity``: (n,) float64 to it, −inf for a leader.
    """

    def __init__(self, n: int) -> None:
        self.leader = np.full(n, -1, np.int64)
        self.similarity = np.full(n, -np.inf)

    def add(self, left: Rows, right: Rows, score: npt.NDArray[np.floating]) -> None:
        """Take in pairs at or over the threshold, the earlier document on the left, (m,) each, of rising left ones.

        By the time that a document is on the left, every earlier one must have been: its fate is then known.
        """
        bounds = np.append(np.flatnonzero(np.diff(left, prepend=-1)), len(left))
        for start, stop in itertools.pairwise(bounds):
            row = left[start]
            if self.leader[row] < 0:
                others, scores = right[start:stop], score[start:stop]
                better = scores > self.similarity[others]
                self.similarity[others[better]], self.leader[others[better]] = scores[better], row

    def table(self, frame: pl.DataFrame, order: Rows) -> pl.DataFrame:
        """``corpus, id, leader_corpus, leader_id, similarity`` per row of a frame whose ``order`` this is."""
        dropped = self.leader >= 0
        # From positions in the order of precedence back to the rows of the relation.
        leader_row, score = np.full(len(frame), -1, np.int64), np.empty(len(frame))
        leader_row[order] = np.where(dropped, order[self.leader], -1)
        score[order] = self.similarity
        rows = pl.Series(leader_row)
        rows = rows.set(rows < 0, None)
        return frame.select("corpus", "id").with_columns(
            frame["corpus"].gather(rows).alias("leader_corpus"),
            frame["id"].gather(rows).alias("leader_id"),
            pl.when(rows.is_not_null()).then(pl.Series(score)).alias("similarity"),
        )


def precedence(function: str, frame: pl.DataFrame, priority: str | None) -> Rows:
    """Row numbers in order: the sources that ``priority`` names, then the others, by corpus and id.

    Raises QueryError for missing columns, and warns of a name that is no source. ``function`` is named in errors.
    """
    missing = [name for name in ("corpus", "id") if name not in frame.columns]
    if missing:
        raise QueryError(f"{function} needs a column {missing[0]!r}; the relation has: {', '.join(frame.columns)}")
    names = [name.strip() for name in (priority or "").split(",") if name.strip()]
    keys = frame.select("corpus", "id").with_row_index("row")
    place = pl.Series("place", np.zeros(len(frame), np.int64))
    if names:
        if "source" not in frame.columns:
            raise QueryError(f"{function}: priority is {priority!r}, but the relation has no column 'source'")
        absent = [name for name in names if name not in frame["source"]]
        if absent:
            warnings.warn(f"priority names {absent[0]!r}, of which there is no document", CuratorWarning, stacklevel=3)
        places = {name: place for place, name in reversed(list(enumerate(names)))}
        place = frame["source"].replace_strict(places, default=len(names), return_dtype=pl.Int64).alias("place")
    ordered = keys.with_columns(place).sort("place", "corpus", "id", maintain_order=True)
    return ordered["row"].to_numpy().astype(np.int64)


def alarm(frame: pl.DataFrame, dropped: pl.Series, what: str, advice: str) -> None:
    """Warn when a source loses more than its share should be: the one that loses most, and how many others do.

    ``what`` says what the dropped ones are, ``advice`` what to do about it.
    """
    source = "source" if "source" in frame.columns else "corpus"
    lost = frame.select(pl.col(source).alias("source")).with_columns(dropped.alias("dropped")).group_by("source")
    shares = lost.agg(pl.len().alias("n"), pl.col("dropped").mean().alias("share"))
    alarming = shares.filter((pl.col("n") >= ALARM_SIZE) & (pl.col("share") > ALARM_SHARE))
    if len(alarming):
        name, n, share = alarming.sort("share", "source", descending=[True, False]).row(0)
        others = f" (and over {ALARM_SHARE:.0%} of {len(alarming) - 1} other sources)" if len(alarming) > 1 else ""
        warnings.warn(
            f"{share:.0%} of the {n:,} documents of source {name!r} are {what}{others}; {advice}",
            CuratorWarning,
            stacklevel=3,
        )
