"""Rows of vectors in memory or on disk, read as float32."""

import itertools
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from curator.engines import HERE, Engine
from curator.storage import here

Matrix = npt.NDArray[np.float32]
Half = npt.NDArray[np.float16]
Rows = npt.NDArray[np.int64]


class Vectors:
    """Rows of float32 vectors by position, gathered from arrays that may lie on disk.

    ``len(vectors)`` rows of ``dimension`` components. Nothing is copied until a block is read; a run of rows that
    lie side by side in one array of float32 is a view of it. An array of float16 holds rows that had length one before
    they were rounded, and have it again when they are read. Those that lie on disk travel to another process by the
    paths of their files. ``engine`` has workers that can read them there.
    """

    def __init__(
        self,
        arrays: Sequence[Matrix | Half],
        array: npt.NDArray[np.int32],
        row: Rows,
        *,
        unit: bool,
        engine: Engine = HERE,
    ) -> None:
        self._arrays = tuple(arrays)
        self._array = array
        self._row = row
        self.is_unit = unit  # rows have length one (or zero), by construction
        self.engine = engine

    def __getstate__(self) -> dict[str, Any]:
        return {
            "arrays": [_path(array) or array for array in self._arrays],
            "array": self._array,
            "row": self._row,
            "unit": self.is_unit,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = [np.load(here(one), mmap_mode="r") if isinstance(one, Path) else one for one in state.pop("arrays")]
        self.__init__(arrays, **state)  # type: ignore[misc]

    @classmethod
    def of(cls, matrix: npt.ArrayLike, *, unit: bool = False, engine: Engine = HERE) -> Self:
        """Wrap an (n, d) array. Raises ValueError for another shape."""
        array = np.ascontiguousarray(matrix, dtype=np.float32)
        if array.ndim != 2:
            raise ValueError(f"vectors must be an (n, d) array, not of shape {array.shape}")
        n = len(array)
        return cls([array], np.zeros(n, np.int32), np.arange(n, dtype=np.int64), unit=unit, engine=engine)

    @classmethod
    def concat(cls, parts: Sequence["Vectors"]) -> Self:
        """Several in order as one. Raises ValueError when their dimensions differ or there is none."""
        dimensions = {part.dimension for part in parts}
        if len(dimensions) != 1:
            raise ValueError(f"cannot put vectors of dimensions {sorted(dimensions)} together")
        offsets = np.cumsum([0, *(len(part._arrays) for part in parts)])
        return cls(
            [array for part in parts for array in part._arrays],
            np.concatenate(
                [part._array + offset for part, offset in zip(parts, offsets, strict=False)], dtype=np.int32
            ),
            np.concatenate([part._row for part in parts]),
            unit=all(part.is_unit for part in parts),
            engine=next((part.engine for part in parts if part.engine is not HERE), HERE),
        )

    def __len__(self) -> int:
        return len(self._row)

    def __repr__(self) -> str:
        return f"Vectors({len(self):,} × {self.dimension}{', unit rows' if self.is_unit else ''})"

    @property
    def dimension(self) -> int:
        return int(self._arrays[0].shape[1])

    @property
    def in_files(self) -> bool:
        """Whether all lie in files that others can read."""
        return all(map(_path, self._arrays))

    def take(self, rows: npt.ArrayLike) -> "Vectors":
        """The given rows, in the given order, without reading them."""
        index = np.asarray(rows, dtype=np.int64)
        return Vectors(self._arrays, self._array[index], self._row[index], unit=self.is_unit, engine=self.engine)

    def alone(self, start: int, stop: int) -> "Vectors":
        """Rows ``start:stop`` to be sent elsewhere: with the files that they are in and no others; else themselves."""
        used, array = np.unique(self._array[start:stop], return_inverse=True)
        arrays = [self._arrays[number] for number in used]
        if not all(map(_path, arrays)):
            return Vectors.of(self.block(start, stop), unit=self.is_unit)
        return Vectors(arrays, array.astype(np.int32), self._row[start:stop], unit=self.is_unit)

    def block(self, start: int, stop: int) -> Matrix:
        """Rows ``start:stop`` as (m, d) float32, C-contiguous. A view where they lie side by side as float32."""
        array, row = self._array[start:stop], self._row[start:stop]
        if not len(row):
            return np.empty((0, self.dimension), np.float32)
        first, last = np.searchsorted(self._breaks, (start, start + len(row) - 1), side="right")
        if first == last:
            return np.ascontiguousarray(_single(self._arrays[array[0]][row[0] : row[-1] + 1]))
        out = np.empty((len(row), self.dimension), np.float32)
        runs = self._breaks[first:last] - start
        if len(runs) < len(row) // 8:  # rows that lie side by side are copied together
            for first, end in itertools.pairwise([0, *runs.tolist(), len(row)]):
                out[first:end] = _single(self._arrays[array[first]][row[first] : row[first] + end - first])
            return out
        for number in np.unique(array):
            here = array == number
            out[here] = _single(self._arrays[number][row[here]])
        return out

    def blocks(self, size: int) -> Iterator[tuple[int, Matrix]]:
        """All rows in order as (first position, block of at most ``size`` rows).

        Blocks end where an array ends if it is long enough, so that they can be views.
        """
        ends = np.append(self._breaks[self._array[self._breaks] != self._array[self._breaks - 1]], len(self))
        start = 0
        while start < len(self):
            stop = min(start + size, len(self))
            inside = ends[(ends > start + size // 2) & (ends <= stop)]
            stop = int(inside[-1]) if len(inside) else stop
            yield start, self.block(start, stop)
            start = stop

    @cached_property
    def _breaks(self) -> Rows:
        """Positions of rows that do not lie behind the row before them; searching a corpus again finds them here."""
        breaks: Rows = np.flatnonzero((np.diff(self._array) != 0) | (np.diff(self._row) != 1)) + 1
        return breaks

    def matrix(self) -> Matrix:
        """Everything in memory, (n, d) float32."""
        return self.block(0, len(self))

    def unit(self) -> "Vectors":
        """The same directions with length one (a zero row stays zero). Reads everything unless already so."""
        if self.is_unit:
            return self
        return Vectors.of(_unit(self.matrix()), unit=True, engine=self.engine)


def _path(array: Matrix | Half) -> Path | None:
    """The file that an array is all of."""
    whole = isinstance(array, np.memmap) and not isinstance(array.base, np.ndarray)
    return Path(array.filename).absolute() if whole and array.filename else None  # type: ignore[union-attr]


def _single(rows: Matrix | Half) -> Matrix:
    """Rows of float32 as they are; those of float16, which the rounding made longer or shorter, as unit rows."""
    single = rows.astype(np.float32, copy=False)
    return single if single is rows else _unit(single)


def _unit(matrix: Matrix) -> Matrix:
    """Rows of length one; a zero row stays zero."""
    length = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: Matrix = np.divide(matrix, length, out=np.zeros_like(matrix), where=length > 0)
    return unit
