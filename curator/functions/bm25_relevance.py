"""How well each candidate matches the words of some target document, by BM25."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from scipy.sparse import csc_array, csr_array

from curator.errors import QueryError
from curator.functions._results import check_texts
from curator.functions.bm25 import K1, B, indexed, numbered, terms
from curator.relation import Relation

CELLS = 2**23  # scores of candidates × target documents that are made at once
KEY = ["corpus", "id"]

Weights = npt.NDArray[np.float64]


def bm25_relevance(target: Relation, candidates: Relation) -> pa.Table:
    """What a candidate scores by BM25 for a target document, over what a copy of that document would; of the best such.

    Each target document is a query to an index of the candidates, scored as ``bm25`` does. What a query can reach grows
    with its words, so its score is divided by that of a candidate with the very same words. That makes scores of long
    and short target documents comparable: 0 is no word in common, 1 as good as a copy; it can be more for a candidate
    that repeats the rarest words. A word that no candidate has counts for what a copy would score.

    Returns ``corpus, id, score, partner_corpus, partner_id``, a row per candidate in their order: the score against the
    target document that gives the highest (the first by corpus and id among equals), and which that is; 0 and NULL for
    a candidate that shares no word with any. Time grows with the candidates and with the target documents; memory is
    linear in the texts of both.

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
    ids, vocabulary = numbered(texts)
    index = indexed(ids, vocabulary)
    if index is None or asked.is_empty():
        return scores, which
    mean = sum(map(len, ids)) / len(ids)
    del ids
    kept = csc_array(
        (index.scores["data"].astype(np.float64), index.scores["indices"], index.scores["indptr"]),
        shape=(len(texts), len(vocabulary)),
    )
    counts, most = _questions(asked, vocabulary, np.diff(kept.indptr), len(texts), mean)
    used = np.flatnonzero(counts.sum(axis=0))  # few of the candidates' terms are in any question
    matrix, wanted = csr_array(kept[:, used]), counts[:, used].tocsr()
    for first, last in _blocks(len(asked), max(len(used), 1)):
        weights = wanted[first:last].T.toarray() / np.where(most > 0, most, 1)[first:last]
        for start, stop in _blocks(len(texts), last - first):
            found = matrix[start:stop] @ weights
            best = found.argmax(axis=1)
            score = found[np.arange(stop - start), best]
            better = score > scores[start:stop]
            scores[start:stop][better], which[start:stop][better] = score[better], first + best[better]
    return scores, which


def _questions(
    asked: pl.Series, vocabulary: dict[str, int], holders: npt.NDArray[np.integer], texts: int, mean: float
) -> tuple[csc_array, Weights]:
    """(m, terms) how often each question has each term, and (m,) what a text of the same terms would score.

    ``holders``: (terms,) how many of the ``texts`` have each term; ``mean``: terms of a text, in the mean. A term that
    none has counts in the second alone.
    """
    counted = [Counter(question) for question in terms(asked).to_list()]
    rows = np.repeat(np.arange(len(counted)), [len(question) for question in counted])
    columns = np.array([vocabulary.get(term, -1) for question in counted for term in question], np.int64)
    counts = np.array([count for question in counted for count in question.values()], np.float64)
    lengths = np.bincount(rows, counts, len(counted))
    known = columns >= 0
    n = np.zeros(len(columns))
    n[known] = holders[columns[known]]
    weights = np.log1p((texts - n + 0.5) / (n + 0.5))
    saturated = counts / (counts + K1 * (1 - B + B * lengths[rows] / mean))
    most = np.bincount(rows, counts * weights * saturated, len(counted)).astype(np.float64)
    shape = (len(counted), len(vocabulary))
    return csc_array((counts[known], (rows[known], columns[known])), shape=shape), most


def _blocks(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    step = max(1, CELLS // columns)
    for start in range(0, rows, step):
        yield start, min(start + step, rows)
