"""A stage's scores with a threshold that can be moved, and how many the stage would keep there."""

from typing import Any

from curator.report.elements import Markup, json_block, tag
from curator.report.figures import count, number

WIDTH, HEIGHT = 460, 190
LEFT, RIGHT, TOP, BASE = 34, 450, 14, 166  # of the bars


def movable(found: dict[str, Any], place: int) -> Markup:
    """The histogram, a slider over all scores, and the count at its place; ``place`` numbers it on the page."""
    name, values = f"threshold-{place}", found["values"]
    own = values.index(found["threshold"])
    slider = Markup(
        f'<input type="range" min="0" max="{len(values) - 1}" step="1" value="{own}" id="{name}-at" '
        f'aria-describedby="{name}-note">'
    )
    readout = tag(
        "output",
        tag("b", count(found["kept"]), class_="kept-at"),
        f" of {count(found['seen'])} kept at ",
        tag("b", number(found["threshold"]), class_="value-at"),
        for_=f"{name}-at",
        aria_live="polite",
    )
    controls = tag(
        "div",
        tag("label", f"Threshold of {found['stage']}", for_=f"{name}-at", class_="quiet"),
        slider,
        tag("button", "As in the recipe", type="button"),
        class_="slider control",
    )
    data = {"values": values, "counts": found["counts"], "own": own}
    data |= {"decimals": found["decimals"], "left": LEFT, "width": RIGHT - LEFT}
    return tag(
        "figure",
        tag("figcaption", tag("b", found["stage"]), " ", readout),
        _drawing(found),
        controls,
        tag("p", _note(found), class_="note", id=f"{name}-note"),
        json_block(f"{name}-data", data),
        class_="movable",
        id=name,
    )


def _note(found: dict[str, Any]) -> str:
    unscored = found["unscored"]
    rest = [f"{count(n)} {fate}" for fate, n in unscored.items() if n]
    alike = f" {' and '.join(rest)} without such a score stay so." if rest else ""
    return f"Kept: scores {found['relation']} the threshold, {number(found['threshold'])} in the recipe.{alike}"


def _x(found: dict[str, Any], value: float) -> float:
    low, high = found["values"][0], found["values"][-1]
    return float(LEFT + (value - low) / (high - low) * (RIGHT - LEFT))


def _drawing(found: dict[str, Any]) -> Markup:
    """Bars twice, as kept and as dropped; the script moves the edge between the two."""
    edges, documents = found["bins"]["edges"], found["bins"]["documents"]
    top = max(documents)
    bars = []
    for low, high, n in zip(edges[:-1], edges[1:], documents, strict=True):
        x, width, height = _x(found, low), _x(found, high) - _x(found, low) - 1, (BASE - TOP) * n / top
        if n:
            bars.append(f"M{x:.2f} {BASE}v{-max(height, 1.5):.2f}h{width:.2f}V{BASE}z")
    at, path = _x(found, found["threshold"]), "".join(bars)
    right = found["relation"] in ("at least", "more than")
    left_kind, right_kind = ("dropped", "kept") if right else ("kept", "dropped")
    said = (
        f"Scores at stage {found['stage']}: {count(sum(documents))} documents with one from {number(edges[0])} to "
        f"{number(edges[-1])}; the threshold is {number(found['threshold'])}, and {count(found['kept'])} of "
        f"{count(found['seen'])} are kept."
    )
    inside = [
        f'<path class="bars {right_kind}" d="{path}"/>',
        # A drawing within the drawing shows what is inside its width alone.
        f'<svg class="left" width="{at:.2f}" height="{HEIGHT}" aria-hidden="true">'
        f'<rect class="cover" y="0" width="{WIDTH}" height="{BASE}"/><path class="bars {left_kind}" d="{path}"/></svg>',
        f'<path class="axis" d="M{LEFT} {BASE}H{RIGHT}M{LEFT} {TOP}H{RIGHT}"/>',
        f'<path class="edge" transform="translate({at:.2f})" d="M0 4V{BASE + 5}"/>',
        f'<text x="{LEFT - 6}" y="{TOP + 4}" text-anchor="end">{count(top)}</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 6}">{number(edges[0])}</text>',
        f'<text x="{RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{number(edges[-1])}</text>',
    ]
    svg = Markup("".join(inside))
    return tag("svg", svg, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=said)
