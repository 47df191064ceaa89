"""Approximate indexes of corpora, kept on disk with the recall that they were measured to have.

An index belongs to one version of a corpus and one kind of vectors. ``index.json`` is written last, with the
checksum of the index: without it there is none. A search uses one where that is the faster way, and the report says so.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curator import neighbours
from curator.errors import UsageError
from curator.files import announced, read_json, sha256, write_bytes, write_sealed
from curator.neighbours import Edges, InvertedFile
from curator.relation import Relation
from curator.vectors import Vectors

LEAST_ROWS = 10_000  # below, exact search takes milliseconds
PROBED = 256  # documents that recall and time are measured on
TIMED = 1_024  # queries of the longer of two timed searches: exact search gains most by searching many together
ADVANTAGE = 0.8  # of exact search's expected time, at most; the estimates are no better than that
MEASURED_K = 10


@dataclass(frozen=True)
class Measured:
    """What an index is, and what was measured when it was built, on documents of the corpus left out of the answer."""

    rows: int
    dimension: int
    lists: int
    probes: int
    asked: float
    recall: float  # mean recall@10
    recall_low: float  # its 95 % interval
    recall_high: float
    index_seconds: tuple[float, float]  # of one query, and of each of many
    exact_seconds: tuple[float, float]

    def __str__(self) -> str:
        return (
            f"IVF of {self.lists:,} lists, {self.probes:,} read; recall@{MEASURED_K} {self.recall:.3f} "
            f"({self.recall_low:.3f} to {self.recall_high:.3f}) on {PROBED} documents"
        )


@dataclass(frozen=True)
class Index:
    """An opened index, and when it is worth using."""

    file: InvertedFile
    measured: Measured

    def probes(self, kept: float) -> int:
        """Lists to read so that as many allowed rows are seen as were when the recall was measured."""
        return int(np.ceil(self.measured.probes / kept)) if kept else self.measured.lists

    def is_faster(self, queries: int, kept: float) -> bool:
        """Whether it is expected to beat exact search over the rows that a filter keeps."""
        if not queries or not kept or self.probes(kept) > self.measured.lists // 2:
            return False
        one, each = self.measured.exact_seconds
        return self.seconds(queries, kept) < ADVANTAGE * (one + each * (queries - 1)) * kept

    def seconds(self, queries: int, kept: float) -> float:
        """What a search is expected to take, where a filter keeps a share of the rows."""
        one, each = self.measured.index_seconds
        return (one + each * (queries - 1)) / kept

    def nearest(self, left: Vectors, right: Vectors, k: int, among: npt.NDArray[np.int64] | None) -> Edges:
        """The k nearest of ``right`` (of its rows ``among``), as ``neighbours.nearest`` gives them but for the recall.

        ``left`` and ``right`` hold unit vectors. A query whose lists hold fewer than k rows is searched exactly.
        """
        allowed = None
        if among is not None:
            allowed = np.zeros(len(right), np.bool_)
            allowed[among] = True
        size = len(right) if among is None else len(among)
        k = min(k, size)
        ids, scores = self.file.search(left.matrix(), k, self.probes(size / max(1, len(right))), allowed)
        short = np.flatnonzero((ids < 0).any(axis=1))
        if len(short):
            rows = np.arange(len(right)) if among is None else among
            exact = neighbours.nearest(left.take(short), right.take(rows), k)
            ids[short], scores[short] = rows[exact.right].reshape(-1, k), exact.score.reshape(-1, k)
        return neighbours.ranked(ids, scores)


def build(relation: Relation, recall: float) -> Measured:
    """Build the index of a corpus so that recall@10 is at least ``recall``, measure it, and keep it.

    The number of lists read is the least power of two that reaches it. Raises UsageError for a recall outside
    (0, 1), a corpus too small to gain by it, or a relation that is not a whole corpus.
    """
    if not 0 < recall < 1:
        raise UsageError(f"recall = {recall}: between 0 and 1 is needed; exact search is EXACT, without an index")
    if relation.home is None:
        raise UsageError("only a corpus of the workspace has an index")
    if len(relation) < LEAST_ROWS:
        raise UsageError(f"{len(relation):,} documents need no index: below {LEAST_ROWS:,} exact search is as fast")
    vectors = relation.vectors.unit()
    file = InvertedFile.build(vectors)
    measured = _measured(file, vectors, recall)
    folder = _folder(relation)
    with announced(folder / "index.json"):
        (folder / "index.json").unlink(missing_ok=True)  # it must not speak of another file
        write_bytes(folder / "index.faiss", file.save)
        write_sealed(folder / "index.json", {**asdict(measured), "sha256": sha256(folder / "index.faiss")})
    return measured


def find(relation: Relation) -> Index | None:
    """The index of a corpus, opened; None when it has none."""
    if relation.home is None or not (manifest := _folder(relation) / "index.json").exists():
        return None
    return _opened(manifest, manifest.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _opened(manifest: Path, _changed: int) -> Index:
    told = {name: value for name, value in read_json(manifest).items() if name not in ("sha256", "seal")}
    measured = Measured(
        **{**told, "index_seconds": tuple(told["index_seconds"]), "exact_seconds": tuple(told["exact_seconds"])}
    )
    return Index(InvertedFile.load(manifest.with_name("index.faiss")), measured)


def _folder(relation: Relation) -> Path:
    if relation.home is None:
        raise ValueError("this relation has no place of its own")
    return relation.home / f"ivf-{relation.vectors_key}"


def _measured(file: InvertedFile, vectors: Vectors, asked: float) -> Measured:
    """Read twice as many lists until the recall is reached: every list gives it for certain."""
    rows = np.sort(np.random.default_rng(1).choice(len(vectors), PROBED, replace=False))
    queries = vectors.take(rows)
    truth = neighbours.nearest(queries, vectors, MEASURED_K + 1)  # the document itself is found first, and left out
    best = truth.right.reshape(PROBED, -1)
    probes = 1
    while True:
        found, _ = file.search(queries.matrix(), MEASURED_K + 1, probes)
        hits = np.array([_recall(best[i], found[i], rows[i]) for i in range(PROBED)])
        spread = 1.96 * hits.std(ddof=1) / np.sqrt(PROBED)
        if hits.mean() - spread >= asked or probes >= file.lists:
            break
        probes *= 2
    probes = min(probes, file.lists)
    low, high = max(0.0, float(hits.mean() - spread)), min(1.0, float(hits.mean() + spread))
    many, k = queries.take(np.arange(TIMED) % PROBED), MEASURED_K
    matrix = many.matrix()
    return Measured(
        len(vectors), vectors.dimension, file.lists, probes, asked, float(hits.mean()), low, high,
        _times(lambda n: file.search(matrix[:n], k, probes)),
        _times(lambda n: neighbours.nearest(many.take(np.arange(n)), vectors, k)),
    )  # fmt: skip


def _recall(best: npt.NDArray[np.int64], found: npt.NDArray[np.int64], itself: int) -> float:
    wanted = [row for row in best if row != itself][:MEASURED_K]
    return len(set(wanted) & set(found.tolist())) / len(wanted)


def _times(search: Callable[[int], object]) -> tuple[float, float]:
    """Seconds of one query, and of each more when there are many; the least of three runs."""

    def least(n: int) -> float:
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            search(n)
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    one, many = least(1), least(TIMED)
    return one, max(0.0, many - one) / (TIMED - 1)
