"""An earlier task beside a new one: its test documents are kept out, and its documents are trained on again."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from curator.corpora import Corpora
from curator.documents import normalise
from curator.errors import DataError, RecipeError, UnknownNameError, WorkspaceError
from curator.mix.build import steps
from curator.mix.judging import judge
from curator.mix.lock import locked_recipe
from curator.mix.locked import MIX, fixed_versions
from curator.mix.task import EarlierTask, Task, Used, Versions, joined, one_kind_of_vectors, prepare, with_mix
from curator.mix.union import StoredMix
from curator.recipe import DECONTAMINATE
from curator.relation import Relation
from curator.session import Session
from curator.trials import Trials

EARLIER = "earlier"  # the role of corpora of an earlier task
COLUMNS = ("corpus", "id", "text", "label", "weight")


@dataclass(frozen=True)
class Replayed:
    """Documents to train on again: ``corpus, id, text, label, weight, of``, ``of`` being the mix that they are from.

    ``left_out`` are those that decontamination found, with its ``rule``; ``there`` is how many there were of both.
    """

    frame: pl.DataFrame
    left_out: pl.DataFrame
    there: int

    def told(self) -> dict[str, Any]:
        """Counts for a record: documents, those of each mix, and what was left out by rule."""
        of = self.frame.group_by("of").len().sort("of")
        rules = self.left_out.group_by("of", "rule").len().sort("of", "rule")
        return {
            "documents": len(self.frame),
            "there": self.there,
            "of": dict(of.iter_rows()),
            "left_out": [{"of": of, "rule": rule, "documents": n} for of, rule, n in rules.iter_rows()],
        }


def with_earlier(task: Task, corpora: Corpora, session: Session, versions: Versions | None = None) -> Task:
    """The task with those whose mixes its recipe replays: the mix named, and what was replayed when that was made.

    Their test and dev documents are kept out of the mix as its own are. Raises UnknownNameError for a mix that there is
    not, WorkspaceError where one or what it was made from is gone or damaged.
    """
    replayed = task.recipe.train.replay
    if replayed is None:
        return task
    name = replayed.mix
    mix = StoredMix.open(corpora.catalogue, name, None if versions is None else versions[MIX, name])
    try:
        before = of_lock(mix.lock, corpora, session)
    except (DataError, RecipeError, UnknownNameError, WorkspaceError) as error:
        raise WorkspaceError(
            f"the mix {name!r} cannot be replayed, since what it was made from is not there any more: {error}; build "
            "it again (curator mix, with its recipe)"
        ) from error
    earlier = (EarlierTask(mix, before), *before.earlier)
    used = [use for one in earlier for use in _held_out_of(one)]
    one_kind_of_vectors([use for use in (*task.used, *used) if use.role != "relations"])
    shared = [warning for one in earlier for warning in _shared(task, one)]
    return replace(task, earlier=earlier, used=(*task.used, *used), warnings=(*task.warnings, *shared))


def of_lock(values: dict[str, Any], corpora: Corpora, session: Session) -> Task:
    """The task of a lockfile, in the versions that it names."""
    versions = fixed_versions(values)
    task = prepare(locked_recipe(values), values["seed"], corpora, session, versions=versions)
    return with_earlier(task, corpora, session, versions)


def replayed(task: Task, corpora: Corpora, session: Session) -> Replayed:
    """What a task's recipe replays, drawn by its seed: target examples and mix documents of the earlier tasks.

    What decontamination, with the recipe's settings, finds in the test or dev set of any of the tasks is left out
    first. Of ``documents`` each label gets one in turn, its target examples first. Raises DataError where none is left,
    or there are fewer than are asked for.
    """
    settings = task.recipe.train.replay
    assert settings is not None  # whoever asks has one
    every = joined([part for one in task.earlier for part in _documents(one, corpora)])
    kept, left_out = _cleaned(every, task, session)
    wanted, name = settings.documents, settings.mix
    if not len(kept) or (wanted or 0) > len(kept):
        raise DataError(
            f"{len(kept):,} documents of the mix {name!r} are left to replay, {len(left_out):,} of {len(every):,} are "
            f"in a test or dev set; " + (f"documents = {wanted:,}: ask for fewer" if len(kept) else "replay another")
        )
    frame = kept if wanted is None else _by_label(kept, wanted, task.seed)
    return Replayed(frame.select(*COLUMNS, "of"), left_out.select(*COLUMNS, "of", "rule"), len(every))


def _held_out_of(one: EarlierTask) -> list[Used]:
    """The corpora with its test and dev documents, which may be cut from its target."""
    held_out = [use for use in one.task.used if use.role in ("target", "test", "dev")]
    return [replace(use, role=EARLIER, name=one.called(use.role)) for use in held_out]


def _shared(task: Task, one: EarlierTask) -> list[str]:
    seen = {normalise(text) for text in one.task.test.frame["text"]}
    shared = sum(normalise(text) in seen for text in task.target.frame["text"])
    where = f"a test document of the mix {one.mix.name!r}"
    return [f"{shared:,} target documents have the text of {where}; they train every arm"] if shared else []


def _documents(one: EarlierTask, corpora: Corpora) -> list[Relation]:
    """Target examples and mix documents with labels of the task: ``COLUMNS, of, first``, which the target's are."""
    target, pool = one.task.target, with_mix(one.task, one.mix, corpora).pool
    pool = pool.take(np.flatnonzero(pool.frame["label"].is_not_null().to_numpy()))
    names = pl.format(f"{one.mix.name}-{{}}", "corpus").alias("corpus")
    of = pl.lit(one.mix.name).alias("of")
    parts = ((target, target.frame.with_columns(weight=1.0), True), (pool, pool.frame, False))
    return [
        relation.with_frame(frame.with_columns(names).select(*COLUMNS, of, pl.lit(first).alias("first")))
        for relation, frame, first in parts
    ]


def _cleaned(documents: Relation, task: Task, session: Session) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Those that decontamination keeps, and those that it drops, with its ``rule``; where the recipe does without, all
    and none.
    """
    uses = [use for use in task.recipe.stage if use.use == DECONTAMINATE]
    plan = steps(replace(task, recipe=task.recipe.model_copy(update={"stage": uses})))
    frame = documents.frame.with_columns(pl.lit(None, pl.String).alias("rule"))
    for step in plan:
        relations = {**task.relations, "candidates": documents}
        verdicts, _ = judge(step.stage, step.parameters, relations, session, Trials())
        frame = frame.with_columns(pl.when(~verdicts.frame["keep"]).then(verdicts.frame["rule"]).alias("rule"))
    return frame.filter(pl.col("rule").is_null()), frame.filter(pl.col("rule").is_not_null())


def _by_label(documents: pl.DataFrame, number: int, seed: int) -> pl.DataFrame:
    """As many, one of each label in turn, in their order; which ones, keys and seed decide alone."""
    keys = (f"replay {seed}:{corpus}:{name}" for corpus, name in documents.select("corpus", "id").iter_rows())
    lots = [hashlib.blake2b(key.encode("utf8", "surrogatepass"), digest_size=8).hexdigest() for key in keys]
    drawn = documents.with_row_index("_row").with_columns(pl.Series("_lot", lots)).sort(~pl.col("first"), "_lot")
    turn = pl.int_range(pl.len()).over("label").alias("_turn")
    return drawn.with_columns(turn).sort("_turn", "_lot").head(number).sort("_row").drop("_row", "_lot", "_turn")
