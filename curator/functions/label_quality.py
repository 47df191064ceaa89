"""How far a label is what the other documents of its source teach, and how far the labels of each source are."""

import zlib

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from scipy.stats import t

from curator import probe
from curator.documents import normalise
from curator.errors import QueryError
from curator.functions._agreement import reliability
from curator.functions._documents import Documents, labelled
from curator.functions._labelled import source_of
from curator.functions._results import check_whole_number, key_of
from curator.probe import Codes, Floats
from curator.relation import Relation
from curator.vectors import Rows

BLOCK = 16_384  # documents judged at once


def label_quality(
    candidates: Relation, *, folds: int = 5, sample: int = 5_000, c: float = probe.STRENGTH, seed: int = 0
) -> pa.Table:
    """The probability of each candidate's label by a probe of other documents of its source, and the source's κ.

    A source (the column ``source``, else ``corpus``) is judged by itself, so that its own convention counts and nothing
    of the target is needed. Cross-fitted: its labelled documents are parted into ``folds`` by their normalised texts,
    so that the same text is in one fold, and each is judged by a probe of a ``sample`` of the others, drawn by
    ``seed``, in which all labels weigh the same. ``c`` is the inverse of the strength of the penalty on its weights.

    ``self_confidence`` is the probability of a document's own label. A label is *confident* for a document where its
    probability is at least what it is in the mean over the documents of the source that have it: confident learning
    (Northcutt, Jiang and Chuang, JAIR 2021), so a label that is hard to tell has a lower bar. ``other`` is the
    likeliest confident label that is likelier than a document's own, ``other_confidence`` its probability; NULL where
    there is none.

    ``reliability`` is Cohen's κ (1960) of the source's labels and the likeliest ones: 0 where texts do not tell the
    labels, as where labels were dealt out at random; ``low`` and ``high`` are its 95 % interval, by Student's t over
    the distinct texts. That is not whether a label means the same as the target's: ``trust`` looks at that.

    Returns a row per candidate: ``corpus`` (where the relation has it), ``id``, ``source`` and these. NULL without a
    label or a direction, where no other text of its source has its label, and the reliability where a source has one
    label. The result does not depend on the order of the rows. Time is linear in the candidates;
    memory is that of a number for each document of the largest source and each label.

    Raises QueryError for relations without vectors, labels or sources, or parameters out of range.
    """
    check_whole_number("label_quality", "folds", folds, least=2)
    check_whole_number("label_quality", "sample", sample, least=2)
    if not 0 < c < float("inf"):
        raise QueryError(f"label_quality: c is {c}; a number above 0 is needed")
    documents = labelled("label_quality", "candidates", candidates)
    names = sorted(set(documents.labels.to_list()))
    texts = _texts(candidates, documents)
    order = documents.drawn(f"label_quality {seed}")
    every = source_of(candidates, np.arange(len(candidates)))
    sources = every[documents.rows]
    values = np.full((len(candidates), 5), np.nan)
    others = np.full(len(candidates), -1)
    for source in sources.unique().sort():
        own = order[sources.eq_missing(pl.Series([source], dtype=pl.String)).to_numpy()[order]]
        codes, there = documents.take(own).codes(names), documents.rows[own]
        chances = _cross_fitted(documents.take(own), codes, texts[own], len(names), folds, sample, c)
        values[there, :2], others[there] = _judged(chances, codes)
        values[there, 2:] = _interval(chances, codes, texts[own])
    columns = ("self_confidence", "other_confidence", "reliability", "low", "high")
    result = candidates.select(key_of(candidates)).with_columns(
        every.alias("source"),
        *(pl.Series(name, column).fill_nan(None) for name, column in zip(columns, values.T, strict=True)),
        pl.Series("other", [names[other] if other >= 0 else None for other in others], dtype=pl.String),
    )
    table: pa.Table = result.to_arrow(compat_level=pl.CompatLevel.newest())
    return table


def _texts(candidates: Relation, documents: Documents) -> npt.NDArray[np.uint32]:
    """(n,) a number for the text of each, the same for the same one; of its key where the relation has no texts."""
    if "text" in candidates.columns:
        given = candidates.select(["text"])["text"][documents.rows].to_list()
        told = [normalise(text or "") for text in given]
    else:
        told = [":".join(map(str, key)) for key in documents.keys.rows()]
    return np.array([zlib.crc32(each.encode("utf8")) for each in told], np.uint32)


def _cross_fitted(
    documents: Documents, codes: Codes, texts: npt.NDArray[np.uint32], count: int, folds: int, sample: int, c: float
) -> Floats:
    """(n, count) probabilities of labels by a probe of the other folds, NaN where these do not have two labels.

    The documents are in the order in which they are drawn.
    """
    fold = texts % folds
    chances = np.full((len(documents), count), np.nan)
    for number in range(folds):
        taught, mine = np.flatnonzero(fold != number)[:sample], np.flatnonzero(fold == number)
        if len(np.unique(codes[taught])) < 2 or not len(mine):
            continue
        shares = probe.balanced(codes[taught])
        found = probe.fit(documents.vectors.take(taught).matrix(), codes[taught], shares / shares.sum(), count, c=c)
        for start in range(0, len(mine), BLOCK):
            part = mine[start : start + BLOCK]
            chances[part] = found.probabilities(documents.vectors.take(part).matrix())
        untaught = np.setdiff1d(np.arange(count), codes[taught])
        chances[mine[np.isin(codes[mine], untaught)]] = np.nan  # nobody taught their label
    return np.round(chances, 9)  # how exactly the optimum is known


def _judged(chances: Floats, codes: Codes) -> tuple[Floats, Rows]:
    """(n, 2) the probability of the own label and of the confident one that is likelier, and its number or −1."""
    n, count = chances.shape
    own = chances[np.arange(n), codes]
    known = ~np.isnan(own)
    usual = np.full(count, np.inf)
    sums, many = np.bincount(codes[known], own[known], minlength=count), np.bincount(codes[known], minlength=count)
    usual[many > 0] = np.round(sums[many > 0] / many[many > 0], 9)
    with np.errstate(invalid="ignore"):
        confident = np.where((chances >= usual) & (chances > own[:, None]), chances, -np.inf)
    best = confident.argmax(axis=1)
    there = np.isfinite(confident[np.arange(n), best])
    other = np.where(there, best, -1)
    return np.stack([own, np.where(there, chances[np.arange(n), best], np.nan)], axis=1), other


def _interval(chances: Floats, codes: Codes, texts: npt.NDArray[np.uint32]) -> Floats:
    """κ of the labels and the likeliest ones, and its 95 % interval; NaN for what is not known."""
    known = ~np.isnan(chances[:, 0])
    votes = np.eye(chances.shape[1])[chances[known].argmax(axis=1)]
    _, _, kappa, error, groups = reliability(votes, codes[known], texts[known])
    if kappa is None or error is None or groups is None:
        return np.array([np.nan if kappa is None else kappa, np.nan, np.nan])
    half = error * t.ppf(0.975, groups - 1)
    return np.array([kappa, kappa - half, kappa + half])
