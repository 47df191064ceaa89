"""What is written beside a race about its documents: the map, the table, and what other thresholds would keep."""

import json
import operator
import re
import shutil

import numpy as np
import polars as pl
import pytest
from conftest import ToyEncoder
from looked import HOSTILE, raced

from curator import Workspace
from curator.mix.look import without_personal_data
from curator.mix.projection import MOST, project
from curator.mix.thresholds import thresholds
from curator.report import html

SIDES = {"at least": operator.ge, "more than": operator.gt, "less than": operator.lt, "at most": operator.le}


@pytest.fixture(scope="module")
def race(tmp_path_factory):
    return raced(tmp_path_factory.mktemp("looked"), ToyEncoder())


@pytest.fixture(scope="module")
def look(race):
    return json.loads((race[1].directory / "look.json").read_text("utf8"))


def ledger_of(scores, keep, limit, stage="relevance", **columns):
    n = len(scores)
    rows = {"stage": [stage] * n, "position": [1] * n, "score": scores, "threshold": [limit] * n, "keep": keep}
    rows |= {"rank": [None] * n, **columns}
    return pl.DataFrame(rows, schema_overrides={"rank": pl.Int64, "score": pl.Float64, "threshold": pl.Float64})


# Thresholds


@pytest.mark.parametrize("relation", SIDES)
@pytest.mark.parametrize(
    ("low", "high", "limit"), [(-0.2, 0.9, 0.35), (0.5, 0.5004, 0.5002), (3, 4_000, 120), (-9, -8, -8.5)]
)
def test_counts_at_each_value_are_those_of_the_ledger(relation, low, high, limit):
    rng = np.random.default_rng(3)
    scores = np.concatenate([rng.uniform(low, high, 400), [limit, limit, low, high]])
    scores = np.append(scores, np.round(scores[:40], 2))  # some lie exactly on values
    holds = SIDES[relation]
    keep = holds(scores, limit)
    rows = pl.concat([ledger_of(scores, keep, limit), ledger_of([None] * 5, [True, True, True, False, False], limit)])
    (found,) = thresholds(rows)
    assert (found["seen"], found["kept"]) == (len(rows), int(rows["keep"].sum()))
    assert found["unscored"] == {"kept": 3, "dropped": 2}
    assert found["relation"] == relation
    assert found["counts"] == [int(holds(scores, value).sum()) + 3 for value in found["values"]]
    assert found["counts"][found["values"].index(limit)] == found["kept"]
    assert 100 <= len(found["values"]) <= 1_003
    grid = [value for value in found["values"] if value != limit]
    assert grid == [round(value, found["decimals"]) for value in grid]  # what is shown is what was counted at
    assert found["values"][0] <= scores.min() <= scores.max() <= found["values"][-1]
    assert sum(found["bins"]["documents"]) == len(scores)


def test_a_stage_that_its_score_does_not_decide_has_no_threshold_to_move():
    scores, keep = [0.1, 0.2, 0.6, 0.9], [False, False, True, True]
    assert len(thresholds(ledger_of(scores, keep, 0.5))) == 1
    assert thresholds(ledger_of(scores, [False, True, False, True], 0.5)) == []  # another rule decides
    assert thresholds(ledger_of(scores, keep, 0.5, rank=[None, None, 2, 1])) == []  # it ranks
    assert thresholds(ledger_of(scores, keep, 0.5, threshold=[0.5, 0.4, 0.5, 0.5])) == []  # a limit for each label
    assert thresholds(ledger_of([0.7] * 4, [True] * 4, 0.5)) == []  # nothing to move over
    (outside,) = thresholds(ledger_of(scores, [False] * 4, 1.5))
    assert (outside["values"][-1], outside["counts"][0], outside["counts"][-1]) == (1.5, 4, 0)
    assert thresholds(ledger_of([float("nan"), None, 0.6, 0.9], keep, 0.5))[0]["unscored"]["dropped"] == 2


# The map


def blobs(n=120, d=40, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, d)) * 3
    vectors = centres[np.arange(n) % 3] + rng.normal(size=(n, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_what_belongs_together_lies_together_and_the_same_vectors_give_the_same_map():
    vectors = blobs()
    found = project(vectors)
    assert found.method == "t-SNE"
    assert np.array_equal(found.places, project(vectors).places)
    assert found.places.min() >= 0
    assert found.places.max() <= 1
    apart = np.linalg.norm(found.places[:, None] - found.places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (np.arange(120)[apart.argmin(axis=1)] % 3 == np.arange(120) % 3).all()
    before, after = nearest(vectors.astype(np.float64)), nearest(found.places.astype(np.float64))
    kept = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(before, after, strict=True)])
    assert found.kept == pytest.approx(kept)


def nearest(points):
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    return np.argsort(distances + np.diag([np.inf] * len(points)), axis=1)[:, :10]


def test_few_many_and_equal_vectors_have_places_too():
    assert project(blobs(3)).method == "PCA"
    assert project(blobs(3)).kept is None
    for n in (0, 1, 2, 12):
        assert project(np.ones((n, 8), np.float32)).places.shape == (n, 2)
    many = project(blobs(MOST + 1, 4))
    assert (many.method, many.kept) == ("PCA", None)


def test_every_kind_is_on_the_map_with_its_reason_and_test_documents_have_no_label(race, look):
    ws, _ = race
    points = look["map"]["points"]
    ledger = ws.sql("SELECT * FROM ledger('looked') WHERE deciding")
    fate = {(row["corpus"], row["id"]): row for row in ledger.iter_rows(named=True)}
    for point in points:
        if point["kind"] in ("target", "test"):
            assert point["corpus"] == point["kind"]
            assert point["why"] is None
            continue
        row = fate[point["corpus"], point["id"]]
        assert point["kind"] == ("kept" if row["keep"] else "dropped")
        assert point["stage"] == row["stage"]
        assert point["why"].startswith(f"{row['stage']} {point['kind']} it")
    counts = {kind: sum(point["kind"] == kind for point in points) for kind in ("target", "kept", "dropped", "test")}
    assert counts == {
        "target": 12,
        "kept": int(ledger["keep"].sum()),
        "dropped": 90 - int(ledger["keep"].sum()),
        "test": 20,
    }
    assert {point["label"] for point in points if point["kind"] == "test"} == {None}


def test_the_table_is_a_sample_of_each_stage_and_verdict(race, look):
    ws, _ = race
    ledger = ws.sql("SELECT stage, keep, count(*) AS n FROM ledger('looked') WHERE deciding GROUP BY ALL")
    wanted = {(stage, keep): n for stage, keep, n in ledger.iter_rows()}
    table = look["documents"]
    assert {(group["stage"], group["keep"]): group["of"] for group in table["groups"]} == wanted
    for group in table["groups"]:
        rows = [row for row in table["rows"] if (row["stage"], row["keep"]) == (group["stage"], group["keep"])]
        assert len(rows) == group["shown"] == min(25, group["of"])
        assert len({row["id"] for row in rows}) == len(rows)
    dropped = next(row for row in table["rows"] if row["stage"] == "relevance")
    assert dropped["score"] < dropped["threshold"] == 0.47
    assert dropped["partner"]["text"].startswith("desk ")


# The files


def test_the_record_holds_no_text_and_the_look_does(race):
    ws, raced_ = race
    names = ("shop", "far", "looked_target", "looked_test")
    texts = [text for name in names for text in ws.sql(f"SELECT text FROM {name}")["text"]]
    record = (raced_.directory / "record.json").read_text("utf8")
    look = (raced_.directory / "look.json").read_text("utf8")
    quoted = [json.dumps(text, ensure_ascii=False)[1:-1] for text in texts]
    assert not [text for text in quoted if text in record]
    assert sum(text in look for text in quoted) > 100
    assert ws.check() == []
    page = raced_.report().read_text("utf8")
    assert "window.hit" in page
    older = html(raced_.record)
    assert "look.json" in older
    assert 'id="map-plot"' not in older
    assert 'id="documents-table"' not in older


def test_what_a_stage_took_out_of_the_pool_is_not_shown_of_target_and_test():
    frame = pl.DataFrame({"corpus": ["test"], "id": ["a"], "text": ["write to jane.roe@example.org today"], "n": [1]})
    settings = {"pii_2": {"kinds": "email", "regions": "US"}, "quality": {"min_words": 3}}
    assert without_personal_data(frame, settings)["text"].to_list() == ["write to <EMAIL> today"]
    assert without_personal_data(frame, {"quality": {}}).equals(frame)


def test_a_damaged_look_is_found_and_not_shown(race, tmp_path):
    ws, raced_ = race
    shutil.copytree(ws.root, tmp_path / "work")
    other = Workspace(tmp_path / "work")
    place = tmp_path / "work" / "races" / raced_.directory.name / "look.json"
    place.write_text(place.read_text("utf8").replace("harbour", "horror"), "utf8")
    assert [damage.path for damage in other.check()] == [f"races/{raced_.directory.name}/look.json"]
    assert "horror" not in other.race(raced_.directory.name).report().read_text("utf8")
    assert other.repair().left == ()
    assert other.check() == []


def test_hostile_texts_stay_texts(race):
    page = race[1].report().read_text("utf8")
    assert page.count("<script>") == 1  # our own
    blocks = re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', page, re.DOTALL)
    assert {re.sub(r"\d", "", name) for name, _ in blocks} == {"map-points", "threshold--data"}
    points = json.loads(dict(blocks)["map-points"])["points"]
    assert sum(HOSTILE in point[5] for point in points) == 9
    for _, block in blocks:
        assert not re.search("[<>&\u2028\u2029]", block)
    assert "<img" not in page
    assert "<b>" not in re.sub(r"<b>(?=[^<]*</b>)", "", page)
