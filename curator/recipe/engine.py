"""Where the work is done."""

from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from curator.errors import UsageError
from curator.recipe.settings import Settings


class Engine(Settings):
    """``local``: in this process. ``ray``: by workers, actors of a Ray cluster, each with some CPUs and GPUs.

    ``address`` is that of a cluster, ``auto`` for the one that this machine is of; without one, workers are started on
    this machine. ``gpus`` may be a fraction. Without ``workers``, as many as the cluster has room for.
    """

    kind: Literal["local", "ray"] = "local"
    address: str | None = None
    workers: int | None = Field(default=None, ge=1)
    cpus: float = Field(default=1, ge=0)
    gpus: float = Field(default=0, ge=0)

    @classmethod
    def of(cls, kind: str, **values: Any) -> Self:
        """Settings from plain values. Raises UsageError, naming what cannot be."""
        try:
            return cls.model_validate({"kind": kind, **values})
        except ValidationError as error:
            problem = error.errors()[0]
            where, message = ".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, ")
            told = f"{where}: {message}, not {problem['input']!r}" if where else message
            raise UsageError(f"engine: {told}") from None

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.kind == "local" and self.model_fields_set - {"kind"}:
            raise ValueError(f"{sorted(self.model_fields_set - {'kind'})[0]} is for kind = 'ray'")
        if not (self.cpus or self.gpus):
            raise ValueError("a worker needs CPUs or GPUs; cpus and gpus are both 0")
        return self
