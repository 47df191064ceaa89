"""Near duplicates by wording: speed and recall against datasketch, and which of the planted ones each stage finds.

    python benchmarks/duplicates.py --data DIR --rivals PYTHON [--semantic] [--out FILE]

DIR holds the public sets (``bulk/*.parquet``); PYTHON is that of an environment with datasketch. Of 300,000 real short
texts, the pairs at a Jaccard similarity of 0.8: the same texts, runs and number of permutations for both; the truth for
every 60th text against all, by products of sparse matrices made from Python's own sets of strings. Then documents with
copies planted that were edited in known ways: how many of these each stage drops, and how many documents that were not
planted. The record goes to ``benchmarks/records/duplicates.json``.
"""

import argparse
import json
import random
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from circumstances import circumstances
from scipy.sparse import csr_array

from curator import Workspace
from curator.errors import CuratorWarning
from curator.functions import near_duplicates
from curator.functions._minhash import band_keys, banding, buckets, normalised, shingle_sets
from curator.functions._minhash import jaccard as verified
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
FILES = ("reddit_titles", "paper_titles", "search_queries")
TEXTS, STEP = 300_000, 60
NGRAM, PERMUTATIONS, LEAST = 3, 128, 0.8
PLANTED = 2_000  # of each edit
SEMANTIC = 10_000  # documents, with a tenth of the copies: vectors take longer


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Near duplicates by wording.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--rivals", metavar="PYTHON", required=True)
    parser.add_argument("--semantic", action="store_true", help="also by vectors, of fewer documents")
    parser.add_argument("--out", type=Path, default=HERE / "records" / "duplicates.json")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", CuratorWarning)
    command = "python benchmarks/duplicates.py --data DIR --rivals PYTHON" + " --semantic" * arguments.semantic
    record = circumstances(command, ("numpy", "polars", "scipy"))
    texts = pl.concat(pl.read_parquet(arguments.data / "bulk" / f"{name}.parquet")["text"] for name in FILES)
    record["speed"] = against(texts.head(TEXTS), arguments.rivals)
    plain = texts.filter(texts.str.split(" ").list.len().is_between(5, 30))
    plain = plain.filter(normalised(plain).is_first_distinct()).sample(100_000, seed=0)
    record["planted"] = planted(plain.to_list(), PLANTED, semantic=False)
    if arguments.semantic:
        record["planted"] += planted(plain.head(SEMANTIC).to_list(), PLANTED // 10, semantic=True)
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def against(texts: pl.Series, python: str) -> list[Row]:
    """Seconds, recall and precision of the pairs, ours and datasketch's, with its own bands and with ours."""
    words = normalised(texts).fill_null("")
    left, right = truth(words.to_list())
    print(f"{len(left):,} true pairs of {len(words) // STEP:,} texts", flush=True)
    frame = pl.DataFrame({"corpus": "texts", "id": pl.Series(np.arange(len(texts))).cast(pl.String), "text": texts})
    bands = banding(LEAST, PERMUTATIONS)
    assert bands is not None
    start = time.perf_counter()
    found = pl.DataFrame(near_duplicates(Relation(frame), min_jaccard=LEAST, permutations=PERMUTATIONS, ngram=NGRAM))
    seconds = time.perf_counter() - start
    sets = shingle_sets(words, NGRAM)
    shared = buckets(band_keys(words, NGRAM, bands, 0))
    met = np.diff(shared[left].multiply(shared[right]).indptr) > 0
    rows = [{
        "engine": "curator", "version": "", "seconds": seconds, "bands": bands.bands, "rows": bands.rows,
        "true_pairs": len(left), "recall": float(met.mean()), "pairs": None, "precision": None,
        "dropped": len(found) - found["leader_id"].null_count(),
    }]  # fmt: skip
    print(rows[-1], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for params in (None, (bands.bands, bands.rows)):
            asked = {"texts": words.to_list(), "ngram": NGRAM, "permutations": PERMUTATIONS, "threshold": LEAST}
            (Path(folder) / "asked.json").write_text(json.dumps(asked | {"params": params}), "utf8")
            script = [python, str(HERE / "duplicates_rival.py"), folder]
            answer = json.loads(subprocess.run(script, check=True, capture_output=True, text=True).stdout)
            pairs = np.load(Path(folder) / "pairs.npy")
            known = {(int(b), int(a)) for a, b in pairs}
            recall = np.mean([pair in known for pair in zip(left.tolist(), right.tolist(), strict=True)])
            precision = (verified(sets, pairs[:, 0], pairs[:, 1]) >= LEAST).mean()
            quality = {"recall": float(recall), "pairs": len(pairs), "precision": float(precision)}
            rows.append({"engine": "datasketch", "true_pairs": len(left), **answer, **quality})
            print(rows[-1], flush=True)
    return rows


def truth(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """All pairs at or over LEAST of every STEP-th text with any other: rows (m,), the earlier text on the left."""
    vocabulary: dict[str, int] = {}
    sets = [{text[i : i + NGRAM] for i in range(max(1, len(text) - NGRAM + 1))} for text in texts]
    columns = np.array([vocabulary.setdefault(run, len(vocabulary)) for one in sets for run in sorted(one)])
    sizes = np.array([len(one) for one in sets])
    ends = np.concatenate([[0], np.cumsum(sizes)])
    matrix = csr_array((np.ones(len(columns), np.int32), columns, ends), shape=(len(texts), len(vocabulary)))
    columns_first = matrix.T.tocsr()
    pairs = set()
    for start in range(0, len(texts), STEP * 50):
        own = np.arange(start, min(len(texts), start + STEP * 50), STEP)
        both = (matrix[own] @ columns_first).tocoo()
        i, j = own[both.row], both.col
        close = both.data >= LEAST * (sizes[i] + sizes[j] - both.data)
        pairs |= {(min(a, b), max(a, b)) for a, b in zip(i[close].tolist(), j[close].tolist(), strict=True) if a != b}
    found = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def planted(texts: list[str], number: int, *, semantic: bool) -> list[Row]:
    """Per way of deduplicating: of each kind of planted copy the share dropped, and what else was dropped."""
    rng = random.Random(0)
    words = [word for text in texts for word in text.split()]
    origins = rng.sample(range(len(texts)), number * len(EDITS))
    kinds = [kind for kind in EDITS for _ in range(number)]
    copies = [EDITS[kind](texts[row].split(), rng, words) for kind, row in zip(kinds, origins, strict=True)]
    ids = [f"a{row:06}" for row in range(len(texts))]
    planted = pl.DataFrame({"id": [f"b{row:06}" for row in range(len(copies))], "kind": kinds,
                            "origin": [ids[row] for row in origins]})  # fmt: skip
    frame = pl.DataFrame({"id": [*ids, *planted["id"]], "text": [*texts, *copies]})
    rows = []
    for name, partners in fates(frame, semantic=semantic):
        told = planted.join(partners, on="id", how="left")
        by = told.group_by("kind").agg(
            pl.col("partner").is_not_null().mean().alias("dropped"),
            (pl.col("partner") == pl.col("origin")).fill_null(False).mean().alias("by_origin"),
        )
        others = partners.filter(pl.col("id").str.starts_with("a"))["partner"].count()
        shares = {kind: by.filter(pl.col("kind") == kind).select("dropped", "by_origin").row(0) for kind in EDITS}
        row = {"by": name, "documents": len(texts), "copies": len(copies), "others": others, "kinds": shares}
        print(row, flush=True)
        rows.append(row)
    return rows


def fates(frame: pl.DataFrame, *, semantic: bool) -> list[tuple[str, pl.DataFrame]]:
    """For each way, the ``id`` of every document and the ``partner`` that it was dropped for, if it was."""
    made = frame.with_columns(corpus=pl.lit("texts"), source=pl.lit("texts"))
    found = []
    for use in ("exact_duplicates", "near_duplicates"):
        stage = Stage.load(use, HERE)
        verdicts = run(stage, stage.bind({}, 0), {"candidates": Relation(made)}, Session()).frame
        found.append((use, verdicts.select("id", partner="partner_id")))
    if semantic:
        with tempfile.TemporaryDirectory() as folder:
            ws = Workspace(folder)
            ws.add("texts", frame, id="id", text="text")
            ws.embed("texts")
            for least in (0.95, 0.9):
                texts = "(SELECT 'texts' AS corpus, id, embedding FROM texts)"
                led = ws.sql(f"SELECT id, leader_id AS partner FROM leaders({texts}, min_score := {least})")
                found.append((f"deduplicate, cosine {least}", led))
    return found


def casing(words: list[str], rng: random.Random, _: list[str]) -> str:
    """Upper case, and other punctuation."""
    return rng.choice(["{}!", "“{}”", "{} …", "- {}"]).format(" ".join(words).upper())


def swapped(words: list[str], rng: random.Random, others: list[str]) -> str:
    place = rng.randrange(len(words))
    return " ".join([*words[:place], rng.choice(others), *words[place + 1 :]])


def inserted(words: list[str], rng: random.Random, others: list[str]) -> str:
    place = rng.randrange(len(words) + 1)
    return " ".join([*words[:place], rng.choice(others), *words[place:]])


def deleted(words: list[str], rng: random.Random, _: list[str]) -> str:
    place = rng.randrange(len(words))
    return " ".join([*words[:place], *words[place + 1 :]])


def misspelt(words: list[str], rng: random.Random, _: list[str]) -> str:
    place = rng.randrange(len(words))
    letter = rng.randrange(len(words[place]))
    word = words[place][:letter] + rng.choice("etaoin") + words[place][letter + 1 :]
    return " ".join([*words[:place], word, *words[place + 1 :]])


EDITS = {
    "case and punctuation": casing, "a word swapped": swapped, "a word inserted": inserted,
    "a word deleted": deleted, "a letter changed": misspelt,
}  # fmt: skip

if __name__ == "__main__":
    main()
