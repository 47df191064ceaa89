"""The tables of benchmarks/README.md and of docs/, made from benchmarks/records/; a test fails when they differ.

python benchmarks/tables.py     rewrites the tables
"""

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import numpy as np
import race_tables
from scipy import stats
from uses import added

from curator.race.statistics import Interval, analyse, interval, points, verdict

Row = dict[str, Any]

HERE = Path(__file__).parent
PAGES = (HERE / "README.md", *sorted((HERE.parent / "docs").glob("*.md")))
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    for page in PAGES:
        page.write_text(filled(page.read_text("utf8")), "utf8")


def bare(record: Row) -> Row:
    """A race's record without corpus texts, learning curves and dev scores of single labels."""
    record.pop("seal", None)  # it is of all that the record had
    record["mix"]["examples"] = []
    for run in record["runs"]:
        run.pop("history", None)
        (run["dev"] or {}).pop("per_label", None)
    return record


def filled(text: str) -> str:
    """A page with its tables made anew."""
    return BLOCK.sub(lambda match: match[1] + table(match[2]) + match[3], text)


def table(name: str) -> str:
    """A table, of the record of its name."""
    if name in ("worth", "worth_tuned"):
        found = race_tables.races("*")
        return race_tables.worth([one for one in found if one["name"].endswith("-bert") == (name == "worth_tuned")])
    if name.startswith(tuple(key.replace("-", "_") for key in PARTS)):
        return example(name)
    made, path = TABLES[name], HERE / "records" / f"{name.removesuffix('_cost')}.json"
    return made(json.loads(path.read_text("utf8"))) if path.exists() else "Not measured yet.\n"


def example(name: str) -> str:
    """The figures of a worked example, or what one of its commands printed: ``support_desk``, ``support_desk_mix``."""
    path = HERE / "records" / "examples.json"
    record = json.loads(path.read_text("utf8")) if path.exists() else {}
    example_, part = next((key, record.get(key)) for key in PARTS if name.startswith(key.replace("-", "_")))
    if part is None:
        return "Not measured yet.\n"
    if name in EXAMPLES:
        return f"{EXAMPLES[name](part)}\n\n{_made(part)}\n"
    shown = part["shown"][name.removeprefix(f"{example_.replace('-', '_')}_")]
    query = re.fullmatch(r'curator -w \w+ sql "(.*)"', shown["command"], re.DOTALL)
    asked = f"```sql\n{query[1]}\n```" if query else f"```sh\n{shown['command']}\n```"
    return f"{asked}\n\n```text\n{shown['output']}\n```\n"


def support_desk(part: Row) -> str:
    results = analyse(part["race"])
    against = {item.arm: item for item in results.comparisons}
    lines = [
        "| arm | pool documents | macro-F1 | 95 % interval | mix minus arm | family-wise interval |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for arm in results.arms:
        other = against.get(arm.name)
        lines.append(
            f"| {arm.name} | {mean(arm.documents):,.0f} | {points(arm.mean)} | {_interval(arm.interval)} | "
            f"{points(other.difference, True) if other else ''} | {_interval(other.family, True) if other else ''} |"
        )
    return "\n".join([*lines, "", f"> {verdict(results)}"])


def sentiment_stream(part: Row) -> str:
    model = part["model"]
    lines = [
        "| shift | labels | rule | share rises by | false alarms in 8 weeks, 95 % interval | found in 4 weeks | "
        "days to the alarm: a tenth, half, nine tenths |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for row in part["streams"]:
        low, high = stats.binomtest(row["false_alarms"], row["streams"]).proportion_ci(method="wilson")
        days = ", ".join("none" if value > 28 else f"{value}" for value in row["delays"])
        lines.append(
            f"| {row['size']} | {row['labels']} | {row['rule']} | {100 * row['points']:.1f} points | "
            f"{row['false_alarms'] / row['streams']:.1%} ({low:.1%} to {high:.1%}) | "
            f"{row['found'] / max(1, row['clean']):.0%} of {row['clean']} | {days} |"
        )
    told = (
        f"The model's macro-F1 on the {part['tweets']:,} tweets is {model['macro_f1']:.3f}; of the negative ones it "
        f"calls {model['called_negative_of_negative']:.0%} negative, of the others "
        f"{model['called_negative_of_others']:.0%}."
    )
    return "\n".join([*lines, "", told])


def recommender(part: Row) -> str:
    lines = [
        "| probe trained on | pool pairs | AUC | 95 % interval | mix minus it | 95 % interval | AUC, rarer half |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in part["arms"]:
        own = "" if row["interval"] is None else f"{row['interval'][1]:.3f} to {row['interval'][2]:.3f}"
        more = row["mix_minus"]
        lines.append(
            f"| {row['arm']} | {row['pairs']:,.0f} | {mean(row['auc']):.3f} | {own} | "
            f"{'' if more is None else f'{more[0]:+.3f}'} | "
            f"{'' if more is None else f'{more[1]:+.3f} to {more[2]:+.3f}'} | {row['rarer']:.3f} |"
        )
    return "\n".join(lines)


def recommender_spread(part: Row) -> str:
    lines = [
        "| five of the 20 nearest | cosine to the item | of its community | communities | Vendi score |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['order']} | {row['similarity']:.3f} | {row['clicked']:.0%} | {row['communities']:.2f} | "
        f"{row['vendi']:.2f} |"
        for row in part["reranked"]
    ]
    return "\n".join(lines)


def encode(record: Row) -> str:
    parts = [_encoders(record["results"]), _encoding_bounds(record["results"])]
    rates = record["matrix_product_gflops"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    if record["onnx"]:
        versions += "; apart " + ", ".join(f"{name} {version}" for name, version in record["onnx"]["versions"].items())
    parts.append(
        f"{record['machine']}, {record['cores']} cores, threads of each: {record['threads']}, load "
        f"{record['load_average'][0]:.1f} before and {record['load_average_after'][0]:.1f} after; a matrix product "
        f"reaches {rates['bf16']:.0f} GFLOP/s in bf16 and {rates['fp32']:.0f} in fp32; {versions}; "
        f"{record['repeats']} repeats; `{record['command']}`, commit {record['commit'][:10]}"
        f"{' with changes' if record['dirty'] else ''}."
    )
    return "\n\n".join(parts) + "\n"


def _encoders(rows: list[Row]) -> str:
    lines = [
        "| tokens | encoder | texts a batch | documents/s | tokens/s | curator is faster by | smallest to largest | "
        "share of a product's rate | lowest cosine to fp32 |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        for one in row["engines"]:
            share, faster = one["share_of_product_rate"], one["curator_is_faster"]
            ratios = f"{faster['median']:.2f} | {faster['min']:.2f} to {faster['max']:.2f}"
            lines.append(
                f"| {row['tokens_mean']:.0f} | {one['engine']} | {one['batch'] or ''} | "
                f"{one['documents_per_s']:,.0f} | {one['tokens_per_s']:,} | "
                f"{' | ' if one['engine'] == 'curator' else ratios} | "
                f"{'' if share is None else f'{share:.0%}'} | {one['cosine_min']:.5f} |"
            )
    return "\n".join(lines)


def _encoding_bounds(rows: list[Row]) -> str:
    """What all of the processor's rate would give, and how a processor without bf16 fares."""
    return "\n".join(
        f"- {row['tokens_mean']:.0f} tokens: with all of a product's rate curator would be {row['bound']:.2f} times as "
        f"fast as the defaults; in fp32 it is {row['fp32_is_faster']['median']:.2f} times as fast as "
        f"sentence-transformers' best in fp32 ({row['fp32_is_faster']['min']:.2f} to "
        f"{row['fp32_is_faster']['max']:.2f}, at least 1 asked: {_met(row['fp32_is_faster']['median'] >= 1)})"
        for row in rows
    )


def nearest(record: Row) -> str:
    parts = [_engines(record["results"]), _bars(record["results"]), _filters(record["filters"]), _cold(record["cold"])]
    parts += [_memory(record["memory"])] if record["memory"] else []
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    parts.append(
        f"A base of {record['base'][0]:,} × {record['base'][1]}. {record['machine']}, {record['cores']} cores, "
        f"{record['threads']} used by FAISS, load {record['load_average'][0]:.1f}; FAISS on {record['device']}; "
        f"{versions}; `{record['command']}`, commit {record['commit'][:10]}"
        f"{' with changes' if record['dirty'] else ''}."
    )
    return "\n\n".join(parts) + "\n"


def _engines(rows: list[Row]) -> str:
    sizes = sorted({row["queries"] for row in rows})
    lines = [
        "| engine | " + " | ".join(f"{n:,} queries | recall@10" for n in sizes) + " | index built | set up |",
        "|---|" + "---:|---:|" * len(sizes) + "---:|---|",
    ]
    for name in dict.fromkeys(row["engine"] for row in rows):
        own = {row["queries"]: row for row in rows if row["engine"] == name}
        cells = [f"{_spread(own[n]['seconds'])} | {_recall(own[n]['recall'])}" for n in sizes]
        row = own[sizes[0]]
        built = _spread([row["build_s"]]) if row["build_s"] else ""
        lines.append(f"| {name} {row['version']} | {' | '.join(cells)} | {built} | {row['note']} |")
    missing = [
        f"{row['engine']} at {row['queries']:,} queries ({row['not_run']})"
        for row in rows
        if row["not_run"] is not None
    ]
    return "\n".join(lines) + (f"\n\nNot run: {', '.join(missing)}." if missing else "")


def _bars(rows: list[Row]) -> str:
    """What was asked for: at most 1.25 times raw FAISS at 1,000 and 10,000 queries, 150 times native DuckDB."""
    by = {(row["engine"], row["queries"]): row for row in rows}
    said = []
    for name in dict.fromkeys(row["engine"] for row in rows if row["engine"].startswith("curator")):
        for n in (100, 1_000, 10_000):
            ratios = by[name, n]["ratio_to_raw"]
            asked = "" if n == 100 else f", 1.25 asked: {_met(median(ratios) <= 1.25)}"
            said.append(
                f"- {name}, {n:,} queries: {median(ratios):.2f} times `faiss.knn` ({min(ratios):.2f} to "
                f"{max(ratios):.2f}{asked})"
            )
        slow = by["DuckDB, EXACT NEAREST", 1_000]["seconds"]
        if slow:
            factor = median(slow) / median(by[name, 1_000]["seconds"])
            said.append(
                f"- {name}, 1,000 queries: {factor:,.0f} times as fast as DuckDB (150 asked: {_met(factor >= 150)})"
            )
    return "\n".join(said)


def _filters(rows: list[Row]) -> str:
    lines = ["| of the right side, a WHERE keeps | queries | time | recall@10 |", "|---:|---:|---:|---:|"]
    lines += [
        f"| {row['kept']:.0%} | {row['queries']:,} | {_spread(row['seconds'])} | {_recall(row['recall'])} |"
        for row in rows
    ]
    return "\n".join(lines)


def _cold(rows: list[Row]) -> str:
    lines = ["| first query of a process | import curator | from Workspace(…) to a frame |", "|---:|---:|---:|"]
    lines += [
        f"| {row['queries']:,} × the base | {_spread(row['import_s'])} | {_spread(row['seconds'])} |" for row in rows
    ]
    return "\n".join(lines)


def _memory(rows: list[Row]) -> str:
    kinds = {"short": "embedded by curator", "long": "embedded by curator", "brought": "brought by a person"}
    lines = [
        "| nearest 1 of 1,000 for | vectors | texts, characters | their size, GiB | peak memory | above the vectors | "
        "not mapped files | before the query | 1 GiB asked |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        size, peak, anonymous, before = (row[key] / 2**30 for key in ("bytes", "peak", "peak_anonymous", "before"))
        lines.append(
            f"| {row['rows']:,} | {kinds[row['kind']]} | {row['characters']} | {size:.2f} | {peak:.2f} | "
            f"{peak - size:.2f} | {anonymous:.2f} | {before:.2f} | {_met(peak - size <= 1)} |"
        )
    return "\n".join(lines)


def corpora(record: Row) -> str:
    lines = [
        "| step | documents | seconds | peak memory, GiB | not mapped files | before it, GiB | 2 GiB asked |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in record["steps"]:
        peak, anonymous, before = (row[key] / 2**30 for key in ("peak", "peak_anonymous", "before"))
        lines.append(
            f"| {row['step']}, {row['what']} | {row['documents']:,} | {row['seconds']:,.2f} | {peak:.2f} | "
            f"{anonymous:.2f} | {before:.2f} | {_met(peak <= 2)} |"
        )
    where = (
        f"Files of {record['bytes'] / 2**20:,.0f} MiB; a workspace of {record['workspace_bytes'] / 2**20:,.0f} MiB. "
        f"{record['machine']}, {record['cores']} cores, load {record['load_average'][0]:.1f}"
    )
    return "\n".join([*lines, "", f"{where}; `{record['command']}`, commit {record['commit'][:10]}.", ""])


def engines(record: Row) -> str:
    """Each kind of work here and by workers, in seconds of each round, and what that is as a ratio."""
    told = {
        "encode": f"encode {record['texts']:,} texts",
        "join": f"the 10 nearest of {record['right']:,} for {record['left']:,}",
        "judge": f"gopher and language over {record['judged']:,}",
        "minhash": f"near_duplicates of {record['texts']:,}",
        "read": "2,000,000 lines of JSON",
    }
    lines = [
        "| work | one process, s | workers, s | ratio | start of workers, s | peak of one process, GiB | driver | "
        "largest worker |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for what, title in told.items():
        here, there = (_of(record, what, engine) for engine in ("local", "ray"))
        if not here:
            continue
        ratios = [other["seconds"] / one["seconds"] for one, other in zip(here, there, strict=True)]
        figures = [[run["seconds"] for run in here], [run["seconds"] for run in there], ratios]
        cells = [" / ".join(f"{value:.{2 if row is ratios else 1}f}" for value in row) for row in figures]
        start = " / ".join(f"{run['start']:.1f}" for run in there)
        peaks = [(here, "peak"), (there, "peak"), (there, "worker_peak")]
        largest = [f"{max(run[key] for run in runs):.2f}" for runs, key in peaks]
        lines.append(f"| {title} | {' | '.join([*cells, start, *largest])} |")
    what = f"{record['workers']} workers of one core each, in turn with one process; the results are the same bytes."
    return "\n".join([*lines, "", f"{what} {_made(record)}", ""])


def _of(record: Row, what: str, engine: str) -> list[Row]:
    return [run for run in record["runs"] if (run["what"], run["engine"]) == (what, engine)]


def engines_cost(record: Row) -> str:
    """What the measured rates come to for more documents: products, and named so."""
    seconds = {what: mean(run["seconds"] for run in _of(record, what, "ray")) for what in ("encode", "join")}
    encoded = seconds["encode"] * record["workers"] / record["texts"]  # core seconds a document
    joined = seconds["join"] * record["workers"] / record["right"]
    planned = next(
        step
        for step in json.loads((HERE / "records" / "corpora.json").read_text("utf8"))["steps"]
        if (step["step"], step["what"]) == ("embed", "all")
    )
    second = planned["seconds"] / planned["documents"]
    held = (planned["peak_anonymous"] - planned["before"]) / planned["documents"]
    lines = [
        "| documents | encode, core hours | vectors, TB (float16) | 10,000 × all, core hours | planning, hours of the "
        "driver | its memory, GB |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for power in (8, 9, 10):
        n, stored = 10**power, 10**power * 1536 / 1e12
        told = [f"{n * encoded / 3600:,.0f}", f"{stored:,.2f} ({stored / 2:,.2f})", f"{n * joined / 3600:,.1f}"]
        lines.append(f"| 10^{power} | {' | '.join(told)} | {n * second / 3600:,.1f} | {n * held / 1e9:,.0f} |")
    rates = (
        f"A core second is {1 / encoded:,.0f} texts, or {record['left'] / joined / 1e6:,.0f} million pairs of vectors; "
        f"a document takes {second * 1e6:.0f} µs and {held:.0f} bytes of the driver."
    )
    return "\n".join([*lines, "", rates, ""])


def calibration(record: Row) -> str:
    lines = [
        "| pairs | fpr asked | cosine | 95 % interval | cosine for all pairs | share of all pairs | "
        f"share, least to largest of {record['seeds']} seeds | intervals that hold |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for corpus in record["corpora"]:
        what = " × ".join(f"{n:,}" for n in corpus["documents"])
        what = f"within {what}" if corpus["against"] is None else f"between {what}"
        for row in corpus["rates"]:
            low, high = min(row["shares"]), max(row["shares"])
            lines.append(
                f"| {what} | {row['fpr']:.0e} | {row['cosine']:.4f} | {row['low']:.4f} to {row['high']:.4f} | "
                f"{row['exact_cosine']:.4f} | {row['share']:.2e} | {low:.2e} to {high:.2e} | "
                f"{row['held']} of {record['seeds']} |"
            )
    took = "; ".join(
        f"{corpus['pairs']:,} of {corpus['all_pairs']:,} pairs in {corpus['seconds']:.1f} s"
        for corpus in record["corpora"]
    )
    where = f"{record['machine']}, {record['cores']} cores, load {record['load_average'][0]:.1f}"
    commit = f"commit {record['commit'][:10]}" + (", other files of the tree changed" if record["dirty"] else "")
    return "\n".join([*lines, "", f"{took}. {where}; `{record['command']}`, {commit}.", ""])


def duplicates(record: Row) -> str:
    lines = [
        "| 300,000 texts | bands × rows | seconds | recall of pairs | pairs returned | of these true |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in record["speed"]:
        pairs = "verified" if row["pairs"] is None else f"{row['pairs']:,}"
        true = "" if row["precision"] is None else f"{row['precision']:.1%}"
        lines.append(
            f"| {row['engine']} {row['version']} | {row['bands']} × {row['rows']} | {row['seconds']:.1f} | "
            f"{_recall(row['recall'])} | {pairs} | {true} |"
        )
    kinds = list(record["planted"][0]["kinds"])
    lines += ["", "| dropped by | documents | " + " | ".join(kinds) + " | others dropped |"]
    lines.append("|---|---:|" + "---:|" * (len(kinds) + 1))
    for row in record["planted"]:
        shares = " | ".join(f"{row['kinds'][kind][0]:.1%}" for kind in kinds)
        lines.append(f"| {row['by']} | {row['documents']:,} | {shares} | {row['others']:,} |")
    where = f"{record['machine']}, {record['cores']} cores"
    pairs = f"Recall is over {record['speed'][0]['true_pairs']:,} pairs"
    commit = f"commit {record['commit'][:10]}{' with changes' if record['dirty'] else ''}"
    return "\n".join([*lines, "", f"{pairs}. {where}; `{record['command']}`, {commit}.", ""])


def neighbours(record: Row) -> str:
    parts = [_against(record["sizes"], rows) for rows in sorted({row["rows"] for row in record["sizes"]})]
    parts.append(_scale(record["scale"]))
    parts.append(
        f"{record['real']:,} vectors of real texts, the others the same with noise. {record['machine']}, "
        f"{record['cores']} cores, load {record['load_average'][0]:.1f}; `{record['command']}`, commit "
        f"{record['commit'][:10]}{' with changes' if record['dirty'] else ''}."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _against(rows: list[Row], size: int) -> str:
    rows = [row for row in rows if row["rows"] == size]
    numbers = sorted({row["queries"] for row in rows})
    lines = [
        f"| {size:,} vectors | " + " | ".join(f"{n:,} queries | × raw | recall@10" for n in numbers) + " | built | |",
        "|---|" + "---:|---:|---:|" * len(numbers) + "---:|---|",
    ]
    for name in dict.fromkeys(row["engine"] for row in rows):
        own = {row["queries"]: row for row in rows if row["engine"] == name}
        cells = [
            f"{_spread(own[n]['seconds'])} | {_ratio(own[n]['ratio_to_raw'])} | {_recall(own[n]['recall'])}"
            for n in numbers
        ]
        row = own[numbers[0]]
        built = f"{row['build_s']:,.0f} s" if row["build_s"] else ""
        lines.append(f"| {name} {row['version']} | {' | '.join(cells)} | {built} | {row['note']} |")
    return "\n".join(lines)


def _ratio(ratios: list[float]) -> str:
    return f"{median(ratios):.3f}" if ratios else ""


def _scale(rows: list[Row]) -> str:
    """1,000 queries against vectors in float16 shards: seconds and memory by size."""
    gib = 2**30
    lines = [
        "| vectors on disk | as float16 | exact | memory | index | built | with it | recall@10 | memory at most |",
        "|---:|---:|---:|---:|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = [f"{row['rows']:,}", f"{row['vectors_bytes'] / gib:.2f} GiB", _spread(row["exact_s"])]
        cells.append(f"{(row['after_exact'] - row['before']) / gib:.2f} GiB")
        if "recall" in row:
            cells += [row["kind"], f"{row['build_s']:,.0f} s", _spread(row["index_s"]), _recall(row["recall"])]
        else:
            cells += [row["index"], "", "", ""]
        lines.append("| " + " | ".join([*cells, f"{(row['peak'] - row['before']) / gib:.2f} GiB"]) + " |")
    return "\n".join(lines)


def clusters(record: Row) -> str:
    parts = [_objectives(record["results"])]
    parts += [_poured(record["intents"])] if record["intents"] else []
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    parts.append(
        f"{record['rows'][0]:,} × {record['rows'][1]}. {record['machine']}, {record['cores']} cores, load "
        f"{record['load_average'][0]:.1f} before and {record['load_average_after'][0]:.1f} after; {versions}; "
        f"`{record['command']}`, commit {record['commit'][:10]}{' with changes' if record['dirty'] else ''}."
    )
    return "\n\n".join(parts) + "\n"


def _objectives(rows: list[Row]) -> str:
    """Objective and time; ratios are to the first engine's, repeat by repeat."""
    lines = [
        "| engine | mean cosine | to curator's | time | to curator's | of the processors | to curator's | set up |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    ours = rows[0]
    for row in rows:
        cosines = row["objective"]
        span = f" ({min(cosines):.4f} to {max(cosines):.4f})" if len(cosines) > 1 else ""
        cosine, clock, processor = (
            median(a / b for a, b in zip(row[key], ours[key], strict=False))
            for key in ("objective", "seconds", "processor_s")
        )
        lines.append(
            f"| {row['engine']} | {median(cosines):.4f}{span} | {cosine:.4f} | {_spread(row['seconds'])} | "
            f"{clock:.2f} | {_spread(row['processor_s'])} | {processor:.2f} | {row['note']} |"
        )
    return "\n".join(lines)


def _poured(rows: list[Row]) -> str:
    lines = [
        "| a fifth of the documents of | chosen from | intents met | entropy of their shares |",
        "|---|---|---:|---:|",
    ]
    for row in rows:
        cells = (
            f"{mean(row[key]):.3f} (sd {stdev(row[key]):.3f} over {len(row[key])} samples)"
            for key in ("covered", "entropy")
        )
        lines.append(f"| {row['data']}, {median(row['rows']):,.0f} | {row['from']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _met(met: bool) -> str:
    return "met" if met else "**not met**"


def _recall(recall: float | None) -> str:
    return "" if recall is None else f"{recall:.3f}"


def _spread(seconds: list[float]) -> str:
    """Median with the least and the largest, in a unit that can be read."""
    if not seconds:
        return "–"
    unit, factor = ("ms", 1e3) if median(seconds) < 0.9995 else ("s", 1.0)
    middle, low, high = (f"{value * factor:,.3g}" for value in (median(seconds), min(seconds), max(seconds)))
    return f"{middle} {unit}" + (f" ({low} to {high})" if len(seconds) > 1 else "")


def _interval(interval: Interval | None, sign: bool = False) -> str:
    return f"{points(interval.low, sign)} to {points(interval.high, sign)}" if interval else ""


def relevance(record: Row) -> str:
    rows = record["planted"]
    lines = [
        "| score | " + " | ".join(row["task"] for row in rows) + " | mean | mean KL reduction |",
        "|---|" + "---:|" * (len(rows) + 2),
    ]
    for number, one in enumerate(rows[0]["scores"]):
        mine = [row["scores"][number] for row in rows]
        found, reduced = ([item[key] for item in mine] for key in ("found", "kl_reduction"))
        cells = " | ".join(f"{value:.1%}" for value in [*found, mean(found)])
        lines.append(f"| {one['score']} | {cells} | {mean(reduced):.3f} |")
    lines.append(f"| at random |{' |' * (len(rows) + 1)} {mean(row['kl_reduction_random'] for row in rows):.3f} |")
    speed = record["speed"]
    ours, theirs = (speed[name] for name in ("ours_s", "package_s"))
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    package = f"data-selection {record['versions']['data-selection']}"
    told = (
        f"{speed['documents']:,} documents of {speed['characters']:.0f} characters in the mean: `dsir` takes "
        f"{median(ours):.1f} s, {package} {median(theirs):.1f} s, {median(ratios):.1f} times as long "
        f"({min(ratios):.1f} to {max(ratios):.1f}, {len(ratios)} runs); rank correlation of their weights over the "
        f"{speed['long']:,} documents of 100 tokens and more {speed['agreement']:.3f}."
    )
    if "bm25" in record:
        row = record["bm25"]
        ours, theirs = (median(row[name]) for name in ("ours_s", "bm25s_s"))
        told += (
            f" BM25 against {row['target']} target documents, the index included: `bm25_relevance` {ours:.1f} s, bm25s "
            f"asked for one after the other {theirs:.1f} s."
        )
    return "\n".join([*lines, "", told, "", _made(record), ""])


def label_noise(record: Row) -> str:
    who = ("label_noise", "label_quality", "cleanlab")
    told = " | ".join(f"recall, {one} | precision, {one}" for one in who)
    lines = [f"| set | documents | wrong labels | {told} |", "|---|---:|---:" + "|---:" * 2 * len(who) + "|"]
    for row in record["planted"]:
        cells = [f"{row[one][what]:.1%}" for one in who for what in ("recall", "precision")]
        lines.append(f"| {row['task']} | {row['documents']:,} | {row['rate']:.0%} | {' | '.join(cells)} |")
    costs = {}
    for row in record["cost"]:
        costs.setdefault(row["stage"], []).append(f"{row['documents']:,} in {row['seconds']:,.0f} s")
    dropped = {row["stage"]: row["dropped"] for row in record["cost"]}  # of the most
    cost = "; ".join(f"`{one}`: {', '.join(own)} ({dropped[one]:,} dropped)" for one, own in costs.items())
    return "\n".join(
        [*lines, "", f"cleanlab {record['planted'][0]['version']}. Cost of {cost}.", "", _made(record), ""]
    )


def filters(record: Row) -> str:
    lines = ["| stage | documents/s | kept | rules that drop most |", "|---|---:|---:|---|"]
    for row in record["filters"]:
        most = ", ".join(f"{rule} {count / row['documents']:.1%}" for rule, count in list(row["dropped"].items())[:4])
        lines.append(f"| {row['stage']} | {row['documents_per_s']:,.0f} | {row['kept']:.1%} | {most} |")
    chinese = record["chinese"]
    most = ", ".join(
        f"{rule} {count / chinese['documents']:.1%}" for rule, count in list(chinese["dropped"].items())[:4]
    )
    told = f"Of {chinese['documents']:,} Chinese texts, `language` keeps {chinese['kept']:.2%} as English: {most}."
    size = f"{record['documents']:,} documents of {record['characters']:.0f} characters in the mean"
    return "\n".join([*lines, "", f"{told} {size}; {_made(record)}", ""])


def sensitive(record: Row) -> str:
    lines = [
        "| stage | documents/s | rude posts dropped | other posts dropped | documents dropped |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in record["stages"]:
        shares = " | ".join(f"{row['dropped'][label]:.1%}" for label in ("rude", "other", "document"))
        lines.append(f"| {row['stage']} | {row['documents_per_s']:,.0f} | {shares} |")
    told = f"{record['documents']:,} documents of {record['characters']:.0f} characters in the mean"
    told += f"; fine-tuning {record['fine_tuning_s']:.0f} s, memory {record['peak_bytes'] / 2**30:.1f} GiB at most"
    return "\n".join([*lines, "", f"{told}. {_made(record)}", ""])


def leaks(record: Row) -> str:
    rows, layers = record["planted"], ("found", "text", "run", "cosine", "words")
    tasks = " | ".join(row["task"] for row in rows)
    lines = [
        f"| leaked | {tasks} | all | by text | by run | by cosine | by words |",
        "|---|" + "---:|" * (len(rows) + len(layers)),
    ]
    for way in rows[0]["ways"]:
        mine = [row["ways"][way] for row in rows]
        shares = [one["found"] for one in mine] + [mean(one[layer] for one in mine) for layer in layers]
        lines.append(f"| {way} | {' | '.join(f'{share:.0%}' for share in shares)} |")
    taken = [row["others"] for row in rows]
    counts = [one["found"] for one in taken] + [sum(one[layer] for one in taken) for layer in layers]
    lines.append(f"| other texts taken for leaks | {' | '.join(f'{number:,}' for number in counts)} |")
    lines += [
        "",
        "| pool | documents | test set | documents | kept out | by text | by run | by cosine | by words | with runs |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in record["shared"]:
        name = row["pool"] + (f", {row['split']}" if row["split"] else "")
        found = " | ".join(f"{row[layer]:,}" for layer in layers)
        checked = next(one for one in row["coverage"] if one["layer"] == "run")
        share = checked["checked"] / checked["documents"]
        lines.append(f"| {name} | {row['documents']:,} | {row['test']} | {row['tested']:,} | {found} | {share:.1%} |")
    seconds = [row["seconds"] for row in rows]
    told = (
        f"{record['number']} leaks of each way among {record['pool']:,} other texts, test sets of up to "
        f"{max(row['test'] for row in rows):,} documents, {min(seconds):.1f} to {max(seconds):.1f} s each"
    )
    return "\n".join([*lines, "", f"{told}. {_made(record)}", ""])


def semantic_duplicates(record: Row) -> str:
    lines = [
        "| documents | | seconds | × ours | kept | dropped wrongly | missed |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for row in record["sizes"]:
        for name, title, ratio in (("ours", "`leaders`", 1.0), ("semhash", f"semhash {row['version']}", row["ratio"])):
            counts = " | ".join(f"{row[name][count]:,}" for count in ("kept", "wrongly", "missed"))
            lines.append(f"| {row['documents']:,} | {title} | {_spread(row[f'{name}_s'])} | {ratio:.2f} | {counts} |")
    pairs = ", ".join(f"{row['pairs'] // 2:,} of {row['documents']:,}" for row in record["sizes"])
    return "\n".join([*lines, "", f"Pairs over the threshold: {pairs}. {_made(record)}", ""])


def compositions(record: Row) -> str:
    """A table for each kind of pool: scores, gains over random-balanced, and what a composition costs."""
    parts = []
    for kind in dict.fromkeys(row["pool"] for row in record["cells"]):
        rows = [row for row in record["cells"] if row["pool"] == kind]
        tasks, shots = (list(dict.fromkeys(row[name] for row in rows)) for name in ("task", "shots"))
        scores: dict[tuple[Any, ...], list[float]] = {}
        for row in rows:
            scores.setdefault((row["composition"], row["task"], row["shots"]), []).append(row["score"])
        lines = [
            f"| {kind} pools | {' | '.join(tasks)} | {' | '.join(f'gain at {n}' for n in shots)} | documents | s |",
            f"|---|{'---:|' * (len(tasks) + len(shots) + 2)}",
        ]
        for name in dict.fromkeys(row["composition"] for row in rows):
            own = [row for row in rows if row["composition"] == name]
            cells = [" / ".join(f"{mean(scores[name, task, n]):.3f}"[1:] for n in shots) for task in tasks]
            for n in shots:
                pairs = [(scores[name, task, n], scores["random-balanced", task, n]) for task in tasks]
                cells.append("" if name == "random-balanced" else _gain(pairs))
            seconds = [row["seconds"] for row in own if "seconds" in row]
            cells += [f"{mean(row['documents'] for row in own):,.0f}", f"{median(seconds):.1f}" if seconds else ""]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        parts.append("\n".join([*lines, ""]))
    told = f"{record['draws']} draws of the examples, {record['evaluated']:,} test documents at most."
    return "\n".join([*parts, f"{told} {_made(record)}", ""])


def _gain(pairs: list[tuple[list[float], list[float]]]) -> str:
    """The mean gain over tasks in points, and half its 95 % interval for these tasks, over the draws of each.

    Each task's gains are paired by draw; the variance of the mean of the tasks' means is the sum of theirs over the
    square of their number, with the degrees of freedom of all.
    """
    gains = [np.subtract(ours, others[: len(ours)]) * 100 for ours, others in pairs]
    if any(len(gain) < 2 for gain in gains):
        return f"{mean(gain.mean() for gain in gains):+.1f}"
    error = np.sqrt(sum(gain.var(ddof=1) / len(gain) for gain in gains)) / len(gains)
    half = stats.t.ppf(0.975, sum(len(gain) - 1 for gain in gains)) * error
    middle = mean(gain.mean() for gain in gains)
    told = f"{middle:+.1f} ± {half:.1f}"
    return f"**{told}**" if abs(middle) > half else told


def scale(record: Row) -> str:
    """Seconds and memory of each method by the number of candidates."""
    sizes = sorted({row["rows"] for row in record["runs"]})
    found = {(row["method"], row["rows"]): row for row in record["runs"]}
    heads = " | ".join(f"{size:,}" for size in sizes)
    lines = [
        f"| seconds (GiB beyond the vectors) for | {heads} | candidates, exponent |",
        f"|---|{'---:|' * (len(sizes) + 1)}",
    ]
    for method in dict.fromkeys(row["method"] for row in record["runs"]):
        rows = [found[method, size] for size in sizes]
        cells = [
            f"{row['seconds']:,.1f} ({row['memory'] / 2**30:.1f})" if "seconds" in row else f"over {row['over']:,.0f}"
            for row in rows
        ]
        last = [row["seconds"] for row in rows[-2:] if "seconds" in row]
        exponent = np.log(last[-1] / last[0]) / np.log(sizes[-1] / sizes[-2]) if len(last) == 2 else None
        lines.append(f"| {method} | {' | '.join(cells)} | {'' if exponent is None else f'{exponent:.2f}'} |")
    return "\n".join([*lines, "", _made(record), ""])


def knowledge(record: Row) -> str:
    lines = ["| score | average precision | relevant among its best |", "|---|---:|---:|"]
    for row in record["found"]:
        cells = (f"{mean(row[key]):.3f} (sd {stdev(row[key]):.3f})" for key in ("precision", "best"))
        lines.append(f"| {row['score']} | {' | '.join(cells)} |")
    told = (
        f"{record['draws']} draws of {record['target']} examples; {record['relevant']:,} of {record['candidates']:,} "
        "candidates are relevant, and as many of the best are looked at."
    )
    lines += ["", told, "", "| graph | candidates | seconds | GiB |", "|---|---:|---:|---:|"]
    for row in record["cost"]:
        lines.append(f"| {row['graph']} | {row['rows']:,} | {row['seconds']:,.1f} | {row['memory'] / 2**30:.1f} |")
    return "\n".join([*lines, "", _made(record), ""])


def training(record: Row) -> str:
    """Against the Trainer, what each part is worth, and predictions."""
    lines = ["| task | labels | tokens | engine | s | Trainer / this | Trainer, bf16 / this | macro-F1 |"]
    lines.append("|---|---:|---:|---|---:|---:|---:|---:|")
    for task in record["tasks"]:
        found = {row["engine"]: row for row in task["engines"]}
        for name, row in found.items():
            cells = [f"{median(row['seconds']):.1f}"]
            for other in ("Trainer", "Trainer, bf16"):
                pairs = zip(found[other]["seconds"], row["seconds"], strict=False)
                ratios = [theirs / own for theirs, own in pairs]
                cells.append("" if other == name else f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")
            spread = f" (sd {stdev(row['macro_f1']):.3f})" if len(row["macro_f1"]) > 1 else ""
            what = f"{task['task']} | {task['labels']} | {task['tokens']:.0f}" if name == "curator" else " | | "
            lines.append(f"| {what} | {name} | {' | '.join(cells)} | {mean(row['macro_f1']):.3f}{spread} |")
    lines += [
        "",
        "| task | predicting, documents a second | pipeline of transformers | same label | ONNX: largest difference |",
    ]
    lines.append("|---|---:|---:|---:|---:|")
    for task in record["tasks"]:
        own = task["predict"]
        speed = {name: own["documents"] / median(seconds) for name, seconds in own["seconds"].items()}
        cells = f"{speed['curator']:,.0f} | {speed['pipeline']:,.0f} | {own['same_label']:.1%}"
        lines.append(f"| {task['task']} | {cells} | {task['onnx']['difference']:.1e} |")
    return "\n".join([*lines, "", _made(record), ""])


def adapters(record: Row) -> str:
    """What is trained in the place of the whole model, what is saved of it, and what it scores."""
    lines = [
        "| task | trained | weights trained | saved, MB | learning rate | s | macro-F1 |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in record["adapters"]:
        name = "the whole model" if row["adapter"] == "none" else row["adapter"]
        figures = (
            f"{row['trained']:,} | {row['bytes'] / 1e6:.1f} | {row['learning_rate']:g} | {median(row['seconds']):.1f}"
        )
        score = f"{mean(row['macro_f1']):.3f} (sd {stdev(row['macro_f1']):.3f})"
        lines.append(f"| {row['task']} | {name} | {figures} | {score} |")
    return "\n".join([*lines, "", _made(record), ""])


def resume(record: Row) -> str:
    """Whether trainings that were killed ended in the same weights, and what keeping a state costs."""
    lines = [
        "| trained | killed at step | same weights | steps run twice | killed once, every 120 s | a state every step |",
        "|---|---|---|---:|---|---:|",
    ]
    for row in record["kinds"]:
        at = f"{', '.join(map(str, row['killed_at']))} of {row['steps']}"
        once = f"at {row['seldom_killed_at'][0]}: {_same(row['seldom_same'])}, {row['seldom_repeated']} steps twice"
        cells = f"{at} | {_same(row['same'])} | {row['repeated']} | {once} | {row['keeping']:.2f}"
        lines.append(f"| {row['kind']} | {cells} |")
    return "\n".join([*lines, "", _made(record), ""])


def _same(same: bool) -> str:
    return "the same" if same else "**others**"


def search(record: Row) -> str:
    """What a search found on dev, and how much of it there is on test."""
    lines = [
        "| arm | trials | steps run | found | dev: as it is | found | test: as it is | found | gain on test, points |",
        "|---|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for row in record["arms"]:
        ends = ", ".join(f"{count} {state}" for state, count in row["states"].items())
        values = ", ".join(f"{name} {value:.3g}" for name, value in row["values"].items())
        dev = f"{row['dev'][0]:.3f} | {row['dev'][1]:.3f} ± {row['standard_error']:.3f}"
        test = " | ".join(f"{mean(scores) / 100:.3f}" for scores in row["test"])
        gain = _added(row["gain"])
        cells = f"{ends} | {row['steps_run']:.0%} | {values} | {dev} | {test} | {gain}"
        lines.append(f"| {row['arm']} | {cells} |")
    documents = record["arms"][0]["dev_documents"]
    told = f"dev has {documents:,} documents; ± is the standard error that so many leave."
    return "\n".join([*lines, "", told, "", _made(record), ""])


def kinds(record: Row) -> str:
    """Several labels a document, and numbers: scores and time against the Trainer's, and a trivial baseline."""
    lines = []
    for task in record["tasks"]:
        scores = list(task["trivial"])
        lines += [
            f"| {task['task']}, {task['kind']} | s | Trainer / this | {' | '.join(scores)} |",
            f"|---|---:|---:|{'---:|' * len(scores)}",
        ]
        theirs = next(row["seconds"] for row in task["engines"] if row["engine"] == "Trainer")
        for row in task["engines"]:
            ratios = [other / own for other, own in zip(theirs, row["seconds"], strict=True)]
            told = "" if row["engine"] == "Trainer" else f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
            cells = [f"{mean(row[score]):.3f} (sd {stdev(row[score]):.3f})" for score in scores]
            lines.append(f"| {row['engine']} | {median(row['seconds']):.1f} | {told} | {' | '.join(cells)} |")
        trivial = (task["trivial"][score] for score in scores)
        cells = ["" if value is None else f"{value:.3f}" for value in trivial]
        lines += [f"| trivial | | | {' | '.join(cells)} |", ""]
    return "\n".join([*lines, _made(record), ""])


def uses(record: Row) -> str:
    """What each use of documents without a label of the task adds to the target alone."""
    lines = ["| task | examples a label | steps | use | macro-F1 | adds, points | s |"]
    lines.append("|---|---:|---:|---|---:|---:|---:|")
    for task in record["tasks"]:
        for row in task["rows"]:
            told = _added(row["adds"]) if "adds" in row else ""
            first = (
                f"{task['task']} | {task['shots']} | {task.get('steps', record.get('steps'))}"
                if row["use"] == "target only"
                else " |  | "
            )
            cells = f"{mean(row['macro_f1']):.1f} | {told} | {median(row['seconds']):.0f}"
            lines.append(f"| {first} | {row['use']} | {cells} |")
    lines += [
        "",
        "| task | examples a label | seed | documents | taught | of dev sure, wrong |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for task in record["tasks"]:
        taught = next(row for row in task["rows"] if row["use"] == "teacher")["told"]
        for seed, told in enumerate(taught):
            (once,) = told["teacher"]
            dev = once["dev"]
            wrong = f"{dev['wrong']} of {dev['sure']}" if dev else "no dev"
            lines.append(
                f"| {task['task']} | {task['shots']} | {seed} | {once['documents']:,} | {once['taught']:,} | {wrong} |"
            )
    return "\n".join([*lines, "", _made(record), ""])


def replay(record: Row) -> str:
    """What each task scores before and after another is learned, without a replay and with one."""
    lines = ["| pair | replay | task | before | after | by replay, points |", "|---|---|---|---:|---:|---:|"]
    for pair in record["pairs"]:
        without = {row["task"]: row["macro_f1"] for row in pair["rows"] if row["share"] is None}
        order = sorted(pair["rows"], key=lambda row: (row["share"] or 0, not row["new"]))
        for row in order:
            share = "none" if row["share"] is None else f"{row['share']:.0%} of the loss"
            task = f"{row['task']} ({'new' if row['new'] else 'earlier'})"
            by = "" if row["share"] is None else _added(added(row["macro_f1"], without[row["task"]]))
            after = f"{mean(row['macro_f1']):.1f} ({_interval(interval(row['macro_f1']))})"
            before = "–" if row["before"] is None else f"{row['before']:.1f}"
            lines.append(f"| {pair['pair']} | {share} | {task} | {before} | {after} | {by} |")
    return "\n".join([*lines, "", _made(record), ""])


def _added(gain: Row) -> str:
    """A mean difference and its interval, bold where that excludes zero."""
    told = f"{gain['mean']:+.1f} ({gain['low']:+.1f} to {gain['high']:+.1f})"
    return f"**{told}**" if gain["low"] > 0 or gain["high"] < 0 else told


def contrastive(record: Row) -> str:
    """What a head that reads the mean and pairs of labelled documents add to a classifier of the first token."""
    lines = [
        "| task | examples a label | seeds | way | macro-F1 | adds, points | s |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for task in record["tasks"]:
        for number, row in enumerate(task["rows"]):
            told = _added(row["adds"]) if "adds" in row else ""
            first = " |  | " if number else f"{task['task']} | {task['shots']} | {len(row['macro_f1'])}"
            cells = f"{mean(row['macro_f1']):.1f} | {told} | {median(row['seconds']):.0f}"
            lines.append(f"| {first} | {row['way']} | {cells} |")
    if many := record["pool"]:
        counts = f"{many['documents']:,} | {many['labels']} | {many['anchors']:,} | {many['pairs']:,}"
        lines += [
            "",
            "| labelled documents | labels | drawn | pairs | finding them, s |",
            "|---:|---:|---:|---:|---:|",
            f"| {counts} | {many['seconds']:.0f} |",
        ]
    return "\n".join([*lines, "", _made(record), ""])


def labelling(record: Row) -> str:
    """Scores of a probe as a person labels what was chosen in one way or another, and how many labels were wasted."""
    last = max(row["round"] for row in record["rounds"])
    pools, ways = ({row[key]: None for row in record["rounds"]} for key in ("pool", "by"))
    lines = ["| pool | chosen by | macro-F1 at the start | after | over random, points | labels wasted |"]
    lines.append("|---|---|---:|---:|---:|---:|")

    def of(pool: str, way: str, number: int, what: str) -> list[float]:
        return [r[what] for r in record["rounds"] if (r["pool"], r["by"], r["round"]) == (pool, way, number)]

    for pool in pools:
        for way in ways:
            begun, found = of(pool, way, 0, "macro_f1"), of(pool, way, last, "macro_f1")
            gain = "" if way == "random" else _gain([(found, of(pool, "random", last, "macro_f1"))])
            wasted = f"{mean(of(pool, way, last, 'wasted')):.0f}"
            lines.append(f"| {pool} | {way} | {mean(begun):.3f} | {mean(found):.3f} | {gain} | {wasted} |")
    lines += ["", "| chosen by | candidates | labels | documents | s | MiB |", "|---|---:|---:|---:|---:|---:|"]
    for row in record["cost"]:
        sizes = f"{row['candidates']:,} | {row['labels']} | {row['documents']}"
        lines.append(f"| {row['by']} | {sizes} | {row['seconds']:.1f} | {row['peak_mib']:,} |")
    return "\n".join([*lines, "", _made(record), ""])


def verdicts(record: Row) -> str:
    """How often simulated races say what they should not, and find what they promise to find."""
    asked = {
        "none": ("no arm differs", "the verdict tells an arm from the mix", "at most 5 %"),
        "planted": ("the mix is better by the detectable effect", "it is found better", "80 %"),
        "documents": (
            "documents favour arms, none in the long run",
            "an interval finds a difference",
            "(not promised)",
        ),
    }
    lines = ["| truth | seeds | races | asked | in, 95 % interval | promised |", "|---|---:|---:|---|---:|---:|"]

    def told(row: Row, number: int) -> str:
        exact = stats.binomtest(number, row["races"]).proportion_ci()
        return f"{number / row['races']:.1%} ({exact.low:.1%} to {exact.high:.1%})"

    for what, (truth, question, promised) in asked.items():
        for row in (row for row in record["rows"] if row["what"] == what):
            effect = f", {row['effect']:.1f} points" if what == "planted" else ""
            first = f"| {truth}{effect} | {row['seeds']} | {row['races']:,} "
            lines.append(f"{first}| {question} | {told(row, row['found'])} | {promised} |")
            if what == "documents":
                lines.append(f"{first}| a corrected p is at most 0.05 | {told(row, row['by_p'])} | about 5 % |")
    return "\n".join([*lines, "", _made(record), ""])


def _made(record: Row) -> str:
    """Where, by which command and from which commit a record was made."""
    where = f"{record['machine']}, {record['cores']} cores, load {record['load_average'][0]:.1f}"
    commit = f"commit {record['commit'][:10]}" + (", other files of the tree changed" if record["dirty"] else "")
    return f"{where}; `{record['command']}`, {commit}."


TABLES: dict[str, Callable[[Row], str]] = {
    "encode": encode, "encode_amx": encode, "nearest": nearest, "corpora": corpora, "calibration": calibration,
    "duplicates": duplicates, "neighbours": neighbours, "clusters": clusters, "relevance": relevance,
    "label_noise": label_noise, "filters": filters, "sensitive": sensitive, "leaks": leaks,
    "semantic_duplicates": semantic_duplicates, "compositions": compositions, "scale": scale,
    "knowledge": knowledge, "training": training, "adapters": adapters, "kinds": kinds, "resume": resume,
    "search": search, "uses": uses, "uses_families": uses,
    "labelling": labelling, "replay": replay, "contrastive": contrastive, "verdicts": verdicts,
    "engines": engines, "engines_cost": engines_cost, "engines_read": engines,
    "choice": lambda record: race_tables.choice(record) + "\n" + _made(record) + "\n",
}  # fmt: skip
EXAMPLES: dict[str, Callable[[Row], str]] = {
    "support_desk": support_desk,
    "sentiment_stream": sentiment_stream,
    "recommender": recommender,
    "recommender_spread": recommender_spread,
}
PARTS = ("support-desk", "sentiment-stream", "recommender")  # of the record of the worked examples

if __name__ == "__main__":
    main()
