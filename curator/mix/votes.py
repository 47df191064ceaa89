"""How often labels by vote are wrong: the same stage, asked about dev documents as if they had none."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from scipy import stats

from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, Verdicts, run
from curator.trials import Trials

VOTING = "pairing"  # the stage that gives documents labels by vote


def votes(
    name: str, stage: Stage, parameters: Mapping[str, Any], relations: dict[str, Relation], session: Session,
    verdicts: Verdicts,
) -> list[dict[str, Any]]:  # fmt: skip
    """How many candidates a stage gave a label by vote, and how many dev documents it would have given a wrong one.

    ``low`` to ``high`` is the 95 % interval of that rate (Wilson 1927). Dev documents are like the target's; of others
    the error may be larger. Nothing where no candidate is to be voted on.
    """
    frame = relations["candidates"].frame
    asked = (frame["serves"] == "vote") & frame["label"].is_null()
    if not asked.any():
        return []
    told: dict[str, Any] = {"stage": name, "voted": int((asked & verdicts.frame["label"].is_not_null()).sum())}
    dev = relations["dev"]
    if not len(dev):
        return [told | {"dev": 0, "given": 0, "wrong": 0, "low": None, "high": None}]
    unknown = dev.frame.with_columns(
        pl.lit(None, pl.String).alias("label"),
        pl.lit(None, pl.String).alias("source_label"),
        pl.lit("vote").alias("serves"),
        pl.lit(1.0).alias("weight"),
        pl.lit(None, pl.Float64).alias("previous_score"),
    )
    asked_again = {**relations, "candidates": dev.with_frame(unknown)}
    given = run(stage, parameters, asked_again, session=session, trials=Trials()).frame["label"]
    of = int(given.is_not_null().sum())
    wrong = int((given != dev.frame["label"]).fill_null(value=False).sum())
    bounds = stats.binomtest(wrong, of).proportion_ci(method="wilson") if of else None
    low, high = (float(bounds.low), float(bounds.high)) if bounds else (None, None)
    return [told | {"dev": len(dev), "given": of, "wrong": wrong, "low": low, "high": high}]
