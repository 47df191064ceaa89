"""How well each candidate matches the words of some target document."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from scipy.sparse import csc_array, csr_array

from curator.errors import QueryError
from curator.functions._results import check_texts
from curator.functions.bm25 import built, terms
from curator.relation import Relation

CELLS = 2**23  # scores of candidates × target documents that are made at once
KEY = ["corpus", "id"]

Weights = npt.NDArray[np.float64]


def bm25_relevance(target: Relation, candidates: Relation) -> pa.Table:
    """Of the words of a target document, the share that a candidate has, by their weights in BM25; of the best such.

    Each target document is a query to an index of the candidates, scored as ``bm25`` does. What a query can reach at
    most grows with its words, so its score is divided by that: by Σ ln(1 + (N − n + ½) / (n + ½)) over its words, those
    that no candidate has among them. That makes scores of long and short target documents comparable, between 0 and 1.

    Returns ``corpus, id, score, partner_corpus, partner_id``, a row per candidate in their order: the score against the
    target document that gives the highest (the first by corpus and id among equals), and which that is; 0 and NULL for
    a candidate that shares no word with any. Time and memory are linear in the candidates; time also grows with the
    number of target documents.

    Raises QueryError for relations without ``corpus`` or ``id``, or a ``text`` of strings.
    """
    for name, relation in (("target", target), ("candidates", candidates)):
        if missing := [column for column in KEY if column not in relation.columns]:
            raise QueryError(f"bm25_relevance: {name} needs a column {missing[0]!r}")
    keys = candidates.select(KEY)
    order = target.select(KEY).with_row_index("row").sort(KEY)
    partners = order.select(pl.col("corpus").alias("partner_corpus"), pl.col("id").alias("partner_id"))
    asked = check_texts("bm25_relevance", target).gather(order["row"])
    scores, which = _best(asked, check_texts("bm25_relevance", candidates))
    rows = pl.Series(which).set(pl.Series(scores == 0), None)
    found = keys.with_columns(pl.Series("score", scores), *partners.select(pl.all().gather(rows)))
    table: pa.Table = found.to_arrow(compat_level=pl.CompatLevel.newest())
    return table


def _best(asked: pl.Series, texts: pl.Series) -> tuple[Weights, npt.NDArray[np.int64]]:
    """(n,) the highest share of each text, and (n,) which question that is of."""
    scores, which = np.zeros(len(texts)), np.zeros(len(texts), np.int64)
    index = built(texts)
    if index is None or asked.is_empty():
        return scores, which
    kept = csc_array(
        (index.scores["data"].astype(np.float64), index.scores["indices"], index.scores["indptr"]),
        shape=(len(texts), len(index.vocab_dict)),
    )
    counts, most = _questions(asked, index.vocab_dict, np.diff(kept.indptr), len(texts))
    used = np.flatnonzero(counts.sum(axis=0))  # few of the candidates' terms are in any question
    matrix, weights = csr_array(kept[:, used]), counts[:, used].T.toarray() / np.where(most > 0, most, 1)
    for start, stop in _blocks(len(texts), len(asked)):
        found = matrix[start:stop] @ weights
        which[start:stop] = found.argmax(axis=1)
        scores[start:stop] = found[np.arange(stop - start), which[start:stop]]
    return scores, which


def _questions(
    asked: pl.Series, vocabulary: dict[str, int], holders: npt.NDArray[np.integer], n: int
) -> tuple[csc_array, Weights]:
    """(m, terms) how often each question has each term, and (m,) the most that its score can be.

    ``holders``: (terms,) how many of ``n`` texts have each term. A term that none has counts in the second alone.
    """
    counted = [Counter(question) for question in terms(asked).to_list()]
    known = [
        (row, vocabulary[term], count)
        for row, question in enumerate(counted)
        for term, count in question.items()
        if term in vocabulary
    ]
    rows, columns, counts = np.array(known, np.int64).reshape(-1, 3).T
    matrix = csc_array((counts.astype(np.float64), (rows, columns)), shape=(len(asked), len(vocabulary)))
    unknown = np.array([sum(c for t, c in question.items() if t not in vocabulary) for question in counted], np.float64)
    return matrix, matrix @ _idf(holders, n) + unknown * _idf(np.zeros(1), n)


def _idf(holders: npt.NDArray[np.integer] | Weights, n: int) -> Weights:
    weights: Weights = np.log1p((n - holders + 0.5) / (holders + 0.5))
    return weights


def _blocks(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    step = max(1, CELLS // columns)
    for start in range(0, rows, step):
        yield start, min(start + step, rows)
