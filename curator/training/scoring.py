"""Any sequence classifier, from a directory or the hub, to score texts with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curator.encoder.attention import attend_on_whole_vectors
from curator.encoder.packed import pack, tune_memory
from curator.errors import UsageError
from curator.hardware import decide
from curator.training.model import load_whole, tokenise
from curator.training.prediction import predict_logits

LONGEST = 512  # tokens, where a model would take more; what most classifiers of texts were trained on


@dataclass(frozen=True, eq=False)
class Scorer:
    """A classifier with its labels in the order of the columns of its scores, and what it makes of its logits."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    labels: tuple[str, ...]
    max_length: int  # tokens at which texts are cut

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, len(labels)) float32: probabilities of each label, or what a regression gives, in the order of texts.

        Probabilities of a text sum to 1, but for a model of several labels a text (``multi_label_classification``, or
        one with a single label), where each is by itself. Cut texts are those of more than ``max_length`` tokens.
        """
        ids, _ = tokenise(self.tokenizer, texts, self.max_length)
        logits = predict_logits(self.model, self.tokenizer, ids, "fp32")  # what its weights are in, it computes in
        kind = self.model.config.problem_type
        if kind == "regression":
            return logits
        apart = kind == "multi_label_classification" or logits.shape[1] == 1
        scores: NDArray[np.float32] = expit(logits) if apart else softmax(logits, axis=1)
        return scores


def scorer(name: str) -> Scorer:
    """The classifier of a directory or of the hub. Raises UsageError or DataError for one that is not whole."""
    if not name:
        raise UsageError("no model is given; give a directory or a hub name of a classifier of texts")
    stats = [(path.name, path.stat()) for path in sorted(Path(name).glob("*"))]
    return _scorer(name, tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats))


@lru_cache(maxsize=2)
def _scorer(name: str, stamp: tuple[tuple[str, int, int], ...]) -> Scorer:  # noqa: ARG001  # of the cache
    """``stamp`` makes sure that what is remembered is what is on the disk."""
    model, tokenizer = load_whole(name)
    positions = getattr(model.config, "max_position_embeddings", None) or LONGEST
    longest = min(tokenizer.model_max_length, positions, LONGEST)
    labels = tuple(str(label) for _, label in sorted((model.config.id2label or {}).items()))
    return Scorer(_fast(model.train(False)), tokenizer, labels, longest)


def _fast(model: PreTrainedModel) -> PreTrainedModel:
    """The model in the precision that is fast here, weights and all: it will not be trained any more."""
    place = decide()
    if place.precision == "bf16":
        model = model.bfloat16()
    if place.device == "cpu":
        tune_memory()
        attend_on_whole_vectors(model)
        if place.precision == "bf16":
            pack(model)
    return model
