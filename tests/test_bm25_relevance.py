"""BM25 against the formula, document by document, and against bm25s as it ranks."""

import math
import sys
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.errors import QueryError
from curator.functions import bm25, bm25_relevance
from curator.relation import Relation


def documents(corpus, texts) -> Relation:
    schema = {"corpus": pl.String, "id": pl.String, "text": pl.String}
    return Relation(pl.DataFrame([(corpus, f"{i:03}", text) for i, text in enumerate(texts)], schema, orient="row"))


def by_formula(asked: list[str | None], texts: list[str | None]) -> list[tuple[float, int | None]]:
    """The docstring's, with loops and exact sums."""
    words = [(text or "").split() for text in texts]
    n, mean = len(words), sum(map(len, words)) / len(words)
    holders = Counter(word for own in words for word in set(own))
    idf = {w: math.log(1 + (n - holders[w] + 0.5) / (holders[w] + 0.5)) for t in asked for w in (t or "").split()}
    result = []
    for own in words:
        best, partner = 0.0, None
        for row, question in enumerate(asked):
            sought = (question or "").split()
            length = 1 - 0.75 + 0.75 * len(own) / mean if mean else 1
            score = math.fsum(idf[w] * own.count(w) / (own.count(w) + 1.5 * length) for w in sought)
            own_length = 1 - 0.75 + 0.75 * len(sought) / mean if mean else 1
            most = math.fsum(idf[w] * sought.count(w) / (sought.count(w) + 1.5 * own_length) for w in sought)
            if most and round(score / most, 5) > round(best, 5):
                best, partner = score / most, row
        result.append((round(best, 4), partner))
    return result


TEXTS = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=8).map(" ".join) | st.none(), min_size=1, max_size=8)


@given(TEXTS, TEXTS, st.integers(1, 20))
def test_scores_are_those_of_the_formula(asked, texts, cells):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[bm25_relevance.__module__], "CELLS", cells)
        got = bm25_relevance(documents("t", asked), documents("c", texts)).to_pylist()
    expected = by_formula(asked, texts)
    assert [row["id"] for row in got] == [f"{i:03}" for i in range(len(texts))]
    assert [(row["score"], row["partner_id"] is None) for row in got] == [
        (pytest.approx(score, abs=2e-4), partner is None) for score, partner in expected
    ]
    for row, (score, _) in zip(got, expected, strict=True):  # of nearly equal ones single precision may decide
        if row["partner_id"] is not None:
            alone = by_formula([asked[int(row["partner_id"])]], texts)[int(row["id"])]
            assert alone[0] == pytest.approx(score, abs=2e-4)


def test_one_question_ranks_as_bm25_does():
    rng = np.random.default_rng(2)
    words = [f"w{i}" for i in range(60)]
    pool = documents("c", [" ".join(rng.choice(words, rng.integers(3, 30))) for _ in range(300)])
    question = "w1 w2 w3 w3 w59 unknown"
    hits = bm25(pool, question, k=300).to_pylist()
    found = {row["id"]: row for row in bm25_relevance(documents("t", [question]), pool).to_pylist()}
    assert {row["id"] for row in hits} == {name for name, row in found.items() if row["score"] > 0}
    ratio = [found[row["id"]]["score"] / row["score"] for row in hits]
    assert np.ptp(ratio) < 1e-6  # the same but for what the question can reach at most
    assert all(row["score"] >= 0 and row["partner_id"] in ("000", None) for row in found.values())


def test_a_copy_scores_one():
    texts = ["the card was declined", "a room with a view of a wall", "view", "card card card card"]
    target = documents("t", [texts[1], texts[0], "zebra quagga", "quagga"])
    rows = bm25_relevance(target, documents("c", texts)).to_pylist()
    assert [row["score"] for row in rows[:2]] == [pytest.approx(1, abs=1e-6)] * 2
    assert [row["partner_id"] for row in rows[:2]] == ["001", "000"]
    assert 0 < rows[2]["score"] < 1


def test_nothing_in_common_and_nothing_to_ask():
    pool = documents("c", ["a b", "", None])
    for asked in ([], [""], ["x y"], [None]):
        rows = bm25_relevance(documents("t", asked), pool).to_pylist()
        assert [(row["score"], row["partner_id"]) for row in rows] == [(0, None)] * 3
    assert bm25_relevance(documents("t", ["a"]), documents("c", [])).num_rows == 0
    with pytest.raises(QueryError, match="target needs a column 'corpus'"):
        bm25_relevance(Relation(pl.DataFrame({"id": ["1"], "text": ["a"]})), pool)
