"""Files and frames → documents; what cannot be read goes to rejects with file, line and reason.

``read`` yields batches of documents in the order of the origin. The reading order of the package is its
import order: ``records`` (the nouns), ``values`` (columns), ``cells`` (of spreadsheets), ``lines`` and ``tables`` (the
formats), ``places`` (which files), ``shape`` (columns → documents), ``gather`` (documents → batches),
``ingest`` (the whole) and ``whole`` (all of it at once); ``labels`` are what a task makes of theirs.
"""

from curator.documents.cells import guarded, is_to_label
from curator.documents.ingest import firsts, read
from curator.documents.labels import READ_AS, TYPES, kept_labels, listed, read_labels, told_label
from curator.documents.places import asked, files
from curator.documents.records import (
    EXCERPT,
    READER,
    REJECT_COLUMNS,
    RESERVED,
    Batch,
    Columns,
    Kept,
    Key,
    Mark,
    Origin,
    Piece,
    Reject,
    reject_table,
    runs,
)
from curator.documents.texts import normalise
from curator.documents.values import texts_of
from curator.documents.whole import unread, whole

__all__ = [
    "EXCERPT", "READER", "READ_AS", "REJECT_COLUMNS", "RESERVED", "TYPES", "Batch", "Columns", "Kept", "Key", "Mark",
    "Origin", "Piece", "Reject", "asked", "files", "firsts", "guarded", "is_to_label", "kept_labels", "listed",
    "normalise", "read", "read_labels", "reject_table", "runs", "texts_of", "told_label", "unread", "whole",
]  # fmt: skip
