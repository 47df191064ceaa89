"""Small files put together into batches, so that ten thousand of them do not make ten thousand shards.

Which files make a batch must not depend on what was read before, or a file more would change every batch after it.
So a batch ends, besides when it is full, after a file whose name says so: on the average every 64th.
"""

import zlib
from itertools import chain

import polars as pl

from curator.documents import records
from curator.documents.records import START, Batch, Key, Piece

SMALL = 16_384  # rows of a file that is put together with others, at most
TOGETHER = 64  # files, on the average


def is_small(piece: Piece) -> bool:
    """Whether it is a whole file that is put together with others."""
    return piece.start == START and piece.end is None and piece.rows <= SMALL


class Gatherer:
    """Holds small files back until their batch is complete."""

    def __init__(self) -> None:
        self._held: list[Batch] = []

    def __bool__(self) -> bool:
        return bool(self._held)

    def take(self, batch: Batch) -> list[Batch]:
        """What is complete now that another batch has come."""
        if not is_small(batch.pieces[0]):
            return [*self.release(batch.pieces[0].key), batch]
        complete = [] if self._fits(batch) else self.release(batch.pieces[0].key)
        self._held.append(batch)
        return [*complete, *(self.release(None, closed=True) if self._is_full() else [])]

    def release(self, following: Key | None, *, closed: bool = False) -> list[Batch]:
        """What is held, as one batch; ``following`` is what it ends before, unless it was complete by itself."""
        held, self._held = self._held, []
        if not held:
            return []
        frames = [batch.frame for batch in held if len(batch.frame)]
        return [
            Batch(
                pl.concat(frames) if frames else held[0].frame,
                tuple(chain.from_iterable(batch.rejects for batch in held)),
                tuple(chain.from_iterable(batch.renamed for batch in held)),
                tuple(chain.from_iterable(batch.pieces for batch in held)),
                is_closed=closed,
                following=following,
            )
        ]

    def _fits(self, batch: Batch) -> bool:
        """Whether a batch can be of those held: there is room, and its columns are theirs."""
        columns = [list(one.frame.schema.items()) for one in (*self._held, batch) if len(one.frame)]
        rows = sum(one.pieces[0].rows for one in (*self._held, batch))
        return rows <= records.ROWS and all(one == columns[0] for one in columns)

    def _is_full(self) -> bool:
        size = sum(batch.frame.estimated_size() for batch in self._held)
        ends = zlib.crc32(self._held[-1].pieces[0].name.encode("utf8", "surrogateescape")) % TOGETHER == 0
        return ends or size >= records.BYTES
