"""Ratios between groups of candidates, each judged by a probe that is trained on documents in that ratio."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from curator import probe
from curator.functions._documents import Documents
from curator.functions._labelled import folded, splits
from curator.functions._ratios import poured, trial_pulls, whole
from curator.probe import Codes, Floats
from curator.trials import Judged, Trials
from curator.vectors import Matrix, Rows

VERSION = 1  # of what a probe of a ratio is: another gives other losses for the same documents
DIGITS = 5  # how exactly the optimum of a probe is known


@dataclass(frozen=True)
class Panel:
    """Who teaches beside the candidates, and who judges: probes of several parts of the target, or one and dev.

    ``taught``: the target; ``teaches``: (probes, n) whether a document of it teaches that probe; ``judges``: those of
    all probes, one after the other; ``judged_by``: (judges,) by which; ``folds``: (judges,) what is left out at once.
    """

    taught: Documents
    teaches: npt.NDArray[np.bool_]
    judges: Documents
    judged_by: Rows
    folds: Rows

    @classmethod
    def of(cls, target: Documents, dev: Documents, folds: int, seed: int) -> Self:
        """Without dev a fold is a part of the target; the folds of dev are drawn as those would be."""
        parts = splits(target, dev, folds, seed)
        teaches = np.array([np.isin(target.rows, taught.rows) for taught, _ in parts]).reshape(len(parts), len(target))
        whole = dev if len(dev) else target
        rows = np.concatenate([np.empty(0, np.int64), *(judges.rows for _, judges in parts)])
        place = np.empty(whole.rows.max(initial=0) + 1, np.int64)
        place[whole.rows] = np.arange(len(whole))
        by = np.repeat(np.arange(len(parts)), [len(judges) for _, judges in parts])
        judges = whole.take(place[rows])
        return cls(target, teaches, judges, by, np.maximum(folded(judges, folds, seed), 0) if len(dev) else by)

    def only(self, fold: int) -> "Panel":
        """Those who judge in a fold, with their probe."""
        judges = np.flatnonzero(self.folds == fold)
        probes = np.unique(self.judged_by[judges])
        by = np.searchsorted(probes, self.judged_by[judges])
        return Panel(self.taught, self.teaches[probes], self.judges.take(judges), by, self.folds[judges])

    def digest(self, names: list[str], c: float) -> str:
        """Of all that decides what its probes say but the candidates that they are trained on."""
        found = hashlib.sha256(repr((VERSION, names, c)).encode())
        for side in (self.taught, self.judges):
            found.update(side.vectors.matrix().astype("<f4").tobytes())
            found.update(side.codes(names).astype("<i8").tobytes())
        found.update(self.teaches.tobytes())
        found.update(self.judged_by.astype("<i8").tobytes())
        return found.hexdigest()


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
    panel: Panel
    memory: Trials

    @property
    def prior(self) -> Floats:
        """(groups,) the shares of a draw that takes no notice of the groups."""
        found: Floats = poured(self.rooms, self.sizes[None])[0]
        return found

    @cached_property
    def digest(self) -> str:
        """Of all that decides what a ratio's probes say but the candidates."""
        return self.panel.digest(self.names, self.c)

    def ratios(self, trials: int) -> Floats:
        """(n, groups) what is tried: the prior, and draws around it, each once."""
        pulls = np.vstack([self.sizes, trial_pulls(self.group_names, self.sizes, trials - 1, self.seed)])
        counts = np.array([self.counts(ratio) for ratio in poured(self.rooms, pulls)])
        shares: Floats = counts / self.sample
        _, first = np.unique(shares, axis=0, return_index=True)
        return shares[np.sort(first)]

    def counts(self, ratio: Floats) -> Codes:
        """(groups,) documents that a probe is trained on: fewer where the groups of the ratio have no more."""
        return whole(ratio / ratio.sum(), round(self.sample * ratio.sum()))

    def judged(self, ratio: Floats, draw: str, panel: Panel | None = None) -> Judged:
        """What the probes of a ratio say, for one draw of documents. Trained once for the same documents.

        ``panel``: its own, or a part of it.
        """
        panel = panel or self.panel
        chosen, weights = self._chosen(self.counts(ratio), draw)
        vectors, labels = self.among.vectors.take(chosen).matrix(), self._codes[chosen]
        key = hashlib.sha256(panel.digest(self.names, self.c).encode())
        for array in (vectors.astype("<f4"), labels.astype("<i8"), weights.astype("<f8")):
            key.update(array.tobytes())
        known = self.memory.get(self.digest, key.hexdigest())
        if known is None:
            known = _judged(panel, vectors, labels, weights, self.names, self.c)
            self.memory.put(self.digest, key.hexdigest(), known)
        return known

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


def _judged(panel: Panel, vectors: Matrix, labels: Codes, weights: Floats, names: list[str], c: float) -> Judged:
    """Of probes that are trained on some candidates and on the target, each side with half of the loss."""
    shares = np.array([probe.shares_of(teaches.astype(float), weights) for teaches in panel.teaches]).T
    rows = np.concatenate([panel.taught.vectors.matrix(), vectors])
    probes = probe.fit_many(rows, np.concatenate([panel.taught.codes(names), labels]), shares, len(names), c=c)
    judges, truth = panel.judges.vectors.matrix(), panel.judges.codes(names)
    told = np.empty((len(truth), len(names)))
    for number, fitted in enumerate(probes):
        told[panel.judged_by == number] = fitted.log_probabilities(judges[panel.judged_by == number])
    return Judged(np.round(-told[np.arange(len(truth)), truth], DIGITS), told.argmax(axis=1))
