"""Files and frames → documents; what cannot be read goes to rejects with file, line and reason.

``read`` yields batches of documents in the order of the origin. The reading order of the package is its
import order: ``records`` (the nouns), ``values`` (columns), ``lines`` and ``tables`` (the formats), ``places``
(which files), ``shape`` (columns → documents) and ``ingest`` (the whole).
"""

from curator.documents.ingest import read
from curator.documents.places import files
from curator.documents.records import RESERVED, Batch, Columns, Origin, Reject
from curator.documents.texts import normalise

__all__ = ["RESERVED", "Batch", "Columns", "Origin", "Reject", "files", "normalise", "read"]
