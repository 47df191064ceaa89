"""What does a large corpus cost: memory and time to read and embed it, to add 1 % to it, and to do it again?

    python benchmarks/corpora.py [--documents 5000000] [--dimension 64] [--folder DIR] [--out FILE]

Each step is a process of its own; its memory is the peak of all it has in memory, mapped files included, beside what
it has with curator imported. The encoder stands in for a model (a few hashes a text, see ``Cheap``), so that what is
seen is curator's own memory and time; a real encoder of 600 documents a second would take hours for what takes seconds
here. Texts are made up, of 40 to 120 characters, one in a hundred a repeat, in JSONL files of a million lines. The
record goes to ``benchmarks/records/corpora.json``.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from circumstances import circumstances
from memory import status

from curator import Workspace
from curator.vectors import Encoded

HERE = Path(__file__).resolve().parent
FILE_ROWS = 1_000_000
WORDS = [f"{a}{b}" for a in ("ba", "do", "ki", "lu", "me", "no", "pra", "sti") for b in ("l", "n", "r", "s", "tt", "x")]


@dataclass(frozen=True)
class Cheap:
    """Stands in for an encoder: a unit vector from the checksum of each text."""

    dimension: int

    @property
    def key(self) -> str:
        return f"cheap-{self.dimension}"

    def encode(self, texts: Sequence[str], **_: object) -> Encoded:
        sums = np.array([zlib.crc32(text.encode()) for text in texts], np.float64)
        vectors = np.sin(sums[:, None] * np.arange(1, self.dimension + 1) * 1e-3).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Encoded(vectors, np.array([len(text) // 5 for text in texts], np.int32), np.zeros(len(texts), bool))


def main() -> None:
    """Run every step, print its figures and write the record; or run one step, for the process that measures it."""
    parser = argparse.ArgumentParser(description="Reading and embedding a large corpus: memory and time.")
    parser.add_argument("--documents", type=int, default=5_000_000)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where there is room: some 500 bytes a document")
    parser.add_argument("--out", type=Path, default=HERE / "records" / "corpora.json")
    parser.add_argument("--step", choices=("add", "embed"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        step(arguments.step, arguments.folder, arguments.dimension)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        record = measure(Path(folder), arguments.documents, arguments.dimension)
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def measure(folder: Path, documents: int, dimension: int) -> dict[str, Any]:
    """The whole record."""
    command = f"python benchmarks/corpora.py --documents {documents} --dimension {dimension}"
    record = circumstances(command, ("numpy", "polars", "pyarrow"))
    record |= {"disk_free": shutil.disk_usage(folder).free, "documents": documents, "dimension": dimension}
    data = folder / "data"
    data.mkdir()
    for number, start in enumerate(range(0, documents, FILE_ROWS)):
        write(data / f"{number:03}.jsonl", start, min(FILE_ROWS, documents - start))
    record["bytes"] = sum(path.stat().st_size for path in data.iterdir())
    record["steps"] = [run("add", "all", folder, dimension), run("embed", "all", folder, dimension)]
    record["steps"] += [run("add", "again", folder, dimension), run("embed", "again", folder, dimension)]
    write(data / "more.jsonl", documents, documents // 100)
    record["steps"] += [run("add", "1 % more", folder, dimension), run("embed", "1 % more", folder, dimension)]
    record["workspace_bytes"] = sum(p.stat().st_size for p in (folder / "ws").rglob("*") if p.is_file())
    return record


def write(path: Path, first: int, rows: int) -> None:
    draw = np.random.default_rng(first)
    with path.open("w", encoding="utf8") as file:
        for row in range(first, first + rows):
            words = " ".join(WORDS[i] for i in draw.integers(0, len(WORDS), draw.integers(10, 25)))
            file.write(json.dumps({"text": words if row % 100 else "the same words", "label": WORDS[row % 3]}) + "\n")


def run(action: str, what: str, folder: Path, dimension: int) -> dict[str, Any]:
    """One step in a process of its own. Bytes of memory: before, at its peak, and at its peak without mapped files."""
    command = [sys.executable, __file__, "--step", action, "--folder", str(folder), "--dimension", str(dimension)]
    anonymous, started = 0, time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            anonymous = max(anonymous, status(process.pid).get("RssAnon", 0))
            time.sleep(0.01)
        assert process.stdout is not None
        assert process.returncode == 0, command
        answer = json.loads(process.stdout.read())
    row = {"step": action, "what": what, **answer, "peak_anonymous": anonymous}
    row["process_seconds"] = time.perf_counter() - started
    print(row, flush=True)
    return row


def step(action: str, folder: Path, dimension: int) -> None:
    ws = Workspace(folder / "ws", encoder=Cheap(dimension))
    before, started = status("self")["VmRSS"], time.perf_counter()
    if action == "add":
        documents = ws.add("documents", folder / "data").documents
    else:
        documents = ws.embed("documents")["documents"]
    seconds = time.perf_counter() - started
    print(json.dumps({"documents": documents, "seconds": seconds, "before": before, "peak": status("self")["VmHWM"]}))


if __name__ == "__main__":
    main()
