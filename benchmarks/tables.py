"""The tables of benchmarks/README.md, made from benchmarks/records/; a test fails when they differ.

python benchmarks/tables.py                                 rewrites the tables
python benchmarks/tables.py --keep WORKSPACE/races/NAME     stores a race's record first, without any corpus text
"""

import argparse
import json
import re
from pathlib import Path

from curator.race.statistics import Interval, analyse, points, verdict

HERE = Path(__file__).parent
README = HERE / "README.md"
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, nargs="*", default=[], help="folders of finished races")
    for folder in parser.parse_args().keep:
        keep(folder)
    README.write_text(filled(README.read_text("utf8")), "utf8")


def keep(folder: Path) -> None:
    """Copy a record into the project. Texts of corpora are not ours to copy, so the examples stay behind."""
    record = json.loads((folder / "record.json").read_text("utf8"))
    record["mix"]["examples"] = []
    for run in record["runs"]:
        run.pop("history", None)
    path = HERE / "records" / f"race-{record['name']}.json"
    path.write_text(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n", "utf8")


def filled(text: str) -> str:
    """The README with its tables made anew."""
    return BLOCK.sub(lambda match: match[1] + TABLES[match[2]]() + match[3], text)


def races() -> str:
    parts = []
    for path in sorted((HERE / "records").glob("race-*.json")):
        record = json.loads(path.read_text("utf8"))
        results = analyse(record)
        commit = record["commit"]["sha"][:10] + (" with changes" if record["commit"]["dirty"] else "")
        train, mix = record["recipe"]["train"], record["mix"]
        title = f"{record['name']}{' (smoke: ' + record['smoke'] + ')' if record['smoke'] else ''}"
        lines = [
            f"#### {title}",
            "",
            record["description"] + ".",
            "",
            f"{record['recipe']['race']['seeds']} seeds, {record['evaluation']['documents']:,} of "
            f"{record['evaluation']['of']:,} test documents, {train['steps']} steps of {train['batch_size']}, pool of "
            f"{mix['pool']:,}; commit {commit}, `{record['command']}`.",
            "",
            "| arm | documents | macro-F1 | 95 % interval | mix minus arm | family-wise interval |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        against = {item.arm: item for item in results.comparisons}
        for arm in results.arms:
            other = against.get(arm.name)
            lines.append(
                f"| {arm.name} | {sum(arm.documents) / max(1, len(arm.documents)):,.0f} | {points(arm.mean)} | "
                f"{_interval(arm.interval)} | {points(other.difference, True) if other else ''} | "
                f"{_interval(other.family, True) if other else ''} |"
            )
        parts.append("\n".join([*lines, "", f"> {verdict(results)}", ""]))
    return "\n".join(parts) + "\n"


def encode() -> str:
    record = json.loads((HERE / "records" / "encode.json").read_text("utf8"))
    lines = [
        "| tokens | stock, documents/s | ours, documents/s | ratio | smallest to largest | share of a matrix "
        "product's rate | the ratio, had it all of that | lowest cosine to fp32 |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['tokens_mean']:.0f} | {row['stock_per_s']:.0f} | {row['ours_per_s']:.0f} | {row['ratio']:.2f} | "
        f"{row['ratio_min']:.2f} to {row['ratio_max']:.2f} | {row['share_of_product_rate']:.0%} | "
        f"{row['ratio_at_product_rate']:.2f} | {row['cosine_min']:.5f} |"
        for row in record["results"]
    ]
    rates = record["matrix_product_gflops"]
    where = (
        f"{record['machine']}, {record['cores']} cores, load {record['load_average'][0]:.1f}; a matrix product reaches "
        f"{rates['bf16']:.0f} GFLOP/s in bf16 and {rates['fp32']:.0f} in fp32"
    )
    return "\n".join([*lines, "", f"{where}; `{record['command']}`, commit {record['commit'][:10]}.", ""])


def _interval(interval: Interval | None, sign: bool = False) -> str:
    return f"{points(interval.low, sign)} to {points(interval.high, sign)}" if interval else ""


TABLES = {"races": races, "encode": encode}

if __name__ == "__main__":
    main()
