"""What the probe's race, which came first, foretold of the one by fine-tuning."""

from typing import Any

from curator.race.foretold import FEWEST, Foretold, foretold
from curator.race.statistics import METRICS, points
from curator.report.elements import Column, Markup, section, table, tag
from curator.report.material import Material

HEAD = ("Arm", "By the probe", "Fine-tuned", "Place by the probe", "Place fine-tuned")


def said(record: dict[str, Any]) -> list[str]:
    """Sentences without their full stop; none where no probe came first."""
    found = foretold(record)
    if found is None:
        return []
    lines = [f"The probe's race came first: {_ranking(found)}; {_best(found)}"]
    left = record["probe"]["left_out"]
    return [*lines, *(f"Not raced by the probe: {one['arm']}, because {one['why']}" for one in left)]


def rows(record: dict[str, Any]) -> list[list[str]]:
    """Texts in the order of HEAD, as the arms are recorded."""
    found = foretold(record)
    if found is None:
        return []
    places = [_places([first for _, first, _ in found.arms]), _places([after for _, _, after in found.arms])]
    return [
        [name, points(first), points(after), str(places[0][number]), str(places[1][number])]
        for number, (name, first, after) in enumerate(found.arms)
    ]


def section_of(material: Material) -> Markup | None:
    """The part of the page; None where no probe came first."""
    record, lines = material.record, said(material.record)
    if not lines:
        return None
    columns = [Column(name, number > 0) for number, name in enumerate(HEAD)]
    caption = f"Means over the same seeds, in points of {METRICS[record['metric']]}"
    shown = table(caption, columns, rows(record), name="foretold")
    return section("probe", "What the probe foretold", *(tag("p", f"{line}.") for line in lines), shown)


def _ranking(found: Foretold) -> str:
    if len(found.arms) < FEWEST:
        return f"over {len(found.arms)} arm{'s' * (len(found.arms) > 1)} whether it ranks them alike is undecided"
    if found.correlation is None:
        return f"over {len(found.arms)} arms one of the two told none apart"
    value = f"{found.correlation:.2f}".replace("-", "−")
    return f"over {len(found.arms)} arms its means rank as those of fine-tuning with a Spearman correlation of {value}"


def _best(found: Foretold) -> str:
    first, after = (" and ".join(names) for names in found.best)
    if first == after:
        return f"its best, {first}, is best by fine-tuning, too"
    if found.agrees:
        return f"its best are {first}, and by fine-tuning {after}"
    return f"its best is {first}, and by fine-tuning it is {after}"


def _places(values: list[float]) -> list[int]:
    """1 for the highest; equal ones share a place."""
    return [1 + sum(other > value + 1e-9 for other in values) for value in values]
