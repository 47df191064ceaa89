"""Hashed n-grams of texts: what DSIR weighs, and what its audit counts."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.engines import HERE, Engine
from curator.errors import QueryError
from curator.functions._blocks import by_blocks
from curator.functions._results import check_texts
from curator.functions.bm25 import CHARACTER, WORD
from curator.hashing import Hashes, mixed
from curator.relation import Relation

BLOCK = 16_384  # texts that are taken apart at once
# What is counted: a word, a character of a script without spaces, or a run of punctuation.
_TOKEN = rf"{CHARACTER}|{WORD}|[^\w\s]+|_+"

Buckets = npt.NDArray[np.int32]
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ngrams:
    """The buckets of the n-grams of some texts, for each order apart: those of a text stand together.

    ``orders``: for each order (m,) buckets, of which ``lengths`` (n,) say how many each text has.
    """

    orders: tuple[tuple[Buckets, npt.NDArray[np.int64]], ...]

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(n,) n-grams of each text, of all orders."""
        sizes: npt.NDArray[np.int64] = np.sum([lengths for _, lengths in self.orders], axis=0)
        return sizes

    def counts(self, buckets: int) -> Weights:
        """(buckets,) how often each occurs."""
        found = np.zeros(buckets)
        for places, _ in self.orders:
            found += np.bincount(places, minlength=buckets)
        return found

    def sums(self, values: Weights) -> Weights:
        """(n,) sums of the values (buckets,) of the n-grams of each text."""
        found = np.zeros(len(self.orders[0][1]))
        for places, lengths in self.orders:
            rows = np.repeat(np.arange(len(lengths)), lengths)
            found += np.bincount(rows, values[places], minlength=len(lengths))
        return found


def hashed_ngrams(texts: pl.Series, orders: int, buckets: int, engine: Engine = HERE) -> Iterator[Ngrams]:
    """The n-grams of 1 to ``orders`` tokens of each text, block by block, by an engine's workers. A NULL has none.

    Tokens are in lower case and NFKC. The hash is the same whatever the machine, process or version.
    """
    return by_blocks(texts, BLOCK, "n-grams", partial(_ngrams, orders=orders, buckets=buckets), engine)


def _ngrams(texts: pl.Series, orders: int, buckets: int) -> Ngrams:
    tokens, lengths = tokenised(texts, _TOKEN)
    hashes = _hashes(tokens)
    return Ngrams(tuple(_of_order(hashes, lengths, order, buckets) for order in range(1, orders + 1)))


def tokenised(texts: pl.Series, pattern: str) -> tuple[pl.Series, npt.NDArray[np.int64]]:
    """What matches in each text, in lower case and NFKC, text by text, and how many each has, (n,). A NULL has none."""
    lists = texts.fill_null("").str.normalize("NFKC").str.to_lowercase().str.extract_all(pattern)
    return lists.explode(empty_as_null=False), lists.list.len().to_numpy().astype(np.int64)


def _hashes(tokens: pl.Series) -> Hashes:
    """(m,) a number for each token."""
    if not len(tokens):
        return np.empty(0, np.uint64)
    unique = tokens.unique()
    values = pl.Series([zlib.crc32(token.encode("utf8")) for token in unique.to_list()], dtype=pl.UInt64)
    return mixed(tokens.replace_strict(unique, values, return_dtype=pl.UInt64).to_numpy())


def _of_order(
    tokens: Hashes, lengths: npt.NDArray[np.int64], order: int, buckets: int
) -> tuple[Buckets, npt.NDArray[np.int64]]:
    """The buckets of the runs of ``order`` tokens, and how many each text has."""
    left = np.repeat(lengths.cumsum(), lengths) - np.arange(len(tokens))  # tokens of the text from this one on
    starts = np.flatnonzero(left >= order)
    value = np.full(len(starts), order, np.uint64)
    for place in range(order):
        value = mixed(value + tokens[starts + place])
    return (value % np.uint64(buckets)).astype(np.int32), np.maximum(lengths - order + 1, 0)


def counted(texts: pl.Series, orders: int, buckets: int) -> Weights:
    """(buckets,) how often each occurs in all of the texts."""
    return sum((part.counts(buckets) for part in hashed_ngrams(texts, orders, buckets)), np.zeros(buckets))


def groups(function: str, target: Relation, by: str | None) -> dict[str | None, pl.Series]:
    """The texts of each value of a column, in the order of the values; under None all where none is named or no row is.

    Raises QueryError for a relation without texts, or without the column.
    """
    texts = check_texts(function, target)
    if by is None:
        return {None: texts}
    if by not in target.columns:
        raise QueryError(f"{function}: by is {by!r}; the target has: {', '.join(target.columns)}")
    frame = pl.DataFrame({"by": target.select([by])[by].cast(pl.String), "text": texts}).drop_nulls("by")
    if not len(texts):
        return {None: texts}
    if not len(frame):
        raise QueryError(f"{function}: the column {by!r} of the target holds nothing but NULL")
    return {name: part["text"] for (name,), part in sorted(frame.group_by("by"), key=lambda item: str(item[0][0]))}
