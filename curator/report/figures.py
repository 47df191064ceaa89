"""How a record's figures are written for people: counts, shares, durations, spans, moments, its title and commit."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from curator.race.statistics import Interval, points


def count(value: float | None) -> str:
    """``12,345``; a mean that is not whole keeps one decimal."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def share(part: float, whole: float) -> str:
    """``12.3 %``; a dash where there is no whole."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def moment(iso: str) -> str:
    """``2026-03-01 12:30 UTC`` of an ISO 8601 time; anything else as it is."""
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".strip()


def between(span: Interval | None) -> str:
    """``0.9 to 5.3``."""
    return "–" if span is None else f"{points(span.low)} to {points(span.high)}"


def spread(values: Sequence[int]) -> str:
    """``2,000``, or ``1,980–2,000`` where they differ."""
    if not values:
        return "–"
    low, high = min(values), max(values)
    return count(low) if low == high else f"{count(low)}–{count(high)}"


def number(value: float | None) -> str:
    """A score or threshold: up to 4 significant digits."""
    return "–" if value is None else f"{value:.4g}".replace("-", "−")


def plain(value: object) -> str:
    """A setting's value as one line."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(plain(item) for item in value) if isinstance(value, list) else str(value)


def title(record: dict[str, Any]) -> str:
    """The race's name; a race below its stated size says so, and one by a probe."""
    by_probe = record.get("recipe", {}).get("race", {}).get("by") == "probe"
    return f"{'Smoke: ' if record['smoke'] else ''}{record['name']}{', by probe' if by_probe else ''}"


def commit(record: dict[str, Any]) -> str:
    """``0123abc, with uncommitted changes``."""
    made = record["commit"]
    if made is None:
        return "not recorded"
    return str(made["sha"]) + (", with uncommitted changes" if made["dirty"] else "")
