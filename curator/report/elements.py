"""Building blocks of the page. Whatever is not ``Markup`` is escaped, so text from a record cannot become HTML."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any


class Markup(str):
    """HTML that is already safe: made by ``tag`` or by a chart, never from a record's text."""

    __slots__ = ()


@dataclass(frozen=True)
class Column:
    """A table's column; ``number`` aligns its cells to the right. ``group`` is a header spanning its neighbours."""

    title: str
    number: bool = False
    group: str = ""


def tag(name: str, *children: object, **attributes: str | None) -> Markup:
    """``<name …>children</name>``. In attribute names a last _ is dropped, others are hyphens; None leaves one out."""
    pairs = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    inside = "".join(f' {key}="{escape(value)}"' for key, value in pairs.items())
    return Markup(f"<{name}{inside}>{join(children)}</{name}>")


def join(parts: Iterable[object], between: str = "") -> Markup:
    """Parts one after the other, each escaped unless it is Markup; None is nothing."""
    return Markup(between.join(p if isinstance(p, Markup) else escape(str(p)) for p in parts if p is not None))


def section(name: str, title: str, *children: object) -> Markup:
    """A part of the page with a heading that can be linked to."""
    return tag("section", tag("h2", title, id=f"{name}-title"), *children, id=name, aria_labelledby=f"{name}-title")


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[object]],
    classes: Sequence[str | None] = (),
    name: str | None = None,
    data: Sequence[Mapping[str, str]] = (),
    class_: str = "",
) -> Markup:
    """A table in a frame that scrolls sideways; each row's first cell is its header.

    ``classes`` and ``data`` (``data-`` attributes) are one per row, ``class_`` is the frame's.
    """
    body = []
    for i, row in enumerate(rows):
        cells = [
            tag("th", cell, scope="row") if k == 0 else tag("td", cell, class_="number" if column.number else None)
            for k, (column, cell) in enumerate(zip(columns, row, strict=True))
        ]
        own = {f"data_{key}": value for key, value in data[i].items()} if data else {}
        body.append(tag("tr", *cells, class_=classes[i] if classes else None, **own))
    inside = tag("table", tag("caption", caption), tag("thead", *_heads(columns)), tag("tbody", *body), id=name)
    return tag("div", inside, class_=f"scroll {class_}".strip(), tabindex="0", role="region", aria_label=caption)


def json_block(name: str, values: Any) -> Markup:
    r"""Values for the page's script, as JSON that no parser of HTML takes for anything else.

    ``<``, ``>`` and ``&`` are written as ``\u003c`` and so on, so that no text can end the element; and so are U+2028
    and U+2029, which some readers of scripts take for the ends of lines.
    """
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(f'<script type="application/json" id="{escape(name)}">{text}</script>')


def figure(chart: Markup, caption: str) -> Markup:
    return tag("figure", chart, tag("figcaption", caption))


def details(summary: str, *children: object, class_: str | None = None) -> Markup:
    return tag("details", tag("summary", summary), *children, class_=class_)


def facts(pairs: Iterable[tuple[str, object]], class_: str | None = None) -> Markup:
    """Names and values as a description list."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_=class_)


def notice(kind: str, *children: object) -> Markup:
    """Something the reader should not miss; kind is ``warning`` or ``error``."""
    return tag("p", *children, class_=f"notice {kind}", role="note")


def chip(word: str, kind: str) -> Markup:
    return tag("span", word, class_=f"chip {kind}")


def muted(value: object) -> Markup:
    return tag("span", value, class_="muted")


def _heads(columns: Sequence[Column]) -> list[Markup]:
    titles = tag(
        "tr",
        *(tag("th", c.title, scope="col", class_="number" if c.number else None) for c in columns),
        class_="titles",
    )
    if not any(column.group for column in columns):
        return [titles]
    groups = [(group, len(list(members))) for group, members in groupby(columns, key=lambda column: column.group)]
    spans = [
        tag("th", group, scope="colgroup", colspan=str(n)) if group else tag("td", colspan=str(n))
        for group, n in groups
    ]
    return [tag("tr", *spans, class_="groups"), titles]
