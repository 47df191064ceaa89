"""What is raced, and what a search on dev may change."""

import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from curator.recipe.settings import NAME, USES, Kind, Settings
from curator.recipe.training import UNSEARCHED, Train

ARMS = ("target-only", "random", "random-balanced", "full", "bm25", "dsir", "mix")
ZERO_SHOT = "zero-shot"  # an arm that learns nothing: the label whose name is nearest
BASELINES = ("bm25", "dsir", "knn", "round-robin", "tsds")  # arms that a stage of curator's chooses, by itself
CONTROLS = ("shuffled-target", "random-vectors", "farthest")  # arms that ought to be no better than chance
OF_MIX = "mix:"  # before the name of a stored mix that is an arm
OF_RECIPE = "recipe:"  # before the path of a recipe whose stages choose an arm
WITHOUT_STAGE = "without-stage:"  # before the name of a stage that an arm does without
WITHOUT_SOURCE = "without-source:"  # before that of a source of the pool
AS = "-as-"  # between an arm and what its documents serve as there
WITHOUT_REPLAY = "-without-replay"  # behind an arm: the same, but that no document of the earlier task is replayed
Role = Literal["rival", "part", "control"]
_FROM_POOL = ("random", "random-balanced", "full", *BASELINES, "mix")
METRICS: dict[Kind, tuple[str, ...]] = {  # of a race; the first is the usual one
    "single": ("macro_f1", "accuracy"),
    "multi": ("macro_f1", "micro_f1", "accuracy"),
    "regression": ("spearman", "pearson"),
}


def base_of(arm: str) -> str:
    """The arm that one with something behind its name is a form of; one with a name of its own is none."""
    return arm if ":" in arm else arm.removesuffix(WITHOUT_REPLAY).partition(AS)[0]


def use_of(arm: str) -> str:
    """What an arm's documents serve as by its name; nothing where that does not say."""
    return "" if ":" in arm else arm.partition(AS)[2]


def role_of(arm: str) -> Role:
    """What it is compared with the mix for: to be beaten, to show what a part is worth, or to show nothing."""
    if arm.startswith((WITHOUT_STAGE, WITHOUT_SOURCE)):
        return "part"
    return "control" if base_of(arm) in CONTROLS else "rival"


class Race(Settings):
    arms: list[str] = Field(default_factory=lambda: list(ARMS))
    seeds: int = Field(default=5, ge=2)
    # Curves: a race at each of these in the place of [task] shots, or of the budget of the last stage that has one.
    shots: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(), exclude_if=lambda points: not points)
    budgets: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(), exclude_if=lambda points: not points)
    evaluation: int | None = Field(default=None, ge=20)  # test documents drawn once; None: all
    metric: Literal["macro_f1", "micro_f1", "accuracy", "spearman", "pearson"] = "macro_f1"  # see METRICS
    probe_first: bool = True  # before fine-tuning, where a probe can race the arms: seconds, and the report compares
    # What the mix is raced without, each of them for itself, to see what it is worth.
    ablate: tuple[Literal["stages", "sources"], ...] = Field(default=(), exclude_if=lambda parts: not parts)
    groups: list[str] | None = None  # columns of the test set whose groups are scored, too; None: label and source
    by: Literal["fine-tuning", "probe"] = "fine-tuning"  # probe: softmax regression on the vectors, in seconds

    @field_validator("shots", "budgets")
    @classmethod
    def _each_once(cls, points: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(points)) != len(points):
            raise ValueError(f"{list(points)} has a number twice")
        return tuple(sorted(points))

    @field_validator("groups")
    @classmethod
    def _different(cls, groups: list[str] | None) -> list[str] | None:
        if groups is not None and len(set(groups)) != len(groups):
            raise ValueError("a column is named twice")
        return groups

    @field_validator("arms")
    @classmethod
    def _known(cls, arms: list[str]) -> list[str]:
        known = ("target-only", *_FROM_POOL, *CONTROLS, ZERO_SHOT)
        patterns = [
            re.compile(pattern)
            for pattern in (
                "|".join(known),
                f"{OF_MIX}{NAME[1:-1]}",
                rf"{OF_RECIPE}.+\.toml",
                f"({WITHOUT_STAGE}|{WITHOUT_SOURCE}).+",
                f"({'|'.join(_FROM_POOL)}){AS}({'|'.join(USES)})",
                f"(target-only|{'|'.join(_FROM_POOL)}){WITHOUT_REPLAY}",
            )
        ]
        unknown = [arm for arm in arms if not any(pattern.fullmatch(arm) for pattern in patterns)]
        if unknown:
            raise ValueError(
                f"unknown arm {unknown[0]!r}; there are: {', '.join(known)}; {', '.join(_FROM_POOL)} also with "
                f"{', '.join(AS + use for use in USES)} behind, such as mix{AS}text; and {OF_MIX}NAME, a stored mix, "
                f"{OF_RECIPE}PATH.toml, the stages of another recipe, {WITHOUT_STAGE}NAME and {WITHOUT_SOURCE}NAME, "
                f"what the mix would be without; with [train.replay] those of the pool, and target-only, also with "
                f"{WITHOUT_REPLAY} behind"
            )
        if len(set(arms)) != len(arms):
            raise ValueError("an arm is named twice")
        return arms


class Tune(Settings):
    """A search on dev: ``trials`` for each arm, drawn by ``seed``.

    Every other key is a setting of ``[train]``, or ``stage.parameter``, with what is searched of it: ``[low, high]``,
    an interval with both ends, or ``{ choices = [...] }``. A quoted ``"ratio.budget"`` and a bare one are the same.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    trials: int = Field(default=20, ge=1)
    seed: int = Field(default=0, ge=0)

    @property
    def searched(self) -> dict[str, Any]:
        """By name: ``[low, high]`` or ``{"choices": [...]}``."""
        return dict(self.__pydantic_extra__ or {})

    @model_validator(mode="before")
    @classmethod
    def _bare_keys(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        found: dict[str, Any] = {}
        for name, value in values.items():
            nested = isinstance(value, dict) and "choices" not in value
            found |= {f"{name}.{key}": inner for key, inner in value.items()} if nested else {name: value}
        return found

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        known = [field.alias or name for name, field in Train.model_fields.items() if name not in UNSEARCHED]
        for name, value in self.searched.items():
            if "." not in name and name not in known:
                raise ValueError(
                    f"{name!r} is no setting of [train] that can be searched; there are: {', '.join(known)}, and "
                    'parameters of the recipe\'s stages, such as "ratio.budget"'
                )
            _check_range(name, value)
        return self


def _check_range(name: str, value: Any) -> None:
    if isinstance(value, dict):
        choices = value.get("choices")
        if set(value) != {"choices"} or not isinstance(choices, list) or len(choices) < 2:
            raise ValueError(f"{name} = {value!r}: choices are {{ choices = [...] }} with two or more")
        if any(choices.count(choice) > 1 for choice in choices):
            raise ValueError(f"{name}: choices = {choices!r} has one twice")
        return
    numbers = isinstance(value, list) and all(isinstance(n, int | float) and not isinstance(n, bool) for n in value)
    if not numbers or len(value) != 2:
        raise ValueError(f"{name} = {value!r}: an interval is [low, high]; single values are {{ choices = [...] }}")
    if not (math.isfinite(value[0]) and math.isfinite(value[1]) and value[0] < value[1]):
        raise ValueError(f"{name} = {value!r}: an interval goes from a lower number to a higher one, both finite")
