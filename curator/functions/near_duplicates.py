"""Near duplicates by their wording: MinHash finds the pairs, every pair is verified, the leader rule decides."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator.engines import Engine
from curator.errors import CuratorWarning, QueryError
from curator.functions._blocks import by_blocks
from curator.functions._leading import LOOK, Leading, Rows, alarm, precedence
from curator.functions._minhash import (
    TEXTS,
    Banding,
    Sets,
    band_keys,
    banding,
    buckets,
    jaccard,
    normalised,
    shingle_sets,
)
from curator.functions._results import check_texts, check_whole_number
from curator.relation import Relation

PAIRS = 1 << 20  # candidate pairs looked at together
MANY = 1_000  # pairs to verify for each text: more is told

Edges = tuple[Rows, Rows, npt.NDArray[np.float64]]


def near_duplicates(
    candidates: Relation, *, min_jaccard: float = 0.8, ngram: int = 3, permutations: int = 128,
    priority: str | None = None, seed: int = 0,
) -> pa.Table:  # fmt: skip
    """The kept document that each near duplicate stands for, by the overlap of their texts.

    A text, in lower case and without punctuation, is the set of its runs of ``ngram`` characters; the similarity of two
    is the Jaccard similarity of the sets, shared runs over all runs. A text shorter than ``ngram`` is one run, and so
    like no text but the same. A document without text (NULL, white space) is kept. Runs of characters, because words
    would leave out scripts without spaces, and runs of words are too few in a short text: of 6,000 real texts of 5 to
    15 words with one word swapped, inserted, deleted or misspelt, 95 % are told from as many as 30 of 18 million other
    pairs by runs of 3 characters, 91 by 2, 93 by 5, 90 by runs of 2 words (99 by single words, whatever their order).

    Documents are taken in order: the sources that ``priority`` names (separated by commas), then the others, by
    corpus and id. One whose similarity to an earlier *leader* is at least ``min_jaccard`` is a near duplicate of it;
    any other becomes a leader. MinHash in bands (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive
    Datasets, chapter 3) proposes the pairs, and every one is verified: what is returned is the true similarity. Only
    the proposals are approximate: with b bands of r rows a pair of similarity s is missed with probability
    (1 − s^r)^b. Of b · r ≤ ``permutations``, r is the largest with which that is at most 1 % at ``min_jaccard``: the
    defaults give 21 bands of 6 rows, which miss 0.17 % of the pairs at 0.8 and 1e-7 of those at 0.9.

    Returns ``corpus, id, leader_corpus, leader_id, similarity``, a row per candidate in their order. The leader of a
    near duplicate is the most similar of those before it; a leader's own three last columns are NULL. The result does
    not depend on the order of the rows, and is the same for the same ``seed``. Memory: 8 bytes for each band of a
    text, some 9 for each shingle of one that shares a band, and 40 for each band that a text shares.

    Raises QueryError for a threshold outside (0, 1] or too low for the permutations, missing columns, or a
    ``priority`` without a column ``source``. Warns when a source of 50 documents or more loses over 30 %, of names in
    ``priority`` that are no source, when by the formula a pair or more was missed, and where many unlike texts share
    bands (a template): the time then grows with the square of their number.
    """
    bands = _check(min_jaccard, ngram, permutations, seed)
    frame = candidates.select(name for name in ("corpus", "id", "source") if name in candidates.columns)
    order = precedence("near_duplicates", frame, priority)
    texts = _Texts.of(check_texts("near_duplicates", candidates).gather(order))
    leading = _lead(texts, len(frame), bands, min_jaccard, ngram, seed, candidates.engine)
    found = leading.table(frame, order)
    what = f"near duplicates at a Jaccard similarity of {min_jaccard}"
    alarm(frame, found["leader_id"].is_not_null(), what, f"{LOOK} texts of this length")
    table: pa.Table = found.to_arrow()
    return table


def _check(min_jaccard: float, ngram: int, permutations: int, seed: int) -> Banding:
    """How to band. Raises QueryError for arguments out of range."""
    for name, value in (("ngram", ngram), ("permutations", permutations)):
        check_whole_number("near_duplicates", name, value, least=1)
    check_whole_number("near_duplicates", "seed", seed, least=0)
    if not 0 < min_jaccard <= 1:
        raise QueryError(f"near_duplicates: min_jaccard is {min_jaccard}; a similarity above 0, at most 1, is needed")
    bands = banding(min_jaccard, permutations)
    if bands is None:
        raise QueryError(
            f"near_duplicates: {permutations} permutations miss more than 1 % of the pairs at a Jaccard similarity of "
            f"{min_jaccard}; give more permutations, or a higher min_jaccard"
        )
    return bands


@dataclass(frozen=True)
class _Texts:
    """Different texts in order of precedence, and the documents of each: positions, those of a text in order."""

    words: pl.Series
    documents: Rows
    starts: Rows
    copies: Rows  # how many documents a text has

    @classmethod
    def of(cls, texts: pl.Series) -> "_Texts":
        frame = pl.DataFrame({"words": normalised(texts)}).with_row_index("row").drop_nulls()
        groups = frame.group_by("words", maintain_order=True).agg("row")
        copies = groups["row"].list.len().to_numpy().astype(np.int64)
        documents = groups["row"].explode(empty_as_null=False).to_numpy().astype(np.int64)
        return cls(groups["words"], documents, np.cumsum(copies) - copies, copies)

    @property
    def first(self) -> Rows:
        """The first document of each text."""
        first: Rows = self.documents[self.starts]
        return first

    @property
    def last(self) -> Rows:
        """The last document of each text."""
        last: Rows = self.documents[self.starts + self.copies - 1]
        return last

    def spread(self, left: Rows, right: Rows, score: npt.NDArray[np.float64]) -> Edges:
        """Pairs of a leading text and another as pairs of the leader and each later document of the other."""
        pair = np.repeat(np.arange(len(left)), self.copies[right])
        place = np.arange(len(pair)) - (np.cumsum(self.copies[right]) - self.copies[right])[pair]
        document = self.documents[self.starts[right][pair] + place]
        leader = self.first[left][pair]
        later = document > leader
        return leader[later], document[later], score[pair[later]]


def _lead(texts: _Texts, n: int, bands: Banding, min_jaccard: float, ngram: int, seed: int, engine: Engine) -> Leading:
    """The leaders among n documents. Only leaders are compared with others: a bucket of copies costs what it holds."""
    leading = Leading(n)
    if not len(texts.words):
        return leading
    do = partial(band_keys, ngram=ngram, bands=bands, seed=seed)
    keys = list(by_blocks(texts.words, TEXTS, "MinHash", do, engine))
    shared = buckets(np.concatenate([part[band] for part in keys]) for band in range(bands.bands))
    del keys
    sets = shingle_sets(texts.words, ngram, np.flatnonzero(np.diff(shared.indptr)))
    pairs = _Pairs(sets, shared, min_jaccard)
    missed = 0.0
    for block in _blocks(texts, shared, leading):
        i, j, score = pairs.over(block, block, lambda i, j: i < j)
        inside = Leading(len(block))  # who of the block leads, before these are compared with all
        inside.add(np.searchsorted(block, i), np.searchsorted(block, j), score)
        heads = block[inside.leader < 0]
        i, j, score = pairs.over(heads, None, lambda i, j: (i != j) & (texts.last[j] > texts.first[i]))
        leading.add(*texts.spread(i, j, score))
        missed += float((bands.missed(score) / (1 - bands.missed(score))).sum())
    own = np.repeat(texts.first, texts.copies)
    copy = (own != texts.documents) & (leading.leader[own] < 0)
    leading.leader[texts.documents[copy]] = own[copy]
    leading.similarity[texts.documents[copy]] = 1.0
    if missed >= 1:
        warnings.warn(
            f"near_duplicates: MinHash missed an estimated {missed:,.0f} pairs of texts at or over a Jaccard "
            f"similarity of {min_jaccard}, by its chance to find those that it did; more permutations miss fewer",
            CuratorWarning,
            stacklevel=3,
        )
    return leading


def _blocks(texts: _Texts, shared: Sets, leading: Leading) -> Iterator[Rows]:
    """Texts that share a band with another and may still lead, in order, as many as have about PAIRS pairs."""
    weight = shared @ (shared.T @ texts.copies)
    queue = np.flatnonzero(np.diff(shared.indptr))
    while len(queue := queue[leading.leader[texts.first[queue]] < 0]):
        stop = max(1, int(np.searchsorted(np.cumsum(weight[queue]), PAIRS)))
        yield queue[:stop]
        queue = queue[stop:]


class _Pairs:
    """Pairs of texts that share a band, verified; tells once where there are many more of them than texts."""

    def __init__(self, sets: Sets, shared: Sets, min_jaccard: float) -> None:
        self.sets = sets
        self.shared = shared
        self.min_jaccard = min_jaccard
        self.compared = 0
        self.told = False

    def over(self, left: Rows, right: Rows | None, wanted: Callable[[Rows, Rows], npt.NDArray[np.bool_]]) -> Edges:
        """The wanted pairs of some texts with others, or with all, that reach the threshold, by the left text."""
        others = self.shared if right is None else self.shared[right]
        found = (self.shared[left] @ others.T).tocoo()
        i, j = left[found.row], (found.col if right is None else right[found.col])
        keep = wanted(i, j)
        i, j = i[keep], j[keep]
        self._count(len(i))
        score = jaccard(self.sets, i, j)
        keep = score >= self.min_jaccard
        return i[keep], j[keep], score[keep]

    def _count(self, pairs: int) -> None:
        self.compared += pairs
        texts = self.sets.shape[0]
        if self.compared > MANY * texts and not self.told:
            self.told = True
            warnings.warn(
                f"near_duplicates: over {self.compared:,} pairs of {texts:,} texts to compare: many have much of their "
                "wording in common, as those of a template, yet not enough to be near duplicates; the time grows with "
                "the square of their number. A higher min_jaccard or more permutations propose fewer pairs",
                CuratorWarning,
                stacklevel=5,
            )
