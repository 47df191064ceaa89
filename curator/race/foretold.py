"""How well the probe's race, which comes first, foretold that by fine-tuning. Pure; a record in, points out."""

from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from curator.race.foretelling import by_probe
from curator.race.statistics import scores

FEWEST = 3  # arms, below which a ranking cannot be told from chance at all
TINY = 1e-9  # equal scores may differ in the last bit


@dataclass(frozen=True)
class Foretold:
    """``arms``: name, the probe's mean and that of fine-tuning, over the seeds that both finished, as recorded.

    ``correlation``: Spearman's, over the arms; None for fewer than 3, or where a side tells no two apart. ``best`` are
    the arms of the highest mean of the probe and of fine-tuning, several where they are equal.
    """

    arms: tuple[tuple[str, float, float], ...]
    correlation: float | None
    best: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def agrees(self) -> bool:
        """Whether an arm that is best by the probe is best by fine-tuning."""
        return bool(set(self.best[0]) & set(self.best[1]))


def foretold(record: dict[str, Any]) -> Foretold | None:
    """What a record tells of its probe; None where it has none, or no arm that both raced."""
    if "probe" not in record:
        return None
    probe, rows = by_probe(record), []
    for arm in record["probe"]["arms"]:
        first, after = scores(probe, arm), scores(record, arm)
        if shared := sorted(first.keys() & after.keys()):
            rows.append((arm, mean(first[seed] for seed in shared), mean(after[seed] for seed in shared)))
    if not rows:
        return None
    sides = [np.array(side) for side in ([row[1] for row in rows], [row[2] for row in rows])]
    best = [tuple(row[0] for row, near in zip(rows, side >= side.max() - TINY, strict=True) if near) for side in sides]
    return Foretold(tuple(rows), _correlation(*sides), (best[0], best[1]))


def _correlation(one: Any, other: Any) -> float | None:
    # Rounded, so that equal scores of other last bits share a rank.
    one, other = one.round(9), other.round(9)
    if len(one) < FEWEST or len(set(one)) < 2 or len(set(other)) < 2:
        return None
    return float(spearmanr(one, other).statistic)
