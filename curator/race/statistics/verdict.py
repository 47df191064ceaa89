"""The outcome of a race in one sentence."""

from curator.race.statistics.comparison import Comparison, Results
from curator.race.statistics.intervals import ERROR
from curator.race.statistics.scoring import METRICS
from curator.race.statistics.wording import listed, points


def verdict(results: Results) -> str:
    """The outcome in one plain sentence, generated from the figures alone."""
    smoke = f"Only a smoke test ({results.smoke}): " if results.smoke else ""
    failures = f"; {results.failed} of {results.runs} runs failed and are left out" if results.failed else ""
    decided = [comparison for comparison in results.comparisons if comparison.family]
    if not decided:
        return f"{smoke}{_undecided(results)}{failures}."
    subject = "the mix" if results.champion == "mix" else str(results.champion)
    words: list[str] = []
    seeds = 0  # said so far: repeated only where another comparison rests on fewer
    for finding, link in (("better", "than"), ("indistinguishable", "from"), ("worse", "than")):
        said = []
        for item in (comparison for comparison in decided if comparison.finding == finding):
            metric = "" if seeds else METRICS[results.metric]
            said.append(_clause(item, metric, len(item.seeds) if len(item.seeds) != seeds else 0))
            seeds = len(item.seeds)
        if said:
            words.append(f"is {finding} {listed([f'{link} {clause}' for clause in said])}")
    left = [comparison.arm for comparison in results.comparisons if not comparison.family]
    lone = f"; {listed(left)} shared fewer than 2 seeds with it, so nothing is said of that" if left else ""
    sentence = f"{smoke}{subject} {'; it '.join(words)}{lone}{failures}."
    return "The" + sentence[3:] if sentence.startswith("the mix ") else sentence


def _clause(item: Comparison, metric: str, seeds: int) -> str:
    """``random by 3.1 points of macro-F1 (95 % family-wise interval 0.9 to 5.3, 5 seeds)``; later ones are shorter."""
    assert item.family is not None
    bounds = f"{points(item.family.low)} to {points(item.family.high)}"
    unit = f" points of {metric}" if metric else ""
    if item.finding == "indistinguishable":
        bounds += unit
    inside = [f"95 % family-wise interval {bounds}" if metric else bounds, f"{seeds} seeds"][: 2 if seeds else 1]
    brackets = ", ".join(inside)
    if item.finding == "indistinguishable":
        power = f"this race could have detected {points(item.detectable)} points"
        if item.detectable is not None and item.detectable > 100:
            power = "this race was too small to detect any difference"
        return f"{item.arm} ({brackets}; {power})"
    if item.p_family is not None and item.p_family > ERROR:
        brackets += f"; with other evaluation documents it might not be, corrected p = {item.p_family:.2f}"
    return f"{item.arm} by {points(abs(item.difference or 0))}{unit} ({brackets})"


def _undecided(results: Results) -> str:
    """Why there is no verdict."""
    if results.champion is None:
        return "There is nothing to compare: no arm selects documents"
    if not results.arms[0].seeds:
        return f"There is nothing to compare: {results.champion} has no finished run"
    if not results.comparisons:
        return f"There is nothing to compare: {results.champion} is the only arm with a finished run"
    name, metric = results.champion, METRICS[results.metric]
    said = [
        f"{points(abs(item.difference))} {'more' if item.difference >= 0 else 'less'} than {item.arm}"
        for item in results.comparisons
        if item.difference is not None
    ]
    figures = f": {name} scored {listed(said)} points of {metric} on the seed they share" if said else ""
    return f"There is no verdict, because chance can only be judged from 2 shared seeds or more{figures}"
