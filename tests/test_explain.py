"""What an explanation says, and that the threshold it names would indeed have kept the document."""

import re

import pytest
from test_sql_cases import NEEDED, STAGES, defaults, run, some_documents, some_knowledge

from curator.mix.explain import sentence

ROW = {
    "stage": "relevance", "keep": False, "rule": "nearest target", "score": 0.3117, "threshold": 0.35, "rank": None,
    "partner_corpus": "target", "partner_id": "t1", "reason": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "parameters", "said"),
    [
        (
            {},
            {"min_score": 0.35},
            "relevance dropped it (nearest target): held against target:t1 “my card”, it scores 0.312 where 0.350 is "
            "needed; with min_score of at most 0.311 it would have stayed",
        ),
        (
            {"stage": "decontaminate", "rule": "near copy of test", "score": 0.9312, "threshold": 0.9},
            {"max_similarity": 0.9, "ngram": 13},
            "decontaminate dropped it (near copy of test): held against target:t1 “my card”, it scores 0.931 and the "
            "limit is 0.900; with max_similarity above 0.932 it would have stayed",
        ),
        (
            {"keep": True, "score": 0.7},
            {"min_score": 0.35},
            "relevance kept it (nearest target): held against target:t1 “my card”, it scores 0.700 and 0.350 is enough",
        ),
        (
            {"keep": True, "stage": "decontaminate", "rule": None, "threshold": 0.9},
            {},
            "decontaminate kept it: held against target:t1 “my card”, it scores 0.312, under the limit of 0.900",
        ),
        (
            {"stage": "gopher", "rule": "too few words", "partner_id": None, "score": 12.0, "threshold": 50.0},
            {"min_words": 50, "max_words": 100_000},
            "gopher dropped it (too few words): it scores 12 where 50 is needed; with min_words of at most 12 it would "
            "have stayed",
        ),
        (  # two settings have that value: it cannot be said which
            {"partner_id": None},
            {"one": 0.35, "other": 0.35},
            "relevance dropped it (nearest target): it scores 0.312 where 0.350 is needed; with a threshold of at most "
            "0.311 it would have stayed",
        ),
        (
            {"stage": "ratio", "rule": "over the quota of a", "partner_id": None, "rank": 1034, "threshold": 20.0},
            {"budget": 20},
            "ratio dropped it (over the quota of a): it scores 0.312, it came at rank 1,034 where 20 were to be kept",
        ),
        (  # a cosine of 1 is no quota
            {"stage": "pairing", "keep": True, "rule": None, "score": 1.0, "threshold": 1.0, "rank": 1},
            {"k": 5},
            "pairing kept it: held against target:t1 “my card”, it scores 1.000 and 1.000 is enough, it came at rank 1",
        ),
        (
            {"stage": "pairing", "keep": True, "rule": None, "score": 1.0, "threshold": 1.0, "rank": 3},
            {"k": 5},
            "pairing kept it: held against target:t1 “my card”, it scores 1.000 and 1.000 is enough, it came at rank 3",
        ),
        (
            {"stage": "ratio", "keep": True, "rule": None, "partner_id": None, "threshold": 1.0, "rank": 1},
            {"budget": 2},
            "ratio kept it: it scores 0.312, it came at rank 1 where 1 were to be kept",
        ),
        (
            {"stage": "labels", "rule": "no usable label", "partner_id": None, "score": None, "threshold": None}
            | {"reason": "it has no label"},
            {},
            "labels dropped it (no usable label) — it has no label",
        ),
        (
            {"stage": "deduplicate", "rule": "near duplicate", "partner_corpus": "pool", "score": 0.97}
            | {"threshold": 0.95},
            {"min_similarity": 0.95},
            "deduplicate dropped it (near duplicate): held against pool:t1 “my card”, it scores 0.970 and the limit is "
            "0.950; with min_similarity above 0.970 that document would not have been in its way",
        ),
        (
            {"stage": "exact_duplicates", "rule": "same text", "score": None, "threshold": None},
            {},
            "exact_duplicates dropped it (same text): held against target:t1 “my card”",
        ),
    ],
)
def test_a_verdict_in_words(row, parameters, said):
    row = ROW | row
    assert sentence(row, "my card" if row["partner_id"] else None, parameters) == said


CHANGED = {
    "deduplicate": {"min_similarity": 0.7},
    "decontaminate": {"max_similarity": 0.8},
    "near_duplicates": {"min_jaccard": 0.5},
    "relevance": {"k": 3},
    "gopher": {"min_words": 2, "min_lettered": 0.0, "min_stop_words": 0},
    "quality": {"min_words": 4},
    "c4": {"min_sentences": 0},
    "fineweb": {"min_sentence_lines": -1.0, "short": 12},
    "dsir": {"min_score": 0.0},
}
REMEDY = re.compile(r"; with (\w+) (above|of at most) (-?[\d.,]+) (it would have stayed|that document .* in its way)$")


@pytest.mark.parametrize("stage", STAGES)
def test_the_threshold_that_is_named_would_have_kept_the_document(stage):
    tables = {  # candidates are called as they are in a pool, which no other relation is
        name: some_documents(name, n, n) for name, n in {"target": 12, "dev": 5, "test": 9, "candidates": 80}.items()
    } | some_knowledge()
    parameters = defaults(STAGES[stage]) | NEEDED.get(stage, {}) | CHANGED.get(stage, {})
    verdicts, _ = run(stage, tables, **parameters)
    absent = dict.fromkeys(ROW, None) | {"stage": stage}
    dropped = [absent | row for row in verdicts.to_dicts() if not row["keep"]]
    tried = 0
    for row in dropped:
        remedy = REMEDY.search(sentence(row, None, parameters))
        if remedy is None or remedy[1] == "a":
            continue
        name, side, number, _ = remedy.groups()
        value = float(number.replace(",", ""))
        value += 1e-6 if side == "above" else 0
        if isinstance(parameters[name], int):
            value = int(value) + (side == "above")
        again, _ = run(stage, tables, **parameters | {name: value})
        now = again.filter(corpus=row["corpus"], id=row["id"]).row(0, named=True)
        partner = [now.get("partner_corpus"), now.get("partner_id")]
        free = now["keep"] or now["rule"] != row["rule"]
        if remedy[4] != "it would have stayed":
            free |= partner != [row["partner_corpus"], row["partner_id"]]
        assert free, (row, remedy[0], now)
        tried += 1
        if tried == 3:
            break
    assert tried or stage not in {"relevance", "relevance_label", "relevance_centroid", "deduplicate"}
