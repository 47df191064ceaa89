"""What a classifier remembers of its training: the mix, and how it went."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from curator.recipe import NAME

CARD, MIX_LOCK = "README.md", "mix.lock.json"  # beside a model that knows its mix


class TrainedOn(BaseModel):
    """The mix that a classifier was trained on, and what came of it.

    ``mix``, ``version`` and ``ids_sha256`` name the mix as its lockfile does; ``recipe`` is all of the recipe.
    ``documents`` of the mix with labels of the task and ``target`` examples were trained on (0 where λ leaves a side
    out), ``truncated`` of them cut; ``uses`` are those of ``FineTuned``; ``replay`` names the mix of an earlier task
    and counts what was replayed; ``scores`` are what ``evaluate`` says of
    ``dev`` documents at ``best_step``, whose weights these are.
    """

    model_config = ConfigDict(frozen=True)

    mix: str = Field(pattern=NAME)  # they become paths, and a model's directory may be someone else's
    version: str = Field(pattern=r"^[0-9a-f]{12}$")
    ids_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    recipe: dict[str, Any]
    documents: int
    target: int
    dev: int
    steps: int
    best_step: int
    truncated: int
    uses: dict[str, Any] = Field(default_factory=dict)
    replay: dict[str, Any] | None = Field(default=None, exclude_if=lambda replay: replay is None)
    scores: dict[str, Any] | None
    device: str
    precision: str
