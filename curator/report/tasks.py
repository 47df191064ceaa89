"""The tasks of a race with a replay: what each arm scores on the new one and on those before it."""

from typing import Any

from curator.race.retention import Retained, retained
from curator.race.statistics import points
from curator.report.figures import between, count

HEAD = ("Task", "Arm", "Seeds", "Before", "After", "95 % interval", "After − before", "95 % interval", "By replay",
        "95 % interval")  # fmt: skip
READING = (
    "Every prediction is among the labels of all tasks together; a task's score is over its own. Before is the model "
    "that training went on from, as it was. By replay is the arm's score minus that of the same arm without replay, "
    "seed by seed. Intervals are t-intervals over seeds, each by itself."
)


def tasks(record: dict[str, Any]) -> list[list[str]]:
    """Rows of texts in the order of HEAD, task by task; none without a replay."""
    return [_row(one) for one in retained(record)]


def rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The same as plain values, unrounded: ``task, new, arm, documents, before, scores, mean, low, high, change,
    change_low, change_high, worth, worth_low, worth_high``; intervals are 95 %, None where there is none.
    """
    found = []
    for one in retained(record):
        row = {name: getattr(one, name) for name in ("task", "new", "arm", "documents", "before", "mean")}
        row["scores"] = dict(zip(one.seeds, one.scores, strict=True))
        for name, bounds in (("", one.interval), ("change_", one.change_interval), ("worth_", one.worth_interval)):
            row |= {f"{name}low": bounds and bounds.low, f"{name}high": bounds and bounds.high}
        found.append(row | {"change": one.change, "worth": one.worth})
    return found


def told(record: dict[str, Any]) -> list[str]:
    """Sentences on what was replayed, and what was left out for being in a test or dev set."""
    if "replay" not in record:
        return []
    replay = record["replay"]
    used = sorted({seed["documents"] for seed in replay["seeds"]})
    out: dict[tuple[str, str], int] = {}
    for row in replay["seeds"][0]["left_out"]:
        out[row["of"], row["rule"]] = row["documents"]
    left = ", ".join(f"{count(n)} of {of} ({rule})" for (of, rule), n in out.items())
    mix = replay["mix"]
    return [
        f"Replayed: {' to '.join(map(count, used))} of {count(replay['seeds'][0]['there'])} documents of the mix "
        f"{mix['mix']}, version {mix['version']}, for {replay['share']:.0%} of the loss",
        f"Left out of the replay for being in a test or dev set, with seed 0: {left or 'none'}",
    ]


def _row(one: Retained) -> list[str]:
    return [
        f"{one.task} ({'new' if one.new else 'earlier'})",
        one.arm,
        count(len(one.seeds)),
        points(one.before),
        points(one.mean),
        between(one.interval),
        points(one.change, sign=True),
        between(one.change_interval),
        points(one.worth, sign=True) if one.worth is not None else "",
        between(one.worth_interval) if one.worth is not None else "",
    ]
