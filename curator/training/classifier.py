"""A fine-tuned classifier: predicts, and is saved in the hub's format."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curator.errors import DataError
from curator.hardware import precision
from curator.recipe import Kind, Train
from curator.training.adapters import quietly, with_adapter
from curator.training.labels import outputs, outputs_of
from curator.training.model import PROBLEM_TYPES, load_pretrained, load_whole, quiet, tokenise
from curator.training.prediction import BATCH_TOKENS, predict_logits
from curator.training.scale import Scale
from curator.training.trained_on import CARD, MIX_LOCK, TrainedOn

FORMATS: dict[Kind, int] = {"single": 1, "multi": 2, "regression": 2}  # who knows 1 alone reads all as single labels


@dataclass(frozen=True, eq=False)
class Classifier:
    """A model, its tokenizer, its labels in the order of the columns, and the settings and seed that made it.

    ``trained_on`` says which mix it was trained on, where that is known.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    labels: tuple[str, ...]
    settings: Train
    seed: int
    base: str = ""  # digest of the weights that an adapter was trained on
    trained_on: TrainedOn | None = None
    kind: Kind = "single"
    scale: Scale | None = None  # of a regression: that of the labels it was trained on

    def predict(self, texts: Sequence[str], batch_tokens: int = BATCH_TOKENS) -> NDArray[np.float32]:
        """(n, outputs) float32 in the order of ``texts``, by the kind of the task.

        single: probabilities of the labels, rows sum to 1. multi: probabilities of the labels, each by itself.
        regression: one value a text, in the unit of the labels. Texts are cut as in the training. In bf16 a text's
        probabilities depend on the batch it is in, by about 1e-3; the same texts give the same array.
        """
        return self.judge(texts, batch_tokens)[0]

    def logits(self, texts: Sequence[str], batch_tokens: int = BATCH_TOKENS) -> NDArray[np.float32]:
        """(n, outputs) float32, as the model gives them: a regression's values, else what probabilities are made of."""
        return self._logits(texts, batch_tokens)[0]

    def judge(
        self, texts: Sequence[str], batch_tokens: int = BATCH_TOKENS
    ) -> tuple[NDArray[np.float32], tuple[int, ...]]:
        """What ``predict`` returns, and the rows whose texts were cut."""
        logits, cut = self._logits(texts, batch_tokens)
        return outputs(logits, self.kind), cut

    def _logits(self, texts: Sequence[str], batch_tokens: int) -> tuple[NDArray[np.float32], tuple[int, ...]]:
        ids, cut = tokenise(self.tokenizer, texts, self.settings.max_length, self.settings.long_texts)
        own = precision(self.settings.precision)
        return predict_logits(self.model, self.tokenizer, ids, own, batch_tokens), tuple(cut)

    def save(self, directory: str | Path, also: Callable[[Path], None] | None = None) -> None:
        """Write config.json, model.safetensors, the tokenizer and curator.json, which comes last: it means complete.

        transformers' ``AutoModelForSequenceClassification`` and ``pipeline`` load the directory as it is. Of a model
        with an adapter only that and the head are written, as peft's ``AutoPeftModelForSequenceClassification`` reads
        them. ``also`` writes what belongs beside them, such as a card; that of a model saved here before is removed.
        """
        directory = Path(directory)
        if directory.exists() and not directory.is_dir():
            raise DataError(f"{directory}: a file is in the way; give a directory")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "curator.json").unlink(missing_ok=True)
        if (directory / MIX_LOCK).exists():
            (directory / CARD).unlink(missing_ok=True)
            (directory / MIX_LOCK).unlink()
        with quiet(), quietly():
            self.model.save_pretrained(directory)
        self.tokenizer.save_pretrained(directory)
        if also:
            also(directory)
        unfinished = directory / "curator.json.part"
        unfinished.write_text(json.dumps(self._record(), indent=2, ensure_ascii=False) + "\n", "utf8")
        unfinished.replace(directory / "curator.json")

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """A saved classifier, on the device that ``hardware.decide`` names. Raises DataError if it is not whole."""
        directory = Path(directory)
        if directory.is_file():
            raise DataError(f"{directory}: a file, not a model; give the directory that a model was saved in")
        try:
            record = json.loads((directory / "curator.json").read_text("utf8"))
            settings = Train.model_validate(record["settings"])
            labels, seed = tuple(record["labels"]), int(record["seed"])
            kind = TypeAdapter(Kind).validate_python(record.get("kind", "single"))
            scale = Scale(**record["scale"]) if kind == "regression" else None
            on = record.get("trained_on")
            trained_on = None if on is None else TrainedOn.model_validate(on)
        except FileNotFoundError:
            raise DataError(
                f"{directory}: no curator.json; this is not a classifier that curator saved, or not all of it"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{directory}: curator.json is damaged: {_told(error)}; train the model again") from error
        if record.get("format") != FORMATS[kind]:
            raise DataError(
                f"{directory}: curator.json has format {record.get('format')!r}, this version reads {FORMATS[kind]}"
            )
        if settings.adapter == "none":
            model, tokenizer = load_whole(str(directory))
        else:
            model, tokenizer = load_pretrained(settings.model, labels, kind)
            model = with_adapter(model, directory, str(record.get("base")), settings.model)
        own = dict(model.config.id2label or {})
        if own != dict(enumerate(outputs_of(labels, kind))):
            raise DataError(f"{directory}: config.json has the labels {own}, curator.json {list(labels)}")
        if model.config.problem_type != PROBLEM_TYPES[kind]:
            raise DataError(
                f"{directory}: config.json has the problem_type {model.config.problem_type!r}, and curator.json the "
                f"kind {kind!r}"
            )
        base = record.get("base", "")
        return cls(model.train(False), tokenizer, labels, settings, seed, base, trained_on, kind, scale)

    def _record(self) -> dict[str, Any]:
        return {
            "format": FORMATS[self.kind],
            **({"kind": self.kind} if self.kind != "single" else {}),
            **({"scale": asdict(self.scale)} if self.scale else {}),
            "labels": list(self.labels),
            "max_length": self.settings.max_length,
            "settings": self.settings.model_dump(mode="json", by_alias=True),
            "seed": self.seed,
            **({"base": self.base} if self.base else {}),
            **({"trained_on": self.trained_on.model_dump(mode="json")} if self.trained_on else {}),
            "versions": {name: _version(name) for name in ("curator", "torch", "transformers")},
        }


def _told(error: Exception) -> str:
    """What is wrong with a record, on one line."""
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']} (got {first.get('input')!r})"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout
        return None
