"""The part of the page that shows documents as points: target, kept, dropped and test; each can be read."""

from collections.abc import Sequence
from typing import Any

from curator.report.elements import Markup, chip, join, json_block, muted, notice, section, tag
from curator.report.figures import count
from curator.report.material import Material

KINDS = ("dropped", "test", "kept", "target")  # the last is drawn on top
MEANING = {
    "target": "examples of the task",
    "kept": "in the mix",
    "dropped": "left out by",
    "test": "what is measured on, without labels",
}
WIDTH, MARGIN = 760, 14
HINT = "Point at a document to read it, or focus the map and move with the arrow keys. A click holds it."
MISSING = (
    "The map, the table of documents and movable thresholds need look.json beside the record, which holds texts and is "
    "not shared with it. It is not there, or of an older curator: curator race, with the recipe, makes it."
)


def documents_map(material: Material) -> Markup | None:
    """The map with its legend and the panel that a document is read in; says so where it is missing."""
    if material.mix is None:
        return None
    if material.look is None:
        return section("map", "A map of the documents", notice("plain", MISSING))
    found = material.look["map"]
    if found is None:
        said = notice("plain", "These documents have no vectors, and so no place on a map.")
        return section("map", "A map of the documents", said)
    groups = _groups(found)
    return section(
        "map",
        "A map of the documents",
        tag("p", _told(found)),
        _legend(found, groups),
        tag("div", _plot(found, groups), _panel(), class_="atlas"),
        tag(
            "noscript",
            tag("p", "With JavaScript each point can be read here; the table below needs none.", class_="note"),
        ),
        json_block("map-points", _points(found, groups)),
    )


def _told(found: dict[str, Any]) -> str:
    kept = (
        ""
        if found["kept"] is None
        else f": of the ten nearest documents of each, {100 * found['kept']:.0f} % are among "
    )
    kept += "its ten nearest here" if kept else ""
    shown, of = len(found["points"]), sum(_totals(found).values())
    some = f"{count(shown)} of {count(of)} documents" if shown < of else f"All {count(of)} documents"
    unseen = f" {count(found['unseen'])} without a usable label were never embedded, and are not on it."
    return (
        f"{some}, by their vectors, on a plane by {found['method']}. What lies together is alike; distances are only "
        f"roughly true{kept}. The axes mean nothing.{unseen if found['unseen'] else ''}"
    )


def _totals(found: dict[str, Any]) -> dict[str, int]:
    return {**found["of"], "dropped": sum(row["of"] for row in found["dropped"])}


def _groups(found: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Kinds, dropped ones by stage, in the order of drawing."""
    there = {(point["kind"], point["stage"] if point["kind"] == "dropped" else None) for point in found["points"]}
    order = [row["stage"] for row in found["dropped"]]
    groups = [("dropped", stage) for stage in order] + [(kind, None) for kind in KINDS[1:]]
    return [group for group in groups if group in there]


def _group(point: dict[str, Any]) -> tuple[str, str | None]:
    return point["kind"], point["stage"] if point["kind"] == "dropped" else None


def _legend(found: dict[str, Any], groups: Sequence[tuple[str, str | None]]) -> Markup:
    """A box to tick for each kind, with how many are shown of how many; without a script, a legend."""
    shown = [_group(point) for point in found["points"]]
    of = {("dropped", row["stage"]): row["of"] for row in found["dropped"]}
    of |= {(kind, None): n for kind, n in found["of"].items()}
    rows: list[Markup] = []
    for number, group in reversed(list(enumerate(groups))):
        kind, stage = group
        of_all = "" if shown.count(group) == of[group] else f" of {count(of[group])}"
        box = Markup(f'<input type="checkbox" class="control" checked data-group="{number}">')
        name = tag("b", kind) if stage is None else join([tag("b", "dropped"), f" by {stage}"])
        counted = muted(f" {count(shown.count(group))}{of_all}")
        rows.append(
            tag("label", box, _symbol(kind), tag("span", name, counted), title=MEANING[kind] if not stage else None)
        )
    return tag("div", *rows, class_="legend", role="group", aria_label="Kinds of documents on the map")


def _symbol(kind: str) -> Markup:
    mark = _mark(kind, 7, 7)
    return Markup(f'<svg class="symbol dots {kind}" viewBox="0 0 14 14" aria-hidden="true">{mark}</svg>')


def _mark(kind: str, x: float, y: float) -> str:
    """A shape of its own for each kind, so that colour is not all that tells them apart."""
    if kind == "target":
        return f'<path d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"/>'
    if kind == "test":
        return f'<path d="M{x:.1f} {y - 4:.1f}l4 7h-8z"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{3.6 if kind == "kept" else 2.8}"/>'


def _at(point: dict[str, Any], low: float) -> tuple[float, float]:
    """Pixels of a place; ``low`` is the least y of all, for the map is only as high as it needs to be."""
    scale = WIDTH - 2 * MARGIN
    return round(MARGIN + point["x"] * scale, 1), round(MARGIN + (point["y"] - low) * scale, 1)


def _plot(found: dict[str, Any], groups: Sequence[tuple[str, str | None]]) -> Markup:
    ys = [point["y"] for point in found["points"]]
    height = 2 * MARGIN + (max(ys) - min(ys)) * (WIDTH - 2 * MARGIN)
    layers = []
    for number, group in enumerate(groups):
        marks = [_mark(group[0], *_at(point, min(ys))) for point in found["points"] if _group(point) == group]
        layers.append(Markup(f'<g class="dots {group[0]}" data-group="{number}">{"".join(marks)}</g>'))
    shown = [_group(point)[0] for point in found["points"]]
    said = ", ".join(f"{count(shown.count(kind))} {kind}" for kind in reversed(KINDS) if kind in shown)
    label = f"A map of documents by their vectors: {said}. The table of documents below has texts and reasons."
    ring = Markup('<circle class="ring" r="9" visibility="hidden"></circle>')
    svg = tag("svg", *layers, ring, viewBox=f"0 0 {WIDTH} {height:.0f}", role="img", aria_label=label)
    return tag(
        "div",
        svg,
        class_="plot",
        id="map-plot",
        role="application",
        aria_roledescription="map of documents",
        aria_label="Map of documents; the arrow keys move from one to the next",
        tabindex="0",
    )


def _panel() -> Markup:
    return tag(
        "div",
        tag("p", HINT, class_="hint"),
        tag(
            "div",
            tag("p", chip("", "fate"), tag("span", class_="label"), class_="meta"),
            tag("p", tag("code"), class_="key-of"),
            tag("blockquote"),
            tag("p", class_="cut note"),
            tag("p", class_="sentence"),
            class_="shown",
            hidden="",
        ),
        class_="panel control",
        id="map-panel",
        aria_live="polite",
    )


def _points(found: dict[str, Any], groups: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    """What the script needs of each point: its place, group, key, label, text, characters more, and reason."""
    low = min(point["y"] for point in found["points"])
    numbers = {group: number for number, group in enumerate(groups)}
    return {
        "groups": [{"kind": kind, "stage": stage} for kind, stage in groups],
        "points": [
            [
                *_at(point, low),
                numbers[_group(point)],
                f"{point['corpus']}:{point['id']}",
                point["label"],
                point["text"],
                point["cut"],
                point["why"],
            ]
            for point in found["points"]
        ],
    }
