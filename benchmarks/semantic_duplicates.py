"""Near duplicates by vectors, against semhash, given the same vectors.

    python benchmarks/semantic_duplicates.py --data DIR --rivals PYTHON [--cache DIR] [--sizes N …] [--repeats N]

DIR holds the public sets (``bulk/*.parquet``), whose short texts MiniLM embeds; PYTHON is that of an environment with
semhash, which takes its approximate index, usearch's HNSW, as it comes. The threshold is a cosine of 0.95. Both are
judged by all pairs over it, found exactly: a document is dropped *wrongly* when it is close to none that was kept, and
*missed* when it was kept though it is close to another that was. ``leaders`` must have neither. In turn, ``--repeats``
times. The record goes to ``benchmarks/records/semantic_duplicates.json``.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from circumstances import circumstances

from curator import Workspace, neighbours
from curator.errors import CuratorWarning
from curator.functions import leaders
from curator.relation import Relation
from curator.vectors import Vectors

Row = dict[str, Any]
Rows = npt.NDArray[np.int64]

HERE = Path(__file__).resolve().parent
FILES = ("reddit_titles", "paper_titles", "search_queries", "wiki_sentences", "sgd_utterances")
LEAST = 0.95


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Near duplicates by vectors, against semhash.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--rivals", metavar="PYTHON", required=True)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="a workspace to keep the vectors in")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 300_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "records" / "semantic_duplicates.json")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", CuratorWarning)
    sizes = " ".join(map(str, arguments.sizes))
    command = "python benchmarks/semantic_duplicates.py --data DIR --rivals PYTHON"
    record = circumstances(f"{command} --sizes {sizes} --repeats {arguments.repeats}", ("numpy", "polars"))
    texts = pl.concat(pl.read_parquet(arguments.data / "bulk" / f"{name}.parquet")["text"] for name in FILES)
    texts = texts.unique().sort().sample(max(arguments.sizes), seed=0, shuffle=True)
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace(arguments.cache or folder)
        ws.add("short", pl.DataFrame({"text": texts}))
        vectors = ws._corpora.relation(ws.catalogue.corpus("short")).vectors.unit().matrix()
        record["sizes"] = [
            compared(vectors[:size], arguments.rivals, Path(folder), arguments.repeats) for size in arguments.sizes
        ]
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf8")


def compared(vectors: npt.NDArray[np.float32], python: str, folder: Path, repeats: int) -> Row:
    """Seconds of both, in turn, and how many documents each drops wrongly and misses."""
    np.save(folder / "base.npy", vectors)
    frame = pl.DataFrame({"corpus": "short", "id": pl.Series(np.arange(len(vectors))).cast(pl.String).str.zfill(9)})
    relation = Relation(frame, Vectors.of(vectors, unit=True))
    row: Row = {"documents": len(vectors), "ours_s": [], "semhash_s": []}
    for _ in range(repeats):
        started = time.perf_counter()
        found = pl.DataFrame(leaders(relation, min_score=LEAST))
        row["ours_s"].append(time.perf_counter() - started)
        script = [python, str(HERE / "semhash_rival.py"), str(folder), str(LEAST)]
        answer = json.loads(subprocess.run(script, check=True, capture_output=True, text=True).stdout)
        row["semhash_s"].append(answer["seconds"])
        print(row, answer, flush=True)
    row |= {"version": answer["version"], "semhash_built_s": answer["built"]}
    row["ratio"] = statistics.median(b / a for a, b in zip(row["ours_s"], row["semhash_s"], strict=True))
    left, right = close(Vectors.of(vectors, unit=True))
    row["pairs"] = len(left)
    row["ours"] = judged(np.flatnonzero(found["leader_id"].is_null().to_numpy()), left, right, len(vectors))
    row["semhash"] = judged(np.load(folder / "kept.npy"), left, right, len(vectors))
    print(row, flush=True)
    return row


def close(vectors: Vectors) -> tuple[Rows, Rows]:
    """All pairs of different rows at or over LEAST, in either order."""
    parts = [(edges.left, edges.right) for edges in neighbours.pairs_within(vectors, None, LEAST)]
    left, right = (np.concatenate(side) for side in zip(*parts, strict=True))
    return np.concatenate([left, right]), np.concatenate([right, left])


def judged(kept: Rows, left: Rows, right: Rows, n: int) -> Row:
    is_kept = np.zeros(n, np.bool_)
    is_kept[kept] = True
    near = np.zeros(n, np.bool_)
    near[left[is_kept[right]]] = True  # close to another that was kept
    return {"kept": len(kept), "wrongly": int((~is_kept & ~near).sum()), "missed": int((is_kept & near).sum())}


if __name__ == "__main__":
    main()
