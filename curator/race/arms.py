"""What each arm of a race trains on, for one seed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.errors import DataError
from curator.mix import Mix, Task, Workshop
from curator.mix.build import MIX, SERVING, build, is_usable
from curator.mix.lock import locked_steps
from curator.mix.strata import in_turn, strata
from curator.mix.task import with_mix
from curator.mix.union import StoredMix
from curator.recipe import (
    BASELINES,
    CONTROLS,
    DECONTAMINATE,
    OF_MIX,
    OF_RECIPE,
    WITHOUT_REPLAY,
    WITHOUT_SOURCE,
    WITHOUT_STAGE,
    ZERO_SHOT,
    Kind,
    base_of,
    use_of,
)
from curator.relation import Relation

BALANCED = "random-balanced"
# What they mean where labels are none of one name each.
OTHERWISE: Mapping[tuple[str, Kind], str] = {
    (BALANCED, "multi"): "as many pool documents as the mix, at random, one of each label in turn and one without any",
    (BALANCED, "regression"): "as many pool documents as the mix, at random, one in turn of each fifth of the target's "
    "values",
    **dict.fromkeys(
        (("round-robin", "multi"), ("round-robin", "regression")),
        "as many pool documents as the mix, which the target documents took in turn, each the nearest",
    ),
}
DESCRIPTIONS = {
    "target-only": "the target documents alone",
    "random": "as many pool documents as the mix, at random",
    BALANCED: "as many pool documents as the mix, at random, the same number of each label",
    ZERO_SHOT: "no document: the label whose name has the nearest vector",
    "bm25": "as many pool documents as the mix, the best by BM25 for some target document",
    "dsir": "as many pool documents as the mix, whose words are likeliest in the target rather than the pool (DSIR)",
    "knn": "as many pool documents as the mix, the nearest to some target document, whatever their label",
    "round-robin": "as many pool documents as the mix, which the target documents took in turn, each the nearest of "
    "its own label",
    "shuffled-target": "as many documents as the mix, of those that its stages choose where each target document has "
    "the label of another; a control, which ought to be no better than chance",
    "random-vectors": "as many documents as the mix, of those that its stages choose by random vectors; a control",
    "farthest": "as many pool documents as the mix, the farthest from the nearest target document; a control",
    "tsds": "as many pool documents as the mix, drawn by how much of the target is transported to them (TSDS)",
    "full": "every usable pool document",
    "mix": "the documents the stages chose",
}
NAMED = {  # arms with a name of their own
    OF_RECIPE: "as many documents as the mix, at random, of those that the stages of {} choose here",
    WITHOUT_STAGE: "as many documents as the mix, at random, of those that its stages choose without {}",
    WITHOUT_SOURCE: "as many documents as the mix, at random, of those that its stages choose without the source {}",
}
SERVED = {
    "auxiliary": "with their sources' own labels, as other tasks",
    "text": "their text alone, for continued pre-training",
    "teacher": "with the labels of a model that was trained on the target",
}
SELECTING = frozenset({"random", "random-balanced", "mix", *BASELINES, *CONTROLS})


def is_selecting(name: str) -> bool:
    """Whether an arm is held to the mix's number of documents."""
    return base_of(name) in SELECTING or name.startswith((OF_MIX, *NAMED))


@dataclass(frozen=True)
class Arm:
    """The pool documents (``MIX``) that an arm trains on beside the target, if any.

    ``pool`` has them all, with their vectors; a stage may have changed a document's text since.
    """

    name: str
    documents: pl.DataFrame
    pool: Relation
    seconds: float | None = None  # that stages took to choose them, whenever that was; None where none did
    reused: int = 0  # verdicts that were a stored mix's: making them is not in these seconds


def choose(name: str, task: Task, mix: Mix) -> Arm:
    """The documents of an arm: all choose from the same cleaned, labelled pool, the selecting ones equally many."""
    arm, name, use = name, base_of(name), use_of(name)
    chosen, pool = (serving(frame, use) for frame in (as_served(mix.frame(), task), clean_pool(task, mix)))
    if name == "mix":
        return Arm(arm, chosen, task.pool)
    if name in ("target-only", ZERO_SHOT):
        return Arm(arm, pool.clear(), task.pool)
    if not len(pool):
        raise nothing(arm)
    if name == "full":
        return Arm(arm, pool, task.pool)
    shuffled = pool.with_columns(lottery(pool, f"{name} {task.seed}").alias("_lot")).sort("_lot", "corpus", "id")
    if name == "random-balanced":
        # One of each label in turn, so that a label which runs out leaves its place to the others.
        if task.kind != "single":
            balanced = shuffled[_in_turn(shuffled["label"], task.target.frame["label"])]
            return Arm(arm, balanced.head(len(chosen)).select(pool.columns), task.pool)
        turn = pl.int_range(pl.len()).over(pl.coalesce("label", "source_label")).alias("_turn")
        shuffled = shuffled.with_columns(turn).sort("_turn", "_lot", "corpus", "id")
    return Arm(arm, shuffled.head(len(chosen)).select(pool.columns), task.pool)


def nothing(arm: str) -> DataError:
    """That an arm has an empty pool."""
    return DataError(f"the arm {arm!r} has nothing to choose from: no pool document is of use for the task")


def _in_turn(labels: pl.Series, among: pl.Series) -> npt.NDArray[np.int64]:
    """All rows, one in turn of each label, or fifth of the target's values, and of those without any label."""
    labelled = labels.is_not_null().to_numpy()
    rows = np.flatnonzero(labelled)
    of = [rows[one.members] for one in strata(labels.drop_nulls(), among)]
    return in_turn([*of, np.flatnonzero(~labelled)])


def serving(documents: pl.DataFrame, use: str) -> pl.DataFrame:
    """The documents that can serve as ``use``, serving as that alone; as they are where none is named."""
    if not use:
        return documents
    able = documents.filter(pl.col("source_label").is_not_null()) if use == "auxiliary" else documents
    if not len(able):
        raise DataError(f"no document can serve as {use}" + (": none has a label" if use == "auxiliary" else ""))
    return able.with_columns(pl.lit(use).alias("serves"))


def as_served(documents: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Documents of a mix with ``serves`` and ``source_label``, which a mix has only where they tell something."""
    if set(SERVING) <= set(documents.columns):
        return documents
    known = task.pool.frame.select("corpus", "id", *SERVING)
    return documents.join(known, on=["corpus", "id"], how="left", maintain_order="left")


def described(name: str, stored: StoredMix | None, kind: Kind) -> dict[str, Any]:
    """What a record says of an arm; of a stored mix which version it is, too."""
    for prefix, what in NAMED.items():
        if name.startswith(prefix):
            told = what.format(name.removeprefix(prefix))
            return {"name": name, "selecting": True, "description": told}
    if stored is None:
        base, use = base_of(name), use_of(name)
        told = OTHERWISE.get((base, kind), DESCRIPTIONS[base]) + (f", {SERVED[use]}" if use else "")
        told += ", and nothing is replayed" if name.endswith(WITHOUT_REPLAY) else ""
        return {"name": name, "selecting": is_selecting(name), "description": told}
    told = f"as many documents as the mix, at random, of the stored mix {stored.name} (version {stored.version})"
    return {"name": name, "selecting": True, "description": told, "mix": stored.told()}


def choose_of(stored: StoredMix, workshop: Workshop, task: Task, mix: Mix) -> Arm:
    """As many documents of a stored mix as the mix has, at random by the seed, cleaned as all arms are.

    Their labels must be the task's, and what decontamination finds in them is left out. Raises DataError where fewer
    are left than the mix has: the arm would be held to another budget.
    """
    cleaning = [step for step in locked_steps(mix.lock)[:1] if step.name == DECONTAMINATE]
    of_mix = with_mix(task, stored, workshop.corpora)
    documents = build(of_mix, cleaning, workshop.session).frame
    if len(documents) < len(mix):
        raise DataError(
            f"the mix {stored.name!r} has {len(documents):,} documents that may train here, and the race's own mix has "
            f"{len(mix):,}; give that a budget of at most {len(documents):,}"
        )
    lots = lottery(documents, f"{OF_MIX}{stored.name} {task.seed}").alias("_lot")
    drawn = documents.with_columns(lots).sort("_lot", "corpus", "id").head(len(mix)).select(MIX)
    return Arm(OF_MIX + stored.name, as_served(drawn, of_mix), of_mix.pool)


def clean_pool(task: Task, mix: Mix) -> pl.DataFrame:
    """``MIX`` and ``SERVING`` of the documents of ``cleaned``."""
    return cleaned(task, mix).frame.select(*MIX, *SERVING)


def cleaned(task: Task, mix: Mix) -> Relation:
    """Usable pool documents that decontamination let through, with the texts that the mix has.

    Not those that are to be voted on: they get a label in a stage of the mix, and here they have none.
    """
    pool = decontaminated(task, mix)
    able = pool.frame.select(is_usable() & ((pl.col("serves") != "vote") | pl.col("label").is_not_null())).to_series()
    pool = pool.take(np.flatnonzero(able.to_numpy()))
    return pool.with_frame(mix.as_changed(pool.frame))


def decontaminated(task: Task, mix: Mix) -> Relation:
    """The pool without the documents that are in the target, or that decontamination found in the test set.

    Nor those without a use, which the mix says in its ledger before any stage.
    """
    cleaning = (pl.col("position") == 0) | ((pl.col("position") == 1) & (pl.col("stage") == DECONTAMINATE))
    out = mix.ledger().filter(cleaning & ~pl.col("keep")).select("corpus", "id")
    numbered = task.pool.select(["corpus", "id"]).with_row_index("_row")
    kept = numbered.join(out, on=["corpus", "id"], how="anti", maintain_order="left")["_row"]
    return task.pool.take(kept.to_numpy())


def lottery(pool: pl.DataFrame, salt: str) -> pl.Series:
    """A number for each document that depends on it and the salt alone."""
    keys = (f"{salt}:{corpus}:{name}" for corpus, name in pool.select("corpus", "id").iter_rows())
    digests = (hashlib.blake2b(key.encode("utf8", "surrogatepass"), digest_size=8).digest() for key in keys)
    return pl.Series([int.from_bytes(digest, "big") for digest in digests], dtype=pl.UInt64)
