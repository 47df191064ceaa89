"""How well the largest probability tells documents of the task from others (Hendrycks and Gimpel 2017)."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from curator.assessment.labelled import Floats
from curator.assessment.resampling import Figure, share
from curator.race.statistics import ERROR

TPR = 0.95  # of the documents of the task that are to be taken for such


@dataclass(frozen=True)
class Detection:
    """In-domain is the positive class; documents with the larger confidence are taken for such."""

    documents: int  # out of the domain
    shared: int  # of these, how many have a text that the others have too; nothing can tell them apart
    auroc: Figure  # with DeLong's interval (1988)
    threshold: float  # the largest confidence that at least a share ``TPR`` of documents in the domain reach
    fpr: Figure  # the share of those out of it that reach it too; Wilson's interval, for that threshold


def detection(inside: Floats, outside: Floats, shared: int = 0) -> Detection:
    """From the confidences of documents in and out of the domain, at least two of each."""
    threshold = float(np.sort(inside)[len(inside) - int(np.ceil(TPR * len(inside)))])
    reached = int((outside >= threshold).sum())
    return Detection(len(outside), shared, auroc(inside, outside), threshold, share(reached, len(outside)))


def auroc(positive: Floats, negative: Floats) -> Figure:
    """The chance that a positive scores above a negative, ties counting half, with DeLong's 95 % interval.

    Its variance is that of the mean over positives of the share of negatives below each, and the other way round.
    """
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    below = (ranks[:m] - rankdata(positive)) / n  # of each positive: the share of negatives below it
    above = 1 - (ranks[m:] - rankdata(negative)) / m  # of each negative: the share of positives above it
    value = float(below.mean())
    half = float(norm.isf(ERROR / 2) * np.sqrt(below.var(ddof=1) / m + above.var(ddof=1) / n))
    return Figure(value, max(0.0, value - half), min(1.0, value + half))
