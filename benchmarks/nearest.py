"""How fast is a NEAREST join from SQL text to polars frame, against raw ``faiss.knn``, DuckDB's own and other engines?

    python benchmarks/nearest.py [--data DIR] [--rows 100000] [--repeats N] [--rivals PYTHON] [--cache DIR]
                                 [--memory [ROWS]] [--out FILE]

In one run and in turn, so that whoever else uses the machine slows all of them: the 10 nearest of 100,000 real MiniLM
vectors for 100, 1,000 and 10,000 others, with recall@10 (a tie with the tenth score counts as found; the truth is a
matrix product) and the time to build an index apart. Then the same with a filter on the right side, the first query of
a fresh process, and with ``--memory`` the peak memory of a nearest-1 join of 1,000,000 × 1,000. The first run of each
engine and size is not counted, unless it took longer than 10 s: then it is the only one. What is expected to take more
than 300 s is not run.

DIR holds Parquet files with a column ``text`` (its folder ``bulk`` is used when there is one); texts of 20 to 100
characters are taken in the order of their hashes. Without it they are lines of the docstrings of installed packages,
about enough for ``--rows 90000``. ``--cache`` keeps the workspace, so that a rerun embeds nothing. PYTHON is the
interpreter of the rivals' environment (see rivals.py). The record goes to ``benchmarks/records/nearest.json``.

``vss`` of DuckDB 1.5.5 uses its index in a join only when an optimiser rule that makes a cross product of it first is
switched off, as it is here; the record says what EXPLAIN shows. LanceDB is given 1,000 queries a call; one by one it
is about ten times slower.
"""

import argparse
import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import duckdb
import memory
import numpy as np
import numpy.typing as npt
import polars as pl
from circumstances import circumstances
from encode import docstrings
from rivals import Engine, Ids, K, Matrix, Rivals, Run, grid, tables, timed

from curator import Workspace, neighbours
from curator.neighbours.library import faiss  # with the same kernels as ours

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
SIZES = (100, 1_000, 10_000)
COLD = (1, 1_000)
SLOW_S = 10.0  # a first run longer than this is the only one
MOST_S = 300.0  # what is expected to take longer is not run
TIE = 1e-6  # scores this close to the tenth are ties: float32 sums differ by their order
PARTS = 100  # values of the column ``part`` by which the base is filtered
RAW, NATIVE, OURS = "faiss.knn", "DuckDB, EXACT NEAREST", "curator"
JOIN = (
    "SELECT q.id, b.id, array_inner_product(q.embedding, b.embedding) AS score FROM {left} q JOIN {right} b "
    f"{{how}} NEAREST {K} BY SIMILARITY array_inner_product(q.embedding, b.embedding)"
)
INDEX_RECALL = 0.95
FIRST_QUERY = """
import json, sys, time
a = time.perf_counter()
from curator import Workspace
b = time.perf_counter()
rows = len(Workspace(sys.argv[1]).sql(sys.argv[2]))
print(json.dumps({"import_s": b - a, "seconds": time.perf_counter() - b, "rows": rows}))
"""


@dataclasses.dataclass(frozen=True)
class Truth:
    """What recall is measured against."""

    base: Matrix
    queries: Matrix
    tenth: Matrix  # (n,) score of the tenth neighbour of each query
    allowed: npt.NDArray[np.bool_]  # rows of the base that may be found

    @classmethod
    def of(cls, base: Matrix, queries: Matrix, allowed: npt.NDArray[np.bool_]) -> Self:
        right = base[allowed].T
        products = (queries[start : start + 500] @ right for start in range(0, len(queries), 500))
        return cls(base, queries, np.concatenate([np.partition(p, -K, axis=1)[:, -K] for p in products]), allowed)

    def recall(self, ids: Ids) -> float:
        """Share of the ten that are among the best ten or tie with the last of them; a row named twice counts once."""
        scores = np.stack([np.einsum("ij,ij->i", self.queries[: len(ids)], self.base[column]) for column in ids.T], 1)
        found = (ids >= 0) & self.allowed[ids] & (scores >= self.tenth[: len(ids), None] - TIE)
        return sum(len(set(row[hit].tolist())) for row, hit in zip(ids, found, strict=True)) / ids.size


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="NEAREST joins against raw FAISS, DuckDB and other engines.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="Parquet files with a column 'text'")
    parser.add_argument("--rows", type=int, default=100_000, help="of the base")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rivals", metavar="PYTHON", help="interpreter of the rivals' environment")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the workspace here")
    parser.add_argument("--native-1000", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--memory", type=int, nargs="?", const=1_000_000, metavar="ROWS")
    parser.add_argument("--out", type=Path, default=HERE / "records" / "nearest.json")
    arguments = parser.parse_args()
    if arguments.rows < K * PARTS:
        parser.error(
            f"--rows must be at least {K * PARTS}, so that a hundredth has ten neighbours; not {arguments.rows}"
        )
    with tempfile.TemporaryDirectory() as folder:
        record = measure(arguments, Path(folder))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def measure(arguments: argparse.Namespace, folder: Path) -> Row:
    """The whole record. ``folder`` is for what is thrown away."""
    record = about(arguments)
    cache = arguments.cache or folder / "cache"
    ws, given = Workspace(cache), Workspace(folder / "brought")
    base, queries = corpora(ws, given, texts(arguments.data, max(SIZES) + arguments.rows))
    np.save(folder / "base.npy", base)
    np.save(folder / "queries.npy", queries)
    truth = Truth.of(base, queries, np.ones(len(base), bool))
    index_s, index = timed(functools.partial(ws.index, "base", recall=INDEX_RECALL))
    approximate = f"{OURS}, APPROX"
    note = f"with an index for recall {INDEX_RECALL}, which is used where that is expected to be faster"
    engines = [
        raw(base, queries, RAW, faiss_threshold()),
        raw(base, queries, f"{RAW}, always by products", 1),
        ours(OURS, ws, "vectors from its store, in shards of 4,096"),
        ours(f"{OURS}, vectors brought", given, "vectors from one file"),
        dataclasses.replace(ours(approximate, ws, note, how="APPROX"), build_s=index_s),
        native(base, queries),
    ]
    with ExitStack() as processes:
        if arguments.rivals:
            engines += processes.enter_context(Rivals(arguments.rivals, folder)).engines()
        else:
            print("without --rivals: usearch, lancedb and vss are left out", flush=True)
        record["results"] = list(race(engines, truth, arguments))
    record["index"] = index | {"used": {n: used(ws, n) for n in SIZES}}
    record["base"], record["device"] = [*base.shape], " (".join(neighbours.device()) + ")"
    record["filters"] = filtered(ws, truth, arguments.repeats)
    record["cold"] = [cold(cache, n, arguments.repeats) for n in COLD]
    record["memory"] = []
    for kind in memory.CHARACTERS if arguments.memory else ():
        with tempfile.TemporaryDirectory(dir=folder) as place:
            record["memory"].append(memory.peak(Path(place) / kind, folder / "base.npy", arguments.memory))
        print(record["memory"][-1], flush=True)
    return record


def texts(data: Path | None, n: int) -> list[str]:
    """n different texts of 20 to 100 characters, in the order of their hashes. Raises SystemExit for too few."""
    if data is None:
        found = pl.Series([line.strip() for text in docstrings() for line in text.splitlines()], dtype=pl.String)
    else:
        bulk = data / "bulk"
        paths = sorted((bulk if bulk.is_dir() else data).rglob("*.parquet"))
        found = pl.concat([pl.read_parquet(path, columns=["text"])["text"] for path in paths]).drop_nulls()
    short = found.filter(found.str.len_chars().is_between(20, 100)).unique(maintain_order=True)
    if len(short) < n:
        raise SystemExit(
            f"only {len(short):,} texts of 20 to 100 characters, {n:,} are needed; give other --data or fewer --rows"
        )
    drawn = pl.Series([hashlib.blake2b(text.encode(), digest_size=16).digest() for text in short], dtype=pl.Binary)
    return short[drawn.arg_sort()[:n]].to_list()


def corpora(ws: Workspace, given: Workspace, texts: list[str]) -> tuple[Matrix, Matrix]:
    """Fill both workspaces with the same corpora; returns the vectors of the base and of the queries."""
    most = f"queries_{max(SIZES)}"
    parts = {"base": texts[max(SIZES) :], **{f"queries_{n}": texts[:n] for n in sorted({*SIZES, *COLD})}}
    frames = {name: documents(part) for name, part in parts.items()}
    for name, frame in frames.items():
        ws.add(name, frame)
    for name in ("base", most):
        seconds, _ = timed(functools.partial(ws.embed, name))
        print(f"{name}: {len(frames[name]):,} vectors in {seconds:.1f} s", flush=True)
    base, queries = (matrix(ws, name) for name in ("base", most))
    for name, frame in frames.items():
        given.add(name, frame, vectors=base if name == "base" else queries[: len(frame)])
    return base, queries


def documents(texts: list[str]) -> pl.DataFrame:
    """Documents whose id is their row, with a column to filter by."""
    rows = pl.int_range(len(texts), eager=True)
    return pl.DataFrame({"id": rows.cast(pl.String), "text": texts, "part": rows % PARTS})


def matrix(ws: Workspace, name: str) -> Matrix:
    """All vectors of a corpus, in memory, in the order of its ids."""
    vectors = ws.sql(f"SELECT embedding FROM {name} ORDER BY CAST(id AS BIGINT)")["embedding"]
    return np.ascontiguousarray(vectors.to_numpy(), dtype=np.float32)


def raw(base: Matrix, queries: Matrix, name: str, threshold: int) -> Engine:
    """FAISS alone. With fewer queries × components than ``threshold`` it compares pair by pair, else by products."""

    def run(n: int) -> tuple[float, Ids]:
        before, faiss.cvar.distance_compute_blas_threshold = faiss.cvar.distance_compute_blas_threshold, threshold
        seconds, found = timed(lambda: faiss.knn(queries[:n], base, K, metric=faiss.METRIC_INNER_PRODUCT))
        faiss.cvar.distance_compute_blas_threshold = before
        return seconds, found[1]

    return Engine(
        name, run, faiss.__version__, f"matrices in memory, CPU; distance_compute_blas_threshold {threshold:,}"
    )


def faiss_threshold() -> int:
    """FAISS's own default, whatever curator sets in this process."""
    command = [sys.executable, "-c", "import faiss; print(faiss.cvar.distance_compute_blas_threshold)"]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def used(ws: Workspace, n: int) -> bool:
    """Whether an APPROX join of n queries uses the index."""
    return "approximate search" in ws.explain(JOIN.format(left=f"queries_{n}", right="base", how="APPROX"))


def ours(name: str, ws: Workspace, note: str, right: str = "base", how: str = "EXACT") -> Engine:
    def run(n: int) -> tuple[float, Ids]:
        seconds, found = timed(lambda: ws.sql(JOIN.format(left=f"queries_{n}", right=right, how=how)))
        joins = ws.last_report["joins"]
        assert [join["engine"] for join in joins] == ["faiss"], joins
        return seconds, grid(found["id"].cast(int).to_numpy(), found["id_1"].cast(int).to_numpy(), n)

    return Engine(name, run, importlib.metadata.version("curator"), f"from SQL text to polars frame; {note}")


def native(base: Matrix, queries: Matrix) -> Engine:
    connection = tables(duckdb.connect(), base, queries)

    def run(n: int) -> tuple[float, Ids]:
        sql = JOIN.format(left=f"(SELECT * FROM queries WHERE id < {n})", right="base", how="EXACT")
        seconds, found = timed(lambda: connection.sql(sql).pl())
        return seconds, grid(found.to_series(0).to_numpy(), found.to_series(1).to_numpy(), n)

    return Engine(NATIVE, run, duckdb.__version__, "tables in memory")


def race(engines: list[Engine], truth: Truth, arguments: argparse.Namespace) -> Iterator[Row]:
    """A row for each engine and number of queries. The engines take turns, and who goes first changes."""
    expected: dict[str, float] = {}  # seconds a query, from the size before
    for n in SIZES:
        rows = [first_run(engine, n, truth, expected, arguments.native_1000) for engine in engines]
        running = [
            (engine.run, row["seconds"])
            for engine, row in zip(engines, rows, strict=True)
            if engine.run and row["recall"] is not None and not row["seconds"]
        ]
        for repeat in range(arguments.repeats):
            first = repeat % len(running)
            for run, seconds in running[first:] + running[:first]:
                seconds.append(run(n)[0])
        for row in rows:
            row["ratio_to_raw"] = ratios(row["seconds"], rows[0]["seconds"])
            print(described(row), flush=True)
        yield from rows


def first_run(engine: Engine, n: int, truth: Truth, expected: dict[str, float], native_1000: bool) -> Row:
    """A row with its recall; its time is kept only when it is long. Or without, and why."""
    row: Row = {"engine": engine.name, "version": engine.version, "note": engine.note, "build_s": engine.build_s}
    row |= {"queries": n, "seconds": [], "recall": None, "not_run": None}
    forecast = expected.get(engine.name, 0.0) * n
    if engine.run is None:
        row["not_run"] = engine.note
    elif forecast > MOST_S or (engine.name == NATIVE and n >= 1_000 and not native_1000):
        row["not_run"] = f"about {forecast:,.0f} s expected"
    else:
        seconds, ids = engine.run(n)
        expected[engine.name] = seconds / n
        row["seconds"] = [seconds] if seconds > SLOW_S else []
        row["recall"] = truth.recall(ids)
    return row


def ratios(mine: list[float], others: list[float]) -> list[float]:
    """Mine by the other's, repeat by repeat; where one ran once only, by the medians."""
    if len(mine) == len(others):
        return [a / b for a, b in zip(mine, others, strict=True)]
    return [statistics.median(mine) / statistics.median(others)] if mine and others else []


def described(row: dict[str, Any]) -> str:
    if row["not_run"]:
        return f"{row['queries']:6,}  {row['engine']:26} not run: {row['not_run']}"
    times = f"{statistics.median(row['seconds']):8.3f} s ({min(row['seconds']):.3f} to {max(row['seconds']):.3f})"
    return (
        f"{row['queries']:6,}  {row['engine']:26} {times}  × faiss.knn {statistics.median(row['ratio_to_raw']):.2f}  "
        f"recall {row['recall']:.4f}"
    )


def filtered(ws: Workspace, truth: Truth, repeats: int) -> list[Row]:
    """1,000 queries against all of the base, half of it and a hundredth, in turn."""
    runs: list[Run] = []
    rows: list[Row] = []
    for kept in (PARTS, PARTS // 2, 1):
        run = ours(OURS, ws, "", "base" if kept == PARTS else f"(SELECT * FROM base WHERE part < {kept})").run
        assert run is not None
        allowed = np.arange(len(truth.base)) % PARTS < kept
        recall = Truth.of(truth.base, truth.queries[:1_000], allowed).recall(run(1_000)[1])
        runs.append(run)
        rows.append({"kept": kept / PARTS, "queries": 1_000, "recall": recall, "seconds": []})
    for _ in range(repeats):
        for run, row in zip(runs, rows, strict=True):
            row["seconds"].append(run(1_000)[0])
    for row in rows:
        print(f"{row['kept']:.0%} of the base: {statistics.median(row['seconds']):.3f} s, recall {row['recall']:.4f}")
    return rows


def cold(cache: Path, n: int, repeats: int) -> Row:
    """The first query of fresh processes: seconds from Workspace(…) to a frame, and to import curator before that."""
    command = [
        sys.executable,
        "-c",
        FIRST_QUERY,
        str(cache),
        JOIN.format(left=f"queries_{n}", right="base", how="EXACT"),
    ]
    done = [subprocess.run(command, stdout=subprocess.PIPE, check=True) for _ in range(repeats)]
    answers = [json.loads(process.stdout) for process in done]
    assert all(answer["rows"] == n * K for answer in answers), answers
    row: Row = {"queries": n, **{key: [answer[key] for answer in answers] for key in ("import_s", "seconds")}}
    medians = [statistics.median(row[key]) for key in ("import_s", "seconds")]
    print(f"first query of a process, {n:,} rows: {medians[1]:.2f} s, after {medians[0]:.2f} s of imports", flush=True)
    return row


def about(arguments: argparse.Namespace) -> Row:
    """The circumstances, with what matters to a search."""
    flags = {"--data DIR": arguments.data, "--rivals PYTHON": arguments.rivals, "--cache DIR": arguments.cache}
    command = ["python benchmarks/nearest.py", *[flag for flag, given in flags.items() if given]]
    command += [f"--rows {arguments.rows} --repeats {arguments.repeats}"]
    command += [] if arguments.native_1000 else ["--no-native-1000"]
    command += [f"--memory {arguments.memory}"] if arguments.memory else []
    record = circumstances(" ".join(command), ("duckdb", "numpy", "polars", "pyarrow"))
    record["versions"]["faiss"] = faiss.__version__
    return record | {"threads": faiss.omp_get_max_threads(), "repeats": arguments.repeats}


if __name__ == "__main__":
    main()
