"""Arms that stages choose: which stages look at what, and which of the documents they keep the arm has.

All go through the machinery of mixes (``mix.build``); there is no second implementation of a method here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from curator.errors import DataError, UnknownNameError
from curator.mix import Mix, Task, Workshop, steps
from curator.mix.build import Built, Step
from curator.race.arms import cleaned, decontaminated, lottery, nothing, serving
from curator.recipe import (
    BASELINES,
    CONTROLS,
    DECONTAMINATE,
    OF_RECIPE,
    WITHOUT_SOURCE,
    WITHOUT_STAGE,
    Recipe,
    StageUse,
    base_of,
    use_of,
)
from curator.relation import Relation
from curator.stages import check_kind
from curator.vectors import Vectors

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

CHOSEN = (*BASELINES, *CONTROLS)
PREFIXES = (OF_RECIPE, WITHOUT_STAGE, WITHOUT_SOURCE)


def is_chosen(arm: str) -> bool:
    """Whether stages choose an arm's documents, other than those of the mix."""
    return base_of(arm) in CHOSEN or arm.startswith(PREFIXES)


@dataclass(frozen=True)
class Selection:
    """Stages over a task, which may have another pool than the race's, and how what they keep is cut to the budget.

    ``best``: by the rank that the last stage gives, else by its score; ``worst``: by the lowest scores; ``drawn``: at
    random by the seed. A control has a task that is made up, of which no stored mix says anything.
    """

    task: Task
    plan: list[Step]
    cut: Literal["best", "worst", "drawn"]
    made_up: bool = False

    def cut_to(self, arm: str, budget: int, built: Built) -> pl.DataFrame:
        """So many of the documents that were kept. Raises DataError where there are fewer: another budget.

        Those that are drawn stay in the pool's order, as the mix has its own.
        """
        if len(built.frame) < budget:
            raise DataError(
                f"the arm {arm!r} has {len(built.frame):,} documents to choose from, and the mix has {budget:,}; "
                f"give the mix a budget of at most {len(built.frame):,}, or leave the arm out" + self._why(arm)
            )
        if self.cut == "drawn":
            lots = lottery(built.frame, f"{arm} {self.task.seed}").alias("_lot")
            dealt = built.frame.with_row_index("_row").with_columns(lots)
            return dealt.sort("_lot", "corpus", "id").head(budget).sort("_row").drop("_row", "_lot")
        last = built.ledger.filter(position=len(self.plan)).select(
            "corpus", "id", "rank", pl.col("score").fill_nan(None)
        )
        ranked = built.frame.join(last, on=["corpus", "id"], how="left", maintain_order="left")
        best = self.cut == "best"
        order = ranked.sort("rank", "score", "corpus", "id", descending=[False, best, False, False], nulls_last=True)
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
    return _over_cleaned(arm, values, task, mix, "best")


def _over_cleaned(arm: str, stage: dict[str, Any], task: Task, mix: Mix, cut: Literal["best", "worst"]) -> Selection:
    pool = cleaned(task, mix)
    if not len(pool):
        raise nothing(arm)
    able = serving(pool.frame, use_of(arm))
    rows = pool.frame.with_row_index("_row").join(able, on=["corpus", "id"], how="semi", maintain_order="left")["_row"]
    pool = pool.take(rows.to_numpy()).with_frame(able)
    of_arm = replace(task, pool=pool)
    return Selection(of_arm, _plan(of_arm, [StageUse.model_validate(stage)]), cut)


def of_recipe(task: Task, other: Recipe) -> Selection:
    """The stages of another recipe on this task and pool, decontaminated as this race is.

    Raises RecipeError for a stage that cannot do with the task's kind of labels.
    """
    stages = [use for use in other.stage if use.use != DECONTAMINATE]
    for use in stages:
        check_kind(use.use, use.parameters, task.kind)
    cleaning = [step for step in steps(task) if step.name == DECONTAMINATE]
    return Selection(task, [*cleaning, *_plan(task, stages, other.folder)], "drawn")


def without_stage(task: Task, name: str) -> Selection:
    """The recipe's own stages but one. Raises UnknownNameError for one that it has not, or that no arm does without."""
    plan = steps(task)
    names = [step.name for step in plan if step.name != DECONTAMINATE]
    if name not in names:
        raise UnknownNameError("stage to do without", name, names)
    return Selection(task, [step for step in plan if step.name != name], "drawn")


def without_source(name: str, task: Task, workshop: Workshop) -> Selection:
    """The recipe's own stages on its pool without a source. Raises UnknownNameError for one that is none of several."""
    if name not in task.recipe.pool or len(task.recipe.pool) < 2:
        raise UnknownNameError("source to do without", name, task.recipe.pool)
    pool = {source: pool for source, pool in task.recipe.pool.items() if source != name}
    of_arm = workshop.prepare(task.recipe.model_copy(update={"pool": pool}), task.seed)
    return Selection(of_arm, steps(of_arm), "drawn")


def of_control(arm: str, task: Task, mix: Mix) -> Selection:
    """A choice by what ought to say nothing. The pool is decontaminated first, by the vectors that it has."""
    if arm == "farthest":
        return _over_cleaned(arm, STAGES["knn"], task, mix, "worst")
    changed = replace(task, pool=decontaminated(task, mix))
    if arm == "shuffled-target":
        changed = replace(changed, target=_shuffled(task.target, task.seed))
    else:
        changed = replace(
            changed,
            target=_random(task.target, task.seed, 0),
            dev=_random(task.dev, task.seed, 1),
            pool=_random(changed.pool, task.seed, 2),
        )
    stages = [use for use in task.recipe.stage if use.use != DECONTAMINATE]
    return Selection(changed, _plan(changed, stages), "drawn", made_up=True)


def _plan(task: Task, stages: Sequence[StageUse], folder: Path | None = None) -> list[Step]:
    """Stages over a pool that is decontaminated already, or by a step before them."""
    cleaned_before = task.recipe.task.model_copy(update={"decontaminate": False})
    changes = {"stage": list(stages), "task": cleaned_before, "folder": folder or task.recipe.folder}
    return steps(replace(task, recipe=task.recipe.model_copy(update=changes)))


def _shuffled(target: Relation, seed: int) -> Relation:
    """The same documents, each with the label of another."""
    order = np.random.default_rng([seed, len(target)]).permutation(len(target))
    return target.with_frame(target.frame.with_columns(target.frame["label"][order]))


def _random(relation: Relation, *seed: int) -> Relation:
    """The same documents with vectors that have nothing to do with them, uniform on the sphere."""
    drawn = np.random.default_rng(seed).standard_normal((len(relation), relation.dimension), np.float32)
    vectors = Vectors.of(drawn).unit()
    return Relation(relation.frame, load=vectors.take, count_tokens=relation.count_tokens)
