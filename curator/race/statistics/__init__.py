"""What a race's raw predictions say: scores, intervals, the verdict. Pure; a record in, figures out. Scores in points.

**Intervals** are t-intervals over seeds. An arm is compared with the *champion* (the arm ``mix``, else the first
selecting arm) by the differences of runs that share a seed. With m such comparisons the family-wise interval is
Bonferroni's, 1 − 0.05/m each, and it alone decides: *better* or *worse* when it excludes zero, *indistinguishable*
otherwise. Bonferroni rather than Holm because Holm's steps give tests but no simultaneous intervals. Rivals, ablations
and controls answer different questions, so each are a family of their own: to ask for controls makes no rival harder to
beat.

Three answers stand beside each other, and they are answers to three questions:

==================  ===========================  =====================  ========================================
answer              would it be so with …        needs                  where
==================  ===========================  =====================  ========================================
interval            other seeds, these documents  2 seeds, better 5      ``intervals``; decides the verdict
p                   other seeds and documents    2 seeds, better 5      ``intervals.p_value``; the verdict says
                                                                        so where it disagrees with the interval
p by permutation    other documents, these       1 seed, no form of     ``permutation``; in the report's table
                    very models                  distribution
==================  ===========================  =====================  ========================================

**The p-value** has the variance

    sd² / seeds  +  (what all seeds share of the difference when the evaluation documents are resampled)

where the second term is the mean covariance between seeds' differences over a bootstrap of the documents, the same
draw for every run. Resampling seeds within the draw too (the crossed or "pigeonhole" bootstrap) would count the noise
of single predictions three times over (Owen, 2007), and sign flips over 5 seeds cannot go below p = 0.06. It is read
from a t-distribution with Satterthwaite's degrees of freedom, and is at least that of other seeds alone: from 3 seeds
that lie close together by chance Satterthwaite's would be far too sure in the tail that corrected values are read from
(simulated: 5 false in 100 become 20 among 7 comparisons; with the bound, at most 6). So p finds nothing that the
interval does not. Where the interval finds a difference and the corrected
p-value does not, the verdict says so. With 2 or 3 seeds sd itself is nearly unknown: expect wide intervals, and look at
the permutation, which has no sd in it. The bootstrap is our own and not ``scipy.stats.bootstrap``, because the draws
must be the same for every run and its intervals of few seeds are too narrow (percentiles of 5 cover 84 %).

**The detectable effect** is the true difference that the family-wise interval would find in 80 % of such races, from
the noncentral t-distribution, taking the estimated sd for the true one; with 5 seeds that sd is known to about ±35 %.

**Without the contaminated items**: the same figures on the evaluation documents of which there is no copy in the pool
or in the target's file, as ``Results.clean``. Where a finding is another there, the verdict says so.

Correlations are told in points, too: hundredths.
"""

from curator.race.statistics.checks import check
from curator.race.statistics.comparison import RESAMPLES, ArmScore, Comparison, Finding, Results, analyse
from curator.race.statistics.groups import SMALL, Difference, Gap, Group, Grouped, fifths, grouped
from curator.race.statistics.intervals import ERROR, POWER, Interval, detectable, interval
from curator.race.statistics.permutation import permuted
from curator.race.statistics.records import finished, kind_of, own_labels, truth_of, without
from curator.race.statistics.scoring import METRICS, from_counts, score, scores
from curator.race.statistics.side_by_side import Setting, SharedArm, SideBySide, side_by_side, told
from curator.race.statistics.verdict import verdict
from curator.race.statistics.wording import points

__all__ = [
    "ERROR", "METRICS", "POWER", "RESAMPLES", "SMALL", "ArmScore", "Comparison", "Difference", "Finding", "Gap",
    "Group", "Grouped", "Interval", "Results", "Setting", "SharedArm", "SideBySide", "analyse", "check", "detectable",
    "fifths", "finished", "from_counts", "grouped", "interval", "kind_of", "own_labels", "permuted", "points", "score",
    "scores", "side_by_side", "told", "truth_of", "verdict", "without",
]  # fmt: skip
