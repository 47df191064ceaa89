"""What does a small graph of concepts find of what is relevant, beside vectors and words, and what does it cost?

    python benchmarks/knowledge.py --data DIR --work DIR [--rows 10000,100000,1000000] [--out FILE]

``found``: the target is 48 questions of banking77, the candidates are clinc150, hwu64 and 100,000 bulk documents, and
relevant are clinc150's documents of its domains banking and credit cards, 30 of its 150 intents. The graph of
``benchmarks/knowledge/banking-*.csv`` was written by hand and not changed after a look at any score: 39 concepts with
119 names, 5 of other domains, and 36 relations. Each score's average precision, and what share of its best are
relevant, where as many are looked at as there are; the mean over draws of the target.

``cost``: the stage on bulk documents, against 1,000 others, with that graph; beside it one of 100,000 concepts and
500,000 relations, where a concept in ten thousand has most of them, and documents that mention twelve each. The vectors
are those of scale.py, in the same work folder: of a million documents nine tenths have those of others, with noise, and
a tenth the texts of others.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import memory
import numpy as np
import numpy.typing as npt
import polars as pl
import scale
from circumstances import circumstances
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from curator import Workspace
from curator.functions import bm25_relevance, domain_classifier, dsir
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run
from curator.vectors import Vectors

Row = dict[str, Any]
Scores = npt.NDArray[np.float64]

HERE = Path(__file__).resolve().parent
TARGET, DRAWS, BULK = 48, 5, 100_000
BANKING = (
    "account_blocked", "balance", "bill_balance", "bill_due", "freeze_account", "interest_rate", "min_payment",
    "order_checks", "pay_bill", "pin_change", "report_fraud", "routing", "spending_history", "transactions", "transfer",
    "apr", "application_status", "card_declined", "credit_limit", "credit_limit_change", "credit_score", "damaged_card",
    "expiration_date", "improve_credit_score", "international_fees", "new_card", "redeem_rewards",
    "replacement_card_duration", "report_lost_card", "rewards_balance",
)  # fmt: skip
CONCEPTS, RELATIONS, MENTIONED, LABELS = 100_000, 500_000, 12, 20  # of the large graph and its documents


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="What a graph of concepts finds, and its cost.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--work", type=Path, metavar="DIR", required=True, help="keeps the vectors, as scale.py's")
    parser.add_argument("--rows", default="10000,100000,1000000")
    parser.add_argument("--out", type=Path, default=HERE / "records" / "knowledge.json")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(cost(arguments.one[0], int(arguments.one[1]), arguments.data, arguments.work)))
        return
    command = f"python benchmarks/knowledge.py --data DIR --work DIR --rows {arguments.rows}"
    record = circumstances(command, ("duckdb", "faiss-cpu", "numpy", "polars", "scikit-learn"))
    record["cost"] = []
    sizes = [int(size) for size in arguments.rows.split(",")]
    for size in sizes:
        scale.prepare(arguments.data, arguments.work, size)
    for graph, size in [*(("small", size) for size in sizes), ("large", sizes[min(1, len(sizes) - 1)])]:
        options = ["--data", str(arguments.data), "--work", str(arguments.work), "--one", graph, str(size)]
        answer, most = memory.watched([sys.executable, __file__, *options])
        row = {"graph": graph, "rows": size, **scale.beyond(answer or {}, most)}
        record["cost"].append(row)
        print(row, flush=True)
    record |= found(arguments.data, arguments.work)
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def small_graph(ws: Workspace) -> dict[str, Relation]:
    """The concepts with the vectors of their names, and the relations."""
    names = pl.read_csv(HERE / "knowledge" / "banking-concepts.csv")
    ws.add("names", names.select(pl.col("name").alias("text")))
    relations = pl.read_csv(HERE / "knowledge" / "banking-relations.csv").with_columns(weight=1.0)
    return {"concepts": Relation(names, embedded(ws, "names")), "relations": Relation(relations)}


def embedded(ws: Workspace, name: str) -> Vectors:
    return Vectors.of(ws._corpora.relation(ws.catalogue.corpus(name)).vectors.matrix(), unit=True)


def found(data: Path, work: Path) -> Row:
    """Average precision of each score, and the share of its best that is relevant."""
    scale.embedded(data, work)
    ws = Workspace(work / "workspace")
    parts = {name: pl.read_parquet(data / "intent" / f"{name}.parquet") for name in ("banking77", "clinc150", "hwu64")}
    for name, frame in parts.items():
        ws.add(name, frame.select("id", "text", "label"))
    frames = [parts[name].select(pl.lit(name).alias("corpus"), "id", "text", "label") for name in ("clinc150", "hwu64")]
    bulk = ws.sql(f"SELECT id, text FROM base LIMIT {BULK}")
    frames.append(bulk.select(pl.lit("bulk").alias("corpus"), "id", "text", pl.lit(None, pl.String).alias("label")))
    matrices = [embedded(ws, name).matrix() for name in ("clinc150", "hwu64")] + [embedded(ws, "base").matrix()[:BULK]]
    candidates = Relation(pl.concat(frames), Vectors.of(np.concatenate(matrices), unit=True))
    relevant = (candidates.frame["corpus"] == "clinc150") & candidates.frame["label"].is_in(BANKING).fill_null(False)
    truth, graph = relevant.to_numpy(), small_graph(ws)
    target = Relation(
        parts["banking77"].select(pl.lit("target").alias("corpus"), "id", "text", "label"), embedded(ws, "banking77")
    )
    rows: dict[str, list[tuple[float, float]]] = {}
    for draw in range(DRAWS):
        examples = target.take(np.sort(np.random.default_rng(draw).choice(len(target), TARGET, replace=False)))
        for name, score in scores({"target": examples, "candidates": candidates, **graph}).items():
            best = np.argsort(-score, kind="stable")[: truth.sum()]
            rows.setdefault(name, []).append((float(average_precision_score(truth, score)), truth[best].mean()))
            print(draw, name, [round(float(value), 3) for value in rows[name][-1]], flush=True)
    told = [
        {"score": name, "precision": [p for p, _ in row], "best": [b for _, b in row]} for name, row in rows.items()
    ]
    return {"candidates": len(truth), "relevant": int(truth.sum()), "target": TARGET, "draws": DRAWS, "found": told}


def scores(relations: dict[str, Relation]) -> dict[str, Scores]:
    """(n,) of each way to score."""
    target, candidates = relations["target"], relations["candidates"]

    def stage(name: str, **settings: Any) -> Scores:
        stage = Stage.load(name, HERE)
        verdicts = run(stage, stage.bind(settings, 0), relations, Session()).frame
        return verdicts["score"].fill_null(0).to_numpy()

    def function(function: Callable[..., Any]) -> Scores:
        return pl.DataFrame(function(target, candidates))["score"].to_numpy()

    told = {
        "relevance": stage("relevance"),
        "domain": function(domain_classifier),
        "dsir": function(dsir),
        "bm25": function(bm25_relevance),
    }
    for links in ("mention", "vector", "both"):
        for hops in (0, 1, 2, 3):
            told[f"knowledge, {links}, {hops} hops"] = stage("knowledge", links=links, hops=hops)
    told["mean rank of domain and knowledge"] = (
        rankdata(told["domain"]) + rankdata(told["knowledge, both, 2 hops"])
    ) / 2
    return told


def cost(graph: str, size: int, data: Path, work: Path) -> Row:
    """Seconds of the stage, and the bytes that the process had before it."""
    relations = large(size) if graph == "large" else small(size, data, work)
    settings = {"links": "mention", "same_label": True} if graph == "large" else {}
    stage, session = Stage.load("knowledge", HERE), Session()
    bound = stage.bind(settings, 0)
    return scale.timed(lambda: {"kept": int(run(stage, bound, relations, session).frame["keep"].sum())})


def small(size: int, data: Path, work: Path) -> dict[str, Relation]:
    texts = pl.concat(pl.read_parquet(path, columns=["text"]) for path in sorted((data / "bulk").glob("*.parquet")))
    texts = texts.with_columns(pl.col("text").str.slice(0, 300)).sample(fraction=1, seed=0, shuffle=True)
    texts = pl.concat([texts] * (1 + (size + scale.TARGET) // len(texts))).head(size + scale.TARGET)
    parts = {"target": texts.head(scale.TARGET), "candidates": texts.tail(size)}
    relations = small_graph(Workspace(work / "workspace"))
    for name, part in parts.items():
        ids = pl.Series("id", np.char.zfill(np.arange(len(part)).astype(str), 7))
        frame = part.select(pl.lit(name).alias("corpus"), ids, "text", pl.lit(None, pl.String).alias("label"))
        relations[name] = Relation(frame, scale.vectors(work / f"{name}-{size}.npy"))
    return relations


def large(size: int) -> dict[str, Relation]:
    rng = np.random.default_rng(0)
    heads = rng.integers(0, CONCEPTS, RELATIONS)
    tails = np.minimum((rng.pareto(0.7, RELATIONS) * 3).astype(np.int64), CONCEPTS - 1)
    edges = pl.DataFrame({"head": heads, "relation": rng.choice(["is", "has", "near"], RELATIONS), "tail": tails})
    edges = edges.filter(pl.col("head") != pl.col("tail")).unique(maintain_order=True)
    named = edges.with_columns(pl.format("c{}", pl.col(end)).alias(end) for end in ("head", "tail"))
    numbers = np.arange(CONCEPTS).astype(str)
    concepts = pl.DataFrame({"concept": np.char.add("c", numbers), "name": np.char.add("n", numbers)})
    none = np.ones((CONCEPTS, 1), np.float32)  # mentions only
    relations = {"concepts": Relation(concepts, Vectors.of(none, unit=True))}
    relations["relations"] = Relation(named.with_columns(weight=1.0))
    for name, n in (("target", scale.TARGET), ("candidates", size)):
        words = rng.integers(0, CONCEPTS, (n, MENTIONED))
        frame = {
            "corpus": np.repeat(name, n),
            "id": np.char.zfill(np.arange(n).astype(str), 7),
            "text": [" ".join(f"n{word}" for word in row) for row in words],
            "label": np.char.add("label ", (np.arange(n) % LABELS).astype(str)),
        }
        relations[name] = Relation(pl.DataFrame(frame), Vectors.of(np.ones((n, 1), np.float32), unit=True))
    return relations


if __name__ == "__main__":
    main()
