"""The part of the page that holds every setting, version, source, run and time, folded away."""

from collections.abc import Iterator
from typing import Any

from curator.race.statistics import METRICS, Results, kind_of, points
from curator.recipe import METRICS as BY_KIND
from curator.report.elements import Column, Markup, details, facts, muted, section, table, tag
from curator.report.figures import commit, count, duration, moment, number, plain
from curator.report.material import Material


def everything(material: Material) -> Markup:
    """What is needed to run the race again, and every run as it was."""
    record, results, mix = material.record, material.results, material.mix
    return section(
        "settings",
        "Settings, versions and times",
        tag("p", "The command that made this record:"),
        tag("pre", tag("code", record["command"])),
        details("Runs", _runs(record, results)),
        details("Recipe", _recipe(record["recipe"])),
        details("Sources", _sources(mix["sources"])) if mix and mix["sources"] else None,
        details("Machine and versions", _machine(record)),
    )


def flat(settings: Any, name: str = "") -> Iterator[tuple[str, object]]:
    """Nested settings as dotted names and values, in their order."""
    if isinstance(settings, dict) and settings:
        for key, value in settings.items():
            yield from flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(settings, list) and any(isinstance(item, dict) for item in settings):
        for i, item in enumerate(settings, 1):
            yield from flat(item, f"{name}[{i}]")
    else:
        yield name, "none" if settings in ({}, []) else plain(settings)


def _runs(record: dict[str, Any], results: Results) -> Markup:
    scores = {
        (arm.name, seed): score for arm in results.arms for seed, score in zip(arm.seeds, arm.scores, strict=True)
    }
    main = BY_KIND[kind_of(record)][0]  # what dev chooses the weights by
    titles = (
        "Seed",
        "Score",
        f"Dev {METRICS[main]}",
        "ROC-AUC",
        "Documents",
        "Steps",
        "Best step",
        "Training",
        "Selection",
    )
    columns = [Column("Arm"), *(Column(title, True) for title in titles), Column("Error")]
    rows = []
    for run in record["runs"]:
        dev, area = run["dev"], run["roc_auc"]
        rows.append(
            [
                run["arm"],
                run["seed"],
                points(scores.get((run["arm"], run["seed"]))),
                "–" if dev is None else points(100 * dev[main]),
                "–" if area is None else f"{area:.3f}",
                count(run["documents"]),
                count(run["steps"]),
                count(run["best_step"]),
                duration(run["seconds"]),
                _selection(run),
                "" if run["error"] is None else run["error"],
            ]
        )
    classes = ["failed" if run["error"] is not None else None for run in record["runs"]]
    return table("Every run; scores in points", columns, rows, classes, name="runs")


def _selection(run: dict[str, Any]) -> str:
    """The seconds of choosing, and how many verdicts were taken from a stored mix, whose time is not in them."""
    reused = run.get("reused_verdicts")
    return duration(run["selection_seconds"]) + (f" and {count(reused)} verdicts reused" if reused else "")


def _recipe(recipe: dict[str, Any]) -> Markup:
    rows = [[tag("code", name), tag("code", value)] for name, value in flat(recipe)]
    return table("Every setting of the recipe", [Column("Setting"), Column("Value")], rows)


def _sources(sources: list[dict[str, Any]]) -> Markup:
    titles = ("Documents", "Rejects", "Truncated")
    columns = [Column("Corpus"), Column("Role"), *(Column(title, True) for title in titles), Column("Origin")]
    rows = [
        [
            s["corpus"],
            s["role"],
            *(count(s[key]) for key in ("documents", "rejects", "truncated")),
            tag("code", s["origin"]),
        ]
        for s in sources
    ]
    return table("Corpora, with lines rejected and texts truncated", columns, rows, name="sources")


def _machine(record: dict[str, Any]) -> Markup:
    environment = record["environment"]
    pairs: list[tuple[str, object]] = [
        ("Started", moment(record["started"])),
        ("Took", tag("span", duration(record["seconds"]), muted(f" ({number(record['seconds'])} s)"))),
        ("Commit", commit(record)),
        ("Platform", environment["platform"]),
        ("Processor", f"{environment['processor']}, {environment['cores']} cores"),
        ("Device", environment["device"]),
        ("Precision", environment["precision"]),
        ("curator", environment["curator"]),
        ("Python", environment["python"]),
        *environment["versions"].items(),
    ]
    return facts(pairs, class_="machine")
