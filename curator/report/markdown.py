"""The report as markdown: the verdict, its table, the funnel and how to run it again. For READMEs and reviews."""

import re
from typing import Any

from curator.markdown import escape, table
from curator.mix import told
from curator.race.statistics import METRICS, Results, analyse, points, verdict
from curator.report import ablation, foretold
from curator.report.checks import problems
from curator.report.figures import between, commit, count, duration, moment, share, spread, title
from curator.report.part_sections import CLEAN_HEAD, clean_rows, said_of_copies
from curator.report.tasks import HEAD as TASKS
from curator.report.tasks import READING, tasks
from curator.report.tasks import told as replayed
from curator.report.uses import HEAD, uses


def markdown(record: dict[str, Any]) -> str:
    """GitHub-flavoured markdown of a race record. Raises DataError for a record that contradicts itself."""
    results = analyse(record)
    blocks = [
        f"# {escape(title(record))}",
        escape(record["description"]),
        f"**{escape(verdict(results))}**",
        _arms(results),
        _outside(results),
        *_ablation(results),
        *_foretold(record),
        *_contaminated(results),
        _uses(record, results),
        *_tasks(record),
        *_failures(record),
        *(_mix(record["mix"]) if record["mix"] else []),
        _again(record),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _arms(results: Results) -> str:
    champion = f"{results.champion} − arm"
    metric = METRICS[results.metric]
    compared = {comparison.arm: comparison for comparison in results.comparisons}
    head = ["Arm", "Seeds", "Documents", metric, "95 % interval", champion, "95 % family-wise", "Verdict"]
    rows = []
    for arm in results.arms:
        row = [arm.name, count(len(arm.seeds)), spread(arm.documents), points(arm.mean), between(arm.interval)]
        comparison = compared.get(arm.name)
        if comparison:
            row += [points(comparison.difference, sign=True), between(comparison.family), comparison.finding]
        rows.append([*row, *[""] * (len(head) - len(row))])
    return table(head, rows, text=(0, 7))


def _ablation(results: Results) -> list[str]:
    rows = ablation.rows(results)
    return [table(list(ablation.HEAD), rows, text=(0, 1, 6)), ablation.READING] if rows else []


def _foretold(record: dict[str, Any]) -> list[str]:
    lines = [escape(f"{line}.") for line in foretold.said(record)]
    return [" ".join(lines), table(list(foretold.HEAD), foretold.rows(record), text=(0,))] if lines else []


def _contaminated(results: Results) -> list[str]:
    """The figures without the evaluation documents that an arm may have learnt, where there are any."""
    if not results.contaminated:
        return []
    rows = clean_rows(results)
    return [said_of_copies(results), table(list(CLEAN_HEAD), rows, text=(0, 5, 6)) if rows else ""]


def _outside(results: Results) -> str:
    """Which arms had another number of documents, so that the table is not read as if they had not."""
    names = [arm.name for arm in results.arms if not arm.selecting]
    if not names:
        return ""
    return escape(f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} outside the budget of documents.")


def _uses(record: dict[str, Any], results: Results) -> str:
    rows = [one.row() for one in uses(record, results)]
    return table(list(HEAD), rows, text=(0, 1, 3, 4)) if rows else ""


def _tasks(record: dict[str, Any]) -> list[str]:
    rows = tasks(record)
    lines = [escape(f"{line}.") for line in replayed(record)]
    return [table(list(TASKS), rows, text=(0, 1)), "\n".join(f"- {line}" for line in lines), READING] if rows else []


def _failures(record: dict[str, Any]) -> list[str]:
    failed = [run for run in record["runs"] if run["error"] is not None]
    lines = [f"- {escape(run['arm'])}, seed {run['seed']}, failed: {escape(run['error'])}" for run in failed]
    return ["\n".join(lines)] if lines else []


def _mix(mix: dict[str, Any]) -> list[str]:
    head = ["Stage", "Seen", "Kept", "Dropped", "Kept of seen"]
    rows = [
        [row["stage"], *(count(row[key]) for key in ("seen", "kept", "dropped")), share(row["kept"], row["seen"])]
        for row in mix["funnel"]
    ]
    sources: dict[str, list[int]] = {}
    for row in mix["composition"]:
        both = sources.setdefault(row["source"], [0, 0])
        both[0] += row["documents"]
        both[1] += row["of"]
    composed = [[source, count(n), count(of), share(n, mix["documents"])] for source, (n, of) in sources.items()]
    found = [f"- {escape(problem)}." for problem in problems(mix)]
    return [
        f"## The mix: {count(mix['documents'])} of {count(mix['pool'])} documents",
        table(["Source", "In the mix", "In the pool", "Of the mix"], composed, text=(0,)) if composed else "",
        table(head, rows, text=(0,)) if rows else "",
        "\n".join(f"- {escape(line)}." for line in told(mix)),
        "\n".join(["**The counts do not add up:**", "", *found]) if found else "",
        "\n".join(f"- Warning: {escape(warning)}" for warning in mix["warnings"]),
    ]


def _again(record: dict[str, Any]) -> str:
    environment, evaluation = record["environment"], record["evaluation"]
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", record["command"])), default=0))
    part = f"{count(evaluation['documents'])} of {count(evaluation['of'])} evaluation documents"
    when = f"{moment(record['started'])}, {duration(record['seconds'])}; commit {commit(record)}"
    versions = f"curator {environment['curator']}, Python {environment['python']}"
    machine = f"{environment['processor']}, {environment['cores']} cores"
    device = f"{environment['device']}, {environment['precision']}"
    facts = f"{part}; {when}; {versions}, {machine}, {device}."
    return f"{fence}sh\n{record['command']}\n{fence}\n\n{escape(facts)}"
