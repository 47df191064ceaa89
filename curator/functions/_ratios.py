"""Ratios between groups of documents: how they are drawn, and how many documents of each group they come to."""

import hashlib
from collections.abc import Sequence

import numpy as np
from scipy.special import gammaincinv

from curator.probe import Codes, Floats

STRENGTHS = np.geomspace(0.1, 5.0, 15)  # of the Dirichlet distributions, as in RegMix: from nearly one group to mixed
LEAST = 1e-100  # where a draw underflows


def poured(rooms: Floats, pulls: Floats) -> Floats:
    """(n, groups) shares that sum to one: of (n, groups) pulls, times a level of each row, and at most (groups,) rooms.

    Where the rooms of all that a row pulls add up to less than one, they are full, and so much is its sum. A row needs
    a pull above 0.
    """
    pulls = pulls / pulls.max(axis=1, keepdims=True)
    full = np.zeros(pulls.shape, bool)
    for _ in range(pulls.shape[1]):
        left = 1 - np.where(full, rooms, 0).sum(axis=1, keepdims=True)
        pulling = np.where(full, 0, pulls)
        total = pulling.sum(axis=1, keepdims=True)
        level = np.divide(left, total, out=np.zeros_like(left), where=total > 0)
        over = ~full & (pulls > 0) & (level * pulls >= rooms)
        if not over.any():
            break
        full |= over
    shares: Floats = np.where(full, rooms, level * pulls)
    return shares


def whole(shares: Floats, total: int) -> Codes:
    """(groups,) whole numbers that add up to the total, by largest remainder; of equal ones the first gets it.

    The shares sum to one.
    """
    exact = np.round(shares * total, 6)
    counts = np.floor(exact).astype(np.int64)
    rest = np.round(counts - exact, 6)
    counts[np.argsort(rest, kind="stable")[: total - counts.sum()]] += 1
    return counts


def trial_pulls(names: Sequence[str], sizes: Floats, trials: int, seed: int) -> Floats:
    """(trials, groups) pulls, each drawn by nothing but the seed, the trial and the group's own name and size.

    A pull is a draw of the gamma distribution times the root of the size, so the shares of a trial are a Dirichlet
    draw, scaled; in half of the trials a group is left out. Those that leave out a new group are then the trials that
    there were without it, to the last digit.
    """
    strengths = STRENGTHS[np.arange(trials) % len(STRENGTHS)]
    draws = np.array([[_drawn(f"mixture {seed}:{trial}:{name}") for name in names] for trial in range(trials)])
    uniform, lot = (draws[:, :, 0] + 0.5) / 2.0**64, draws[:, :, 1]
    out = lot < 2.0**63
    out[np.arange(trials), lot.argmax(axis=1)] = False  # one is always there
    pulls = np.maximum(gammaincinv(strengths[:, None], uniform) / strengths[:, None], LEAST) * np.sqrt(sizes)
    return np.where(out, 0, pulls)


def simulated(sizes: Floats, count: int, seed: int) -> Floats:
    """(count, groups) pulls of the same distribution, more of them and faster.

    A group that is left out gets something where the others have too little room.
    """
    rng = np.random.default_rng(seed)
    strengths = STRENGTHS[np.arange(count) % len(STRENGTHS)]
    pulls = np.maximum(rng.standard_gamma(strengths[:, None], (count, len(sizes))) / strengths[:, None], LEAST)
    lot = rng.random((count, len(sizes)))
    out = lot < 0.5
    out[np.arange(count), lot.argmax(axis=1)] = False
    return np.where(out, LEAST, pulls) * np.sqrt(sizes)


def divergence(ratios: Floats, prior: Floats) -> Floats:
    """(n,) nats, the Kullback-Leibler divergence of (n, groups) ratios from a prior that has something of each."""
    found: Floats = np.sum(ratios * np.log(np.where(ratios > 0, ratios / prior, 1)), axis=1)
    return found


def _drawn(name: str) -> tuple[float, float]:
    digest = hashlib.md5(name.encode(), usedforsecurity=False).digest()
    return float(int.from_bytes(digest[:8], "big")), float(int.from_bytes(digest[8:], "big"))
