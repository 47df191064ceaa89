"""Estimates for several sources, drawn towards their mean as far as they differ no more than chance would have them."""

import numpy as np

from curator.probe import Floats

NORMAL_95 = 1.959963984540054


def shrunk(values: Floats, errors: Floats) -> tuple[Floats, Floats]:
    """(n,) posterior means and standard deviations of n values with standard errors: a normal model, empirical Bayes.

    The sources' true values have the mean of the values, and the variance that the errors do not account for: the
    variance of the values less the mean square error, at least 0 (Efron and Morris, JASA 1975, by moments). The
    deviation counts that the mean is an estimate, not that this variance is one. One value alone stays as it is.
    """
    if len(values) < 2:
        return values.copy(), errors.copy()
    mean, between = values.mean(), max(0.0, values.var(ddof=1) - np.mean(errors**2))
    total = between + errors**2
    share = np.divide(between, total, out=np.full(len(values), float(between > 0)), where=total > 0)
    of_mean = total.sum() / len(values) ** 2
    return mean + share * (values - mean), np.sqrt(share * errors**2 + (1 - share) ** 2 * of_mean)
