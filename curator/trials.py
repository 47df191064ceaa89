"""What probes said of the documents that judge them, kept so that none is fitted twice."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Judged:
    """``losses``: (judges,) nats; ``predicted``: (judges,) labels as numbers from 0."""

    losses: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.int64]


@dataclass
class Trials:
    """By a digest of all that decides them. ``fitted`` counts those that were not known."""

    known: dict[str, Judged] = field(default_factory=dict)
    fitted: int = 0

    def get(self, key: str, judges: int) -> Judged | None:
        """What is known of that many judges; None where nothing is."""
        found = self.known.get(key)
        return found if found is not None and len(found.losses) == judges else None

    def put(self, key: str, judged: Judged) -> None:
        """Keep what a probe that was fitted just now said."""
        self.known[key] = judged
        self.fitted += 1
