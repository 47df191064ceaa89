"""What each arm of a race trains on, for one seed."""

import hashlib
from dataclasses import dataclass

import polars as pl

from curator.errors import DataError
from curator.mix import Mix, Task
from curator.mix.build import DECONTAMINATE, MIX

DESCRIPTIONS = {
    "target-only": "the target documents alone",
    "random": "as many pool documents as the mix, at random",
    "random-balanced": "as many pool documents as the mix, at random, the same number of each label",
    "full": "every usable pool document",
    "mix": "the documents the stages chose",
}
SELECTING = frozenset({"random", "random-balanced", "mix"})  # those that are held to the mix's number of documents


@dataclass(frozen=True)
class Arm:
    """The pool documents (``MIX``) that an arm trains on beside the target; none for ``target-only``."""

    name: str
    documents: pl.DataFrame


def choose(name: str, task: Task, mix: Mix) -> Arm:
    """The documents of an arm: all choose from the same cleaned, labelled pool, the selecting ones equally many."""
    chosen = mix.frame()
    if name == "mix":
        return Arm(name, chosen)
    pool = clean_pool(task, mix)
    if name == "target-only":
        return Arm(name, pool.clear())
    if not len(pool):
        raise DataError(f"the arm {name!r} has nothing to choose from: no pool document carries a label of the task")
    if name == "full":
        return Arm(name, pool)
    shuffled = pool.with_columns(_lottery(pool, f"{name} {task.seed}").alias("_lot")).sort("_lot", "corpus", "id")
    if name == "random-balanced":
        # One of each label in turn, so that a label which runs out leaves its place to the others.
        shuffled = shuffled.with_columns(pl.int_range(pl.len()).over("label").alias("_turn")).sort(
            "_turn", "_lot", "corpus", "id"
        )
    return Arm(name, shuffled.head(len(chosen)).select(MIX))


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
