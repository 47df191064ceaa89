"""Confident learning by a probe for each source: against scikit-learn and plain loops, and wrong labels found."""

import zlib
from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score

from curator.documents import normalise
from curator.errors import QueryError
from curator.functions import label_quality
from curator.relation import Relation
from curator.session import Session, sql_folder
from curator.stages import Stage, run
from curator.vectors import Vectors

SESSION = Session()
STAGE = Stage.load("label_quality", sql_folder())


def relation(rows, labels, sources="x", texts=None):
    ids = [f"c{i:05}" for i in range(len(labels))]
    texts = texts or [f"text of {one}" for one in ids]
    sources = [sources] * len(ids) if isinstance(sources, str) else list(sources)
    columns = {"corpus": "c", "id": ids, "text": texts, "label": labels, "source": sources}
    frame = pl.DataFrame(columns, schema_overrides={"label": pl.String, "source": pl.String})
    return Relation(frame, Vectors.of(np.asarray(rows, np.float32).reshape(len(ids), -1)))


def blobs(n, seed, labels=3, dimension=8, spread=0.5):
    """Rows around one direction for each label, and the number of the label of each."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, labels, n)
    return np.eye(labels, dimension)[codes] + spread * rng.normal(size=(n, dimension)), codes


def named(codes):
    return ["abcdef"[code] for code in codes]


def judged(candidates, **parameters):
    return pl.DataFrame(label_quality(candidates, **parameters))


def by_loops(candidates, folds, c):
    """{id: (probabilities of the labels, own)} by scikit-learn alone, each fold of each source by itself."""
    rows = candidates.vectors.unit().matrix().astype(np.float64)
    frame = candidates.frame.to_dicts()
    fold = [zlib.crc32(normalise(one["text"]).encode()) % folds for one in frame]
    found = {}
    for i, one in enumerate(frame):
        mates = [j for j, other in enumerate(frame) if other["source"] == one["source"] and fold[j] != fold[i]]
        labels = [frame[j]["label"] for j in mates]
        if one["label"] not in labels or len(set(labels)) < 2:
            continue
        strength = c * (2 if len(set(labels)) == 2 else 1) / len(mates)
        model = LogisticRegression(C=strength, class_weight="balanced", tol=1e-8, max_iter=10_000)
        model.fit(rows[mates], labels)
        found[one["id"]] = dict(zip(model.classes_, model.predict_proba(rows[i : i + 1])[0], strict=True)), one
    return found


@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99), labels=st.integers(2, 4), c=st.sampled_from([0.5, 100.0]))
def test_it_is_confident_learning_in_each_source(seed, labels, c):
    rows, codes = blobs(48, seed, labels)
    wrong = np.random.default_rng(seed).random(48) < 0.2
    given_labels = named(np.where(wrong, (codes + 1) % labels, codes))
    candidates = relation(rows, given_labels, ["left" if i % 3 else "right" for i in range(48)])
    expected, found = by_loops(candidates, 3, c), judged(candidates, folds=3, c=c)
    assert {one["id"] for one in found.to_dicts() if one["self_confidence"] is not None} == set(expected)
    bars = defaultdict(list)
    for chances, one in expected.values():
        bars[one["source"], one["label"]].append(chances[one["label"]])
    for one in found.filter(pl.col("self_confidence").is_not_null()).to_dicts():
        chances, given_ = expected[one["id"]]
        own = chances[given_["label"]]
        assert one["self_confidence"] == pytest.approx(own, abs=2e-5)
        bar = {label: np.mean(bars.get((given_["source"], label), [9])) for label in chances}
        if any(abs(chances[label] - bar[label]) < 1e-4 or 0 < abs(chances[label] - own) < 1e-4 for label in chances):
            continue  # too near to call
        likelier = [label for label in chances if chances[label] >= bar[label] and chances[label] > own]
        best = max(likelier, key=lambda label: chances[label], default=None)
        assert one["other"] == best
        assert one["other_confidence"] == (None if best is None else pytest.approx(chances[best], abs=2e-5))
    for source in ("left", "right"):
        own = [(one["label"], max(chances, key=chances.get)) for chances, one in expected.values()
               if one["source"] == source]  # fmt: skip
        kappa = found.filter(pl.col("source") == source)["reliability"].unique().to_list()
        assert kappa == [pytest.approx(cohen_kappa_score(*zip(*own, strict=True)))]


def test_its_interval_is_that_of_a_jackknife_over_texts():
    rows, codes = blobs(240, 5, spread=0.9)
    found = judged(relation(rows, named(codes)))
    expected = by_loops(relation(rows, named(codes)), 5, 100.0)
    pairs = [(one["label"], max(chances, key=chances.get)) for chances, one in expected.values()]
    left_out = [cohen_kappa_score(*zip(*(pairs[:i] + pairs[i + 1 :]), strict=True)) for i in range(len(pairs))]
    error = np.sqrt((len(pairs) - 1) / len(pairs) * np.sum((left_out - np.mean(left_out)) ** 2))
    half = (found["high"] - found["low"])[0] / 2
    assert half == pytest.approx(1.97 * error, rel=0.03)


def test_planted_wrong_labels_and_a_source_of_labels_by_chance_go():
    rng = np.random.default_rng(1)
    rows, codes = blobs(3_000, 3, spread=0.3)
    source = rng.integers(0, 3, 3_000)  # 0 clean, 1 with wrong labels, 2 by chance
    wrong = (source == 1) & (rng.random(3_000) < 0.15)
    dealt = np.where(wrong, (codes + 1) % 3, np.where(source == 2, rng.integers(0, 3, 3_000), codes))
    candidates = relation(rows, named(dealt), [f"s{one}" for one in source])
    found = run(STAGE, STAGE.bind({}, seed=0), {"candidates": candidates, "target": candidates.take([])}, SESSION).frame
    dropped = ~found.sort("id")["keep"].to_numpy()
    assert dropped[source == 2].all()
    assert dropped[wrong].mean() > 0.7
    assert dropped[(source < 2) & ~wrong].mean() < 0.06
    scores = found.sort("id")["score"].to_numpy()
    assert scores[wrong].mean() < 0 < scores[(source < 2) & ~wrong].mean()


def test_a_document_does_not_judge_itself_nor_do_its_copies():
    rows, codes = blobs(80, 7)
    labels, texts = named(codes), [f"text {i // 2}" for i in range(80)]  # each twice
    texts[1] = "TEXT 0!"
    first = judged(relation(rows, labels, texts=texts))
    labels[0] = labels[1] = "abc"[(codes[0] + 1) % 3]
    again = judged(relation(rows, labels, texts=texts))
    fold = np.array([zlib.crc32(normalise(text).encode()) % 5 for text in texts])
    mates = fold == fold[0]
    mates[:2] = False
    assert mates.any()
    assert (first["self_confidence"] == again["self_confidence"]).to_numpy()[mates].all()
    assert not (first["self_confidence"] == again["self_confidence"]).to_numpy()[~mates].any()


def test_the_order_of_the_rows_makes_no_difference_and_the_seed_does():
    rows, codes = blobs(90, 9)
    candidates = relation(rows, named(codes), ["left" if i % 2 else "right" for i in range(90)])
    first = judged(candidates, sample=20)
    assert first.equals(judged(candidates.take(np.arange(90)[::-1]), sample=20).reverse())
    assert not first["self_confidence"].equals(judged(candidates, sample=20, seed=1)["self_confidence"])


def test_what_cannot_be_told_is_null_and_kept():
    rows, codes = blobs(40, 11, labels=2)
    labels = named(codes)
    labels[0], labels[1] = None, "only one"
    sources = ["x"] * 30 + ["one label"] * 8 + [None, None]
    labels[30:38] = ["a"] * 8
    rows[2] = 0
    candidates = relation(rows, labels, sources)
    found = judged(candidates)
    unknown = {0, 1, 2, *range(30, 40)}
    assert {i for i, one in enumerate(found["self_confidence"]) if one is None} == unknown
    assert found["reliability"][30:38].null_count() == 8
    verdicts = run(STAGE, STAGE.bind({}, seed=0), {"candidates": candidates, "target": candidates.take([])}, SESSION)
    kept = verdicts.frame.sort("id")
    assert kept["keep"].to_numpy()[sorted(unknown)].all()
    assert kept["reason"][0] == "it has no label"
    assert kept["reason"][1] == "no other text of its source has its label, or all have it"
    assert judged(candidates.take([])).is_empty()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"folds": 1}, "folds is 1"), ({"sample": 1}, "sample is 1"), ({"c": 0.0}, "c is 0.0")],
)
def test_bad_parameters_are_refused(arguments, message):
    rows, codes = blobs(10, 13)
    candidates = relation(rows, named(codes))
    with pytest.raises(QueryError, match=message):
        label_quality(candidates, **arguments)
    with pytest.raises(QueryError, match="no vectors in the candidates"):
        label_quality(Relation(candidates.frame))
