"""The report as one HTML file that needs nothing else: no font, no picture, no script from elsewhere."""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from typing import Any

from curator.race.statistics import analyse
from curator.report import (
    ablation,
    documents_section,
    foretold,
    map_section,
    mix_sections,
    part_sections,
    race_sections,
    settings,
    value_sections,
)
from curator.report import curves as curve_parts
from curator.report.elements import Markup, join, tag
from curator.report.figures import commit, moment, title
from curator.report.material import Material, Part, of_mix

PARTS = (  # in the order of the page
    Part("arms", "Arms", "Race", race_sections.arms),
    Part("ablation", "What each part earned", "Race", ablation.section_of),
    Part("probe", "Probe", "Race", foretold.section_of),
    Part("contaminated", "Contaminated", "Race", part_sections.contaminated),
    Part("uses", "Uses", "Race", race_sections.served),
    Part("tasks", "Tasks", "Race", race_sections.earlier),
    Part("labels", "Labels", "Race", race_sections.labels),
    Part("groups", "Groups", "Race", part_sections.groups),
    Part("errors", "Errors", "Race", value_sections.errors_of),
    Part("funnel", "Funnel", "Mix", of_mix(mix_sections.funnel)),
    Part("composition", "Composition", "Mix", of_mix(mix_sections.composition)),
    Part("scores", "Scores and thresholds", "Mix", mix_sections.distributions),
    Part("decontamination", "Decontamination", "Mix", of_mix(mix_sections.decontamination)),
    Part("affected", "Whom they drop", "Mix", of_mix(mix_sections.affected)),
    Part("map", "Map", "Documents", map_section.documents_map),
    Part("documents", "Kept and dropped", "Documents", documents_section.documents),
    Part("settings", "Settings", "Record", settings.everything),
)


def html(record: dict[str, Any], look: dict[str, Any] | None = None) -> str:
    """The whole report of a race record, self-contained.

    ``look`` is what was written beside the record about its documents (``curator.mix.look``): the map, the table and
    the thresholds need it. Raises DataError for a record that contradicts itself.
    """
    material = Material(record, analyse(record), look)
    drawn = [(part, part.draw(material)) for part in PARTS]
    there = [(part, section) for part, section in drawn if section is not None]
    body = tag(
        "body",
        tag("a", "Skip to the report", href="#report", class_="skip"),
        race_sections.outcome(record, material.results),
        tag(
            "div",
            _contents([part for part, _ in there]),
            tag(
                "main",
                mix_sections.warnings(material.mix) if material.mix else None,
                *(section for _, section in there),
                id="report",
                tabindex="-1",
            ),
            class_="page",
        ),
        tag("footer", f"curator {record['environment']['curator']} · {moment(record['started'])} · {commit(record)}"),
        tag("script", Markup(_script())),
    )
    return f"<!doctype html>\n{tag('html', head(title(record)), body, lang='en')}\n"


def curves(record: dict[str, Any], races: list[dict[str, Any]]) -> str:
    """The report of learning curves, self-contained; ``races`` are the records of their points."""
    page = tag("html", head(title(record)), tag("body", *curve_parts.body(record, races)), lang="en")
    return f"<!doctype html>\n{page}\n"


def head(title: str) -> Markup:
    """What a page begins with: its title, its style, and that nothing may be loaded."""
    metas = (
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
    )
    return tag("head", *(Markup(meta) for meta in metas), tag("title", title), tag("style", Markup(_read("style.css"))))


def _policy() -> str:
    """Nothing may be loaded, and nothing may run but our own script, whatever a text in the record tries."""
    digest = b64encode(sha256(_script().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _script() -> str:
    return _read("report.js")


def _read(name: str) -> str:
    return files("curator.report").joinpath(name).read_text("utf8")


def _contents(parts: list[Part]) -> Markup:
    """Links to the sections that are there, group by group."""
    groups = [
        tag(
            "div",
            tag("p", group, aria_hidden="true"),
            tag("ul", join(tag("li", tag("a", part.word, href=f"#{part.name}")) for part in members)),
        )
        for group, members in groupby(parts, key=lambda part: part.group)
    ]
    return tag("nav", *groups, aria_label="Contents")
