"""Two races side by side: against scipy, by hand, and through the front door and the command line."""

import copy
import json

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel
from test_report import EVIL, Reader
from test_statistics import hundred
from typer.testing import CliRunner

from curator import Workspace
from curator.cli.app import app
from curator.errors import CuratorError, UnknownNameError, UsageError
from curator.race.statistics import analyse, side_by_side, told
from curator.race.statistics.permutation import swapped
from curator.report import side_by_side as page
from curator.report import side_by_side_rows as rows

FIRST = {"mix": [70, 74, 71, 78, 73], "random": [66, 71, 70, 70, 72], "full": [80, 79, 83, 80, 81]}
SECOND = {"mix": [75, 78, 77, 81, 80], "random": [66, 70, 71, 69, 73], "dsir": [71, 72, 70, 71, 72]}


def races(first=FIRST, second=SECOND, **changes):
    recipe = {"name": "a", "task": {"shots": 16}, "stage": [{"use": "ratio", "budget": 100}], "train": {"steps": 200}}
    one = hundred(first, name="a", recipe=recipe)
    other = hundred(second, name="b", recipe={**copy.deepcopy(recipe), "name": "b", **changes})
    return one, other


def by_name(found):
    return {arm.name: arm for arm in found.arms}


def test_on_the_same_documents_arms_are_paired_by_seed():
    one, other = races()
    found = side_by_side(one, other)
    assert found.unpaired is None
    assert list(by_name(found)) == ["mix", "random"]
    assert (found.only_first, found.only_second) == (("full",), ("dsir",))
    for name, arm in by_name(found).items():
        test = ttest_rel(SECOND[name], FIRST[name])
        family = test.confidence_interval(0.975)  # two arms
        assert (arm.paired, arm.seeds) == (True, (0, 1, 2, 3, 4))
        assert arm.difference == pytest.approx(np.mean(SECOND[name]) - np.mean(FIRST[name]))
        assert (arm.interval.low, arm.interval.high) == pytest.approx((family.low, family.high))
    assert [arm.finding for arm in found.arms] == ["better", "indistinguishable"]


def test_its_p_values_are_those_of_a_race_between_the_two():
    """Both arms in one race: the same runs, so the same three answers."""
    one, other = races({"mix": FIRST["mix"]}, {"mix": SECOND["mix"]})
    both = hundred({"mix": SECOND["mix"], "random": FIRST["mix"]})
    (expected,) = analyse(both).comparisons
    (arm,) = side_by_side(one, other).arms
    assert (arm.p, arm.interval, arm.difference) == (
        pytest.approx(expected.p), expected.family, pytest.approx(expected.difference)
    )  # fmt: skip
    sides = [np.array([run["predictions"] for run in race["runs"]]) for race in (other, one)]
    assert arm.permuted == swapped(one, np.zeros(100, int), *sides)


def test_seeds_that_only_one_has_are_left_out_of_the_pairs():
    one, other = races({"mix": [70, 75, None, 82]}, {"mix": [60, None, 61, 63, 90]})
    (arm,) = side_by_side(one, other).arms
    assert (arm.paired, arm.seeds) == (True, (0, 3))
    assert arm.difference == pytest.approx((60 - 70 + 63 - 82) / 2)


@pytest.mark.parametrize("spoil", ["ids", "truth", "seeds"])
def test_what_cannot_be_paired_is_compared_by_welch_and_says_so(spoil):
    one, other = races({"mix": FIRST["mix"]}, {"mix": SECOND["mix"][:4]})
    if spoil == "ids":
        other["evaluation"]["ids"] = [f"x{i}" if i < 40 else str(i) for i in range(100)]
    elif spoil == "truth":
        other["evaluation"]["truth"] = [0] * 99 + [1]
    else:
        for run in other["runs"]:
            run["seed"] += 4  # seed 4 alone is in both
    found = side_by_side(one, other)
    (arm,) = found.arms
    scores = analyse(other).arms[0].scores
    test = ttest_ind(scores, FIRST["mix"], equal_var=False)
    family = test.confidence_interval(0.95)
    assert (arm.paired, arm.permuted, arm.seeds) == (False, None, ())
    assert arm.difference == pytest.approx(np.mean(scores) - np.mean(FIRST["mix"]))
    assert arm.p == pytest.approx(test.pvalue)
    assert (arm.interval.low, arm.interval.high) == pytest.approx((family.low, family.high))
    said = {
        "ids": "Not compared document by document: they were measured on different evaluation documents (60 of 100 are "
        "in both). Intervals are Welch's, over seeds alone.",
        "truth": "Not compared document by document: the evaluation documents have the same ids and other true labels. "
        "Intervals are Welch's, over seeds alone.",
        "seeds": "Compared on the same 100 evaluation documents, 0 of 1 arms seed by seed.",
    }
    assert told(found)[0] == said[spoil]


def test_of_fewer_than_two_seeds_nothing_is_said():
    second = {"mix": [75], "random": [70, 72], "full": [None]}
    one, other = races({"mix": [70, 71], "random": [60, 61], "full": [50]}, second)
    found = side_by_side(one, other)
    mix, random, full = found.arms
    assert (mix.difference, mix.interval, mix.finding) == (pytest.approx(4.5), None, "undecided")
    assert (full.difference, full.finding) == (None, "undecided")
    test = ttest_rel([70, 72], [60, 61]).confidence_interval(0.95)  # the only one that is compared
    assert (random.interval.low, random.interval.high) == pytest.approx((test.low, test.high))
    assert told(found)[-1] == "Fewer than 2 seeds, so that nothing is said, in mix and full."


def test_what_differs_in_the_recipes_is_listed_by_its_dotted_name():
    one, other = races(task={"shots": 64, "split": {"test": 0.3}}, train={})
    settings = {setting.name: (setting.first, setting.second) for setting in side_by_side(one, other).settings}
    assert settings == {"task.shots": (16, 64), "task.split.test": (None, 0.3), "train.steps": (200, None)}
    assert side_by_side(*races()).settings == ()


def test_what_cannot_be_compared_is_an_error_that_says_why():
    one, other = races()
    with pytest.raises(UsageError, match=r"different metrics, accuracy and macro-F1; run one of them again with"):
        side_by_side(one, other | {"metric": "macro_f1"})
    with pytest.raises(UsageError, match="different labels: only a has c and only b has d"):
        side_by_side(one, other | {"labels": ["a", "b", "d"]})
    with pytest.raises(UsageError, match="different labels: they are in another order"):
        side_by_side(one, other | {"labels": ["b", "a", "c"]})
    with pytest.raises(UsageError, match="no arm in common: mix, random, full against dsir"):
        side_by_side(one, hundred({"dsir": [70, 71]}, name="b"))
    several = other | {"recipe": {"task": {"kind": "regression"}}, "labels": [], "metric": "pearson"}
    with pytest.raises(UsageError, match="different kinds, single and regression"):
        side_by_side(one, several)
    with pytest.raises(CuratorError, match="label index 9"):
        side_by_side(one, other | {"evaluation": {**other["evaluation"], "truth": [9] * 100}})


def test_the_page_shows_every_figure_and_escapes_what_a_record_says():
    one, other = races(description=EVIL, extra={EVIL: [{"use": EVIL}]})
    one["name"] = EVIL
    found = side_by_side(one, other)
    text = page(found)
    assert EVIL not in text
    reader = Reader(text)
    body = reader.tables["side-by-side"][2:]
    for cells, row in zip(body, rows(found), strict=True):
        assert cells[0] == row["arm"]
        figures = [float(cells[place].replace("−", "-")) for place in (2, 5, 8)]
        assert figures == pytest.approx([row["first"], row["second"], row["difference"]], abs=0.051)
        bounds = [float(part.replace("−", "-")) for part in cells[9].split(" to ")]
        assert bounds == pytest.approx([row["low"], row["high"]], abs=0.051)
        assert (cells[7], cells[-1]) == ("5 seeds", row["verdict"])
    assert [row[0] for row in reader.tables["differences"][1:]] == ["description", f"extra.{EVIL}"]
    ids = [attributes["id"] for _, attributes in reader.seen if "id" in attributes]
    assert len(ids) == len(set(ids))


# Through the front door


@pytest.fixture
def work(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "one"}\n')
    Workspace(tmp_path / "work").add("texts", str(path))  # makes it a workspace
    for race in races(task={"shots": 64}):
        folder = tmp_path / "work" / "races" / race["name"]
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(race))
    return tmp_path / "work"


def test_a_workspace_compares_races_by_name_and_by_path(work, tmp_path):
    ws = Workspace(work)
    found = ws.compare("a", "b")
    assert found.table() == ws.compare(work / "races" / "a" / "record.json", "b").table()
    assert found.settings() == [{"name": "task.shots", "first": 16, "second": 64}]
    assert "b is better than a in mix." in repr(found)
    assert found.report(tmp_path / "two.html").read_text("utf8") == page(found.found)
    with pytest.raises(UnknownNameError, match="no race named 'c'"):
        ws.compare("a", "c")
    with pytest.raises(
        UsageError, match=r"gone.json: there is no such file; give the record.json of a race, or its name"
    ):
        ws.compare("a", tmp_path / "gone.json")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(UsageError, match=r"other.json: this is no record of a race"):
        ws.compare(tmp_path / "other.json", "a")
    with pytest.raises(UsageError, match=r"two.md: two races side by side are written as .html"):
        found.report("two.md")
    assert ws.compare("a", "a").found.names == ("a (first)", "a (second)")
    assert {row["difference"] for row in ws.compare("a", "a").table()} == {0}


def test_the_command_line_prints_text_json_and_a_page(work, tmp_path):
    def ran(*arguments):
        return CliRunner().invoke(app, ["-w", str(work), "-q", "race", *map(str, arguments)])

    text = ran("--compare", "a", "b")
    assert text.exit_code == 0
    for said in ("task.shots", "mix", "+5.0", "better", "Only in a: full.", "Only in b: dsir."):
        assert said in text.stdout
    result = json.loads(ran("--compare", "a", "b", "--json", "--html", tmp_path / "two.html").stdout)
    assert result["rows"] == Workspace(work).compare("a", "b").table()
    assert result["report"]["path"] == str(tmp_path / "two.html")
    assert (tmp_path / "two.html").read_text("utf8").startswith("<!doctype html>")
    for wrong, said in (
        (["a", "--compare", "a", "b"], "not both"), ([], "not both"), (["a", "--html", "x.html"], "--html is where")
    ):  # fmt: skip
        result = ran(*wrong)
        assert isinstance(result.exception, UsageError | SystemExit)
        assert result.exit_code != 0
        assert said in str(result.exception) or said in result.output
