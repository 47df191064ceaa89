"""Fine-tuning against transformers' own Trainer, and what makes the difference.

    pip install 'curator[peft,onnx]'
    python benchmarks/training.py --data DIR [--steps N] [--repeats N] [--adapters] [--tasks a,b] [--out FILE]

The same 2,000 documents of each of TASKS, the same model (the embedded MiniLM), batch, steps, learning rate, warm-up
and weight decay; the Trainer pads each batch to its longest, in fp32, which is its default, and in bf16. Every engine
trains in turn, once a repeat, each repeat with a seed of its own; the time is that of training alone, with tokenising
and without loading the model, and the score is macro-F1 on 1,500 test documents by the same code. In the first repeat
our own engine runs without each of PARTS, too, in the same turns. ``onnx``: what curator trained first, exported, and
how far its probabilities of 500 test documents are from the model's in fp32. ``predict``: documents a second, and what
the padded model in fp32 of transformers makes of them.

``--adapters``: the same documents of ADAPTED, a quarter of them as dev; each adapter at each of RATES with one seed,
then with that of the best macro-F1 on dev over the repeats, on the test documents, beside the whole model at its own
rate; how many weights are trained, and how large what is saved is. Records are ``benchmarks/records/training.json`` and
``adapters.json``.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import torch
from circumstances import circumstances
from torch.nn import functional
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments, pipeline

from curator.hardware import decide
from curator.recipe import Kind, Train
from curator.training import (
    Classifier,
    Examples,
    FineTuned,
    dropout,
    evaluate,
    export_onnx,
    fine_tune,
    fine_tuning,
    prediction,
    steps,
    unpadded,
)  # fmt: skip
from curator.training.head import to_unit
from curator.training.labels import coded
from curator.training.model import load_pretrained, tokenise
from curator.training.scale import Scale

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
TASKS = ("intent/banking77", "sentiment/airline_tweets", "topic/ag_news")
TRAIN, TEST = 2_000, 1_500
ADAPTED = ("intent/banking77", "sentiment/airline_tweets")
RATES: dict[str, tuple[float, ...]] = {
    "none": (2e-4,),
    "lora": (1e-3, 3e-3),
    "adalora": (3e-3, 1e-2),
    "prefix": (3e-3, 1e-2),
    "ia3": (3e-3, 1e-2),
}


def main() -> None:
    """Measure, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Fine-tuning against transformers' Trainer.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tasks", default="")
    parser.add_argument("--adapters", action="store_true", help="adapters in the place of engines")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    command = f"python benchmarks/training.py --data DIR --steps {given.steps} --repeats {given.repeats}"
    tasks = given.tasks or ",".join(ADAPTED if given.adapters else TASKS)
    command += " --adapters" * given.adapters + f" --tasks {tasks}"
    part = "adapters" if given.adapters else "training"
    out = given.out or HERE / "records" / f"{part}.json"
    record = circumstances(command, ("torch", "transformers", *(["peft"] if given.adapters else ["accelerate"])))
    record |= {"steps": given.steps, "train": TRAIN, "test": TEST, "threads": torch.get_num_threads()}
    record |= {"precision": decide().precision, "adapters" if given.adapters else "tasks": []}
    for task in tasks.split(","):
        path = given.data / f"{task}.parquet"
        if given.adapters:
            record["adapters"] += adapted(path, given.steps, given.repeats)
        else:
            record["tasks"].append(raced(path, given.steps, given.repeats))
        out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def raced(path: Path, count: int, repeats: int) -> Row:
    """Every engine in turn, and our own without each of its parts."""
    frame = pl.read_parquet(path, columns=["text", "label"]).unique("text", maintain_order=True)
    frame = frame.sample(TRAIN + TEST, seed=0, shuffle=True)
    train, test = (
        Examples(tuple(part["text"]), tuple(part["label"])) for part in (frame.head(TRAIN), frame.tail(TEST))
    )
    labels = tuple(sorted(set(train.labels)))
    test = Examples(*zip(*((t, n) for t, n in zip(test.texts, test.labels, strict=True) if n in labels), strict=True))
    settings = Train.model_validate({"steps": count, "lambda": -1})
    engines: dict[str, Callable[[int], tuple[Classifier, float]]] = {
        "curator": lambda seed: ours(settings, train, labels, seed),
        "Trainer": lambda seed: theirs(settings, train, labels, seed, bf16=False),
        "Trainer, bf16": lambda seed: theirs(settings, train, labels, seed, bf16=True),
    }
    for name, without in PARTS.items():
        engines[f"curator, {name}"] = lambda seed, without=without: taken_out(without, settings, train, labels, seed)
    found: dict[str, Row] = {name: {"engine": name, "seconds": [], "macro_f1": []} for name in engines}
    exported: Row = {}
    predicted: Row = {}
    for seed in range(repeats):
        for name, engine in engines.items():
            if seed and name.startswith("curator, "):
                continue
            classifier, seconds = engine(seed)
            if name == "curator" and not seed:
                with tempfile.TemporaryDirectory() as folder:
                    exported = export_onnx(classifier, folder, test.texts[:500])
                    del exported["model"]
                predicted = predicting(classifier, test)
            scores = evaluate(test.labels, classifier.predict(test.texts), labels)
            found[name]["seconds"].append(seconds)
            found[name]["macro_f1"].append(scores["macro_f1"])
            print(path.stem, seed, name, round(seconds, 1), round(scores["macro_f1"], 4), flush=True)
    ids, _ = tokenise(classifier.tokenizer, train.texts, settings.max_length)
    ratio = median(t / o for t, o in zip(found["Trainer"]["seconds"], found["curator"]["seconds"], strict=True))
    print(path.stem, "faster by", round(ratio, 2), flush=True)
    tokens = float(np.mean([len(row) for row in ids]))
    return {
        "task": path.stem,
        "labels": len(labels),
        "tokens": tokens,
        "engines": list(found.values()),
        "onnx": exported,
        "predict": predicted,
    }


def predicting(classifier: Classifier, test: Examples) -> Row:
    """Seconds for the test documents by ours and by the pipeline of transformers, and how often they agree."""
    with tempfile.TemporaryDirectory() as folder:
        classifier.save(folder)
        theirs = pipeline("text-classification", model=folder, device="cpu" if decide().device == "cpu" else 0)
        seconds: dict[str, list[float]] = {"curator": [], "pipeline": []}
        for _ in range(3):
            started = time.perf_counter()
            ours = classifier.predict(test.texts).argmax(axis=1)
            seconds["curator"].append(time.perf_counter() - started)
            started = time.perf_counter()
            answers = theirs(list(test.texts), batch_size=32, truncation=True, max_length=128)
            seconds["pipeline"].append(time.perf_counter() - started)
    same = np.mean([classifier.labels[a] == b["label"] for a, b in zip(ours, answers, strict=True)])
    return {"documents": len(test), "seconds": seconds, "same_label": float(same)}


def split(path: Path) -> tuple[Examples, Examples, tuple[str, ...]]:
    """Training and test documents and the labels of the former."""
    frame = pl.read_parquet(path, columns=["text", "label"]).unique("text", maintain_order=True)
    frame = frame.sample(TRAIN + TEST, seed=0, shuffle=True)
    known = frame.head(TRAIN)["label"].unique().sort()
    train, test = (
        Examples(tuple(part["text"]), tuple(part["label"]))
        for part in (frame.head(TRAIN), frame.tail(TEST).filter(pl.col("label").is_in(known.implode())))
    )
    return train, test, tuple(known)


def adapted(path: Path, count: int, repeats: int) -> list[Row]:
    """Each adapter at the rate that dev likes best."""
    train, test, labels = split(path)
    place = 3 * len(train) // 4
    shown, dev = (Examples(train.texts[part], train.labels[part]) for part in (slice(place), slice(place, None)))

    def tuned(kind: str, rate: float, seed: int) -> FineTuned:
        settings = Train.model_validate({"steps": count, "lambda": -1, "adapter": kind, "learning_rate": rate})
        return fine_tune(settings, selected=None, target=shown, dev=dev, labels=labels, seed=seed)

    rows = []
    for kind, rates in RATES.items():
        on_dev = {rate: tuned(kind, rate, 100).dev for rate in rates if len(rates) > 1}
        best = max(rates, key=lambda rate: (on_dev[rate] or {})["macro_f1"]) if on_dev else rates[0]
        found = [tuned(kind, best, seed) for seed in range(repeats)]
        scores = [evaluate(test.labels, one.classifier.predict(test.texts), labels)["macro_f1"] for one in found]
        trained = sum(value.numel() for value in found[0].classifier.model.parameters() if value.requires_grad)
        with tempfile.TemporaryDirectory() as folder:
            found[0].classifier.save(folder)
            size = sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
        row = {"task": path.stem, "adapter": kind, "learning_rate": best, "macro_f1": scores, "trained": trained}
        rows.append({**row, "bytes": size, "seconds": [one.seconds for one in found]})
        print(rows[-1], flush=True)
    return rows


def ours(
    settings: Train, train: Examples, labels: tuple[str, ...], seed: int, kind: Kind = "single"
) -> tuple[Classifier, float]:
    """Without the time of loading, which the Trainer is not charged with either."""
    loaded, load = 0.0, fine_tuning.load_pretrained

    def load_timed(*arguments: Any) -> Any:
        nonlocal loaded
        started = time.perf_counter()
        found = load(*arguments)
        loaded = time.perf_counter() - started
        return found

    with mock.patch.object(fine_tuning, "load_pretrained", load_timed):
        tuned = fine_tune(settings, selected=None, target=train, dev=None, labels=labels, kind=kind, seed=seed)
    return tuned.classifier, tuned.seconds - loaded


def theirs(
    settings: Train, train: Examples, labels: tuple[str, ...], seed: int, kind: Kind = "single", *, bf16: bool
) -> tuple[Classifier, float]:
    """transformers' Trainer as its documentation has it, from the same weights; numbers are standardised for it."""
    torch.manual_seed(seed)
    model, tokenizer = load_pretrained(settings.model, labels, kind)
    model.set_attn_implementation("sdpa")  # its default
    started = time.perf_counter()
    ids, _ = tokenise(tokenizer, train.texts, settings.max_length)
    known = coded(train.labels, labels, kind, "training")
    scale = Scale.of(known, np.ones(len(known))) if kind == "regression" else None
    known = scale.standardised(known) if scale else known
    rows = [{"input_ids": row, "labels": label} for row, label in zip(ids, known.tolist(), strict=True)]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = TrainingArguments(
            folder, max_steps=settings.steps, per_device_train_batch_size=settings.batch_size, seed=seed, bf16=bf16,
            learning_rate=settings.learning_rate, warmup_steps=round(settings.warmup * settings.steps),
            weight_decay=settings.weight_decay, save_strategy="no", logging_strategy="no", report_to=[],
            disable_tqdm=True, use_cpu=decide().device == "cpu",
        )  # fmt: skip
        Trainer(
            model,
            arguments,
            train_dataset=rows,
            data_collator=DataCollatorWithPadding(tokenizer),  # type: ignore[arg-type]
        ).train()
    seconds = time.perf_counter() - started
    if scale:
        to_unit(model, scale)
    return Classifier(model.train(False), tokenizer, labels, settings, seed, kind=kind, scale=scale), seconds


class Whole(torch.nn.Module):
    """An embedding that trains every row, as an ``nn.Embedding`` does."""

    def __init__(self, original: torch.nn.Embedding, _: object) -> None:
        super().__init__()
        self.own = original

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.own(tokens)

    def decayed(self, factor: float) -> None: ...

    def whole(self) -> torch.nn.Embedding:
        return self.own


@contextmanager
def fp32(settings: Train) -> Iterator[Train]:
    yield settings.model_copy(update={"precision": "fp32"})


@contextmanager
def every_word(settings: Train) -> Iterator[Train]:
    with mock.patch.object(fine_tuning, "SeenEmbedding", Whole):
        yield settings


@contextmanager
def padded(settings: Train) -> Iterator[Train]:
    with (
        mock.patch.object(prediction, "is_supported", return_value=False),
        mock.patch.object(steps, "is_supported", return_value=False),
    ):
        yield settings


@contextmanager
def torch_dropout(settings: Train) -> Iterator[Train]:
    with (
        mock.patch.object(dropout, "dropout", functional.dropout),
        mock.patch.object(unpadded, "dropout", functional.dropout),
    ):
        yield settings


PARTS = {
    "in fp32": fp32,
    "every word vector trained": every_word,
    "padded, in two parts": padded,
    "torch's dropout": torch_dropout,
}


def taken_out(
    without: Callable[[Train], Any], settings: Train, train: Examples, labels: tuple[str, ...], seed: int
) -> tuple[Classifier, float]:
    with without(settings) as changed:
        return ours(changed, train, labels, seed)


if __name__ == "__main__":
    main()
