"""Recipes: every setting of a mix and of a race, read from TOML. An unknown key is an error.

A recipe says what the task is, where the pool comes from, which stages decide, how to train and what to
race against. Settings live here and nowhere else; whatever a mix or a race used is stored with it.
"""

from curator.recipe.engine import Engine
from curator.recipe.mixing import DECONTAMINATE, Encoder, Pool, Source, StageUse, numbered
from curator.recipe.racing import (
    BASELINES,
    CONTROLS,
    METRICS,
    OF_MIX,
    OF_RECIPE,
    WITHOUT_REPLAY,
    WITHOUT_SOURCE,
    WITHOUT_STAGE,
    ZERO_SHOT,
    Race,
    Role,
    Tune,
    base_of,
    role_of,
    use_of,
)
from curator.recipe.recipe import Point, Recipe
from curator.recipe.settings import NAME, USES, Kind
from curator.recipe.training import UNDECIDING, Contrastive, Teacher, Train

__all__ = [
    "BASELINES",
    "CONTROLS",
    "DECONTAMINATE",
    "METRICS",
    "NAME",
    "OF_MIX",
    "OF_RECIPE",
    "UNDECIDING",
    "USES",
    "WITHOUT_REPLAY",
    "WITHOUT_SOURCE",
    "WITHOUT_STAGE",
    "ZERO_SHOT",
    "Contrastive",
    "Encoder",
    "Engine",
    "Kind",
    "Point",
    "Pool",
    "Race",
    "Recipe",
    "Role",
    "Source",
    "StageUse",
    "Teacher",
    "Train",
    "Tune",
    "base_of",
    "numbered",
    "role_of",
    "use_of",
]
