"""Markdown that shows what it is given: texts that render as themselves, and tables of them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def escape(text: object) -> str:
    """Text on one line that renders as itself: no markup, no HTML, no column break, no link."""
    line = " ".join(str(text).split())
    line = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", line)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], text: Sequence[int]) -> str:
    """A table whose columns align right, except those in ``text``."""
    rule = ["---" if i in text else "---:" for i in range(len(head))]
    lines = [[escape(cell) for cell in head], rule, *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def front_matter(values: Mapping[str, Any]) -> str:
    """What the hub reads before a card: YAML of the values that there are. JSON is YAML, so each is written as that."""
    lines = [f"{name}: {json.dumps(value, ensure_ascii=True)}" for name, value in values.items() if value]
    return "\n".join(["---", *lines, "---"])
