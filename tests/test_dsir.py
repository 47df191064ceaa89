"""DSIR's weights and its audit figure: against plain Python over n-grams as strings, and the authors' package."""

import itertools
import json
import math
import random
import zlib
from collections import Counter

import numpy as np
import polars as pl
import pytest

from curator.errors import QueryError
from curator.functions import dsir, kl_reduction
from curator.functions._ngrams import hashed_ngrams
from curator.relation import Relation

WORDS = [
    *("card", "abroad", "declined", "fee", "transfer", "balance", "top", "up", "limit", "refund", "lost"),
    *("pin", "code", "cash", "atm", "weather", "rain", "sun"),
]
BUCKETS = 1_000_003  # so many that the few n-grams here do not share one


def relation(texts, **columns):
    return Relation(pl.DataFrame({"corpus": "c", "id": [f"{i}" for i in range(len(texts))], "text": texts, **columns}))


def sentences(count, seed, words=WORDS, least=1, most=12):
    draw = random.Random(seed)
    return [" ".join(draw.choices(words, k=draw.randint(least, most))) for _ in range(count)]


def grams(text, n=2):
    words = text.split()
    return [" ".join(words[i : i + k]) for k in range(1, n + 1) for i in range(len(words) - k + 1)]


def weights(target, candidates, smoothing, n=2):
    """(log weight, n-grams, score) of each candidate, by the formula of the docstring, from counts of strings."""
    wanted = Counter(itertools.chain.from_iterable(grams(text, n) for text in target))
    pool = Counter(itertools.chain.from_iterable(grams(text, n) for text in candidates))
    there, mean = pool.total(), pool.total() / len(candidates)
    rows = []
    for text in candidates:
        log_weight = 0.0
        for gram in grams(text, n):
            share = pool[gram] / there
            log_weight += math.log((wanted[gram] + smoothing * share) / (wanted.total() + smoothing) / share)
        rows.append((log_weight, len(grams(text, n)), log_weight / (len(grams(text, n)) + mean)))
    return rows


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("smoothing", [0.5, 30.0, 30_000.0])
def test_weights_are_those_of_counted_strings(n, smoothing):
    target, candidates = sentences(20, 1, WORDS[:14]), sentences(200, 2)
    found = pl.DataFrame(dsir(relation(target), relation(candidates), ngrams=n, buckets=BUCKETS, smoothing=smoothing))
    expected = weights(target, candidates, smoothing, n)
    assert found["id"].to_list() == [f"{i}" for i in range(200)]
    assert found["ngrams"].to_list() == [count for _, count, _ in expected]
    np.testing.assert_allclose(found["log_weight"], [weight for weight, _, _ in expected], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found["score"], [score for _, _, score in expected], rtol=1e-9, atol=1e-12)


def test_weights_are_those_of_the_authors_package(tmp_path):
    """On documents of over 100 tokens whose n-grams the target has, where smoothing makes no difference."""
    from data_selection import HashedNgramDSIR

    candidates = sentences(60, 3, least=110, most=160)
    target = [*candidates[:20], *candidates[:20], *candidates]
    for name, texts in (("target", target), ("raw", candidates)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    theirs = HashedNgramDSIR(
        [str(tmp_path / "raw.jsonl")], [str(tmp_path / "target.jsonl")], str(tmp_path / "cache"), num_proc=1,
        num_buckets=BUCKETS,
    )  # fmt: skip
    theirs.fit_importance_estimator(num_tokens_to_fit="all")
    expected = [theirs.importance_estimator(theirs.featurizer(text)) for text in candidates]
    found = pl.DataFrame(dsir(relation(target), relation(candidates), buckets=BUCKETS, smoothing=1e-6))
    assert np.std(expected) > 1
    np.testing.assert_allclose(found["log_weight"], expected, rtol=1e-3, atol=1e-2)


def test_a_value_of_by_is_a_target_of_its_own():
    target, labels = sentences(30, 4), ["good", "bad", None] * 10
    found = pl.DataFrame(dsir(relation(target, label=labels), relation(sentences(50, 5)), by="label"))
    assert found["target"].to_list() == ["bad"] * 50 + ["good"] * 50
    for label in ("bad", "good"):
        own = [text for text, other in zip(target, labels, strict=True) if other == label]
        alone = pl.DataFrame(dsir(relation(own), relation(sentences(50, 5))))
        assert found.filter(pl.col("target") == label)["score"].to_list() == alone["score"].to_list()
        assert alone["target"].null_count() == 50


def test_short_and_empty_texts_are_weighed_and_length_is_no_merit():
    relevant, other = "card declined abroad", "rain sun weather"
    texts = ["", None, "...", "card", relevant, " ".join([relevant] * 30), " ".join([other] * 30)]
    pool = relation([*texts, *sentences(300, 6)])
    found = pl.DataFrame(dsir(relation(["card declined abroad"] * 5), pool, smoothing=100.0))
    empty = found.head(2)
    assert empty["ngrams"].to_list() == [0, 0]
    assert empty["score"].to_list() == empty["log_weight"].to_list() == [0.0, 0.0]
    word, short, long, irrelevant = found["score"][3:7]
    assert irrelevant < 0 < word < short < long
    assert long < 4 * short  # where log w is 30 times as large
    assert found["log_weight"][5] > 25 * found["log_weight"][4]


def test_the_order_of_the_rows_makes_no_difference():
    texts = sentences(100, 7)
    forward = pl.DataFrame(dsir(relation(sentences(9, 8)), relation(texts)))
    backward = pl.DataFrame(dsir(relation(sentences(9, 8)[::-1]), relation(texts[::-1])))
    assert forward["score"].to_list() == backward["score"].to_list()[::-1]


def test_buckets_are_the_same_on_every_machine():
    """By the definition of the hash in whole numbers of Python."""
    mask = 2**64 - 1

    def mixed(value):
        value = value + 0x9E3779B97F4A7C15 & mask
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & mask
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB & mask
        return value ^ (value >> 31)

    def bucket(sums):
        value = len(sums)
        for crc in sums:
            value = mixed(value + mixed(crc) & mask)
        return value % 1000

    card, abroad, dot = (zlib.crc32(word.encode()) for word in ("card", "ärger", "!?"))
    unigrams, pairs = next(hashed_ngrams(pl.Series(["Card ÄRGER!?", "card"]), 2, 1000)).orders
    assert unigrams[0].tolist() == [bucket([card]), bucket([abroad]), bucket([dot]), bucket([card])]
    assert pairs[0].tolist() == [bucket([card, abroad]), bucket([abroad, dot])]
    assert [part[1].tolist() for part in (unigrams, pairs)] == [[3, 1], [2, 0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ngrams": 0}, "ngrams is 0"), ({"buckets": 1}, "buckets is 1"), ({"smoothing": 0.0}, "smoothing is 0.0"),
        ({"smoothing": math.nan}, "smoothing is nan"), ({"by": "label"}, "by is 'label'"),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(arguments, message):
    with pytest.raises(QueryError, match=message):
        dsir(relation(["a b"]), relation(["a"]), **arguments)


def test_relations_that_cannot_be_weighed_are_refused():
    with pytest.raises(QueryError, match="no text with a word"):
        dsir(relation([" "]), relation(["a"]))
    with pytest.raises(QueryError, match="needs a column 'text'"):
        dsir(Relation(pl.DataFrame({"id": ["1"]})), relation(["a"]))
    with pytest.raises(QueryError, match="not strings"):
        dsir(relation([1]), relation(["a"]))
    assert pl.DataFrame(dsir(relation(["a"]), relation([]).with_frame(relation(["a"]).frame.head(0)))).is_empty()


def counts(texts):
    found = np.zeros(10_000)
    for part in hashed_ngrams(pl.Series(texts), 2, 10_000):
        for places, _ in part.orders:
            np.add.at(found, places, 1)
    return found


def divergence(target, other):
    one, two = target / target.sum(), other / other.sum()
    return sum(float(a * math.log(a / b)) for a, b in zip(one, two, strict=True) if a)


def test_kl_reduction_is_the_difference_of_two_divergences():
    target, pool = sentences(40, 9, WORDS[:8]), [*sentences(300, 10), *sentences(60, 11, WORDS[:8])]
    row = pl.DataFrame(kl_reduction(relation(target), relation(pool), relation(pool[300:]))).row(0, named=True)
    smoothed = counts(pool) + 1e-4
    expected = divergence(counts(target), smoothed)
    selected = divergence(counts(target), counts(pool[300:]) + 1_000 * smoothed / smoothed.sum())
    assert row["kl_pool"] == pytest.approx(expected)
    assert row["kl_selected"] == pytest.approx(selected)
    assert row["reduction"] == pytest.approx(expected - selected)
    assert row["reduction"] > 3 * abs(row["random_reduction"])
    assert row["documents"] == 40


def test_kl_reduction_of_each_target_and_of_everything():
    target, pool = relation(sentences(20, 12), label=["a", "b"] * 10), relation(sentences(80, 13))
    found = pl.DataFrame(kl_reduction(target, pool, pool, by="label"))
    assert found["target"].to_list() == ["a", "b"]
    assert found["reduction"].to_list() == found["random_reduction"].to_list()
    assert found["kl_pool"].n_unique() == 2


def test_kl_reduction_refuses_what_it_cannot_compare():
    one, two = relation(["a"]), relation(["a", "b"])
    with pytest.raises(QueryError, match="2 documents are selected of 1"):
        kl_reduction(one, one, two)
    with pytest.raises(QueryError, match="selected has no rows"):
        kl_reduction(one, one, one.with_frame(one.frame.head(0)))
