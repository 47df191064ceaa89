"""What a mix looks like in figures: the funnel, its composition, the scores, examples. Derived from its ledger."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from curator.certificates import Certificate
from curator.documents import told_label
from curator.mix.affected import standing_out
from curator.mix.explain import sentence
from curator.mix.strata import label_groups

EXAMPLES = 4  # kept, and as many dropped of each stage
BINS = 24
QUOTAS = 5  # told of those that could not be met
CHANGES = {
    "added": "in, which it left out",
    "removed": "out, which it had",
    "label": "with another label",
    "text": "with another text",
}
LAYERS = ("text", "run", "cosine", "words")  # of decontamination, as its reasons name them


def told(summary: dict[str, Any]) -> list[str]:
    """How the stages decided, in sentences: leaks, cosines that came of a rate, what dsir gained, an index lost."""
    certificates = [str(Certificate(**row)) for row in summary.get("certificates", ())]
    parts = (_reused, _leaks, _rates, _reductions, _votes, _mixtures, _quotas)
    return [line for part in parts for line in part(summary)] + certificates


def _reused(summary: dict[str, Any]) -> list[str]:
    """How many verdicts are those of a stored mix, and what became of its documents."""
    reused = summary.get("reused")
    if not reused:
        return []
    stages = ", ".join(
        f"{row['stage']} {row['taken']:,}" + (f" ({row['judged']:,} more were judged)" if row["judged"] else "")
        for row in reused["stages"]
    )
    counts = {change: [row for row in reused["changes"] if row["change"] == change] for change in CHANGES}
    moved = [_moved(change, rows) for change, rows in counts.items() if rows]
    return [
        f"verdicts taken from {reused['mix']}: {stages}",
        f"against {reused['mix']}: {'; '.join(moved) or 'the same documents'}",
    ]


def _moved(change: str, rows: list[dict[str, Any]]) -> str:
    """How many documents there are of a change, and of which stages."""
    stages = ", ".join(f"{row['stage']} {row['documents']:,}" for row in rows if row["stage"])
    return f"{sum(row['documents'] for row in rows):,} {CHANGES[change]}" + (f": {stages}" if stages else "")


def _quotas(summary: dict[str, Any]) -> list[str]:
    """Of each stage the first quotas that could not be met."""
    found: dict[str, list[str]] = {}
    for row in summary.get("quotas", ()):
        found.setdefault(row["stage"], []).append(row["reason"])
    more = {stage: f", and {len(said) - QUOTAS:,} more" if len(said) > QUOTAS else "" for stage, said in found.items()}
    return [f"{stage}: {'; '.join(said[:QUOTAS])}{more[stage]}" for stage, said in found.items()]


def _leaks(summary: dict[str, Any]) -> list[str]:
    coverage = summary.get("coverage")
    if not coverage:
        return []
    rows = summary["decontamination"]
    found = ", ".join(f"{sum(row[layer] for row in rows):,} by {layer}" for layer in LAYERS)
    shares = ", ".join(f"{row['checked'] / row['documents']:.1%} by {row['layer']}" for row in coverage)
    return [
        f"decontaminate: {sum(row['documents'] for row in rows):,} documents kept out ({found}); of the "
        f"{coverage[0]['documents']:,} test documents it could look for {shares}"
    ]


def _rates(summary: dict[str, Any]) -> list[str]:
    return [
        f"{row['stage']}: {row['parameter']} = {row['cosine']:.4f} ({row['low']:.4f} to {row['high']:.4f}), which a "
        f"share of {row['fpr']:g} of {row['pairs']:,} random pairs of {row['left']} and {row['right']} reaches"
        for row in summary.get("calibrated", ())
    ]


def _votes(summary: dict[str, Any]) -> list[str]:
    """How many labels are by vote, and how many of them are likely to be wrong."""
    lines = []
    for row in summary.get("votes", ()):
        line = f"{row['stage']}: {row['voted']:,} labels by vote"
        if row["low"] is not None:
            rate = f"{row['wrong'] / row['given']:.0%}, 95 % interval {row['low']:.0%} to {row['high']:.0%}"
            line += f"; of {row['dev']:,} dev documents {row['given']:,} would get one, "
            line += f"and {row['wrong']:,} of them a wrong one ({rate})"
        else:
            line += ", and no dev document to tell how many are wrong"
        lines.append(line)
    return lines


def _reductions(summary: dict[str, Any]) -> list[str]:
    return [
        f"{row['stage']}: the divergence of the target{'' if row['target'] is None else ' ' + row['target']} from the "
        f"documents fell by {row['reduction']:.3f} nats, from {row['kl_pool']:.3f} to {row['kl_selected']:.3f}; at "
        f"random it would have been {row['random_reduction']:.3f}"
        for row in summary.get("reductions", ())
    ]


def _mixtures(summary: dict[str, Any]) -> list[str]:
    """Of each search for a ratio what it found, and whether that was believed."""
    return [
        f"{row['stage']}: {row['told']}; found by {len(row['trials'])} trials: "
        + ", ".join(
            f"{group} {found:.1%} ({prior:.1%})"
            for group, found, prior in zip(row["groups"], row["found"], row["prior"], strict=True)
        )
        for row in summary.get("mixtures", ())
    ]


def summarise(
    ledger: pl.DataFrame,
    pool: pl.DataFrame,
    mix: pl.DataFrame,
    texts: dict[tuple[str, str], str],
    seconds: dict[str, float],
    parameters: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """The figures of a mix.

    ``pool`` and ``mix`` are frames of documents; ``texts`` those of possible partners; ``parameters`` those of each
    stage. Documents of several labels are counted by the whole set, and those of a number by bins of the pool's.
    """
    groups = pool.with_columns(label_groups(pool["label"]))
    mix = mix.with_columns(label_groups(mix["label"], among=pool["label"]))
    return {
        "pool": len(pool),
        "documents": len(mix),
        "funnel": _funnel(ledger, seconds),
        "composition": _composition(groups, mix),
        "distributions": _distributions(ledger),
        "examples": _examples(ledger, pool, texts, parameters),
        "decontamination": _decontamination(ledger, pool),
        "affected": standing_out(ledger, groups),
        "quotas": _unmet(ledger),
    }


def _funnel(ledger: pl.DataFrame, seconds: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    for (position, stage), part in sorted(ledger.group_by("position", "stage")):
        kept = int(part["keep"].sum())
        rules = part.group_by("rule", "keep").len("documents").sort("documents", "rule", "keep", descending=True)
        rows.append(
            {
                "stage": stage,
                "position": position,
                "seen": len(part),
                "kept": kept,
                "dropped": len(part) - kept,
                "seconds": round(seconds.get(str(stage), 0.0), 3),
                "rules": rules.drop_nulls("rule").to_dicts(),
            }
        )
    return rows


def _composition(pool: pl.DataFrame, mix: pl.DataFrame) -> list[dict[str, Any]]:
    # Unlabelled documents are one row per corpus: their sources may be many, and none of them can be chosen.
    source = pl.when(pl.col("label").is_null()).then("corpus").otherwise("source").alias("source")
    chosen = mix.group_by(source, "label").len("documents")
    there = pool.group_by(source, "label").len("of")
    both = chosen.join(there, on=["source", "label"], how="full", coalesce=True, nulls_equal=True)
    return both.with_columns(pl.col("documents", "of").fill_null(0)).sort("source", "label", nulls_last=True).to_dicts()


def _distributions(ledger: pl.DataFrame) -> list[dict[str, Any]]:
    """Histograms of each stage's scores, kept and dropped apart. A threshold is shown where all rows share it."""
    result = []
    for (_, stage), part in sorted(ledger.filter(pl.col("score").is_finite()).group_by("position", "stage")):
        scores, keep = part["score"].to_numpy(), part["keep"].to_numpy()
        if len(np.unique(scores)) < 3:
            continue
        edges = np.histogram_bin_edges(scores, bins=BINS)
        kept, dropped = np.histogram(scores[keep], edges)[0], np.histogram(scores[~keep], edges)[0]
        thresholds = part.filter(pl.col("rank").is_null())["threshold"].drop_nulls().unique()
        bins = [
            {"low": float(low), "high": float(high), "kept": int(k), "dropped": int(d)}
            for low, high, k, d in zip(edges[:-1], edges[1:], kept, dropped, strict=True)
        ]
        threshold = float(thresholds[0]) if len(thresholds) == 1 else None
        result.append({"stage": stage, "threshold": threshold, "bins": bins})
    return result


def _examples(
    ledger: pl.DataFrame,
    pool: pl.DataFrame,
    texts: dict[tuple[str, str], str],
    parameters: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """A few documents of each fate, spread evenly over the pool, each with its reason in words."""
    deciding = ledger.filter("deciding").join(
        pool.select("corpus", "id", "text", pl.col("label").alias("own_label")),
        on=["corpus", "id"],
        how="left",
        maintain_order="left",
    )
    result = []
    for (_, _, _), part in sorted(
        deciding.group_by("position", "stage", "keep", maintain_order=True),
        key=lambda item: (not item[0][2], item[0][0]),
    ):
        spread = np.unique(np.linspace(0, len(part) - 1, EXAMPLES).astype(int))
        for row in part[spread].iter_rows(named=True):
            partner = texts.get((row["partner_corpus"], row["partner_id"]))
            result.append(
                {
                    "corpus": row["corpus"],
                    "id": row["id"],
                    "text": row["text"],
                    "label": told_label(row["own_label"] if row["label"] is None else row["label"]),
                    "keep": row["keep"],
                    "stage": row["stage"],
                    "rule": row["rule"],
                    "score": row["score"],
                    "threshold": row["threshold"],
                    "partner_corpus": row["partner_corpus"],
                    "partner_id": row["partner_id"],
                    "partner_text": partner,
                    "sentence": sentence(row, partner, parameters.get(row["stage"], {})),
                }
            )
    return result


def _unmet(ledger: pl.DataFrame) -> list[dict[str, Any]]:
    """What the stage ``ratio`` says of quotas and budgets that could not be met."""
    said = ledger.filter(pl.col("stage").str.contains(r"^ratio(_\d+)?$")).select("stage", "reason").drop_nulls()
    parts = said.unique().with_columns(pl.col("reason").str.split("; ")).explode("reason")
    return parts.unique().sort("stage", "reason").to_dicts()


def _decontamination(ledger: pl.DataFrame, pool: pl.DataFrame) -> list[dict[str, Any]]:
    """Documents kept out because they are in the test set: for each source how many, and how many each layer found."""
    dropped = ledger.filter((pl.col("stage") == "decontaminate") & ~pl.col("keep"))
    named = dropped.join(pool.select("corpus", "id", "source"), on=["corpus", "id"], how="left")
    layers = named["reason"].str.strip_prefix("found by ").str.split(", ")
    hits = [layers.list.contains(layer).fill_null(value=False).alias(layer) for layer in LAYERS]
    counts = named.with_columns(hits).group_by("source").agg(pl.len().alias("documents"), pl.col(LAYERS).sum())
    return counts.sort("source").to_dicts()
