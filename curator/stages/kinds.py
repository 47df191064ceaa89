"""Which shipped stages cannot do with which labels. All others run whatever ``[task] kind`` says.

This is a table here and no line in the headers, because a lockfile has the text of its stages: one more line would make
another mix of every recipe.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curator.errors import RecipeError
from curator.recipe import Kind
from curator.stages.stage import Stage, shipped

ALWAYS = ""
# The parameter by which a stage compares labels as names, one a document.
COMPARES = {
    "dpp": "balanced",
    "dsir": "by",
    "facility_location": "balanced",
    "found_ratio": ALWAYS,
    "hierarchy": "levels",
    "influence": ALWAYS,
    "k_center": "balanced",
    "knn_shapley": ALWAYS,
    "knowledge": "same_label",
    "label_noise": ALWAYS,
    "label_quality": ALWAYS,
    "mmr": "balanced",
    "pairing": "same_label",
    "ratio": "by",
    "relevance_centroid": "by",
    "relevance_label": ALWAYS,
    "round_robin": "same_label",
    "source_value": ALWAYS,
    "trust": ALWAYS,
    "tsds": "same_label",
}
EXPRESSION: Mapping[Kind, str] = {"multi": "list_contains(label, 'rude')", "regression": "round(label)"}


def check_kind(use: str, given: Mapping[str, Any], kind: Kind) -> None:
    """Raises RecipeError for a shipped stage that would compare labels which are no single names.

    A person's own stage may do with labels what their type allows.
    """
    if kind == "single" or use not in COMPARES or use not in shipped():
        return
    name, told = COMPARES[use], f"{use}: the stage compares labels of one name each, and [task] kind is {kind!r}"
    if name == ALWAYS:
        raise RecipeError(f"{told}; leave it out")
    parameter = next(each for each in Stage.load(use, Path()).parameters if each.name == name)
    value = given.get(name, parameter.default)
    if value is True:
        raise RecipeError(f"{told}; it does without where {name} = false")
    if isinstance(value, str) and "label" in (part.strip().strip('"').lower() for part in value.split(",")):
        instead = f", or an expression such as {EXPRESSION[kind]}" if parameter.type == "EXPRESSIONS" else ""
        raise RecipeError(f"{told}, but {name} is {value!r}; name another column, such as source{instead}")
