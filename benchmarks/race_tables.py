"""The tables of races.py: which stages were chosen, and what the default recipe is worth beside every other arm."""

import json
from collections import Counter
from pathlib import Path
from statistics import mean
from typing import Any

from curator.race.statistics import Interval, analyse, interval, points

Row = dict[str, Any]

RECORDS = Path(__file__).resolve().parent / "records"
FEW = 50  # resamples: a table shows no p, and intervals are Student's
SUMMED = ("clean", "real")


def choice(record: Row) -> str:
    """What each candidate is worth beside a balanced random draw, on training documents."""
    cells = record["cells"]
    shots = list(dict.fromkeys(cell["shots"] for cell in cells))
    kinds = [(kind, number) for kind in SUMMED for number in shots]
    titles = " | ".join(f"{kind}, {number}" for kind, number in kinds)
    lines = [f"| stages | {titles} | mean | least | races |", f"|---|{'---:|' * (len(kinds) + 3)}"]
    for arm in cells[0]["scores"]:
        if arm in ("random-balanced", "mix"):
            continue
        gains: dict[tuple[str, int], list[float]] = {kind: [] for kind in kinds}
        for cell in cells:
            if own := cell["scores"].get(arm):
                gains[cell["pool"], cell["shots"]].append(mean(own) - mean(cell["scores"]["random-balanced"]))
        every = [gain for several in gains.values() for gain in several]
        told = [points(mean(several), True) if several else "–" for several in gains.values()]
        name = arm.removeprefix("recipe:").removesuffix(".toml")
        title = _stages(record["candidates"][name]) if name in record["candidates"] else name
        cut = [points(mean(every), True), points(min(every), True), f"{len(every)} of {len(cells)}"]
        lines.append(f"| {title} | {' | '.join([*told, *cut])} |")
    return "\n".join([*lines, ""])


def _stages(stages: list[Row]) -> str:
    """The stages of a candidate in short; the last shares the budget out, by score or at random."""
    *first, last = stages
    told = [stage["use"] + (", weights" if stage.get("action") == "weight" else "") for stage in first]
    return f"{', '.join(told)}; {'at random' if last.get('order') == 'random' else 'by score'}"


def races(names: str) -> list[Row]:
    """The records of the races whose names match, in the order of tasks, pools and examples."""
    found = [json.loads(path.read_text("utf8")) for path in RECORDS.glob(f"races/{names}.json")]
    return sorted(found, key=lambda record: (_cell(record)[1], _cell(record)[0], _cell(record)[2]))


def _cell(record: Row) -> tuple[str, str, int]:
    """Task, kind of pool and examples a label."""
    task, kind, shots = record["name"].removesuffix("-bert").split("-")
    return task, kind, int(shots)


def worth(records: list[Row]) -> str:
    """Every race, a row for each, by kind of pool, and what they come to. ▼ is worse than the mix, ▲ better."""
    if not records:
        return "Not measured yet.\n"
    kinds = {kind: [record for record in records if _cell(record)[1] == kind] for kind in SUMMED}
    parts = ["\n".join(_of_kind(own, kind)) for kind, own in kinds.items() if own]
    made = sorted({f"`{record['command']}`" for record in records})
    commits = sorted({record["commit"]["sha"][:10] + "+" * record["commit"]["dirty"] for record in records})
    race = records[0]["recipe"]["race"]
    told = (
        f"{len(records)} races of {race['seeds']} seeds, {race['evaluation']:,} test documents at most; commits "
        f"{', '.join(commits)}; {'; '.join(made)}."
    )
    return "\n\n".join([*parts, told]) + "\n"


def _of_kind(records: list[Row], kind: str) -> list[str]:
    arms = [arm for arm in records[0]["recipe"]["race"]["arms"] if arm != "mix"]
    lines = [f"| {kind} pools | examples | mix | {' | '.join(arms)} |", f"|---|---:|---:|{'---:|' * len(arms)}"]
    gains: dict[tuple[str, int], dict[str, float]] = {}
    found: dict[str, Counter[int]] = {arm: Counter() for arm in arms}
    for record in records:
        results = analyse(record, FEW)
        against = {item.arm: item for item in results.comparisons if item.difference is not None}
        means = {arm.name: arm.mean for arm in results.arms}
        task, _, shots = _cell(record)
        cells = [points(means["mix"])]
        for arm in arms:
            sure = _sure(against[arm].family) if arm in against else 0
            found[arm][sure] += arm in against
            cells.append(points(means.get(arm)) + {1: " ▼", 0: "", -1: " ▲"}[sure])
        gains[task, shots] = {arm: item.difference for arm, item in against.items() if item.difference is not None}
        lines.append(f"| {task} | {shots} | {' | '.join(cells)} |")
    for shots in dict.fromkeys(number for _, number in gains):
        own = [gain for (_, number), gain in gains.items() if number == shots]
        told = [points(mean(gain[arm] for gain in own if arm in gain), True) for arm in arms]
        lines.append(f"| mix minus arm | {shots} | | {' | '.join(told)} |")
    tasks = list(dict.fromkeys(task for task, _ in gains))
    over = {
        arm: [mean(gain[arm] for (one, _), gain in gains.items() if one == task and arm in gain) for task in tasks]
        for arm in arms
    }
    lines.append(f"| mix minus arm, 95 % over tasks | all | | {' | '.join(_told(own) for own in over.values())} |")
    counts = [f"{number[1]} / {number[0]} / {number[-1]}" for number in found.values()]
    lines.append(f"| mix better / not told apart / worse | all | | {' | '.join(counts)} |")
    times = [points(mean(_selection_seconds(records, arm))) for arm in ("mix", *arms)]
    lines.append(f"| selection, seconds | all | {' | '.join(times)} |")
    return lines


def _selection_seconds(records: list[Row], arm: str) -> list[float]:
    """What choosing the documents of an arm took in each run."""
    return [run["selection_seconds"] for record in records for run in record["runs"] if run["arm"] == arm]


def _sure(bounds: Interval | None) -> int:
    """1 where the mix is better beyond the interval, −1 where it is worse."""
    return 0 if bounds is None else (bounds.low > 0) - (bounds.high < 0)


def _told(values: list[float]) -> str:
    bounds = interval(values)
    return f"{points(bounds.low, True)} to {points(bounds.high, True)}" if bounds else points(mean(values), True)
