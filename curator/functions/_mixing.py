"""Ratios between groups of candidates, each judged by a probe that is trained on documents in that ratio."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from curator import probe
from curator.functions._documents import Documents
from curator.functions._labelled import folded, splits
from curator.functions._ratios import poured, trial_pulls, whole
from curator.probe import Codes, Floats
from curator.trials import Judged, Trials
from curator.vectors import Rows

VERSION = 1  # of what a probe of a ratio is: another gives other losses for the same documents
DIGITS = 6  # how exactly the optimum of a probe is known


@dataclass(frozen=True)
class Part:
    """Who teaches beside the candidates, and who judges, and the folds of these."""

    taught: Documents
    judges: Documents
    folds: Rows

    def digest(self, names: list[str], c: float) -> bytes:
        """Of all that decides what a probe says but the candidates that it is trained on."""
        found = hashlib.sha256(repr((VERSION, names, c)).encode())
        for side in (self.taught, self.judges):
            found.update(side.vectors.matrix().astype("<f4").tobytes())
            found.update(side.codes(names).astype("<i8").tobytes())
        return found.digest()


@dataclass(frozen=True)
class Mixing:
    """What the probes of all ratios have in common.

    ``among``: the candidates that have a label of the task and a group; ``groups``: (n,) numbers of their groups;
    ``sizes``: (groups,) how many each has; ``rooms``: (groups,) the largest share that each can have.
    """

    names: list[str]
    among: Documents
    weights: Floats
    group_names: list[str]
    groups: Rows
    sizes: Floats
    rooms: Floats
    sample: int
    c: float
    seed: int
    parts: tuple[Part, ...]
    memory: Trials

    @property
    def prior(self) -> Floats:
        """(groups,) the shares of a draw that takes no notice of the groups."""
        found: Floats = poured(self.rooms, self.sizes[None])[0]
        return found

    @property
    def folds(self) -> Rows:
        """(judges,) the fold of each."""
        return np.concatenate([part.folds for part in self.parts])

    @property
    def truth(self) -> Codes:
        """(judges,) their labels."""
        return np.concatenate([part.judges.codes(self.names) for part in self.parts])

    def ratios(self, trials: int) -> Floats:
        """(n, groups) what is tried: the prior, and draws around it, each once."""
        pulls = np.vstack([self.sizes, trial_pulls(self.group_names, self.sizes, trials - 1, self.seed)])
        counts = np.array([self.counts(ratio) for ratio in poured(self.rooms, pulls)])
        shares: Floats = counts / self.sample
        _, first = np.unique(shares, axis=0, return_index=True)
        return shares[np.sort(first)]

    def counts(self, ratio: Floats) -> Codes:
        """(groups,) documents that a probe is trained on."""
        return whole(ratio, round(self.sample * ratio.sum()))

    def judged(self, ratio: Floats, draw: str, parts: tuple[Part, ...] | None = None) -> Judged:
        """What the probes of a ratio say of the judges, for one draw of documents."""
        chosen, weights = self._chosen(self.counts(ratio), draw)
        found = [self._judged(part, chosen, weights) for part in (self.parts if parts is None else parts)]
        return Judged(*(np.concatenate([getattr(one, name) for one in found]) for name in ("losses", "predicted")))

    def _chosen(self, counts: Codes, draw: str) -> tuple[Rows, Floats]:
        """The first documents of each group, again from the first where there are not enough.

        So a smaller number of them is among a larger.
        """
        chosen = [self._order(draw, group)[:count] for group, count in enumerate(counts)]
        times = [
            count // max(len(rows), 1) + (np.arange(len(rows)) < count % max(len(rows), 1))
            for rows, count in zip(chosen, counts, strict=True)
        ]
        rows = np.concatenate(chosen)
        return rows, self.weights[rows] * np.concatenate(times)

    def _order(self, draw: str, group: int) -> Rows:
        if draw not in self._orders:
            order = self.among.drawn(f"mixture {draw}")
            by_group = order[np.argsort(self.groups[order], kind="stable")]
            self._orders[draw] = np.split(by_group, np.cumsum(self.sizes.astype(np.int64))[:-1])
        return self._orders[draw][group]

    @cached_property
    def _orders(self) -> dict[str, list[Rows]]:
        return {}

    @cached_property
    def _codes(self) -> Codes:
        return self.among.codes(self.names)

    def _judged(self, part: Part, chosen: Rows, weights: Floats) -> Judged:
        """Fitted once for the same documents, wherever they come from."""
        vectors, labels = self.among.vectors.take(chosen).matrix(), self._codes[chosen]
        weights = weights / weights.sum() if weights.any() else weights
        key = hashlib.sha256(part.digest(self.names, self.c))
        for array in (vectors.astype("<f4"), labels.astype("<i8"), weights.astype("<f8")):
            key.update(array.tobytes())
        known = self.memory.get(key.hexdigest(), len(part.judges))
        if known is None:
            rows = np.concatenate([part.taught.vectors.matrix(), vectors])
            labels = np.concatenate([part.taught.codes(self.names), labels])
            shares = probe.shares_of(np.ones(len(part.taught)), weights)
            fitted = probe.fit(rows, labels, shares, len(self.names), c=self.c)
            told, truth = fitted.log_probabilities(part.judges.vectors.matrix()), part.judges.codes(self.names)
            known = Judged(np.round(-told[np.arange(len(truth)), truth], DIGITS), told.argmax(axis=1))
            self.memory.put(key.hexdigest(), known)
        return known


def parts_of(target: Documents, dev: Documents, folds: int, seed: int) -> tuple[Part, ...]:
    """Without dev the folds are the parts of the target; those of dev are drawn as those would be."""
    found = []
    for number, (taught, judges) in enumerate(splits(target, dev, folds, seed)):
        own = np.maximum(folded(judges, folds, seed), 0) if len(dev) else np.full(len(judges), number)
        found.append(Part(taught, judges, own))
    return tuple(found)
