"""Two races side by side, as a page and as rows."""

from typing import Any

from curator.race.statistics import METRICS, SharedArm, SideBySide, points, told
from curator.report.elements import Column, Markup, chip, join, section, table, tag
from curator.report.figures import between, count, plain
from curator.report.page import head

READING = (
    "Differences are the second race minus the first, in points, with an interval that holds for all arms together. "
    "Seed by seed, p speaks of other seeds and documents, and permuted of these very models on other documents; both "
    "are corrected for the number of arms. Without pairs interval and p are Welch's, over seeds alone."
)


def page(found: SideBySide) -> str:
    """One self-contained HTML page."""
    first, second = found.names
    title = f"{first} and {second}"
    body = tag(
        "body",
        tag("a", "Skip to the arms", href="#arms", class_="skip"),
        tag(
            "header",
            tag("p", "Two races side by side", class_="eyebrow"),
            tag("h1", title),
            *(
                tag("p", line, class_="verdict" if place == 1 else "description")
                for place, line in enumerate(told(found))
            ),
        ),
        tag("main", _arms(found), _settings(found)),
    )
    return f"<!doctype html>\n{tag('html', head(title), body, lang='en')}\n"


def rows(found: SideBySide) -> list[dict[str, Any]]:
    """One row per arm of both: ``arm, first, second`` (means), ``paired, seeds, difference, low, high, p, permuted,
    verdict``; ``seeds`` are those that are paired. Figures in points, unrounded, None where there is none.
    """
    return [
        {
            "arm": arm.name,
            "first": arm.first.mean,
            "second": arm.second.mean,
            "paired": arm.paired,
            "seeds": list(arm.seeds),
            "difference": arm.difference,
            "low": arm.interval and arm.interval.low,
            "high": arm.interval and arm.interval.high,
            "p": arm.p,
            "permuted": arm.permuted,
            "verdict": arm.finding,
        }
        for arm in found.arms
    ]


def _arms(found: SideBySide) -> Markup:
    first, second = found.names
    columns = [Column("Arm")]
    for name in (first, second):
        columns += [Column(text, True, name) for text in ("Seeds", METRICS[found.metric], "95 % interval")]
    columns += [Column("Paired"), *(Column(text, True, "Second − first") for text in ("Mean", "Family-wise"))]
    columns += [Column("p", True), Column("permuted", True), Column("The second is")]
    shown = table("Arms of both races, in points", columns, [_row(arm) for arm in found.arms], name="side-by-side")
    return section("arms", "Arms", shown, tag("p", READING, class_="note"))


def _row(arm: SharedArm) -> list[object]:
    cells: list[object] = [arm.name]
    for side in (arm.first, arm.second):
        cells += [count(len(side.seeds)), points(side.mean), between(side.interval)]
    paired = f"{len(arm.seeds)} seeds" if arm.paired else "no"
    chances = [
        "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}" for value in (arm.p, arm.permuted)
    ]
    return [
        *cells,
        paired,
        points(arm.difference, sign=True),
        between(arm.interval),
        *chances,
        chip(arm.finding, arm.finding),
    ]


def _settings(found: SideBySide) -> Markup:
    if not found.settings:
        return section("settings", "Settings", tag("p", "The recipes are the same."))
    cells = [[one.name, _shown(one.first), _shown(one.second)] for one in found.settings]
    columns = [Column("Setting"), Column(found.names[0]), Column(found.names[1])]
    return section("settings", "Settings", table("What differs in the recipes", columns, cells, name="differences"))


def _shown(value: Any) -> Markup:
    """A setting; lists of tables, as of stages, an item a line."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        lines = (", ".join(f"{key} = {plain(inner)}" for key, inner in item.items()) for item in value)
        return tag("ol", *(tag("li", line) for line in lines))
    return join([plain(value)])
