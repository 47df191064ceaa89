"""A fine-tuned classifier: predicts, and is saved in the hub's format."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import softmax
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curator.errors import DataError
from curator.hardware import precision
from curator.recipe import Train
from curator.training.adapters import quietly, with_adapter
from curator.training.model import load_pretrained, load_whole, quiet, tokenise
from curator.training.prediction import BATCH_TOKENS, predict_logits
from curator.training.trained_on import CARD, MIX_LOCK, TrainedOn

FORMAT = 1


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

    def predict(self, texts: Sequence[str], batch_tokens: int = BATCH_TOKENS) -> NDArray[np.float32]:
        """Probabilities (n, len(labels)) float32, rows sum to 1, in the order of ``texts``.

        Texts are cut at the ``max_length`` of the training. In bf16 a text's probabilities depend on the batch it is
        in, by about 1e-3; the same texts give the same array.
        """
        return self.judge(texts, batch_tokens)[0]

    def logits(self, texts: Sequence[str], batch_tokens: int = BATCH_TOKENS) -> NDArray[np.float32]:
        """(n, len(labels)) float32: what ``predict`` takes the softmax of."""
        return self._logits(texts, batch_tokens)[0]

    def judge(
        self, texts: Sequence[str], batch_tokens: int = BATCH_TOKENS
    ) -> tuple[NDArray[np.float32], tuple[int, ...]]:
        """What ``predict`` returns, and the rows whose texts were cut."""
        logits, cut = self._logits(texts, batch_tokens)
        return probabilities(logits), cut

    def _logits(self, texts: Sequence[str], batch_tokens: int) -> tuple[NDArray[np.float32], tuple[int, ...]]:
        ids, cut = tokenise(self.tokenizer, texts, self.settings.max_length, self.settings.long_texts)
        kind = precision(self.settings.precision)
        return predict_logits(self.model, self.tokenizer, ids, kind, batch_tokens), tuple(cut)

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
            on = record.get("trained_on")
            trained_on = None if on is None else TrainedOn.model_validate(on)
        except FileNotFoundError:
            raise DataError(
                f"{directory}: no curator.json; this is not a classifier that curator saved, or not all of it"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{directory}: curator.json is damaged: {_told(error)}; train the model again") from error
        if record.get("format") != FORMAT:
            raise DataError(
                f"{directory}: curator.json has format {record.get('format')!r}, this version reads {FORMAT}"
            )
        if settings.adapter == "none":
            model, tokenizer = load_whole(str(directory))
        else:
            model, tokenizer = load_pretrained(settings.model, labels)
            model = with_adapter(model, directory, str(record.get("base")), settings.model)
        own = dict(model.config.id2label or {})
        if own != dict(enumerate(labels)):
            raise DataError(f"{directory}: config.json has the labels {own}, curator.json {list(labels)}")
        return cls(model.train(False), tokenizer, labels, settings, seed, record.get("base", ""), trained_on)

    def _record(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "labels": list(self.labels),
            "max_length": self.settings.max_length,
            "settings": self.settings.model_dump(mode="json", by_alias=True),
            "seed": self.seed,
            **({"base": self.base} if self.base else {}),
            **({"trained_on": self.trained_on.model_dump(mode="json")} if self.trained_on else {}),
            "versions": {name: _version(name) for name in ("curator", "torch", "transformers")},
        }


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row-wise softmax."""
    result: NDArray[np.float32] = softmax(logits, axis=1)
    return result


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
