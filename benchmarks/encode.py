"""How fast are texts encoded, against ``SentenceTransformer.encode`` with its defaults (fp32, batches of 32)?

    python benchmarks/encode.py [--data DIR] [--repeats N] [--out FILE]

In one process and in turn, so that whoever else uses the machine slows both: at about 25, 108 and 256 tokens,
documents and tokens per second of both, their ratio per repeat with its spread, and the smallest cosine between a
vector of ours and the stock one. What the processor gives at best is measured beside it: the rate of a matrix
product, and from it the ratio that there would be if the linear layers ran at that rate, without padding, and
everything else cost nothing. DIR holds Parquet files with a column ``text`` (its folder ``bulk`` is used
when there is one); without it the texts are docstrings of installed packages. The record goes to
``benchmarks/records/encode.json``.

What helped, on two cores of an AMD EPYC with AVX-512 bf16 and no AMX, as a factor over the stock encode (least times
of interleaved runs, on a shared machine):

    tokens                                       25      108     256
    bf16, sorted, 4,096 padded tokens a batch    2.04    2.02    2.10
    the same, 2,048 a batch                      2.28    2.06
    the same, packed linear layers               2.53    2.20    2.18 (4,096)

What did not help there, and is not done:

- 1,024 tokens a batch: as 2,048; 3,072, 4,096 and 8,192 are slower for short texts (2.39, 2.24, 1.75) and alike for
  long ones. Activations of 2,048 tokens stay near the cache.
- GELU fused into the linear layer: within the noise (2.14 against 2.11 at 4,096 tokens), and tied to BERT.
- Eager attention: as fast for short texts, slower at 256 tokens (1.74 against 2.19).
- Attention in fp32, or as batched matrix products: no clear gain at any length in a noisy run of attention alone.
- Batches of exactly one length, without a mask: no faster than padded ones of 2,048 tokens (25 tokens: 2.42 both;
  108: 1.99 against 2.30).
- Linear layers in int8 (oneDNN, weights per channel, activations per token, outlier channels smoothed): products are
  twice as fast as in bf16 (850 against 450 GFLOP/s), but the least cosine to fp32 of 600 real texts is 0.997 (0.978
  unsmoothed; 0.993 with asymmetric activations alone). Attention's projections alone keep 0.999, for at most a tenth
  of the time.
- Tokenising beside the model was not tried: it took about 0.02 ms a text of 25 tokens, under 1 % of the time.

After packing, 67–79 % of the time is in linear layers and 15–29 % in attention, so the ratio of bf16 to fp32
products bounds the whole. A processor with AMX has more to give.
"""

import argparse
import ast
import datetime
import importlib.metadata
import json
import os
import platform
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from sentence_transformers import SentenceTransformer

from curator import encoder, hardware, recipe

HERE = Path(__file__).resolve().parent
# tokens aimed at, how far a text may be from it, texts measured: about two seconds of stock encoding each
SIZES = {25: (15, 35, 400), 108: (80, 136, 96), 256: (256, 100_000, 48)}
LIBRARIES = ("numpy", "torch", "polars", "transformers", "scipy", "sklearn")


def main() -> None:
    """Measure, print a table and write the record."""
    parser = argparse.ArgumentParser(description="Encoding speed against SentenceTransformer.encode.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="Parquet files with a column 'text'")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "records" / "encode.json")
    arguments = parser.parse_args()
    stock = SentenceTransformer(str(encoder.embedded_model()), device=hardware.decide().device)
    ours = encoder.load(recipe.Encoder())
    texts = list(docstrings() if arguments.data is None else parquet(arguments.data))
    random.Random(0).shuffle(texts)
    before = product_rates()
    rows = [measure(chosen, stock, ours, arguments.repeats) for chosen in by_length(texts, ours)]
    rates = {name: max(rate, before[name]) for name, rate in product_rates().items()}
    work = 2e-9 * sum(m.weight.numel() for m in stock.modules() if isinstance(m, torch.nn.Linear))  # GFLOP a token
    for row in rows:
        share = row["ours_tokens_per_s"] * work / rates[ours.precision]
        row["share_of_product_rate"] = round(share, 3)
        row["ratio_at_product_rate"] = round(row["ratio"] / share, 2)
    record = {
        **circumstances(arguments),
        "encoder": ours.describe(),
        "batch_tokens": encoder.BATCH_TOKENS[hardware.decide().device],
        "matrix_product_gflops": rates,
        "results": rows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf8")
    for row in rows:
        print(
            f"{row['tokens_mean']:6.1f} tokens  stock {row['stock_per_s']:7.1f}/s  ours {row['ours_per_s']:7.1f}/s  "
            f"ratio {row['ratio']:.2f} ({row['ratio_min']:.2f}–{row['ratio_max']:.2f})  "
            f"{row['ours_tokens_per_s']:,.0f} tokens/s ({row['share_of_product_rate']:.0%} of a product, all of which "
            f"would be {row['ratio_at_product_rate']:.2f})  least cosine {row['cosine_min']:.5f}"
        )


def measure(
    texts: list[str], stock: SentenceTransformer, ours: encoder.SentenceEncoder, repeats: int
) -> dict[str, Any]:
    """Both encoders in turn on the same texts; which goes first alternates. One run of each before is not counted."""
    runs: dict[str, Callable[[], Any]] = {"stock": lambda: stock.encode(texts), "ours": lambda: ours.encode(texts)}
    reference, encoded = runs["stock"](), runs["ours"]()
    cosine = (reference / np.linalg.norm(reference, axis=1, keepdims=True) * encoded.vectors).sum(1)
    seconds: dict[str, list[float]] = {"stock": [], "ours": []}
    for repeat in range(repeats):
        for name in ("stock", "ours") if repeat % 2 == 0 else ("ours", "stock"):
            seconds[name].append(timed(runs[name]))
    ratios = [slow / fast for slow, fast in zip(seconds["stock"], seconds["ours"], strict=True)]
    tokens = np.minimum(encoded.n_tokens, ours.max_length)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "texts": len(texts),
        "tokens_mean": round(float(tokens.mean()), 1),
        "stock_per_s": round(len(texts) / median["stock"], 1),
        "ours_per_s": round(len(texts) / median["ours"], 1),
        "ours_tokens_per_s": round(float(tokens.sum()) / median["ours"]),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "ratio_of_least_times": round(min(seconds["stock"]) / min(seconds["ours"]), 3),
        "seconds": {name: [round(value, 4) for value in values] for name, values in seconds.items()},
        "cosine_min": float(cosine.min()),
    }


def timed(run: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def product_rates() -> dict[str, float]:
    """GFLOP/s of a square matrix product of 1,024, the best of 30: what this machine can reach, by precision."""
    rates = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        square = torch.randn(1024, 1024).to(kind)
        rates[name] = round(2 * 1.024**3 / min(timed(lambda square=square: square @ square) for _ in range(30)), 1)
    return rates


def by_length(texts: list[str], ours: encoder.SentenceEncoder) -> Iterator[list[str]]:
    """For each size, its texts, as they come. Raises SystemExit when there are too few."""
    counts = [len(tokens) for tokens in ours._tokenise(texts)]
    for size, (low, high, number) in SIZES.items():
        chosen = [text for text, count in zip(texts, counts, strict=True) if low <= count <= high][:number]
        if len(chosen) < number:
            raise SystemExit(f"only {len(chosen)} texts of about {size} tokens, {number} are needed; give other --data")
        yield chosen


def parquet(folder: Path) -> Iterator[str]:
    """Texts from each file below a folder, at most 1,000 of one, spread over it."""
    bulk = folder / "bulk"
    for path in sorted((bulk if bulk.is_dir() else folder).rglob("*.parquet")):
        column = pl.read_parquet(path, columns=["text"])["text"].drop_nulls()
        yield from column.gather_every(max(1, len(column) // 1000)).head(1000)


def docstrings() -> Iterator[str]:
    """Docstrings of installed packages."""
    for library in LIBRARIES:
        folder = Path(str(importlib.metadata.distribution(distribution(library)).locate_file(library)))
        for path in sorted(folder.rglob("*.py"))[:400]:
            for node in ast.walk(ast.parse(path.read_text("utf8", errors="replace"))):
                if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and (found := ast.get_docstring(node)):
                    yield found


def distribution(module: str) -> str:
    """The package that a module comes in."""
    return importlib.metadata.packages_distributions()[module][0]


def circumstances(arguments: argparse.Namespace) -> dict[str, Any]:
    """When, from which code, on what. Without any path of this machine."""
    command = ["python", "benchmarks/encode.py", *(["--data", "DIR"] if arguments.data else [])]
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text("utf8").splitlines() if processor.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join([*command, "--repeats", str(arguments.repeats)]),
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain")),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("torch", "transformers", "sentence-transformers")},
        },
        "machine": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": [round(value, 1) for value in os.getloadavg()],
        "repeats": arguments.repeats,
    }


def git(*words: str) -> str:
    """What git says about this checkout; empty without one."""
    done = subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
