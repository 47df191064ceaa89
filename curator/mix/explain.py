"""A document's fate in words a colleague would use, from its rows of the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Explanation:
    """Why a document is in a mix or is not: the stages that saw it, in order, and one line for each."""

    document: str  # corpus:id
    text: str
    kept: bool
    lines: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        fate = "is in the mix" if self.kept else "was left out"
        return "\n".join(
            [f"{self.document} {fate}.", f"  “{shorten(self.text)}”", *(f"  {line}" for line in self.lines)]
        )


def explanation(
    document: str, text: str, rows: list[dict[str, Any]], partners: Mapping[tuple[str, str], str]
) -> Explanation:
    """From the ledger's rows of one document, in the order of the stages."""
    lines = tuple(
        f"{row['position']}. {row['stage']}: {sentence(row, partners.get((row['partner_corpus'], row['partner_id'])))}"
        for row in rows
    )
    return Explanation(document, text, bool(rows[-1]["keep"]), lines, tuple(rows))


def sentence(row: Mapping[str, Any], partner_text: str | None) -> str:
    """One verdict in words: what was decided, by which rule, on which number, against which document."""
    parts = ["kept" if row["keep"] else "dropped"]
    if row["rule"]:
        parts.append(f"— {row['rule']}")
    if row["score"] is not None:
        parts.append(f"({_number(row['score'])}{_against(row) if row['rank'] is None else ''})")
    if row["rank"] is not None:  # a stage that ranks compares the rank, not the score, with its threshold
        parts.append(f"at rank {row['rank']}{_against(row)}")
    if row["partner_id"] is not None:
        parts.append(
            f"by {row['partner_corpus']}:{row['partner_id']}" + (f" “{shorten(partner_text)}”" if partner_text else "")
        )
    if row["reason"]:
        parts.append(f"— {row['reason']}")
    text = " ".join(parts)
    if not row["keep"] and row["score"] is not None and row["threshold"] is not None and row["rank"] is None:
        side = "below" if row["score"] > row["threshold"] else "above"
        if row["score"] != row["threshold"]:
            text += f"; a threshold {side} {_number(row['score'])} would have kept it"
    return text


def shorten(text: str, length: int = 120) -> str:
    """One line of at most ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def _against(row: Mapping[str, Any]) -> str:
    return "" if row["threshold"] is None else f", threshold {_number(row['threshold'])}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 2 else f"{value:.3f}"
