"""The pairs of labelled documents that a model's body is tuned on: SQL decides them, by the vectors that there are."""

import numpy as np
import polars as pl

from curator.documents import normalise
from curator.mix import Task
from curator.nearest import Tools, rewrite
from curator.recipe import Train
from curator.relation import Relation
from curator.session import Session, sql_folder
from curator.training import Pairs

FILE = ("training", "pairs.sql")  # in the folder of shipped SQL


def pairs_of(settings: Train, task: Task, labelled: pl.DataFrame) -> Pairs | None:
    """Pairs of a task's target and of ``labelled`` documents of its pool; None unless the settings want any.

    Only documents that weigh take part, and only those of a side that λ looks at. Of more than the steps have places
    for, so many of each side are drawn by the task's seed; these get partners among all. A document whose text a stage
    has changed is taken by the vector of the text that it had.
    """
    own = settings.contrastive
    if not own.steps:
        return None
    counted = labelled.filter(pl.col("weight") > 0)
    sides = [_columns(task.target), _columns(_in_pool(task.pool, counted))]
    if not len(labelled) or settings.lambdas == (-1, -1):
        del sides[1]
    elif settings.lambdas == (0, 0):
        del sides[0]
    drawn = [_drawn(len(side), own.steps * own.batch_size, task.seed) for side in sides]
    frame = pl.concat([side.frame for side in sides]).with_columns(pl.Series("drawn", np.concatenate(drawn)))
    return found(Relation.concat(sides, frame), own.neighbours)


def found(documents: Relation, neighbours: int) -> Pairs:
    """Pairs of documents with ``label, text, drawn`` and vectors, as sql/training/pairs.sql says; rows are theirs."""
    words = pl.Series("words", [normalise(text) for text in documents.frame["text"]], pl.String)
    frame = documents.frame.select("label", "drawn").with_columns(words).with_row_index("row")
    sql = sql_folder().joinpath(*FILE).read_text("utf8")
    parameters = {"neighbours": neighbours, "places": neighbours + 1}
    table = rewrite(Session(), sql, parameters, Tools({"documents": documents.with_frame(frame)})).fetch()
    rows = pl.DataFrame(table)
    return Pairs(rows.select("anchor", "partner").cast(pl.Int64).to_numpy(), rows["same"].to_numpy())


def _columns(relation: Relation) -> Relation:
    return relation.with_frame(relation.frame.select("label", "text"))


def _in_pool(pool: Relation, documents: pl.DataFrame) -> Relation:
    """The documents with their vectors, which the pool has."""
    keys = ["corpus", "id"]
    places = documents.select(keys).join(
        pool.select(keys).with_row_index("_place"), on=keys, how="left", maintain_order="left"
    )["_place"]
    assert not places.null_count()  # an arm's documents are of its pool
    return pool.take(places.cast(pl.Int64).to_numpy()).with_frame(documents)


def _drawn(count: int, most: int, seed: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """(count,) with ``most`` of them, or all, at True."""
    chosen = np.zeros(count, np.bool_)
    chosen[np.random.default_rng([seed, 4]).permutation(count)[:most]] = True
    return chosen
