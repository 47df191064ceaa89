"""The parts of the page about parts of the evaluation documents: without the contaminated ones, and by group."""

from typing import Any

from curator.race.statistics import METRICS, SMALL, Group, Grouped, Results, grouped, kind_of, points
from curator.report.elements import Column, Markup, chip, details, muted, section, table, tag
from curator.report.figures import between, count
from curator.report.material import Material

FIRST_ASKED = ("random-balanced", "target-only")  # the rival whose differences are shown without a click

CLEAN_HEAD = ("Arm", "All", "Without", "Champion − arm, all", "Without", "Verdict, all", "Without")


def contaminated(material: Material) -> Markup | None:
    """Scores and verdicts without the evaluation documents an arm may have learnt; None where none were looked for."""
    results = material.results
    if results.contaminated is None:
        return None
    columns = [Column(name, 0 < place < 5) for place, name in enumerate(CLEAN_HEAD)]
    rows = clean_rows(results)
    cells = [[*row[:5], *(chip(word, word) if word else "" for word in row[5:])] for row in rows]
    caption = f"{METRICS[results.metric]} on all evaluation documents, and without the contaminated ones, in points"
    return section(
        "contaminated",
        "Contaminated documents",
        tag("p", said_of_copies(results), class_="note"),
        table(caption, columns, cells, name="without-contaminated") if rows else None,
    )


def said_of_copies(results: Results) -> str:
    """What the contaminated documents are, and how many."""
    number = results.contaminated
    if not number:
        return "No evaluation document has a copy, or a near one, in the pool or in the target's file."
    are = "evaluation document has" if number == 1 else "evaluation documents have"
    told = (
        f"{count(number)} {are} a copy, or a near one, in the pool or in the target's file, by the rules of "
        "decontamination. Where that is on no arm trains on the copies in the pool; those in the target train all arms."
    )
    return told if results.clean else f"{told} No other document is left to measure on."


def clean_rows(results: Results) -> list[list[str]]:
    """Texts in the order of CLEAN_HEAD, one row for each arm."""
    if results.clean is None:
        return []
    means = {arm.name: arm.mean for arm in results.clean.arms}
    before, after = ({one.arm: one for one in side.comparisons} for side in (results, results.clean))
    rows = []
    for arm in results.arms:
        both = [side.get(arm.name) for side in (before, after)]
        differences = [points(one.difference, sign=True) if one else "" for one in both]
        findings = [str(one.finding) if one else "" for one in both]
        rows.append([arm.name, points(arm.mean), points(means[arm.name]), *differences, *findings])
    return rows


def groups(material: Material) -> Markup | None:
    """Scores by group, the gaps and the champion against a rival; None where no arm finished a run."""
    record, results = material.record, material.results
    if results.champion is None or not results.arms[0].seeds:
        return None
    columns = [column for column in grouped(record, results) if column.groups]
    if not columns:
        return None
    return section(
        "groups",
        "Groups",
        *(_of_column(place, column, results, record) for place, column in enumerate(columns)),
        tag("p", _reading(columns, results), class_="note"),
    )


def _of_column(place: int, column: Grouped, results: Results, record: dict[str, Any]) -> Markup:
    """One column: the champion and its first rival, the gaps, and behind a click every other arm."""
    unit = "in the unit of the labels" if kind_of(record) == "regression" else "in points"
    what = f"{column.measure[0].upper()}{column.measure[1:]} by {column.by}, {unit}"
    rivals = [arm.name for arm in results.arms[1:] if arm.seeds]
    first = next((name for name in FIRST_ASKED if name in rivals), rivals[0] if rivals else None)
    others = [name for name in rivals if name != first]
    champion = str(results.champion)
    name = f"groups-{place}"
    parts = [
        _table(what, column, champion, [first] if first else [], name),
        _gaps(column, f"gaps-{place}"),
    ]
    if others:
        rest = _table(f"{what}: the other arms", column, champion, others, f"{name}-others", own=False)
        parts.append(details(f"The other {len(others)} arms by {column.by}", rest))
    return tag("div", tag("h3", f"By {column.by}"), *parts)


def _table(
    caption: str, column: Grouped, champion: str, rivals: list[str], name: str, *, own: bool = True
) -> Markup:  # fmt: skip
    """A row for each group: the champion's ``own`` scores, and those of some rivals with the differences to them."""
    head = [Column("Group"), Column("Documents", True)]
    head += [Column(text, True, champion) for text in ("Mean", "95 % interval")] if own else []
    for rival in rivals:
        head += [Column(text, True, rival) for text in ("Mean", f"{champion} − arm", "Family-wise")]
        head.append(Column(f"{champion} is", group=rival))
    return table(caption, head, [_row(one, champion if own else None, rivals) for one in column.groups], name=name)


def _row(one: Group, champion: str | None, rivals: list[str]) -> list[object]:
    name = tag("span", "none" if one.group is None else one.group, muted(" too small") if one.small else None)
    row: list[object] = [name, count(one.documents)]
    if champion:
        row += [points(one.scores[champion].value), between(one.scores[champion].interval)]
    for rival in rivals:
        row.append(points(one.scores[rival].value))
        told = one.differences.get(rival)
        row += (
            [points(told.value, sign=True), between(told.family), chip(told.finding, told.finding)]
            if told
            else ["", "", ""]
        )
    return row


def _gaps(column: Grouped, name: str) -> Markup | None:
    if not column.gaps:
        return None
    head = [Column("Arm"), Column("Best group"), Column("Worst group"), Column("Gap", True)]
    rows = [
        [arm, *("none" if name is None else name for name in (gap.best, gap.worst)), points(gap.points)]
        for arm, gap in column.gaps.items()
    ]
    return table(f"Gap between the best and the worst group by {column.by}", head, rows, name=name)


def _reading(columns: list[Grouped], results: Results) -> str:
    compared = sum(not one.small for column in columns for one in column.groups)
    macro = " Macro-F1 is not shown: within a group it depends on which labels are in it."
    turned = " Of errors less is better, and so is a negative difference." if columns[0].lower_is_better else ""
    return (
        f"Means are over seeds and over the documents of a group; {results.champion} minus an arm has an interval that "
        f"holds for all {compared} groups together, of that arm alone.{turned} Groups of fewer than {SMALL} documents "
        f"are too small to be compared.{macro if results.metric == 'macro_f1' else ''}"
    )
