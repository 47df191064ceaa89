"""The language of each document."""

from functools import cache
from typing import Any

import polars as pl
import pyarrow as pa

from curator.functions._results import keyed_texts
from curator.relation import Relation


def languages(candidates: Relation) -> pa.Table:
    """The language of each text, and how sure that is: py3langid (Lui and Baldwin, ACL 2012), offline.

    A naive Bayes model over byte n-grams knows some hundred languages. Returns ``corpus`` (where the relation has it),
    ``id``, ``language`` (ISO 639-1, or 639-3 where a language has no other) and ``probability``, a row per document in
    their order. The probability is the model's own over all its languages, softened for long texts; texts of a few
    words spread it over many languages, so a low one says "too short to tell" as often as "another language". NULL for
    a text that is NULL or has no letter. Each text is read by itself, so time grows with their length and nothing else.

    Raises QueryError for a relation without ``id`` or a ``text`` of strings.
    """
    keys, texts = keyed_texts("languages", candidates)
    lettered = texts.str.contains(r"\p{L}").fill_null(False)
    found = [
        _identifier().classify(text) if known else (None, None) for text, known in zip(texts, lettered, strict=True)
    ]
    schema = {"language": pl.String, "probability": pl.Float64}
    named = pl.DataFrame(found, schema=schema, orient="row")
    table: pa.Table = pl.concat([keys, named], how="horizontal").to_arrow(compat_level=pl.CompatLevel.newest())
    return table


@cache
def _identifier() -> Any:
    """The model, read once: it takes a second."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
