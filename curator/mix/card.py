"""The card of a mix that is exported as a dataset: what the hub reads, what the sources are, how it was made."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from curator.markdown import escape, front_matter, table
from curator.mix.explain import shorten
from curator.mix.strata import label_groups
from curator.mix.summary import told

UNKNOWN = "unknown"
SIZES = (  # the hub's, by powers of ten
    "n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "10B<n<100B",
    "100B<n<1T",
)  # fmt: skip
LICENCES = frozenset((  # the hub's names, but for those of single models
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bigscience-openrail-m", "bsd", "bsd-2-clause", "bsd-3-clause",
    "bsd-3-clause-clear", "bsl-1.0", "c-uda", "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0",
    "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0",
    "cdla-permissive-2.0", "cdla-sharing-1.0", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2",
    "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "lppl-1.3c", "mit", "mpl-2.0", "ms-pl",
    "ncsa", "odbl", "odc-by", "ofl-1.1", "openrail", "osl-3.0", "pddl", "postgresql", "unlicense", "wtfpl", "zlib",
))  # fmt: skip


def card(
    lock: Mapping[str, Any],
    summary: Mapping[str, Any],
    mix: pl.DataFrame,
    licences: Mapping[str, str | None],
    tags: Iterable[str],
) -> str:
    """Markdown with the hub's YAML in front. ``mix`` are the documents, ``licences`` those of each source by its name.

    Whatever a person or a file named is escaped: it renders as itself.
    """
    blocks = [
        _front(lock, mix, licences, tags),
        f"# {escape(lock['name'])}",
        f"{len(mix):,} documents that curator chose from {summary['pool']:,}.",
        "## Sources",
        sources(summary["sources"], mix, licences),
        "## Sources and labels",
        composition(mix),
        "## How it was made",
        stages(lock, summary),
        facts(lock, summary, "lock.json"),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def hub_licence(licence: str | None) -> str:
    """The hub's name for a licence, from its SPDX name or the hub's own; ``other`` for one that it does not have."""
    if licence is None or licence.strip().lower() == UNKNOWN:
        return UNKNOWN
    name = licence.strip().lower().removesuffix("-only").removesuffix("-or-later")
    unnumbered, _, number = name.rpartition("-")
    if name in LICENCES:
        return name
    return unnumbered if unnumbered in {"odbl", "odc-by", "pddl", "gfdl"} and number[:1].isdigit() else "other"


def _front(lock: Mapping[str, Any], mix: pl.DataFrame, licences: Mapping[str, str | None], tags: Iterable[str]) -> str:
    names = hub_licences(mix, licences)
    return front_matter(
        {
            "license": names[0] if len(names) == 1 else names,
            "language": languages(lock),
            "task_categories": ["text-classification"],
            "size_categories": [size_category(len(mix))],
            "tags": ["curator", *sorted(set(tags) - {"curator"})],
            "configs": [{"config_name": "default", "data_files": "*.arrow"}],
        }
    )


def hub_licences(mix: pl.DataFrame, licences: Mapping[str, str | None]) -> list[str]:
    """The hub's names for the licences of the sources that a mix has documents of."""
    return sorted({hub_licence(licences.get(name)) for name in mix["corpus"].unique()})


def size_category(documents: int) -> str:
    """The hub's name for how many documents there are."""
    return next((name for power, name in enumerate(SIZES) if documents < 1000 * 10**power), "n>1T")


def languages(lock: Mapping[str, Any]) -> list[str]:
    """The languages that a stage kept to; none where no stage looked."""
    kept = [stage["parameters"]["keep"] for stage in lock["stages"] if stage["name"].partition("_")[0] == "language"]
    return sorted({code.strip() for code in kept[-1].split(",")} - {""}) if kept else []


def sources(rows: Sequence[Mapping[str, Any]], mix: pl.DataFrame, licences: Mapping[str, str | None]) -> str:
    """A table of a summary's sources, those of the pool: licence, origin, and how many documents of each are here."""
    counts = dict(mix.group_by("corpus").len().iter_rows())
    head = ["Source", "Licence", "Read from", "Version", "Documents here", "Of the pool's"]
    cells = [
        [
            source["name"],
            licences.get(source["name"]) or UNKNOWN,
            source["origin"],
            source["version"],
            f"{counts.get(source['name'], 0):,}",
            f"{source['documents']:,}",
        ]
        for source in rows
        if source["role"] == "pool"
    ]
    return table(head, cells, text=(0, 1, 2, 3))


def composition(mix: pl.DataFrame) -> str:
    """A table of how many documents of each source and label there are."""
    counts = (
        mix.with_columns(label_groups(mix["label"]))
        .group_by("source", "label")
        .len()
        .sort("source", "label", nulls_last=True)
    )
    rows = [["" if name is None else name for name in row[:2]] + [f"{row[2]:,}"] for row in counts.iter_rows()]
    return table(["Source", "Label", "Documents"], rows, text=(0, 1))


def stages(lock: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """A table of the stages: their parameters, what they saw and what they kept."""
    parameters = {stage["name"]: stage["parameters"] for stage in lock["stages"]}
    rows = [
        [
            row["stage"],
            ", ".join(
                f"{name} = {shorten(repr(value), 60)}" for name, value in parameters.get(row["stage"], {}).items()
            ),
            f"{row['seen']:,}",
            f"{row['kept']:,}",
        ]
        for row in summary["funnel"]
    ]
    return table(["Stage", "With", "Saw", "Kept"], rows, text=(0, 1))


def facts(lock: Mapping[str, Any], summary: Mapping[str, Any], lockfile: str) -> str:
    """A list of what else there is to know; ``lockfile`` is the name under which that lies beside the card."""
    target = next(source for source in summary["sources"] if source["role"] == "target")
    lines = [
        f"The task: {target['documents']:,} examples of {target['name']} ({target['origin']}, version "
        f"{target['version']}); labels: {', '.join(lock['labels']) or 'numbers'}"
        f"{', any number of them a document' if lock['recipe']['task'].get('kind') == 'multi' else ''}",
        f"Seed {lock['seed']}; made {lock['created']} by curator {lock['versions'].get('curator', UNKNOWN)}",
        f"Vectors of the encoder {lock['encoder']}",
        *_replay(lock),
        f"SHA-256 of the documents' keys, labels and weights: {lock['ids_sha256']}",
        *told(dict(summary)),
        *summary["warnings"],
        f"{lockfile} says all of it: the recipe, the SQL of each stage, the versions of sources and libraries",
    ]
    return "\n".join(f"- {escape(fact)}." for fact in lines)


def _replay(lock: Mapping[str, Any]) -> list[str]:
    """Which mix is replayed where this one is trained on, if any is."""
    if (mix := lock.get("replay")) is None:
        return []
    return [
        f"Made to be learned by a model of an earlier task: test and dev documents of the mix {mix['mix']}, version "
        f"{mix['version']}, were kept out, too"
    ]
