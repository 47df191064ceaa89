"""What a stage would keep at other thresholds, counted in the whole ledger."""

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

STEPS = 100  # between the least and the greatest score, at least, and ten times as many at most
BINS = 48

# How a score can decide: what is kept, for a threshold t.
RELATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "at least": operator.ge,
    "more than": operator.gt,
    "less than": operator.lt,
    "at most": operator.le,
}


def thresholds(ledger: pl.DataFrame) -> list[dict[str, Any]]:
    """For each stage that compares a score with one threshold: how many it would keep at others.

    ``stage, relation`` (what is kept is ``at least``, ``more than``, ``less than`` or ``at most`` the threshold),
    ``threshold, seen, kept, unscored`` (kept and dropped without such a score: these stay as they are), ``decimals`` of
    the ``values`` that a threshold may take, ``counts`` that are kept at each, and ``bins`` of the scores. A stage of
    which a score does not decide alone, or that ranks, has none.
    """
    staged = sorted(ledger.group_by("position", "stage"), key=lambda item: item[0][0])
    found = (_of_stage(str(stage), part) for (_, stage), part in staged)
    return [one for one in found if one is not None]


def _of_stage(stage: str, part: pl.DataFrame) -> dict[str, Any] | None:
    is_compared = pl.col("score").is_finite() & pl.col("threshold").is_finite()
    compared = part.filter(is_compared.fill_null(value=False))
    limits = compared["threshold"].unique()
    if part["rank"].count() or len(limits) != 1 or compared["score"].n_unique() < 2:
        return None
    limit = float(limits[0])
    scores, keep = np.sort(compared["score"].to_numpy()), compared["keep"].to_numpy()
    relation = _relation(compared["score"].to_numpy(), keep, limit)
    if relation is None:
        return None
    rest = part.filter(~is_compared.fill_null(value=False))["keep"]
    values, decimals = _values(scores, limit)
    counts = _kept(scores, values, relation) + int(rest.sum())
    edges = np.linspace(values[0], values[-1], BINS + 1)
    return {
        "stage": stage,
        "relation": relation,
        "threshold": limit,
        "seen": len(part),
        "kept": int(part["keep"].sum()),
        "unscored": {"kept": int(rest.sum()), "dropped": int((~rest).sum())},
        "decimals": decimals,
        "values": values.tolist(),
        "counts": counts.tolist(),
        "bins": {"edges": edges.tolist(), "documents": np.histogram(scores, edges)[0].tolist()},
    }


def _relation(scores: npt.NDArray[np.float64], keep: npt.NDArray[np.bool_], limit: float) -> str | None:
    """How scores decide, if they alone do."""
    return next((name for name, holds in RELATIONS.items() if (holds(scores, limit) == keep).all()), None)


def _values(scores: npt.NDArray[np.float64], limit: float) -> tuple[npt.NDArray[np.float64], int]:
    """Round numbers from under the least score to over the greatest, and the threshold itself; their decimals."""
    low, high = min(float(scores[0]), limit), max(float(scores[-1]), limit)
    decimals = max(math.ceil(math.log10(STEPS / (high - low))), 0)
    unit = 10**decimals
    first, last = math.floor(low * unit), math.ceil(high * unit)
    step = max(math.ceil((last - first) / (10 * STEPS)), 1)
    whole = np.arange(first, last + step, step)
    return np.unique(np.append(whole / unit, limit)), decimals


def _kept(
    scores: npt.NDArray[np.float64], values: npt.NDArray[np.float64], relation: str
) -> npt.NDArray[np.int64]:  # fmt: skip
    """(m,) how many of the sorted scores are kept at each of the values."""
    side: Any = "left" if relation in ("at least", "less than") else "right"
    below = np.searchsorted(scores, values, side)
    return below if relation in ("less than", "at most") else len(scores) - below
