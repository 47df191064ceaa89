"""What a race with a replay says of each task, the new one and those before it: before, after, and by replay.

Pure; a record in, figures out, in points. The model as it was is one model, so that a difference to it has the interval
of the scores after; a difference to the same arm without replay is of runs that share a seed. Intervals are 95 %
t-intervals over seeds, each by itself.
"""

from dataclasses import dataclass
from statistics import mean
from typing import Any

from curator.race.statistics import Interval, interval, own_labels, score
from curator.recipe import WITHOUT_REPLAY


@dataclass(frozen=True)
class Retained:
    """One arm on the test documents of one task. ``scores`` are by ``seeds``; None where there is nothing to say.

    ``change`` is the mean minus ``before``, ``worth`` minus the same arm without replay.
    """

    arm: str
    task: str
    new: bool
    documents: int
    before: float | None
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    mean: float
    interval: Interval | None
    change: float | None
    change_interval: Interval | None
    worth: float | None
    worth_interval: Interval | None


def retained(record: dict[str, Any]) -> list[Retained]:
    """A row for each task, the new one first, and each arm with a finished training; none without a replay."""
    if "replay" not in record:
        return []
    replay = record["replay"]
    new = {"evaluation": record["evaluation"], "labels": own_labels(record), "before": replay["before"]}
    rows = []
    for number, task in enumerate([new, *replay["tasks"]], -1):
        name = record["name"] if number < 0 else task["mix"]["mix"]
        scores = {arm["name"]: _scores(record, task, arm["name"], number) for arm in record["arms"]}
        before = None if task["before"] is None else _score(record, task, task["before"])
        rows += [
            _row(arm, name, number < 0, task, before, own, scores.get(f"{arm}{WITHOUT_REPLAY}", {}))
            for arm, own in scores.items()
            if own
        ]
    return rows


def _scores(record: dict[str, Any], task: dict[str, Any], arm: str, number: int) -> dict[int, float]:
    """By seed; of the task before that has this number, or of the new one."""
    found = {}
    for run in sorted(record["runs"], key=lambda run: int(run["seed"])):
        if run["arm"] == arm and run["error"] is None and (number < 0 or "earlier" in run):
            predictions = run["predictions"] if number < 0 else run["earlier"][number]
            found[int(run["seed"])] = _score(record, task, predictions)
    return found


def _score(record: dict[str, Any], task: dict[str, Any], predictions: list[int]) -> float:
    return score(task["evaluation"]["truth"], predictions, record["metric"], task["labels"])


def _row(
    arm: str, name: str, new: bool, task: dict[str, Any], before: float | None, own: dict[int, float],
    without: dict[int, float],
) -> Retained:  # fmt: skip
    scores = tuple(own.values())
    changes = [] if before is None else [score - before for score in scores]
    worth = [score - without[seed] for seed, score in own.items() if seed in without]
    return Retained(
        arm=arm,
        task=name,
        new=new,
        documents=len(task["evaluation"]["truth"]),
        before=before,
        seeds=tuple(own),
        scores=scores,
        mean=mean(scores),
        interval=interval(scores),
        change=mean(changes) if changes else None,
        change_interval=interval(changes) if changes else None,
        worth=mean(worth) if worth else None,
        worth_interval=interval(worth) if worth else None,
    )
