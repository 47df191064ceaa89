"""The ratio between groups of candidates that a probe learns most from, and whether it is better than the prior."""

import numpy as np
import polars as pl
import pyarrow as pa

from curator import probe
from curator.errors import QueryError
from curator.functions._documents import Documents, check_encoder, labelled
from curator.functions._mixing import Mixing, Panel
from curator.functions._results import key_of
from curator.functions._searching import Found, Settings, search
from curator.probe import Floats
from curator.relation import Relation
from curator.trials import Trials
from curator.vectors import Vectors

MOST_GROUPS = 50
NUMBERS = ("loss_gain", "loss_low", "loss_high", "f1_gain", "f1_low", "f1_high", "explained")


def mixture(
    target: Relation, dev: Relation, candidates: Relation, groups: Relation, *, budget: int = 1000,
    sample: int = 1500, trials: int = 128, max_repeats: int = 1, penalty: float = 0.01, confirm: str = "loss",
    draws: int = 5, c: float = probe.STRENGTH, folds: int = 5,
    min_dev: int = 100, seed: int = 0, memory: Trials | None = None,
) -> pa.Table:  # fmt: skip
    """The shares of groups of candidates, of which a probe on dev learns most, by RegMix (Liu et al., 2024).

    ``groups`` gives documents, by ``corpus`` and ``id``, the group that is in its column ``group``. In each of
    ``trials`` ratios ``sample`` documents of the groups (at most the ``budget``) train a probe together with the
    target, each side with half of the loss. The ratios are drawn as Dirichlet distributions of many strengths around
    the root of the groups' sizes, in each of them half of the groups; and the prior is one: the groups in proportion
    to their sizes. A ridge regression of the loss on dev on the shares, and on their products where that predicts left
    out trials better, tells what 100,000 ratios would do; the mean of the 128 of least predicted loss plus
    ``penalty`` times their divergence from the prior (Kullback-Leibler, in nats) is what is ``found``. No share is
    larger than what the group has, ``max_repeats`` times, of the budget.

    The search has looked at dev, so what it found is judged otherwise. Dev is cut into ``folds``; for each a ratio is
    found by the others, and the documents of the fold judge the probes of that ratio and of the prior, on ``draws``
    of candidates that are not those of the search. The gain's interval is of a bootstrap over documents and draws.
    Only where it is above 0, by log loss or with ``confirm := 'macro_f1'`` by that, is what is found recommended as
    ``share``; else the prior is. Where dev has fewer than ``min_dev`` documents, they join the target, and each fold of
    both judges the probes of the others; the trials by which a fold's ratio is found have then had that fold among
    those who teach.

    Returns a row per group, in order: ``group``, ``documents`` (of a label of the target), ``prior``, ``found``,
    ``share``, and the same in all rows: ``better``, ``loss_gain`` (nats per document), ``loss_low``, ``loss_high``,
    ``f1_gain``, ``f1_low``, ``f1_high``, ``judges``, ``explained`` (of the trials' variance, each predicted by the
    others) and ``reason``. Where there is nothing to choose or nobody to judge, ``share`` is the prior, and the rest
    NULL. The result does not depend on the order of the rows. Raises QueryError for relations without vectors, labels
    or groups, for more than 50 groups, or parameters out of range.
    """
    settings = Settings(budget, sample, trials, max_repeats, penalty, confirm, draws, c, folds, min_dev, seed)
    memory = memory or Trials()
    table, mixing = prepared(target, dev, candidates, groups, settings, memory)
    if isinstance(mixing, str):
        return _rows(table, None, settings, mixing)
    found = search(mixing, settings)
    memory.evidence.append(found.evidence(mixing, confirm))
    return _rows(table, found, settings, "")


def prepared(
    target: Relation, dev: Relation, candidates: Relation, groups: Relation, settings: Settings, memory: Trials
) -> tuple[pl.DataFrame, Mixing | str]:
    """``group``, ``documents`` and ``prior`` of each group, and what is to be searched, or why nothing is."""
    taught, judges = labelled("mixture", "target", target), labelled("mixture", "dev", dev)
    names = sorted(set(taught.labels.to_list()))
    among = labelled("mixture", "candidates", candidates)
    check_encoder("mixture", taught, judges, among)
    among = among.take(among.codes(names) >= 0)
    judges = judges.take(judges.codes(names) >= 0)
    if len(judges) < settings.min_dev:
        taught, judges = _together(taught, judges), judges.take(np.zeros(len(judges), bool))
    every, own = _groups(groups, among)
    counts = own.rename("group").to_frame().group_by("group").len("documents")
    table = pl.DataFrame({"group": every}).join(counts, on="group", how="left", nulls_equal=True, maintain_order="left")
    table = table.with_columns(pl.col("documents").fill_null(0).cast(pl.Int64))
    there = table.filter(pl.col("documents") > 0)
    sizes = there["documents"].to_numpy().astype(np.float64)
    table = table.with_columns(prior=pl.col("documents") / max(sizes.sum(), 1))
    total = min(settings.budget, int(sizes.sum()) * settings.max_repeats)
    panel = Panel.of(taught, judges, settings.folds, settings.seed)
    if len(there) < 2:
        return table, "there are no two groups of documents with a label of the target"
    if len(panel.judges) < 2:
        return table, "there is nobody to judge"
    places = own.replace_strict(there["group"], pl.Series(range(len(there))), return_dtype=pl.Int64).to_numpy()
    weights = _weights(candidates, among)
    rooms = np.minimum(sizes * settings.max_repeats / total, 1)
    return table, Mixing(
        names,
        among,
        weights,
        [str(name) for name in there["group"]],
        places,
        sizes,
        rooms,
        min(settings.sample, total),
        settings.c,
        settings.seed,
        panel,
        memory,
    )


def _together(target: Documents, dev: Documents) -> Documents:
    """The documents of both, each once."""
    keys = [name for name in target.keys.columns if name in dev.keys.columns]
    seen = target.keys.select(keys).with_columns(seen=True)
    new = dev.take(dev.keys.join(seen, on=keys, how="left", maintain_order="left")["seen"].is_null().to_numpy())
    return Documents(
        np.concatenate([target.rows, new.rows + target.rows.max(initial=-1) + 1]),
        pl.concat([target.keys.select(keys), new.keys.select(keys)]),
        Vectors.concat([target.vectors, new.vectors]) if len(new) else target.vectors,
        pl.concat([target.labels, new.labels]),
    )


def _groups(groups: Relation, among: Documents) -> tuple[pl.Series, pl.Series]:
    """All groups, in order, and (n,) that of each document. Raises QueryError for too many, or a document without."""
    if "group" not in groups.columns:
        raise QueryError(f"mixture: no column 'group' in the groups; there are: {', '.join(groups.columns)}")
    key = [name for name in key_of(groups) if name in among.keys.columns]
    given = groups.select([*key, "group"]).with_columns(pl.col("group").cast(pl.String))
    every = given["group"].unique().sort()
    if len(every) > MOST_GROUPS:
        raise QueryError(
            f"mixture: {len(every):,} groups; a search among more than {MOST_GROUPS} finds chance. Make fewer, by "
            "source or by a cluster's topmost level"
        )
    found = among.keys.join(given.with_columns(there=True), on=key, how="left", maintain_order="left")
    if len(found) != len(among) or found["there"].null_count():
        raise QueryError("mixture: the groups must name each document of the candidates, and each once")
    return every, found["group"]


def _weights(candidates: Relation, among: Documents) -> Floats:
    """(n,) the candidates' weights, 1 where they have none."""
    if "weight" not in candidates.columns:
        return np.ones(len(among))
    weights = candidates.select(["weight"])["weight"].cast(pl.Float64).fill_null(1.0)
    return weights.to_numpy()[among.rows]


def _rows(table: pl.DataFrame, found: Found | None, settings: Settings, reason: str) -> pa.Table:
    """A row per group."""
    ratio = np.full(len(table), np.nan)
    numbers: list[float | None] = [None] * len(NUMBERS)
    better = None
    if found:
        ratio[(table["documents"] > 0).to_numpy()] = np.round(found.ratio, 6)
        ratio = np.nan_to_num(ratio)
        numbers = [*vars(found.loss).values(), *vars(found.macro_f1).values(), round(found.surface.explained, 6)]
        better, reason = found.is_better(settings.confirm), found.told(settings.confirm)
    table = table.with_columns(pl.Series("found", ratio).fill_nan(None))
    result: pa.Table = table.with_columns(
        pl.col("found" if better else "prior").alias("share"),
        pl.lit(better, pl.Boolean).alias("better"),
        *[pl.lit(value, pl.Float64).alias(name) for name, value in zip(NUMBERS, numbers, strict=True)],
        pl.lit(found.judges if found else None, pl.Int64).alias("judges"),
        pl.lit(reason).alias("reason"),
    ).to_arrow(compat_level=pl.CompatLevel.newest())
    return result
