"""What each source of the candidates is worth to a probe on dev."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator import probe
from curator.errors import QueryError
from curator.functions._documents import Documents, check_encoder, labelled
from curator.functions._labelled import source_of, splits
from curator.functions._results import check_whole_number
from curator.functions._shrunk import shrunk
from curator.probe import Floats, Probe
from curator.relation import Relation
from curator.vectors import Rows

DESIGNS = ("add", "leave")


def source_value(
    target: Relation, dev: Relation, candidates: Relation, *, design: str = "add", budget: int = 1000, draws: int = 5,
    strength: float = 5.0, c: float = probe.STRENGTH, folds: int = 5, seed: int = 0,
) -> pa.Table:  # fmt: skip
    """By how much the documents of a source lower the log loss of a probe on dev.

    A probe is trained by the pairing loss at λ = −0.5: on the target, and with the same weight as all of it on
    ``budget`` candidates, drawn by ``seed`` and weighed so that their labels count the same. With ``design := 'add'``
    a source's ``value`` is the loss of the target alone less that with candidates of the source; with ``'leave'`` it is
    the loss with candidates of all other sources less that with those of all, which share the budget equally: what the
    source has that the others have not. In nats per document of dev; above 0 it helps. Where dev has no document,
    ``folds`` parts of the target each judge probes of the others.

    ``standard_error`` is over ``draws`` of the candidates and over the documents of dev, of which there are few: it is
    mostly theirs. ``shrunk`` is the value drawn towards the mean of the sources as far as their differences may be
    chance (empirical Bayes), and ``weight`` grows with it as exp(``strength`` · shrunk), as a step of exponentiated
    gradient (Kivinen and Warmuth, 1997; DoReMi, Xie et al., NeurIPS 2023), with a mean of 1 over the sources.

    Returns a row per source (the column ``source``, else ``corpus``), in order: ``source``, ``documents`` (that have
    a label of the target), ``value``, ``standard_error``, ``shrunk`` and ``weight``. Where a source has no such
    document, the target no two labels, or fewer than two documents are left to judge, the weight is 1 and the rest
    NULL. A source of fewer documents than its part of the budget gives all it has. The result does not depend on the
    order of the rows.

    Raises QueryError for relations without vectors, labels or sources, or parameters out of range.
    """
    _check(design, strength, c, {"budget": (budget, 1), "draws": (draws, 2), "folds": (folds, 2), "seed": (seed, 0)})
    taught, judges = labelled("source_value", "target", target), labelled("source_value", "dev", dev)
    names = sorted(set(taught.labels.to_list()))
    among = labelled("source_value", "candidates", candidates)
    check_encoder("source_value", taught, judges, among)
    among = among.take(among.codes(names) >= 0)
    judges = judges.take(judges.codes(names) >= 0)
    every = source_of(candidates, np.arange(len(candidates))).unique().sort()
    sources = _numbers(source_of(candidates, among.rows), every)
    counts = np.bincount(sources, minlength=len(every))
    parts = splits(taught, judges, folds, seed)
    table = pl.DataFrame({"source": every, "documents": counts})
    values = np.full((4, len(every)), np.nan)
    values[3] = 1.0
    there = np.flatnonzero(counts)
    if sum(len(judge) for _, judge in parts) > 1 and len(there):
        drawn = [list(_drawn(among, sources, there, design, budget, f"{seed}:{draw}")) for draw in range(draws)]
        gains = np.concatenate([_gains(taught, judge, among, names, drawn, c) for taught, judge in parts], axis=2)
        value, error = gains.mean(axis=(0, 2)) * (1 if design == "add" else -1), _errors(gains)
        drawn_in, _ = shrunk(value, error)
        weight = np.exp(strength * (drawn_in - drawn_in.max()))
        values[:, there] = value, error, drawn_in, weight / weight.mean()
    columns = zip(("value", "standard_error", "shrunk", "weight"), values, strict=True)
    table = table.with_columns(pl.Series(name, column).fill_nan(None) for name, column in columns)
    result: pa.Table = table.to_arrow(compat_level=pl.CompatLevel.newest())
    return result


def _numbers(sources: pl.Series, every: pl.Series) -> Rows:
    """(n,) the place of each source among all of them."""
    places = pl.DataFrame({"source": every}).with_row_index("n")
    found = sources.to_frame().join(places, on="source", how="left", nulls_equal=True, maintain_order="left")
    return found["n"].to_numpy().astype(np.int64)


def _drawn(among: Documents, sources: Rows, there: Rows, design: str, budget: int, salt: str) -> Iterator[Rows]:
    """Positions of the candidates that are trained on: those to compare with, and then those of each source's probe.

    ``budget`` of the sources that take part, by turns, so that all give the same number until they are exhausted.
    """
    order = among.drawn(f"source_value {salt}")
    by_source = order[np.argsort(sources[order], kind="stable")]
    own = sources[by_source]
    turn = np.arange(len(own)) - np.searchsorted(own, own)
    by_turns = by_source[np.lexsort((own, turn))]
    all_of = sources[by_turns]
    yield by_turns[:budget] if design == "leave" else by_turns[:0]
    for source in there:
        yield by_turns[(all_of != source) if design == "leave" else (all_of == source)][:budget]


def _gains(
    taught: Documents, judges: Documents, among: Documents, names: list[str], drawn: list[list[Rows]], c: float
) -> npt.NDArray[np.float64]:
    """(draws, sources, judges) the loss of the probe to compare with less that of the source's."""
    rows, labels = judges.vectors.matrix(), judges.codes(names)
    losses = np.empty((len(drawn), len(drawn[0]), len(judges)))
    known: Probe | None = None
    for draw, arms in enumerate(drawn):
        for arm, chosen in enumerate(arms):
            known = _probe(taught, among.take(chosen), names, c, known)
            losses[draw, arm] = known.losses(rows, labels)
    return np.round(losses[:, :1] - losses[:, 1:], 6)  # how exactly the optimum is known


def _probe(taught: Documents, chosen: Documents, names: list[str], c: float, start: Probe | None) -> Probe:
    labels = chosen.codes(names)
    shares = probe.shares_of(np.ones(len(taught)), probe.balanced(labels))
    rows = np.concatenate([taught.vectors.matrix(), chosen.vectors.matrix()])
    return probe.fit(rows, np.concatenate([taught.codes(names), labels]), shares, len(names), c=c, start=start)


def _errors(gains: npt.NDArray[np.float64]) -> Floats:
    """(sources,) standard errors of the means of (draws, sources, judges): of two samples, each with its own share."""
    draws, _, judges = gains.shape
    of_draws, of_judges = gains.mean(axis=2).var(axis=0, ddof=1), gains.mean(axis=0).var(axis=1, ddof=1)
    errors: Floats = np.sqrt(of_draws / draws + of_judges / judges)
    return errors


def _check(design: str, strength: float, c: float, whole: dict[str, tuple[int, int]]) -> None:
    if design not in DESIGNS:
        raise QueryError(f"source_value: design is {design!r}; it must be {' or '.join(DESIGNS)}")
    if not 0 <= strength < float("inf"):
        raise QueryError(f"source_value: strength is {strength}; a number of at least 0 is needed")
    if not 0 < c < float("inf"):
        raise QueryError(f"source_value: c is {c}; a number above 0 is needed")
    for name, (value, least) in whole.items():
        check_whole_number("source_value", name, value, least=least)
