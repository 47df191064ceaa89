"""ONNX Runtime for encode.py, in an environment of its own; encode.py starts this.

    python benchmarks/encode_onnx.py MODEL FOLDER

exports the model in the directory MODEL with ``torch.onnx.export``, lets ONNX Runtime's own tool fuse what it knows
of a BERT, quantises that dynamically to int8, and answers lines of JSON ``[engine, texts file, texts a batch]`` from
standard input with the seconds; the vectors are left in ``vectors.npy`` of FOLDER. Texts are tokenised, cut at 256
tokens, sorted by length and averaged as sentence-transformers does. The environment:
``pip install torch transformers onnx onnxscript onnxruntime``.
"""

import importlib.metadata
import json
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.optimizer import optimize_model
from tokenizers import Tokenizer
from transformers import AutoModel

MAX_TOKENS = 256
INPUTS = ("input_ids", "attention_mask", "token_type_ids")

Matrix = npt.NDArray[np.float32]


def main() -> None:
    """Export, then answer until standard input ends."""
    model, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with redirect_stdout(sys.stderr):  # the exporter talks
        fused = export(model, folder)
    sessions = {name: session(path) for name, path in (("fp32", folder / "fp32.onnx"), ("int8", folder / "int8.onnx"))}
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    names = ("onnxruntime", "onnx", "torch", "transformers")
    say({"versions": {name: importlib.metadata.version(name) for name in names}, "fused": fused})
    for line in sys.stdin:
        name, texts_file, batch = json.loads(line)
        texts = json.loads(Path(texts_file).read_text("utf8"))
        start = time.perf_counter()
        vectors = encode(sessions[name], tokenizer, texts, batch)
        seconds = time.perf_counter() - start
        np.save(folder / "vectors.npy", vectors)
        say({"seconds": seconds})


def say(answer: Any) -> None:
    print(json.dumps(answer), flush=True)


def export(model: Path, folder: Path) -> dict[str, int]:
    """Write ``fp32.onnx`` and ``int8.onnx``; returns which operators were fused, and how often."""
    bert = AutoModel.from_pretrained(str(model), attn_implementation="eager", dtype=torch.float32).eval()
    example = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in INPUTS)
    sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        *(bert, example, folder / "exported.onnx"),
        input_names=list(INPUTS), output_names=["hidden", "pooled"], dynamic_shapes=[sizes] * 3, dynamo=True,
    )  # fmt: skip
    fusing = optimize_model(
        str(folder / "exported.onnx"),
        model_type="bert", num_heads=bert.config.num_attention_heads, hidden_size=bert.config.hidden_size,
    )  # fmt: skip
    fusing.save_model_to_file(str(folder / "fp32.onnx"))
    quantize_dynamic(folder / "fp32.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8)
    return {name: count for name, count in fusing.get_fused_operator_statistics().items() if count}


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # as many as the others have
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def encode(model: onnxruntime.InferenceSession, tokenizer: Tokenizer, texts: list[str], batch: int) -> Matrix:
    """Mean of the token vectors of each text, (n, d) float32, not normalised."""
    ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    wanted = {given.name for given in model.get_inputs()}
    order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
    vectors = [np.empty(0, np.float32)] * len(ids)
    for start in range(0, len(ids), batch):
        rows = order[start : start + batch]
        tokens = np.zeros((len(rows), len(ids[rows[0]])), np.int64)
        mask = np.zeros_like(tokens)
        for place, row in enumerate(rows):
            tokens[place, : len(ids[row])] = ids[row]
            mask[place, : len(ids[row])] = 1
        features = dict(zip(INPUTS, (tokens, mask, np.zeros_like(tokens)), strict=True))
        hidden = model.run(["hidden"], {name: value for name, value in features.items() if name in wanted})[0]
        sums = np.einsum("btd,bt->bd", hidden, mask.astype(np.float32), optimize=True)
        for row, vector in zip(rows, sums / mask.sum(1, keepdims=True), strict=True):
            vectors[row] = vector
    return np.stack(vectors).astype(np.float32)


if __name__ == "__main__":
    main()
