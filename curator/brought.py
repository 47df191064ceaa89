"""Vectors that a person brings, in an array or in a column, taken apart batch by batch."""

from typing import Protocol

import numpy as np
import polars as pl

from curator.documents import Batch
from curator.errors import DataError
from curator.vectors import Matrix


class Own(Protocol):
    """Where a person's own vectors are."""

    def apart(self, batch: Batch) -> tuple[pl.DataFrame, Matrix]:
        """The documents of a batch without their vectors, and these: (documents, d) float32, NaN for none."""

    def check(self, rows: int) -> None:
        """Raise DataError where, now that all ``rows`` of the origin were read, something was not found."""


class MatrixOfVectors:
    """An (n, d) array with one row per row of the origin. Raises DataError for another shape."""

    def __init__(self, matrix: Matrix) -> None:
        if matrix.ndim != 2:
            raise DataError(f"vectors must be an (n, d) array, not of shape {matrix.shape}")
        self._matrix = matrix

    def apart(self, batch: Batch) -> tuple[pl.DataFrame, Matrix]:
        """The vectors at the rows that the documents had. Raises DataError where there are too few."""
        rows = batch.frame["_row"].to_numpy()
        if rows.max() >= len(self._matrix):
            raise DataError(f"{len(self._matrix):,} vectors for at least {rows.max() + 1:,} rows")
        return batch.frame, np.ascontiguousarray(self._matrix[rows])

    def check(self, rows: int) -> None:
        """Raise DataError for more vectors than rows."""
        if len(self._matrix) > rows:
            raise DataError(f"{len(self._matrix):,} vectors for {rows:,} rows")


class ColumnOfVectors:
    """A column of lists of numbers, all of one length."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._width = 0  # until there is a vector
        self._columns: list[str] = []

    def apart(self, batch: Batch) -> tuple[pl.DataFrame, Matrix]:
        """The vectors in the column. Raises DataError where it holds something else, or vectors of several lengths."""
        frame = batch.frame
        self._columns = self._columns or frame.columns
        some = frame[self._name].drop_nulls() if self._name in frame.columns else pl.Series()
        if len(some) and not self._width:
            self._width = len(some[0]) if isinstance(some[0], pl.Series) else 1
        kind = pl.Array(pl.Float32, max(1, self._width))
        missing = pl.lit([np.nan] * kind.size, kind)
        if not len(some):
            matrix = np.full((len(frame), kind.size), np.nan, np.float32)
            return frame.drop(self._name, strict=False), matrix
        try:
            values = frame[self._name].cast(kind).fill_null(missing).to_numpy()
        except pl.exceptions.PolarsError as error:
            raise DataError(f"the column {self._name!r} does not hold vectors of one length: {error}") from None
        return frame.drop(self._name), np.ascontiguousarray(values, np.float32)

    def check(self, rows: int) -> None:  # noqa: ARG002  rows without a vector are rejects
        """Raise DataError where no row had a vector."""
        if not self._width and self._columns:
            there = ", ".join(name for name in self._columns if name != "_row")
            raise DataError(f"there is no column {self._name!r} with vectors; there are {there}")
