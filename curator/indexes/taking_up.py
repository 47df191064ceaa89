"""An index taken up by another version of its corpus: rows that stayed keep their entries, the others go or come."""

from dataclasses import dataclass, replace

import numpy as np

from curator.indexes.index import Index
from curator.indexes.stored import Parts
from curator.indexes.tuning import Keys, told_apart
from curator.vectors import Vectors

LEAST_KEPT = 0.5  # of the rows; where fewer stayed, what the index was trained on is not what it holds
MOST_DEAD = 0.2  # of the entries of a graph, which cannot give any up


@dataclass(frozen=True)
class Change:
    """What became of the rows of an earlier version."""

    kept: int
    added: int
    removed: int

    def __str__(self) -> str:
        if not self.added and not self.removed:
            return "the index was kept"
        return f"the index was kept for {self.kept:,} rows, {self.added:,} were added and {self.removed:,} removed"


def taken_up(parts: Parts, vectors: Vectors, keys: Keys) -> tuple[Parts, Change] | str:
    """The index for these rows and what was changed, or why it must be built. ``parts`` are used up.

    Rows are known by the values of their vectors; which of some equal rows an entry stands for makes no difference.
    """
    file, rows = parts.index.file, parts.index.rows
    if file is None or rows is None or parts.index.measured.dimension != vectors.dimension:
        return "there was none to go on with"
    live = np.flatnonzero(rows >= 0)
    _, known, still = np.intersect1d(
        told_apart(parts.keys[live][None])[0], told_apart(keys[None])[0], assume_unique=True, return_indices=True
    )
    if len(still) < LEAST_KEPT * len(keys):
        return f"only {len(still):,} of {len(keys):,} rows are as they were"
    gone = np.delete(live, known)
    dead = 0 if file.lists else int((rows < 0).sum()) + len(gone)
    if dead > MOST_DEAD * file.entries:
        return f"{dead:,} of the {file.entries:,} entries of the graph would stand for rows that are gone"
    new = np.delete(np.arange(len(keys)), still)
    entries = np.full(len(rows) + len(new), -1, np.int64)
    entries[live[known]] = still
    entries[len(rows) :] = new
    file.remove(gone)
    file.append(vectors.take(new))
    parts.keys[gone] = 0  # nothing of what was removed is kept
    measured = replace(parts.index.measured, rows=len(vectors), entries=file.entries, dead=dead)
    change = Change(len(still), len(new), len(gone))
    return Parts(Index(file, entries, measured), np.append(parts.keys, keys[new]), parts.queries), change
