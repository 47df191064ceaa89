"""A whole recipe: read from TOML, and checked for what its parts mean together."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from curator.errors import RecipeError
from curator.recipe.engine import Engine
from curator.recipe.mixing import DECONTAMINATE, Encoder, Knowledge, Pool, Source, StageUse, Task, numbered
from curator.recipe.racing import METRICS, WITHOUT_REPLAY, WITHOUT_SOURCE, WITHOUT_STAGE, ZERO_SHOT, Race, Tune, use_of
from curator.recipe.settings import NAME, USES, Settings
from curator.recipe.training import Train


class Recipe(Settings):
    name: str = Field(pattern=NAME)
    description: str = ""
    folder: Path = Field(default=Path(), exclude=True)  # where it was read from; relative paths start here
    task: Task
    pool: dict[str, Pool] = Field(min_length=1)
    # What is not there is left out of what is written down, so that mixes from before there was any stay what they are.
    knowledge: Knowledge | None = Field(default=None, exclude_if=lambda knowledge: knowledge is None)
    stage: list[StageUse] = Field(default_factory=list)
    encoder: Encoder = Encoder()
    train: Train = Field(default_factory=lambda: Train.model_validate({}))
    race: Race = Race()
    engine: Engine = Field(default=Engine(), exclude=True)  # where it is done decides nothing of what comes out
    tune: Tune = Field(default_factory=Tune, exclude_if=lambda tune: tune == Tune())

    @model_validator(mode="before")
    @classmethod
    def _usual_metric(cls, values: Any) -> Any:
        task, race = values.get("task"), values.get("race", {})
        kind = task.get("kind") if isinstance(task, dict) else None
        if kind == "regression" and isinstance(race, dict) and "metric" not in race:
            return {**values, "race": {**race, "metric": METRICS["regression"][0]}}
        return values

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        kind, metric = self.task.kind, self.race.metric
        if metric not in METRICS[kind]:
            raise ValueError(
                f"[race] metric = {metric!r} does not go with [task] kind = {kind!r}; there are: "
                f"{', '.join(METRICS[kind])}"
            )
        single = next(self._of_single_labels(), None)
        if kind != "single" and single is not None:
            raise ValueError(f"{single} is for tasks of one label a document, and [task] kind is {kind!r}")
        if kind == "multi":
            return self
        for name, source in {**vars(self.task), **self.pool}.items():
            if isinstance(source, Source) and source.separator is not None:
                raise ValueError(
                    f"{name}: separator = {source.separator!r} parts several labels, and [task] kind is {kind!r}; "
                    "kind = 'multi' takes several"
                )
        return self

    def _of_single_labels(self) -> Iterator[str]:
        """What it asks for that has a meaning for single labels alone."""
        uses = [use_of(arm) for arm in self.race.arms] + [pool.serves for pool in self.pool.values()]
        if ZERO_SHOT in self.race.arms:
            yield f"the arm {ZERO_SHOT!r}"
        if self.train.class_weights == "balanced":
            yield "[train] class_weights = 'balanced'"
        if self.train.contrastive.steps:
            yield "[train.contrastive]"
        if self.train.auxiliary.place == "beside" and "auxiliary" in uses:
            yield "[train.auxiliary] place = 'beside'"
        yield from (f"what serves as {use!r}" for use in ("vote", "teacher") if use in uses)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.task.test is None) == (self.task.split is None):
            raise ValueError("[task] needs either test or split, and not both")
        test, target = self.task.test, self.task.target
        if test and test.path and test.path == target.path and not (test.where and target.where):
            raise ValueError(
                f"target and test are both {test.path!r}: give each a where that keeps them apart, or use split"
            )
        for name in self.pool:
            if not name.isidentifier():
                raise ValueError(f"[pool.{name}]: a pool's name must be an identifier (letters, digits, _)")
        return self

    @property
    def arms(self) -> list[str]:
        """Those of its race, and what its mix would be without each part that is to be ablated."""
        parts = {
            "stages": [f"{WITHOUT_STAGE}{name}" for name in numbered(self.stage) if name != DECONTAMINATE],
            "sources": [f"{WITHOUT_SOURCE}{name}" for name in self.pool],
        }
        return list(dict.fromkeys([*self.race.arms, *(arm for part in self.race.ablate for arm in parts[part])]))

    def points(self) -> list["Point"]:
        """The races of its curves, one for each of the shots and budgets; none where it names none."""
        if not (self.race.shots or self.race.budgets):
            return []
        return [
            Point(shots, budget, self._at(shots, budget))
            for shots in self.race.shots or (None,)
            for budget in self.race.budgets or (None,)
        ]

    def _at(self, shots: int | None, budget: int | None) -> Self:
        name, task, stages = self.name, self.task, self.stage
        if shots is not None:
            name, task = f"{name}-shots-{shots}", task.model_copy(update={"shots": shots})
        if budget is not None:
            last = self._budgeted()[-1]
            changed = StageUse.model_validate({**stages[last].model_dump(), "budget": budget})
            name, stages = f"{name}-budget-{budget}", [*stages[:last], changed, *stages[last + 1 :]]
        race = self.race.model_copy(update={"shots": (), "budgets": ()})
        return self.model_copy(update={"name": name, "task": task, "stage": stages, "race": race})

    def _budgeted(self) -> list[int]:
        """Which of its stages have a budget."""
        return [place for place, stage in enumerate(self.stage) if "budget" in stage.parameters]

    @model_validator(mode="after")
    def _with_points(self) -> Self:
        if self.race.budgets and not self._budgeted():
            raise ValueError(
                f"[race] budgets = {list(self.race.budgets)} are those of a stage, and no stage has one; give the last "
                "its budget, such as that of ratio"
            )
        return self

    @model_validator(mode="after")
    def _ablated(self) -> Self:
        stages, sources = numbered(self.stage), list(self.pool)
        if "stages" in self.race.ablate and not set(stages) - {DECONTAMINATE}:
            raise ValueError("[race] ablate = ['stages']: the recipe has no stage to do without")
        for arm in self.arms:
            prefix, _, name = arm.partition(":")
            known = {WITHOUT_STAGE: stages, WITHOUT_SOURCE: sources}.get(f"{prefix}:")
            if known is None:
                continue
            if name == DECONTAMINATE and prefix == "without-stage":
                raise ValueError(f"the arm {arm!r} would train on what is tested; every arm is decontaminated")
            if name not in known:
                raise ValueError(f"the arm {arm!r}: the recipe has no {name!r}; there are: {', '.join(known)}")
            if len(sources) == 1 and prefix == "without-source":
                raise ValueError(f"the arm {arm!r} would have nothing to choose from: the pool has no other source")
            if "mix" not in self.race.arms:
                raise ValueError(f"the arm {arm!r} is compared with the mix; have 'mix' among the arms")
        return self

    @model_validator(mode="after")
    def _replaying(self) -> Self:
        arms = self.race.arms
        if self.train.replay is None:
            if without := next((arm for arm in arms if arm.endswith(WITHOUT_REPLAY)), None):
                raise ValueError(f"the arm {without!r} leaves out a replay, and there is none; add [train.replay] mix")
            return self
        if self.task.kind != "single":
            raise ValueError(f"[train.replay] needs one label a document, and the task's kind is {self.task.kind!r}")
        serving: dict[str, str] = {f"[pool.{name}] serves": pool.serves for name, pool in self.pool.items()}
        serving |= {f"the arm {arm!r} serves": use_of(arm) for arm in arms}
        if clash := next((f"{what} = {use!r}" for what, use in serving.items() if use in USES), None):
            raise ValueError(
                f"{clash} does not go with [train.replay]: what is learned of such documents would change the model "
                "before anything is replayed; leave one of them out"
            )
        if self.train.contrastive.steps:
            raise ValueError(
                "[train.contrastive] does not go with [train.replay]: its pairs are of the new task alone, and the "
                "body would forget the earlier one before anything is replayed; leave one of them out"
            )
        if self.train.head == "mean":
            raise ValueError(
                "head = 'mean' does not go with [train.replay]: an earlier model that reads the mean goes on doing so, "
                "and the head of another would be lost; leave it out"
            )
        if self.race.by == "probe":
            raise ValueError("a probe knows no [train.replay]: it has no earlier model; race by fine-tuning")
        return self

    def by_probe(self) -> Self:
        """The same recipe with a race by a probe."""
        return self.model_copy(update={"race": self.race.model_copy(update={"by": "probe"})})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a recipe from a TOML file. Errors name the file and the key."""
        path = Path(path)
        try:
            values = tomllib.loads(path.read_text("utf8"))
        except FileNotFoundError:
            raise RecipeError(f"{path}: no such recipe") from None
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"{path}: not valid TOML: {error}") from None
        return cls.parse({"name": path.stem, **values}, folder=path.parent, origin=str(path))

    @classmethod
    def parse(cls, values: dict[str, Any], *, folder: Path = Path(), origin: str = "recipe") -> Self:
        """Build a recipe from plain values (the shape of the TOML). Errors name the key."""
        try:
            return cls.model_validate({**values, "folder": folder})
        except ValidationError as error:
            lines = [
                f"  {'.'.join(str(part) for part in problem['loc']) or 'recipe'}: {_words(problem)}"
                for problem in error.errors()
            ]
            raise RecipeError(f"{origin}: " + "\n".join(["this is not a valid recipe", *lines])) from None


@dataclass(frozen=True)
class Point:
    """One race of a recipe's curves: the shots and the budget in the place of its own, None where they stay."""

    shots: int | None
    budget: int | None
    recipe: Recipe

    def __str__(self) -> str:
        told = {"shots": self.shots, "budget": self.budget}
        return ", ".join(f"{name} {value:,}" for name, value in told.items() if value is not None)


def _words(problem: Any) -> str:
    """Pydantic's message, with the offending value and without its jargon."""
    if problem["type"] == "extra_forbidden":
        return "unknown key"
    message = str(problem["msg"]).removeprefix("Value error, ")
    value = problem.get("input")
    return f"{message} (got {value!r})" if isinstance(value, str | int | float) else message
