"""Where in a store the vectors of some texts are, and what the encoder read of each text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.files import announced, is_sealed, read_json, sha256, write_bytes, write_sealed
from curator.vectors.rows import Rows

ENTRY = np.dtype([("shard", "i4"), ("row", "i4"), ("n_tokens", "i4"), ("truncated", "?")])
Entries = npt.NDArray[np.void]
"""(n,) of ENTRY: the number of a shard and the row in it, tokens of the whole text, and whether some were not read."""


@dataclass(frozen=True)
class Places:
    """For each of n texts where its vector is. ``shards``: the names of the shards that ``entries`` number."""

    shards: tuple[str, ...]
    entries: Entries

    def __len__(self) -> int:
        return len(self.entries)

    def take(self, rows: Rows) -> Self:
        """Those of the given texts, in the given order."""
        return type(self)(self.shards, self.entries[rows])

    def used(self) -> Self:
        """The same without the names of shards that none of them is in."""
        numbers, entries = np.unique(self.entries["shard"], return_inverse=True)
        kept = self.entries.copy()
        kept["shard"] = entries
        return type(self)(tuple(self.shards[number] for number in numbers), kept)

    @classmethod
    def concat(cls, parts: Sequence["Places"]) -> Self:
        """Several in order as one, the same whatever the shards were found in the order of."""
        shards = tuple(sorted({name for part in parts for name in part.shards}))
        numbers = {name: number for number, name in enumerate(shards)}
        entries = np.concatenate([np.empty(0, ENTRY), *(part.entries for part in parts)])
        renumbered = [np.array([numbers[name] for name in p.shards], np.int32)[p.entries["shard"]] for p in parts]
        entries["shard"] = np.concatenate([np.empty(0, np.int32), *renumbered])
        return cls(shards, entries)

    def save(self, path: Path) -> None:
        """Write them to a Parquet file, a column for each field of an entry, with its checksum beside it."""
        columns = [pl.Series(name, np.ascontiguousarray(self.entries[name])) for name in ENTRY.names or ()]
        names = columns[0].cast(pl.UInt32).cat.to(pl.Enum(self.shards))
        seal = path.with_suffix(".json")
        with announced(seal):
            write_bytes(path, pl.DataFrame([names, *columns[1:]]).write_parquet)
            write_sealed(seal, {"sha256": sha256(path)})

    @staticmethod
    def damaged(path: Path) -> Path | None:
        """Of the two files that ``save`` wrote, one that is gone or not what was written."""
        seal = path.with_suffix(".json")
        if not is_sealed(seal):
            return seal
        return None if path.exists() and sha256(path) == read_json(seal)["sha256"] else path

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read what ``save`` wrote; None where that is not whole."""
        return None if cls.damaged(path) else cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``save`` wrote and is known to be whole."""
        frame = pl.read_parquet(path)
        names = frame.schema["shard"]
        assert isinstance(names, pl.Enum)
        entries = np.empty(len(frame), ENTRY)
        for name, column in frame.with_columns(pl.col("shard").to_physical()).to_dict().items():
            entries[name] = column.to_numpy()
        return cls(tuple(names.categories), entries)
