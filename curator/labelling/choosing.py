"""How documents are chosen by what a probe makes of them: by margin, by gradient (BADGE), or at random.

Nothing here knows of texts. Documents are rows in an order that is their own (that of their keys), and their luck is a
number that comes of the key and the seed, so that a document more or another order changes nothing for the others.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curator.hashing import Hashes, mixed
from curator.probe import Codes, Floats, Probe
from curator.vectors import Rows, Vectors

BLOCK = 16_384  # rows whose probabilities are held at once
ROUNDING = 1e-6  # of |g|² + |g′|²: a squared distance below that is what single precision makes of 0
FIRST = -1  # of ``Choice.nearest``: there was none before it

Residuals = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Guesses:
    """What a probe says of n documents, (n,) each: the two likeliest labels as numbers, and their probabilities."""

    first: Codes
    second: Codes
    probability: Floats
    runner_up: Floats


@dataclass(frozen=True)
class Choice:
    """``rows``: (k,) those chosen, in their order; ``nearest``: (k,) the place among them of the nearest of those
    before, ``FIRST`` where distances do not count; ``distance``: (k,) between the two, NaN there.
    """

    rows: Rows
    nearest: Rows
    distance: Floats


def guesses(probe: Probe, vectors: Vectors) -> Guesses:
    """For (n, d) vectors. Of labels that are equally likely the first counts."""
    n = len(vectors)
    found = Guesses(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n), np.zeros(n))
    for start, block in vectors.blocks(BLOCK):
        probabilities, every = probe.probabilities(block.astype(np.float64)), np.arange(len(block))
        part = slice(start, start + len(block))
        for labels, chances in ((found.first, found.probability), (found.second, found.runner_up)):
            labels[part] = probabilities.argmax(axis=1)
            chances[part] = probabilities[every, labels[part]]
            probabilities[every, labels[part]] = -1  # of those left the next is the likeliest
    return found


def margin(of: Guesses, count: int) -> Choice:
    """Those of which the two likeliest labels are nearest to each other in probability, the nearest first.

    Scheffer, Decomain and Wrobel, Active Hidden Markov Models for Information Extraction (2001); Settles, Active
    Learning Literature Survey (2009), section 3.1. Of equal margins the first row.
    """
    return _apart(np.argsort(of.probability - of.runner_up, kind="stable")[:count])


def at_random(lots: Hashes, count: int) -> Choice:
    """Those with the lowest lots: a sample without replacement, each set of rows as likely as another."""
    return _apart(np.argsort(lots, kind="stable")[:count])


def badge(probe: Probe, vectors: Vectors, of: Guesses, lots: Hashes, count: int) -> Choice:
    """Those whose gradients are large and unlike each other: k-means++ sampling on gradients of the last layer.

    Ash et al., Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds (ICLR 2020). A document's
    gradient, were its likeliest label the true one, is g = (p − e) outer x. As in the authors' code the first chosen
    has the largest |g|, whatever the seed; each further one is drawn with a probability that is proportional to D², its
    squared distance to the nearest that is chosen. Where all that is left has D² = 0, it is drawn evenly.

    No gradient is made: |g|² = |p − e|² |x|², and g · g′ = ((p − e) · (p′ − e′)) (x · x′). Time is that of ``count``
    passes over vectors and residuals; memory is 4 bytes for each document and label, and one block of vectors.
    """
    residuals = _residuals(probe, vectors, of)
    squares = np.einsum("ij,ij->i", residuals, residuals) * _squares(vectors)
    distances, nearest, open_ = np.full(len(squares), np.inf), np.full(len(squares), FIRST), np.ones(len(squares), bool)
    rows, before, apart = [int(squares.argmax())], [FIRST], [np.nan]
    while len(rows) < count:
        newest = rows[-1]
        open_[newest] = False
        to_newest = squares + squares[newest] - 2 * (residuals @ residuals[newest]) * _products(vectors, newest)
        to_newest[to_newest < ROUNDING * (squares + squares[newest])] = 0
        nearer = to_newest < distances
        distances[nearer], nearest[nearer] = to_newest[nearer], len(rows) - 1
        row = _drawn(np.where(open_, distances, -1.0), mixed(lots ^ mixed(np.array([len(rows)], np.uint64))))
        rows.append(row)
        before.append(int(nearest[row]))
        apart.append(float(np.sqrt(distances[row])))
    return Choice(np.array(rows), np.array(before), np.array(apart))


def _apart(rows: Rows) -> Choice:
    """Rows of which none was chosen because of another."""
    return Choice(rows, np.full(len(rows), FIRST), np.full(len(rows), np.nan))


def _residuals(probe: Probe, vectors: Vectors, of: Guesses) -> Residuals:
    """(n, labels) p − e of each document, where e is its likeliest label."""
    found = np.empty((len(vectors), len(probe.weights)), np.float32)
    for start, block in vectors.blocks(BLOCK):
        part = slice(start, start + len(block))
        found[part] = probe.residuals(block.astype(np.float64), of.first[part])
    return found


def _squares(vectors: Vectors) -> Floats:
    """(n,) x · x of each row."""
    return np.concatenate([np.einsum("ij,ij->i", block, block) for _, block in vectors.blocks(BLOCK)]).astype(float)


def _products(vectors: Vectors, row: int) -> Floats:
    """(n,) the inner product of each row with one of them."""
    x = vectors.block(row, row + 1)[0]
    return np.concatenate([block @ x for _, block in vectors.blocks(BLOCK)]).astype(float)


def _drawn(weights: Floats, luck: Hashes) -> int:
    """A row, drawn in proportion to its weight; of weights that are all 0 evenly, and never one below 0.

    Each row's waiting time is exponential with its weight as rate, and the first to come is drawn: its chance is
    exactly its share of the weights.
    """
    rates = weights if (weights > 0).any() else (weights == 0).astype(np.float64)
    waiting = -np.log((luck.astype(np.float64) + 1) / 2.0**64)
    times = np.divide(waiting, rates, out=np.full(len(rates), np.inf), where=rates > 0)
    return int(times.argmin())
