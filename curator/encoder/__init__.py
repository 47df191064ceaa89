"""Texts to vectors with a sentence-transformers model: the only package that imports that library.

The library's own modules compute the vectors; what is ours is how texts reach them. All texts of a call are
tokenised first and sorted by their number of tokens, so that a batch holds texts of about one length and a fixed
number of tokens; on a processor that multiplies bf16, weights are bf16 and packed once. A batch depends on the
texts of the call and on nothing else; of several lists of texts, the next is tokenised in a thread while one is run.
``benchmarks/encode.py`` measures it.

Reading order: ahead (a thread for what comes next), sentence (texts to vectors), packed (faster layers), identity
(what a model is known by), loading (settings to a model), remembered (a model that is loaded when it must be).
"""

from curator.encoder.loading import embedded_model, load
from curator.encoder.remembered import RememberedEncoder
from curator.encoder.sentence import BATCH_TOKENS, SentenceEncoder
from curator.vectors import Encoded, Encoder

__all__ = [
    "BATCH_TOKENS", "Encoded", "Encoder", "RememberedEncoder", "SentenceEncoder", "embedded_model", "load",
]  # fmt: skip
