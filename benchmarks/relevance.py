"""What do relevance scores find of a relevant block that is hidden in a pool, and what do they take?

    python benchmarks/relevance.py --data DIR [--cache DIR] [--rows N] [--repeats N] [--out FILE]

``planted``: for each of TASKS, 48 texts of a labelled set are the target and 1,000 others of it are hidden among up to
2,000 texts of each file of DIR/bulk, which have nothing to do with it. Found is the share of the 1,000 best that are
hidden ones (precision and recall are the same then): by the cosines of MiniLM's vectors (to the nearest text of the
target, the mean of the five nearest, the centroid), by the domain classifier, by ``dsir``, by its estimator as
published (1e-8 added to probabilities, 10,000 buckets, sums), by that with the length taken out (divided by the
n-grams), by BM25 (the sum over the target's texts), by the stage ``bm25`` (the largest share of one of them), and by
the stage ``cluster_importance`` (whose documents of a cluster have one score: ties are in the order of the pool).
Beside it the KL reduction of the 1,000 best. Defaults were chosen on other sets: airline_tweets, banking77, scicite,
ag_news and, for ``dsir``, amazon_kitchen_housewares and chemprot.

``speed``: the weights of ``--rows`` texts for a target of 300, by ``dsir`` and by the authors' package, data-selection,
both with 10,000 buckets, in turn; the package is installed with the extra ``dev`` and uses as many processes as there
are cores. Agreement is the rank correlation of the two weights over documents of 100 tokens and more, where
``dsir`` smooths by 1 n-gram. ``bm25``: the same texts and target by bm25_relevance, and by bm25s asked for the scores
of each text of the target in turn, both with the making of the index. The record goes to
``benchmarks/records/relevance.json``.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from circumstances import circumstances
from scipy.stats import spearmanr

from curator import Workspace
from curator.functions import bm25_relevance, centroids, domain_classifier, dsir, kl_reduction
from curator.functions._ngrams import counted, hashed_ngrams
from curator.functions.bm25 import built, terms
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run
from curator.vectors import Vectors

Row = dict[str, Any]
Scores = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]

HERE = Path(__file__).resolve().parent
TASKS = (
    "sentiment/semeval2017_tweets", "sentiment/amazon_books", "sentiment/mr", "intent/clinc150",
    "topic/search_snippets", "topic/trec", "topic/dbpedia14_part", "scientific/pubmedqa_sections", "detection/sms_spam",
)  # fmt: skip
TARGET, HIDDEN, EACH = 48, 1_000, 2_000
BUCKETS = 10_000


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Relevance scores on hidden blocks, and DSIR against its package.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="a workspace to keep the vectors in")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "records" / "relevance.json")
    arguments = parser.parse_args()
    command = f"python benchmarks/relevance.py --data DIR --rows {arguments.rows} --repeats {arguments.repeats}"
    record = circumstances(command, ("numpy", "polars", "bm25s", "data-selection"))
    bulk = {path.stem: shuffled(path) for path in sorted((arguments.data / "bulk").glob("*.parquet"))}
    pool = pl.concat([texts.head(EACH) for texts in bulk.values()])
    record |= {"pool": len(pool), "target": TARGET, "hidden": HIDDEN}
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace(arguments.cache or folder)
        base = embedded(ws, "others", pool)
        record["planted"] = [planted(ws, arguments.data / f"{task}.parquet", base) for task in TASKS]
    texts = pl.concat(list(bulk.values())).sample(arguments.rows, seed=0, shuffle=True)
    target = shuffled(arguments.data / f"{TASKS[0]}.parquet").head(300)
    record["speed"] = speed(texts, target, arguments.repeats)
    record["bm25"] = bm25_speed(texts, target, arguments.repeats)
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def shuffled(path: Path) -> pl.Series:
    """The texts of a file, each once, in an order of its own."""
    return pl.read_parquet(path, columns=["text"])["text"].unique().sort().sample(fraction=1, seed=0, shuffle=True)


def relation(texts: pl.Series, matrix: Matrix | None = None) -> Relation:
    ids = [f"{i:07}" for i in range(len(texts))]
    frame = pl.DataFrame({"id": ids, "text": texts}).select(pl.lit("c").alias("corpus"), "id", "text")
    return Relation(frame, None if matrix is None else Vectors.of(matrix, unit=True))


def embedded(ws: Workspace, name: str, texts: pl.Series) -> Relation:
    """Texts with their vectors, which the workspace keeps."""
    ws.add(name, pl.DataFrame({"text": texts}))
    return relation(texts, ws._corpora.relation(ws.catalogue.corpus(name)).vectors.matrix())


def planted(ws: Workspace, path: Path, pool: Relation) -> Row:
    """What each score finds of the hidden texts of one set."""
    texts = shuffled(path)
    target = embedded(ws, f"{path.stem}_target", texts.head(TARGET))
    hidden = embedded(ws, f"{path.stem}_hidden", texts.slice(TARGET, HIDDEN))
    both = (pool.vectors.matrix(), hidden.vectors.matrix())
    candidates = relation(pl.concat([pool.frame["text"], hidden.frame["text"]]), np.concatenate(both))
    is_hidden = np.arange(len(candidates)) >= len(pool)
    row: Row = {"task": path.stem, "scores": []}
    for name, score in scores(target, candidates).items():
        best = np.argsort(-score, kind="stable")[: len(hidden)]
        audit = pl.DataFrame(kl_reduction(target, candidates, candidates.take(best))).row(0, named=True)
        found, reduction = float(is_hidden[best].mean()), audit["reduction"]
        row["scores"].append({"score": name, "found": found, "kl_reduction": reduction})
    row["kl_reduction_random"] = audit["random_reduction"]
    print(path.stem, {one["score"]: round(one["found"], 3) for one in row["scores"]}, flush=True)
    return row


def scores(target: Relation, candidates: Relation) -> dict[str, Scores]:
    """(n,) of each way to score."""
    texts = candidates.frame["text"]
    cosines = candidates.vectors.matrix() @ target.vectors.matrix().T
    parts = list(hashed_ngrams(texts, 2, BUCKETS))
    pool, wanted = np.sum([part.counts(BUCKETS) for part in parts], axis=0), counted(target.frame["text"], 2, BUCKETS)
    ratios = np.log(wanted / wanted.sum() + 1e-8) - np.log(pool / pool.sum() + 1e-8)
    sums = np.concatenate([part.sums(ratios) for part in parts])
    sizes = np.concatenate([part.sizes for part in parts])
    middle = np.array(centroids(target)["embedding"].to_pylist()[0], np.float32)
    return {
        "nearest": cosines.max(axis=1),
        "mean of 5 nearest": np.sort(cosines, axis=1)[:, -5:].mean(axis=1),
        "centroid": candidates.vectors.matrix() @ middle,
        "domain classifier": pl.DataFrame(domain_classifier(target, candidates))["score"].to_numpy(),
        "dsir": pl.DataFrame(dsir(target, candidates))["score"].to_numpy(),
        "DSIR as published": sums,
        "DSIR as published, per n-gram": sums / np.maximum(sizes, 1),
        "BM25": bm25(target.frame["text"], texts),
        "bm25": pl.DataFrame(bm25_relevance(target, candidates))["score"].to_numpy(),
        "cluster_importance": cluster_importance(target, candidates),
    }


def cluster_importance(target: Relation, candidates: Relation) -> Scores:
    stage = Stage.load("cluster_importance", HERE)
    relations = {"target": target, "candidates": candidates}
    scores: Scores = run(stage, stage.bind({}, 0), relations, Session()).frame["score"].to_numpy()
    return scores


def bm25(target: pl.Series, candidates: pl.Series) -> Scores:
    """The sum over the target's texts of BM25."""
    index = built(candidates)
    found = np.zeros(len(candidates))
    for words in terms(target).to_list():
        if known := index.get_tokens_ids(words):
            found += index.get_scores_from_ids(known)
    return found


def speed(texts: pl.Series, target: pl.Series, repeats: int) -> Row:
    """Seconds of both, in turn, and how far their weights agree."""
    from data_selection import HashedNgramDSIR

    row: Row = {"documents": len(texts), "characters": float(texts.str.len_chars().mean()), "target": len(target)}  # type: ignore[arg-type]
    row |= {"ours_s": [], "package_s": []}
    with tempfile.TemporaryDirectory() as folder:
        for name, part in (("pool", texts), ("target", target)):
            pl.DataFrame({"text": part}).write_ndjson(Path(folder) / f"{name}.jsonl")
        for repeat in range(repeats):
            started = time.perf_counter()
            found = pl.DataFrame(dsir(relation(target), relation(texts), buckets=BUCKETS))
            row["ours_s"].append(time.perf_counter() - started)
            started = time.perf_counter()
            theirs = HashedNgramDSIR(
                [f"{folder}/pool.jsonl"], [f"{folder}/target.jsonl"], f"{folder}/cache-{repeat}",
                num_buckets=BUCKETS, min_example_length=0,
            )  # fmt: skip
            theirs.fit_importance_estimator(num_tokens_to_fit="all")
            theirs.compute_importance_weights()
            row["package_s"].append(time.perf_counter() - started)
            print(row["ours_s"], row["package_s"], flush=True)
        row["times"] = statistics.median(b / a for a, b in zip(row["ours_s"], row["package_s"], strict=True))
        published = np.empty(len(texts))
        shards = sorted(theirs.log_importance_weights_dir.glob("*.npy"), key=lambda path: int(path.stem))
        for number, path in enumerate(shards):  # each has every so manieth text
            published[number :: len(shards)] = np.load(path)
    found = pl.DataFrame(dsir(relation(target), relation(texts), buckets=BUCKETS, smoothing=1.0))
    long = (found["ngrams"] >= 200).to_numpy()
    row["long"] = int(long.sum())
    row["agreement"] = float(spearmanr(published[long], found["log_weight"].to_numpy()[long]).statistic)
    print(row, flush=True)
    return row


def bm25_speed(texts: pl.Series, target: pl.Series, repeats: int) -> Row:
    """Seconds of ours, and of bm25s asked with one text of the target after the other, in turn."""
    row: Row = {"documents": len(texts), "target": len(target), "ours_s": [], "bm25s_s": []}
    for _ in range(repeats):
        started = time.perf_counter()
        found = pl.DataFrame(bm25_relevance(relation(target), relation(texts)))["score"].to_numpy()
        row["ours_s"].append(time.perf_counter() - started)
        started = time.perf_counter()
        index = built(texts)
        best = np.zeros(len(texts))
        for words in terms(target).to_list():
            if known := index.get_tokens_ids(words):
                np.maximum(best, index.get_scores_from_ids(known), out=best)
        row["bm25s_s"].append(time.perf_counter() - started)
        assert ((best > 0) == (found > 0)).all()
    row["times"] = statistics.median(b / a for a, b in zip(row["ours_s"], row["bm25s_s"], strict=True))
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
