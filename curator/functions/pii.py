"""What in texts identifies a person."""

import polars as pl
import pyarrow as pa

from curator.functions._pii import Finder
from curator.functions._results import keyed_texts
from curator.relation import Relation

SCHEMA = {
    "row": pl.Int64, "kind": pl.String, "region": pl.String, "start": pl.Int64, "length": pl.Int64, "found": pl.String,
}  # fmt: skip


def pii(documents: Relation, *, kinds: str | None = None, regions: str = "US, GB") -> pa.Table:
    """Mail addresses, telephone numbers, accounts, cards, national ids and IP addresses in texts, a row for each.

    ``kinds`` are those to look for, separated by commas; NULL is all. The earlier of this list has the characters that
    two of them claim:

    - ``email``: a mailbox with a dotted domain.
    - ``iban``: a bank account by the length, format and checksum (ISO 7064) of its country; with single spaces or none.
    - ``card``: a payment card by its network's first digits and length (ISO/IEC 7812) and the Luhn checksum.
    - ``national_id``: of the US (social security number with its hyphens, ITIN), UK (NHS number in groups or after
      "NHS"; National Insurance number in groups or after "NI" or "insurance"), Germany (IdNr), France (NIR), Spain
      (DNI, NIE), India (Aadhaar in groups or after that word; PAN of a person), China (resident identity number) and
      Brazil (CPF with its marks or after "CPF"), with their checksums by python-stdnum. The social security and
      National Insurance numbers and the PAN have none.
    - ``ip``: an IPv4 or IPv6 address of the public internet; not one of four numbers below 100, which in texts are
      versions, sections and enzymes.
    - ``phone``: a number that exists in the numbering plan of its country, by phonenumbers; one without a country code
      if it is of one of ``regions`` (ISO 3166 codes, separated by commas; none for an empty text).

    A checksum of one digit lets one of ten arbitrary numbers pass, and a telephone number may as well be an order's:
    look at some. Names of persons and postal addresses are not looked for, nor is what is written to evade a machine
    ("name at site dot org").

    Returns ``corpus`` (where the relation has it), ``id``, ``kind``, ``region`` (ISO 3166, of accounts, national ids
    and telephone numbers), ``start`` (character, from 1), ``length`` and ``found``, in the order of the documents. Time
    is linear, most of it for texts with an @ or several digits: 1.6 million texts of 134 characters took 22 s.

    Raises QueryError for a relation without ``id`` or a ``text`` of strings, and for unknown kinds or regions.
    """
    finder = Finder.asked("pii", kinds, regions)
    keys, texts = keyed_texts("pii", documents)
    rows = finder.hints(texts).arg_true()
    found = [
        (row, one.kind, one.region, one.start + 1, one.stop - one.start, text[one.start : one.stop])
        for row, text in zip(rows, texts.gather(rows), strict=True)
        for one in finder.find(text)
    ]
    findings = pl.DataFrame(found, schema=SCHEMA, orient="row")
    parts = [keys[findings["row"]], findings.drop("row")]
    table: pa.Table = pl.concat(parts, how="horizontal").to_arrow(compat_level=pl.CompatLevel.newest())
    return table
