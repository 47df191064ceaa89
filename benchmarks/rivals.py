"""The engines that nearest.py and neighbours.py measure beside ours, in an environment of their own; they start this.

    python benchmarks/rivals.py FOLDER

reads ``base.npy`` and ``queries.npy`` of FOLDER, and lines of JSON ``[engine, queries]`` from standard input: with 0
queries it builds the engine and answers how it is set up; otherwise it answers with the seconds and leaves the ids in
``ids.npy``. One of them pins an older DuckDB than ours, hence the environment:
``pip install usearch hnswlib lancedb duckdb==1.5.5 duckdb-extension-vss numpy pyarrow``.
"""

import functools
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

K = 10
BATCH = 1_000  # queries that LanceDB is given at once

Matrix = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Run = Callable[[int], tuple[float, Ids]]  # number of queries → seconds, (n, K) rows of the base, −1 for none


@dataclass(frozen=True)
class Engine:
    """Something that finds neighbours, and how it is set up."""

    name: str
    run: Run | None  # None where it cannot run; the note says why
    version: str
    note: str
    build_s: float | None = None  # seconds to load the base and build the index, where there is something to build


def main() -> None:
    """Answer until standard input ends."""
    folder = Path(sys.argv[1])
    base, queries = np.load(folder / "base.npy"), np.load(folder / "queries.npy")
    built: dict[str, Engine] = {}
    for line in sys.stdin:
        name, n = json.loads(line)
        answer: dict[str, Any]
        if n == 0:
            engine = built[name] = build(name, base, queries)
            answer = {"version": engine.version, "note": engine.note, "build_s": engine.build_s}
        else:
            run = built[name].run
            assert run is not None, f"{name} cannot run"
            answer = {}
            answer["seconds"], ids = run(n)
            np.save(folder / "ids.npy", ids)
        print(json.dumps(answer), flush=True)


def build(name: str, base: Matrix, queries: Matrix) -> Engine:
    """An engine by its name; without a version where its package is missing."""
    try:
        return RIVALS[name](base, queries)
    except ImportError as error:
        return Engine(name, None, "", f"not in the rivals' environment: {error}")


def usearch_exact(base: Matrix, queries: Matrix) -> Engine:
    from usearch.index import MetricKind, search

    def run(n: int) -> tuple[float, Ids]:
        seconds, found = timed(lambda: search(base, queries[:n], K, MetricKind.IP, exact=True))
        return seconds, np.atleast_2d(found.keys).astype(np.int64)  # one query gives one row without an axis

    return Engine("usearch, exact", run, importlib.metadata.version("usearch"), "matrices in memory")


def usearch_hnsw(base: Matrix, queries: Matrix) -> Engine:
    from usearch.index import Index

    index = Index(ndim=base.shape[1], metric="ip")
    built, _ = timed(lambda: index.add(np.arange(len(base)), base))

    def run(n: int) -> tuple[float, Ids]:
        seconds, found = timed(lambda: index.search(queries[:n], K))
        return seconds, np.atleast_2d(found.keys).astype(np.int64)  # one query gives one row without an axis

    note = f"defaults: {index.dtype}, {index.connectivity} links, expansion {index.expansion_search}"
    return Engine("usearch, HNSW", run, importlib.metadata.version("usearch"), note, built)


def hnswlib(base: Matrix, queries: Matrix) -> Engine:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=base.shape[1])

    def build() -> None:
        index.init_index(max_elements=len(base), M=16, ef_construction=200, random_seed=0)
        index.add_items(base)
        index.set_ef(100)

    def run(n: int) -> tuple[float, Ids]:
        seconds, found = timed(lambda: index.knn_query(queries[:n], K))
        return seconds, found[0].astype(np.int64)

    built, _ = timed(build)
    note = "16 links, ef_construction 200, ef 100"
    return Engine("hnswlib", run, importlib.metadata.version("hnswlib"), note, built)


def lancedb(base: Matrix, queries: Matrix, *, indexed: bool) -> Engine:
    import lancedb
    from lancedb.index import HnswSq

    folder = tempfile.TemporaryDirectory()
    built, table = timed(lambda: lancedb.connect(folder.name).create_table("base", arrow(base, "vector")))
    if indexed:
        built += timed(lambda: table.create_index("vector", config=HnswSq(distance_type="dot")))[0]

    def search(n: int) -> Iterator[npt.NDArray[np.int64]]:
        for start in range(0, n, BATCH):
            found = table.search(queries[start : min(n, start + BATCH)]).distance_type("dot").limit(K)
            pairs = found.select(["id", "_distance"]).to_arrow()
            yield np.stack([pairs["query_index"].to_numpy().astype(np.int64) + start, pairs["id"].to_numpy()])

    def run(n: int) -> tuple[float, Ids]:
        assert Path(folder.name).is_dir()  # and so keeps it: the table lives as long as this function does
        seconds, found = timed(lambda: np.hstack(list(search(n))))
        return seconds, grid(found[0], found[1], n)

    name, note = ("lancedb, HNSW", "IVF_HNSW_SQ, defaults") if indexed else ("lancedb, flat", "exact")
    return Engine(name, run, importlib.metadata.version("lancedb"), f"{note}; {BATCH:,} queries a call", built)


def vss(base: Matrix, queries: Matrix) -> Engine:
    import duckdb
    import duckdb_extension_vss

    extension = next(Path(duckdb_extension_vss.__file__).parent.rglob("vss.duckdb_extension"))
    connection = tables(duckdb.connect(), base, queries)
    connection.execute(f"LOAD '{extension}'")
    # This rule turns the lateral join into a cross product before the index is considered.
    connection.execute("SET disabled_optimizers = 'top_n_window_elimination'")
    index = "CREATE INDEX hnsw ON base USING HNSW (embedding) WITH (metric = 'ip')"
    built, _ = timed(lambda: connection.execute(index))
    sql = (
        "SELECT q.id, b.id FROM asked q, LATERAL (SELECT base.id, "
        "array_negative_inner_product(q.embedding, base.embedding) AS d FROM base ORDER BY d LIMIT 10) b"
    )

    def take(n: int) -> None:  # a filter on the queries inside the join would keep it from the index
        connection.execute(f"CREATE OR REPLACE TABLE asked AS SELECT * FROM queries WHERE id < {n}")

    def run(n: int) -> tuple[float, Ids]:
        take(n)
        seconds, found = timed(lambda: list(connection.execute(sql).fetchnumpy().values()))
        return seconds, grid(found[0], found[1], n)

    take(1_000)
    plan = connection.execute(f"EXPLAIN {sql}").fetchall()[0][1]
    used = "HNSW_INDEX_JOIN" if "HNSW_INDEX_JOIN" in plan else "no index"
    note = f"EXPLAIN shows {used}, top_n_window_elimination off"
    return Engine("DuckDB with vss, HNSW", run, duckdb.__version__, note, built)


RIVALS: dict[str, Callable[[Matrix, Matrix], Engine]] = {
    "usearch, exact": usearch_exact,
    "usearch, HNSW": usearch_hnsw,
    "hnswlib": hnswlib,
    "lancedb, flat": functools.partial(lancedb, indexed=False),
    "lancedb, HNSW": functools.partial(lancedb, indexed=True),
    "DuckDB with vss, HNSW": vss,
}


class Rivals:
    """The other end of the pipe, for nearest.py and neighbours.py."""

    def __init__(self, python: str, folder: Path, names: Iterable[str] = tuple(RIVALS)) -> None:
        self.folder = folder
        self.names = names
        quiet = {**os.environ, "RUST_LOG": "error"}  # LanceDB warns at every call
        self.process = subprocess.Popen(
            [python, __file__, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def engines(self) -> Iterator[Engine]:
        for name in self.names:
            built = self.ask(name, 0)
            print(f"{name}: {built}", flush=True)
            yield Engine(name, functools.partial(self.run, name) if built["version"] else None, **built)

    def run(self, name: str, n: int) -> tuple[float, Ids]:
        return self.ask(name, n)["seconds"], np.load(self.folder / "ids.npy")

    def ask(self, name: str, n: int) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, n]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the rivals' process ended at {name!r} with {n:,} queries")
        answer: dict[str, Any] = json.loads(line)
        return answer


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of one call, and what it returned."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def arrow(vectors: Matrix, column: str) -> pa.Table:
    """Row numbers as ``id``, and the vectors as fixed-size lists."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return pa.table({"id": np.arange(len(vectors)), column: lists})


def tables(connection: Any, base: Matrix, queries: Matrix) -> Any:
    """A DuckDB connection, of whichever version, with both matrices as tables."""
    for name, vectors in (("base", base), ("queries", queries)):
        connection.register("given", arrow(vectors, "embedding"))
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
        connection.unregister("given")
    return connection


def grid(left: npt.ArrayLike, right: npt.ArrayLike, n: int) -> Ids:
    """Pairs (query, row of the base) as (n, K), −1 where a query has fewer."""
    order = np.argsort(left, kind="stable")
    left, right = np.asarray(left)[order], np.asarray(right)[order]
    place = np.arange(len(left)) - np.searchsorted(left, left)
    assert not len(place) or place.max() < K, f"a query with {place.max() + 1} neighbours"
    out = np.full((n, K), -1, np.int64)
    out[left, place] = right
    return out


if __name__ == "__main__":
    main()
