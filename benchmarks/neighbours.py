"""Exact and approximate search against raw FAISS and other indexes, and what they cost as the corpus grows.

    python benchmarks/neighbours.py [--data DIR] [--cache DIR] [--rivals PYTHON] [--sizes N …] [--scale N …]
                                    [--repeats N] [--out FILE]

``--sizes`` (100,000 and 1,000,000): the 10 nearest of as many vectors for 1, 1,000 and 10,000 queries, with recall@10
(a tie with the tenth score counts as found) beside the time, all engines in one run and in turn. Ours end to end: from
vectors to edges with true scores. "the same index" is FAISS's search of the index that curator built, for as many
neighbours and lists, whose own order is by its codes.

``--scale`` (10,000 to 10,000,000): 1,000 queries against vectors in float16 shards on disk, exactly and by the index
that curator chooses for a recall of 0.95, each size in a process of its own, with its memory beyond what it had before
(what is not a mapped file).

The vectors are MiniLM's of real texts, as in nearest.py; beyond those there are, they are the same over again with
noise (0.02 a component). Indexes are tuned on 1,000 texts that are neither searched nor searched for: on rows of their
own they would be tuned to find a row's copies, which is easy (at 1,000,000 rows, asked for 0.95, that found 0.73). What
is expected to take more than 700 s to build is not.

What did not help: searching halves of the vectors on two threads for a single query, which FAISS runs on one (a core's
memory gives 11 GB/s to one thread, and 13 to two: 0.16 s either way for a million vectors).
"""

import argparse
import functools
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nearest
import numpy as np
from circumstances import circumstances
from memory import status
from rivals import Engine, Ids, K, Matrix, Rivals, Run, timed

from curator import Workspace, neighbours
from curator.errors import UsageError
from curator.indexes import Index, Wish
from curator.indexes.choice import kinds
from curator.indexes.making import Work
from curator.indexes.tuning import keys_of
from curator.neighbours.library import faiss  # with the same kernels as ours
from curator.vectors import Vectors

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
QUERIES, TUNING = (1, 1_000, 10_000), 1_000
RECALL = 0.95
SHARD = 2**18  # vectors
NOISE = np.float32(0.02)
SLOW_S = 20.0  # a first run longer than this is the only one
MOST_S = 700.0
BUILD_S = {"hnswlib": 60.0, "usearch, HNSW": 30.0, "DuckDB with vss, HNSW": 45.0}  # for 100,000, about


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Search against raw FAISS and other indexes, and its cost by size.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="Parquet files with a column 'text'")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="a workspace to keep the vectors in")
    parser.add_argument("--rivals", metavar="PYTHON", help="interpreter of the rivals' environment (see rivals.py)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--scale", type=int, nargs="*", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000, help="real vectors")
    parser.add_argument("--out", type=Path, default=HERE / "records" / "neighbours.json")
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "ROWS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(cost(Path(arguments.one[0]), int(arguments.one[1]), arguments.repeats)))
        return
    record = about(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        base, queries, tuning = real(arguments.cache or folder / "cache", arguments.data, arguments.rows)
        record["real"] = len(base)
        record["sizes"] = [
            row for rows in arguments.sizes for row in compared(base, queries, tuning, rows, arguments, folder)
        ]
        write(base, queries, tuning, folder, max(arguments.scale, default=0))
        record["scale"] = [apart(folder, rows, arguments.repeats) for rows in arguments.scale]
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf8")


def real(cache: Path, data: Path | None, rows: int) -> tuple[Matrix, Matrix, Matrix]:
    """Unit vectors of real texts, of others to search with, and of others to tune on."""
    texts = nearest.texts(data, rows + max(QUERIES) + TUNING)
    ws = Workspace(cache)
    searched = slice(max(QUERIES), max(QUERIES) + rows)
    parts = {f"queries_{max(QUERIES)}": texts[: searched.start], "base": texts[searched]}
    parts["tuning"] = texts[searched.stop :]
    for name, part in parts.items():
        ws.add(name, nearest.documents(part))
        ws.embed(name)
    queries, base, tuning = (nearest.matrix(ws, name) for name in parts)
    return base, queries, tuning


def tiled(base: Matrix, start: int, stop: int) -> Matrix:
    """Rows ``start:stop`` of the base over and over, those beyond its end with noise; unit rows."""
    numbers = np.arange(start, stop)
    rows = base[numbers % len(base)]
    beyond = numbers >= len(base)
    rows[beyond] += NOISE * np.random.default_rng(start).standard_normal((int(beyond.sum()), base.shape[1]), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def compared(
    base: Matrix, queries: Matrix, tuning: Matrix, size: int, arguments: argparse.Namespace, folder: Path
) -> Iterator[Row]:
    """A row for each engine and number of queries, against ``size`` vectors in memory."""
    rows = np.concatenate([tiled(base, start, min(start + SHARD, size)) for start in range(0, size, SHARD)])
    tenth = faiss.knn(queries, rows, K, metric=faiss.METRIC_INNER_PRODUCT)[0][:, -1]
    truth = nearest.Truth(rows, queries, tenth, np.ones(len(rows), np.bool_))
    vectors, left = Vectors.of(rows, unit=True), Vectors.of(queries, unit=True)
    built, index = timed(lambda: indexed(vectors, tuning))
    engines = [raw(rows, queries), exact(vectors, left), approximate(index, vectors, left, built)]
    engines += same(index, queries) if index.file else []
    with ExitStack() as stack:
        if arguments.rivals:
            place = folder / f"rivals-{size}"
            place.mkdir()
            np.save(place / "base.npy", rows)
            np.save(place / "queries.npy", queries)
            names = [name for name, seconds in BUILD_S.items() if seconds * size / 1e5 <= MOST_S]
            others = [name for name in BUILD_S if name not in names]
            engines += stack.enter_context(Rivals(arguments.rivals, place, names)).engines()
            engines += [Engine(name, None, "", f"not built: over {MOST_S:.0f} s expected") for name in others]
        for n in QUERIES:
            yield from taken_in_turn(engines, n, size, truth, arguments.repeats)


def taken_in_turn(engines: Sequence[Engine], n: int, size: int, truth: Any, repeats: int) -> list[Row]:
    rows: list[Row] = []
    runs: list[tuple[Run, Row]] = []
    for engine in engines:
        row: Row = {"rows": size, "queries": n, "engine": engine.name, "version": engine.version, "note": engine.note}
        row |= {"build_s": engine.build_s, "seconds": [], "recall": None}
        rows.append(row)
        if engine.run is None:
            continue
        seconds, ids = engine.run(n)
        row["recall"] = truth.recall(ids)
        if seconds > SLOW_S:
            row["seconds"].append(seconds)
        else:
            runs.append((engine.run, row))
    for repeat in range(repeats):
        first = repeat % max(1, len(runs))
        for run, row in runs[first:] + runs[:first]:
            row["seconds"].append(run(n)[0])
    for row in rows:
        row["ratio_to_raw"] = nearest.ratios(row["seconds"], rows[0]["seconds"])
        if row["seconds"]:
            print(
                f"{size:10,} × {n:6,}  {row['engine']:24} {statistics.median(row['seconds']):9.4f} s  × raw "
                f"{statistics.median(row['ratio_to_raw']):6.3f}  recall {row['recall']:.4f}",
                flush=True,
            )
    return rows


def raw(base: Matrix, queries: Matrix) -> Engine:
    def run(n: int) -> tuple[float, Ids]:
        seconds, found = timed(lambda: faiss.knn(queries[:n], base, K, metric=faiss.METRIC_INNER_PRODUCT))
        return seconds, found[1]

    return Engine("faiss.knn", run, faiss.__version__, "exact, matrices in memory")


def exact(base: Vectors, queries: Vectors) -> Engine:
    def run(n: int) -> tuple[float, Ids]:
        part = queries.take(np.arange(n))
        seconds, found = timed(lambda: neighbours.nearest(part, base, K))
        return seconds, found.right.reshape(n, K)

    return Engine("curator, exact", run, importlib.metadata.version("curator"), "vectors in memory")


def approximate(index: Index, base: Vectors, queries: Vectors, built: float) -> Engine:
    def run(n: int) -> tuple[float, Ids]:
        part = queries.take(np.arange(n))
        seconds, found = timed(lambda: index.nearest(part, base, K))
        return seconds, found.right.reshape(n, K)

    version = importlib.metadata.version("curator")
    return Engine("curator, index", run, version, str(index.measured), built)


def same(index: Index, queries: Matrix) -> Iterator[Engine]:
    promise = index.measured.promise(K)
    assert promise is not None
    assert index.file is not None
    file, reach, count = index.file, promise.reach, promise.k * promise.factor

    def run(n: int) -> tuple[float, Ids]:
        seconds, found = timed(lambda: file.candidates(queries[:n], count, reach))
        return seconds, found[:, :K]

    yield Engine("FAISS, the same index", run, faiss.__version__, f"{count} neighbours by their codes, the first {K}")


def indexed(vectors: Vectors, queries: Matrix) -> Index:
    """The index that curator makes of vectors, tuned on queries."""
    wish = Wish(recall=RECALL)
    tried, why = kinds(wish, len(vectors), vectors.dimension)
    work = Work(vectors, keys_of(vectors), wish, queries, "queries")
    if not tried:
        return work.flat(why).index
    work.measure()
    return work.built(tried, why, "built").index


def write(base: Matrix, queries: Matrix, tuning: Matrix, folder: Path, rows: int) -> None:
    """Shards of float16, as a workspace stores them by choice."""
    np.save(folder / "queries.npy", queries[: max(QUERIES[:-1])])
    np.save(folder / "tuning.npy", tuning)
    for start in range(0, rows, SHARD):
        np.save(folder / f"shard-{start:09}.npy", tiled(base, start, min(start + SHARD, rows)).astype(np.float16))


def shards(folder: Path, rows: int) -> Vectors:
    """The first ``rows`` vectors of the shards, mapped."""
    arrays = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("shard-*.npy"))[: -(-rows // SHARD)]]
    numbers = np.arange(rows)
    return Vectors(arrays, (numbers // SHARD).astype(np.int32), numbers % SHARD, unit=True)


def apart(folder: Path, rows: int, repeats: int) -> Row:
    """``cost`` in a process of its own, with the most memory that it had at any time, as seen every 10 ms."""
    command = [sys.executable, __file__, "--one", str(folder), str(rows), "--repeats", str(repeats)]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, status(process.pid).get("RssAnon", 0))
            time.sleep(0.01)
        assert process.stdout is not None
        row: Row = json.loads(process.stdout.read().splitlines()[-1])
    print({**row, "peak": peak}, flush=True)
    return {**row, "peak": peak}


def cost(folder: Path, rows: int, repeats: int) -> Row:
    """Seconds of 1,000 queries, exactly and by an index, recall and memory (``RssAnon``) after each step."""
    vectors = shards(folder, rows)
    queries = Vectors.of(np.load(folder / "queries.npy"), unit=True)
    neighbours.pairs_per_second()  # imports what is needed, and what is remembered
    row: Row = {"rows": rows, "queries": len(queries), "vectors_bytes": rows * vectors.dimension * 2}
    row["before"] = status("self")["RssAnon"]
    row["exact_s"], found = repeated(functools.partial(neighbours.nearest, queries, vectors, K), repeats)
    row["after_exact"] = status("self")["RssAnon"]
    least = found.score.reshape(-1, K)[:, -1:] - nearest.TIE
    try:
        row["build_s"], index = timed(lambda: indexed(vectors, np.load(folder / "tuning.npy")))
    except UsageError as error:  # what cannot be promised is a row, too
        return {**row, "index": f"{error}"}
    row["index"] = str(index.measured)
    row["kind"] = index.measured.kind
    row["after_index"] = status("self")["RssAnon"]
    row["index_s"], near = repeated(functools.partial(index.nearest, queries, vectors, K), repeats)
    row["recall"] = float((near.score.reshape(-1, K) >= least).mean())
    return row


def repeated(run: Any, repeats: int) -> tuple[list[float], Any]:
    seconds, found = timed(run)
    times = [seconds]
    while len(times) < repeats and sum(times) < SLOW_S:
        times.append(timed(run)[0])
    return times, found


def about(arguments: argparse.Namespace) -> Row:
    """The circumstances, with what matters to a search."""
    flags = {"--data DIR": arguments.data, "--cache DIR": arguments.cache, "--rivals PYTHON": arguments.rivals}
    command = ["python benchmarks/neighbours.py", *[flag for flag, given in flags.items() if given]]
    sizes, scale = (" ".join(map(str, numbers)) for numbers in (arguments.sizes, arguments.scale))
    command.append(f"--sizes {sizes} --scale {scale} --repeats {arguments.repeats}")
    record = circumstances(" ".join(command), ("numpy",))
    record["versions"]["faiss"] = faiss.__version__
    return record | {"threads": faiss.omp_get_max_threads(), "repeats": arguments.repeats}


if __name__ == "__main__":
    main()
