"""How good are clusters of real texts for their time, against FAISS and scikit-learn, and what is a tree good for?

    python benchmarks/clusters.py [--data DIR | --vectors FILE.npy] [--rows 100000] [--k 1000] [--repeats 3]
                                  [--intents DIR] [--out FILE]

In one run and in turn, a seed per repeat: k clusters of unit vectors by curator, curator's tree of k, k/10 and k/100,
FAISS's Kmeans (spherical) with its defaults and with as many iterations, its SuperKmeans, and scikit-learn's
MiniBatchKMeans and KMeans; the time includes the assignment of all rows. The objective is the mean cosine of a row to
the nearest of the centroids, made unit, by a matrix product here. Seconds are of the clock, and of the processors: the
latter say more where others use the machine. What takes longer than 120 s is run once.

FILE holds an (n, d) array of vectors. Without it texts are embedded: those of DIR as in nearest.py, else lines of
docstrings. ``--intents`` names a folder with ``clinc150.parquet`` and ``banking77.parquet``: 8 long-tailed samples of
their intents are poured from trees (at each level as evenly as the sizes allow, at random at the end), with and without
resampling, from one level of clusters, and at random; how many intents come out, and the entropy of their shares (1:
all alike). The record goes to ``benchmarks/records/clusters.json``.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from circumstances import circumstances, load
from nearest import texts
from sklearn.cluster import KMeans, MiniBatchKMeans

from curator import encoder, neighbours, recipe
from curator.neighbours.library import faiss  # with the same kernels as ours
from curator.vectors import Matrix, Vectors

Row = dict[str, Any]
Ints = npt.NDArray[np.int64]

HERE = Path(__file__).resolve().parent
SLOW_S = 120.0  # what takes longer is run once
DRAWS = 8
INTENTS = ("clinc150", "banking77")


@dataclass(frozen=True)
class Engine:
    """``run(rows, k, seed)`` gives the centroids, (k, d), having assigned every row."""

    name: str
    run: Callable[[Matrix, int, int], Matrix]
    note: str


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="k-means of real texts: mean cosine beside time.")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--data", type=Path, metavar="DIR", help="Parquet files with a column 'text'")
    given.add_argument("--vectors", type=Path, metavar="FILE.npy", help="vectors instead of texts")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--k", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--intents", type=Path, metavar="DIR", help="clinc150.parquet and banking77.parquet")
    parser.add_argument("--out", type=Path, default=HERE / "records" / "clusters.json")
    arguments = parser.parse_args()
    record = about(arguments)
    rows = vectors(arguments)
    record["rows"] = [*rows.shape]
    record["results"] = race(rows, arguments.k, arguments.repeats)
    record["intents"] = (
        [row for name in INTENTS for row in intents(arguments.intents / f"{name}.parquet")]
        if (arguments.intents)
        else []
    )
    record["load_average_after"] = load()
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def vectors(arguments: argparse.Namespace) -> Matrix:
    """(n, d) float32 unit rows, from the file or from texts."""
    if arguments.vectors:
        rows = np.load(arguments.vectors, mmap_mode="r")[: arguments.rows]
        return Vectors.of(rows).unit().matrix()
    return encoder.load(recipe.Encoder()).encode(texts(arguments.data, arguments.rows)).vectors


def engines(k: int) -> list[Engine]:
    def tree(rows: Matrix, k: int, seed: int) -> Matrix:
        counts = (k, k // 10, k // 100)
        return neighbours.cluster_tree(Vectors.of(rows, unit=True), counts, seed=seed).levels[0].centroids

    def by_faiss(kind: Any, **settings: Any) -> Callable[[Matrix, int, int], Matrix]:
        def run(rows: Matrix, k: int, seed: int) -> Matrix:
            means = kind(rows.shape[1], k, spherical=True, seed=seed + 1, **settings)
            means.train(rows)
            faiss.knn(rows, means.centroids, 1, metric=faiss.METRIC_INNER_PRODUCT)
            centroids: Matrix = means.centroids
            return centroids

        return run

    def by_sklearn(kind: Any, **settings: Any) -> Callable[[Matrix, int, int], Matrix]:
        return lambda rows, k, seed: kind(k, random_state=seed, **settings).fit(rows).cluster_centers_

    return [
        Engine(
            "curator",
            lambda rows, k, seed: neighbours.kmeans(Vectors.of(rows, unit=True), k, seed=seed).centroids,
            "25 iterations, greedy k-means++ on a sample",
        ),
        Engine("curator, tree", tree, f"{k:,}, {k // 10:,} and {k // 100:,} clusters; the objective is the lowest's"),
        Engine("faiss.Kmeans", by_faiss(faiss.Kmeans), "spherical, defaults: 25 iterations, random rows first"),
        Engine("faiss.SuperKmeans", by_faiss(faiss.SuperKmeans), "spherical, defaults"),
        Engine("MiniBatchKMeans", by_sklearn(MiniBatchKMeans), "scikit-learn, defaults"),
        Engine("KMeans", by_sklearn(KMeans, max_iter=25), "scikit-learn, defaults but for 25 iterations"),
    ]


def race(rows: Matrix, k: int, repeats: int) -> list[Row]:
    """Every engine in turn, a seed per repeat. The first call of each, with few rows, is not counted."""
    every = engines(k)
    results: list[Row] = [
        {"engine": e.name, "note": e.note, "seconds": [], "processor_s": [], "objective": []} for e in every
    ]
    for engine in every:
        engine.run(rows[: 2 * k], k // 2, 0)
    for seed in range(repeats):
        for engine, row in zip(every, results, strict=True):
            if row["seconds"] and row["seconds"][0] > SLOW_S:
                continue
            clock, processor = time.perf_counter(), time.process_time()
            centroids = engine.run(rows, k, seed)
            row["seconds"].append(time.perf_counter() - clock)
            row["processor_s"].append(time.process_time() - processor)
            row["objective"].append(objective(rows, centroids))
            latest = {name: round(row[name][-1], 4) for name in ("seconds", "processor_s", "objective")}
            print(f"{engine.name}, seed {seed}: {latest}", flush=True)
    return results


def objective(rows: Matrix, centroids: Matrix) -> float:
    """Mean cosine of a row to the nearest centroid."""
    unit = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)
    best = [(rows[start : start + 5_000] @ unit.T).max(axis=1) for start in range(0, len(rows), 5_000)]
    return float(np.concatenate(best).mean(dtype=np.float64))


def intents(path: Path) -> list[Row]:
    """What is poured from long-tailed samples: the share of intents that are met, and the entropy of their shares."""
    frame = pl.read_parquet(path).filter(pl.len().over("label") >= 60).sort("id")
    frame = frame.sample(fraction=1, shuffle=True, seed=0).group_by("label", maintain_order=True).head(120)
    every = encoder.load(recipe.Encoder()).encode(frame["text"].to_list()).vectors
    label = frame["label"].rank("dense").to_numpy().astype(np.int64) - 1
    found: dict[str, Row] = {}
    for seed in range(DRAWS):
        ranks = enumerate(np.random.default_rng(seed).permutation(label.max() + 1))
        sizes = {intent: max(3, round(120 / (1 + rank) ** 0.8)) for rank, intent in ranks}
        rows = np.concatenate([np.flatnonzero(label == intent)[:size] for intent, size in sizes.items()])
        for name, chosen in poured(Vectors.of(every[rows], unit=True), seed):
            row = found.setdefault(name, {"data": path.stem, "from": name, "rows": [], "covered": [], "entropy": []})
            shares = np.bincount(label[rows[chosen]], minlength=len(sizes)) / len(chosen)
            some = shares[shares > 0]
            row["rows"].append(len(rows))
            row["covered"].append(float((shares > 0).mean()))
            row["entropy"].append(float(-(some * np.log(some)).sum() / np.log(len(sizes))))
    for name, row in found.items():
        print(f"{path.stem}, {name}: {statistics.mean(row['covered']):.3f} {statistics.mean(row['entropy']):.4f}")
    return list(found.values())


def poured(sample: Vectors, seed: int) -> Iterator[tuple[str, Ints]]:
    """A fifth of the rows, chosen in several ways."""
    n, rng = len(sample), np.random.default_rng(seed)
    counts, budget = (n // 4, n // 16, n // 64), n // 5
    yield "at random", rng.permutation(n)[:budget]
    yield "one level of n/4", pour(np.arange(n), neighbours.cluster_tree(sample, counts[:1]).nodes, budget, rng)
    for resampling in (0, 1, 10):
        tree = neighbours.cluster_tree(sample, counts, seed=seed, resampling=resampling)
        name = f"n/4, n/16 and n/64, {resampling} rounds of resampling"
        yield name, pour(np.arange(n), tree.nodes[::-1], budget, rng)


def pour(rows: Ints, nodes: Sequence[npt.NDArray[np.int32]], budget: int, rng: np.random.Generator) -> Ints:
    """``budget`` of the rows, shared out over their clusters at each level, the topmost first, as evenly as may be."""
    if not nodes:
        return rng.permutation(rows)[:budget]
    parts = [rows[nodes[0][rows] == node] for node in np.unique(nodes[0][rows])]
    parts = sorted((parts[i] for i in rng.permutation(len(parts))), key=len)  # the small ones first
    chosen = []
    for number, part in enumerate(parts):
        share = min(len(part), budget // (len(parts) - number))
        chosen.append(pour(part, nodes[1:], share, rng))
        budget -= share
    return np.concatenate(chosen)


def about(arguments: argparse.Namespace) -> Row:
    """The circumstances, with what matters here."""
    flags = {"--data DIR": arguments.data, "--vectors FILE.npy": arguments.vectors, "--intents DIR": arguments.intents}
    command = ["python benchmarks/clusters.py", *[flag for flag, given in flags.items() if given]]
    command += [f"--rows {arguments.rows} --k {arguments.k} --repeats {arguments.repeats}"]
    record = circumstances(" ".join(command), ("numpy", "scikit-learn"))
    record["versions"]["faiss"] = faiss.__version__
    return record | {"repeats": arguments.repeats}


if __name__ == "__main__":
    main()
