"""A classifier as an ONNX file, checked against the model that it was made from. The only importer of onnxruntime."""

import copy
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from curator.errors import CuratorError, DataError, MissingExtraError, UsageError
from curator.training.classifier import Classifier
from curator.training.labels import outputs
from curator.training.model import quiet, tokenise
from curator.training.prediction import padded, predict_logits

MODEL = "model.onnx"
TOLERANCE = 1e-4  # of a probability, or of the spread of a regression's labels; rounding of fp32 is about 1e-6
OPSET = 20
SAMPLES = (
    "yes", "It does not work.", "What a day: 37 % off, and the café was closed!", "one two three four five six " * 9,
    "A text that is longer than the model takes goes on and on, " * 40,
)  # fmt: skip


class _Logits(nn.Module):
    """Token ids and their mask in, logits out: all that a runtime needs to know."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def export_onnx(classifier: Classifier, directory: str | Path, texts: Sequence[str] = SAMPLES) -> dict[str, Any]:
    """Write ``model.onnx``, the tokenizer and ``labels.json`` into a directory. An adapter is merged into its model.

    Inputs are ``input_ids`` and ``attention_mask``, (batch, length) int64 of any size, output is ``logits`` (batch,
    labels) float32. onnxruntime then reads ``texts``, each alone and all in one batch, and must give what
    the model gives in fp32, probabilities or values: the report has the largest ``difference``, of values in standard
    deviations of the labels. Raises CuratorError where it is above 1e-4,
    UsageError for a prefix, DataError for a directory that is a file, MissingExtraError without the packages.
    """
    runtime = _runtime()
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise DataError(f"{directory}: a file is in the way; give a directory")
    if classifier.settings.adapter == "prefix":
        raise UsageError("a prefix cannot be merged into its model; train the model itself, or lora, adalora or ia3")
    directory.mkdir(parents=True, exist_ok=True)
    model = _plain(classifier.model)
    ids, _ = tokenise(classifier.tokenizer, texts, classifier.settings.max_length, classifier.settings.long_texts)
    tokens, mask = padded(classifier.tokenizer, ids)
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=1)
    path = directory / MODEL
    beside = directory / f".{MODEL}"
    with quiet(), warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of the exporter, on its own ways
        torch.onnx.export(
            _Logits(model), (tokens, mask), str(beside), dynamo=True, opset_version=OPSET, verbose=False,
            input_names=["input_ids", "attention_mask"], output_names=["logits"], external_data=False,
            dynamic_shapes={"input_ids": {0: batch, 1: length}, "attention_mask": {0: batch, 1: length}},
        )  # fmt: skip
    kind, unit = classifier.kind, classifier.scale.spread if classifier.scale else 1.0
    ours = outputs(predict_logits(classifier.model, classifier.tokenizer, ids, "fp32"), kind)
    session = runtime.InferenceSession(str(beside), providers=["CPUExecutionProvider"])
    difference = 0.0
    for part in (*(slice(row, row + 1) for row in range(len(ids))), slice(None)):
        own_tokens, own_mask = padded(classifier.tokenizer, ids[part])
        given = {"input_ids": own_tokens.numpy(), "attention_mask": own_mask.numpy()}
        theirs = outputs(session.run(["logits"], given)[0], kind)
        difference = max(difference, float(np.abs(ours[part] - theirs).max()) / unit)
    if not difference <= TOLERANCE:
        what = "values (in standard deviations of the labels)" if kind == "regression" else "probabilities"
        beside.unlink()
        raise CuratorError(
            f"{path}: onnxruntime gives {what} that are {difference:.2g} away from the model's, more than "
            f"{TOLERANCE:g}; nothing was written"
        )
    beside.replace(path)
    classifier.tokenizer.save_pretrained(directory)
    labels = {"labels": list(classifier.labels), "max_length": classifier.settings.max_length}
    if kind != "single":
        labels["kind"] = kind
    (directory / "labels.json").write_text(json.dumps(labels, ensure_ascii=False, indent=1) + "\n", "utf8")
    return {"model": str(path), "bytes": path.stat().st_size, "texts": len(texts), "difference": difference}


def _plain(model: Any) -> nn.Module:
    """A copy on the CPU in fp32, with an adapter's weights added to the model's own."""
    model = copy.deepcopy(model)
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    plain: nn.Module = nn.Module.to(model, "cpu").float().train(False)
    return plain


def _runtime() -> Any:
    try:
        import onnxruntime  # an extra
        import onnxscript  # noqa: F401  the exporter's own need, told before it begins
    except ImportError as error:
        raise MissingExtraError(str(error.name), "onnx", "an ONNX export") from None
    return onnxruntime
