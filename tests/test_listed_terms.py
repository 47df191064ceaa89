"""Terms of a list against a loop over words, and lists that come from a file."""

import re
import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.errors import CuratorWarning, QueryError
from curator.functions import listed_terms
from curator.relation import Relation


def texts(*values) -> Relation:
    schema = {"corpus": pl.String, "id": pl.String, "text": pl.String}
    return Relation(pl.DataFrame([("c", str(i), text) for i, text in enumerate(values)], schema, orient="row"))


def answer(relation, terms):
    return [(row["found"], row["terms"]) for row in listed_terms(relation, terms).to_pylist()]


def words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", unicodedata.normalize("NFKC", text).lower()) if word]


WORD = st.sampled_from(["ab", "Ab", "b", "ab-b", "straße", "ﬁn", "fin", "don't", "t", "don"])
TEXT = st.lists(st.tuples(WORD, st.sampled_from([" ", "  ", ", ", "-", "_", "\n", "!"]))).map(
    lambda parts: "".join(word + mark for word, mark in parts)
)


@pytest.mark.filterwarnings("ignore:the term")
@given(st.lists(TEXT, min_size=1, max_size=4), st.lists(TEXT.filter(lambda t: words(t)), min_size=1, max_size=5))
def test_terms_are_runs_of_whole_words(documents, terms):
    lines = [term.replace(",", " ").replace("\n", " ") for term in terms]
    sought = {tuple(words(line)) for line in lines}
    expected = []
    for text in documents:
        own = words(text)
        hits = [term for term in sought for at in range(len(own)) if tuple(own[at : at + len(term)]) == term]
        expected.append((len(hits), ", ".join(sorted({" ".join(term) for term in hits})) or None))
    assert answer(texts(*documents), "\n".join(lines)) == expected


def test_scripts_without_spaces_missing_texts_and_long_lists():
    assert answer(texts("这该死的天气,该死", None, ""), "该死") == [(2, "该死"), (0, None), (0, None)]
    many = "\n".join(f"term{i}" for i in range(20_000))
    assert answer(texts("has term19999 and term1 term1", "term20000"), many) == [(3, "term1, term19999"), (0, None)]


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        ("", "list has no term"),
        (" ,\n", "list has no term"),
        ("darn, 🖕", "the term '🖕' has no letter or digit"),
        (3, "terms is 3"),
    ],
)
def test_errors(terms, told):
    with pytest.raises(QueryError, match=told):
        listed_terms(texts("a"), terms)


def test_a_term_that_shrinks_to_a_letter_is_told():
    with pytest.warns(CuratorWarning, match=r"the term 'C\+\+' is looked for as 'c'"):
        assert answer(texts("vitamin C"), "C++") == [(1, "c")]
