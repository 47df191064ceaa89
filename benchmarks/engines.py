"""What do the workers of a Ray cluster cost beside the same work in one process, on one machine?

    python benchmarks/engines.py --data DIR [--texts N] [--judged N] [--left N] [--right N] [--rounds N] [--out FILE]
                                 [--what NAME …]

``encode``: the vectors of so many texts (bulk/ of the data), in a new workspace each time; the shards must be the same
bytes. ``join``: the ten nearest of ``right`` rows for ``left`` others, of 384 components, drawn at random and kept in
files as a corpus's are; the lists must be the same. ``judge``: the stages gopher and language over the first of the
texts; ``minhash``: near_duplicates over all; the tables must be the same. ``read`` (only where it is named): sixteen
files of JSON lines, of 2,000,000 documents together, become a corpus; its files must be the same. Each runs in a
process of its own, here and by as many workers as there are cores with one thread each, in turn. Seconds are those of
the work; what starting Ray and its workers took (the import of torch, loading the model) is told beside. Peaks are
those of the largest worker and of the driver. The record goes to ``benchmarks/records/engines.json``.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import unittest.mock
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from circumstances import circumstances, cores

from curator import Workspace, engines, neighbours
from curator.files import sha256
from curator.functions import near_duplicates
from curator.functions._blocks import by_blocks
from curator.functions._minhash import Banding, band_keys
from curator.neighbours import spread
from curator.recipe import Engine
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run
from curator.stages.spread import Judging, Part
from curator.vectors import Vectors, store

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
BULK = ("reddit_titles", "wiki_sentences", "sgd_utterances", "search_queries")
ROWS, DIMENSION, K = 4_096, 384, 10  # of a file of vectors; components; neighbours
LINES, FILES = 2_000_000, 16  # that are read
WARM = 64  # texts, or rows, of the same work before


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Local work beside that of Ray's workers.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--left", type=int, default=10_000)
    parser.add_argument("--right", type=int, default=1_000_000)
    parser.add_argument("--judged", type=int, default=65_536)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--what", nargs="+", choices=WORKS, default=[name for name in WORKS if name != "read"])
    parser.add_argument("--out", type=Path, default=HERE / "records" / "engines.json")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)  # what, engine, folder
    given = parser.parse_args()
    if given.child:
        what, engine, folder = given.child
        print(json.dumps(WORKS[what](engine, Path(folder), given.judged)))
        return
    asked = {name: getattr(given, name) for name in ("texts", "judged", "left", "right", "rounds")}
    sizes = " ".join(f"--{name} {value}" for name, value in asked.items()) + f" --what {' '.join(given.what)}"
    record = circumstances(f"python benchmarks/engines.py --data DIR {sizes}", ("faiss-cpu", "ray", "torch"))
    record |= {**asked, "workers": cores(), "runs": []}
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), given)
        for round_ in range(given.rounds):
            for what in given.what:
                for engine in ("local", "ray")[:: 1 if round_ % 2 == 0 else -1]:
                    ran = child(what, engine, folder)
                    record["runs"].append({"what": what, "engine": engine, "round": round_, **ran})
                    print(what, engine, {**ran, "digest": ran["digest"][:8]}, flush=True)
                    given.out.write_text(json.dumps(record, indent=1) + "\n", "utf8")
    for what in given.what:
        digests = {run["digest"] for run in record["runs"] if run["what"] == what}
        assert len(digests) == 1, f"{what}: the engines differ"


def child(what: str, engine: str, folder: str) -> Row:
    """One run, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--child", what, engine, folder],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    row: Row = json.loads(ran.stdout.splitlines()[-1])
    return row


def prepare(folder: Path, given: argparse.Namespace) -> None:
    """The texts and the files of vectors."""
    frames = [pl.read_parquet(given.data / "bulk" / f"{name}.parquet", columns=["text"]) for name in BULK]
    texts = pl.concat(frames).unique("text", maintain_order=True)
    drawn = texts.sample(given.texts + WARM, seed=0, shuffle=True)
    drawn[WARM:].write_parquet(folder / "texts.parquet")
    drawn[:WARM].write_parquet(folder / "warm.parquet")
    rng = np.random.default_rng(0)
    if "read" in given.what:
        (folder / "lines").mkdir()
        many = drawn["text"].sample(LINES, with_replacement=True, seed=0).to_frame()
        for number in range(FILES):
            size = LINES // FILES
            many[number * size : (number + 1) * size].write_ndjson(folder / "lines" / f"{number:02}.jsonl")
    for number, start in enumerate(range(0, given.right if "join" in given.what else 0, ROWS)):
        np.save(folder / f"right-{number:05}.npy", directions(rng, min(ROWS, given.right - start)))
    np.save(folder / "left.npy", directions(rng, given.left))


def directions(rng: np.random.Generator, rows: int) -> Any:
    """Unit vectors that are spread evenly."""
    drawn = rng.standard_normal((rows, DIMENSION), np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def encode(engine: str, folder: Path, _: int) -> Row:
    """Embed a corpus."""
    settings = settings_of(engine)
    with tempfile.TemporaryDirectory(dir=folder) as root:
        ws = Workspace(root, engine=settings)
        for name in ("warm", "texts"):
            ws.add(name, folder / f"{name}.parquet")
        started = time.perf_counter()
        meet(engines.engine_of(settings))
        with unittest.mock.patch.object(store, "SHARD_ROWS", max(1, WARM // (4 * cores()))):  # so that each has some
            ws.embed("warm")
        ready = time.perf_counter()
        ws.embed("texts")
        done = time.perf_counter()
        shards = sorted(Path(root).glob("vectors/*/*.npy"))
        digest = hashlib.sha256("".join(map(sha256, shards)).encode()).hexdigest()
    return told(settings, ready - started, done - ready, digest) | {"tokens": ws.last_report["tokens"]}


def join(engine: str, folder: Path, _: int) -> Row:
    """Find neighbours."""
    settings = settings_of(engine)
    arrays = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("right-*.npy"))]
    counts = [len(array) for array in arrays]
    row = np.concatenate([np.arange(count) for count in counts])
    started = time.perf_counter()
    where = engines.engine_of(settings)
    right = Vectors(arrays, np.repeat(np.arange(len(arrays), dtype=np.int32), counts), row, unit=True, engine=where)
    left = Vectors.of(np.load(folder / "left.npy"), unit=True)
    warm(spread.Span(0, WARM, left))
    meet(where)
    if where is not engines.HERE:  # each has imported what it needs
        list(spread.over(where, right.take(np.arange(min(len(right), where.workers * 65_536))), "first", warm))
    ready = time.perf_counter()
    edges = neighbours.nearest(left, right, K)
    done = time.perf_counter()
    digest = hashlib.sha256(edges.right.tobytes() + edges.score.tobytes()).hexdigest()
    return told(settings, ready - started, done - ready, digest)


def warm(span: Any) -> int:
    """A search of a few rows."""
    few = Vectors.of(span.rows.block(0, WARM), unit=True)
    return len(neighbours.nearest(few, few, 1))


def read(engine: str, folder: Path, _: int) -> Row:
    """Make files a corpus."""
    settings = settings_of(engine)
    with tempfile.TemporaryDirectory(dir=folder) as root:
        ws = Workspace(root, engine=settings)
        started = time.perf_counter()
        meet(engines.engine_of(settings))
        ready = time.perf_counter()
        ws.add("lines", folder / "lines")
        done = time.perf_counter()
        files = sorted(path for path in Path(root).glob("corpora/lines/*/*") if path.is_file())
        digest = hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()
    return told(settings, ready - started, done - ready, digest)


def judge(engine: str, folder: Path, rows: int) -> Row:
    """Let stages judge each text alone."""
    settings, candidates, session = settings_of(engine), candidates_of(engine, folder).take(np.arange(rows)), Session()
    started = time.perf_counter()
    meet(candidates.engine)
    plan = [Stage.load(name, folder) for name in ("gopher", "language")]
    few = candidates.frame[:WARM]
    for stage in plan:  # each has imported what it needs
        parts = [Part(number, few) for number in range(2 * max(1, candidates.engine.workers))]
        list(candidates.engine.map(Judging(stage, stage.bind({}, 0)), parts))
    ready = time.perf_counter()
    found = [run(stage, stage.bind({}, 0), {"candidates": candidates}, session).frame for stage in plan]
    done = time.perf_counter()
    return told(settings, ready - started, done - ready, "".join(digest_of(frame) for frame in found))


def minhash(engine: str, folder: Path, _: int) -> Row:
    """Find near duplicates."""
    settings, candidates = settings_of(engine), candidates_of(engine, folder)
    started = time.perf_counter()
    meet(candidates.engine)
    near_duplicates(candidates.take(np.arange(WARM)))
    few, size = candidates.frame["text"][: WARM * cores()], WARM // 4
    list(by_blocks(few, size, "first", partial(band_keys, ngram=3, bands=Banding(2, 2), seed=0), candidates.engine))
    ready = time.perf_counter()
    found = pl.DataFrame(near_duplicates(candidates))
    done = time.perf_counter()
    return told(settings, ready - started, done - ready, digest_of(found))


def candidates_of(engine: str, folder: Path) -> Relation:
    """The texts as stages see them."""
    frame = pl.read_parquet(folder / "texts.parquet").with_row_index("id")
    columns = pl.lit("texts").alias("corpus"), pl.col("id").cast(pl.String), "text", pl.lit("none").alias("label")
    return Relation(frame.select(columns), engine=engines.engine_of(settings_of(engine)))


def digest_of(frame: pl.DataFrame) -> str:
    """What a table holds, in its order."""
    return hashlib.sha256(frame.hash_rows(seed=0).to_numpy().tobytes()).hexdigest()


class Meeting:
    """Work that says which worker it was done by."""

    def run(self, parts: Iterable[int]) -> Iterator[int]:
        """The number of its process, after a while."""
        for _ in parts:
            time.sleep(0.2)
            yield os.getpid()

    def name(self, part: int) -> str:
        """Its number."""
        return f"meeting {part}"


def meet(engine: engines.Engine) -> None:
    """Wait for all workers to be there."""
    met = set[int]()
    while len(met) < engine.workers:
        met |= set(engine.map(Meeting(), range(2 * engine.workers)))


def settings_of(engine: str) -> Engine:
    """As many workers as cores."""
    return Engine() if engine == "local" else Engine(kind="ray", workers=cores())


def told(settings: Engine, start: float, seconds: float, digest: str) -> Row:
    """What a run came to; peaks in GiB."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "start": round(start, 2), "seconds": round(seconds, 2), "peak": round(own, 3),
        "worker_peak": round(getattr(engines.engine_of(settings), "peak", 0.0), 3), "digest": digest,
    }  # fmt: skip


WORKS = {"join": join, "encode": encode, "judge": judge, "minhash": minhash, "read": read}

if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(HERE))
    main()
