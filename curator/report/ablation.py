"""What each stage and each source of a mix earned: the mix minus what it would be without it."""

from curator.race.statistics import METRICS, Comparison, Results, points
from curator.recipe import WITHOUT_SOURCE, WITHOUT_STAGE
from curator.report.elements import Column, Markup, section, table, tag
from curator.report.figures import between
from curator.report.material import Material

HEAD = ("Without", "Stage or source", "Score without", "Mix − without", "95 % interval", "95 % family-wise", "Said")
PARTS = {WITHOUT_STAGE: "stage", WITHOUT_SOURCE: "source"}
SAID = {
    "better": "earned its place",
    "worse": "cost points",
    "indistinguishable": "no difference that this race could tell",
    "undecided": "undecided",
}
READING = (
    "Each row is the recipe's stages without that one, or its pool without that source, drawn down at random to as "
    "many documents as the mix has. The family-wise interval, corrected for the number of parts, decides. "
    "Parts that do the same work hide each other: without either of them nothing is lost."
)


def rows(results: Results) -> list[list[str]]:
    """Texts in the order of HEAD, a row for each part that the mix was raced without; none where there was none."""
    means = {arm.name: arm.mean for arm in results.arms}
    return [_row(*found, one, means[one.arm]) for one in results.comparisons if (found := _part(one.arm))]


def section_of(material: Material) -> Markup | None:
    """The part of the page; None without an ablation."""
    found, results = rows(material.results), material.results
    if not found:
        return None
    columns = [Column(name, 1 < number < 6) for number, name in enumerate(HEAD)]
    caption = f"What each part of the mix earned, in points of {METRICS[results.metric]}"
    shown = table(caption, columns, found, name="ablation")
    return section("ablation", "What each part earned", shown, tag("p", READING, class_="note"))


def _part(arm: str) -> tuple[str, str] | None:
    """The name of what an arm does without, and whether it is a stage or a source."""
    return next(((arm.removeprefix(prefix), what) for prefix, what in PARTS.items() if arm.startswith(prefix)), None)


def _row(name: str, what: str, one: Comparison, mean: float | None) -> list[str]:
    earned = points(one.difference, sign=True)
    return [name, what, points(mean), earned, between(one.nominal), between(one.family), SAID[one.finding]]
