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
WORDS = st.lists(st.sampled_from(["card", "Card!", "lost", "los", "a", "my", "abroad", "ａbroad", "卡", "卡片", "?"]), max_size=7)
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
