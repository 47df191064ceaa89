"""A document's fate in words a colleague would use, from its rows of the ledger."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Partners = Mapping[tuple[str, str], str]  # corpus, id → text
Parameters = Mapping[str, Any]

TASK = ("target", "dev", "test")  # documents that no stage drops


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
    document: str, text: str, rows: list[dict[str, Any]], partners: Partners, parameters: Mapping[str, Parameters]
) -> Explanation:
    """From the ledger's rows of one document, in the order of the stages, and the parameters of each."""
    lines = tuple(
        f"{row['position']}. {sentence(row, _partner(row, partners), parameters.get(row['stage'], {}))}."
        for row in rows
    )
    return Explanation(document, text, bool(rows[-1]["keep"]), lines, tuple(rows))


def _partner(row: Mapping[str, Any], partners: Partners) -> str | None:
    return partners.get((row["partner_corpus"], row["partner_id"]))


def sentence(row: Mapping[str, Any], partner_text: str | None, parameters: Parameters) -> str:
    """One verdict in words: who decided what, by which rule and number, held against what, and what would differ."""
    said = f"{row['stage']} {'kept' if row['keep'] else 'dropped'} it"
    if row["rule"]:
        said += f" ({row['rule']})"
    found = _found(row, partner_text)
    if found:
        said += f": {found}"
    if row["reason"]:
        said += f" — {row['reason']}"
    return said + _remedy(row, parameters)


def _found(row: Mapping[str, Any], partner_text: str | None) -> str:
    """The partner, the score and how it compares."""
    parts = []
    if row["partner_id"] is not None:
        quoted = f" “{shorten(partner_text)}”" if partner_text else ""
        parts.append(f"held against {row['partner_corpus']}:{row['partner_id']}{quoted}")
    if row["score"] is not None:
        parts.append(f"it scores {_number(row['score'])}{_compared(row)}")
    if row["rank"] is not None:
        wanted = f" where {row['threshold']:,.0f} were to be kept" if _is_quota(row) else ""
        parts.append(f"it came at rank {row['rank']:,}{wanted}")
    return ", ".join(parts)


def _compared(row: Mapping[str, Any]) -> str:
    if row["threshold"] is None or _is_quota(row):
        return ""
    limit, enough = _number(row["threshold"]), row["score"] >= row["threshold"]
    if row["keep"]:
        return f" and {limit} is enough" if enough else f", under the limit of {limit}"
    return f" and the limit is {limit}" if enough else f" where {limit} is needed"


def _is_quota(row: Mapping[str, Any]) -> bool:
    """Whether the threshold of a stage that ranks is how many it keeps, rather than the score that was enough."""
    limit, rank = row["threshold"], row["rank"]
    if rank is None or limit is None or limit < 1 or not float(limit).is_integer():
        return False
    return bool(row["keep"] == (rank <= limit) and row["score"] != limit)  # a cosine of 1 is no quota of 1


def _remedy(row: Mapping[str, Any], parameters: Parameters) -> str:
    """Which threshold would have let a dropped document stay, rounded to the safe side."""
    if row["keep"] or row["rank"] is not None or None in (row["score"], row["threshold"]):
        return ""
    named = [name for name, value in parameters.items() if type(value) in (int, float) and value == row["threshold"]]
    name = named[0] if len(named) == 1 else "a threshold"
    over = row["score"] >= row["threshold"]
    value = (math.ceil if over else math.floor)(row["score"] * 1000) / 1000
    if over and value == 1:  # the most that a similarity or a share can be
        return ""
    changed = f"with {name} {f'above {_number(value)}' if over else f'of at most {_number(value)}'}"
    if row["partner_id"] is not None and row["partner_corpus"] not in TASK:  # then others may be kept, and be closer
        return f"; {changed} that document would not have been in its way"
    return f"; {changed} it would have stayed"


def shorten(text: str, length: int = 120) -> str:
    """One line of at most ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 2 else f"{value:.3f}"
