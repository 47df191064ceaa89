"""Texts to vectors with a sentence-transformers model: the only package that imports that library.

The library's own modules compute the vectors; what is ours is how texts reach them. All texts of a call are
tokenised first and sorted by their number of tokens, so that a batch holds texts of about one length and a fixed
number of tokens; on a processor that multiplies bf16, weights are bf16 and packed once. A batch depends on the
texts of the call and on nothing else; of several lists of texts, the next is tokenised in a thread while one is run.
``benchmarks/encode.py`` measures it.

Reading order: ahead (a thread for what comes next), sentence (texts to vectors), packed and attention (faster layers),
identity (what a model is known by), loading (settings to a model), remembered (a model that is loaded when it must be).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from curator.encoder.remembered import RememberedEncoder, encoder_of
from curator.vectors import Encoded, Encoder

if TYPE_CHECKING:
    from curator.encoder.loading import embedded_model, load
    from curator.encoder.sentence import SentenceEncoder, batch_tokens

__all__ = [
    "Encoded",
    "Encoder",
    "RememberedEncoder",
    "SentenceEncoder",
    "batch_tokens",
    "embedded_model",
    "encoder_of",
    "load",
]  # fmt: skip

_BRING_TORCH = {
    "embedded_model": "loading",
    "load": "loading",
    "SentenceEncoder": "sentence",
    "batch_tokens": "sentence",
}


def __getattr__(name: str) -> Any:
    """What brings torch along, imported when it is first asked for: torch takes a second."""
    if name not in _BRING_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_BRING_TORCH[name]}"), name)
