"""What a classifier says of each document."""

import logging
import time

import numpy as np
import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.functions._results import keyed_texts
from curator.relation import Relation

log = logging.getLogger(__name__)

BLOCK = 16_384  # texts that are scored between two messages


def classified(documents: Relation, model: str, *, label: str | None = None) -> pa.Table:
    """The likeliest label of each text by a fine-tuned classifier, and its probability; or that of a given label.

    ``model`` is a directory (``curator train`` and ``curator race`` leave theirs in the workspace) or a hub name of a
    model that transformers loads as ``AutoModelForSequenceClassification``: of toxicity, quality, topics, anything.
    Texts are cut at 512 tokens, or what the model takes.

    Returns ``corpus`` (where the relation has it), ``id``, ``label`` and ``score``: its probability, or the value of a
    model of one number (``regression``). A row per document, in their order; NULL where there is no text. Equal texts
    are scored once, and the order of the rows changes nothing. Time is the model's: it reads every text, at some
    hundred a second for a BERT on a CPU.

    Raises QueryError for a relation without ``id`` or a ``text`` of strings, and for a label that the model does not
    have; UsageError or DataError for a model that cannot be loaded. No code of a model's is run.
    """
    from curator.training import scorer  # it imports torch and transformers, which other functions do without

    keys, texts = keyed_texts("classified", documents)
    known = scorer(model)
    if label is not None and label not in known.labels:
        raise QueryError(f"classified: {model} has no label {label!r}; it has {', '.join(known.labels)}")
    different = texts.drop_nulls().unique().sort()
    scores, started = np.empty((len(different), len(known.labels)), np.float32), time.monotonic()
    for start in range(0, len(different), BLOCK):
        part = different[start : start + BLOCK]
        scores[start : start + len(part)] = known.score(part.to_list())
        rate = (start + len(part)) / (time.monotonic() - started)
        log.info("classified: %s of %s texts, %.0f/s", f"{start + len(part):,}", f"{len(different):,}", rate)
    which = scores.argmax(axis=1) if label is None else np.full(len(scores), known.labels.index(label))
    found = pl.DataFrame(
        {
            "text": different,
            "label": pl.Series([known.labels[i] for i in which], dtype=pl.String),
            "score": scores[np.arange(len(scores)), which].astype(np.float64),
        }
    )
    rows = keys.with_columns(texts.alias("text")).join(found, on="text", how="left", maintain_order="left").drop("text")
    table: pa.Table = rows.to_arrow(compat_level=pl.CompatLevel.newest())
    return table
