"""The search for a ratio between groups, and the judgement of what it found, by documents that it has not looked at."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from curator.errors import QueryError
from curator.functions._gain import Gain, gains
from curator.functions._mixing import Mixing
from curator.functions._ratios import divergence, poured, simulated
from curator.functions._results import check_whole_number
from curator.functions._surface import Surface
from curator.probe import Floats

SIMULATED, AVERAGED = 100_000, 128  # as in RegMix
CONFIRM = ("loss", "macro_f1")


@dataclass(frozen=True)
class Settings:
    """Of a search; those of ``mixture`` that are no relations."""

    budget: int
    sample: int
    trials: int
    max_repeats: int
    penalty: float
    confirm: str
    draws: int
    c: float
    folds: int
    min_dev: int
    seed: int

    def __post_init__(self) -> None:
        """Raises QueryError for one that is out of range."""
        least = {
            "budget": 1,
            "sample": 1,
            "trials": 8,
            "max_repeats": 1,
            "draws": 2,
            "folds": 2,
            "min_dev": 0,
            "seed": 0,
        }
        for name, value in least.items():
            check_whole_number("mixture", name, getattr(self, name), least=value)
        if not 0 <= self.penalty < float("inf"):
            raise QueryError(f"mixture: penalty is {self.penalty}; a number of at least 0 is needed")
        if not 0 < self.c < float("inf"):
            raise QueryError(f"mixture: c is {self.c}; a number above 0 is needed")
        if self.confirm not in CONFIRM:
            raise QueryError(f"mixture: confirm is {self.confirm!r}; it must be {' or '.join(CONFIRM)}")


@dataclass(frozen=True)
class Found:
    """What a search has: (groups,) shares, the gains over the prior, and the trials, (n, groups) and (n,)."""

    ratio: Floats
    surface: Surface
    loss: Gain
    macro_f1: Gain
    judges: int
    ratios: Floats
    losses: Floats

    def is_better(self, confirm: str) -> bool:
        """Whether the interval of the gain is above 0."""
        return (self.loss if confirm == "loss" else self.macro_f1).low > 0

    def evidence(self, mixing: Mixing, confirm: str) -> dict[str, Any]:
        """All of it as plain values, for a record."""
        return {
            "panel": mixing.digest,
            "groups": mixing.group_names,
            "prior": np.round(mixing.prior, 6).tolist(),
            "found": np.round(self.ratio, 6).tolist(),
            "better": self.is_better(confirm),
            "told": self.told(confirm),
            "explained": round(self.surface.explained, 6),
            "trials": [
                {"documents": mixing.counts(ratio).tolist(), "loss": round(float(loss), 6)}
                for ratio, loss in zip(self.ratios, self.losses, strict=True)
            ],
        }

    def told(self, confirm: str) -> str:
        """The verdict in a sentence."""
        verdict = "better" if self.is_better(confirm) else "no better"
        loss, f1 = self.loss, self.macro_f1
        return (
            f"{verdict} than proportional: log loss lower by {loss.value:.4f}, 95 % {loss.low:.4f} to {loss.high:.4f}; "
            f"macro-F1 {100 * f1.value:+.1f} points, {100 * f1.low:.1f} to {100 * f1.high:.1f}; on {self.judges:,} "
            "documents"
        )


def search(mixing: Mixing, settings: Settings) -> Found:
    """Every trial, a ratio of least predicted loss, and its gain over the prior."""
    ratios, folds = mixing.ratios(settings.trials), mixing.panel.folds
    losses = np.array([mixing.judged(ratio, f"{mixing.seed}").losses for ratio in ratios])
    others = poured(mixing.rooms, np.vstack([mixing.sizes, simulated(mixing.sizes, SIMULATED, mixing.seed)]))
    away = settings.penalty * divergence(others, mixing.prior)
    surface = Surface.of(ratios, losses.mean(axis=1))
    of_folds = {
        fold: _best(Surface.of(ratios, losses[:, folds != fold].mean(axis=1)), others, away)
        for fold in np.unique(folds)
    }
    loss, macro_f1 = _confirmed(mixing, of_folds, settings.draws)
    mixing.memory.save()
    return Found(_best(surface, others, away), surface, loss, macro_f1, len(folds), ratios, losses.mean(axis=1))


def _best(surface: Surface, ratios: Floats, away: Floats) -> Floats:
    """(groups,) the mean of those of (n, groups) ratios whose predicted loss and penalty are least."""
    scores = np.round(surface.predicted(ratios) + away, 9)
    best: Floats = ratios[np.argsort(scores, kind="stable")[:AVERAGED]].mean(axis=0)
    return best


def _confirmed(mixing: Mixing, of_folds: dict[int, Floats], draws: int) -> tuple[Gain, Gain]:
    """The gain of the ratio that was found without a fold over the prior, on the documents of that fold."""
    panel = mixing.panel
    losses = np.empty((2, draws, len(panel.judges)))
    predicted = np.empty(losses.shape, np.int64)
    for draw in range(draws):
        salt = f"{mixing.seed}:{draw}"
        plain = mixing.judged(mixing.prior, salt)
        losses[0, draw], predicted[0, draw] = plain.losses, plain.predicted
        for fold, ratio in of_folds.items():
            judged, own = mixing.judged(ratio, salt, panel.only(fold)), panel.folds == fold
            losses[1, draw, own], predicted[1, draw, own] = judged.losses, judged.predicted
    truth = panel.judges.codes(mixing.names)
    return gains((losses[0], losses[1]), (predicted[0], predicted[1]), truth, mixing.seed)
