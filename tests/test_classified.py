"""Scores of any classifier, against transformers' own pipeline."""

import dataclasses
import sys

import numpy as np
import polars as pl
import pytest
import torch
from tiny_bert import write_body, write_classifier
from transformers import pipeline

from curator.errors import DataError, QueryError, UsageError
from curator.functions import classified
from curator.hardware import decide
from curator.relation import Relation

WORDS = [f"w{number}" for number in range(30)]
LABELS = ["clean", "rude", "vile"]


def documents(texts) -> Relation:
    schema = {"corpus": pl.String, "id": pl.String, "text": pl.String}
    return Relation(pl.DataFrame([("c", str(i), text) for i, text in enumerate(texts)], schema, orient="row"))


@pytest.fixture
def texts(monkeypatch):
    """Some with repeats, one without text, one that is longer than the model takes. In fp32, as the pipeline is."""
    monkeypatch.setattr("curator.training.scoring.decide", lambda: dataclasses.replace(decide(), precision="fp32"))
    rng = np.random.default_rng(3)
    made = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(40)]
    return [*made, made[3], None, " ".join(WORDS * 5), ""]


@pytest.mark.parametrize(
    ("labels", "problem_type", "function"),
    [
        (LABELS, None, "softmax"),
        (LABELS, "multi_label_classification", "sigmoid"),
        (["quality"], "regression", "none"),
        (["toxic"], None, "sigmoid"),
    ],
)
def test_scores_are_those_of_transformers(texts, tmp_path, labels, problem_type, function):
    write_classifier(tmp_path, WORDS, labels, problem_type=problem_type)
    judge = pipeline("text-classification", str(tmp_path), top_k=None, function_to_apply=function, device="cpu")
    said = [None if text is None else judge([text], truncation=True)[0] for text in texts]
    for label in labels:
        got = classified(documents(texts), str(tmp_path), label=label).to_pylist()
        assert [row["id"] for row in got] == [str(i) for i in range(len(texts))]
        for row, scores in zip(got, said, strict=True):
            expected = None if scores is None else next(one["score"] for one in scores if one["label"] == label)
            assert row["score"] == (None if expected is None else pytest.approx(expected, abs=1e-5))
    best = classified(documents(texts), str(tmp_path)).to_pylist()
    assert [row["label"] for row in best] == [scores and scores[0]["label"] for scores in said]
    if len(labels) > 1:
        assert len({row["label"] for row in best}) > 2  # two labels, and NULL


def test_scores_in_bf16_are_about_those_of_transformers(tmp_path, monkeypatch):
    monkeypatch.setattr("curator.training.scoring.decide", lambda: dataclasses.replace(decide(), precision="bf16"))
    write_classifier(tmp_path, WORDS, LABELS)
    judge = pipeline("text-classification", str(tmp_path), top_k=None, function_to_apply="softmax", device="cpu")
    texts = [" ".join(WORDS[start : start + n]) for n in (1, 5, 17, 30) for start in range(0, 20, 3)]
    got = classified(documents(texts), str(tmp_path), label="rude")["score"].to_pylist()
    said = [next(one["score"] for one in judge([text])[0] if one["label"] == "rude") for text in texts]
    assert got == pytest.approx(said, abs=0.05)  # random weights, larger than those of a real model, round far
    assert max(said) - min(said) > 0.1


def test_the_order_of_rows_changes_no_score(tmp_path):
    """In whatever precision: a score in bf16 depends on what else is in its batch."""
    write_classifier(tmp_path, WORDS, LABELS)
    rng = np.random.default_rng(4)
    relation = documents([" ".join(rng.choice(WORDS, rng.integers(1, 30))) for _ in range(300)])
    order = rng.permutation(len(relation))
    one, other = (pl.DataFrame(classified(r, str(tmp_path))) for r in (relation, relation.take(order)))
    assert one[order].equals(other)


def test_blocks_change_nothing_but_rounding(tmp_path, texts, monkeypatch):
    write_classifier(tmp_path, WORDS, LABELS)
    whole = pl.DataFrame(classified(documents(texts), str(tmp_path), label="rude"))
    monkeypatch.setattr(sys.modules[classified.__module__], "BLOCK", 7)
    parts = pl.DataFrame(classified(documents(texts), str(tmp_path), label="rude"))
    assert np.allclose(whole["score"].fill_null(0), parts["score"].fill_null(0), atol=1e-5)


def test_errors_say_what_is_wrong(tmp_path):
    whole, body = tmp_path / "whole", tmp_path / "body"
    write_classifier(whole, WORDS, LABELS)
    write_body(body, WORDS)
    with pytest.raises(QueryError, match="has no label 'toxic'; it has clean, rude, vile"):
        classified(documents(["a"]), str(whole), label="toxic")
    with pytest.raises(DataError, match="weights are missing, such as 'classifier"):
        classified(documents(["a"]), str(body))
    with pytest.raises(UsageError, match="no model is given"):
        classified(documents(["a"]), "")
    with pytest.raises(QueryError, match="needs a column 'text'"):
        classified(Relation(pl.DataFrame({"id": ["1"]})), str(whole))
    torch.save({}, whole / "pytorch_model.bin")
    (whole / "model.safetensors").unlink()
    with pytest.raises(DataError, match="not safetensors"):
        classified(documents(["a"]), str(whole) + "/")
