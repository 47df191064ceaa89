"""Searches hyper-parameters for arms of a race, on dev alone: nothing here sees a label of the test set."""

import hashlib
import importlib.metadata
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curator.corpora import Progress
from curator.errors import DataError, UsageError
from curator.files import sweep, writer
from curator.hardware import decide
from curator.mix import Mix, Task, Workshop, make, steps
from curator.mix.lock import inputs, versions
from curator.mix.strata import strata
from curator.models.fitting import fit
from curator.race.arms import Arm
from curator.race.choosing import Chooser, file_name
from curator.race.environment import commit, environment, weights
from curator.recipe import UNDECIDING, Race, Recipe
from curator.training import FineTuned, Run, code, decided, main_score, tracked
from curator.training.tracking import FOLDER as TRACKING
from curator.training.tracking import require
from curator.tuning.found import Tuning, standard_error, standard_error_of
from curator.tuning.search import OnLook, Outcome, checkpoint_of, search
from curator.tuning.space import Space, Values

FORMAT = 1
FOLDER = "tunings"


def tune(
    recipe: Recipe,
    workshop: Workshop,
    *,
    arms: Sequence[str] = ("mix",),
    trials: int | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Tuning:
    """Search what ``[tune]`` says for each arm, with as many trials and the same seed, or go on with a search.

    Each trial is trained on the task of seed 0, with the model of seed 0, as ``curator train`` does. Raises DataError
    where there is no dev set, RecipeError for what cannot be searched, UsageError for an arm that there is not.
    """
    trials = recipe.tune.trials if trials is None else trials
    if trials < 1:
        raise UsageError(f"a search needs at least 1 trial, not {trials}")
    try:
        Race.model_validate({"arms": list(arms)})
    except ValidationError as error:
        raise UsageError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None
    if not arms:
        raise UsageError("a search needs an arm; 'mix' is the documents that the stages choose")
    if recipe.train.replay:
        raise UsageError("a search looks at the dev set of one task, and [train.replay] is for two; search without it")
    require(recipe.train)
    space = Space.of(recipe)
    task = workshop.prepare(recipe, 0)
    if not len(task.dev):
        raise DataError(
            f"{recipe.name}: there is no dev set to search on; name one ([task] dev = …), or have 8 target documents "
            f"of each label or more (shots = 8), of which a fifth is held out{_fewest(task)}"
        )
    root = workshop.corpora.catalogue.root
    directory = root / FOLDER / recipe.name
    with workshop.corpora.catalogue.writing(f"{FOLDER}/{recipe.name}"):
        sweep(directory)
        found: dict[str, list[dict[str, Any]]] = {}
        for number, arm in enumerate(arms):
            trainer = _Trainer(space, workshop, task, arm, directory)

            def starting(trial: int, arm: str = arm, before: int = number * trials) -> None:
                if progress:
                    progress(f"training {arm}, trial {trial} of {trials}", before + trial - 1, trials * len(arms))

            head = trainer.head() | {"command": command}
            found[arm] = search(space, trainer.train, trainer.path, head, trials=trials, starting=starting)
        if progress:
            progress("training", trials * len(arms), trials * len(arms))
    return Tuning(
        recipe.name, len(task.dev), space.own(), tuple(space.ranges), found, directory, main_score(recipe.task.kind)
    )


def _fewest(task: Task) -> str:
    fewest = min((one for one in strata(task.target.frame["label"]) if one.is_label), key=len)
    return f": {fewest.name} has {len(fewest)}"


@dataclass(frozen=True)
class _Trainer:
    """Trains one arm with the values of a trial."""

    space: Space
    workshop: Workshop
    task: Task
    arm: str
    directory: Path

    @cached_property
    def path(self) -> Path:
        """The file of this search: another for other inputs."""
        return self.directory / f"{file_name(self.arm)}-{self.inputs[:12]}.json"

    @cached_property
    def chooser(self) -> Chooser:
        """Gives the arm its documents."""
        return Chooser([self.arm], self.workshop, self.space.recipe.folder)

    @cached_property
    def inputs(self) -> str:
        """A hash of all that decides a trial, the code that trains and searches and its libraries included."""
        hardware, recipe = decide(), self.space.recipe
        here = [path.read_text("utf8") for path in sorted(Path(__file__).parent.glob("*.py"))]
        parts = [
            code(),
            weights(recipe.train.model),
            *here,
            json.dumps(versions() | {"optuna": _version("optuna")}),
            hardware.device,
            hardware.precision,
            json.dumps(inputs(self.task, steps(self.task), self.workshop.corpora.encoder_key()), sort_keys=True),
            recipe.train.model_dump_json(exclude=set(UNDECIDING)),
            json.dumps(self.space.told()),
            str(recipe.tune.seed),
            self.arm,
            self.chooser.decides(self.arm),
        ]
        return hashlib.sha256("\x00".join(parts).encode("utf8", "surrogatepass")).hexdigest()

    def head(self) -> dict[str, Any]:
        """What the file of the search says beside the trials."""
        recipe = self.space.recipe
        return {
            "format": FORMAT,
            "kind": "search",
            "name": recipe.name,
            "arm": self.arm,
            "inputs": self.inputs,
            "seed": recipe.tune.seed,
            "searched": self.space.told(),
            "dev_documents": len(self.task.dev),
            "commit": commit(),
            "environment": environment(),
            "recipe": recipe.model_dump(mode="json", by_alias=True, exclude_none=True),
        }

    def train(self, values: Values, number: int, on_look: OnLook) -> Outcome:
        """Fine-tune with these values; raises whatever training and ``on_look`` do."""
        recipe = self.space.applied(values)
        arm = self._arm_of(recipe) if self.space.rebuilds else self._same_arm
        documents, task = arm.documents, replace(self.task, pool=arm.pool)
        settings = recipe.train
        name = f"{file_name(self.arm)}-trial{number}"
        config = {"recipe": recipe.name, "arm": self.arm, "trial": number, **values}
        with tracked(settings, Run(self.directory / TRACKING, recipe.name, name, config)) as told:

            def looked(history: Sequence[dict[str, Any]]) -> None:
                if told:
                    told(history)
                on_look(history, settings.steps)

            tuned = fit(settings, task, documents, checkpoint=checkpoint_of(self.path), on_look=looked)
        assert tuned.dev is not None  # there is a dev set
        error = self._error(tuned)
        return Outcome(tuned.dev, tuned.best_step, settings.steps, len(documents), tuned.history, error)

    def _error(self, tuned: FineTuned) -> float:
        kind, dev = self.task.kind, self.task.dev.frame
        if kind == "single":
            assert tuned.dev is not None
            return standard_error(tuned.dev["confusion"])
        said = decided(tuned.classifier.predict(dev["text"].to_list()), kind)
        return standard_error_of(kind, dev["label"].to_list(), said, self.task.labels)

    @cached_property
    def _same_arm(self) -> Arm:
        return self.chooser.choose(self.arm, self.task, make(self.space.recipe, self.workshop, task=self.task))

    @cached_property
    def _stored_first(self) -> Mix:
        """The recipe's own mix: those of trials take the verdicts of the stages that they share from it."""
        return make(self.space.recipe, self.workshop, task=self.task)

    def _arm_of(self, recipe: Recipe) -> Arm:
        """What the arm trains on where the recipe is this: of a mix that is built for the trial and not kept."""
        assert self._stored_first
        with _aside(self.directory) as folder:
            task = replace(self.task, recipe=recipe)
            return self.chooser.choose(self.arm, task, make(recipe, self.workshop, task=task, aside=folder))


@contextmanager
def _aside(directory: Path) -> Iterator[Path]:
    """A folder that is gone afterwards; one that a process which was killed has left, ``files.sweep`` removes."""
    with tempfile.TemporaryDirectory(prefix=".mix.", suffix=f".{writer()}.part", dir=directory) as folder:
        yield Path(folder)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""  # proposing the first trial says so
