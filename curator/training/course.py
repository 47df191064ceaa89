"""How far a training run is, in memory and on disk: one that was killed goes on and ends in the same weights."""

import glob
import hashlib
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from curator.files import sweep, write_bytes
from curator.training.model import weights_digest
from curator.training.rehearsal import standing
from curator.training.steps import Task

FORMAT = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Best:
    """The look with the best score on dev, and the weights of its step; without dev the last look, and none."""

    step: int
    look: int
    dev: dict[str, Any] | None
    weights: dict[str, Tensor]

    def beaten_by(self, dev: dict[str, Any] | None, score: str) -> bool:
        """By ``score``, then by the loss."""
        if self.dev is None or dev is None:
            return True
        return standing(dev, score) > standing(self.dev, score)


@dataclass
class Course:
    """What there is after ``step`` steps beside model and optimiser; ``losses`` are those since the last look."""

    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    best: Best | None = None
    seconds: float = 0.0  # of the processes that were killed

    def has_waited(self, patience: int) -> bool:
        """Whether so many looks, if it is not 0, brought nothing better."""
        return bool(patience and self.best and len(self.history) - self.best.look >= patience)


class Checkpoint:
    """A run's state in one safetensors file, written beside its place and renamed into it.

    ``inputs`` is a digest of all that decides the run: the file of another run is not gone on with. ``every``: seconds
    from one writing to the next.
    """

    def __init__(self, path: Path, inputs: str, every: float) -> None:
        self.path, self.inputs, self.every = path, inputs, every
        self.started = self.written = time.monotonic()

    def save_if_due(self, course: Course, task: Task, optimizer: torch.optim.Optimizer) -> None:
        """Write the state after a step, if the last writing is long enough ago."""
        if time.monotonic() - self.written >= self.every:
            self.save(course, task, optimizer)

    def save(self, course: Course, task: Task, optimizer: torch.optim.Optimizer) -> None:
        """Write the state after a step."""
        tensors = {f"model/{name}": value for name, value in trained(task.model).items()}
        if task.adapter:
            tensors |= {f"adapter/{name}": value for name, value in task.adapter.state().items()}
        for number, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{name}": value for name, value in state.items()}
        tensors["random/cpu"] = torch.get_rng_state()
        if task.model.device.type == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state()
        best = course.best
        if best:
            tensors |= {f"best/{name}": value for name, value in best.weights.items()}
        told = {
            "format": FORMAT,
            "inputs": self.inputs,
            "step": course.step,
            "history": course.history,
            "losses": course.losses,
            "best": best and {"step": best.step, "look": best.look, "dev": best.dev},
            "seconds": course.seconds + time.monotonic() - self.started,
        }
        write_bytes(self.path, lambda file: save_file(_apart(tensors), file.name, {"course": json.dumps(told)}))
        self.written = time.monotonic()

    def restore(self, task: Task, optimizer: torch.optim.Optimizer) -> Course:
        """The state that is on disk, put into model, optimiser and torch's generators; else the beginning."""
        sweep(self.path.parent)
        if not self.path.exists():
            return Course()
        try:
            with safe_open(self.path, "pt") as file:
                told = json.loads((file.metadata() or {})["course"])
                is_this_run = (told["format"], told["inputs"]) == (FORMAT, self.inputs)
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        except (SafetensorError, KeyError, ValueError) as error:
            log.warning("%s cannot be read, training begins anew: %s", self.path, error)
            return Course()
        if not is_this_run:
            log.warning("%s is of another run, training begins anew", self.path)
            return Course()
        task.model.load_state_dict(_below("model/", tensors), strict=False)
        if task.adapter:
            task.adapter.restore(_below("adapter/", tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer/", tensors).items():
            number, _, what = name.partition("/")
            state.setdefault(int(number), {})[what] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        torch.set_rng_state(tensors["random/cpu"])
        if "random/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random/cuda"])
        weights = {name: value.to(task.model.device) for name, value in _below("best/", tensors).items()}
        best = told["best"] and Best(**told["best"], weights=weights)
        return Course(told["step"], told["history"], told["losses"], best, told["seconds"])


def phase(path: Path | None, name: str) -> Path | None:
    """The file for one part of a run whose own is ``path``."""
    return path and path.with_suffix(f".{name}{path.suffix}")


def forget(path: Path) -> None:
    """Remove the files of a run and of its parts."""
    for file in (path, *path.parent.glob(f"{glob.escape(path.stem)}.*{path.suffix}")):
        file.unlink(missing_ok=True)


def trained(model: PreTrainedModel) -> dict[str, Tensor]:
    """The state of a model but for the weights that stay as they are."""
    still = {name for name, value in model.named_parameters() if not value.requires_grad}
    return {name: value for name, value in model.state_dict().items() if name not in still}


def digest(parts: Iterable[object], model: PreTrainedModel) -> str:
    """Of all that decides a run: what is given, the weights it begins with, this code."""
    found = hashlib.sha256(code().encode())
    for part in parts:
        found.update(_bytes(part))
    found.update(weights_digest(model).encode())
    return found.hexdigest()


def _bytes(part: object) -> Any:
    """What is hashed of a part; of a tensor its numbers as they lie in memory, since written out they fill it."""
    if isinstance(part, Tensor):
        return part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    return repr(part).encode("utf8", "surrogatepass")


@cache
def code() -> str:
    """Hash of the code and the libraries that a run's outcome depends on."""
    package = Path(__file__).parent.parent
    files = [package / name for name in ("hardware.py", "probe.py", "models/fitting.py", "models/continued.py")]
    files += sorted((package / "training").glob("*.py"))
    files += sorted((package / "race").glob("*.py"))
    versions = [f"{name} {_version(name)}" for name in ("torch", "transformers", "peft", "scikit-learn", "scipy")]
    return hashlib.sha256(b"".join([*(path.read_bytes() for path in files), *map(str.encode, versions)])).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # peft is an extra
        return None


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that share no memory, as the format asks for: weights that are tied are written twice."""
    seen: set[int] = set()
    found = {}
    for name, value in tensors.items():
        own = value.detach().contiguous()
        if own.untyped_storage().data_ptr() in seen:
            own = own.clone()
        seen.add(own.untyped_storage().data_ptr())
        found[name] = own
    return found
