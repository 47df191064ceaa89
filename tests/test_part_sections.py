"""The parts of a report about parts of the evaluation documents: every figure is that of the statistics."""

import numpy as np
import pytest
from test_report import EVIL, Reader, small

from curator.race.statistics import analyse, grouped, points
from curator.report import html, markdown, table
from curator.report.part_sections import said_of_copies


@pytest.fixture(scope="module")
def record():
    rng = np.random.default_rng(0)
    record = small()
    values = ["forum", None, "rare"]
    codes = rng.choice(2, 60).tolist()
    codes[7] = 2
    record["evaluation"] |= {
        "contaminated": [3, 5, 8], "groups": [{"by": "label"}, {"by": "kind of text", "values": values, "codes": codes}]
    }  # fmt: skip
    return record


def test_groups_are_shown_with_their_differences_and_gaps(monkeypatch, record):
    monkeypatch.setattr("curator.race.statistics.groups.SMALL", 20)
    results = analyse(record)
    tables = Reader(html(record)).tables
    columns = grouped(record, results)
    assert [column.by for column in columns] == ["label", "kind of text"]
    for place, column in enumerate(columns):
        rows = tables[f"groups-{place}"][2:]
        others = tables[f"groups-{place}-others"][2:]
        for row, other, one in zip(rows, others, column.groups, strict=True):
            assert row[0] == ("none" if one.group is None else one.group) + (" too small" if one.small else "")
            assert row[1:3] == [str(one.documents), points(one.scores["mix"].value)]
            assert row[4] == points(one.scores["random-balanced"].value)
            told = one.differences.get("random-balanced")
            family = f"{points(told.family.low)} to {points(told.family.high)}" if told else ""
            assert row[5:] == ([points(told.value, sign=True), family, told.finding] if told else ["", "", ""])
            assert len(other) == 2 + 4 * (len(results.arms) - 2)
        gaps = {row[0]: row[1:] for row in tables.get(f"gaps-{place}", [])[1:]}
        assert gaps == {
            arm: [*("none" if name is None else name for name in (gap.best, gap.worst)), points(gap.points)]
            for arm, gap in column.gaps.items()
        }
    assert any(column.gaps for column in columns)
    assert any(one.small for column in columns for one in column.groups)
    assert any(one.group is None for one in columns[1].groups)


def test_figures_with_and_without_the_contaminated_documents_stand_side_by_side(record):
    results = analyse(record)
    page, text = Reader(html(record)), markdown(record)
    rows = {row[0]: row[1:] for row in page.tables["without-contaminated"][1:]}
    for whole, clean in zip(results.arms, results.clean.arms, strict=True):
        assert rows[whole.name][:2] == [points(whole.mean), points(clean.mean)]
    for whole, clean in zip(results.comparisons, results.clean.comparisons, strict=True):
        differences = [points(one.difference, sign=True) for one in (whole, clean)]
        assert rows[whole.arm][2:] == [*differences, whole.finding, clean.finding]
    said = "3 evaluation documents have a copy, or a near one, in the pool or in the target's file"
    assert said in " ".join(page.texts["p"])
    assert said in text
    assert {row["arm"]: row["mean_clean"] for row in table(record)} == {a.name: a.mean for a in results.clean.arms}


def test_none_found_and_none_looked_for_are_different_things():
    record = small()
    assert 'id="contaminated"' not in html(record)
    assert {row["mean_clean"] for row in table(record)} == {None}
    record["evaluation"]["contaminated"] = []
    assert "No evaluation document has a copy" in html(record)
    record["evaluation"]["contaminated"] = list(range(60))
    assert said_of_copies(analyse(record)).endswith("No other document is left to measure on.")
    assert "without-contaminated" not in html(record)


def test_names_of_groups_are_escaped():
    record = small()
    codes = [0, 1] * 30
    record["evaluation"]["groups"] = [{"by": EVIL, "values": [EVIL, "x"], "codes": codes}]
    page = html(record)
    assert EVIL not in page
    assert EVIL in Reader(page).texts["span"]
