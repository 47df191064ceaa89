"""Peak memory of a nearest-1 join of many rows × 1,000, from the pool's side; nearest.py --memory runs it.

    python benchmarks/memory.py build|join FOLDER BASE.npy ROWS

``build`` makes a workspace whose vectors are those of BASE over and over, with noise; ``join`` runs the join in it and
prints its seconds and memory. The folder's name says of what kind: ``short`` and ``long`` have texts of that length
with vectors in the workspace's store, in shards, as if curator had embedded them; ``brought`` has them in one file, as
vectors that a person brought.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curator import Workspace, recipe
from curator.vectors import Encoded

TARGET = 1_000
CHARACTERS = {"short": 60, "long": 500, "brought": 60}  # of a text, by kind of workspace
JOIN = (
    "SELECT p.id, t.id, array_inner_product(p.embedding, t.embedding) AS score FROM documents p JOIN examples t "
    "EXACT NEAREST 1 BY SIMILARITY array_inner_product(p.embedding, t.embedding)"
)


@dataclass(frozen=True)
class Tiled:
    """Stands in for an encoder: vectors of the base by the number that a text ends in, with noise, unit rows."""

    base: Path
    key: str
    dimension: int = 384

    def encode(self, texts: Sequence[str], **_: object) -> Encoded:
        base = np.load(self.base, mmap_mode="r")
        numbers = np.array([int(text.rpartition(" ")[2]) for text in texts])
        noise = np.random.default_rng(int(numbers[0])).standard_normal((len(texts), self.dimension), np.float32)
        vectors = base[numbers % len(base)] + np.float32(0.02) * noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Encoded(vectors, np.full(len(texts), 9, np.int32), np.zeros(len(texts), bool))


def peak(folder: Path, base: Path, rows: int) -> dict[str, Any]:
    """Build and join, each in a process of its own; the join's memory in bytes.

    ``peak`` is all of it, with the pages of mapped files (VmHWM); ``peak_anonymous`` what is not a file, as seen every
    10 ms; ``before`` is what the process had with curator imported and the workspace open.
    """
    command = [sys.executable, __file__, "build", str(folder), str(base), str(rows)]
    subprocess.run(command, check=True)
    command[2] = "join"
    answer, anonymous = watched(command)
    assert answer is not None
    vectors = (rows + TARGET) * Tiled.dimension * 4
    what = {"kind": folder.name, "characters": CHARACTERS[folder.name], "rows": rows, "bytes": vectors}
    return {**what, **answer, "peak_anonymous": anonymous}


def build(folder: Path, base: Path, rows: int) -> None:
    from curator.encoder import load  # not where memory is measured

    encoder = Tiled(base, load(recipe.Encoder()).key)  # stored as if the real one had made them
    ws = Workspace(folder, encoder=encoder)
    filler = ("words " * 100)[: CHARACTERS[folder.name]]
    for name, first, n in (("documents", 0, rows), ("examples", rows, TARGET)):
        texts = [f"{filler} {first + i}" for i in range(n)]
        frame = pl.DataFrame({"id": [str(i) for i in range(n)], "text": texts})
        if folder.name == "brought":
            blocks = [encoder.encode(texts[start : start + 4_096]).vectors for start in range(0, n, 4_096)]
            ws.add(name, frame, vectors=np.concatenate(blocks))
        else:
            ws.add(name, frame)
            ws.embed(name)


def join(folder: Path, _: Path, rows: int) -> None:
    ws = Workspace(folder)
    before = status("self")["VmRSS"]
    start = time.perf_counter()
    found = ws.sql(JOIN)
    seconds = time.perf_counter() - start
    assert len(found) == rows, f"{len(found):,} pairs of {rows:,} rows"
    # VmHWM rather than getrusage, whose peak is inherited from the process that started this one
    print(json.dumps({"seconds": seconds, "before": before, "peak": status("self")["VmHWM"]}))


def watched(command: Sequence[str], limit: float = math.inf) -> tuple[dict[str, Any] | None, int]:
    """What a process prints as JSON, and the most memory that it had that was not a file, as seen every 10 ms.

    One that is not done after ``limit`` seconds is stopped, and has no answer. Raises SystemExit where it fails.
    """
    most, started = 0, time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            most = max(most, status(process.pid).get("RssAnon", 0))
            if time.perf_counter() - started > limit:
                process.kill()
                return None, most
            time.sleep(0.01)
        assert process.stdout is not None
        answer = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    return json.loads(answer), most


def status(process: int | str) -> dict[str, int]:
    """Bytes of each kind of memory of a process; nothing once it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text("utf8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}


if __name__ == "__main__":
    action = {"build": build, "join": join}[sys.argv[1]]
    action(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
