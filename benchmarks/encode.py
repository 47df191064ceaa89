"""How fast are texts encoded, against sentence-transformers and ONNX Runtime?

    python benchmarks/encode.py [--data DIR] [--repeats N] [--onnx PYTHON] [--out FILE]

In one run and in turn, so that whoever else uses the machine slows all: texts of about 15, 60 and 256 tokens, encoded
by curator in the precision it chooses and in fp32; by ``SentenceTransformer.encode`` with its defaults (fp32, batches
of 32) and at its best in either precision; and by ONNX Runtime in fp32 and in dynamic int8 (see encode_onnx.py; PYTHON
is the interpreter of an environment that has it). "At its best" is the fastest of BATCHES texts a batch, found before
on other texts of that length. All of them sort texts by length. sentence-transformers runs in curator's process, where
glibc keeps freed memory, which speeds it up too.

For each are recorded: documents and tokens per second, by how much curator is faster per repeat, the share of the rate
of a square matrix product in the same precision that its linear layers' products come to, and the least cosine of a
vector with the one of stock fp32. The bound is what curator's ratio to the stock defaults would be at all of the
product's rate: without padding, and with everything but linear layers at no cost. DIR holds Parquet files with a
column ``text`` (its folder ``bulk`` is used when there is one); without it the texts are docstrings of installed
packages. The record goes to ``benchmarks/records/encode.json``.

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
- Query, key and value as one linear layer: 1–2 % less time at 15, 60 and 256 tokens. Without the pooler, whose result
  is not used: 1–3 %. Both on one thread, in time of the processor.
- Attention as batched bf16 products (``torch.matmul``, softmax, ``torch.matmul``), registered as an attention of
  transformers: at 8, 12 and 15 tokens 12, 17 and 6 % faster, least cosine lower by 3e-5 at most; from 20 tokens on no
  gain. On one thread of a busy machine, so not done: it is to be tried again where two can be measured.
- Tokenising takes about 0.02 ms a text of 25 tokens, under 1 % of the time: on a processor there is no more to be
  gained by doing it beside the model, which is done for the sake of GPUs.

After packing, 67–79 % of the time is in linear layers and 15–29 % in attention, all else is below 10 %; so the ratio of
bf16 to fp32 products bounds the whole.

On two cores of an Intel Xeon with AMX, shared with others, where products take half of the time and attention a third
(medians of interleaved runs, texts of 16, 26, 74 and 256 tokens):

- Keys padded to whole vectors of 16 (``attention.py``): attention alone 2.2 times as fast at 15 tokens, 1.45 at 25 and
  1.3 to 1.5 to 250; the whole 1.15, 1.02, 1.16 and 0.99 times. In fp32 1.03 to 1.05.
- 4,096 tokens a batch: 1.1 times at all but the shortest (bf16); 8,192 as 4,096, and more padding for few texts. 512
  and 1,024 are slower by a quarter. In fp32 larger batches are slower, as above.
- Several short texts in one row, each blind to the others: as padded keys at best, and slower from 25 tokens on.
- GELU in the same pass as its linear layer: as fast as after it.
- torch.compile with frozen weights: as fast as uncompiled (228 against 217 ms for 8,000 tokens), after 29 s.
"""

import argparse
import ast
import importlib.metadata
import json
import random
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from circumstances import circumstances, load
from encoders import BEST_FP32, DEFAULTS, OURS, OURS_FP32, Engine, Matrix, Onnx, curators, stock, stocks, timed

from curator import encoder, recipe

HERE = Path(__file__).resolve().parent
SIZES = {15: (10, 20, 640), 60: (45, 75, 160), 256: (256, 100_000, 40)}  # tokens: from, to, texts measured
LIBRARIES = ("numpy", "torch", "polars", "transformers", "scipy", "sklearn")

Row = dict[str, Any]


def main() -> None:
    """Measure, print a table and write the record."""
    parser = argparse.ArgumentParser(description="Encoding speed against sentence-transformers and ONNX Runtime.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="Parquet files with a column 'text'")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--onnx", metavar="PYTHON", help="interpreter of the environment with ONNX Runtime")
    parser.add_argument("--out", type=Path, default=HERE / "records" / "encode.json")
    arguments = parser.parse_args()
    ours = encoder.load(recipe.Encoder())
    texts = list(docstrings() if arguments.data is None else parquet(arguments.data))
    random.Random(0).shuffle(texts)
    record = about(arguments) | {"encoder": ours.describe(), "onnx": None}
    record["batch_tokens"] = encoder.batch_tokens(ours.precision)
    engines = [*curators(ours), *stocks(ours.precision)]
    before = product_rates()
    with ExitStack() as processes:
        if arguments.onnx:
            onnx = processes.enter_context(Onnx(arguments.onnx))
            record["onnx"], engines = onnx.about, [*engines, *onnx.engines()]
        else:
            print("without --onnx: ONNX Runtime is left out", flush=True)
        rows = [measure(*parts, engines, ours, arguments.repeats) for parts in by_length(texts, ours)]
    record["matrix_product_gflops"] = {name: max(rate, before[name]) for name, rate in product_rates().items()}
    record |= {"results": rows, "load_average_after": load()}
    for row in rows:
        shares(row, linear_gflop(), record["matrix_product_gflops"])
        show(row)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf8")


def measure(
    texts: list[str], others: list[str], engines: list[Engine], ours: encoder.SentenceEncoder, repeats: int
) -> Row:
    """All engines in turn on the same texts; who goes first changes. One run of each before is not counted."""
    batches = {engine.name: best_batch(engine, others) for engine in engines}
    seconds: dict[str, list[float]] = {engine.name: [] for engine in engines}
    vectors = {engine.name: unit(engine.run(texts, batches[engine.name])[1]) for engine in engines}
    for repeat in range(repeats):
        first = repeat % len(engines)
        for engine in engines[first:] + engines[:first]:
            seconds[engine.name].append(engine.run(texts, batches[engine.name])[0])
    tokens = np.minimum(ours.encode(texts).n_tokens, ours.max_length)
    row: Row = {"texts": len(texts), "tokens_mean": round(float(tokens.mean()), 1), "engines": []}
    for engine in engines:
        own = seconds[engine.name]
        row["engines"].append(
            {
                "engine": engine.name,
                "precision": engine.precision,
                "batch": batches[engine.name],
                "documents_per_s": round(len(texts) / statistics.median(own), 1),
                "tokens_per_s": round(float(tokens.sum()) / statistics.median(own)),
                "curator_is_faster": spread(own, seconds[OURS]),
                "cosine_min": float((vectors[engine.name] * vectors[DEFAULTS]).sum(1).min()),
                "seconds": [round(value, 4) for value in own],
            }
        )
    row["fp32_is_faster"] = spread(seconds[BEST_FP32], seconds.get(OURS_FP32, seconds[OURS]))
    return row


def best_batch(engine: Engine, texts: list[str]) -> int:
    """The number of texts a batch that encodes these the fastest, by the least of two times each; 0 for none."""
    if len(engine.batches) < 2:
        return sum(engine.batches)
    times = {batch: min(engine.run(texts, batch)[0] for _ in range(2)) for batch in engine.batches}
    return min(times, key=lambda batch: times[batch])


def spread(slow: list[float], fast: list[float]) -> dict[str, float]:
    """How many times as fast, repeat by repeat: median, least and largest."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    return {"median": round(statistics.median(ratios), 3), "min": round(min(ratios), 3), "max": round(max(ratios), 3)}


def unit(vectors: Matrix) -> Matrix:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def shares(row: Row, gflop: float, rates: dict[str, float]) -> None:
    """Add each engine's share of the product's rate in its precision, and what would be ours at all of it."""
    by = {one["engine"]: one for one in row["engines"]}
    for one in row["engines"]:
        rate = rates.get(one["precision"])
        one["share_of_product_rate"] = None if rate is None else round(one["tokens_per_s"] * gflop / rate, 3)
    row["bound"] = round(by[DEFAULTS]["curator_is_faster"]["median"] / by[OURS]["share_of_product_rate"], 2)


def linear_gflop() -> float:
    """GFLOP of all linear layers a token."""
    return 2e-9 * sum(m.weight.numel() for m in stock("fp32").modules() if isinstance(m, torch.nn.Linear))


def show(row: Row) -> None:
    print(f"{row['tokens_mean']:.1f} tokens, {row['texts']:,} texts")
    for one in row["engines"]:
        share, faster = one["share_of_product_rate"], one["curator_is_faster"]
        print(
            f"  {one['engine']:42} {one['batch'] or '':>4} {one['documents_per_s']:8.1f}/s "
            f"{one['tokens_per_s']:8,} tokens/s  curator {faster['median']:.2f} ({faster['min']:.2f} to "
            f"{faster['max']:.2f})  {'' if share is None else f'{share:.0%}':>4}  cosine {one['cosine_min']:.5f}"
        )
    fp32 = row["fp32_is_faster"]
    print(f"  bound {row['bound']}; in fp32 {fp32['median']:.2f} ({fp32['min']:.2f} to {fp32['max']:.2f})", flush=True)


def product_rates() -> dict[str, float]:
    """GFLOP/s of a square matrix product of 1,024, the best of 30: what this machine can reach, by precision."""
    rates = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        square = torch.randn(1024, 1024).to(kind)
        rates[name] = round(2 * 1.024**3 / min(timed(lambda square=square: square @ square)[0] for _ in range(30)), 1)
    return rates


def by_length(texts: list[str], ours: encoder.SentenceEncoder) -> Iterator[tuple[list[str], list[str]]]:
    """For each size, its texts as they come, and others to try batches on. Raises SystemExit for too few."""
    counts = [len(tokens) for tokens in ours._tokenise(texts)]
    for size, (low, high, number) in SIZES.items():
        needed = number + max(number // 4, 32)
        chosen = [text for text, count in zip(texts, counts, strict=True) if low <= count <= high][:needed]
        if len(chosen) < needed:
            raise SystemExit(f"only {len(chosen)} texts of about {size} tokens, {needed} are needed; give other --data")
        yield chosen[:number], chosen[number:]


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


def about(arguments: argparse.Namespace) -> dict[str, Any]:
    """The circumstances, with what matters to encoding."""
    flags = {"--data DIR": arguments.data, "--onnx PYTHON": arguments.onnx}
    command = ["python benchmarks/encode.py", *[flag for flag, given in flags.items() if given]]
    record = circumstances(
        " ".join([*command, f"--repeats {arguments.repeats}"]), ("torch", "transformers", "sentence-transformers")
    )
    return record | {"threads": torch.get_num_threads(), "repeats": arguments.repeats}


if __name__ == "__main__":
    main()
