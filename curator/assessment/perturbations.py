"""The same texts as people mistype, shout or shorten them. What becomes of a text depends on it and the seed alone."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from curator.errors import UsageError

Typo = Literal["swap", "drop", "insert", "replace"]
TYPOS: tuple[Typo, ...] = ("swap", "drop", "insert", "replace")

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # each set off by about a third of a key to the right


def _neighbours() -> dict[str, str]:
    """Of each letter the keys that touch it: beside it, and the two above or below that overlap it."""
    places = {letter: (row, column) for row, letters in enumerate(ROWS) for column, letter in enumerate(letters)}
    touching = {(0, -1), (0, 1), (-1, 0), (-1, 1), (1, -1), (1, 0)}
    return {
        one: "".join(other for other, at in places.items() if (at[0] - row, at[1] - column) in touching)
        for one, (row, column) in places.items()
    }


NEIGHBOURS = _neighbours()  # of an English keyboard (QWERTY)


@dataclass(frozen=True)
class Perturbation:
    """A change of a text that leaves its label alone. ``change`` has the text and a generator of its own."""

    name: str
    change: Callable[[str, np.random.Generator], str]

    def __call__(self, text: str, seed: int) -> str:
        """The changed text: the same for the same text, name and seed. One of which nothing would be left stays."""
        key = hashlib.blake2b(f"{seed}\0{self.name}\0{text}".encode("utf8", "surrogatepass"), digest_size=16).digest()
        changed = self.change(text, np.random.default_rng(int.from_bytes(key)))
        return changed if changed.strip() else text


def perturbations(typos: float = 0.05, words: float = 0.2) -> tuple[Perturbation, ...]:
    """Those of an assessment: ``typos`` is a rate per letter, ``words`` the share of words dropped.

    Raises UsageError for a rate that is not above 0 and at most 1.
    """
    for name, rate in (("typos", typos), ("words", words)):
        if not 0 < rate <= 1:
            raise UsageError(f"{name} = {rate}: give a rate above 0, and at most 1")
    single = [Perturbation(f"typos {typos:g}: {kind}", partial(mistyped, rate=typos, kinds=(kind,))) for kind in TYPOS]
    return (
        Perturbation(f"typos {typos:g}: all kinds", partial(mistyped, rate=typos)),
        *single,
        Perturbation("lower case", lambda text, _: text.lower()),
        Perturbation("upper case", lambda text, _: text.upper()),
        Perturbation(f"words dropped {words:g}", partial(without_words, rate=words)),
    )


def mistyped(text: str, rng: np.random.Generator, *, rate: float, kinds: Sequence[Typo] = TYPOS) -> str:
    """Each letter is hit with probability ``rate``, and what then happens is drawn from the ``kinds`` possible there.

    ``swap`` with the next letter of the word, if that is another one (which is not hit itself); ``drop``; ``insert`` a
    neighbour on the keyboard after it; ``replace`` by a neighbour. Only a to z have neighbours: other letters, such as
    Chinese ones, are swapped or dropped. Each changes the length by at most one.
    """
    hit, out, at = rng.random(len(text)) < rate, [], 0
    while at < len(text):
        letter, following = text[at], text[at + 1 : at + 2]
        near = NEIGHBOURS.get(letter.lower(), "") if letter.isalpha() else ""
        possible = [kind for kind in kinds if _is_possible(kind, letter, following, near)] if hit[at] else []
        kind = possible[rng.integers(len(possible))] if possible else None
        other = near[rng.integers(len(near))] if kind in ("insert", "replace") else ""
        typed = other.upper() if letter.isupper() else other
        changed = {None: letter, "swap": following + letter, "drop": "", "insert": letter + typed, "replace": typed}
        out.append(changed[kind])
        at += 2 if kind == "swap" else 1
    return "".join(out)


def _is_possible(kind: Typo, letter: str, following: str, near: str) -> bool:
    if not letter.isalpha():
        return False
    if kind == "swap":
        return following.isalpha() and following != letter
    return kind == "drop" or bool(near)


def without_words(text: str, rng: np.random.Generator, *, rate: float) -> str:
    """Each word, of those that white space parts, is dropped with probability ``rate``; one of them always stays."""
    words = text.split()
    kept = rng.random(len(words)) >= rate
    if kept.all():
        return text
    kept[rng.integers(len(words))] |= not kept.any()
    return " ".join(word for word, keep in zip(words, kept, strict=True) if keep)
