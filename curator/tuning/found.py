"""What a search found: its trials as rows, the best values, and how far to believe them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curator.errors import DataError, MissingExtraError, UnknownNameError, UsageError
from curator.files import write_text
from curator.race.scores import indicators, of_sets, of_values
from curator.race.statistics import METRICS
from curator.recipe import Kind, Recipe
from curator.training import main_score
from curator.tuning.proposals import COMPLETE, FAILED, PRUNED
from curator.tuning.space import Space, Values, instead_of

RESAMPLES = 2000

Trial = dict[str, Any]


@dataclass(frozen=True)
class Tuning:
    """The trials of each arm, and what they are measured on: ``score`` on ``dev_documents`` documents of dev.

    ``own`` are the recipe's own values of what was ``searched``, ``directory`` is where the files of its searches are.
    """

    name: str
    dev_documents: int
    own: Values
    searched: tuple[str, ...]
    arms: dict[str, list[Trial]]
    directory: Path
    score: str = "macro_f1"

    def __repr__(self) -> str:
        return f"Tuning({self.name!r}: {'; '.join(self.told())})"

    @property
    def chosen(self) -> str:
        """The arm whose values go into a recipe: ``mix``, else the first."""
        return "mix" if "mix" in self.arms else next(iter(self.arms))

    def best(self, arm: str | None = None) -> Trial | None:
        """The complete trial with the best score on dev, then the lower loss, then the earlier; None without one."""
        trials = [trial for trial in self._trials(arm) if trial["state"] == COMPLETE]
        return max(trials, key=lambda trial: (trial[self._on_dev], -trial["dev_loss"]), default=None)

    def frame(self) -> pl.DataFrame:
        """One row per arm and trial: ``arm, trial``, the values, ``dev_macro_f1`` (by the kind of the task
        ``dev_spearman``) with its ``standard_error``, ``best_step, steps`` (that it was to run), ``documents, state,
        reason, seconds``.
        """
        names = (self._on_dev, "standard_error", "best_step", "steps", "documents", "state", "reason", "seconds")
        rows = [
            {"arm": arm, "trial": trial["trial"], **trial["values"], **{name: trial[name] for name in names}}
            for arm, trials in self.arms.items()
            for trial in trials
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def toml(self, arm: str | None = None) -> str:
        """The best values as lines of a recipe, those of a stage under its name. Raises DataError without a trial."""
        sections: dict[str, list[str]] = {}
        for name, value in self._best(arm)["values"].items():
            stage, dot, parameter = name.partition(".")
            section = f"[[stage]]  # {stage}" if dot else "[train]"
            sections.setdefault(section, []).append(f"{parameter if dot else name} = {_toml(value)}")
        return "\n".join("\n".join([section, *lines]) for section, lines in sorted(sections.items(), reverse=True))

    def told(self) -> list[str]:
        """A sentence per arm, and one on how far to believe them; scores from 0 to 1."""
        return [*(self._told_of(arm) for arm in self.arms), self._caution()]

    def _told_of(self, arm: str) -> str:
        trials, best = self.arms[arm], self.best(arm)
        counts = {state: sum(trial["state"] == state for trial in trials) for state in (PRUNED, FAILED)}
        ended = "".join(f", {count} {state}" for state, count in counts.items() if count)
        if best is None:
            return f"{arm}: none of {len(trials)} trials was completed{ended}"
        error, on_dev = best["standard_error"], self._on_dev
        near = sum(
            trial["state"] == COMPLETE and trial is not best and trial[on_dev] >= best[on_dev] - error
            for trial in trials
        )
        words = (
            f"{arm}: {METRICS[self.score]} {best[on_dev]:.3f} on dev is the best of {len(trials)} trials (trial "
            f"{best['trial']}{ended}), with a standard error of {error:.3f}; {near} more are within one of it"
        )
        first = trials[0]
        if self.own and first["state"] == COMPLETE and set(self.own) == set(self.searched):
            words += f", and the recipe as it is (trial 1) has {first[on_dev]:.3f}"
        return words

    @property
    def _on_dev(self) -> str:
        return f"dev_{self.score}"

    def _caution(self) -> str:
        most = max(len(trials) for trials in self.arms.values())
        return (
            f"dev has {self.dev_documents:,} documents: the best of {most} trials on so many is partly the luckiest, "
            "and scores less on others; only the test set, looked at once, says what it is worth"
        )

    def _trials(self, arm: str | None) -> list[Trial]:
        arm = arm or self.chosen
        if arm not in self.arms:
            raise UnknownNameError("arm of the search", arm, self.arms)
        return self.arms[arm]

    def _best(self, arm: str | None) -> Trial:
        best = self.best(arm)
        if best is None:
            why = next((trial["reason"] for trial in self._trials(arm) if trial["reason"]), "")
            raise DataError(f"{arm or self.chosen}: no trial was completed, so there are no best values: {why}")
        return best

    def write(self, recipe: str | Path, path: str | Path, arm: str | None = None) -> Path:
        """Write a recipe's file anew with the best values in it; see ``write``."""
        return write(Path(recipe), Path(path), self._best(arm)["values"])


def write(recipe: Path, path: Path, values: Values) -> Path:
    """The recipe of a file with ``values`` in it, comments and order as they were.

    Raises UsageError where it would go into another folder, from which its relative paths mean something else.
    """
    if path.resolve().parent != recipe.resolve().parent:
        raise UsageError(
            f"{path}: the paths in {recipe.name} start at its folder; write it there: {recipe.with_name(path.name)}"
        )
    space = Space.of(Recipe.load(recipe))
    try:
        import tomlkit  # an extra
    except ImportError:
        raise MissingExtraError("tomlkit", "tune", "writing a recipe") from None
    document: Any = tomlkit.parse(recipe.read_text("utf8"))
    for name, value in values.items():
        stage, dot, parameter = name.partition(".")
        if not dot:
            document.setdefault("train", tomlkit.table())[name] = value
            continue
        place, of = space.stages[stage]
        for other in instead_of(of, parameter):
            document["stage"][place].pop(other, None)
        document["stage"][place][parameter] = value
    write_text(path, tomlkit.dumps(document))
    return path


def standard_error(confusion: Sequence[Sequence[int]], resamples: int = RESAMPLES) -> float:
    """Of macro-F1, by the bootstrap over the documents of a confusion matrix (rows the truth); 0 to 1.

    As in ``evaluate`` a label that occurs neither in the truth nor among the predictions stays out of the mean.
    """
    counts = np.asarray(confusion, np.int64)
    size, total = len(counts), int(counts.sum())
    cells = np.flatnonzero(counts)
    drawn = np.random.default_rng(0).multinomial(total, counts.ravel()[cells] / total, size=resamples)
    truth, guess = np.divmod(cells, size)
    one = np.eye(size)
    both = drawn @ one[truth] + drawn @ one[guess]
    hits = (drawn * (truth == guess)) @ one[truth]
    scores = (2 * hits / np.maximum(both, 1)).sum(axis=1) / (both > 0).sum(axis=1)
    return float(scores.std(ddof=1))


def standard_error_of(
    kind: Kind, truth: Sequence[Any], decided: Sequence[Any], labels: Sequence[str], resamples: int = RESAMPLES
) -> float:  # fmt: skip
    """Of the main score of other kinds than single labels, by the bootstrap over documents; 0 to 1.

    ``truth``: (n,) lists of labels or values; ``decided``: what ``training.decided`` says of the same documents.
    """
    drawn = np.random.default_rng(0).multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=resamples)
    draws = drawn.astype(np.float64)
    if kind == "multi":
        place = {label: number for number, label in enumerate(labels)}
        sets = [[place[label] for label in own] for own in truth]
        sides = indicators(sets, len(labels)), indicators(decided, len(labels))
        scores = of_sets(*sides, draws, main_score(kind))
    else:
        scores = of_values(np.array(truth, np.float64), np.array(decided, np.float64), draws, main_score(kind))
    return float(scores.std(ddof=1)) / 100


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
