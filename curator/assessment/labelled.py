"""Which documents of a file a classifier can be judged by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.errors import DataError

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Labelled:
    """Documents, and which of them have a label that the model has: only these can be judged, the others are counted.

    ``frame``: ``text, label`` and columns of strings, in an order that depends on what the documents are and not on
    the file's. ``known``: (documents,) whether the label is one of the model's. ``truth``: of the known ones, the
    positions of their labels among the model's.
    """

    frame: pl.DataFrame
    known: Booleans
    truth: Integers

    @property
    def judged(self) -> pl.DataFrame:
        """The documents that ``truth`` is of."""
        return self.frame.filter(pl.Series(self.known))

    @property
    def unlabelled(self) -> int:
        """Documents without a label."""
        return self.frame["label"].null_count()

    @property
    def unknown(self) -> dict[str, int]:
        """How many documents have each label that the model lacks, most frequent first."""
        others = self.frame.filter(~pl.Series(self.known)).drop_nulls("label")["label"].value_counts()
        return {label: int(count) for label, count in sorted(others.iter_rows(), key=lambda row: (-row[1], row[0]))}

    @property
    def foreign(self) -> int:
        """Documents of labels that the model lacks; it cannot be right on any of them."""
        return sum(self.unknown.values())


def labelled(documents: pl.DataFrame, labels: Sequence[str], by: Sequence[str] = ()) -> Labelled:
    """Documents with at least ``text, label`` and the columns ``by``, all strings, for a model of these labels."""
    frame = documents.select(list(dict.fromkeys(("text", "label", *by))))
    # In bf16 the batch that a text is in decides on the last digits of its probabilities: it must not be the file's
    # order that decides on the batch.
    frame = frame.sort(frame.columns, nulls_last=True)
    position = {label: index for index, label in enumerate(labels)}
    known = np.array([label in position for label in frame["label"]], np.bool_)
    return Labelled(
        frame, known, np.array([position[label] for label in frame["label"] if label in position], np.int64)
    )


def check(found: Labelled, labels: Sequence[str]) -> None:
    """Raise DataError where nothing can be said: no document, no label, none of the model's labels, or only one."""
    if not len(found.frame):
        raise DataError("there are no documents to assess the model on")
    if found.unlabelled == len(found.frame):
        raise DataError(f"none of the {found.unlabelled:,} documents has a label; name the column that has it (label)")
    if not len(found.truth):
        raise DataError(
            f"none of the {found.foreign:,} labelled documents has a label of the model; theirs are "
            f"{_few(list(found.unknown))}, the model's {_few(labels)}"
        )
    present = np.unique(found.truth)
    if len(present) < 2:
        raise DataError(
            f"the {len(found.truth):,} documents that can be judged all have the label {labels[present[0]]!r}; a model "
            f"is assessed on documents of at least two of its labels, which are {_few(labels)}"
        )


def _few(labels: Sequence[str]) -> str:
    shown = (repr(label if len(label) <= 40 else label[:39] + "…") for label in labels[:8])
    return ", ".join(shown) + (", …" if len(labels) > 8 else "")
