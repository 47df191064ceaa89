"""How far the labels of each source agree with those of the nearest target documents."""

import numpy as np
import polars as pl
import pyarrow as pa
from scipy.stats import t

from curator import neighbours
from curator.functions._agreement import reliability
from curator.functions._documents import check_encoder, labelled
from curator.functions._labelled import source_of
from curator.functions._results import check_whole_number
from curator.functions._shrunk import shrunk
from curator.relation import Relation

BLOCK = 65_536  # candidates whose neighbours are held at once


def trust(target: Relation, candidates: Relation, *, k: int = 5) -> pa.Table:
    """The reliability of the labels of each source: how often its neighbours among the target agree, beyond chance.

    ``agreement`` is the share of the ``k`` nearest target documents, by cosine, that have a candidate's label, in the
    mean over the source. ``chance`` is what it would be if the source's labels were dealt out anew among its documents:
    Σ over labels of its share of the source times its share of the neighbours. ``reliability`` is (agreement − chance)
    / (1 − chance), as Cohen's κ (1960): 1 where all agree, 0 where the labels say nothing of the neighbours', below 0
    where they contradict them. It is that of a source *for this target*: right labels far from every target document
    look like chance as well.

    ``standard_error`` takes the documents that have the same nearest target document for one group (Liang and Zeger
    1986): a source of many documents near a few target documents is not known better for being large. ``trust`` is the
    reliability drawn towards the mean of the sources as far as their differences may be chance (empirical Bayes);
    ``low`` and ``high`` are its 95 % interval, by Student's t with one degree of freedom less than there are groups. A
    source whose documents all have one nearest target document has no error, and no trust.

    Returns a row per source (the column ``source``, else ``corpus``), in order: ``source``, ``documents`` (that have a
    label of the target and a direction) and these. NULL where there is none; a source of one label, or whose documents
    all have the same neighbours' labels, has agreement by chance alone and so no reliability. The result does not
    depend on the order of the rows. Time grows with candidates times target documents.

    Raises QueryError for relations without vectors, labels or sources, or k below 1.
    """
    check_whole_number("trust", "k", k, least=1)
    taught, among = labelled("trust", "target", target), labelled("trust", "candidates", candidates)
    check_encoder("trust", taught, among)
    names = sorted(set(taught.labels.to_list()))
    among = among.take(among.codes(names) >= 0)
    every = source_of(candidates, np.arange(len(candidates))).unique().sort()
    labels, truth = among.codes(names), taught.codes(names)
    votes, nearest = np.zeros((len(among), len(names))), np.empty(len(among), np.int64)
    for start in range(0, len(among), BLOCK):
        part = np.arange(start, min(start + BLOCK, len(among)))
        found = neighbours.nearest(among.vectors.take(part), taught.vectors, k).right.reshape(len(part), -1)
        nearest[part] = found[:, 0]
        np.add.at(votes, (part[:, None], truth[found]), 1 / found.shape[1])
    sources = source_of(candidates, among.rows)
    rows = []
    for source in every:
        own = np.flatnonzero(sources.eq_missing(pl.Series([source], dtype=pl.String)).to_numpy())
        rows.append((source, len(own), *reliability(votes[own], labels[own], nearest[own])))
    names_of = ("source", "documents", "agreement", "chance", "reliability", "standard_error", "groups")
    schema = dict.fromkeys(names_of, pl.Float64) | {"source": pl.String, "documents": pl.Int64}
    table: pa.Table = _shrunk(pl.DataFrame(rows, schema=schema, orient="row")).to_arrow(
        compat_level=pl.CompatLevel.newest()
    )
    return table


def _shrunk(found: pl.DataFrame) -> pl.DataFrame:
    known = found["standard_error"].is_not_null().to_numpy()
    middle, deviation = np.full((2, len(found)), np.nan)
    values, errors = (found[name].to_numpy()[known] for name in ("reliability", "standard_error"))
    middle[known], deviation[known] = shrunk(values, errors)
    half = np.full(len(found), np.nan)
    half[known] = deviation[known] * t.ppf(0.975, found["groups"].to_numpy()[known] - 1)
    columns = {"trust": middle, "low": middle - half, "high": middle + half}
    told = found.with_columns(pl.Series(name, column).fill_nan(None) for name, column in columns.items())
    return told.drop("groups")
