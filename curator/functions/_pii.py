"""What in a text identifies a person: patterns, and the checks of the libraries that know the numbers."""

import ipaddress
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import polars as pl

from curator.errors import QueryError

Span = tuple[int, int, str | None]  # from, to (characters, from 0), and the country that a number is of

# What a text must hold to be worth the slower look, as polars reads regular expressions. The order is the one in which
# kinds claim characters: a card number is not looked for telephone numbers again.
HINTS = {
    "email": "@",
    "iban": r"(?i)[a-z]{2}\d{2}(?:[ \x{a0}]?[a-z0-9]){11}",
    "card": r"\d(?:[ \x{a0}-]?\d){12}",
    "national_id": r"\d(?:[ .-]?\d){8}|\d(?: ?\d){5}2[ABab]|\d{7}-?[A-Za-z]|[A-Z]{2}(?: ?\d\d){3} ?[A-D]|[A-Z]{5}\d{4}",
    "ip": r"\d\.\d{1,3}\.\d{1,3}\.\d|[23][0-9A-Fa-f]{3}:",
    "phone": r"\d(?:\P{L}{0,4}\d){6}",
}
KINDS = tuple(HINTS)

_TAKEN = "\0"  # in the place of each character of what is found already

_ALONE = r"(?<![0-9A-Za-z])(?:{})(?![0-9A-Za-z])"


@dataclass(frozen=True)
class Finding:
    """Characters ``start`` to ``stop`` of a text, from 0, the last not among them."""

    start: int
    stop: int
    kind: str
    region: str | None


@dataclass(frozen=True)
class Finder:
    """Looks for some kinds; ``regions`` are the countries whose telephone numbers may stand without a country code."""

    kinds: tuple[str, ...]
    regions: tuple[str, ...]

    @classmethod
    def asked(cls, function: str, kinds: object, regions: object) -> Self:
        """From the arguments of a SQL function, lists separated by commas. Raises QueryError for an unknown name."""
        known_regions = _phonenumbers().SUPPORTED_REGIONS
        named = KINDS if kinds is None else _listed(function, "kinds", kinds, KINDS)
        return cls(tuple(kind for kind in KINDS if kind in named), _listed(function, "regions", regions, known_regions))

    def hints(self, texts: pl.Series) -> pl.Series:
        """Which texts may hold anything; the others need no look. False for NULL."""
        frame = texts.alias("text").to_frame()
        found = pl.any_horizontal(pl.col("text").str.contains(HINTS[kind]) for kind in self.kinds)
        return frame.select(found.fill_null(value=False)).to_series()

    def find(self, text: str) -> list[Finding]:
        """What the text holds, in its order, no two of it with a character in common."""
        found: list[Finding] = []
        for kind in self.kinds:
            for start, stop, region in list(self._spans(kind, text)):
                if _TAKEN not in text[start:stop]:
                    found.append(Finding(start, stop, kind, region))
                    text = text[:start] + _TAKEN * (stop - start) + text[stop:]
        return sorted(found, key=lambda finding: finding.start)

    def _spans(self, kind: str, text: str) -> Iterable[Span]:
        if kind == "phone":
            return _phones(text, self.regions)
        return _LOOKS[kind](text)


def masked(text: str, findings: Iterable[Finding]) -> str:
    """The text with ``<EMAIL>``, ``<PHONE>``, … in the places of what was found, which is in order."""
    parts, end = [], 0
    for finding in findings:
        parts += [text[end : finding.start], f"<{finding.kind.upper()}>"]
        end = finding.stop
    return "".join([*parts, text[end:]])


def _listed(function: str, name: str, value: object, known: Iterable[str]) -> tuple[str, ...]:
    if not isinstance(value, str):
        raise QueryError(f"{function}: {name} is {value!r}; names separated by commas are needed")
    parts = tuple(part.strip() for part in value.split(",") if part.strip())
    if name == "kinds" and not parts:
        raise QueryError(f"{function}: {name} is {value!r}; name some, or give NULL for all: {', '.join(known)}")
    for part in parts:
        if part not in known:
            raise QueryError(f"{function}: {name} names {part!r}; it may name {', '.join(sorted(known))}")
    return parts


# Mail addresses

# Letters are those of alphabets: what a script without spaces has before an address is not part of it. RFC 5321,
# 4.5.3.1.1 allows 64 characters.
_LOCAL = re.compile(r"[0-9A-Za-z\u00c0-\u052f.!#$%&'*+/=?^_`~|-]{1,64}\Z")
_DOMAIN = re.compile(
    r"(?:[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?\.){1,8}[A-Za-z]{2,24}(?![0-9A-Za-z])"
    r"|(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"
)


def _emails(text: str) -> Iterator[Span]:
    """An @ with a dotted name behind it, and before it what the name of a mailbox may be made of."""
    at = text.find("@")
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        local = _LOCAL.search(text[max(0, at - 64) : at]) if domain else None
        name = local[0].lstrip(".'`/=|*_") if local else ""
        if domain and name and not name.endswith("."):
            yield at - len(name), domain.end(), None
        at = text.find("@", at + 1)


# Accounts and cards

_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{2}[0-9]{2}(?=(?:[ \u00a0]?[0-9A-Za-z]){11})")
_ACCOUNT = re.compile(r"(?:[ \u00a0]?[0-9A-Za-z]){11,30}")  # 11 in Norway


def _ibans(text: str) -> Iterator[Span]:
    """The longest run of letters and digits from a country's code on that is right for that country."""
    from stdnum import iban

    for match in _IBAN.finditer(text):
        start, longest = match.start(), _ACCOUNT.match(text, match.end())
        assert longest is not None  # the pattern has looked
        for stop in range(longest.end(), match.end() + 10, -1):
            if _ends(text, stop) and iban.is_valid(text[start:stop].replace("\u00a0", "")):
                yield start, stop, text[start : start + 2].upper()
                break


def _ends(text: str, stop: int) -> bool:
    """Whether what ends there does not go on as a word or number."""
    return text[stop - 1] not in " \u00a0" and not (stop < len(text) and text[stop].isascii() and text[stop].isalnum())


# In the groups in which they are printed, the longest first; what follows may be a year or a check value. The networks'
# first digits and lengths are those of ISO/IEC 7812.
_CARDS = tuple(
    re.compile(_ALONE.format(pattern))
    for pattern in (
        r"[0-9]{4}([ \u00a0-]?)[0-9]{4}\1[0-9]{4}\1[0-9]{4}\1[0-9]{3}",
        r"[0-9]{4}([ \u00a0-]?)[0-9]{4}\1[0-9]{4}\1[0-9]{4}",
        r"[0-9]{4}([ \u00a0-]?)[0-9]{6}\1[0-9]{4,5}",
        r"[0-9]{13}",
    )
)
_NETWORK = re.compile(
    r"4(?:\d{12}|\d{15})"  # Visa
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners Club
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14}(?:\d{3})?"  # UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{12}(?:\d{3})?"  # Maestro
)


def _cards(text: str) -> Iterator[Span]:
    from stdnum import luhn

    for pattern in _CARDS:
        for match in pattern.finditer(text):
            digits = re.sub(r"\D", "", match[0])
            before = re.search(r"[0-9]{4}[ \u00a0-]\Z", text[max(0, match.start() - 5) : match.start()])
            if _NETWORK.fullmatch(digits) and luhn.is_valid(digits) and not before:
                yield *match.span(), None


def _goes_on(text: str, start: int, stop: int) -> bool:
    """Whether a number is part of a longer one: there are more digits, set off as its own groups are, or by ``.-/``."""
    marks = re.escape("".join({*text[start:stop]} & {" ", *".-/"}) + ".-/")
    before = re.search(rf"[0-9][{marks}]\Z", text[max(0, start - 2) : start])
    return bool(before or re.match(rf"[{marks}][0-9]", text[stop : stop + 2]))


# National ids


@dataclass(frozen=True)
class _NationalId:
    """A pattern, whose group ``n`` is the number where a word stands before it, and what the number must fulfil."""

    region: str
    pattern: re.Pattern[str]
    valid: Callable[[str], bool]


def _national_ids(text: str) -> Iterator[Span]:
    for known in _known_ids():
        for match in known.pattern.finditer(text):
            which = "n" if match.groupdict().get("n") else 0
            if known.valid(match[which]) and not _goes_on(text, *match.span(which)):
                yield *match.span(which), known.region


@cache
def _known_ids() -> tuple[_NationalId, ...]:
    """Where many codes and telephone numbers pass for one, it must be in its groups, or behind a word for it."""
    from stdnum.br import cpf
    from stdnum.cn import ric
    from stdnum.de import idnr
    from stdnum.es import dni, nie
    from stdnum.fr import nir
    from stdnum.gb import nhs
    from stdnum.in_ import aadhaar, pan
    from stdnum.us import itin, ssn

    def known(
        region: str, valid: Callable[[str], bool], pattern: str, *, bare: str = "", word: str = ""
    ) -> _NationalId:
        after = rf"|(?i:{word})\W[^0-9]{{0,20}}(?P<n>{bare})" if bare else ""
        return _NationalId(region, re.compile(_ALONE.format(pattern + after)), valid)

    return (
        known("CN", ric.is_valid, r"[1-9][0-9]{16}[0-9Xx]"),
        known("FR", nir.is_valid, r"[1-478]( ?)[0-9]{2}\1[0-9]{2}\1[0-9][0-9ABab]\1[0-9]{3}\1[0-9]{3}\1[0-9]{2}"),
        known(
            "IN", aadhaar.is_valid, r"[2-9][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}", bare="[0-9]{12}", word="aadhaar"
        ),
        known("IN", pan.is_valid, r"[A-Z]{3}P[A-Z][0-9]{4}[A-Z]"),
        known("BR", cpf.is_valid, r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", bare="[0-9]{11}", word="cpf"),
        known("DE", idnr.is_valid, r"[1-9][0-9]( ?)[0-9]{3}\1[0-9]{3}\1[0-9]{3}"),
        known("GB", nhs.is_valid, r"[0-9]{3} [0-9]{3} [0-9]{4}", bare="[0-9]{10}", word="nhs"),
        known(
            "GB", _is_insurance_number, r"[A-Z]{2}(?: [0-9]{2}){3} [A-D]",
            bare="[A-Z]{2}[0-9]{6}[A-D]", word="insurance|ni|nino",
        ),
        known("US", lambda number: ssn.is_valid(number) or itin.is_valid(number), r"[0-9]{3}-[0-9]{2}-[0-9]{4}"),
        known("ES", dni.is_valid, r"[0-9]{8}-?[A-Za-z]"),
        known("ES", nie.is_valid, r"[XYZxyz]-?[0-9]{7}-?[A-Za-z]"),
    )  # fmt: skip


def _is_insurance_number(number: str) -> bool:
    """The letters that HMRC gives out (National Insurance Manual, NIM39110)."""
    prefix = number[:2]
    return (
        re.fullmatch("[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]", prefix) is not None
        and prefix not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}
    )  # fmt: skip


# Addresses of machines

_IP = re.compile(
    r"(?<![0-9A-Za-z.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z]|\.[0-9])"
    r"|(?<![0-9A-Za-z])[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}(?![0-9A-Za-z])"
)


def _ips(text: str) -> Iterator[Span]:
    """Addresses of the public internet; not ``2.6.12.4``, which is a version, a section or an enzyme."""
    for match in _IP.finditer(text):
        found = match[0] if match[0].endswith("::") else match[0].removesuffix(":")
        try:
            public = ipaddress.ip_address(found).is_global
        except ValueError:
            continue
        if public and not re.fullmatch(r"[0-9]{1,2}(?:\.[0-9]{1,2}){3}", found):
            yield match.start(), match.start() + len(found), None


# Telephone numbers


def _phonenumbers() -> Any:
    """The library, which takes a while to import."""
    import phonenumbers

    return phonenumbers


def _phones(text: str, regions: tuple[str, ...]) -> Iterator[Span]:
    """Numbers that exist in the numbering plan of their country."""
    library = _phonenumbers()
    # Two numbers with some spaces between them are one to it, that is none; it does not look across the ends of lines.
    parted = re.sub(r"[ \t\u00a0]{2,}", lambda gap: "\n" * len(gap[0]), text)
    for words, region in itertools.product(dict.fromkeys((parted, text)), regions or (None,)):
        for match in library.PhoneNumberMatcher(words, region, leniency=library.Leniency.VALID):
            # The library takes the bracket before a number along, where its other one stands behind.
            start = match.start + (match.raw_string[0] == "(" and ")" not in match.raw_string)
            yield start, match.end, library.region_code_for_number(match.number)


_LOOKS: dict[str, Callable[[str], Iterator[Span]]] = {
    "email": _emails,
    "iban": _ibans,
    "card": _cards,
    "national_id": _national_ids,
    "ip": _ips,
}
