"""Which evaluation documents an arm may have learnt: those of which the pool or the target's file has a copy."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from curator.functions import FUNCTIONS
from curator.mix import StoredMix, Task, Workshop, steps, training_file
from curator.mix.build import usable
from curator.mix.task import with_mix
from curator.nearest import Tools, rewrite
from curator.recipe import DECONTAMINATE, OF_MIX
from curator.relation import Relation
from curator.session import sql_folder
from curator.stages import Stage

FILE = ("race", "contaminated.sql")  # in the folder of shipped SQL


def contaminated(task: Task, workshop: Workshop, ids: Sequence[str]) -> tuple[int, ...]:
    """Positions in ``ids`` of the evaluation documents that sql/race/contaminated.sql finds; no label of them is read.

    Looked for in the whole of the target's file, whatever a seed draws of it, in every pool document that can train,
    of a sampled pool those of each seed, and in the stored mixes that are arms; whether or not decontamination takes
    the copies out of the pool. By the recipe's settings of ``decontaminate``, else by the stage's own.
    """
    found: set[str] = set()
    sampled = any(pool.sample is not None for pool in task.recipe.pool.values())
    for seed in range(task.recipe.race.seeds) if sampled else [task.seed]:
        one = task if seed == task.seed else workshop.prepare(task.recipe, seed)
        found |= _found(one, workshop, ids, whole=seed == task.seed)
    return tuple(position for position, name in enumerate(ids) if name in found)


def _found(task: Task, workshop: Workshop, ids: Sequence[str], *, whole: bool) -> set[str]:
    """Those that the pool of one seed has, and of the ``whole`` also what no seed changes."""
    parts = [_texts(usable(task)[0])]
    if whole:
        parts.append(training_file(task.recipe, workshop.corpora, task, workshop.session))
        for arm in task.recipe.race.arms:
            if arm.startswith(OF_MIX):
                stored = StoredMix.open(workshop.corpora.catalogue, arm.removeprefix(OF_MIX))
                parts.append(_texts(with_mix(task, stored, workshop.corpora).pool, arm))
    wanted = np.flatnonzero(task.test.select(["id"])["id"].is_in(list(ids)).to_numpy())
    held_out = task.test.take(wanted)
    relations = {"held_out": held_out, "teaching": Relation.concat(parts, pl.concat([part.frame for part in parts]))}
    sql = sql_folder().joinpath(*FILE).read_text("utf8")
    table = rewrite(workshop.session, sql, _parameters(task), Tools(relations, FUNCTIONS)).fetch()
    return set(pl.DataFrame(table)["id"])


def _texts(relation: Relation, corpus: str | None = None) -> Relation:
    """``corpus, id, text`` with their vectors; under a name of its own for a corpus that another part has, too."""
    frame = relation.select(["corpus", "id", "text"])
    return relation.with_frame(frame.with_columns(pl.lit(corpus).alias("corpus")) if corpus else frame)


def _parameters(task: Task) -> dict[str, object]:
    """What decontamination is set to, or would be."""
    step = next((step for step in steps(task) if step.stage.name == DECONTAMINATE), None)
    return step.parameters if step else Stage.load(DECONTAMINATE, task.recipe.folder).bind({}, task.seed)
