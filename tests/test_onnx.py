"""The ONNX export, read by onnxruntime: the same probabilities for batches of any size."""

import json

import numpy as np
import pytest
import torch
from test_training import examples, one_thread, tiny, tune  # noqa: F401  the fixtures
from transformers import AutoTokenizer
from typer.testing import CliRunner

from curator.cli import app
from curator.errors import CuratorError, DataError, MissingExtraError, UsageError
from curator.training import export_onnx, onnx

runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")


@pytest.mark.parametrize("kind", ["none", "mean", "lora", "adalora", "ia3"])
def test_onnxruntime_gives_the_models_probabilities(tiny, tmp_path, kind):  # noqa: F811
    own = {"none": {}, "mean": {"head": "mean"}}
    changes = own.get(kind, {"adapter": kind, "rank": 2})
    classifier = tune(tiny, selected=examples(40, 2), steps=12, learning_rate=1e-2, **changes).classifier
    texts = examples(30, 5).texts
    given = classifier.predict(texts)
    told = export_onnx(classifier, tmp_path, examples(7, 4).texts)
    assert told["difference"] < 1e-5
    assert np.array_equal(classifier.predict(texts), given)  # the classifier itself is left as it was
    labels = json.loads((tmp_path / "labels.json").read_text())
    assert labels == {"labels": ["negative", "positive"], "max_length": 16}
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for size in (1, 2, 7, 30):
        rows = tokenizer(list(texts[:size]), padding=True, return_tensors="np")
        logits = session.run(["logits"], {name: rows[name] for name in ("input_ids", "attention_mask")})[0]
        assert np.allclose(torch.tensor(logits).softmax(1).numpy(), given[:size], atol=1e-5)


def test_a_file_that_says_otherwise_is_an_error(tiny, tmp_path, monkeypatch):  # noqa: F811
    classifier = tune(tiny).classifier
    true = onnx.outputs
    calls = []

    def wrong(logits, kind):
        calls.append(0)
        return true(logits, kind) + (0.001 if len(calls) == 2 else 0)

    monkeypatch.setattr(onnx, "outputs", wrong)
    with pytest.raises(CuratorError, match=r"0\.001 away .* nothing was written"):
        export_onnx(classifier, tmp_path, ["good words"])


def test_what_cannot_be_exported(tiny, tmp_path, monkeypatch):  # noqa: F811
    classifier = tune(tiny).classifier
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="a file is in the way"):
        export_onnx(classifier, tmp_path / "file", ["good"])
    prefixed = tune(tiny, adapter="prefix", rank=2).classifier
    with pytest.raises(UsageError, match="a prefix cannot be merged"):
        export_onnx(prefixed, tmp_path / "prefix", ["good"])
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"curator\[onnx\]"):
        export_onnx(classifier, tmp_path / "none", ["good"])


def test_from_the_command_line(tiny, tmp_path):  # noqa: F811
    tune(tiny).classifier.save(tmp_path / "saved")
    command = ["-w", str(tmp_path / "work"), "export-model", str(tmp_path / "saved"), str(tmp_path / "out"), "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)["report"]
    assert told["model"] == str(tmp_path / "out" / "model.onnx")
    assert told["bytes"] == (tmp_path / "out" / "model.onnx").stat().st_size
    missing = CliRunner().invoke(app, [*command[:3], str(tmp_path / "nothing"), str(tmp_path / "out")])
    assert missing.exit_code == 1
