"""Runs of words in common, against a comparison of every pair, and what decontamination could look for."""

import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.errors import QueryError
from curator.functions import decontamination_coverage, shared_runs
from curator.relation import Relation
from curator.vectors import Vectors


def relation(name, texts, vectors=None):
    frame = pl.DataFrame(
        {"corpus": [name] * len(texts), "id": [f"{name}{i}" for i in range(len(texts))], "text": texts},
        schema={"corpus": pl.String, "id": pl.String, "text": pl.String},
    )
    return Relation(frame, vectors)


def found(candidates, held_out, **settings):
    return pl.DataFrame(shared_runs(relation("c", candidates), relation("h", held_out), **settings)).to_dicts()


def runs(words, n):
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def by_every_pair(candidates, held_out, ngram, min_words):
    """(candidate, partner, shared, share) by sets of tuples of words."""
    rows = []
    for i, text in enumerate(candidates):
        best = None
        for j, other in enumerate(held_out):
            words = other.split()
            if len(words) < min(min_words, ngram):
                continue
            n = min(ngram, len(words))
            wanted = runs(words, n)
            shared = len(wanted & runs(text.split(), n))
            if shared and (best is None or shared / len(wanted) > best[3]):
                best = (f"c{i}", f"h{j}", shared, shared / len(wanted))
        rows += [best] if best else []
    return rows


TEXTS = st.lists(st.lists(st.sampled_from("abc"), max_size=9).map(" ".join), max_size=6)


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS, st.integers(1, 5), st.integers(1, 5))
def test_the_runs_are_those_of_every_pair(candidates, held_out, ngram, min_words):
    got = found(candidates, held_out, ngram=ngram, min_words=min_words)
    kept = [(row["id"], row["partner_id"], row["shared"], pytest.approx(row["share"])) for row in got]
    assert kept == by_every_pair(candidates, held_out, ngram, min_words)
    for row in got:
        words = held_out[int(row["partner_id"][1:])].split()
        run = tuple(row["run"].split())
        assert len(run) == min(ngram, len(words))
        assert run in runs(words, len(run))
        assert run in runs(candidates[int(row["id"][1:])].split(), len(run))


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS, st.integers(1, 4))
def test_with_every_there_is_a_row_for_each_pair_with_a_run_in_common(candidates, held_out, ngram):
    got = found(candidates, held_out, ngram=ngram, min_words=1, every=True)
    alone = {
        row for j, other in enumerate(held_out)
        for row in by_every_pair(candidates, [""] * j + [other], ngram, 1)
    }  # fmt: skip
    assert [row["id"] for row in got] == sorted(row["id"] for row in got)
    assert {(row["id"], row["partner_id"], row["shared"], row["share"]) for row in got} == alone
    assert len(got) == len(alone)


def test_many_candidates_are_taken_in_blocks(monkeypatch):
    monkeypatch.setattr(sys.modules["curator.functions.shared_runs"], "BLOCK", 7)
    rng = np.random.default_rng(0)
    candidates = [" ".join(rng.choice(list("abcd"), 8)) for _ in range(100)]
    held_out = [" ".join(rng.choice(list("abcd"), 6)) for _ in range(20)]
    got = found(candidates, held_out, ngram=4)
    rows = [(row["id"], row["partner_id"], row["shared"], pytest.approx(row["share"])) for row in got]
    assert len(rows) > 50
    assert rows == by_every_pair(candidates, held_out, 4, 5)


def test_case_punctuation_and_full_width_letters_do_not_matter_and_characters_are_words_where_there_are_no_spaces():
    got = found(
        ["(ONE two-three: four; five!)", "我的卡不见了怎么办", "one two three four"],
        ["one two three four five.", "卡不见了怎"],
    )
    assert [(row["id"], row["partner_id"], row["run"]) for row in got] == [
        ("c0", "h0", "one two three four five"), ("c1", "h1", "卡 不 见 了 怎"),
    ]  # fmt: skip


def test_thirteen_words_of_a_long_text_are_enough_and_twelve_are_not():
    words = [f"w{i}" for i in range(40)]
    twelve, thirteen = " ".join(words[5:17]), " ".join(words[5:18])
    got = found([f"x {twelve} y", f"x {thirteen} y"], [" ".join(words)])
    assert [(row["id"], row["shared"], row["share"]) for row in got] == [("c1", 1, 1 / 28)]


def test_texts_that_are_null_have_no_runs():
    assert found([None, "a b c d e"], ["a b c d e", None]) == [
        {"corpus": "c", "id": "c1", "partner_corpus": "h", "partner_id": "h0", "shared": 1, "share": 1.0,
         "run": "a b c d e"}
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [("ngram", 0), ("min_words", 0), ("ngram", 1.5)])
def test_lengths_are_whole_numbers(name, value):
    with pytest.raises(QueryError, match=f"shared_runs: {name} is {value}"):
        found(["a"], ["a"], **{name: value})
    with pytest.raises(QueryError, match=f"decontamination_coverage: {name} is {value}"):
        decontamination_coverage(relation("h", ["a"]), **{name: value})


def test_coverage_counts_what_each_layer_can_look_for():
    vectors = Vectors.of(np.array([[0, 0], [1, 0], [0, 1], [1, 0]], np.float32))
    held_out = relation("h", ["a b c d e", "a b c d", "?", None], vectors)
    rows = pl.DataFrame(decontamination_coverage(held_out)).rows()
    assert rows == [("text", 3, 4), ("run", 1, 4), ("cosine", 3, 4)]
    assert pl.DataFrame(decontamination_coverage(held_out, ngram=3))["checked"].to_list() == [3, 2, 3]
    assert pl.DataFrame(decontamination_coverage(relation("h", ["a"])))["layer"].to_list() == ["text", "run"]
