"""The race by a probe that goes before fine-tuning: which arms it has, and its runs as a record of their own."""

from typing import Any

from curator.recipe import USES, ZERO_SHOT, Recipe, use_of


def probe_of(recipe: Recipe) -> Recipe | None:
    """The recipe of the probe's race, with the arms that it can race; None where there is none to be.

    A probe has no earlier model to replay for, and above a lambda of 0 its loss has no least value.
    """
    arms = [arm for arm in recipe.arms if why_not(arm) is None]
    first = recipe.race.probe_first and recipe.race.by == "fine-tuning"
    if not first or not arms or recipe.train.replay or max(recipe.train.lambdas) > 0:
        return None
    return recipe.model_copy(
        update={"race": recipe.race.model_copy(update={"by": "probe", "arms": arms, "ablate": ()})}
    )


def why_not(arm: str) -> str | None:
    """Why a probe cannot race an arm; None where it can."""
    if arm == ZERO_SHOT:
        return "it learns nothing, and says the same without a training"
    if use_of(arm) in USES:
        return f"a probe knows no use of documents as {use_of(arm)}"
    return None


def told(recipe: Recipe, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What a record says under ``probe``: the arms and their runs, and the arms that were left out."""
    reasons = {arm: why_not(arm) for arm in recipe.arms}
    return {
        "arms": [arm for arm, why in reasons.items() if why is None],
        "left_out": [{"arm": arm, "why": why} for arm, why in reasons.items() if why is not None],
        "runs": runs,
    }


def by_probe(record: dict[str, Any]) -> dict[str, Any]:
    """The probe's part of a record as a record of its own, on the same evaluation documents."""
    probe, rest = record["probe"], {name: value for name, value in record.items() if name != "probe"}
    return {**rest, "arms": [arm for arm in record["arms"] if arm["name"] in probe["arms"]], "runs": probe["runs"]}
