"""The parts of the page about the mix: composition, scores, funnel, examples, decontamination."""

from collections.abc import Sequence
from typing import Any

from curator.mix import told
from curator.report import charts
from curator.report.checks import problems
from curator.report.elements import (
    Column,
    Markup,
    chip,
    details,
    facts,
    figure,
    join,
    muted,
    notice,
    section,
    table,
    tag,
)
from curator.report.figures import count, duration, moment, number, share
from curator.report.material import Material
from curator.report.threshold_charts import movable

COLUMNS = 8  # labels, up to which the composition has a column each
MOVING = (
    "Where a threshold alone decides, it can be moved: how many the stage would keep is counted in the whole ledger. "
    "Nothing is run again: what the stage holds against other documents stays as it was found, and later stages do not "
    "follow. Blue is kept, grey is dropped."
)
EXCERPT = 420  # characters of an example shown before the rest is folded away


def warnings(mix: dict[str, Any]) -> Markup | None:
    """What was cut, skipped or estimated while the mix was built."""
    if not mix["warnings"]:
        return None
    items = tag("ul", *(tag("li", warning) for warning in mix["warnings"]))
    return tag("div", tag("p", "Warnings while the mix was built:"), items, class_="notice warning", role="note")


def composition(mix: dict[str, Any]) -> Markup:
    """Source × label, as a chart and as a table with what the pool had."""
    rows = mix["composition"]
    lead = tag(
        "p",
        tag("b", count(mix["documents"])),
        f" of the pool’s {count(mix['pool'])} documents ({share(mix['documents'], mix['pool'])}). ",
        f"Mix {mix['name']}, seed {mix['seed']}, built {moment(mix['created'])}, digest ",
        tag("code", mix["digest"]),
        ".",
    )
    if not rows:
        return section("composition", "What the mix is made of", lead)
    caption = "Documents of the mix by source" + (
        " and label." if len({row["label"] for row in rows}) <= COLUMNS else "."
    )
    chart = tag("div", figure(charts.composition(rows), caption), class_="figures single")
    return section("composition", "What the mix is made of", lead, chart, _composition_table(rows))


def distributions(material: Material) -> Markup | None:
    """A histogram for each stage that scores; where the look says what other thresholds keep, one that can be moved."""
    if material.mix is None:
        return None
    drawn = [row for row in material.mix["distributions"] if row["bins"]]
    moving = {row["stage"]: row for row in (material.look or {}).get("thresholds", ())}
    stages = list(dict.fromkeys([*(row["stage"] for row in drawn), *moving]))
    if not stages:
        return None
    still = {row["stage"]: row for row in drawn}
    figures = [
        movable(moving[stage], place) if stage in moving else _still(still[stage]) for place, stage in enumerate(stages)
    ]
    said = tag("p", MOVING, class_="note") if moving else None
    bins = [_bins(row) for row in drawn]
    tables = details("The figures behind the charts", *bins, class_="unprinted") if bins else None
    return section("scores", "Scores at each stage", said, tag("div", *figures, class_="figures"), tables)


def _still(row: dict[str, Any]) -> Markup:
    threshold = "" if row["threshold"] is None else f", threshold {number(row['threshold'])} (dashed)"
    return tag("figure", tag("figcaption", tag("b", row["stage"]), threshold), charts.distribution(row))


def funnel(mix: dict[str, Any]) -> Markup:
    """Stage by stage, with the rules that decided; counts that do not add up are shown above it."""
    rows = mix["funnel"]
    found = problems(mix)
    if not found:
        checked = tag("p", f"The counts add up: {_sum(mix)}.", class_="note")
    else:
        items = tag("ul", *(tag("li", f"{problem}.") for problem in found))
        lead = tag("p", "The counts do not add up. Do not rely on them; this is a defect of the mix or of its record:")
        checked = tag("div", lead, items, class_="notice error", role="alert")
    chart = tag(
        "div", figure(charts.funnel(rows), "Documents that each stage kept and dropped."), class_="figures single"
    )
    return section("funnel", "The funnel", checked, chart if rows else None, _funnel_table(mix), _decided(mix))


def examples(mix: dict[str, Any]) -> Markup | None:
    """Documents kept and dropped, with what decided."""
    if not mix.get("examples"):  # newer records hold no text
        return None
    groups = []
    for keep, title in ((True, "Kept"), (False, "Dropped")):
        cards = [_example(example) for example in mix["examples"] if example["keep"] is keep]
        if cards:
            groups.append(tag("div", tag("h3", f"{title} ", muted(count(len(cards)))), *cards, class_="cards"))
    return section("documents", "Examples and their reasons", tag("div", *groups, class_="examples"))


def decontamination(mix: dict[str, Any]) -> Markup:
    """How many pool documents were kept out because they are too close to test or dev, and what was looked for."""
    found, coverage = mix["decontamination"], mix.get("coverage", [])
    total = sum(row["documents"] for row in found)
    if not found and not coverage:
        said: Markup = notice("warning", "No decontamination is recorded for this mix.")
        return section("decontamination", "Decontamination", said)
    layers = [row["layer"] for row in coverage if any(row["layer"] in source for source in found)]
    layers += ["words"] if layers else []
    columns = [Column("Source"), Column("Documents kept out", True), *(Column(f"by {name}", True) for name in layers)]
    rows = [[row["source"], count(row["documents"]), *(count(row[name]) for name in layers)] for row in found]
    checked = ", ".join(f"{share(row['checked'], row['documents'])} by {row['layer']}" for row in coverage)
    return section(
        "decontamination",
        "Decontamination",
        tag(
            "p",
            f"{count(total)} pool documents were kept out of every arm as equal or close to evaluation documents.",
            f" Of the test documents, these could be looked for: {checked}." if checked else None,
        ),
        table("Documents kept out, by source and layer; one may be found by several", columns, rows) if rows else None,
    )


def affected(mix: dict[str, Any]) -> Markup | None:
    """Groups of which a stage dropped another share than of the rest."""
    found = mix.get("affected", [])
    if not found:
        return None
    columns = [Column("Stage"), Column("By"), Column("Group")]
    columns += [Column(title, True) for title in ("Seen", "Dropped", "Share", "95 % interval", "Of all others")]
    rows = [
        [
            row["stage"],
            row["by"],
            muted("none") if row["group"] is None else row["group"],
            count(row["seen"]),
            count(row["dropped"]),
            f"{row['share']:.1%}",
            f"{row['low']:.1%} to {row['high']:.1%}",
            f"{row['others']:.1%}",
        ]
        for row in found
    ]
    lead = tag(
        "p",
        "Sources and labels of which a stage dropped a larger or smaller share than of everything else, beyond what "
        "chance explains. That may be what the stage is for; it may also be a bias.",
    )
    return section("affected", "Whom the stages drop", lead, table("Shares dropped of each group", columns, rows))


def _composition_table(rows: Sequence[dict[str, Any]]) -> Markup:
    labels = list(dict.fromkeys(row["label"] for row in rows))
    sources = list(dict.fromkeys(row["source"] for row in rows))
    cells = {(row["source"], row["label"]): row for row in rows}
    total = sum(row["documents"] for row in rows)
    if len(labels) > COLUMNS:
        long = [
            [
                row["source"],
                _label(row["label"]),
                count(row["documents"]),
                count(row["of"]),
                share(row["documents"], total),
            ]
            for row in sorted(rows, key=lambda row: -row["documents"])
        ]
        heads = [
            Column("Source"),
            Column("Label"),
            *(Column(c, True) for c in ("In the mix", "In the pool", "Of the mix")),
        ]
        return details(
            "By source and label", table("Documents by source and label", heads, long, name="composition-table")
        )
    columns = [Column("Source"), *(Column(_label(label), True, "In the mix, of the pool’s") for label in labels)]
    columns += [Column("All", True), Column("Of the mix", True)]
    body: list[Sequence[object]] = []
    for source in [*sources, None]:
        members = [row for row in rows if source in (None, row["source"])]
        columns_of = [
            [cells[s, label] for s in sources if (s, label) in cells and source in (None, s)] for label in labels
        ]
        body.append(
            [
                "All sources" if source is None else source,
                *(_part(group) for group in columns_of),
                _part(members),
                share(sum(row["documents"] for row in members), total),
            ]
        )
    classes = [None] * len(sources) + ["total"]
    return table("Documents by source and label", columns, body, classes, name="composition-table")


def _part(rows: Sequence[dict[str, Any]]) -> Markup | str:
    if not rows:
        return "–"
    return tag("span", count(sum(r["documents"] for r in rows)), muted(f" / {count(sum(r['of'] for r in rows))}"))


def _label(label: str | None) -> str:
    return "(no label)" if label is None else label


def _bins(row: dict[str, Any]) -> Markup:
    columns = [Column("From", True), Column("to", True), Column("Kept", True), Column("Dropped", True)]
    rows = [[number(b["low"]), number(b["high"]), count(b["kept"]), count(b["dropped"])] for b in row["bins"]]
    return table(f"Scores at stage {row['stage']}", columns, rows)


def _sum(mix: dict[str, Any]) -> str:
    """``2,000 kept + 100 dropped by a + … = 10,000 in the pool``."""
    dropped = [f"{count(row['dropped'])} dropped by {row['stage']}" for row in mix["funnel"]]
    return " + ".join([f"{count(mix['documents'])} kept", *dropped]) + f" = {count(mix['pool'])} in the pool"


def _funnel_table(mix: dict[str, Any]) -> Markup:
    columns = [Column("Stage"), Column("Rule")]
    columns += [Column(title, True) for title in ("Seen", "Kept", "Dropped", "Kept of seen", "Time")]
    rows: list[Sequence[object]] = []
    classes: list[str | None] = []
    for row in mix["funnel"]:
        figures = [count(row["seen"]), count(row["kept"]), count(row["dropped"]), share(row["kept"], row["seen"])]
        rows.append([row["stage"], "", *figures, duration(row["seconds"])])
        classes.append("stage")
        for rule in row["rules"]:
            kept, dropped = (count(rule["documents"]), "") if rule["keep"] else ("", count(rule["documents"]))
            rows.append(["", rule["rule"], "", kept, dropped, "", ""])
            classes.append("rule")
    return table(
        f"From the pool’s {count(mix['pool'])} documents to the mix", columns, rows, classes, name="funnel-table"
    )


def _decided(mix: dict[str, Any]) -> Markup | None:
    """Cosines that came of a rate, and how far an approximate search selected what exact search would have."""
    lines = told(mix)
    return tag("ul", *(tag("li", f"{line}.") for line in lines), id="decided") if lines else None


def _example(example: dict[str, Any]) -> Markup:
    fate = "kept" if example["keep"] else "dropped"
    pairs: list[tuple[str, object]] = [("Stage", join([example["stage"], example["rule"]], " · "))]
    if example["score"] is not None:
        against = f" against {number(example['threshold'])}" if example["threshold"] is not None else ""
        pairs.append(("Score", f"{number(example['score'])}{against}"))
    if example["partner_text"] is not None:
        pairs.append(("Partner", _text("div", example["partner_text"])))
    return tag(
        "article",
        tag(
            "p",
            chip(fate, fate),
            tag("span", example["label"], class_="label") if example["label"] is not None else None,
            tag("code", f"{example['corpus']}:{example['id']}"),
            class_="meta",
        ),
        _text("blockquote", example["text"]),
        tag("p", example["sentence"], class_="sentence") if example["sentence"] else None,
        facts(pairs),
        class_=f"card {fate}",
    )


def _text(name: str, text: str) -> Markup:
    """A text; beyond its first lines it is folded away, never cut."""
    if len(text) <= EXCERPT:
        return tag(name, text)
    return tag(name, text[:EXCERPT], details(f"… {count(len(text) - EXCERPT)} more characters", text[EXCERPT:]))
