"""What a mix is made of: the task, the pool, what is known of the field, the stages and the encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from curator.recipe.settings import Kind, Serves, Settings


class Source(Settings):
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


class Knowledge(Settings):
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


class Split(Settings):
    """Cut the test set from the target by hash of the normalised text."""

    test: float = Field(gt=0, lt=1)


class Task(Settings):
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


DECONTAMINATE = "decontaminate"  # the stage that comes first whether a recipe names it or not


class StageUse(Settings):
    """One stage: a shipped one by name or a person's own ``.sql`` by path, and its parameters."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: str

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})

    @property
    def name(self) -> str:
        """What the stage is called: that of a file without folder and ending."""
        return Path(self.use).stem if self.use.endswith(".sql") else self.use


def numbered(stages: Sequence[StageUse]) -> list[str]:
    """The names of stages in a mix: one that is used again has a number."""
    names: list[str] = []
    for stage in stages:
        before = sum(other.name == stage.name for other in stages[: len(names)])
        names.append(f"{stage.name}_{before + 1}" if before else stage.name)
    return names


class Encoder(Settings):
    """How texts become vectors. ``model`` is ``embedded``, a hub name or a directory."""

    model: str = "embedded"
    revision: str | None = None
    max_length: int | None = Field(default=None, ge=8)  # tokens; None: the model's own
    long_texts: Literal["truncate", "mean"] = "truncate"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    # How vectors lie on disk; FAISS and SQL always get float32. The default is left out of what is written down, so
    # that mixes and keys from before there was a choice stay what they are.
    storage: Literal["float32", "float16"] = Field(default="float32", exclude_if=lambda storage: storage == "float32")
