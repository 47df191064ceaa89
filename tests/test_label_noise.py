"""The stage label_noise against its rule by brute force in NumPy, and shown to find labels that were flipped."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.documents import normalise
from curator.errors import QueryError
from curator.relation import Relation
from curator.session import Session, sql_folder
from curator.stages import Stage, run
from curator.vectors import Vectors

SESSION = Session()
STAGE = Stage.load("label_noise", sql_folder())


def relation(name, matrix, labels, texts=None):
    ids = [f"{name}{i:04}" for i in range(len(matrix))]
    schema = {"corpus": pl.String, "id": pl.String, "text": pl.String, "label": pl.String}
    frame = pl.DataFrame({"corpus": name, "id": ids, "text": texts or ids, "label": labels}, schema=schema)
    return Relation(frame, Vectors.of(np.asarray(matrix, np.float32).reshape(len(matrix), -1), unit=True))


def verdicts(candidates, target, **parameters):
    found = run(STAGE, STAGE.bind(parameters, seed=0), {"candidates": candidates, "target": target}, SESSION)
    return found.frame


def blobs(n, labels, dimension=8, spread=0.6, seed=0):
    """Unit rows around one direction for each label, and which it is."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, labels, n)
    rows = np.eye(dimension)[y] + spread * rng.normal(size=(n, dimension)) / np.sqrt(dimension)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), y


def suspects(candidates, target, k, min_share, max_similarity):
    """{id: (share, threshold, rival, partner)} by loops: each text looks at all others."""
    rows = [
        {"row": row, "words": normalise(row["text"]), "vector": vector.astype(np.float64), "judged": judged}
        for part, judged in ((candidates, True), (target, False))
        for row, vector in zip(part.frame.to_dicts(), part.vectors.matrix(), strict=True)
        if row["label"] is not None
    ]
    texts = {}
    for one in sorted(rows, key=lambda one: (one["row"]["corpus"], one["row"]["id"])):
        texts.setdefault(one["words"], {"vector": one["vector"], "labels": [], "first": one["row"]})
        texts[one["words"]]["labels"].append(one["row"]["label"])
    shares, partners = {}, {}
    for words, text in texts.items():
        cosine = {other: float(text["vector"] @ texts[other]["vector"]) for other in texts}
        nearest = sorted(cosine, key=lambda other: -cosine[other])[:k]
        votes = [other for other in nearest if other != words and cosine[other] <= max_similarity]
        tally, partner = {}, {}
        for other in votes:
            for label in sorted(set(texts[other]["labels"])):
                part = texts[other]["labels"].count(label) / len(texts[other]["labels"])
                tally[label] = tally.get(label, 0.0) + part * max(cosine[other], 0.0)
                partner.setdefault(label, texts[other]["first"]["id"])
        if sum(tally.values()) > 0:
            shares[words] = {label: tally[label] / sum(tally.values()) for label in tally}
            partners[words] = partner
    labels = {row["row"]["label"] for row in rows}
    usual = {}
    for label in labels:
        own = [shares[words].get(label, 0.0) for words in shares if label in texts[words]["labels"]]
        usual[label] = float(np.mean(own)) if own else None
    found = {}
    for one in rows:
        if not one["judged"] or one["words"] not in shares:
            continue
        label, share = one["row"]["label"], shares[one["words"]]
        own = share.get(label, 0.0)
        rivals = [
            (-round(value, 9), name)
            for name, value in share.items()
            if name != label and value > own + 1e-9 and value >= usual[name] - 1e-9
        ]
        wrong = bool(rivals) and own < min_share * usual[label] - 1e-9
        rival = min(rivals)[1] if wrong else None
        found[one["row"]["id"]] = (own, min_share * usual[label], rival, partners[one["words"]].get(rival))
    return found


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000), n=st.integers(2, 40), t=st.integers(0, 6), labels=st.integers(2, 4),
    k=st.sampled_from([2, 5, 12, 60]), min_share=st.sampled_from([0.3, 0.6, 1.0]),
    max_similarity=st.sampled_from([0.9, 1.0]), copies=st.booleans(),
)  # fmt: skip
def test_the_rule_is_that_of_brute_force(seed, n, t, labels, k, min_share, max_similarity, copies):
    rng = np.random.default_rng(seed)
    rows, y = blobs(n + t, labels, spread=1.5, seed=seed)
    texts = [f"Text {i}." for i in range(n + t)]
    if copies:
        for i in range(0, n + t - 1, 3):  # the same vector and, but for case, the same text
            rows[i + 1], texts[i + 1] = rows[i], texts[i].upper()
    names = [None if rng.random() < 0.1 else "abcd"[label] for label in y]
    candidates = relation("c", rows[:n], names[:n], texts[:n])
    target = relation("t", rows[n:], names[n:], texts[n:]) if t else relation("t", rows[:1], [None], texts[:1])
    found = verdicts(candidates, target, k=k, min_share=min_share, max_similarity=max_similarity)
    expected = suspects(candidates, target, k, min_share, max_similarity)
    for row in found.to_dicts():
        share, threshold, rival, partner = expected.get(row["id"], (None, None, None, None))
        assert row["score"] == pytest.approx(share, abs=1e-5), row
        assert row["threshold"] == pytest.approx(threshold, abs=1e-5), row
        assert (row["keep"], row["rule"]) == (rival is None, rival and f"neighbours say {rival}"), row
        assert row["partner_id"] == partner, row


def test_flipped_labels_are_found_and_hardly_any_other():
    rows, y = blobs(1200, 4, seed=1)
    rng = np.random.default_rng(2)
    flipped = rng.random(1200) < 1 / 8
    noisy = np.where(flipped, (y + rng.integers(1, 4, 1200)) % 4, y)
    found = verdicts(relation("c", rows, ["abcd"[i] for i in noisy]), relation("t", rows[:1], ["a"]))
    dropped = ~found["keep"].to_numpy()
    assert (dropped & flipped).sum() > 0.95 * flipped.sum()
    assert (dropped & flipped).sum() > 0.95 * dropped.sum()
    said = found.filter(~pl.col("keep"))["rule"].to_list()
    right = [f"neighbours say {'abcd'[label]}" for label in y[dropped]]
    assert np.mean([one == other for one, other in zip(said, right, strict=True)]) > 0.95


def test_copies_of_a_wrong_label_do_not_vouch_for_it():
    """Twenty copies of one text, more than there are neighbours looked at, all with the same wrong label."""
    rows, y = blobs(300, 2, seed=3)
    texts = [f"text {i}" for i in range(300)]
    labels = ["ab"[i] for i in y]
    copy = int(np.flatnonzero(y == 0)[0])
    for i in range(20):
        rows[i], labels[i], texts[i] = rows[copy], "b", f"{' ' * i}The same text{'!' * i}"
    found = verdicts(relation("c", rows, labels, texts), relation("t", rows[:1], [None]), k=10)
    assert not found["keep"][:20].any()
    assert found["rule"][:20].to_list() == ["neighbours say a"] * 20
    assert found["keep"][20:].mean() > 0.95


def test_a_text_that_says_both_is_judged_by_the_others():
    rows, y = blobs(300, 2, spread=0.3, seed=4)
    texts, labels = [f"text {i}" for i in range(300)], ["ab"[i] for i in y]
    texts[0], texts[1], rows[1], labels[0], labels[1] = "One", "one", rows[0], "a", "b"
    found = verdicts(relation("c", rows, labels, texts), relation("t", rows[:1], [None]), k=10)
    wrong = 1 if y[0] == 0 else 0
    assert not found["keep"][wrong]
    assert found["keep"][1 - wrong]


def test_a_label_that_is_hard_to_tell_does_not_lose_everything():
    """Class c lies among a and b, so that its own share is never large: a majority would drop nearly all of it."""
    rows, y = blobs(900, 2, seed=5)
    hard = np.random.default_rng(6).random(900) < 0.15
    labels = ["c" if is_hard else "ab"[label] for is_hard, label in zip(hard, y, strict=True)]
    found = verdicts(relation("c", rows, labels), relation("t", rows[:1], [None]), k=30)
    majority = found["score"].to_numpy() < 0.5
    assert majority[hard].mean() > 0.95
    assert found["keep"].to_numpy()[hard].mean() > 0.5


def test_too_many_documents_are_refused_with_an_estimate():
    rows, y = blobs(12, 2)
    candidates = relation("c", rows, ["ab"[i] for i in y])
    assert len(verdicts(candidates, relation("t", rows[:1], ["a"]), max_documents=13)) == 12
    with pytest.raises(
        QueryError, match="13 documents have a label and max_documents is 12: two cores take about 1 min"
    ):
        verdicts(candidates, relation("t", rows[:1], ["a"]), max_documents=12)
