"""What encode.py measures: curator, sentence-transformers and ONNX Runtime, each from texts to vectors."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer

from curator import encoder, hardware, recipe

BATCHES = (8, 16, 32, 64)  # texts a batch that an engine at its best is tried with
OURS, OURS_FP32 = "curator", "curator, fp32"
DEFAULTS, BEST_FP32 = "sentence-transformers, defaults", "sentence-transformers, fp32, best batch"

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Engine:
    """Something that makes vectors of texts. ``run``: texts, texts a batch → seconds, (n, d) vectors of any length."""

    name: str
    precision: str
    run: Callable[[list[str], int], tuple[float, Matrix]]
    batches: tuple[int, ...] = ()  # texts a batch, of which the best is to be found; empty where it is not a setting


def curators(ours: encoder.SentenceEncoder) -> list[Engine]:
    """Ours as it is and, where that is not fp32, as it would be on a processor without bf16."""
    models = {OURS: ours} if ours.precision == "fp32" else {OURS: ours, OURS_FP32: fp32()}
    return [
        Engine(name, model.precision, lambda texts, _, model=model: timed(lambda: model.encode(texts).vectors))
        for name, model in models.items()
    ]


def fp32() -> encoder.SentenceEncoder:
    return encoder.load(recipe.Encoder(precision="fp32"))


def stocks(precision: str) -> list[Engine]:
    """sentence-transformers with its defaults, and at its best in fp32 and in the precision that ours has chosen."""

    def engine(name: str, dtype: str, batches: tuple[int, ...]) -> Engine:
        model = stock(dtype)
        return Engine(name, dtype, lambda texts, n: timed(lambda: model.encode(texts, batch_size=n)), batches)

    best = {"fp32": BEST_FP32, precision: f"sentence-transformers, {precision}, best batch"}
    return [engine(DEFAULTS, "fp32", (32,)), *[engine(name, dtype, BATCHES) for dtype, name in best.items()]]


def stock(precision: str) -> SentenceTransformer:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    device = hardware.decide().device
    return SentenceTransformer(str(encoder.embedded_model()), device=device, model_kwargs={"dtype": dtype})


class Onnx:
    """The other end of the pipe to encode_onnx.py, in an environment of its own."""

    def __init__(self, python: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        script = Path(__file__).resolve().with_name("encode_onnx.py")
        command = [python, str(script), str(encoder.embedded_model()), self._folder.name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, text=True, **pipes)
        self.about = self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._folder.cleanup()

    def engines(self) -> list[Engine]:
        return [Engine(f"ONNX Runtime, {kind}", kind, partial(self._run, kind), BATCHES) for kind in ("fp32", "int8")]

    def _run(self, kind: str, texts: list[str], batch: int) -> tuple[float, Matrix]:
        folder = Path(self._folder.name)
        (folder / "texts.json").write_text(json.dumps(texts), "utf8")
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([kind, str(folder / "texts.json"), batch]) + "\n")
        self._process.stdin.flush()
        return self._answer()["seconds"], np.load(folder / "vectors.npy")

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the process of ONNX Runtime ended; run encode_onnx.py in its environment to see why")
        answer: dict[str, Any] = json.loads(line)
        return answer


def timed(run: Callable[[], Matrix]) -> tuple[float, Matrix]:
    """Seconds of one call, and what it returned."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result
