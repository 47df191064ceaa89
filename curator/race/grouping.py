"""The groups of evaluation documents that a race is scored on: by label, by source, by any column of the test set."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from curator.errors import RecipeError
from curator.mix import Task, Workshop, evaluation_columns

LABEL, SOURCE = "label", "source"
MOST = 200  # groups of a column: more are no groups


def groupings(task: Task, workshop: Workshop, ids: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """As a record has them: ``by``, ``values`` (texts, the first that occurs first), and ``codes``, one a document.

    By ``label`` there is nothing beside ``by``: the record has the true labels. None is the value of a document
    without one. Raises RecipeError for a column that the test set does not have, or one of too many values.
    """
    asked = task.recipe.race.groups
    sources = _of(task.test.frame, ids, SOURCE)
    several = sources.n_unique() > 1
    names = asked if asked is not None else [LABEL, *([SOURCE] if several else [])]
    others = [name for name in names if name not in (LABEL, SOURCE)]
    columns = evaluation_columns(task.recipe, workshop.corpora, task, workshop.session, ids, others)
    told = [
        {"by": name} if name == LABEL else _coded(name, sources if name == SOURCE else columns[name]) for name in names
    ]
    return tuple(told)


def _of(frame: pl.DataFrame, ids: Sequence[str], column: str) -> pl.Series:
    wanted = pl.DataFrame({"id": ids}, schema={"id": pl.String})
    return wanted.join(frame.select("id", column), on="id", how="left", maintain_order="left")[column]


def _coded(name: str, values: pl.Series) -> dict[str, Any]:
    if values.dtype.is_nested():
        raise RecipeError(f"[race] groups: {name!r} holds {values.dtype}; a group is one value, such as a text")
    texts = values.cast(pl.String).to_list()
    different = list(dict.fromkeys(texts))
    if len(different) > MOST:
        raise RecipeError(
            f"[race] groups: {name!r} has {len(different):,} different values in {len(texts):,} evaluation documents; "
            f"name a column of at most {MOST}"
        )
    place = {text: code for code, text in enumerate(different)}
    return {"by": name, "values": different, "codes": [place[text] for text in texts]}
