"""Arms that stages choose: which stages look at what, and which of the documents they keep the arm has.

All go through the machinery of mixes (``mix.build``); there is no second implementation of a method here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from curator.errors import DataError
from curator.mix import Mix, Task, steps
from curator.mix.build import Built, Step
from curator.race.arms import cleaned, lottery, nothing, serving
from curator.recipe import StageUse, base_of, use_of

OWN_LABEL = ("round-robin", "tsds")  # arms whose target documents take those of their own label

# The stage behind each baseline. A threshold would make an arm smaller than the mix, so there is none: of bm25 what
# shares a word, of the others everything, the best first.
STAGES: Mapping[str, dict[str, Any]] = {
    "bm25": {"use": "bm25", "min_score": 0.0},
    "dsir": {"use": "dsir"},
    "knn": {"use": "relevance", "min_score": -1.0},
    "round-robin": {"use": "round_robin"},
    "tsds": {"use": "tsds"},
}
BUDGETED = ("bm25", "dsir", "round-robin", "tsds")  # whose stage cuts at a budget by itself


@dataclass(frozen=True)
class Selection:
    """Stages over a task, which may have another pool than the race's, and how what they keep is cut to the budget.

    ``best``: by the rank that the last stage gives, else by its score; ``drawn``: at random by the seed.
    """

    task: Task
    plan: list[Step]
    cut: Literal["best", "drawn"]

    def cut_to(self, arm: str, budget: int, built: Built) -> pl.DataFrame:
        """So many of the documents that were kept. Raises DataError where there are fewer: another budget."""
        if len(built.frame) < budget:
            raise DataError(
                f"the arm {arm!r} has {len(built.frame):,} documents to choose from, and the mix has {budget:,}; "
                f"give the mix a budget of at most {len(built.frame):,}, or leave the arm out" + self._why(arm)
            )
        if self.cut == "drawn":
            lots = lottery(built.frame, f"{arm} {self.task.seed}").alias("_lot")
            return built.frame.with_columns(lots).sort("_lot", "corpus", "id").head(budget).drop("_lot")
        last = built.ledger.filter(position=len(self.plan)).select(
            "corpus", "id", "rank", pl.col("score").fill_nan(None)
        )
        ranked = built.frame.join(last, on=["corpus", "id"], how="left", maintain_order="left")
        order = ranked.sort("rank", "score", "corpus", "id", descending=[False, True, False, False], nulls_last=True)
        return order.head(budget).select(built.frame.columns)

    def _why(self, arm: str) -> str:
        """What there is to say of too few documents where a target document takes those of its own label."""
        unlabelled = self.task.pool.frame["label"].null_count()
        if base_of(arm) not in OWN_LABEL or not unlabelled or self.task.kind != "single":
            return ""
        return (
            f" ({unlabelled:,} documents of the pool have no label, and its target documents take those of their own)"
        )


def of_baseline(arm: str, task: Task, mix: Mix, budget: int) -> Selection:
    """One stage of curator's over the race's cleaned pool, with its defaults."""
    base = base_of(arm)
    values = dict(STAGES[base])
    if base in BUDGETED:
        values["budget"] = budget
    if base in OWN_LABEL and task.kind != "single":
        values["same_label"] = False  # no single names to compare
    pool = cleaned(task, mix)
    if not len(pool):
        raise nothing(arm)
    able = serving(pool.frame, use_of(arm))
    rows = pool.frame.with_row_index("_row").join(able, on=["corpus", "id"], how="semi", maintain_order="left")["_row"]
    pool = pool.take(rows.to_numpy()).with_frame(able)
    of_task = task.recipe.task.model_copy(update={"decontaminate": False})  # it has been
    recipe = task.recipe.model_copy(update={"stage": [StageUse.model_validate(values)], "task": of_task})
    of_arm = replace(task, recipe=recipe, pool=pool)
    return Selection(of_arm, steps(of_arm), "best")
