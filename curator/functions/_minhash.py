"""Sets of shingles, and which of them probably overlap: MinHash and locality-sensitive hashing in bands.

Broder, On the resemblance and containment of documents (1997); Leskovec, Rajaraman and Ullman, Mining of Massive
Datasets, chapter 3. Sets are the rows of a sparse matrix: (n, 2^63 − 1) bool, a column per shingle.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_array

from curator.hashing import Hashes, mixed

MISSED = 0.01  # share of pairs at the threshold that may share no band
TEXTS = 8_192  # texts cut into shingles at once
CELLS = 1 << 15  # shingles hashed by one permutation at once: they stay in the processor's cache
SHINGLES = 1 << 22  # shingles of the pairs compared at once

Sets = Any  # a csr_array, for which there are no types
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Banding:
    """A signature in bands: two sets become candidates where all rows of a band are equal."""

    bands: int
    rows: int

    def missed(self, jaccard: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The probability that pairs of a Jaccard similarity share no band: (1 − s^rows)^bands."""
        return (1 - np.asarray(jaccard, np.float64) ** self.rows) ** self.bands


def banding(jaccard: float, permutations: int) -> Banding | None:
    """The bands of the most rows, and so the fewest candidates, that miss at most MISSED of pairs this similar."""
    for rows in range(permutations, 0, -1):
        found = Banding(permutations // rows, rows)
        if found.missed(jaccard) <= MISSED:
            return found
    return None


def normalised(texts: pl.Series) -> pl.Series:
    """The texts as ``normalised`` of sql/macros/texts.sql has them, but in NFKC; NULL where there is none."""
    lower = texts.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"[\s\p{Z}]+", " ").str.strip_chars()
    bare = lower.str.replace_all(r"\p{P}+", "").str.replace_all(" +", " ").str.strip_chars()
    return bare.replace("", None).fill_null(lower.replace("", None))


def shingle_sets(texts: pl.Series, ngram: int, rows: Rows | None = None) -> Sets:
    """The set of the runs of ``ngram`` characters of each text; a shorter text is the one run of its set.

    A run is a number of 63 bits, mixed of its characters: two runs have the same with probability 1e-19. ``rows``:
    texts whose sets are wanted; those of the others are empty.
    """
    own = texts if rows is None else texts.gather(rows)
    parts = [_shingles(own[start : start + TEXTS], ngram) for start in range(0, max(len(own), 1), TEXTS)]
    runs, found = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    counts = np.zeros(len(texts), np.int64)
    counts[slice(None) if rows is None else rows] = found
    ends = np.concatenate([[0], np.cumsum(counts)])
    sets = csr_array((np.ones(len(runs), bool), runs, ends), shape=(len(texts), np.iinfo(np.int64).max))
    sets.sum_duplicates()  # and puts the runs of each text in order
    return sets


def _shingles(texts: pl.Series, ngram: int) -> tuple[Rows, Rows]:
    """The runs of texts, one after another, and how many each has."""
    padded = texts.str.pad_end(ngram, "\0")
    lengths = padded.str.len_chars().to_numpy().astype(np.int64)
    characters = np.frombuffer(padded.str.join().item().encode("utf-32-le"), np.uint32)
    runs = np.zeros(max(0, len(characters) - ngram + 1), np.uint64)
    for place in range(ngram):
        runs = mixed(runs + characters[place : place + len(runs)])
    place = np.arange(len(runs)) - np.repeat(np.cumsum(lengths) - lengths, lengths)[: len(runs)]
    inside = place <= np.repeat(lengths, lengths)[: len(runs)] - ngram
    return (runs[inside] >> np.uint64(1)).astype(np.int64), lengths - ngram + 1


def signatures(sets: Sets, permutations: int, seed: int) -> npt.NDArray[np.uint32]:
    """The least value of each set's shingles in each of some random orders: (permutations, n) uint32.

    Two sets agree in one with a probability of their Jaccard similarity.
    """
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, 1 << 31, permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    shifts = rng.integers(0, 1 << 32, permutations, dtype=np.uint32)
    hashes = (sets.indices >> 31).astype(np.uint32)  # the runs are mixed: their upper half is random
    sizes, starts = np.diff(sets.indptr), sets.indptr[:-1]
    found = np.empty((permutations, len(sizes)), np.uint32)
    order = np.argsort(sizes, kind="stable")
    for block in chunks(sizes[order], CELLS):
        rows = order[block]
        # One column a set, filled up with its last shingle.
        grid = hashes[starts[rows] + np.minimum(np.arange(sizes[rows[-1]])[:, None], sizes[rows] - 1)]
        for number, (factor, shift) in enumerate(zip(factors, shifts, strict=True)):
            found[number, rows] = ((grid ^ shift) * factor).min(axis=0)
    return found


def band_keys(texts: pl.Series, ngram: int, bands: Banding, seed: int) -> Hashes:
    """The value of each band of the signature of each text's set: (bands, n) uint64."""
    sets = shingle_sets(texts, ngram)
    keys = np.zeros((bands.bands, sets.shape[0]), np.uint64)
    for number, own in enumerate(np.random.default_rng(seed).integers(0, 1 << 32, bands.bands)):
        for values in signatures(sets, bands.rows, int(own)):
            keys[number] = mixed(keys[number] ^ values)
    return keys


def buckets(keys: Iterable[Hashes]) -> Sets:
    """Which of n texts share which bands: (n, buckets) bool, a column per value of a band that several have.

    ``keys``: those of each band, (n,).
    """
    rows, columns, total, n = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0, 0
    for own in keys:
        n = len(own)
        order = np.argsort(own, kind="stable")
        number = np.cumsum(np.diff(own[order], prepend=own[order[:1]]) != 0)
        shared = np.bincount(number) > 1 if len(number) else np.empty(0, bool)
        several = shared[number]
        rows.append(order[several])
        columns.append((np.cumsum(shared) - 1)[number[several]] + total)
        total += int(shared.sum())
    i, j = np.concatenate(rows), np.concatenate(columns)
    return csr_array((np.ones(len(i), bool), (i, j)), shape=(n, total))


def jaccard(sets: Sets, left: Rows, right: Rows) -> npt.NDArray[np.float64]:
    """Shared shingles over all shingles of pairs of sets, (m,) rows each."""
    sizes = np.diff(sets.indptr)
    together = sizes[left] + sizes[right]
    found = np.empty(len(left))
    for block in chunks(together, SHINGLES):
        shared = np.diff(sets[left[block]].multiply(sets[right[block]]).indptr)
        found[block] = shared / (together[block] - shared)
    return found


def chunks(weights: Rows, limit: int) -> list[slice]:
    """Runs of items that weigh about ``limit`` together, or of one item that weighs more."""
    group = np.cumsum(weights) // limit
    bounds = [*np.flatnonzero(np.diff(group, prepend=-1)), len(weights)]
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(bounds)]
