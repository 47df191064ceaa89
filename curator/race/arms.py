"""What each arm of a race trains on, for one seed."""

import hashlib
from dataclasses import dataclass
from typing import Any

import polars as pl

from curator.errors import DataError
from curator.mix import Mix, Task, Workshop
from curator.mix.build import DECONTAMINATE, MIX, build
from curator.mix.lock import locked_steps
from curator.mix.task import with_mix
from curator.mix.union import StoredMix
from curator.recipe import OF_MIX
from curator.relation import Relation

DESCRIPTIONS = {
    "target-only": "the target documents alone",
    "random": "as many pool documents as the mix, at random",
    "random-balanced": "as many pool documents as the mix, at random, the same number of each label",
    "full": "every usable pool document",
    "mix": "the documents the stages chose",
}
SELECTING = frozenset({"random", "random-balanced", "mix"})


def is_selecting(name: str) -> bool:
    """Whether an arm is held to the mix's number of documents."""
    return name in SELECTING or name.startswith(OF_MIX)


@dataclass(frozen=True)
class Arm:
    """The pool documents (``MIX``) that an arm trains on beside the target; none for ``target-only``.

    ``pool`` has them all, with their vectors; a stage may have changed a document's text since.
    """

    name: str
    documents: pl.DataFrame
    pool: Relation


def choose(name: str, task: Task, mix: Mix) -> Arm:
    """The documents of an arm: all choose from the same cleaned, labelled pool, the selecting ones equally many."""
    chosen = mix.frame()
    if name == "mix":
        return Arm(name, chosen, task.pool)
    pool = clean_pool(task, mix)
    if name == "target-only":
        return Arm(name, pool.clear(), task.pool)
    if not len(pool):
        raise DataError(f"the arm {name!r} has nothing to choose from: no pool document carries a label of the task")
    if name == "full":
        return Arm(name, pool, task.pool)
    shuffled = pool.with_columns(_lottery(pool, f"{name} {task.seed}").alias("_lot")).sort("_lot", "corpus", "id")
    if name == "random-balanced":
        # One of each label in turn, so that a label which runs out leaves its place to the others.
        shuffled = shuffled.with_columns(pl.int_range(pl.len()).over("label").alias("_turn")).sort(
            "_turn", "_lot", "corpus", "id"
        )
    return Arm(name, shuffled.head(len(chosen)).select(MIX), task.pool)


def described(name: str, stored: StoredMix | None) -> dict[str, Any]:
    """What a record says of an arm; of a stored mix which version it is, too."""
    if stored is None:
        return {"name": name, "selecting": is_selecting(name), "description": DESCRIPTIONS[name]}
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
    lots = _lottery(documents, f"{OF_MIX}{stored.name} {task.seed}").alias("_lot")
    drawn = documents.with_columns(lots).sort("_lot", "corpus", "id").head(len(mix))
    return Arm(OF_MIX + stored.name, drawn.select(MIX), of_mix.pool)


def clean_pool(task: Task, mix: Mix) -> pl.DataFrame:
    """Pool documents with a label of the task that decontamination let through, with the texts that the mix has."""
    ledger = mix.ledger()
    cleaning = (pl.col("position") == 0) | ((pl.col("position") == 1) & (pl.col("stage") == DECONTAMINATE))
    out = ledger.filter(cleaning & ~pl.col("keep")).select("corpus", "id")
    pool = task.pool.frame.filter(pl.col("label").is_not_null())
    return mix.as_changed(pool.join(out, on=["corpus", "id"], how="anti", maintain_order="left").select(MIX))


def _lottery(pool: pl.DataFrame, salt: str) -> pl.Series:
    """A number for each document that depends on it and the salt alone."""
    keys = (f"{salt}:{corpus}:{name}" for corpus, name in pool.select("corpus", "id").iter_rows())
    digests = (hashlib.blake2b(key.encode("utf8", "surrogatepass"), digest_size=8).digest() for key in keys)
    return pl.Series([int.from_bytes(digest, "big") for digest in digests], dtype=pl.UInt64)
