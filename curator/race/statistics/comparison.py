"""The scores of a race by arm, and the champion against every other."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from curator.race.statistics.checks import check
from curator.race.statistics.intervals import ERROR, Interval, detectable, interval, p_value, shared_variance
from curator.race.statistics.records import Floats, Values, finished, without
from curator.race.statistics.scoring import resampled, score_of
from curator.recipe import role_of

Finding = Literal["better", "worse", "indistinguishable", "undecided"]
RESAMPLES = 1000


@dataclass(frozen=True)
class ArmScore:
    """One arm's finished runs, by seed. ``mean``, ``sd``, ``interval`` in points; None where there are too few."""

    name: str
    description: str
    selecting: bool
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    documents: tuple[int, ...]
    failed: int
    mean: float | None
    sd: float | None
    interval: Interval | None  # 95 %, over seeds


@dataclass(frozen=True)
class Comparison:
    """Champion minus ``arm`` over the seeds both finished, in points; None where there are fewer than 2 seeds."""

    arm: str
    seeds: tuple[int, ...]
    difference: float | None
    sd: float | None
    nominal: Interval | None  # 95 % for this comparison alone
    family: Interval | None  # 95 % for all comparisons together
    p: float | None  # over other seeds and documents
    p_family: float | None  # p × comparisons, at most 1
    detectable: float | None  # at 80 % power and the family-wise level
    finding: Finding


@dataclass(frozen=True)
class Results:
    """Everything a verdict rests on. The champion comes first among ``arms``; ``comparisons`` follow their order."""

    metric: str
    smoke: str | None
    champion: str | None
    arms: tuple[ArmScore, ...]
    comparisons: tuple[Comparison, ...]
    runs: int
    failed: int
    contaminated: int | None  # evaluation documents that an arm may have learnt; None where none were looked for
    clean: "Results | None"  # the same without these; None where there are none, or no others


def analyse(record: dict[str, Any], resamples: int = RESAMPLES) -> Results:
    """Every score and comparison of a race record; without ``resamples`` no p-values.

    Raises DataError for a record that contradicts itself.
    """
    check(record)
    copies = record["evaluation"].get("contaminated")
    some = copies and len(copies) < len(record["evaluation"]["truth"])
    clean = _analysed(without(record, copies), resamples) if some else None
    found = _analysed(record, resamples)
    return replace(found, contaminated=None if copies is None else len(copies), clean=clean)


def _analysed(record: dict[str, Any], resamples: int) -> Results:
    champion = champion_of(record)
    runs = {arm["name"]: finished(record, arm["name"]) for arm in record["arms"]}
    ordered = sorted(record["arms"], key=lambda arm: arm["name"] != champion)  # stable: champion, then as recorded
    arms = tuple(scored(record, arm, runs[arm["name"]]) for arm in ordered)
    comparisons: tuple[Comparison, ...] = ()
    if champion and runs[champion]:
        rivals = [arm for arm in arms if arm.name != champion and arm.seeds]
        shared = {rival.name: tuple(sorted({*arms[0].seeds} & {*rival.seeds})) for rival in rivals}
        families = Counter(role_of(name) for name, seeds in shared.items() if len(seeds) > 1)
        spread = resampled(record, runs, resamples) if families and resamples else {}
        comparisons = tuple(
            _compare(arms[0], rival, shared[rival.name], families[role_of(rival.name)], spread) for rival in rivals
        )
    failed = sum(run["error"] is not None for run in record["runs"])
    return Results(
        record["metric"], record["smoke"], champion, arms, comparisons, len(record["runs"]), failed, None, None
    )


def champion_of(record: dict[str, Any]) -> str | None:
    """The arm that the others are compared with: the mix, else the first that selects."""
    names = [arm["name"] for arm in record["arms"]]
    return "mix" if "mix" in names else next((arm["name"] for arm in record["arms"] if arm["selecting"]), None)


def scored(record: dict[str, Any], arm: dict[str, Any], runs: dict[int, Values]) -> ArmScore:
    """The scores of an arm, as the record names it, from its finished runs."""
    own = [run for run in record["runs"] if run["arm"] == arm["name"]]
    scores = [score_of(record, run) for run in runs.values()]
    documents = {run["seed"]: int(run["documents"]) for run in own}
    return ArmScore(
        name=arm["name"],
        description=arm["description"],
        selecting=arm["selecting"],
        seeds=tuple(runs),
        scores=tuple(scores),
        documents=tuple(documents[seed] for seed in runs),
        failed=len(own) - len(runs),
        mean=float(np.mean(scores)) if scores else None,
        sd=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        interval=interval(scores),
    )


def _compare(
    champion: ArmScore, rival: ArmScore, seeds: tuple[int, ...], family: int, spread: dict[tuple[str, int], Floats]
) -> Comparison:
    ours, theirs = (
        dict(zip(champion.seeds, champion.scores, strict=True)),
        dict(zip(rival.seeds, rival.scores, strict=True)),
    )
    values = np.array([ours[seed] - theirs[seed] for seed in seeds])
    mean = float(values.mean()) if seeds else None
    if mean is None or len(seeds) < 2:
        return Comparison(rival.name, seeds, mean, None, None, None, None, None, None, "undecided")
    sd = float(values.std(ddof=1))
    decisive = interval(values, ERROR / family)
    assert decisive is not None
    p = None
    if spread:
        shared = shared_variance(np.stack([spread[champion.name, seed] - spread[rival.name, seed] for seed in seeds]))
        p = p_value(mean, sd**2 / len(seeds), shared, len(seeds) - 1)
    return Comparison(
        arm=rival.name,
        seeds=seeds,
        difference=mean,
        sd=sd,
        nominal=interval(values),
        family=decisive,
        p=p,
        p_family=None if p is None else min(1.0, family * p),
        detectable=detectable(sd, len(seeds), family),
        finding=finding_of(decisive),
    )


def finding_of(decisive: Interval) -> Finding:
    """What an interval of a difference says of the first of the two."""
    tiny = 1e-9  # equal scores may differ in the last bit
    if decisive.low > tiny:
        return "better"
    return "worse" if decisive.high < -tiny else "indistinguishable"
