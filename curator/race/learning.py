"""What learning curves show: each arm at each point. Pure; records in, figures out, in points."""

from dataclasses import dataclass
from typing import Any

from curator.errors import DataError
from curator.race.statistics import Interval, check, interval, scores


@dataclass(frozen=True)
class At:
    """One arm at one point: mean and 95 % t-interval over its ``seeds``, in points; None where there are too few."""

    arm: str
    shots: int | None
    budget: int | None
    seeds: int
    mean: float | None
    interval: Interval | None


def curves(record: dict[str, Any], races: list[dict[str, Any]]) -> list[At]:
    """A row for each arm and point, arm by arm, from the records of the points in their order.

    Raises DataError for a record of another kind, or where its points are not these races.
    """
    if (record.get("kind"), record.get("format")) != ("curves", 1):
        raise DataError(f"not a record of curves: kind {record.get('kind')!r}, format {record.get('format')!r}")
    if len(races) != len(record["points"]):
        raise DataError(f"{len(record['points'])} points, and records of {len(races)} races")
    for race in races:
        check(race)
        if race["metric"] != record["metric"]:
            raise DataError(f"{race['name']} is measured by {race['metric']}, and the curves by {record['metric']}")
    arms = list(dict.fromkeys(arm["name"] for race in races for arm in race["arms"]))
    return [
        _at(arm, point, list(scores(race, arm).values()))
        for arm in arms
        for point, race in zip(record["points"], races, strict=True)
    ]


def _at(arm: str, point: dict[str, Any], found: list[float]) -> At:
    mean = sum(found) / len(found) if found else None
    return At(arm, point["shots"], point["budget"], len(found), mean, interval(found))
