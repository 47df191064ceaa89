"""The outcome of a race in one sentence.

Up to ``FEW`` comparisons each is told with its figures. Of more, those that a reader asks for first are: the random
balanced choice, the target alone and the strongest rival; the others are named or counted under their finding, and
their figures are in the table. Ablations are not in it: they say what a part is worth, not whether the mix is. A
control is, where the mix is no better than it.
"""

from dataclasses import dataclass

from curator.race.statistics.comparison import Comparison, Finding, Results
from curator.race.statistics.intervals import ERROR
from curator.race.statistics.scoring import METRICS
from curator.race.statistics.wording import listed, points
from curator.recipe import role_of

FEW = 4
FIRST_ASKED = ("random-balanced", "target-only")
NAMED = 3  # arms, of which more are counted
FINDINGS: tuple[tuple[Finding, str], ...] = (("better", "than"), ("indistinguishable", "from"), ("worse", "than"))


def verdict(results: Results) -> str:
    """The outcome in one plain sentence, generated from the figures alone."""
    smoke = f"Only a smoke test ({results.smoke}): " if results.smoke else ""
    failures = f"; {results.failed} of {results.runs} runs failed and are left out" if results.failed else ""
    decided = _decided(results)
    if not decided:
        return f"{smoke}{_undecided(results)}{failures}."
    subject = "the mix" if results.champion == "mix" else str(results.champion)
    words, told = [], _Told(METRICS[results.metric])
    told_whole = _told_whole(results, decided)
    for finding, link in FINDINGS:
        own = [comparison for comparison in decided if comparison.finding == finding]
        said = [f"{link} {told.clause(item)}" for item in own if item.arm in told_whole]
        others = [item for item in own if item.arm not in told_whole]
        if others:
            said.append(f"{link} {_others(others, alone=not said)}")
        if said:
            words.append(f"is {finding} {listed(said)}")
    left = [comparison.arm for comparison in results.comparisons if not comparison.family and _is_rival(comparison)]
    lone = f"; {_named(left)} shared fewer than 2 seeds with it, so nothing is said of that" if left else ""
    after = f"{lone}{_controls(results)}{_without_copies(results)}{failures}"
    sentence = f"{smoke}{subject} {'; it '.join(words)}{after}."
    return "The" + sentence[3:] if sentence.startswith("the mix ") else sentence


@dataclass
class _Told:
    """Writes comparisons one after the other: what was said of one is not said of the next."""

    metric: str
    seeds: int = 0  # of the one before; repeated only where another comparison rests on fewer

    def clause(self, item: Comparison) -> str:
        """``random by 3.1 points of macro-F1 (95 % family-wise interval 0.9 to 5.3, 5 seeds)``; later ones shorter."""
        assert item.family is not None
        first, fewer = not self.seeds, len(item.seeds) != self.seeds
        self.seeds = len(item.seeds)
        unit = f" points of {self.metric}" if first else ""
        bounds = f"{points(item.family.low)} to {points(item.family.high)}"
        if item.finding == "indistinguishable":
            bounds += unit
        brackets = (f"95 % family-wise interval {bounds}" if first else bounds) + (
            f", {self.seeds} seeds" if fewer else ""
        )
        if item.finding == "indistinguishable":
            power = f"this race could have detected {points(item.detectable)} points"
            if item.detectable is not None and item.detectable > 100:
                power = "this race was too small to detect any difference"
            return f"{item.arm} ({brackets}; {power})"
        if _is_doubted(item):
            brackets += f"; with other evaluation documents it might not be, corrected p = {item.p_family:.2f}"
        return f"{item.arm} by {points(abs(item.difference or 0))}{unit} ({brackets})"


def _decided(results: Results) -> list[Comparison]:
    """The comparisons that the sentence is about: with rivals, or with whatever there is where there are none."""
    known = [comparison for comparison in results.comparisons if comparison.family]
    return [comparison for comparison in known if _is_rival(comparison)] or known


def _is_rival(comparison: Comparison) -> bool:
    return role_of(comparison.arm) == "rival"


def _controls(results: Results) -> str:
    """Controls that the mix is no better than, beside rivals: what it is worth may not be what it was chosen by."""
    if not any(_is_rival(comparison) and comparison.family for comparison in results.comparisons):
        return ""
    known = [item for item in results.comparisons if role_of(item.arm) == "control" and item.family]
    equal = [item.arm for item in known if item.finding != "better"]
    which = "control" if len(equal) == 1 else "controls"
    return f"; it is no better than the {which} {listed(equal)}" if equal else ""


def _is_doubted(item: Comparison) -> bool:
    """Whether it was found over seeds and might not be there in other documents."""
    return item.finding != "indistinguishable" and item.p_family is not None and item.p_family > ERROR


def _told_whole(results: Results, decided: list[Comparison]) -> set[str]:
    """The arms whose comparisons are told with their figures."""
    if len(decided) <= FEW:
        return {item.arm for item in decided}
    means = {arm.name: arm.mean for arm in results.arms}
    strongest = max(decided, key=lambda item: means[item.arm] or 0.0)
    return {strongest.arm, *FIRST_ASKED}


def _others(items: list[Comparison], *, alone: bool) -> str:
    """Those of one finding whose figures are left to the table; ``alone``: no arm of this finding was told before."""
    doubted = sum(map(_is_doubted, items))
    doubt = ""
    if doubted:
        which = "it" if len(items) == 1 else "all of these" if doubted == len(items) else f"{doubted} of these"
        doubt = f" (with other evaluation documents {which} might not be)"
    names = [item.arm for item in items]
    told = listed(names) if len(names) <= NAMED else f"{len(names)} {'arms' if alone else 'other arms'}"
    return told + doubt


def _named(names: list[str]) -> str:
    return listed(names) if len(names) <= NAMED else f"{len(names)} arms"


def _without_copies(results: Results) -> str:
    """What changes where the evaluation documents that an arm may have learnt are left out."""
    if results.clean is None:
        return ""
    before = {item.arm: item.finding for item in results.comparisons}
    rivals = filter(_is_rival, results.clean.comparisons)
    changed = [item for item in rivals if item.finding != before[item.arm]]
    said = [
        f"{finding} {link} {_named([item.arm for item in changed if item.finding == finding])}"
        for finding, link in FINDINGS
        if any(item.finding == finding for item in changed)
    ]
    if not said:
        return ""
    number = results.contaminated
    what = (
        "evaluation document of which there is a copy"
        if number == 1
        else "evaluation documents of which there are copies"
    )
    return f"; without the {number} {what} in the pool or the target it is {listed(said)}"


def _undecided(results: Results) -> str:
    """Why there is no verdict."""
    if results.champion is None:
        return "There is nothing to compare: no arm selects documents"
    if not results.arms[0].seeds:
        return f"There is nothing to compare: {results.champion} has no finished run"
    if not results.comparisons:
        return f"There is nothing to compare: {results.champion} is the only arm with a finished run"
    name, metric = results.champion, METRICS[results.metric]
    known = [item for item in results.comparisons if item.difference is not None and _is_rival(item)]
    shown = _told_whole(results, known) if known else set()
    said = [_by_how_much(item) for item in known if item.arm in shown]
    rest = f" ({len(known) - len(said)} other arms are in the table)" if len(said) < len(known) else ""
    figures = f": {name} scored {listed(said)} points of {metric} on the seed they share{rest}" if said else ""
    return f"There is no verdict, because chance can only be judged from 2 shared seeds or more{figures}"


def _by_how_much(item: Comparison) -> str:
    assert item.difference is not None
    return f"{points(abs(item.difference))} {'more' if item.difference >= 0 else 'less'} than {item.arm}"
