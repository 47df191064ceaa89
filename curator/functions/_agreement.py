"""How often labels agree, beyond chance."""

import numpy as np
import numpy.typing as npt

from curator.probe import Codes, Floats

Groups = npt.NDArray[np.integer]


def reliability(votes: Floats, labels: Codes, groups: Groups) -> tuple[float | None, ...]:
    """Agreement, chance, κ, its standard error and how many groups it is from. None for what is not known.

    Agreement is the mean share of a document's votes that are for its label; chance is what it would be if the labels
    were dealt out anew among the documents: Σ over labels of its share of the documents times its share of the votes.
    κ is (agreement − chance) / (1 − chance), as Cohen's (1960). Its error takes the documents of a group for one
    observation (Liang and Zeger 1986). There is no κ of one label alone, nor where all documents have the same votes,
    and no error of one group.

    ``votes``: (n, labels), shares that add up to one in a row; ``groups``: (n,) numbers.
    """
    n = len(labels)
    if not n:
        return None, None, None, None, None
    agreement = votes[np.arange(n), labels]
    shares = np.bincount(labels, minlength=votes.shape[1]) / n
    chance = float(shares @ votes.mean(axis=0))
    if shares.max() == 1 or np.ptp(votes, axis=0).max() == 0:
        return float(agreement.mean()), chance, None, None, None
    kappa = (agreement.mean() - chance) / (1 - chance)
    # Each document's part in it: its agreement, less that of its label and of its votes with the others.
    expected = (votes @ shares + votes.mean(axis=0)[labels]) - 2 * chance
    parts = agreement - agreement.mean() - (1 - kappa) * expected
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, parts)
    m = len(sums)
    error = float(np.sqrt(m / (m - 1) * (sums**2).sum()) / n / (1 - chance)) if m > 1 else None
    return float(agreement.mean()), chance, float(kappa), error, float(m)
