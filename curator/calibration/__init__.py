"""What a cosine means for an encoder and a corpus: how alike random documents are, and how alike nearest ones.

A fixed cosine threshold means a different thing for each encoder. Here it is a false-positive rate: the share of
random pairs that reach it. ``pairs`` compares random pairs; this keeps what was found beside the corpus's indexes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curator import neighbours
from curator.calibration.pairs import FINE, ROWS, RandomPairs, compare
from curator.errors import UsageError
from curator.files import is_sealed, read_json, write_sealed
from curator.relation import Relation

__all__ = ["FILES", "Calibration", "RandomPairs", "against", "calibrate", "random_pairs", "threshold"]

log = logging.getLogger(__name__)

NEAREST_ROWS = 1_000  # documents whose nearest is looked for, among all
FORMAT = 1
FILES = "calibration-*.json"  # in a corpus's home; of two corpora, ``…@corpus@version.json`` names the other
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True)
class Calibration:
    """How alike the documents of a corpus are, or those of two: random pairs, and documents with their nearest.

    ``nearest``: (m,) float32, ascending; the cosine of a sample of documents to the nearest of the other corpus, or to
    the nearest other document of their own, by exact search.
    """

    corpus: str
    against: str | None
    vectors: str  # the key of the encoder
    pairs: RandomPairs
    nearest: npt.NDArray[np.float32]

    @property
    def smallest_fpr(self) -> float:
        """The smallest share of random pairs that their number supports."""
        return self.pairs.smallest_fpr

    def threshold(self, fpr: float) -> float:
        """The least cosine that at most a share ``fpr`` of random pairs reach.

        Raises UsageError for a share below ``smallest_fpr``, saying how many pairs would do.
        """
        return self.pairs.threshold(fpr)

    def interval(self, fpr: float) -> tuple[float, float]:
        """The 95 % interval of that threshold; one point where every pair that there is was compared."""
        return self.pairs.interval(fpr)

    def fpr(self, cosine: float) -> float:
        """The share of random pairs that reach a cosine."""
        return self.pairs.fpr(cosine)

    def thresholds(self, *fprs: float) -> pl.DataFrame:
        """``fpr, cosine, low, high`` and ``nearest``, the share of documents whose nearest reaches that cosine.

        By default for each power of ten that the number of pairs supports.
        """
        wanted = fprs or tuple(10.0**-power for power in range(1, 10) if 10.0**-power >= self.smallest_fpr)
        return pl.DataFrame(
            [{**threshold(self.pairs, fpr), "nearest": self._reach(self.threshold(fpr))} for fpr in wanted]
        )

    def quantiles(self) -> pl.DataFrame:
        """``quantile, random, nearest``: the cosines below which that share of the pairs lies."""
        rows = [(q, self.pairs.quantile(q), float(np.quantile(self.nearest, q))) for q in QUANTILES]
        return pl.DataFrame(rows, schema=["quantile", "random", "nearest"], orient="row")

    def histogram(self, bins: int = 100) -> pl.DataFrame:
        """``low, high, random, nearest``: the share of each kind of pair with a cosine in that bin, of −1 to 1.

        ``bins`` must divide 20,000.
        """
        if bins < 1 or FINE % bins:
            raise UsageError(f"bins = {bins}: a number that divides {FINE:,} is needed")
        edges = np.linspace(-1, 1, bins + 1)
        random = self.pairs.counts.reshape(bins, -1).sum(axis=1) / len(self.pairs)
        nearest = np.histogram(self.nearest.clip(-1, 1), edges)[0] / max(1, len(self.nearest))
        return pl.DataFrame({"low": edges[:-1], "high": edges[1:], "random": random, "nearest": nearest})

    def report(self) -> dict[str, Any]:
        """What was compared, and both distributions, as plain values."""
        drawn = self.histogram().filter((pl.col("random") > 0) | (pl.col("nearest") > 0))
        return {
            "corpus": self.corpus,
            "against": self.against,
            "vectors": self.vectors,
            "pairs": len(self.pairs),
            "documents": list(self.pairs.documents),
            "sampled": list(self.pairs.sampled),
            "seed": self.pairs.seed,
            "smallest_fpr": self.smallest_fpr,
            "nearest_of": len(self.nearest),
            "quantiles": self.quantiles().to_dicts(),
            "histogram": drawn.to_dicts(),
        }

    def __repr__(self) -> str:
        other = f", against={self.against!r}" if self.against else ""
        return f"Calibration({self.corpus!r}{other}: {len(self.pairs):,} pairs; fpr from {self.smallest_fpr:.1g})"

    def _reach(self, cosine: float) -> float:
        return float((self.nearest >= cosine).mean()) if len(self.nearest) else 0.0


def threshold(pairs: RandomPairs, fpr: float) -> dict[str, float]:
    """``fpr, cosine, low, high`` of a threshold."""
    low, high = pairs.interval(fpr)
    return {"fpr": fpr, "cosine": pairs.threshold(fpr), "low": low, "high": high}


def calibrate(left: Relation, right: Relation | None = None, *, rows: int = ROWS, seed: int = 0) -> Calibration:
    """Calibrate a whole corpus, or two: random pairs of ``rows`` documents of each, and nearest neighbours.

    What was found before is read from the corpus's home. Raises UsageError for vectors that cannot be compared, a
    corpus in which no two vectors differ, or ``rows`` below 2.
    """
    pairs = random_pairs(left, right, rows=rows, seed=seed)

    def nearest() -> list[float]:
        found: list[float] = _nearest(left, right, seed).tolist()
        return found

    found = np.array(_kept("nearest", left, right, {"rows": NEAREST_ROWS, "seed": seed}, nearest), np.float32)
    names = [None if side is None or side.home is None else side.home.parent.name for side in (left, right)]
    return Calibration(names[0] or "", names[1], left.vectors_key, pairs, found)


def random_pairs(left: Relation, right: Relation | None = None, *, rows: int = ROWS, seed: int = 0) -> RandomPairs:
    """The cosines of random pairs within a relation, or between two; of whole corpora they are kept."""
    if rows < 2:
        raise UsageError(f"rows = {rows}: at least 2 documents are needed for a pair")
    if right is left:
        right = None
    if right is not None and left.brings_vectors != right.brings_vectors:
        raise UsageError("one corpus came with vectors of its own and the other did not: they cannot be compared")
    for side in (left, right):
        if side is not None and not side.can_embed:
            raise UsageError("documents without vectors cannot be calibrated")
    settings = {"rows": rows, "seed": seed}
    return RandomPairs.from_json(
        _kept("random", left, right, settings, lambda: compare(left, right, rows, seed).to_json())
    )


def against(path: Path) -> tuple[str, str] | None:
    """The other corpus and its version that a kept calibration is of; None where it is of one corpus."""
    parts = path.stem.split("@")
    return (parts[-2], parts[-1]) if len(parts) > 2 else None


def _nearest(left: Relation, right: Relation | None, seed: int) -> npt.NDArray[np.float32]:
    """Cosines of sampled documents to the nearest of the right, or to the nearest other of their own, ascending."""
    n = len(left)
    draw = np.random.default_rng([seed, 2])
    rows = np.sort(draw.choice(n, NEAREST_ROWS, replace=False)) if n > NEAREST_ROWS else np.arange(n)
    base = (left if right is None else right).vectors.unit()
    edges = neighbours.nearest(left.vectors_of(rows.astype(np.int64)).unit(), base, 2 if right is None else 1)
    if right is None:  # among several equal to itself it may not be one of the two, which are then as near
        others = edges.right != rows[edges.left]
        _, first = np.unique(edges.left[others], return_index=True)
        return np.sort(edges.score[others][first])
    return np.sort(edges.score)


def _kept(what: str, left: Relation, right: Relation | None, settings: dict[str, Any], make: Callable[[], Any]) -> Any:
    """What is kept of whole corpora under these settings, or is made now and kept."""
    path = _path(what, left, right)
    header = {"format": FORMAT, **settings}
    if path is not None and is_sealed(path):
        known = read_json(path)
        if {name: known.get(name) for name in header} == header:
            return known["found"]
    found = make()
    if path is not None:
        try:
            write_sealed(path, {**header, "found": found})
        except OSError as error:  # a workspace that may only be read
            log.debug("%s: not kept: %s", path, error)
    return found


def _path(what: str, left: Relation, right: Relation | None) -> Path | None:
    if left.home is None or (right is not None and right.home is None):
        return None
    other = "" if right is None or right.home is None else f"@{right.home.parent.name}@{right.home.name}"
    return left.home / f"calibration-{what}-{left.vectors_key}{other}.json"
