"""Documents of the same text, against a dictionary of normalised texts."""

import warnings

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.documents import normalise
from curator.errors import CuratorWarning, QueryError
from curator.functions import exact_duplicates
from curator.relation import Relation

TEXTS = st.sampled_from(
    ["My card!", "my  card", "MY CARD?", "ﬁne", "fine", "?!", "?!", ":)", " ", "", None, "a", "A.", "Straße", "strasse"]
)


def relation(rows):
    schema = {"corpus": pl.String, "id": pl.String, "source": pl.String, "text": pl.String}
    return Relation(pl.DataFrame(rows, schema=schema, orient="row"))


@pytest.mark.filterwarnings("ignore:priority names:curator.errors.CuratorWarning")
@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), TEXTS), max_size=12), st.randoms())
def test_the_first_of_each_text_is_kept_and_named(drawn, random):
    rows = [(corpus, f"{i:02}", source, text) for i, (corpus, source, text) in enumerate(drawn)]
    random.shuffle(rows)
    first = {}
    for corpus, name, _, text in sorted(rows, key=lambda row: ("zxy".index(row[2]), row[0], row[1])):
        words = normalise(text or "")
        if words:
            first.setdefault(words, (corpus, name))
    got = pl.DataFrame(exact_duplicates(relation(rows), priority="z, x")).rows()
    for row, (corpus, name, *leader) in zip(rows, got, strict=True):
        assert (corpus, name) == row[:2]
        kept = first.get(normalise(row[3] or ""), row[:2])
        assert tuple(leader) == ((None, None) if kept == row[:2] else kept)


def test_a_source_that_loses_much_is_told():
    rows = [("c", f"{i:03}", "feed", f"text {i % 60}") for i in range(100)]
    with pytest.warns(CuratorWarning, match="40% of the 100 documents of source 'feed' are repeats of the same text"):
        exact_duplicates(relation(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exact_duplicates(relation(rows[:80]))  # 25 %


def test_priority_needs_a_source():
    with pytest.raises(QueryError, match="no column 'source'"):
        exact_duplicates(Relation(pl.DataFrame({"corpus": ["c"], "id": ["1"], "text": ["a"]})), priority="x")
