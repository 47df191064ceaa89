"""What do the text filters drop of real documents, and how fast are they?

    python benchmarks/filters.py --data DIR [--rows N] [--repeats N] [--out FILE]

``--rows`` documents (100,000) drawn from the files of DIR/bulk, as many of each as there are; each filter sees all of
them, with its defaults but for ``pii``, which drops: documents a second, the share that is kept, and the rules that
drop most. ``language`` sees the labelled Chinese sets, too, of which it should keep nothing. The record goes to
``benchmarks/records/filters.json``.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import polars as pl
from circumstances import circumstances

from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
PARAMETERS = {"pii": {"action": "drop"}}
FILTERS = ("quality", "gopher", "c4", "fineweb", "language", "pii")


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="What filters drop, and how fast they are.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "records" / "filters.json")
    arguments = parser.parse_args()
    command = f"python benchmarks/filters.py --data DIR --rows {arguments.rows} --repeats {arguments.repeats}"
    record = circumstances(command, ("duckdb", "polars", "py3langid"))
    paths = sorted((arguments.data / "bulk").glob("*.parquet"))
    each = pl.concat([documents(path).head(-(-arguments.rows // len(paths))) for path in paths])
    rest = pl.concat([documents(path).slice(-(-arguments.rows // len(paths))) for path in paths])
    rows = pl.concat([each, rest.sample(max(0, arguments.rows - len(each)), seed=0)])
    record |= {"documents": len(rows), "characters": float(rows["text"].str.len_chars().mean())}  # type: ignore[arg-type]
    record["filters"] = [filtered(name, rows, arguments.repeats) for name in FILTERS]
    chinese = pl.concat([documents(path) for path in sorted((arguments.data / "chinese").glob("*.parquet"))])
    record["chinese"] = filtered("language", chinese.sample(min(len(chinese), 20_000), seed=0), 1)
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def documents(path: Path) -> pl.DataFrame:
    """The documents of a file, in an order of its own."""
    frame = pl.read_parquet(path, columns=["id", "text"]).sample(fraction=1, seed=0, shuffle=True)
    return frame.select(pl.lit("pool").alias("corpus"), "id", "text", pl.lit(path.stem).alias("source"))


def filtered(name: str, rows: pl.DataFrame, repeats: int) -> Row:
    """What a stage keeps and drops, with its defaults but for PARAMETERS."""
    stage = Stage.load(name, HERE)
    parameters, relations = stage.bind(PARAMETERS.get(name, {}), 0), {"candidates": Relation(rows)}
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        verdicts = run(stage, parameters, relations, Session()).frame
        seconds.append(time.perf_counter() - started)
    dropped = verdicts.filter(~pl.col("keep")).group_by("rule").len().sort("len", "rule", descending=[True, False])
    row = {
        "stage": name,
        "documents": len(rows),
        "seconds": seconds,
        "documents_per_s": len(rows) / statistics.median(seconds),
        "kept": float(verdicts["keep"].mean()),  # type: ignore[arg-type]
        "dropped": {str(rule): count for rule, count in dropped.iter_rows()},
    }
    print({key: value for key, value in row.items() if key != "dropped"}, list(row["dropped"].items())[:4], flush=True)
    return row


if __name__ == "__main__":
    main()
