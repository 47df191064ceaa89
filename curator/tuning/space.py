"""What a search may choose: for each name an interval or a set of choices, checked against what the name may be."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from curator.errors import RecipeError, UnknownNameError
from curator.recipe import Recipe, StageUse, Train
from curator.stages import Interval, Parameter, Stage

WIDE = 10  # an interval whose ends are further apart than by this factor is searched on a logarithmic scale
DIGITS = 3  # of a proposed number: on the logarithmic scale its own, else those of the interval's width
FPR = "fpr"  # in the place of a stage's cosine

Values = dict[str, Any]


@dataclass(frozen=True)
class Between:
    """Numbers from ``low`` to ``high``, both ends among them; ``whole`` ones alone for a setting that counts."""

    low: float
    high: float
    whole: bool

    @property
    def logarithmic(self) -> bool:
        return self.low > 0 and self.high > WIDE * self.low

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def rounded(self, value: float) -> float:
        """The same to a precision that one can read and write down, within the interval."""
        if self.whole:
            return int(value)
        span = abs(value) if self.logarithmic else self.high - self.low
        digits = DIGITS - (1 if self.logarithmic else 0) - math.floor(math.log10(span))
        return min(max(round(value, digits), self.low), self.high)

    def told(self) -> Any:
        return {"low": self.low, "high": self.high, "log": self.logarithmic}


@dataclass(frozen=True)
class OneOf:
    """Single values, in the order of the recipe."""

    values: tuple[Any, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def told(self) -> Any:
        return {"choices": list(self.values)}


Range = Between | OneOf


@dataclass(frozen=True)
class Space:
    """The ranges of a search by name, and the recipe that its values go into."""

    recipe: Recipe
    ranges: Mapping[str, Range]
    stages: Mapping[str, tuple[int, Stage]]  # by the names that a ledger has: the place in the recipe, and the stage

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """What ``[tune]`` says, or without a word about it the learning rate, the batch size and λ.

        Raises RecipeError for what is unknown or goes beyond what a setting may be, UnknownNameError for a stage that
        the recipe has not.
        """
        asked = recipe.tune.searched or _usual(recipe.train)
        stages = _stages(recipe)
        ranges: dict[str, Range] = {}
        for name, value in asked.items():
            stage, dot, parameter = name.partition(".")
            if dot and stage not in stages:
                raise UnknownNameError(f"stage of {recipe.name}", stage, stages)
            ranges[name] = (
                _of_stage(name, value, stages[stage][1], parameter) if dot else _of_train(name, value, recipe)
            )
        return cls(recipe, ranges, stages)

    @property
    def rebuilds(self) -> bool:
        """Whether a trial has a mix of its own."""
        return any("." in name for name in self.ranges)

    def own(self) -> Values:
        """The recipe's own values, of those names where they are among what is searched."""
        settings = self.recipe.train.model_dump(by_alias=True)
        found: Values = {}
        for name, range_ in self.ranges.items():
            stage, dot, parameter = name.partition(".")
            if not dot:
                value = settings[name]
            else:
                place, of = self.stages[stage]
                defaults = {each.name: each.default for each in of.parameters}
                value = (defaults | self.recipe.stage[place].parameters).get(parameter)
            if value in range_:
                found[name] = value
        return found

    def applied(self, values: Values) -> Recipe:
        """The recipe with these values in it. Raises RecipeError where they do not go together."""
        train = {name: value for name, value in values.items() if "." not in name}
        uses = list(self.recipe.stage)
        for name, value in values.items():
            stage, dot, parameter = name.partition(".")
            if dot:
                place, of = self.stages[stage]
                kept = uses[place].parameters
                for other in instead_of(of, parameter):
                    kept.pop(other, None)
                uses[place] = StageUse.model_validate({"use": uses[place].use, **kept, parameter: value})
        changed = {"train": _train(self.recipe, train), "stage": uses}
        return self.recipe.model_copy(update=changed)

    def told(self) -> dict[str, Any]:
        """As plain values, by name."""
        return {name: range_.told() for name, range_ in self.ranges.items()}


def instead_of(stage: Stage, parameter: str) -> tuple[str, ...]:
    """What a parameter takes the place of: a cosine and the rate by which it may be given."""
    pair = (stage.rate.parameter, FPR) if stage.rate else ()
    return tuple(other for other in pair if parameter in pair and other != parameter)


def _usual(train: Train) -> dict[str, Any]:
    """Around the recipe's own learning rate; more steps would cost more, and are searched where the recipe says so."""
    rate = train.learning_rate
    return {
        "learning_rate": [float(f"{rate / 10:.3g}"), float(f"{rate * 5:.3g}")],
        "batch_size": {"choices": [8, 16, 32]},
        "lambda": [-1.0, 0.0],
    }


def _stages(recipe: Recipe) -> dict[str, tuple[int, Stage]]:
    counts: dict[str, int] = {}
    found = {}
    for place, use in enumerate(recipe.stage):
        stage = Stage.load(use.use, Path(recipe.folder))
        counts[stage.name] = counts.get(stage.name, 0) + 1
        number = f"_{counts[stage.name]}" if counts[stage.name] > 1 else ""
        found[stage.name + number] = (place, stage)
    return found


def _of_train(name: str, value: Any, recipe: Recipe) -> Range:
    fields = {field.alias or key: field.annotation for key, field in Train.model_fields.items()}
    kind = fields[name]
    number = kind in (int, float, float | None)
    range_ = _range(f"{recipe.name}: [tune] {name}", value, number=number, whole=kind is int)
    for one in _ends(range_):
        _train(recipe, {name: one})
    return range_


def _train(recipe: Recipe, values: Values) -> Train:
    try:
        return Train.model_validate(recipe.train.model_dump(by_alias=True) | values)
    except ValidationError as error:
        problem = error.errors()[0]
        told = f"{'.'.join(map(str, problem['loc']))}: {problem['msg']} (got {problem['input']!r})"
        raise RecipeError(f"{recipe.name}: [tune] {told}") from None


def _of_stage(name: str, value: Any, stage: Stage, parameter: str) -> Range:
    declared = {each.name: each for each in stage.parameters}
    if stage.rate and FPR not in declared:
        declared[FPR] = Parameter(FPR, "FLOAT", None, Interval(0.0, 1.0, from_low=False, to_high=True), "")
    if parameter not in declared:
        raise UnknownNameError(f"parameter of {name.partition('.')[0]}", parameter, declared)
    of = declared[parameter]
    if of.type == "NUMBERS":
        raise RecipeError(f"[tune] {name}: a table of numbers cannot be searched; leave it as it is")
    range_ = _range(f"[tune] {name}", value, number=of.type in ("FLOAT", "INTEGER"), whole=of.type == "INTEGER")
    for one in _ends(range_):
        if parameter != FPR:
            stage.bind({parameter: one}, 0)
        elif of.allowed is not None and one not in of.allowed:
            raise RecipeError(f"{stage.origin}: {FPR} is {one!r}: it must be {of.allowed}")
    return range_


def _range(what: str, value: Any, *, number: bool, whole: bool) -> Range:
    """``[low, high]`` or ``{"choices": [...]}`` for a setting that is a number, a whole one, or neither."""
    if isinstance(value, dict):
        odd = [one for one in value["choices"] if not isinstance(one, str | int | float)]
        if odd:
            raise RecipeError(f"{what}: {odd[0]!r} cannot be a choice; give numbers, texts or true and false")
        return OneOf(tuple(value["choices"]))
    if not number:
        raise RecipeError(f"{what} = {value!r}: it is no number, and so has no interval; write {{ choices = [...] }}")
    if whole and not all(float(end).is_integer() for end in value):
        raise RecipeError(f"{what} = {value!r}: it takes whole numbers")
    low, high = (int(end) if whole else float(end) for end in value)
    return Between(low, high, whole)


def _ends(range_: Range) -> tuple[Any, ...]:
    return (range_.low, range_.high) if isinstance(range_, Between) else range_.values
