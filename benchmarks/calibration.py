"""Does a calibrated threshold keep its promise: which share of all pairs reaches the cosine that a rate became?

    python benchmarks/calibration.py --vectors BASE.npy --against OTHER.npy [--seeds N] [--out FILE]

BASE and OTHER are (n, d) vectors of documents, brought into a workspace of their own; the record is of those of
nearest.py, whose base is 100,000 real texts and whose queries are 10,000 others, by the embedded MiniLM. For rates from
1e-2 to 1e-6, within a corpus and between two: the threshold that ``ws.calibrate`` gives from a sample,
with its interval, and the share of *all* pairs that reach it (5 billion within 100,000 documents). All pairs are
compared here by plain blocks of products whose values over 0.3 are kept and sorted, which shares no code with the
calibration. The same is done for N seeds: how often the interval holds the threshold of all pairs, which it should 95
times in 100, and how far the share strays. The record goes to ``benchmarks/records/calibration.json``.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from circumstances import circumstances

from curator import Workspace
from curator.calibration import random_pairs
from curator.calibration.pairs import ROWS
from curator.relation import Relation

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
RATES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
LEAST = 0.3  # values below it are not kept: every threshold looked at is above
BLOCK = 1_024


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Calibrated thresholds against all pairs.")
    parser.add_argument("--vectors", type=Path, metavar="FILE", required=True)
    parser.add_argument("--against", type=Path, metavar="FILE", required=True)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--out", type=Path, default=HERE / "records" / "calibration.json")
    arguments = parser.parse_args()
    command = f"python benchmarks/calibration.py --vectors BASE.npy --against OTHER.npy --seeds {arguments.seeds}"
    record = circumstances(command, ("numpy", "polars", "scipy")) | {"seeds": arguments.seeds}
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace(folder)
        for name in ("vectors", "against"):
            matrix = np.load(getattr(arguments, name))
            ws.add(name, pl.DataFrame({"text": [f"text {i}" for i in range(len(matrix))]}), vectors=matrix)
        pairs = (("vectors", None), ("vectors", "against"))
        record["corpora"] = [measured(ws, name, against, arguments.seeds) for name, against in pairs]
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def measured(ws: Workspace, name: str, against: str | None, seeds: int) -> Row:
    """The rows of one corpus, or of two."""
    sides = [ws._corpora.relation(ws.catalogue.corpus(side)) for side in (name, against) if side]
    vectors = [side.vectors.unit() for side in sides]
    started = time.perf_counter()
    random_pairs(*sides)
    seconds = time.perf_counter() - started
    ws.calibrate(name, against)
    again = time.perf_counter()
    found = ws.calibrate(name, against)
    again = time.perf_counter() - again
    truth, pairs = every_pair([part.matrix() for part in vectors])
    free = [Relation(side.frame, part) for side, part in zip(sides, vectors, strict=True)]  # nothing of these is kept
    drawn = [random_pairs(*free, seed=seed) for seed in range(seeds)]
    row: Row = {
        "corpus": name, "against": against, "documents": [len(side) for side in sides], "rows": ROWS,
        "pairs": len(found.pairs), "all_pairs": pairs, "seconds": seconds, "seconds_again": again, "rates": [],
    }  # fmt: skip
    for fpr in RATES:
        exact = float(truth[-int(fpr * pairs)])  # the cosine that this share of all pairs reaches
        low, high = found.interval(fpr)
        shares = [share(truth, one.threshold(fpr), pairs) for one in drawn]
        held = sum(a - 1e-4 <= exact <= b + 1e-4 for a, b in (one.interval(fpr) for one in drawn))
        row["rates"].append({
            "fpr": fpr, "cosine": found.threshold(fpr), "low": low, "high": high, "exact_cosine": exact,
            "share": share(truth, found.threshold(fpr), pairs), "shares": shares, "held": held,
        })  # fmt: skip
        print(name, against, {key: value for key, value in row["rates"][-1].items() if key != "shares"}, flush=True)
    return row


def every_pair(matrices: list[npt.NDArray[np.float32]]) -> tuple[npt.NDArray[np.float32], int]:
    """The cosines over LEAST of all pairs of different vectors, ascending, and how many pairs there are."""
    left, right = matrices[0], matrices[-1]
    equal, pairs = 0, 0
    kept = []
    for start, products in blocks(left, right, within=len(matrices) == 1):
        pairs += int((products > -2).sum())
        close = products >= LEAST
        i, j = np.nonzero(close & (products > 1 - 1e-5))
        same = (left[i + start] == right[j + (start if len(matrices) == 1 else 0)]).all(axis=1)
        equal += int(same.sum())
        products[i[same], j[same]] = -3
        kept.append(products[products >= LEAST])
    return np.sort(np.concatenate(kept)), pairs - equal


def blocks(
    left: npt.NDArray[np.float32], right: npt.NDArray[np.float32], *, within: bool
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Products of blocks of left rows with right rows; within one corpus those after each row, −3 before."""
    for start in range(0, len(left), BLOCK):
        products = left[start : start + BLOCK] @ right[start if within else 0 :].T
        if within:
            products[np.tri(*products.shape, dtype=bool)] = -3
        yield start, products


def share(truth: npt.NDArray[np.float32], cosine: float, pairs: int) -> float:
    """The share of all pairs at or over a cosine."""
    return float(len(truth) - np.searchsorted(truth, np.float32(cosine))) / pairs


if __name__ == "__main__":
    main()
