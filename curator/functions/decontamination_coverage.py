"""How many held-out documents decontamination could look for at all."""

import numpy as np
import polars as pl
import pyarrow as pa

from curator.functions._ngrams import tokenised
from curator.functions._results import check_texts, check_whole_number
from curator.functions.shared_runs import FEWEST, NGRAM, WORDS
from curator.relation import Relation

BLOCK = 65_536  # vectors looked at together


def decontamination_coverage(held_out: Relation, *, ngram: int = NGRAM, min_words: int = FEWEST) -> pa.Table:
    """The share of held-out documents that each layer of decontamination can check; what it cannot is not clean.

    Returns ``layer, checked, documents`` for the layers ``text`` (the same normalised text: there must be one),
    ``run`` (a run of ``ngram`` words in common, as in ``shared_runs``: at least ``min_words`` words, or ``ngram``) and
    ``cosine`` (its vector must not be zero). Without vectors the last is left out.

    Raises QueryError for a length below 1, or a relation without a ``text`` of strings.
    """
    check_whole_number("decontamination_coverage", "ngram", ngram, least=1)
    check_whole_number("decontamination_coverage", "min_words", min_words, least=1)
    texts = check_texts("decontamination_coverage", held_out)
    _, words = tokenised(texts, WORDS)
    checked = {
        "text": int((texts.fill_null("").str.strip_chars() != "").sum()),
        "run": int((words >= min(ngram, min_words)).sum()),
    }
    if held_out.can_embed:
        blocks = held_out.vectors.blocks(BLOCK)
        checked["cosine"] = sum(int(np.any(block != 0, axis=1).sum()) for _, block in blocks)
    rows = [{"layer": layer, "checked": number, "documents": len(texts)} for layer, number in checked.items()]
    table: pa.Table = pl.DataFrame(rows).to_arrow()
    return table
