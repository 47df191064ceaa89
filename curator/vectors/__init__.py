"""Vectors: rows of float32 in memory or on disk, what makes them, and the store that keeps one per text.

Reading order: rows (vectors by position), encoder (what makes them), hashes (texts by content), places and store (on
disk).
"""

from curator.vectors.encoder import Encoded, Encoder
from curator.vectors.hashes import Texts
from curator.vectors.places import Places
from curator.vectors.rows import Matrix, Rows, Vectors
from curator.vectors.store import VectorStore

__all__ = [
    "Encoded",
    "Encoder",
    "Index",
    "Matrix",
    "Places",
    "Rows",
    "Texts",
    "VectorStore",
    "Vectors",
    "distinct",
    "text_hash",
]
