"""The part of the page with documents kept and dropped: a table to be filtered, or of older records a few cards."""

from collections import Counter
from typing import Any

from curator.report.elements import Column, Markup, chip, join, muted, section, table, tag
from curator.report.figures import count, number
from curator.report.material import Material
from curator.report.mix_sections import examples

ALL = "all"
PRINTED = 4  # rows of each stage and verdict that go on paper


def documents(material: Material) -> Markup | None:
    """A sample of each stage and verdict, with text, score, reason and partner."""
    if material.mix is None:
        return None
    if material.look is None:
        return examples(material.mix)
    found = material.look["documents"]
    rows = found["rows"]
    if not rows:
        return None
    lead = (
        f"{count(len(rows))} of {count(sum(group['of'] for group in found['groups']))} documents: of each stage and "
        "verdict as many as the list says, drawn by a seeded generator. ledger('…') in SQL has them all."
    )
    return section(
        "documents",
        "Kept and dropped",
        tag("p", lead),
        tag("ul", *(tag("li", _group(group)) for group in found["groups"]), class_="groups-of"),
        _filters(rows),
        tag("p", f"On paper the first {PRINTED} of each.", class_="printed note"),
        _table(rows),
    )


def _group(group: dict[str, Any]) -> Markup:
    fate = "kept" if group["keep"] else "dropped"
    said = f"{count(group['shown'])} of {count(group['of'])}"
    return join([tag("b", said), f" {fate} by {group['stage']}" if not group["keep"] else " kept to the end"])


def _filters(rows: list[dict[str, Any]]) -> Markup:
    """A choice for each column worth one, and a search; shown where there is a script to obey them."""
    choices = [
        ("stage", "Stage", [row["stage"] for row in rows]),
        ("verdict", "Verdict", [_fate(row) for row in rows]),
        ("source", "Source", [row["source"] for row in rows]),
        ("label", "Label", [_label(row) for row in rows]),
    ]
    fields = []
    for name, title, values in choices:
        options = [tag("option", ALL, value="")]
        options += [tag("option", value, value=value) for value in dict.fromkeys(values)]
        fields.append(tag("label", title, tag("select", *options, data_filter=name)))
    search = Markup('<input type="search" data-filter="text" autocomplete="off" spellcheck="false">')
    fields.append(tag("label", "Text contains", search, class_="wide"))
    return tag(
        "form",
        *fields,
        tag("button", "Show all", type="reset"),
        tag("output", f"{count(len(rows))} of {count(len(rows))} rows", for_="documents-table", id="documents-shown"),
        class_="filters control",
        id="documents-filters",
        aria_label="Filter the table of documents",
    )


def _table(rows: list[dict[str, Any]]) -> Markup:
    columns = [Column("Document"), Column("Verdict"), Column("Text"), Column("Score", True), Column("Threshold", True)]
    body = [
        [
            join(
                [
                    tag("code", f"{row['corpus']}:{row['id']}"),
                    tag("span", join([row["source"], " · ", _label(row)]), class_="aside muted"),
                ]
            ),
            join([chip(_fate(row), _fate(row)), tag("span", _decided(row), class_="aside muted")]),
            _text(row),
            number(row["score"]),
            number(row["threshold"]),
        ]
        for row in rows
    ]
    data = [
        {"stage": row["stage"], "verdict": _fate(row), "source": row["source"], "label": _label(row)} for row in rows
    ]
    classes = ["further" if place >= PRINTED else None for place in _places(rows)]
    return table("Documents and what decided", columns, body, classes, "documents-table", data=data, class_="tall")


def _places(rows: list[dict[str, Any]]) -> list[int]:
    """Which row of its stage and verdict each is."""
    seen: Counter[tuple[str, bool]] = Counter()
    places = []
    for row in rows:
        key = (row["stage"], row["keep"])
        places.append(seen[key])
        seen[key] += 1
    return places


def _text(row: dict[str, Any]) -> Markup:
    parts = [tag("p", row["text"], _more(row["cut"]), class_="text"), tag("p", row["why"], class_="sentence")]
    if row["partner"] is not None:
        key = f"{row['partner_corpus']}:{row['partner_id']}"
        partner = tag("q", row["partner"]["text"])
        parts.append(tag("p", tag("code", key), " ", partner, _more(row["partner"]["cut"]), class_="partner"))
    return join(parts)


def _more(cut: int) -> Markup | None:
    return muted(f" … and {count(cut)} characters more") if cut else None


def _decided(row: dict[str, Any]) -> str:
    return " · ".join(part for part in (row["stage"], row["rule"]) if part)


def _fate(row: dict[str, Any]) -> str:
    return "kept" if row["keep"] else "dropped"


def _label(row: dict[str, Any]) -> str:
    return "(no label)" if row["label"] is None else row["label"]
