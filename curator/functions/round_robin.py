"""One candidate for each target document in turn: its nearest that none has taken yet."""

import numpy as np
import polars as pl
import pyarrow as pa

from curator.functions._documents import Documents
from curator.functions._partners import arrow, first, groups, sides
from curator.functions._results import check_whole_number
from curator.relation import Relation
from curator.vectors import Rows

HELD = 1 << 24  # places in the lists of all target documents together
SHORTEST = 16  # places in a list


def round_robin(
    target: Relation, candidates: Relation, budget: int | None = None, *, same_label: bool = True
) -> pa.Table:
    """The candidates that target documents take in turn.

    In each round every target document, in order of corpus and id, takes its nearest candidate by cosine that none has
    taken yet, of equal ones the first by corpus and id; with ``same_label`` of its own label. It ends when ``budget``
    are taken, or no target document has one left. (As in Ivison et al., Large-Scale Data Selection for Instruction
    Tuning, 2025.)

    Returns a row per candidate taken, in that order: ``corpus`` (where the relation has it), ``id``, ``rank`` from 1,
    ``round`` from 1, ``partner_corpus``, ``partner_id`` (the target document) and ``similarity`` (the cosine). Vectors
    of zeros take part on neither side. The result does not depend on the order of the rows.

    Exact: lists of the nearest are as long as memory allows, and when one is used up, those of all target documents
    of its label are searched anew among what is left, twice as long. So a search comes after at least as many
    candidates were taken as the lists before it were long.

    Raises QueryError for missing columns or vectors, and a budget below 1. Warns of vectors of zeros, and of target
    documents that have no candidate of their label.
    """
    if budget is not None:
        check_whole_number("round_robin", "budget", budget, least=1)
    left, right = sides("round_robin", target, candidates, same_label=same_label)
    most = len(right) if budget is None else min(budget, len(right))
    turns = _Turns(left, right, groups("round_robin", left, right, same_label=same_label), most)
    taken = turns.play(most)
    columns = {"row": pl.Int64, "partner": pl.Int64, "similarity": pl.Float32, "round": pl.Int64}
    found = pl.DataFrame(taken, schema=columns, orient="row").with_row_index("rank", offset=1)
    parts = [
        right.columns(found["row"].to_numpy()),
        found.select(pl.col("rank", "round").cast(pl.Int64)),
        left.columns(found["partner"].to_numpy(), "partner_"),
        found.select("similarity"),
    ]
    return arrow(pl.concat(parts, how="horizontal"))


class _Turns:
    """Who has taken what, and the list of each target document with the place that it has come to."""

    def __init__(self, left: Documents, right: Documents, parts: list[tuple[Rows, Rows]], most: int) -> None:
        self._left, self._right, self._parts = left, right, parts
        self._part = {int(row): number for number, (ours, _) in enumerate(parts) for row in ours}
        self._taken = np.zeros(len(right), bool)
        self._is_taken = self._taken.data  # looked at one by one, it is faster than the array
        targets = len(self._part)
        self._longest = max(SHORTEST, HELD // max(1, targets))
        self._length = [max(SHORTEST, 2 * most // max(1, targets))] * len(parts)
        self._ids: dict[int, memoryview] = dict.fromkeys(self._part, memoryview(b""))
        self._similarity: dict[int, memoryview] = dict.fromkeys(self._part, memoryview(b""))
        self._place = dict.fromkeys(self._part, 0)

    def play(self, most: int) -> list[tuple[int, int, float, int]]:
        """The candidate, target document, cosine and round of each that is taken, in order."""
        found: list[tuple[int, int, float, int]] = []
        active, turn = sorted(self._part), 0
        while active:
            staying, turn = [], turn + 1
            for row in active:
                if len(found) == most:
                    return found
                if self._advance(row):
                    place = self._place[row]
                    candidate = self._ids[row][place]
                    self._taken[candidate] = True
                    found.append((candidate, row, self._similarity[row][place], turn))
                    staying.append(row)
            active = staying
        return found

    def _advance(self, row: int) -> bool:
        """Go on to the first in a list that none has taken; False where no candidate is left."""
        while True:
            ids, place = self._ids[row], self._place[row]
            while place < len(ids) and self._is_taken[ids[place]]:
                place += 1
            self._place[row] = place
            if place < len(ids):
                return True
            if not self._search(self._part[row]):
                return False

    def _search(self, number: int) -> bool:
        """New lists for the target documents of a label, of what is left; False where nothing is."""
        ours, theirs = self._parts[number]
        free = theirs[~self._taken[theirs]]
        length = min(self._length[number], self._longest)
        self._length[number] = 2 * length
        ids, similarity = first(self._left.vectors.take(ours), self._right.vectors.take(free), length)
        ids = free[ids]
        for place, row in enumerate(ours.tolist()):
            self._ids[row], self._similarity[row] = ids[place].data, similarity[place].data
            self._place[row] = 0
        return bool(len(free))
