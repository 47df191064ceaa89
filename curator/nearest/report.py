"""What became of one NEAREST join: who executed it, on what, at what cost, and why."""

from dataclasses import dataclass

DUCKDB_PAIR = 2.6e-9  # seconds for a pair of vectors and a component in DuckDB 2.0: 100 s for 1,000 × 100,000 × 384


@dataclass(frozen=True)
class JoinReport:
    """One NEAREST join of a query."""

    left: str
    right: str
    k: int
    ranking: str
    exact: bool  # how it was searched
    engine: str  # 'faiss' or 'duckdb'
    reason: str  # the device and why, or why it was left to DuckDB
    filter: str = ""  # what was kept of the right side before the search, and how
    left_rows: int | None = None  # None: not known before the query runs
    right_rows: int | None = None
    groups: int = 1
    edges: int = 0
    saturated: int | None = None  # lists whose k-th neighbour still passes the query's threshold; None: it has none
    estimated_seconds: float | None = None
    seconds: float | None = None  # None: not searched
    fell_short: bool = False  # the index did, and the search was made exactly

    @property
    def pairs(self) -> int | None:
        """Rows of the left times rows of the right side."""
        return None if self.left_rows is None or self.right_rows is None else self.left_rows * self.right_rows

    @property
    def warning(self) -> str | None:
        """What the person should know of this join before they trust its rows, or wait for them."""
        if self.engine == "duckdb":
            cost = f" ({self.pairs:,}, about {duration(self.estimated_seconds)})" if self.pairs else ""
            join = f"the NEAREST join of {self.right} for {self.left}"
            return f"{join} is left to DuckDB, which compares every pair{cost}: {self.reason}"
        told = []
        if self.fell_short:
            told.append(f"the index of {self.right} gives less than was asked: {self.reason}; curator index --rebuild")
        if self.saturated:
            told.append(
                f"{self.saturated:,} lists of the {self.k} nearest of {self.right} are saturated: the last of each "
                "passes the threshold, so there may be more: raise k, or use pairs_within (column saturated: which)"
            )
        return "; ".join(told) or None

    def __str__(self) -> str:
        lines = [f"NEAREST {self.k} of {self.right} for {self.left} by {self.ranking}"]
        size = " × ".join("?" if rows is None else f"{rows:,}" for rows in (self.left_rows, self.right_rows))
        if self.engine == "duckdb":
            cost = f", about {duration(self.estimated_seconds)}" if self.estimated_seconds is not None else ""
            return "\n".join(
                [f"DuckDB: {lines[0]}", f"  {size} rows{cost}", f"  compares every pair, because {self.reason}"]
            )
        groups = f" in {self.groups:,} groups" if self.groups > 1 else ""
        found = f", {self.edges:,} edges" if self.seconds is not None else ""
        lines = [f"FAISS: {lines[0]}", f"  {size} rows{groups}{found}"]
        if self.filter:
            lines.append(f"  filter: {self.filter}")
        times = [
            f"{what} {duration(seconds)}"
            for what, seconds in (("estimated", self.estimated_seconds), ("measured", self.seconds))
            if seconds is not None
        ]
        return "\n".join([*lines, "  " + "; ".join([self.reason, *times])])


def duration(seconds: float | None) -> str:
    """Seconds for people."""
    if seconds is None:
        return "unknown"
    if seconds < 0.001:
        return "under 1 ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 10_000 else f"{seconds / 3600:.0f} h"
