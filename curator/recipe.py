"""Recipes: every setting of a mix and of a race, read from TOML. An unknown key is an error.

A recipe says what the task is, where the pool comes from, which stages decide, how to train and what to
race against. Settings live here and nowhere else; whatever a mix or a race used is stored with it.
"""

import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from curator.errors import RecipeError

ARMS = ("target-only", "random", "random-balanced", "full", "mix")
ZERO_SHOT = "zero-shot"  # an arm that learns nothing: the label whose name is nearest
OF_MIX = "mix:"  # before the name of a stored mix that is an arm
AS = "-as-"  # between an arm and what its documents serve as there
WITHOUT_REPLAY = "-without-replay"  # behind an arm: the same, but that no document of the earlier task is replayed
USES = ("auxiliary", "text", "teacher")  # what documents can serve as without a label of the task
Serves = Literal["labels", "vote", "auxiliary", "text", "teacher"]
Kind = Literal["single", "multi", "regression"]  # of a task: one label per document, any number of them, a number
NAME = r"^[A-Za-z][A-Za-z0-9_-]*$"
METRICS: dict[Kind, tuple[str, ...]] = {  # of a race; the first is the usual one
    "single": ("macro_f1", "accuracy"),
    "multi": ("macro_f1", "micro_f1", "accuracy"),
    "regression": ("spearman", "pearson"),
}
UNDECIDING = frozenset({"checkpoint", "track"})  # settings of [train] that decide nothing
UNSEARCHED = UNDECIDING | {"text", "auxiliary", "teacher", "replay"}  # and those that are tables


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Source(_Settings):
    """Documents from files, or (without a path) from a corpus of the workspace.

    ``labels`` maps the file's labels to those of the task; a label it does not name stays as it is.
    Of a task of kind multi it maps each label of a document, and ``separator`` parts them where a cell has several.
    ``where`` is a SQL predicate over the documents' columns, applied before anything else.
    """

    path: str | list[str] | None = None
    corpus: str | None = None
    where: str | None = None
    id: str | None = None
    text: str | None = None
    label: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    separator: str | None = Field(default=None, min_length=1)


class Pool(Source):
    """One corpus to choose from, or the documents of stored mixes. ``serves`` says what its documents are for.

    ``labels``: they train under their own label, once that is one of the target's (after ``labels`` is applied);
    the others are counted and set aside. ``vote``: they get the label of their nearest target documents. ``text``:
    their text alone, for continued pre-training. ``auxiliary``: a task of their own, with the labels that they have in
    their source. ``teacher``: they get the labels of a model that was trained on the rest. See ``Train``.
    """

    serves: Serves = "labels"
    sample: int | None = Field(default=None, ge=1)  # a seeded sample of at most this many documents
    licence: str | None = Field(default=None, min_length=1)  # such as "CC-BY-4.0"; else what the corpus was added with
    mix: list[str] | None = Field(default=None, min_length=1)  # one name or several: a document of several comes once
    weights: list[float] | None = None  # one for each mix, which that of its documents is multiplied by

    @field_validator("mix", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _with_labels(self) -> Self:
        if self.labels and self.serves in ("text", "teacher"):
            raise ValueError(f"labels does not go with serves = {self.serves!r}: labels of its documents are not read")
        return self

    @model_validator(mode="after")
    def _of_mixes(self) -> Self:
        if self.mix is None:
            if self.weights is not None:
                raise ValueError(f"weights = {self.weights} are those of mixes; say which: mix = [...]")
            return self
        for name in ("path", "corpus", "id", "text", "label", "separator", "licence"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} = {getattr(self, name)!r} does not go with mix: its documents have their own")
        if self.serves != "labels":
            raise ValueError(f"serves = {self.serves!r} does not go with mix: its documents have their labels")
        if len(set(self.mix)) != len(self.mix):
            raise ValueError(f"mix = {self.mix} names a mix twice")
        if self.weights is not None and len(self.weights) != len(self.mix):
            raise ValueError(f"{len(self.weights)} weights for {len(self.mix)} mixes")
        if any(not (0 < weight < float("inf")) for weight in self.weights or ()):
            raise ValueError(f"weights = {self.weights}: each must be above 0 and finite")
        return self


class Knowledge(_Settings):
    """What is known of the task's field: concepts with their names, and relations between concepts.

    ``concepts`` has the columns ``concept`` and ``name``, a row for each name; ``relations`` has ``head``, ``relation``
    and ``tail``, the first and the last of which are concepts, and may have ``weight``, above 0 and at most 1.
    """

    concepts: Source
    relations: Source | None = None

    @field_validator("concepts", "relations", mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | list) else value

    @field_validator("concepts", "relations")
    @classmethod
    def _of_no_documents(cls, source: Source | None) -> Source | None:
        for name in ("text", "label", "labels", "separator"):
            if source is not None and getattr(source, name):
                raise ValueError(f"{name} = {getattr(source, name)!r} is for documents; the columns have fixed names")
        return source


class Split(_Settings):
    """Cut the test set from the target by hash of the normalised text."""

    test: float = Field(gt=0, lt=1)


class Task(_Settings):
    target: Source
    test: Source | None = None
    dev: Source | None = None
    split: Split | None = None
    kind: Kind = "single"
    shots: int | None = Field(default=None, ge=1)  # target documents drawn per label, by seed
    # What labels are called, for the arm zero-shot; of the others the name is their label's, with spaces for _ and -.
    names: dict[str, str] = Field(default_factory=dict, exclude_if=lambda names: not names)
    decontaminate: bool = True  # keep test documents and their near copies out; false says in writing: do not

    @field_validator("target", "test", "dev", mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | list) else value


class StageUse(_Settings):
    """One stage: a shipped one by name or a person's own ``.sql`` by path, and its parameters."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: str

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})


class Encoder(_Settings):
    """How texts become vectors. ``model`` is ``embedded``, a hub name or a directory."""

    model: str = "embedded"
    revision: str | None = None
    max_length: int | None = Field(default=None, ge=8)  # tokens; None: the model's own
    long_texts: Literal["truncate", "mean"] = "truncate"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    # How vectors lie on disk; FAISS and SQL always get float32. The default is left out of what is written down, so
    # that mixes and keys from before there was a choice stay what they are.
    storage: Literal["float32", "float16"] = Field(default="float32", exclude_if=lambda storage: storage == "float32")


class Text(_Settings):
    """Continued pre-training on the documents that serve as text, before anything else is trained.

    ``mlm``: masked words are told from the others (Devlin et al. 2019; on a task's own field: Gururangan et al. 2020).
    ``simcse``: a text is told from the others of its batch under two draws of dropout (Gao et al. 2021).
    """

    objective: Literal["mlm", "simcse"] = "mlm"
    steps: int = Field(default=200, ge=1)
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=5e-5, gt=0)
    mask: float = Field(default=0.15, gt=0, lt=1)  # share of the words that mlm hides
    temperature: float = Field(default=0.05, gt=0)  # of simcse


class Auxiliary(_Settings):
    """The tasks of the documents that serve as auxiliary, one for each of their sources, on the model's body.

    ``before``: a stage of its own, before the target's (Phang et al. 2018). ``beside``: in the same batches, for a
    ``share`` of the loss and of the rows, on further outputs of the head, which are dropped afterwards.
    """

    place: Literal["before", "beside"] = "before"
    steps: int = Field(default=200, ge=1)  # of the stage before
    learning_rate: float = Field(default=5e-5, gt=0)  # of the stage before
    share: float = Field(default=0.5, gt=0, lt=1)  # of what is beside


class Teacher(_Settings):
    """A model that was trained on the target gives the documents that serve as teacher their labels.

    Those count of which its largest probability is ``confidence`` at least, as selected documents with its
    probabilities as soft labels, and the others with a loss of 0; a model trained with them is the next round's teacher
    (Xie et al. 2020).
    """

    confidence: float = Field(default=0.7, ge=0, le=1)
    rounds: int = Field(default=1, ge=1)
    labels: Literal["soft", "hard"] = "soft"


class Replay(_Settings):
    """Documents of an earlier task in the batches of this one, so that a model learns this and keeps that (rehearsal,
    Robins 1995).

    ``mix`` is a stored mix of the earlier task; its target examples and its documents are replayed, for a ``share`` of
    the loss and of the rows of a batch. Half of them is what Rolnick et al. (2019) take; 1 % was enough for a language
    model of 11 billion weights (Scialom et al. 2022). With ``documents``, as many are drawn, label by label in turn.
    """

    mix: str = Field(pattern=NAME)
    documents: int | None = Field(default=None, ge=1)
    share: float = Field(default=0.5, gt=0, lt=1)


class Train(_Settings):
    """Fine-tuning. ``lambda`` weighs the pairing loss L = (1+λ)·L_S − λ·L_T (DESIGN: −1 target only, 0 mix only)."""

    model: str = "embedded"
    steps: int = Field(default=200, ge=1)
    batch_size: int = Field(default=16, ge=2)
    learning_rate: float = Field(gt=0)  # default: 2e-4 for the embedded model, 5e-5 for others, which are larger
    warmup: float = Field(default=0.1, ge=0, lt=1)  # share of the steps
    weight_decay: float = Field(default=0.01, ge=0)
    max_length: int = Field(default=128, ge=8)  # tokens
    # Of a longer text its beginning is read, or a quarter from there and the rest from its end (Sun et al. 2019).
    long_texts: Literal["head", "head-tail"] = Field(default="head", exclude_if=lambda kept: kept == "head")
    lambda_: float = Field(default=-0.5, ge=-1, alias="lambda")
    lambda_to: float | None = Field(default=None, ge=-1)  # that of the last step, approached in a straight line
    evaluate_every: int = Field(default=20, ge=1)  # steps between looks at dev
    patience: int = Field(default=0, ge=0)  # looks without improvement before stopping; 0: run every step
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    adapter: Literal["none", "lora", "adalora", "prefix", "ia3"] = "none"  # what is trained in the place of the model
    rank: int = Field(default=8, ge=1)  # of lora and adalora; positions of prefix
    class_weights: Literal["none", "balanced"] = "none"  # balanced: each label has the same part of its side's loss
    accumulate: int = Field(default=1, ge=1)  # parts in which a batch passes through the model, to save memory
    checkpoint: float = Field(default=120.0, ge=0)  # seconds between states kept for a run that is killed
    text: Text = Text()
    auxiliary: Auxiliary = Auxiliary()
    teacher: Teacher = Teacher()
    replay: Replay | None = Field(default=None, exclude_if=lambda replay: replay is None)
    # Who is told of each look at dev; like a checkpoint it decides nothing.
    track: tuple[Literal["tensorboard", "wandb"], ...] = Field(default=(), exclude_if=lambda track: not track)

    @property
    def lambdas(self) -> tuple[float, float]:
        """λ of the first and of the last step."""
        return self.lambda_, self.lambda_ if self.lambda_to is None else self.lambda_to

    @model_validator(mode="before")
    @classmethod
    def _usual_rate(cls, values: Any) -> Any:
        if isinstance(values, dict) and "learning_rate" not in values:
            embedded = values.get("model", "embedded") == "embedded"
            return {**values, "learning_rate": 2e-4 if embedded else 5e-5}
        return values


class Race(_Settings):
    arms: list[str] = list(ARMS)
    seeds: int = Field(default=5, ge=2)
    evaluation: int | None = Field(default=None, ge=20)  # test documents drawn once; None: all
    metric: Literal["macro_f1", "micro_f1", "accuracy", "spearman", "pearson"] = "macro_f1"  # see METRICS
    by: Literal["fine-tuning", "probe"] = "fine-tuning"  # probe: softmax regression on the vectors, in seconds

    @field_validator("arms")
    @classmethod
    def _known(cls, arms: list[str]) -> list[str]:
        stored = re.compile(f"{OF_MIX}{NAME[1:]}")
        used = re.compile(f"({'|'.join(ARMS[1:])}){AS}({'|'.join(USES)})$")
        without = re.compile(f"({'|'.join(ARMS)}){WITHOUT_REPLAY}$")
        known = (*ARMS, ZERO_SHOT)
        patterns = (stored, used, without)
        unknown = [arm for arm in arms if not (arm in known or any(pattern.match(arm) for pattern in patterns))]
        if unknown:
            raise ValueError(
                f"unknown arm {unknown[0]!r}; there are: {', '.join(known)}; {', '.join(ARMS[1:])} also with "
                f"{', '.join(AS + use for use in USES)} behind, such as mix{AS}text; and {OF_MIX}NAME, a stored mix; "
                f"with [train.replay] {', '.join(ARMS)} also with {WITHOUT_REPLAY} behind"
            )
        if len(set(arms)) != len(arms):
            raise ValueError("an arm is named twice")
        return arms


class Tune(_Settings):
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


class Recipe(_Settings):
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
        uses = [arm.partition(AS)[2] for arm in self.race.arms] + [pool.serves for pool in self.pool.values()]
        if ZERO_SHOT in self.race.arms:
            yield f"the arm {ZERO_SHOT!r}"
        if self.train.class_weights == "balanced":
            yield "[train] class_weights = 'balanced'"
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
        serving |= {f"the arm {arm!r} serves": arm.partition(AS)[2] for arm in arms}
        if clash := next((f"{what} = {use!r}" for what, use in serving.items() if use in USES), None):
            raise ValueError(
                f"{clash} does not go with [train.replay]: what is learned of such documents would change the model "
                "before anything is replayed; leave one of them out"
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


def _words(problem: Any) -> str:
    """Pydantic's message, with the offending value and without its jargon."""
    if problem["type"] == "extra_forbidden":
        return "unknown key"
    message = str(problem["msg"]).removeprefix("Value error, ")
    value = problem.get("input")
    return f"{message} (got {value!r})" if isinstance(value, str | int | float) else message
