"""Where in a store the vectors of some texts are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.files import write_bytes
from curator.vectors.rows import Rows


@dataclass(frozen=True)
class Places:
    """For each of n texts the shard that holds its vector, and the row there.

    ``shards``: their names; ``shard``: (n,) int32, which of them; ``row``: (n,) int32.
    """

    shards: tuple[str, ...]
    shard: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: Rows) -> Self:
        """Those of the given texts, in the given order."""
        return type(self)(self.shards, self.shard[rows], self.row[rows])

    def save(self, path: Path) -> None:
        """Write them to a Parquet file of the columns ``shard`` and ``row``."""
        names = pl.Series("shard", self.shard.astype(np.uint32)).cat.to(pl.Enum(self.shards))
        write_bytes(path, pl.DataFrame([names, pl.Series("row", self.row)]).write_parquet)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote."""
        frame = pl.read_parquet(path)
        names = frame.schema["shard"]
        assert isinstance(names, pl.Enum)
        codes = frame["shard"].to_physical().cast(pl.Int32)
        return cls(tuple(names.categories), codes.to_numpy(), frame["row"].to_numpy())
