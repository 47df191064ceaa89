"""The true score of a pair: in double precision from its two vectors, rounded to single precision once.

However a pair was found (by FAISS in single precision on one thread or many, by a product in bf16, on a GPU, in an
index of compressed vectors), this is the number that is returned for it and that its place in a list depends on.
"""

from collections.abc import Callable

import numpy as np

from curator.neighbours.edges import Positions, Scores
from curator.vectors import Matrix, Vectors

GATHER_BLOCK = 1_024  # pairs whose vectors are held at once; more than a cache holds makes them slower

Measure = Callable[[Matrix, Matrix], Scores]


def products(left: Matrix, right: Matrix) -> Scores:
    """(n,) inner products of n pairs."""
    terms = right.astype(np.float64)
    terms *= left  # in place and summed apart: half the time of einsum, which converts both
    with np.errstate(over="ignore"):  # beyond single precision: the caller sees infinity
        exact: Scores = terms.sum(axis=1).astype(np.float32)
    return exact


def distances(left: Matrix, right: Matrix) -> Scores:
    """(n,) Euclidean distances of n pairs, from their differences."""
    differences = np.subtract(left, right, dtype=np.float64)
    exact: Scores = np.sqrt(np.einsum("ij,ij->i", differences, differences)).astype(np.float32)
    return exact


def all_products(left: Matrix, right: Matrix) -> Scores:
    """(q, n) inner products of all pairs of two blocks."""
    with np.errstate(over="ignore"):
        exact: Scores = (left.astype(np.float64) @ right.astype(np.float64).T).astype(np.float32)
    return exact


def of_pairs(measure: Measure, left: Matrix, right: Vectors, rows: Positions, ids: Positions) -> Scores:
    """(n,) scores of the pairs of ``left[rows]`` and ``right[ids]``."""
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), GATHER_BLOCK):
        part = slice(start, start + GATHER_BLOCK)
        scores[part] = measure(left.take(rows[part], axis=0), right.take(ids[part]).matrix())
    return scores
