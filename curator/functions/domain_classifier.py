"""How much more a candidate is like the target than like the other candidates, by a classifier of their vectors."""

import zlib

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator import probe
from curator.documents import normalise
from curator.errors import QueryError
from curator.functions._results import check_whole_number, key_of
from curator.relation import Relation
from curator.vectors import Matrix, Rows, Vectors

BLOCK = 16_384  # candidates scored at once
Scores = npt.NDArray[np.float64]


def domain_classifier(
    target: Relation, candidates: Relation, *, folds: int = 5, sample: int = 20_000, c: float = 0.1, seed: int = 0
) -> pa.Table:
    """The log-odds that a document is of the target rather than of the candidates.

    Logistic regression on the vectors, of length one, both sides of the same weight, so that the log-odds estimate the
    logarithm of the ratio of two densities (Bickel, Brückner and Scheffer, ICML 2007): above 0 a document is likelier
    in the target. ``c`` is the inverse of the strength of the L2 penalty: under a weak one the classifier knows a few
    target documents by heart and little else. Cross-fitted: the candidates are parted into ``folds`` by their
    normalised texts, so that the same text is in one fold, and each is scored by a classifier that was trained on a
    ``sample`` of the candidates in the other folds, drawn by ``seed``. No document is scored by a classifier that has
    seen it. (Candidates that belong to the target count as others all the same, which moves all scores, not their
    order.)

    Returns a row per candidate: ``corpus`` (where the relation has it), ``id``, ``fold`` from 0, ``score`` (the
    log-odds) and ``probability``. NULL without a target, and where no other fold has a candidate. The result does not
    depend on the order of the rows. Training takes the same time for any number of candidates, scoring is linear.

    Raises QueryError for relations without vectors or parameters out of range.
    """
    check_whole_number("domain_classifier", "folds", folds, least=2)
    check_whole_number("domain_classifier", "sample", sample, least=1)
    if not 0 < c < float("inf"):
        raise QueryError(f"domain_classifier: c is {c}; a number above 0 is needed")
    for role, relation in (("target", target), ("candidates", candidates)):
        if not relation.can_embed:
            raise QueryError(f"domain_classifier: the {role} has no vectors; name a corpus, or select 'embedding'")
    key = key_of(candidates)
    if "id" not in key:
        raise QueryError(f"domain_classifier needs a column 'id'; the relation has: {', '.join(candidates.columns)}")
    keys = candidates.select([*key, *(["text"] if "text" in candidates.columns else [])])
    fold, order = _folds(keys) % folds, _drawn(keys, key, seed)
    scores = np.full(len(keys), np.nan)
    if len(target) and len(keys):
        positives = target.vectors.unit().take(_drawn(target.frame, key_of(target), seed)).matrix()
        vectors = candidates.vectors.unit()
        for number in range(folds):
            others, mine = order[fold[order] != number][:sample], order[fold[order] == number]
            if len(others) and len(mine):
                scores[mine] = _scored(positives, vectors.take(others).matrix(), vectors.take(mine), c)
    log_odds = pl.Series("score", scores).fill_nan(None)
    result = keys.select(key).with_columns(
        pl.Series("fold", fold, dtype=pl.Int32), log_odds, (1 / (1 + (-log_odds).exp())).alias("probability")
    )
    table: pa.Table = result.to_arrow(compat_level=pl.CompatLevel.newest())
    return table


def _folds(keys: pl.DataFrame) -> npt.NDArray[np.uint32]:
    """(n,) a number that is the same for the same text; for the same key where the relation has no texts."""
    named = keys["text"] if "text" in keys.columns else _named(keys)
    return np.array([zlib.crc32(normalise(text or "").encode("utf8")) for text in named.to_list()], np.uint32)


def _drawn(frame: pl.DataFrame, key: list[str], seed: int) -> Rows:
    """(n,) rows in an order that depends on nothing but their keys and the seed."""
    if not key:
        return np.arange(len(frame))
    names = _named(frame.select(key))
    draw = pl.Series("draw", [zlib.crc32(f"{seed}:{name}".encode()) for name in names.to_list()], dtype=pl.UInt32)
    return pl.DataFrame([draw, names]).with_row_index("row").sort("draw", "name")["row"].to_numpy().astype(np.int64)


def _named(keys: pl.DataFrame) -> pl.Series:
    return keys.select(pl.concat_str(pl.all().cast(pl.String), separator=":").alias("name")).to_series()


def _scored(positives: Matrix, negatives: Matrix, rows: Vectors, c: float) -> Scores:
    """(n,) the log-odds of some rows by a classifier of the one and the other."""
    sides = np.repeat([1, 0], [len(positives), len(negatives)])
    # Here c is that of a sum of losses, and of a penalty on the difference of a probe's weights for two labels.
    found = probe.fit(np.concatenate([positives, negatives]), sides, probe.balanced(sides) / 2, 2, c=c * len(sides) / 2)
    weights, intercept = np.diff(found.weights, axis=0)[0], np.diff(found.intercept)
    scores: Scores = np.concatenate([block @ weights + intercept for _, block in rows.blocks(BLOCK)])
    return scores
