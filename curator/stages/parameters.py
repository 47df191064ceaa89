"""Parameters of a stage: what its header says of each, and what a recipe may give."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from curator.errors import RecipeError

PARAMETER = re.compile(r"--\s*:(\w+)\s+(FLOAT|INTEGER|VARCHAR|BOOLEAN|EXPRESSIONS?|NUMBERS)\s+('[^']*'|\S+)\s\s+(\S.*)")
TYPES: dict[str, type | tuple[type, ...]] = {
    "FLOAT": (int, float), "INTEGER": int, "VARCHAR": str, "BOOLEAN": bool, "EXPRESSION": str, "EXPRESSIONS": str,
    "NUMBERS": dict,
}  # fmt: skip
EXPRESSIONS = ("EXPRESSION", "EXPRESSIONS")

_INTERVAL = re.compile(r"([\[(])\s*([^\s,]+)\s*,\s*([^\s,]+?)\s*([\])])(?:\s\s+|\t|(?=\s|$))")
_WORDS = re.compile(r"([\w-]+(?:\|[\w-]+)+)\s\s+")


@dataclass(frozen=True)
class Interval:
    """Numbers that a setting may be."""

    low: float
    high: float
    from_low: bool  # whether the ends are of it
    to_high: bool

    def __contains__(self, value: float) -> bool:
        return (self.low < value or (self.from_low and value == self.low)) and (
            value < self.high or (self.to_high and value == self.high)
        )

    def __str__(self) -> str:
        low = f"{'at least' if self.from_low else 'above'} {_short_number(self.low)}"
        high = f"{'at most' if self.to_high else 'below'} {_short_number(self.high)}"
        ends = [told for told, end in ((low, self.low), (high, self.high)) if math.isfinite(end)]
        return " and ".join(ends) or "any number"


class Words(tuple[str, ...]):
    """Words of which a setting may be one."""

    __slots__ = ()

    def __str__(self) -> str:
        return " or ".join([", ".join(self[:-1]), self[-1]])


@dataclass(frozen=True)
class Parameter:
    """A setting of a stage, as its header declares it."""

    name: str
    type: str
    default: Any
    allowed: Interval | Words | None
    meaning: str


def parameter(match: "re.Match[str]", place: str, *, ranges: bool) -> Parameter:
    """One of a header. Raises RecipeError, with the place, for a default that it cannot have."""
    name, kind, text, meaning = match.groups()
    allowed, meaning = _allowed(meaning, kind, place) if ranges else (None, meaning)
    if text.upper() == "NULL":
        return Parameter(name, kind, None, allowed, meaning)
    readers: dict[str, Callable[[str], Any]] = {
        "FLOAT": float,
        "INTEGER": int,
        "VARCHAR": lambda value: value[1:-1] if value.startswith("'") else _bad(value),
        "BOOLEAN": lambda value: {"true": True, "false": False}[value.lower()],
        "NUMBERS": _bad,
    }
    readers |= dict.fromkeys(EXPRESSIONS, readers["VARCHAR"])
    try:
        default = readers[kind](text)
    except (ValueError, KeyError):
        raise RecipeError(f"{place}: the default {text} of {name!r} is not a {kind}") from None
    if allowed is not None and default not in allowed:
        raise RecipeError(f"{place}: the default {text} of {name!r} is not {allowed}")
    return Parameter(name, kind, default, allowed, meaning)


def _allowed(meaning: str, kind: str, place: str) -> tuple[Interval | Words | None, str]:
    """What a parameter may be, where its meaning begins with that, and the rest. Raises RecipeError for half of it."""
    if kind == "VARCHAR" and (words := _WORDS.match(meaning)):
        return Words(words[1].split("|")), meaning[words.end() :]
    if kind not in ("FLOAT", "INTEGER", "NUMBERS") or not (match := _INTERVAL.match(meaning)):
        return None, meaning
    try:
        low, high = float(match[2]), float(match[3])
    except ValueError:
        low = high = math.nan
    if not low <= high or match[0] == match[0].rstrip() or match.end() == len(meaning):
        raise RecipeError(
            f"{place}: {match[0].strip()} is no interval of numbers with two spaces behind it, like [0, 1] or (0, inf)"
        )
    return Interval(low, high, match[1] == "[", match[4] == "]"), meaning[match.end() :]


def _short_number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _bad(value: str) -> str:
    raise ValueError(value)
