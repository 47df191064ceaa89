"""The report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from importlib.resources import files
from typing import Any

from curator.race.statistics import analyse
from curator.report import ablation, foretold, mix_sections, part_sections, race_sections, settings
from curator.report import curves as curve_parts
from curator.report.elements import Markup, join, tag
from curator.report.figures import commit, moment, title

# Nothing may be loaded and nothing may run, whatever a text in the record tries.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
PARTS = {
    "arms": "Arms",
    "ablation": "What each part earned",
    "probe": "Probe",
    "contaminated": "Contaminated",
    "uses": "Uses",
    "tasks": "Tasks",
    "composition": "Composition",
    "scores": "Scores",
    "funnel": "Funnel",
    "examples": "Examples",
    "decontamination": "Decontamination",
    "affected": "Whom they drop",
    "labels": "Labels",
    "groups": "Groups",
    "errors": "Errors",
    "settings": "Settings",
}


def html(record: dict[str, Any]) -> str:
    """The whole report of a race record, self-contained. Raises DataError for a record that contradicts itself."""
    results, mix = analyse(record), record["mix"]
    sections = [
        race_sections.arms(record, results),
        ablation.section_of(results),
        foretold.section_of(record),
        part_sections.contaminated(results),
        race_sections.served(record, results),
        race_sections.earlier(record),
        mix_sections.composition(mix) if mix else None,
        mix_sections.distributions(mix) if mix else None,
        mix_sections.funnel(mix) if mix else None,
        mix_sections.examples(mix) if mix else None,
        mix_sections.decontamination(mix) if mix else None,
        mix_sections.affected(mix) if mix else None,
        race_sections.labels(record, results),
        part_sections.groups(record, results),
        settings.everything(record, results),
    ]
    parts = [part for part in sections if part is not None]
    body = tag(
        "body",
        tag("a", "Skip to the arms", href="#arms", class_="skip"),
        race_sections.outcome(record, results),
        mix_sections.warnings(mix) if mix else None,
        _contents(parts),
        tag("main", *parts),
        tag(
            "footer",
            f"curator {record['environment']['curator']} · {moment(record['started'])} · {commit(record)}",
        ),
    )
    return f"<!doctype html>\n{tag('html', head(title(record)), body, lang='en')}\n"


def curves(record: dict[str, Any], races: list[dict[str, Any]]) -> str:
    """The report of learning curves, self-contained; ``races`` are the records of their points."""
    page = tag("html", head(title(record)), tag("body", *curve_parts.body(record, races)), lang="en")
    return f"<!doctype html>\n{page}\n"


def head(title: str) -> Markup:
    style = files("curator.report").joinpath("style.css").read_text("utf8")
    metas = (
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
    )
    return tag("head", *(Markup(meta) for meta in metas), tag("title", title), tag("style", Markup(style)))


def _contents(parts: list[Markup]) -> Markup:
    """Links to the parts that are there."""
    there = [name for name in PARTS if any(part.startswith(f'<section id="{name}"') for part in parts)]
    return tag("nav", join(tag("a", PARTS[name], href=f"#{name}") for name in there), aria_label="Contents")
