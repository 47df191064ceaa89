"""Recipes: every setting of a mix and of a race, read from TOML. An unknown key is an error.

A recipe says what the task is, where the pool comes from, which stages decide, how to train and what to
race against. Settings live here and nowhere else; whatever a mix or a race used is stored with it.
"""

from curator.recipe.mixing import Encoder, Pool, Source, StageUse
from curator.recipe.racing import BASELINES, METRICS, OF_MIX, WITHOUT_REPLAY, ZERO_SHOT, Race, Tune, base_of, use_of
from curator.recipe.recipe import Recipe
from curator.recipe.settings import NAME, USES, Kind
from curator.recipe.training import UNDECIDING, Contrastive, Teacher, Train

__all__ = [
    "BASELINES",
    "METRICS",
    "NAME",
    "OF_MIX",
    "UNDECIDING",
    "USES",
    "WITHOUT_REPLAY",
    "ZERO_SHOT",
    "Contrastive",
    "Encoder",
    "Kind",
    "Pool",
    "Race",
    "Recipe",
    "Source",
    "StageUse",
    "Teacher",
    "Train",
    "Tune",
    "base_of",
    "use_of",
]
