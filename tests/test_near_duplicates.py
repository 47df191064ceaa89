"""Near duplicates by wording against Python's sets and a plain walk over all pairs."""

import re
import unicodedata
import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.documents import normalise
from curator.errors import CuratorWarning, QueryError
from curator.functions import FUNCTIONS, _minhash, near_duplicates
from curator.nearest import Tools, rewrite
from curator.relation import Relation
from curator.session import Session


def documents(texts, *, corpora=("a", "b"), seed=None) -> Relation:
    """Texts in corpora by turns, the source that of the corpus; shuffled when there is a seed."""
    n = len(texts)
    corpus = [corpora[i % len(corpora)] for i in range(n)]
    columns = {"corpus": corpus, "id": [f"d{i:06}" for i in range(n)], "source": corpus, "text": list(texts)}
    relation = Relation(pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)))
    return relation if seed is None else relation.take(np.random.default_rng(seed).permutation(n))


def shingles(text: str | None, n: int) -> set[str] | None:
    """By Python: None for no text."""
    words = normalise(text or "")
    return {words[i : i + n] for i in range(max(1, len(words) - n + 1))} if words else None


def jaccard(one: set | None, other: set | None) -> float:
    return len(one & other) / len(one | other) if one and other else 0.0


def key(row: dict) -> tuple:
    return row["corpus"], row["id"]


def greedy(relation: Relation, least: float, n: int, priority: list[str]) -> dict:
    """The leader rule as it is told: walk in order, look at every leader so far."""
    rows = relation.frame.to_dicts()
    rows.sort(key=lambda r: (priority.index(r["source"]) if r["source"] in priority else len(priority), *key(r)))
    found, result = [], {}
    for row in rows:
        own = shingles(row["text"], n)
        close = [(jaccard(own, other), leader) for leader, other in found]
        best = max((pair for pair in close if pair[0] >= least), key=lambda pair: pair[0], default=None)
        if best is None:
            found.append((key(row), own))
        result[key(row)] = best and (*best[1], best[0])
    return result


def answer(table) -> dict:
    return {
        key(row): row["leader_id"] and (row["leader_corpus"], row["leader_id"], row["similarity"])
        for row in table.to_pylist()
    }


# Few words, so that texts are near, equal but for case and punctuation, too short for a run, or nothing at all.
WORDS = st.lists(
    st.sampled_from(["card", "Card!", "lost", "los", "a", "my", "abroad", "ａbroad", "卡", "卡片", "?"]), max_size=7
)
TEXTS = st.lists(st.one_of(WORDS.map(" ".join), st.sampled_from([None, "", " \n", "?!", "ab", "a"])), max_size=24)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    texts=TEXTS,
    least=st.sampled_from([0.3, 0.5, 0.8, 1.0]),
    ngram=st.sampled_from([1, 3, 5]),
    priority=st.sampled_from([[], ["b"], ["b", "a"]]),
    seed=st.integers(0, 9),
    pairs=st.sampled_from([1, 5, 1 << 20]),
)
def test_near_duplicates_is_the_greedy_leader_rule(texts, least, ngram, priority, seed, pairs):
    relation = documents(texts, seed=seed)
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore", CuratorWarning)  # a source that has no document in this example
        patch.setitem(near_duplicates.__globals__, "PAIRS", pairs)  # the package has the function by the module's name
        patch.setattr(_minhash, "MISSED", 1e-9)  # all pairs: the rule is looked at here, not the chance to find them
        patch.setattr(_minhash, "CELLS", 40)
        patch.setattr(_minhash, "SHINGLES", 50)
        patch.setattr(_minhash, "TEXTS", 3)
        patch.setitem(near_duplicates.__globals__, "TEXTS", 3)
        names = ", ".join(priority) or None
        table = near_duplicates(relation, min_jaccard=least, ngram=ngram, permutations=256, priority=names, seed=seed)
    assert table.select(["corpus", "id"]).to_pylist() == relation.frame.select("corpus", "id").to_dicts()
    found = answer(table)
    assert found == greedy(relation, least, ngram, priority)
    # The promise itself, without an algorithm.
    sets = {key(row): shingles(row["text"], ngram) for row in relation.frame.to_dicts()}
    kept = [one for one, leader in found.items() if leader is None]
    assert all(jaccard(sets[a], sets[b]) < least for a in kept for b in kept if a != b)
    assert all(leader is None or (leader[:2] in kept and leader[2] >= least) for leader in found.values())


def test_signatures_agree_as_often_as_the_sets_overlap():
    texts = ["".join(chr(0x4E00 + c) for c in range(start, start + 100)) for start in (0, 10, 25, 50, 80, 100)]
    sets = _minhash.shingle_sets(pl.Series(texts), 1)
    found = _minhash.signatures(sets, 4_000, seed=1)
    for i, start in enumerate((0, 10, 25, 50, 80, 100)):
        true = (100 - start) / (100 + start)
        assert len(set(texts[0]) & set(texts[i])) / len(set(texts[0]) | set(texts[i])) == true
        # Five standard deviations of a share of 4,000.
        assert abs((found[:, 0] == found[:, i]).mean() - true) <= 5 * np.sqrt(true * (1 - true) / 4_000)
    other = _minhash.signatures(sets, 4_000, seed=2)
    assert (found == other).mean() < 0.01


def test_pairs_share_a_band_as_often_as_the_formula_says():
    # 2,000 pairs of sets, the same overlap in each: 100 characters of their own, 60 or 80 of them in the other too.
    rng = np.random.default_rng(0)
    for shared in (60, 80, 95):
        texts = []
        for _ in range(2_000):
            characters = rng.permutation(20_000)[: 200 - shared] + 0x4E00
            one, other = characters[:100], characters[100 - shared :]
            texts += ["".join(map(chr, one)), "".join(map(chr, other))]
        bands = _minhash.banding(0.8, 128)
        assert (bands.bands, bands.rows) == (21, 6)
        share = _minhash.buckets(_minhash.band_keys(pl.Series(texts), 1, bands, seed=0))
        met = np.diff(share[0::2].multiply(share[1::2]).indptr) > 0
        expected = 1 - (1 - (shared / (200 - shared)) ** 6) ** 21
        assert abs(met.mean() - expected) <= 5 * np.sqrt(expected * (1 - expected) / 2_000) + 1e-9


def test_banding_has_the_most_rows_that_miss_at_most_one_pair_in_100():
    assert _minhash.Banding(21, 6).missed(0.8) == pytest.approx(0.0017, abs=1e-4)
    assert _minhash.Banding(21, 6).missed(0.9) == pytest.approx(1.2e-7, rel=0.1)
    for least in (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0):
        bands = _minhash.banding(least, 128)
        assert bands.bands * bands.rows <= 128
        assert (1 - least**bands.rows) ** bands.bands <= 0.01
        more = bands.rows + 1
        assert more > 128 or (1 - least**more) ** (128 // more) > 0.01


def test_normalised_is_pythons_but_for_a_final_sigma():
    texts = ["  Don’t\u00a0PANIC—now… ", "ﬁve ＡＢ", "?!", " :) ", "a\t\n b", "卡片。", "É e\u0301", "x - y", "Straße"]
    assert _minhash.normalised(pl.Series(texts)).to_list() == [normalise(text) for text in texts]
    assert _minhash.normalised(pl.Series([None, "", " \n\u00a0"], dtype=pl.String)).to_list() == [None] * 3


def test_shingles_are_those_of_the_texts_one_by_one():
    texts = ["abcabcabc", "ab", "", "é𝄞卡x", "abc", "aaaaaa" * 100]
    for n in (1, 3, 4):
        sets = _minhash.shingle_sets(pl.Series(texts), n)
        expected = [len({t[i : i + n] for i in range(max(1, len(t) - n + 1))}) for t in texts]
        assert np.diff(sets.indptr).tolist() == expected
        i, j = np.triu_indices(len(texts))
        pairs = [jaccard(*({t[s : s + n] for s in range(max(1, len(t) - n + 1))} for t in (texts[a], texts[b])))
                 for a, b in zip(i, j, strict=True)]  # fmt: skip
        pairs = [1.0 if a == b else pair for a, b, pair in zip(i, j, pairs, strict=True)]
        assert _minhash.jaccard(sets, i, j).tolist() == pairs


def test_nothing_and_no_text():
    assert near_duplicates(documents([])).num_rows == 0
    assert set(answer(near_duplicates(documents([None, "", "  ", None]))).values()) == {None}


def test_one_text_many_times_and_a_template_cost_no_square():
    number = 30_000
    texts = ["the same text again"] * number + [
        f"your parcel number {i:06} has left our warehouse and will be at your door within two working days"
        for i in range(number)
    ]
    with pytest.warns(CuratorWarning, match=r"100% of the 60,000 documents of source 'a'"):
        table = near_duplicates(documents(texts, corpora=("a",)), min_jaccard=0.7)
    found = pl.DataFrame(table)
    assert found.filter(pl.col("leader_id").is_null())["id"].to_list() == ["d000000", "d030000"]
    assert found["similarity"].min() >= 0.7


def test_a_bucket_of_unlike_texts_is_told(monkeypatch):
    texts = [f"{i:04}{2 * i + 7:05}" + "a common end" for i in range(300)]
    monkeypatch.setitem(near_duplicates.__globals__, "MANY", 20)
    with pytest.warns(CuratorWarning, match=r"the time grows with the square"):
        near_duplicates(documents(texts))


def test_missed_pairs_are_estimated(monkeypatch):
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(400):  # 100 characters, 89 of them in both: a Jaccard similarity of 89 / 111
        characters = rng.permutation(20_000)[:111] + 0x4E00
        texts += ["".join(map(chr, characters[:100])), "".join(map(chr, characters[11:]))]
    bands = _minhash.Banding(8, 16)  # misses 79 in 100 such pairs
    monkeypatch.setitem(near_duplicates.__globals__, "banding", lambda *_: bands)
    with pytest.warns(CuratorWarning, match=r"missed an estimated \d+ pairs") as told:
        table = near_duplicates(documents(texts, corpora=("a",)), ngram=1)
    missing = 400 - (table.num_rows - table["leader_id"].null_count)
    message = next(str(one.message) for one in told if "missed" in str(one.message))
    estimate = int(re.search(r"estimated (\d+)", message)[1])
    assert missing > 50
    assert abs(estimate - missing) <= 5 * np.sqrt(missing)


def test_order_of_rows_and_seed():
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(40)]
    texts = [" ".join(rng.choice(words, 8)) for _ in range(300)]
    texts += [text + " too" for text in texts[:50]]
    first = answer(near_duplicates(documents(texts), min_jaccard=0.6))
    assert 50 <= sum(leader is not None for leader in first.values()) < 100
    assert answer(near_duplicates(documents(texts, seed=4), min_jaccard=0.6)) == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_jaccard": 0}, r"min_jaccard is 0"),
        ({"min_jaccard": 80}, r"min_jaccard is 80"),
        ({"min_jaccard": 0.02}, r"128 permutations miss more than 1 %"),
        ({"ngram": 0}, r"ngram is 0"),
        ({"permutations": 1.5}, r"permutations is 1.5"),
        ({"seed": -1}, r"seed is -1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(QueryError, match=message):
        near_duplicates(documents(["a"]), **arguments)


@pytest.mark.parametrize("column", ["corpus", "id", "text"])
def test_missing_columns_are_named(column):
    relation = documents(["a"])
    with pytest.raises(QueryError, match=f"near_duplicates needs a column '{column}'"):
        near_duplicates(relation.with_frame(relation.frame.drop(column)))


def test_from_sql():
    relation = documents(["my card is lost", "My card is lost!", "my card is found"])
    tools = Tools({"docs": relation}, FUNCTIONS)
    query = "SELECT id FROM near_duplicates('docs', min_jaccard := $least) WHERE leader_id IS NULL ORDER BY id"
    assert rewrite(Session(), query, {"least": 0.9}, tools).fetch().column(0).to_pylist() == ["d000000", "d000002"]


def test_normalised_of_sql_and_of_near_duplicates_agree_on_plain_text():
    texts = [unicodedata.normalize("NFC", t) for t in ("  Don’t\u00a0PANIC—now… ", "?!", "卡片。", "x - y", "É")]
    tools = Tools({"docs": Relation(pl.DataFrame({"text": texts}))}, FUNCTIONS)
    got = rewrite(Session(), "SELECT normalised(text) FROM docs", {}, tools).fetch().column(0).to_pylist()
    assert _minhash.normalised(pl.Series(texts)).to_list() == got


def test_a_copy_of_a_dropped_text_may_have_a_later_and_more_similar_leader():
    found = answer(
        near_duplicates(documents(["abc", "abcde", "abcdef", "ABCDE!"], corpora=("a",)), min_jaccard=0.6, ngram=1)
    )
    expected = [None, ("a", "d000000", 3 / 5), None, ("a", "d000002", 5 / 6)]
    assert list(found.values()) == expected


def test_of_equally_similar_leaders_the_first_counts():
    found = answer(near_duplicates(documents(["ab", "cd", "abcd"], corpora=("a",)), min_jaccard=0.5, ngram=1))
    assert list(found.values()) == [None, None, ("a", "d000000", 0.5)]
