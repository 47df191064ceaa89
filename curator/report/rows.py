"""The verdict table as plain rows, for the terminal and for ``--json``."""

from typing import Any

from curator.race.statistics import Results, analyse


def table(record: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per arm, champion first: ``arm, seeds, documents, mean, low, high, difference, difference_low,
    difference_high, verdict, mean_clean``.

    ``low`` and ``high`` bound the arm's 95 % t-interval, the difference is champion − arm with its family-wise one.
    ``mean_clean`` is the mean without the contaminated evaluation documents, None where there are none. Figures in
    points, unrounded, None where there is none; ``documents`` is the mean over runs. Raises DataError.
    """
    return rows(analyse(record))


def rows(results: Results) -> list[dict[str, Any]]:
    """The rows of an analysis already made."""
    compared = {comparison.arm: comparison for comparison in results.comparisons}
    clean = {arm.name: arm.mean for arm in results.clean.arms} if results.clean else {}
    out = []
    for arm in results.arms:
        comparison = compared.get(arm.name)
        family = comparison.family if comparison else None
        out.append(
            {
                "arm": arm.name,
                "seeds": len(arm.seeds),
                "documents": round(sum(arm.documents) / len(arm.documents)) if arm.documents else None,
                "mean": arm.mean,
                "low": arm.interval.low if arm.interval else None,
                "high": arm.interval.high if arm.interval else None,
                "difference": comparison.difference if comparison else None,
                "difference_low": family.low if family else None,
                "difference_high": family.high if family else None,
                "verdict": comparison.finding if comparison else None,
                "mean_clean": clean.get(arm.name),
            }
        )
    return out
