"""Vectors: rows of them in memory or on disk, what makes them, and the store that keeps one per text.

Reading order: rows (vectors by position), encoder (what makes them), hashes (texts by content), places, shards,
encoding and store (on disk).
"""

from curator.vectors.encoder import Encoded, Encoder, Step
from curator.vectors.encoding import Encoding, Lacking, Window
from curator.vectors.hashes import Hashes, HashSet, Texts, text_hash
from curator.vectors.places import Places
from curator.vectors.rows import Matrix, Rows, Vectors
from curator.vectors.store import Freed, VectorStore

__all__ = [
    "Encoded",
    "Encoder",
    "Encoding",
    "Freed",
    "HashSet",
    "Hashes",
    "Lacking",
    "Matrix",
    "Places",
    "Rows",
    "Step",
    "Texts",
    "VectorStore",
    "Vectors",
    "Window",
    "text_hash",
]
