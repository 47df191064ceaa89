"""How the classifier is trained, and what documents without a label of the task are to it."""

from typing import Any, Literal

from pydantic import Field, model_validator

from curator.recipe.settings import NAME, Settings

UNDECIDING = frozenset({"checkpoint", "track"})  # settings of [train] that decide nothing
UNSEARCHED = UNDECIDING | {"text", "auxiliary", "teacher", "replay", "contrastive"}  # and those that are tables


class Text(Settings):
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


class Auxiliary(Settings):
    """The tasks of the documents that serve as auxiliary, one for each of their sources, on the model's body.

    ``before``: a stage of its own, before the target's (Phang et al. 2018). ``beside``: in the same batches, for a
    ``share`` of the loss and of the rows, on further outputs of the head, which are dropped afterwards.
    """

    place: Literal["before", "beside"] = "before"
    steps: int = Field(default=200, ge=1)  # of the stage before
    learning_rate: float = Field(default=5e-5, gt=0)  # of the stage before
    share: float = Field(default=0.5, gt=0, lt=1)  # of what is beside


class Teacher(Settings):
    """A model that was trained on the target gives the documents that serve as teacher their labels.

    Those count of which its largest probability is ``confidence`` at least, as selected documents with its
    probabilities as soft labels, and the others with a loss of 0; a model trained with them is the next round's teacher
    (Xie et al. 2020).
    """

    confidence: float = Field(default=0.7, ge=0, le=1)
    rounds: int = Field(default=1, ge=1)
    labels: Literal["soft", "hard"] = "soft"


class Replay(Settings):
    """Documents of an earlier task in the batches of this one, so that a model learns this and keeps that (rehearsal,
    Robins 1995).

    ``mix`` is a stored mix of the earlier task; its target examples and its documents are replayed, for a ``share`` of
    the loss and of the rows of a batch. Half of them is what Rolnick et al. (2019) take; 1 % was enough for a language
    model of 11 billion weights (Scialom et al. 2022). With ``documents``, as many are drawn, label by label in turn.
    """

    mix: str = Field(pattern=NAME)
    documents: int | None = Field(default=None, ge=1)
    share: float = Field(default=0.5, gt=0, lt=1)


class Contrastive(Settings):
    """Tuning the body on pairs of labelled documents before the classifier is trained (Tunstall et al. 2022).

    Those of the same label are to have sentence vectors of cosine 1, those of another of cosine 0. For each document
    ``neighbours`` pairs of either kind are chosen by sql/training/pairs.sql; a batch has ``batch_size`` pairs.
    """

    steps: int = Field(default=0, ge=0)  # 0: none of this
    batch_size: int = Field(default=16, ge=2)
    learning_rate: float = Field(default=5e-5, gt=0)
    neighbours: int = Field(default=4, ge=1)


class Train(Settings):
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
    # What the classifier reads: the vector of the first token, or the mean of all, as an encoder of sentences gives it.
    head: Literal["first", "mean"] = Field(default="first", exclude_if=lambda head: head == "first")
    class_weights: Literal["none", "balanced"] = "none"  # balanced: each label has the same part of its side's loss
    accumulate: int = Field(default=1, ge=1)  # parts in which a batch passes through the model, to save memory
    checkpoint: float = Field(default=120.0, ge=0)  # seconds between states kept for a run that is killed
    text: Text = Text()
    auxiliary: Auxiliary = Auxiliary()
    teacher: Teacher = Teacher()
    replay: Replay | None = Field(default=None, exclude_if=lambda replay: replay is None)
    contrastive: Contrastive = Field(default=Contrastive(), exclude_if=lambda own: not own.steps)
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
