"""The optimal transport from a target to candidates under a term for diversity: TSDS's KNN-uniform and KNN-KDE."""

import numpy as np
import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.functions._partners import arrow, groups, sides
from curator.functions._results import check_whole_number
from curator.functions._transport import PLAN, Densities, Transport
from curator.relation import Relation
from curator.vectors import Rows

C = 5.0  # the paper's weight of the diversity term; only C (1 − α) / α counts, which α sets


def tsds(
    target: Relation, candidates: Relation, *, alpha: float = 0.5, near_duplicate: float = 0.9, same_label: bool = True,
    support: int = 1, max_pairs: int = 2_000_000_000_000,
) -> pa.Table:  # fmt: skip
    """Whose mass goes where when a target is transported to candidates, near but not all to the same ones.

    After Liu, Karbasi and Rekatsinas, TSDS: Data Selection for Task-Specific Model Finetuning (NeurIPS 2024). Each of
    M target documents i has a mass of 1/M, and the plan γ (M, N) minimises

        α/C Σ γ_ij d_ij + (1 − α) M max ρ_j γ_ij        where γ_ij ≥ 0 and Σ_j γ_ij = 1/M

    over all pairs of a target document and one of N candidates. The maximum is what diversity costs: the paper's term
    M max |ρ_j γ_ij − 1/(M Σ 1/ρ)| is the same but for a constant, unless more than half of Σ 1/ρ is used; beyond, it
    also wants a share for what is not used. ρ_j is how many the candidate stands for: with ``near_duplicate`` = 1 it is
    1 (KNN-uniform), else a density (KNN-KDE), the sum over all candidates, itself among them, of

        max(0, (cosine − near_duplicate) / (1 − near_duplicate))

    which is 1 for a copy and 0 from that cosine down: the paper's kernel 1 − distance²/σ² with σ² = 2 (1 −
    near_duplicate). The distance d is 1 − cosine, half the squared Euclidean one, so that a plan is about the very
    numbers that searches return, over its mean of all pairs, so that α means the same for encoders whose cosines are
    all large. (The paper's is Euclidean and as it is; C = 5 is the paper's.)

    The solution: each target document gives the nearest candidates 1/(M s ρ_j) each and the next what is left, with the
    least s from which the mean over target documents of Σ (d_next − d_j)/ρ_j, what spreading further costs, is at
    least C (1 − α)/α. α = 1 gives everything to the nearest. With ``support``, s is as large, beyond that, as it takes
    for so many candidates to have mass (all, if there are fewer): the solution for a smaller α. With ``same_label``
    each label is a problem of its own, its mass that of its target documents, its support in proportion.

    Returns the plan, a row per pair with mass, by target document and nearest first: ``partner_corpus`` (where the
    relation has it), ``partner_id``, ``corpus``, ``id``, ``similarity`` (the cosine), ``density`` (ρ) and ``mass``. The
    masses sum to 1; the probability of a candidate is the sum of its masses. Exact: lists of the nearest grow until
    the solution does not end in them. The result does not depend on the order of the rows.

    Time: every listed candidate is compared with all for its density. Raises QueryError for missing columns or
    vectors, parameters out of range, more than ``max_pairs`` such comparisons (with an estimate), and lists of over 16
    million pairs. Warns of vectors of zeros, which take no part, and of target documents, left out, that have no
    candidate of their label.
    """
    if not 0 < alpha <= 1:
        raise QueryError(f"tsds: alpha is {alpha}; a number above 0, at most 1, is needed")
    if not 0 <= near_duplicate <= 1:
        raise QueryError(f"tsds: near_duplicate is {near_duplicate}; a cosine, 0 to 1, is needed (1 for none)")
    check_whole_number("tsds", "support", support, least=1)
    left, right = sides("tsds", target, candidates, same_label=same_label)
    parts = groups("tsds", left, right, same_label=same_label)
    total = sum(len(ours) for ours, _ in parts)
    plans = [pl.DataFrame(schema=PLAN)]
    for (ours, theirs), least in zip(parts, _supports(parts, support), strict=True):
        densities = Densities(right.vectors.take(theirs), near_duplicate, max_pairs)
        plan = Transport(left.vectors.take(ours), densities).solved(C * (1 - alpha) / alpha, least)
        shares = plan["mass"] * (len(ours) / total)
        plans.append(
            plan.with_columns(
                pl.Series("partner", ours[plan["partner"]]), pl.Series("row", theirs[plan["row"]]), mass=shares
            )
        )
    plan = pl.concat(plans).sort("partner", maintain_order=True)
    keys = left.columns(plan["partner"].to_numpy(), "partner_"), right.columns(plan["row"].to_numpy())
    return arrow(pl.concat([*keys, plan.drop("partner", "row")], how="horizontal"))


def _supports(parts: list[tuple[Rows, Rows]], support: int) -> list[int]:
    """How many candidates of each label must have mass: in proportion to its mass, as far as it has them."""
    if not parts:
        return []
    shares = np.array([len(ours) for ours, _ in parts]) / sum(len(ours) for ours, _ in parts)
    sizes = np.array([len(theirs) for _, theirs in parts])
    asked, wanted = support, np.zeros(len(parts))
    while (short := min(support, sizes.sum()) - wanted.sum()) > 0:
        asked += int(short) if wanted.any() else 0
        wanted = np.minimum(np.ceil(asked * shares - 1e-9), sizes)
    return [int(number) for number in wanted]
