"""What there is to label: the pool's documents without those that are labelled, known, or too near to the test set."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from curator.documents import normalise
from curator.errors import DataError
from curator.mix import Task, Workshop, steps
from curator.mix.judging import judge
from curator.mix.task import falls_to_test, known_texts
from curator.recipe import DECONTAMINATE
from curator.relation import Relation
from curator.trials import Trials


@dataclass(frozen=True)
class Candidates:
    """``documents``: in order of corpus and id, with their vectors; then how many of the ``pool`` are none, and why."""

    documents: Relation
    pool: int
    known: int  # their text is one of the target's or dev's sources, with a label or with none yet
    cut: int  # the recipe's split would put them into the test set
    repeated: int  # of another with the same text, the first by corpus and id
    decontaminated: int  # found in the test set or in dev

    def __str__(self) -> str:
        lost = {
            "have a text of target or dev": self.known,
            "would be cut off for the test set": self.cut,
            "repeat another": self.repeated,
            "are in the test set or dev, or nearly": self.decontaminated,
        }
        told = ", ".join(f"{number:,} {why}" for why, number in lost.items() if number)
        return f"of {self.pool:,} documents in the pool {told or 'all are new'}"

    def counts(self) -> dict[str, int]:
        """Every count by its name; all but ``pool`` add up to it."""
        others = {name: value for name, value in vars(self).items() if name != "documents"}
        return {**others, "candidates": len(self.documents)}


def candidates(task: Task, workshop: Workshop) -> Candidates:
    """The candidates of a task. The result does not depend on the order of the pool.

    Labels that pool documents have make no difference, nor does what their source is to serve as. Where test documents
    are cut off the target by ``split``, that is by text, and a document that would be cut off is no candidate: it would
    not train, and a test set to which chosen documents come is no fair sample any more.

    Raises DataError where there is none, with the counts.
    """
    versions = {(use.role, use.name): use.corpus.version for use in task.used}
    known = known_texts(task.recipe, workshop.corpora, workshop.session, versions)
    pool = task.pool.select(["corpus", "id", "text"]).with_row_index("_row").sort("corpus", "id")
    words = pl.Series("words", [normalise(text) for text in pool["text"]], dtype=pl.String)
    pool = pool.with_columns(
        words,
        pl.Series("known", [text in known for text in words], dtype=pl.Boolean),
        pl.Series("cut", falls_to_test(task.recipe, words)),
    )
    new = pool.filter(~pl.col("known") & ~pl.col("cut"))
    once = new.unique("words", keep="first", maintain_order=True)
    vectors = task.pool.vectors.take(once["_row"].to_numpy())  # of all: where a whole corpus's are is kept
    clean = _cleaned(Relation(once.select("corpus", "id", "text"), vectors), task, workshop)
    found = Candidates(
        clean,
        pool=len(pool),
        known=int(pool["known"].sum()),
        cut=int((~pool["known"] & pool["cut"]).sum()),
        repeated=len(new) - len(once),
        decontaminated=len(once) - len(clean),
    )
    if not len(clean):
        raise DataError(f"no document is left to label: {found}; add sources to the pool")
    return found


def _cleaned(documents: Relation, task: Task, workshop: Workshop) -> Relation:
    """Without what decontamination drops, by the recipe's settings; all where the recipe does without it."""
    uses = [use for use in task.recipe.stage if use.use == DECONTAMINATE]
    alone = replace(task, recipe=task.recipe.model_copy(update={"stage": uses}))
    for step in steps(alone) if len(documents) else ():
        relations = {**task.relations, "candidates": documents}
        verdicts, _ = judge(step.stage, step.parameters, relations, workshop.session, Trials())
        documents = documents.take(np.flatnonzero(verdicts.frame["keep"].to_numpy()))
    return documents
