"""Two races side by side: what differs in their recipes, and what each arm that both have scored, second minus first.

Where both were measured on the same evaluation documents, with the same true labels, and an arm finished two seeds or
more in both, its runs are paired by seed: the difference has the t-interval of ``comparison``, a p-value for other
seeds and documents, and one by permutation for these very models. Otherwise scores are two independent samples, and
the interval and p-value are Welch's (1947), over seeds alone. Intervals are family-wise (Bonferroni) over the arms
compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import ttest_ind

from curator.errors import UsageError
from curator.race.statistics.checks import check
from curator.race.statistics.comparison import RESAMPLES, ArmScore, Finding, finding_of, scored
from curator.race.statistics.intervals import ERROR, Interval, interval, p_value, shared_variance
from curator.race.statistics.permutation import swapped
from curator.race.statistics.records import finished, kind_of, own_labels, truth_of
from curator.race.statistics.scoring import METRICS, resampled
from curator.race.statistics.wording import listed

Record = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """A setting that differs, by its dotted name; None where a recipe does not have it."""

    name: str
    first: Any
    second: Any


@dataclass(frozen=True)
class SharedArm:
    """One arm of both races. ``difference`` is second minus first, in points, over ``seeds`` that both finished.

    Without pairs (``paired`` False) over all seeds of each. ``interval`` is family-wise; ``p`` and ``permuted`` are
    corrected. None where there are too few seeds, or no pairs to swap.
    """

    first: ArmScore
    second: ArmScore
    paired: bool
    seeds: tuple[int, ...]
    difference: float | None
    interval: Interval | None
    p: float | None
    permuted: float | None
    finding: Finding  # of the second

    @property
    def name(self) -> str:
        return self.first.name


@dataclass(frozen=True)
class SideBySide:
    """``unpaired`` says why the races are not compared document by document; None where they are."""

    names: tuple[str, str]
    metric: str
    documents: tuple[int, int]
    unpaired: str | None
    settings: tuple[Setting, ...]
    arms: tuple[SharedArm, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def side_by_side(first: Record, second: Record, resamples: int = RESAMPLES) -> SideBySide:
    """Compare two race records. Raises UsageError for races of other kinds, metrics or labels, or without a common arm.

    Raises DataError for a record that contradicts itself.
    """
    check(first)
    check(second)
    _comparable(first, second)
    known = {arm["name"]: arm for arm in second["arms"]}
    shared = [arm["name"] for arm in first["arms"] if arm["name"] in known]
    if not shared:
        arms = (", ".join(arm["name"] for arm in record["arms"]) for record in (first, second))
        raise UsageError(f"the races have no arm in common: {' against '.join(arms)}")
    unpaired = _unpaired(first, second)
    return SideBySide(
        names=_names(first, second),
        metric=first["metric"],
        documents=(len(first["evaluation"]["ids"]), len(second["evaluation"]["ids"])),
        unpaired=unpaired,
        settings=tuple(_settings(first.get("recipe", {}), second.get("recipe", {}))),
        arms=tuple(_arms(first, second, shared, unpaired is None, resamples)),
        only_first=tuple(arm["name"] for arm in first["arms"] if arm["name"] not in known),
        only_second=tuple(name for name in known if name not in shared),
    )


def told(found: SideBySide) -> list[str]:
    """What there is to say in sentences: how the races were compared, and what was found of each arm."""
    first, second = found.names
    pairs, number = sum(arm.paired for arm in found.arms), len(found.arms)
    lines = [
        f"Not compared document by document: {found.unpaired}. Intervals are Welch's, over seeds alone."
        if found.unpaired
        else f"Compared on the same {found.documents[0]:,} evaluation documents, {pairs} of {number} arms seed by seed."
    ]
    words = {
        "better": f"{second} is better than {first} in",
        "worse": f"{second} is worse than {first} in",
        "indistinguishable": f"{second} is indistinguishable from {first} in",
        "undecided": "Fewer than 2 seeds, so that nothing is said, in",
    }
    for finding, said in words.items():
        names = [arm.name for arm in found.arms if arm.finding == finding]
        lines += [f"{said} {listed(names)}."] if names else []
    for name, own in ((first, found.only_first), (second, found.only_second)):
        lines += [f"Only in {name}: {', '.join(own)}."] if own else []
    return lines


def _names(first: Record, second: Record) -> tuple[str, str]:
    """What the races are called, two of the same name too."""
    one, other = first["name"], second["name"]
    return (one, other) if one != other else (f"{one} (first)", f"{other} (second)")


def _comparable(first: Record, second: Record) -> None:
    """Raises UsageError for two races whose scores are not of one kind."""
    kinds = kind_of(first), kind_of(second)
    if kinds[0] != kinds[1]:
        raise UsageError(f"the races are of tasks of different kinds, {kinds[0]} and {kinds[1]}: nothing to compare")
    metrics = first["metric"], second["metric"]
    if metrics[0] != metrics[1]:
        raise UsageError(
            f"the races have different metrics, {METRICS[metrics[0]]} and {METRICS[metrics[1]]}; run one of them again "
            f"with [race] metric = {metrics[0]!r} or {metrics[1]!r} in both"
        )
    labels = [
        [record["labels"][i] for i in own_labels(record) or range(len(record["labels"]))] for record in (first, second)
    ]
    if labels[0] != labels[1]:
        only = [sorted(set(one) - set(other)) for one, other in (labels, labels[::-1])]
        said = " and ".join(
            f"only {record['name']} has {', '.join(own[:5])}{', …' if len(own) > 5 else ''}"
            for record, own in zip((first, second), only, strict=True)
            if own
        )
        raise UsageError(f"the races have different labels: {said or 'they are in another order'}")


def _unpaired(first: Record, second: Record) -> str | None:
    """Why two races cannot be compared document by document, if they cannot."""
    one, other = first["evaluation"], second["evaluation"]
    if one["ids"] != other["ids"]:
        both = len(set(one["ids"]) & set(other["ids"]))
        return f"they were measured on different evaluation documents ({both:,} of {len(one['ids']):,} are in both)"
    if one["truth"] != other["truth"]:
        return "the evaluation documents have the same ids and other true labels"
    return None


def _settings(first: Any, second: Any, name: str = "") -> Iterator[Setting]:
    """What differs in two recipes, in the order of the first; lists, such as that of the stages, are compared whole."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in dict.fromkeys([*first, *second]):
            yield from _settings(first.get(key), second.get(key), f"{name}.{key}" if name else str(key))
    elif {type(first), type(second)} == {dict, type(None)}:  # a table that only one has
        yield from _settings(first or {}, second or {}, name)
    elif first != second and name != "name":
        yield Setting(name, first, second)


def _arms(first: Record, second: Record, shared: list[str], same: bool, resamples: int) -> Iterator[SharedArm]:
    """The arms of both; ``same``: they were measured on the same documents."""
    sides = [{name: finished(record, name) for name in shared} for record in (first, second)]
    scores = [
        {arm["name"]: scored(record, arm, runs[arm["name"]]) for arm in record["arms"] if arm["name"] in runs}
        for record, runs in zip((first, second), sides, strict=True)
    ]
    pairs = {name: sorted({*sides[0][name]} & {*sides[1][name]}) if same else [] for name in shared}
    family = sum(len(pairs[name]) > 1 or min(len(side[name].seeds) for side in scores) > 1 for name in shared)
    spread = (
        [resampled(record, runs, resamples) for record, runs in zip((first, second), sides, strict=True)]
        if same
        else []
    )
    widest = max((first, second), key=lambda record: len(record["labels"]))  # a race with a replay has more
    for name in shared:
        one, other = scores[0][name], scores[1][name]
        if len(pairs[name]) > 1:
            runs = [np.stack([side[name][seed] for seed in pairs[name]]) for side in sides]
            drawn = np.stack([spread[1][name, seed] - spread[0][name, seed] for seed in pairs[name]])
            by_swaps = swapped(widest, truth_of(first), runs[1], runs[0])
            yield _paired(one, other, pairs[name], family, documents=shared_variance(drawn), by_swaps=by_swaps)
        else:
            yield _welch(one, other, family)


def _paired(
    one: ArmScore, other: ArmScore, seeds: list[int], family: int, *, documents: float, by_swaps: float
) -> SharedArm:  # fmt: skip
    """Of runs that share a seed; ``documents`` is the variance that others bring, ``by_swaps`` the permutation's p."""
    by_seed = [dict(zip(side.seeds, side.scores, strict=True)) for side in (one, other)]
    values = np.array([by_seed[1][seed] - by_seed[0][seed] for seed in seeds])
    decisive = interval(values, ERROR / family)
    assert decisive is not None  # of two seeds or more
    mean, count = float(values.mean()), len(values)
    over_seeds = p_value(mean, float(values.var(ddof=1)) / count, documents, count - 1)
    p, permuted = (min(1.0, family * value) for value in (over_seeds, by_swaps))
    return SharedArm(one, other, True, tuple(seeds), mean, decisive, p, permuted, finding_of(decisive))


def _welch(one: ArmScore, other: ArmScore, family: int) -> SharedArm:
    """Of two independent samples of scores."""
    if min(len(one.scores), len(other.scores)) < 2:
        apart = None if one.mean is None or other.mean is None else other.mean - one.mean
        return SharedArm(one, other, False, (), apart, None, None, None, "undecided")
    values = [np.array(side.scores) for side in (other, one)]
    difference = float(values[0].mean() - values[1].mean())
    if all(np.ptp(side) == 0 for side in values):  # scores that no seed changes: there is no spread to judge by
        exact = Interval(difference, difference)
        return SharedArm(one, other, False, (), difference, exact, float(difference == 0), None, finding_of(exact))
    test = ttest_ind(*values, equal_var=False)
    bounds = test.confidence_interval(1 - ERROR / family)
    decisive = Interval(float(bounds.low), float(bounds.high))
    return SharedArm(
        one, other, False, (), difference, decisive, min(1.0, family * float(test.pvalue)), None, finding_of(decisive)
    )
