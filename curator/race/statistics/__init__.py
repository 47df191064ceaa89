"""What a race's raw predictions say: scores, intervals, the verdict. Pure; a record in, figures out. Scores in points.

**Intervals** are t-intervals over seeds. An arm is compared with the *champion* (the arm ``mix``, else the first
selecting arm) by the differences of runs that share a seed. With m such comparisons the family-wise interval is
Bonferroni's, 1 − 0.05/m each, and it alone decides: *better* or *worse* when it excludes zero, *indistinguishable*
otherwise. Bonferroni rather than Holm because Holm's steps give tests but no simultaneous intervals.

These intervals hold for the evaluation documents of the race: they ask what other seeds would have done.
**The p-value** asks about other seeds and other documents together. Its variance is

    sd² / seeds  +  (what all seeds share of the difference when the evaluation documents are resampled)

where the second term is the mean covariance between seeds' differences over a bootstrap of the documents, the same
draw for every run. Resampling seeds within the draw too (the crossed or "pigeonhole" bootstrap) would count the noise
of single predictions three times over (Owen, 2007), and sign flips over 5 seeds cannot go below p = 0.06. It is read
from a t-distribution with Satterthwaite's degrees of freedom. Where the interval finds a difference and the corrected
p-value does not, the verdict says so. With 2 or 3 seeds sd itself is nearly unknown: expect wide intervals.

**The detectable effect** is the true difference that the family-wise interval would find in 80 % of such races, from
the noncentral t-distribution, taking the estimated sd for the true one; with 5 seeds that sd is known to about ±35 %.

Correlations are told in points, too: hundredths.
"""

from curator.race.statistics.checks import check
from curator.race.statistics.comparison import RESAMPLES, ArmScore, Comparison, Finding, Results, analyse
from curator.race.statistics.intervals import ERROR, POWER, Interval, detectable, interval
from curator.race.statistics.records import finished, kind_of, own_labels, truth_of
from curator.race.statistics.scoring import METRICS, from_counts, score
from curator.race.statistics.verdict import verdict
from curator.race.statistics.wording import points

__all__ = [
    "ERROR", "METRICS", "POWER", "RESAMPLES", "ArmScore", "Comparison", "Finding", "Interval", "Results", "analyse",
    "check", "detectable", "finished", "from_counts", "interval", "kind_of", "own_labels", "points", "score",
    "truth_of", "verdict",
]  # fmt: skip
