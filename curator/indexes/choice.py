"""Which kind of index: by size, memory and the number of queries.

Measured on 100,000 and on a million vectors of texts, 384 components, two cores: for the recall that is asked, codes of
four bits with true scores for the best of them are searched 2 to 4 times faster than any other kind, alone and in bulk,
and take a sixteenth of the space. Where their recall is not enough, eight bits are. A graph is built for ten times as
long and answers no sooner; whole vectors are read more slowly than codes. Exact search of many queries at once is
the faster way up to about a million rows.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from curator import neighbours
from curator.errors import UsageError
from curator.indexes.measured import WANTED, Wish
from curator.neighbours import Kind

LEAST_ROWS = 10_000  # below, exact search takes milliseconds
GRAPH_ROWS = 1_000_000  # a graph of more takes hours to build
ORDER: tuple[Kind, ...] = ("ivf-pq", "ivf-sq8", "hnsw-sq8", "ivf")
TIMES_BUILT = 4  # building takes that many times as long as its comparisons would in a search; measured
GIB = 2**30
UNKNOWN = 8 * GIB  # memory of a machine that does not tell


def check(wish: Wish) -> None:
    """Raises UsageError for what cannot be asked."""
    if not 0 < wish.recall < 1:
        raise UsageError(f"recall = {wish.recall}: between 0 and 1 is needed; exact search is EXACT, without an index")
    if wish.kind not in WANTED:
        raise UsageError(f"kind = {wish.kind!r}: there are {', '.join(WANTED)}")
    if wish.memory is not None and wish.memory <= 0:
        raise UsageError(f"memory = {wish.memory}: GiB above 0 are needed")
    if wish.expected is not None and wish.expected < 1:
        raise UsageError(f"expected = {wish.expected}: at least one query is needed")


def kinds(wish: Wish, rows: int, dimension: int) -> tuple[Sequence[Kind], str]:
    """The kinds to try, the best first, and why; none where exact search is the better way.

    Raises UsageError where the kind that is asked, or every kind, takes more memory than there is.
    """
    if wish.kind == "flat":
        return (), "asked"
    if rows < LEAST_ROWS:
        if wish.kind != "auto":
            raise UsageError(f"{rows:,} rows need no index: below {LEAST_ROWS:,} exact search is as fast")
        return (), f"{rows:,} rows: below {LEAST_ROWS:,} exact search is as fast"
    if wish.kind == "auto" and wish.expected is not None:
        exact = neighbours.estimated_seconds(wish.expected * rows, dimension)
        built = build_seconds(rows, dimension)
        if exact < built:
            return (), f"{wish.expected:,} queries take {exact:.1f} s of exact search, building an index {built:.0f} s"
    limit = free() / 2 if wish.memory is None else wish.memory * GIB
    asked = [wish.kind] if wish.kind != "auto" else [kind for kind in ORDER if kind != "hnsw-sq8" or rows <= GRAPH_ROWS]
    sizes = {kind: neighbours.size_of(kind, rows, dimension) for kind in asked}
    fitting = [kind for kind in asked if sizes[kind] <= limit]
    if not fitting:
        least = min(asked, key=lambda kind: sizes[kind])
        raise UsageError(
            f"memory = {limit / GIB:.3f} GiB: an index of {rows:,} × {dimension} takes at least "
            f"{sizes[least] / GIB:.3f} GiB ({least}); allow that, or stay with exact search, which needs no memory"
        )
    if wish.kind != "auto":
        return fitting, "asked"
    fits = f"{sizes[fitting[0]] / GIB:.2f} GiB of {limit / GIB:.2f} allowed"
    return fitting, f"the fastest measured on vectors of texts; {fits}"


def build_seconds(rows: int, dimension: int) -> float:
    """What building an inverted file takes."""
    return TIMES_BUILT * neighbours.estimated_seconds(neighbours.pairs_to_build(rows), dimension)


def free() -> int:
    """Bytes of memory that could be had now; all there is, where the system does not tell."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text("utf8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return UNKNOWN
