"""Names in texts against a regular expression for each name, and the longest of those that lie in one another."""

import re
import sys
import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.errors import CuratorWarning, QueryError
from curator.functions import mentions
from curator.relation import Relation

CHINESE = "卡信用"


def texts(*values) -> Relation:
    rows = [("c", str(i), text) for i, text in enumerate(values)]
    return Relation(pl.DataFrame(rows, {"corpus": pl.String, "id": pl.String, "text": pl.String}, orient="row"))


def concepts(*pairs) -> Relation:
    return Relation(pl.DataFrame(list(pairs), {"concept": pl.String, "name": pl.String}, orient="row"))


def answer(documents: Relation, known: Relation) -> list[tuple]:
    return [
        (int(row["id"]), row["concept"], row["name"], row["times"]) for row in mentions(documents, known).to_pylist()
    ]


def folded(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold()))


def literal(text: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """The concepts of a text by a search for every name, in the order of their first places."""
    plain, spans = folded(text), {}
    for name in {folded(name) for _, name in pairs}:
        word = re.escape(name)
        if not any(character in CHINESE for character in name):
            word = rf"(?<!\S){word}(?!\S)"
        for found in re.finditer(f"(?=({word}))", plain):
            spans[found.span(1)] = name
    longest = [
        (begin, name)
        for (begin, end), name in sorted(spans.items())
        if not any(b <= begin and end <= e and (b, e) != (begin, end) for b, e in spans)
    ]
    result = {}
    for _, name in longest:
        for concept in sorted({concept for concept, other in pairs if folded(other) == name}):
            first = min(other for owner, other in pairs if owner == concept and folded(other) == name)
            given, times = result.get(concept, (first, 0))
            result[concept] = (given, times + 1)
    return [(concept, *told) for concept, told in result.items()]


WORD = st.sampled_from(
    ["card", "Card", "credit", "cards", "Straße", "STRASSE", "at", "t", "ﬁn", "卡", "信用", "用卡", "ΟΔΟΣ", "οδος"]
)
MARK = st.sampled_from([" ", "  ", ", ", "-", "&", "_", "\n", "!", ""])
TEXT = st.lists(st.tuples(WORD, MARK), max_size=9).map(lambda parts: "".join(word + mark for word, mark in parts))
NAME = st.lists(st.tuples(WORD, MARK), min_size=1, max_size=3).map(
    lambda parts: "".join(w + m for w, m in parts).strip()
)


@pytest.mark.filterwarnings("ignore:the name")
@settings(deadline=None)
@given(st.lists(TEXT, max_size=4), st.lists(st.tuples(st.sampled_from("xyz"), NAME), max_size=6))
def test_names_are_found_as_whole_words_and_the_longest_count(documents, pairs):
    expected = [(i, *found) for i, text in enumerate(documents) for found in literal(text, pairs)]
    assert answer(texts(*documents), concepts(*pairs)) == expected


def test_names_by_hand():
    known = concepts(
        ("card", "card"), ("credit", "credit card"), ("pay", "card payment"), ("cc", "Card"), ("at", "AT&T")
    )
    assert answer(texts("My credit card, CARD card payment"), known) == [
        (0, "credit", "credit card", 1),
        (0, "card", "card", 1),
        (0, "cc", "Card", 1),
        (0, "pay", "card payment", 1),
    ]
    assert answer(texts("cards; discard", "at  T!", None, ""), known) == [(1, "at", "AT&T", 1)]
    assert answer(texts("这张信用卡不错, 卡"), concepts(("c", "信用卡"), ("k", "卡"))) == [
        (0, "c", "信用卡", 1),
        (0, "k", "卡", 1),
    ]


def test_blocks_of_texts_and_the_order_of_names_change_nothing(monkeypatch):
    documents = texts(*[f"one {'card ' * (i % 3)}two {'fee' * (i % 2)}" for i in range(20)])
    pairs = [("a", "card"), ("b", "fee"), ("a", "two"), ("c", "card two")]
    whole = answer(documents, concepts(*pairs))
    monkeypatch.setattr(sys.modules["curator.functions.mentions"], "BLOCK", 3)
    assert answer(documents, concepts(*reversed(pairs))) == whole


def test_many_names():
    known = concepts(*[(f"c{i}", f"name{i}") for i in range(50_000)])
    assert answer(texts("has name49999, name1 and name1", "name50000"), known) == [
        (0, "c49999", "name49999", 1),
        (0, "c1", "name1", 2),
    ]


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (pl.DataFrame({"concept": ["a"], "word": ["b"]}), "no column 'name' in the concepts; there are: concept, word"),
        (pl.DataFrame({"concept": ["a"], "name": ["?!"]}), r"the name '\?!' has no letter or digit"),
        (pl.DataFrame({"concept": ["a", "b"], "name": [None, "b"]}), "1 of 2 rows of the concepts have no name"),
        (pl.DataFrame({"concept": [None], "name": ["b"]}), "1 of 1 rows of the concepts have no concept"),
    ],
)
def test_errors(known, told):
    with pytest.raises(QueryError, match=f"^mentions: .*{told}"):
        mentions(texts("a"), Relation(known))


def test_a_name_that_shrinks_to_a_letter_is_told():
    with pytest.warns(CuratorWarning, match=r"the name 'C\+\+' is looked for as 'c'"):
        assert answer(texts("vitamin C"), concepts(("cpp", "C++"))) == [(0, "cpp", "C++", 1)]
