"""Labels or values for documents, by a saved classifier, piece by piece."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curator.corpora import Progress
from curator.documents import Columns, Origin, Reject, read, unread
from curator.errors import CuratorWarning
from curator.models.beside import Beside
from curator.training import Classifier, decided

PIECE = 4096  # documents at a time: what is held of them beside their texts, and what the progress is told by


def predict(
    classifier: Classifier,
    origin: Origin,
    columns: Columns,
    *,
    trained: Beside | None = None,
    k: int = 0,
    progress: Progress | None = None,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """``id``, what the model says, and ``text`` for each document of an origin, in its order, and the report.

    What it says is by its kind ``label, probability``; ``labels`` (those of a probability of 0.5 or more, in the order
    of the model) and ``probabilities``, a structure with a field for each label; or ``value``. With ``trained``, its
    ``k`` documents nearest to each as ``neighbours``. The report counts ``documents``, ``rejects`` and texts that the
    model ``truncated``; a CuratorWarning is raised where there are some, and where there is no document.
    """
    documents, rejects = _documents(origin, columns)
    parts, cut, cut_for_encoder = [_part(classifier, documents.clear(), trained, k)[0]], 0, 0
    for start in range(0, len(documents), PIECE):
        if progress and len(documents) > PIECE:  # else it is soon done
            progress("predicting", start, len(documents))
        part, truncated, of_encoder = _part(classifier, documents.slice(start, PIECE), trained, k)
        parts.append(part)
        cut, cut_for_encoder = cut + truncated, cut_for_encoder + of_encoder
    _warn(len(documents), rejects, cut, classifier.settings.max_length)
    report = {
        "documents": len(documents),
        "rejects": len(rejects),
        "truncated": cut,
        **({"kind": classifier.kind} if classifier.kind != "single" else {}),
        "labels": list(classifier.labels),
        **({"explained": trained.report(k, cut_for_encoder)} if trained else {}),
    }
    return pl.concat(parts), report


def _documents(origin: Origin, columns: Columns) -> tuple[pl.DataFrame, list[Reject]]:
    """``id, text`` of all documents, and what could not be read; a batch's other columns go as it comes."""
    frames, rejects = [pl.DataFrame(schema={"id": pl.String, "text": pl.String})], list[Reject]()
    for batch in read(origin, corpus="input", columns=columns):
        frames.append(batch.frame.select("id", "text"))
        rejects += batch.rejects
    return pl.concat(frames), rejects


def _part(
    classifier: Classifier, documents: pl.DataFrame, trained: Beside | None, k: int
) -> tuple[pl.DataFrame, int, int]:
    """The rows of some documents, and how many of them the model and the encoder cut."""
    texts = documents["text"].to_list()
    given, cut = classifier.judge(texts)
    columns = [documents["id"], *_said(classifier, given), documents["text"]]
    if trained is None:
        return pl.DataFrame(columns), len(cut), 0
    neighbours, truncated = trained.nearest(texts, k)
    return pl.DataFrame([*columns, neighbours]), len(cut), truncated


def _said(classifier: Classifier, given: NDArray[np.float32]) -> list[pl.Series]:
    """The columns of what a model gives, (n, outputs)."""
    names, found = classifier.labels, decided(given, classifier.kind)
    match classifier.kind:
        case "single":
            labels = pl.Series("label", [names[label] for label in found], pl.String)
            return [labels, pl.Series("probability", given[np.arange(len(found)), found])]
        case "multi":
            labels = pl.Series("labels", [[names[label] for label in own] for own in found], pl.List(pl.String))
            columns = [pl.Series(name, given[:, column]) for column, name in enumerate(names)]
            return [labels, pl.DataFrame(columns).to_struct("probabilities")]
        case "regression":
            return [pl.Series("value", found, pl.Float32)]


def _warn(documents: int, rejects: Sequence[Reject], cut: int, length: int) -> None:
    if rejects:
        warnings.warn(unread(rejects), CuratorWarning, stacklevel=4)
    if not documents:
        warnings.warn("the input has no documents: nothing was predicted", CuratorWarning, stacklevel=4)
    if cut:
        told = f"{cut:,} of {documents:,} texts are longer than the {length} tokens that the model reads and were cut"
        warnings.warn(told, CuratorWarning, stacklevel=4)
