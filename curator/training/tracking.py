"""Trackers: who is told, beside the files that are there always, how a training goes.

What they get is the run's history: the mean training loss since the last look and the scores on dev, by step; its
settings once. A run that was killed and goes on tells its whole history again. Nothing they do decides anything.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.errors import MissingExtraError, UsageError
from curator.files import remove
from curator.recipe import Train

FOLDER = "tracking"  # beside what came of the runs
PROJECT = "curator"  # of W&B

Tell = Callable[[int, dict[str, float]], None]  # a step, and the figures of its look by name


@dataclass(frozen=True)
class Run:
    """What tells a run from others: ``group`` is the recipe's name, ``name`` that of its arm and seed.

    ``directory`` is where trackers write: TensorBoard into a folder of the run's name, W&B into ``wandb``.
    """

    directory: Path
    group: str
    name: str
    config: Mapping[str, Any]


def require(settings: Train) -> None:
    """Raises MissingExtraError where the package of a tracker that the settings name is not installed."""
    for name in settings.track:
        importer = {"tensorboard": _summary_writer, "wandb": _library}[name]
        importer()


@contextmanager
def tracked(settings: Train, run: Run) -> Iterator[Callable[[Sequence[dict[str, Any]]], None] | None]:
    """What ``fine_tune`` takes as ``on_look``, for the trackers that the settings name; None where they name none.

    Raises MissingExtraError without a tracker's package, UsageError where W&B cannot begin a run.
    """
    if not settings.track:
        yield None
        return
    config = {**settings.model_dump(mode="json", by_alias=True), **run.config}
    begin = {"tensorboard": _tensorboard, "wandb": _wandb}
    with ExitStack() as stack:
        tell = [stack.enter_context(begin[name](run, config)) for name in dict.fromkeys(settings.track)]
        told = 0

        def on_look(history: Sequence[dict[str, Any]]) -> None:
            nonlocal told
            for look in history[told:]:
                figures = {_name(key): value for key, value in look.items() if key != "step" and value is not None}
                for one in tell:
                    one(look["step"], figures)
            told = len(history)

        yield on_look


def _name(figure: str) -> str:
    """That of a figure of a look; a tracker groups them by what is before the slash."""
    return figure.replace("dev_", "dev/", 1) if figure.startswith("dev_") else f"train/{figure}"


@contextmanager
def _tensorboard(run: Run, config: dict[str, Any]) -> Iterator[Tell]:
    """Event files of the run alone: those of an earlier run of this name make way, as its results do."""
    summary_writer = _summary_writer()
    place = run.directory / run.name
    remove(place)
    with summary_writer(str(place)) as writer:
        rows = "".join(f"| {name} | {value} |\n" for name, value in config.items())
        writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}")

        def tell(step: int, figures: dict[str, float]) -> None:
            for name, value in figures.items():
                writer.add_scalar(name, value, step)

        yield tell


@contextmanager
def _wandb(run: Run, config: dict[str, Any]) -> Iterator[Tell]:
    """A run of W&B's, where the environment says: WANDB_MODE, WANDB_API_KEY, WANDB_PROJECT, WANDB_ENTITY, …

    It gets settings and figures, and nothing of what is printed, which may have texts in it.
    """
    wandb = _library()
    run.directory.mkdir(parents=True, exist_ok=True)
    try:
        began = wandb.init(
            project=wandb.setup().settings.project or PROJECT,
            group=run.group,
            name=run.name,
            config=config,
            dir=run.directory,
            settings=wandb.Settings(silent=True, console="off"),
        )
    except wandb.errors.Error as error:
        raise UsageError(
            f"W&B cannot begin a run: {error}; log in by `wandb login`, set WANDB_MODE=offline, or leave wandb out of "
            "track"
        ) from error
    with began:

        def tell(step: int, figures: dict[str, float]) -> None:
            began.log(figures, step=step)

        yield tell


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # an extra
    except ImportError:
        raise MissingExtraError("tensorboard", "tensorboard", 'track = ["tensorboard"]') from None
    return SummaryWriter


def _library() -> Any:
    try:
        import wandb  # an extra
    except ImportError:
        raise MissingExtraError("wandb", "wandb", 'track = ["wandb"]') from None
    return wandb
