"""How the arms of a race do on parts of its evaluation documents: those of each label, source, or value of a column.

Within a group the score is a mean over its documents, so that groups of different labels can be compared: macro-F1 over
the labels that happen to be in a group cannot. ``measure`` says of what:

==============  ==================================  ====================================
kind of task    by label                            by anything else
==============  ==================================  ====================================
``single``      recall                              accuracy
``multi``       recall, of those with the label     the F1 of each document's labels
``regression``  mean absolute error, by fifths of   mean absolute error
                the true values
==============  ==================================  ====================================

Intervals are over seeds, as everywhere. Those of the differences to one rival hold for all groups of all columns
together (Bonferroni), and of that rival alone: against m rivals, expect m times as many false findings. A group of
fewer than ``SMALL`` documents has scores, but is not compared and has no part in a gap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from curator.race.statistics.comparison import Finding, Results, finding_of
from curator.race.statistics.intervals import ERROR, Interval, interval
from curator.race.statistics.records import Floats, Integers, Values, finished, kind_of, own_labels, truth_of

SMALL = 30  # documents below which a group says little: of 30 with half right, the interval is ± 0.17
LABEL = "label"


@dataclass(frozen=True)
class Mean:
    """A mean over seeds and its 95 % interval; None for fewer than 2."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Difference:
    """Champion minus rival over the seeds they share; the interval is family-wise over all groups."""

    value: float
    family: Interval
    finding: Finding  # of the champion, whichever way its measure is better


@dataclass(frozen=True)
class Group:
    """The documents of one value; None is of those that have none. ``scores`` are by arm, ``differences`` by rival."""

    group: str | None
    documents: int
    scores: dict[str, Mean]
    differences: dict[str, Difference]

    @property
    def small(self) -> bool:
        """Whether it has so few documents that its figures say little."""
        return self.documents < SMALL


@dataclass(frozen=True)
class Gap:
    """How far an arm's best group is from its worst, among those that are not small."""

    best: str | None
    worst: str | None
    points: float


@dataclass(frozen=True)
class Grouped:
    """One column: its groups, the largest first, and by arm the gap between best and worst, where two can be compared.

    ``lower_is_better`` of errors, which are in the unit of the labels; other measures are in points.
    """

    by: str
    measure: str
    lower_is_better: bool
    groups: tuple[Group, ...]
    gaps: dict[str, Gap]


def grouped(record: dict[str, Any], results: Results) -> tuple[Grouped, ...]:
    """The groups that the record names, of the arms with a finished run; by label where it names none."""
    runs = {arm.name: finished(record, arm.name) for arm in results.arms if arm.seeds}
    columns = [(told["by"], list(_members(record, told))) for told in _told(record)]
    rivals = {one.arm: one.seeds for one in results.comparisons if len(one.seeds) > 1}
    family = sum(len(rows) >= SMALL for _, members in columns for _, rows in members)
    return tuple(_column(record, by, members, runs, rivals, results.champion, family) for by, members in columns)


def fifths(truth: Floats) -> Integers:
    """(n,) in which fifth each value is, by their quantiles, as far as these differ."""
    places: Integers = np.searchsorted(np.unique(np.quantile(truth, [0.2, 0.4, 0.6, 0.8])), truth, side="right")
    return places


def _told(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What the record says of groups; one from before there were any has the labels."""
    told: list[dict[str, Any]] = record["evaluation"].get("groups", [{"by": LABEL}])
    return told


def _members(record: dict[str, Any], told: dict[str, Any]) -> Iterator[tuple[str | None, Integers]]:
    """Each group's name and the positions of its documents; documents of several labels are in several."""
    if told["by"] != LABEL:
        codes = np.array(told["codes"])
        yield from ((value, np.flatnonzero(codes == code)) for code, value in enumerate(told["values"]))
        return
    truth, kind = truth_of(record), kind_of(record)
    if kind == "regression":
        places = fifths(truth)
        for place in np.unique(places):
            rows = np.flatnonzero(places == place)
            yield f"{truth[rows].min():g} to {truth[rows].max():g}", rows
        return
    for label in own_labels(record) or range(len(record["labels"])):
        has = truth[:, label] if kind == "multi" else truth == label
        if has.any():
            yield record["labels"][label], np.flatnonzero(has)


def _column(
    record: dict[str, Any], by: str, members: list[tuple[str | None, Integers]],
    runs: dict[str, dict[int, Values]], rivals: dict[str, tuple[int, ...]], champion: str | None, family: int,
) -> Grouped:  # fmt: skip
    measure, lower = _measure(record, by)
    found = []
    for name, rows in sorted(members, key=lambda one: (-len(one[1]), one[0] or "")):
        scores = {
            arm: {seed: _score(record, by, name, run, rows) for seed, run in own.items()} for arm, own in runs.items()
        }
        means = {
            arm: Mean(float(np.mean(list(own.values()))), interval(list(own.values()))) for arm, own in scores.items()
        }
        differences: dict[str, Difference] = {}
        if champion in scores and len(rows) >= SMALL:
            differences = {
                rival: _difference([scores[champion][seed] - scores[rival][seed] for seed in seeds], family, lower)
                for rival, seeds in rivals.items()
            }
        found.append(Group(name, len(rows), means, differences))
    gaps = {arm: gap for arm in runs if (gap := _gap([one for one in found if not one.small], arm, lower))}
    return Grouped(by, measure, lower, tuple(found), gaps)


def _measure(record: dict[str, Any], by: str) -> tuple[str, bool]:
    """What the scores of a column's groups are, and whether lower ones are better."""
    kind = kind_of(record)
    if kind == "regression":
        return "mean absolute error", True
    if by == LABEL:
        return "recall", False
    return ("F1 of a document's labels" if kind == "multi" else "accuracy"), False


def _score(record: dict[str, Any], by: str, name: str | None, run: Values, rows: Integers) -> float:
    """The mean over some documents of one run."""
    kind, truth = kind_of(record), truth_of(record)[rows]
    own = run[rows]
    if kind == "regression":
        return float(np.abs(own - truth).mean())
    if kind == "single":
        return float(100 * (own == truth).mean())
    if by == LABEL:
        return float(100 * own[:, record["labels"].index(name)].mean())
    both, either = (own & truth).sum(axis=1), own.sum(axis=1) + truth.sum(axis=1)
    return float(100 * np.where(either > 0, 2 * both / np.maximum(either, 1), 1).mean())  # none and none said: right


def _difference(values: list[float], family: int, lower: bool) -> Difference:
    family_wise = interval(values, ERROR / family)
    assert family_wise is not None  # of two seeds or more
    turned = Interval(-family_wise.high, -family_wise.low) if lower else family_wise
    return Difference(float(np.mean(values)), family_wise, finding_of(turned))


def _gap(groups: list[Group], arm: str, lower: bool) -> Gap | None:
    if len(groups) < 2:
        return None
    ordered = sorted(groups, key=lambda one: one.scores[arm].value, reverse=not lower)
    best, worst = ordered[0], ordered[-1]
    return Gap(best.group, worst.group, abs(best.scores[arm].value - worst.scores[arm].value))
