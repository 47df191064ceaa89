"""Which rows sit in which batch: decided by the seed alone, before any model is seen."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from curator.errors import UsageError


@dataclass(frozen=True)
class Batch:
    """The row numbers of one step, each side counted from 0."""

    target: list[int]
    selected: list[int]
    auxiliary: list[int] = field(default_factory=list)


def rows_per_side(batch_size: int, lambdas: tuple[float, float], sure: float = 1.0) -> tuple[int, int]:
    """How many (target, selected) rows a batch holds under the first and the last λ; they sum to ``batch_size``.

    The target's share of the rows follows its share of the loss, −λ of −λ + (1+λ)·``sure`` where the selected side's
    loss counts ``sure``, in the mean of the two (at a λ above 0 it is half), but no side that counts at either end is
    left without a row. The loss does not depend on these counts (each side enters by its mean); they set how noisy each
    mean is.
    """
    if lambdas == (-1, -1):
        return batch_size, 0
    if lambdas == (0, 0):
        return 0, batch_size
    shares = [0.5 if lambda_ > 0 else -lambda_ / (-lambda_ + (1 + lambda_) * sure) for lambda_ in lambdas]
    target = min(max(int(batch_size * sum(shares) / 2 + 0.5), 1), batch_size - 1)
    return target, batch_size - target


def rows_per_batch(
    batch_size: int, lambdas: tuple[float, float], share: float, sure: float = 1.0
) -> tuple[int, int, int]:
    """How many (target, selected, auxiliary) rows a batch holds: those of other tasks, or replayed, by their ``share``
    of the loss.

    Raises UsageError where a side that counts would be left without a row.
    """
    sides = 2 - (lambdas in ((-1, -1), (0, 0)))
    auxiliary = max(1, int(batch_size * share + 0.5)) if share else 0
    if batch_size - auxiliary < sides:
        auxiliary = batch_size - sides
    if share and auxiliary < 1:
        raise UsageError(f"batch_size = {batch_size} has no room for {sides + 1} kinds of documents; raise it")
    return *rows_per_side(batch_size - auxiliary, lambdas, sure), auxiliary


def shuffled_epochs(count: int, seed: list[int]) -> Iterator[int]:
    """0 … count−1 in a new random order each time round, for ever; no row comes back before its epoch is over."""
    rng = np.random.default_rng(seed)
    while count:
        yield from rng.permutation(count).tolist()


def draw_batches(
    target: int, selected: int, auxiliary: int = 0, *, per_batch: tuple[int, ...], seed: int
) -> Iterator[Batch]:
    """Endless batches of ``per_batch`` (target, selected, auxiliary) rows out of so many of each.

    The sides have random streams of their own, so the target is drawn alike whatever it is paired with.
    """
    streams = [shuffled_epochs(count, [seed, side]) for side, count in enumerate((target, selected, auxiliary))]
    while True:
        yield Batch(*(list(islice(stream, rows)) for stream, rows in zip(streams, per_batch, strict=False)))
