"""Small files put together into batches, so that ten thousand of them do not make ten thousand shards.

Which files make a batch must not depend on what was read before, or a file more would change every batch after it.
So a batch ends, besides when it is full, after a file whose name says so: on the average every 64th.
"""

import zlib
from collections.abc import Iterator
from itertools import chain

import polars as pl

from curator.documents import records
from curator.documents.records import START, Batch, Key, Piece
from curator.documents.shape import Raw, Target, shape

SMALL = 16_384  # rows of a file that is put together with others, at most
TOGETHER = 64  # files, on the average; made into documents together, at most
RAW = 1 << 20  # bytes that are made into documents together, unless one file has more


def is_small(piece: Piece) -> bool:
    """Whether it is a whole file that is put together with others."""
    return piece.start == START and piece.end is None and piece.rows <= SMALL


class Gatherer:
    """Makes chunks into batches, and holds small files back until theirs is complete."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._raw: list[Raw] = []  # of small files, all of one kind
        self._held: list[Batch] = []
        self._rows, self._bytes = 0, 0.0  # of those held
        self._columns: list[tuple[str, pl.DataType]] = []  # of their documents; none where there is no document yet

    def __bool__(self) -> bool:
        return bool(self._raw or self._held)

    def take(self, raw: Raw) -> Iterator[Batch]:
        """What is complete now that another chunk has come."""
        small = raw.mark == START and raw.chunk.end is None and raw.chunk.rows <= SMALL
        if self._raw and not (small and raw.kind == self._raw[0].kind):
            yield from self.settle()
        self._raw.append(raw)
        size = sum(one.chunk.frame.estimated_size() for one in self._raw)
        if not small or len(self._raw) == TOGETHER or size >= RAW:
            yield from self.settle()

    def settle(self) -> Iterator[Batch]:
        """Make documents of all that was taken; what is complete then."""
        raw, self._raw = self._raw, []
        for batch in shape(raw, self._target) if raw else ():
            small = is_small(batch.pieces[0])
            if not (small and self._fits(batch)):
                yield from self._release(batch.pieces[0].key)
            if not small:
                yield batch
                continue
            self._hold(batch)
            if self._is_full():
                yield from self._release(None, closed=True)

    def release(self, following: Key | None) -> Iterator[Batch]:
        """All that was taken; ``following`` is what it ends before."""
        yield from self.settle()
        yield from self._release(following)

    def _release(self, following: Key | None, *, closed: bool = False) -> list[Batch]:
        """What is held, as one batch; ``following`` is what it ends before, unless it was complete by itself."""
        held = self._held
        self._held, self._rows, self._bytes, self._columns = [], 0, 0.0, []
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

    def _hold(self, batch: Batch) -> None:
        self._held.append(batch)
        self._rows += batch.pieces[0].rows
        self._bytes += batch.frame.estimated_size()
        self._columns = self._columns or _columns(batch)

    def _fits(self, batch: Batch) -> bool:
        """Whether a batch can be of those held: there is room, and its columns are theirs."""
        alike = not self._columns or _columns(batch) in ([], self._columns)
        return alike and self._rows + batch.pieces[0].rows <= records.ROWS

    def _is_full(self) -> bool:
        ends = zlib.crc32(self._held[-1].pieces[0].name.encode("utf8", "surrogateescape")) % TOGETHER == 0
        if not ends and self._bytes >= records.BYTES:
            self._bytes = sum(_size(batch.frame) for batch in self._held)
        return ends or self._bytes >= records.BYTES


def _columns(batch: Batch) -> list[tuple[str, pl.DataType]]:
    """Names and types of the documents' columns; none where there is no document."""
    return list(batch.frame.schema.items()) if len(batch.frame) else []


def _size(frame: pl.DataFrame) -> float:
    """Bytes of a frame's values, whatever it was cut from; where it was, polars may add a byte of each bitmap."""
    return frame[pl.int_range(len(frame), eager=True)].estimated_size() if len(frame) else 0
