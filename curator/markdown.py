"""Markdown that shows what it is given: texts that render as themselves, and tables of them."""

import re
from collections.abc import Iterable, Sequence


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
