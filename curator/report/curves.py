"""The report of learning curves: every point's verdict, the curves, and their figures. Pure."""

from typing import Any

from curator.markdown import escape
from curator.markdown import table as markdown_table
from curator.race.learning import At, curves
from curator.race.statistics import METRICS, analyse, points, verdict
from curator.report import charts
from curator.report.elements import Column, Markup, figure, section, table, tag
from curator.report.figures import between, count, moment, title

HEAD = ("Arm", "Shots", "Budget", "Seeds", "Mean", "95 % interval")
READING = (
    "Means over seeds with t-intervals at 95 %, each by itself; which arm is better is decided at each point, by that "
    "race's own family-wise intervals. All points share the evaluation documents."
)

Races = list[dict[str, Any]]


def body(record: dict[str, Any], races: Races) -> list[Markup]:
    """The page, from its head to its last section. Raises DataError for records that do not belong together."""
    found, metric = curves(record, races), METRICS[record["metric"]]
    drawn = [
        figure(charts.learning(own, along, metric), f"{name}Mean and 95 % interval of each arm over seeds.")
        for name, along, own in _charted(found)
    ]
    shown = table(f"In points of {metric}", _columns(), rows(found), name="curve-table")
    head = tag(
        "header",
        tag("p", f"Curves · {moment(record['started'])}", class_="eyebrow"),
        tag("h1", title(record)),
        tag("p", record["description"], class_="description") if record["description"] else None,
    )
    said = section("verdicts", "At each point", tag("ul", *(tag("li", line) for line in verdicts(record, races))))
    figures = tag("div", *drawn, class_="figures")
    learnt = section("curves", "Learning curves", figures, shown, tag("p", READING, class_="note"))
    return [head, tag("main", said, learnt)]


def markdown(record: dict[str, Any], races: Races) -> str:
    """The same as GitHub-flavoured markdown."""
    lines = [f"- {escape(line)}" for line in verdicts(record, races)]
    shown = markdown_table(list(HEAD), rows(curves(record, races)), text=(0,))
    blocks = [f"# {escape(title(record))}", escape(record["description"]), "\n".join(lines), shown, READING]
    return "\n\n".join(block for block in blocks if block) + "\n"


def verdicts(record: dict[str, Any], races: Races) -> list[str]:
    """The sentence of each point, behind what the point is."""
    return [f"{point['name']}: {verdict(analyse(race))}" for point, race in zip(record["points"], races, strict=True)]


def rows(found: list[At]) -> list[list[str]]:
    """Texts in the order of HEAD."""
    return [
        [one.arm, count(one.shots), count(one.budget), str(one.seeds), points(one.mean), between(one.interval)]
        for one in found
    ]


def _columns() -> list[Column]:
    return [Column(name, number > 0) for number, name in enumerate(HEAD)]


def _charted(found: list[At]) -> list[tuple[str, str, list[At]]]:
    """What each chart is of, what it goes along, and its rows. Where both vary, along the shots for each budget."""
    shots, budgets = {one.shots for one in found}, {one.budget for one in found}
    if len(shots) < 2 and budgets != {None}:
        return [("", "budget", found)]
    named = sorted(budgets, key=lambda budget: budget or 0)
    parts = [(f"Budget {budget:,}. " if budget else "", budget) for budget in named]
    return [(name, "shots", [one for one in found if one.budget == budget]) for name, budget in parts]
