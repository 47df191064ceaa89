"""Thresholds as false-positive rates: against all pairs in numpy, a known distribution, how often intervals hold."""

import json
import os

import numpy as np
import polars as pl
import pytest
from scipy.stats import beta
from test_mix import folder, recipe  # noqa: F401  the small task
from typer.testing import CliRunner

from curator import Recipe, Workspace, calibration
from curator.calibration import pairs, random_pairs
from curator.cli import app
from curator.errors import QueryError, RecipeError, UsageError
from curator.relation import Relation
from curator.stages import Stage
from curator.vectors import Vectors

EDGE = 1e-4  # what a threshold is rounded up to


def unit(matrix: np.ndarray) -> np.ndarray:
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def relation(matrix: np.ndarray) -> Relation:
    return Relation(pl.DataFrame({"id": [f"d{i}" for i in range(len(matrix))]}), Vectors.of(matrix))


def around(n: int, seed: int, spread: float = 0.5) -> np.ndarray:
    """Documents of a few topics of very different sizes: the pairs of one hang together."""
    rng = np.random.default_rng(seed)
    topics = rng.choice(40, n, p=(weights := 1.0 / np.arange(1, 41)) / weights.sum())
    return unit(np.random.default_rng(9).normal(size=(40, 12))[topics] + spread * rng.normal(size=(n, 12)))


def every_cosine(left: np.ndarray, right: np.ndarray | None = None) -> np.ndarray:
    """Of all pairs whose vectors differ, one by one, in double precision."""
    other = left if right is None else right
    found = []
    for i, a in enumerate(left):
        for b in other[i + 1 :] if right is None else other:
            if not np.array_equal(a, b):
                a64, b64 = a.astype(np.float64), b.astype(np.float64)
                found.append(a64 @ b64 / np.linalg.norm(a64) / np.linalg.norm(b64))
    return np.array(found)


@pytest.mark.parametrize("between", [False, True])
def test_all_pairs_are_those_of_a_plain_loop(between, monkeypatch):
    monkeypatch.setattr(pairs, "BLOCK", 7)
    left = around(90, 1) * np.random.default_rng(0).uniform(0.5, 2, (90, 1)).astype(np.float32)
    left[5], left[50], left[70] = left[40], left[40], 0  # a text three times; a vector without a direction
    right = np.concatenate([around(60, 2), left[:1]]) if between else None
    cosines = every_cosine(np.delete(left, 70, axis=0), right)
    found = random_pairs(relation(left), None if right is None else relation(right))
    assert len(found) == len(cosines) == (89 * 61 - 1 if between else 89 * 88 // 2 - 3)
    for fpr in (0.3, 0.05, 0.01, 0.003):
        cosine = found.threshold(fpr)
        assert (cosines >= cosine + 1e-6).mean() <= fpr < (cosines >= cosine - EDGE - 1e-6).mean()
        assert found.fpr(cosine) == pytest.approx((cosines >= cosine).mean(), abs=1.5 / len(cosines))
        assert found.fpr(cosine) <= fpr
    assert found.quantile(0.25) == pytest.approx(np.quantile(cosines, 0.25), abs=2e-3)
    assert (found.fpr(-1), found.fpr(1)) == (1, 0)
    assert found.fpr(0.2) > found.fpr(0.6) > found.fpr(0.9)


def test_random_directions_have_the_cosines_that_theory_says():
    """For uniform directions in d dimensions (cosine + 1) / 2 is Beta((d − 1) / 2, (d − 1) / 2)."""
    for d in (8, 16, 384):
        drawn = relation(unit(np.random.default_rng(d).normal(size=(30_000, d))))
        found = random_pairs(drawn, rows=2_000)
        assert len(found) == 2_000 * 1_999 // 2
        for fpr in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
            truth = 2 * beta((d - 1) / 2, (d - 1) / 2).isf(fpr) - 1
            low, high = found.interval(fpr)
            assert low - EDGE <= truth <= high + EDGE
            assert low <= found.threshold(fpr) <= high
            assert found.fpr(truth) == pytest.approx(fpr, rel=0.5)


def coverage(matrix: np.ndarray, fpr: float, rows: int, right: np.ndarray | None = None) -> float:
    other = None if right is None else relation(right)
    truth = random_pairs(relation(matrix), other).threshold(fpr)
    hits = 0
    for seed in range(100):
        low, high = random_pairs(relation(matrix), other, rows=rows, seed=seed).interval(fpr)
        hits += low - EDGE <= truth <= high + EDGE
    return hits / 100


@pytest.mark.parametrize("fpr", [0.05, 0.005])
def test_intervals_hold_the_threshold_of_all_pairs_as_often_as_they_say(fpr, monkeypatch):
    matrix = around(1_500, 3)
    assert coverage(matrix, fpr, 150) >= 0.9
    assert coverage(matrix[:700], fpr, 120, matrix[700:]) >= 0.9
    # As if every pair were independent of the others: what the design effect is there for.
    monkeypatch.setattr(pairs, "_independent", lambda counts, *_: np.full(pairs.COARSE + 1, float(counts.sum())))
    assert coverage(matrix, fpr, 150) < 0.8


def test_an_interval_narrows_with_the_sample_and_closes_when_nothing_is_left_out():
    matrix = around(1_000, 4)
    widths = []
    for rows in (100, 300, 900, 1_000):
        low, high = random_pairs(relation(matrix), rows=rows).interval(0.01)
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert widths[2] > 0 == widths[3]
    assert widths[2] < 0.35 * widths[1]  # 0.22 by the share left out, √(0.1 / 900) to √(0.7 / 300); else 0.58


def test_a_rate_that_the_pairs_do_not_support_is_refused_with_how_many_would_do():
    sample = random_pairs(relation(around(1_000, 4)), rows=100)
    assert sample.smallest_fpr == 10 / 4_950
    sample.threshold(10 / 4_950)
    with pytest.raises(UsageError, match=r"0\.002.* 4,950 random pairs .*larger sample would do .* of 10,000 pairs"):
        sample.threshold(1e-3)
    with pytest.raises(UsageError, match=r"100,000,000 pairs would do, and of these documents there are 499,500"):
        random_pairs(relation(around(1_000, 4))).threshold(1e-7)
    for share in (0, 1, -0.1, float("nan")):
        with pytest.raises(UsageError, match="above 0 and below 1"):
            sample.threshold(share)
    with pytest.raises(UsageError, match="is no cosine"):
        sample.fpr(1.5)


def test_what_cannot_be_calibrated_is_said():
    one = np.ones((50, 4), np.float32)
    with pytest.raises(UsageError, match="no pair of documents with different vectors"):
        random_pairs(relation(one))
    nearly = unit(one + 1e-4 * np.random.default_rng(0).normal(size=one.shape))
    with pytest.raises(UsageError, match=r"cosine of 0\.9999 or more.*deduplicate first"):
        random_pairs(relation(nearly)).threshold(0.5)
    with pytest.raises(UsageError, match="4 and of 12 components"):
        random_pairs(relation(one), relation(around(9, 1)))
    with pytest.raises(UsageError, match="rows = 1"):
        random_pairs(relation(one), rows=1)
    with pytest.raises(UsageError, match="without vectors"):
        random_pairs(Relation(pl.DataFrame({"id": ["a"]})))


# In a workspace

MANY, FEW = around(400, 5), around(80, 6)


@pytest.fixture
def ws(tmp_path):
    ws = Workspace(tmp_path / "ws")
    for name, vectors in (("many", MANY), ("few", FEW)):
        ids = [f"{name}{i}" for i in range(len(vectors))]
        ws.add(name, pl.DataFrame({"id": ids, "text": [f"text {id_}" for id_ in ids]}), vectors=vectors)
    return ws


def brute(fpr: float, left: np.ndarray, right: np.ndarray | None = None) -> float:
    """The least multiple of 1e-4 that at most this share reaches."""
    cosines = np.sort(every_cosine(left, right))[::-1]
    return np.floor((cosines[int(fpr * len(cosines))] + 1e-6) / EDGE + 1) * EDGE


def test_a_corpus_and_two_against_each_other(ws):
    within, between = ws.calibrate("many"), ws.calibrate("many", "few")
    assert within.threshold(1e-3) == pytest.approx(brute(1e-3, MANY), abs=1.5 * EDGE)
    assert between.threshold(1e-3) == pytest.approx(brute(1e-3, MANY, FEW), abs=1.5 * EDGE)
    assert ws.last_report["against"] == "few"
    assert ws.last_report["pairs"] == 400 * 80
    assert ws.calibrate("few", "many").threshold(1e-3) == between.threshold(1e-3)
    products = MANY.astype(np.float64) @ MANY.T
    np.fill_diagonal(products, -2)
    np.testing.assert_allclose(within.nearest, np.sort(products.max(axis=1)), atol=1e-6)
    np.testing.assert_allclose(between.nearest, np.sort((MANY.astype(np.float64) @ FEW.T).max(axis=1)), atol=1e-6)
    table = within.thresholds(0.01)
    assert table.columns == ["fpr", "cosine", "low", "high", "nearest"]
    assert table["nearest"][0] == (products.max(axis=1) >= within.threshold(0.01)).mean()
    drawn = within.histogram(40)
    assert drawn["random"].sum() == pytest.approx(1)
    assert drawn["nearest"].sum() == pytest.approx(1)
    cosines = every_cosine(MANY)
    np.testing.assert_allclose(
        drawn["random"], np.histogram(cosines, np.linspace(-1, 1, 41))[0] / len(cosines), atol=1e-4
    )


def test_a_copy_of_a_document_is_its_nearest(tmp_path):
    ws = Workspace(tmp_path / "ws")
    vectors = np.concatenate([np.repeat(FEW[:1], 5, axis=0), FEW])
    ws.add("copies", pl.DataFrame({"text": ["t"] * len(vectors)}), vectors=vectors)
    assert (ws.calibrate("copies").nearest > 0.99999).sum() == 6


def test_a_second_call_is_free_and_belongs_to_a_version(ws, monkeypatch):
    first, between = ws.calibrate("many"), ws.calibrate("many", "few")
    other = ws.calibrate("many", rows=100, seed=1)
    assert ws.calibrate("many").pairs.counts.tolist() == first.pairs.counts.tolist()
    monkeypatch.setattr(calibration, "compare", lambda *_: pytest.fail("compared again"))
    again = Workspace(ws.root)
    assert again.calibrate("many").report() == first.report()
    assert again.calibrate("many", "few").report() == between.report()
    assert again.calibrate("many").interval(0.01) == first.interval(0.01)
    monkeypatch.undo()
    assert ws.calibrate("many", rows=100, seed=1).pairs.counts.tolist() == other.pairs.counts.tolist()
    assert len(other.pairs) == 4_950
    ws.add("many", pl.DataFrame({"id": ["a", "b", "c"], "text": ["a", "b", "c"]}), vectors=MANY[:3])
    assert len(ws.calibrate("many").pairs) == 3


def test_what_is_kept_is_looked_after(ws):
    before = ws.calibrate("many", "few").report()
    ws.calibrate("few")
    kept = sorted(ws.root.glob("indexes/*/*/calibration-*.json"))
    assert len(kept) == 4
    assert ws.check() == []
    for path in kept:
        path.write_text(path.read_text().replace("1", "2", 1))
    assert {damage.path for damage in ws.check()} == {path.relative_to(ws.root).as_posix() for path in kept}
    assert ws.repair().left == ()
    assert ws.calibrate("many", "few").report() == before
    assert ws.gc().bytes == 0
    ws.add("few", pl.DataFrame({"id": ["a", "b"], "text": ["a", "b"]}), vectors=FEW[:2])
    assert ws.gc(dry_run=True).derived == 3  # the folder of the version that went, and two files of many against it
    ws.gc()
    assert [path.name for path in ws.root.glob("indexes/*/*/calibration-*.json")] == []
    ws.calibrate("many", "few")
    ws.forget("few:a")
    assert [path.name for path in ws.root.glob("indexes/*/*/calibration-*.json")] == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes anywhere")
def test_a_workspace_that_may_only_be_read(ws):
    ws.root.chmod(0o555)
    assert ws.calibrate("few").threshold(0.1) > 0


JOIN = (
    "SELECT f.id, m.id AS near, array_inner_product(f.embedding, m.embedding) AS score FROM few f JOIN many m "
    "EXACT NEAREST 3 BY SIMILARITY array_inner_product(f.embedding, m.embedding) WHERE score >= {}"
)


@pytest.mark.filterwarnings("ignore::curator.errors.CuratorWarning")
def test_in_sql_it_is_a_threshold_like_any_other(ws):
    cosine = ws.calibrate("many", "few").threshold(0.01)
    expected = ws.sql(JOIN.format(cosine))
    saturated = ws.last_report["joins"][0]["saturated"]
    assert 0 < saturated < 80
    rows = ws.sql(JOIN.format("threshold_at('many', 'few', $fpr)"), fpr=0.01)
    assert rows.rows() == expected.rows()
    assert ws.last_report["joins"][0]["saturated"] == saturated
    within = ws.calibrate("few").threshold(0.01)
    assert ws.sql("SELECT THRESHOLD_AT('few', 0.01) AS t").item() == within
    pairs_ = "SELECT count(*) FROM pairs_within(few, min_score := {})"
    found = ws.sql(pairs_.format("threshold_at('few', 1e-2)")).item()
    assert found == ws.sql(pairs_.format(within)).item() == (every_cosine(FEW) >= within).sum() == 30  # of 3,160
    assert ws.sql("SELECT id FROM few WHERE threshold_at('few', 'many', 0.5) > 1").height == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("threshold_at('many')", "a corpus or two, and a share"),
        ("threshold_at(0.1)", "a corpus or two, and a share"),
        ("threshold_at('many', 'few', 'few', 0.1)", "a corpus or two, and a share"),
        ("threshold_at('mayn', 0.1)", "did you mean 'many'"),
        ("threshold_at('few', 1e-6)", r"threshold_at\('few'\): fpr = 1e-06 is below 0\.0032"),
        ("threshold_at(few.id, 0.1)", "takes a constant"),
    ],
)
def test_in_sql_errors_are_said(ws, call, message):
    with pytest.raises(UsageError, match=message):
        ws.sql(f"SELECT {call} FROM few")


def test_an_error_beside_it_points_into_the_text(ws):
    with pytest.raises(QueryError, match="nix") as error:
        ws.sql("SELECT id FROM pairs_within(few, min_score := threshold_at('few', 0.1)) WHERE nix > 1")
    assert str(error.value).rstrip().endswith("^")


# In recipes


def task_cosines(ws, made: Recipe, left: str, right: str) -> np.ndarray:
    relations = ws._workshop(made).prepare(made, 0).relations
    sides = [relations[name].vectors.matrix() for name in (left, right)]
    return every_cosine(sides[0], None if left == right else sides[1])


@pytest.mark.parametrize(
    ("use", "parameter", "against", "fpr"),
    [
        ("relevance", "min_score", "target", 0.3),
        ("deduplicate", "min_similarity", "pool", 0.01),
        ("decontaminate", "max_similarity", "test", 0.02),
    ],
)
def test_a_stage_takes_a_rate_in_the_place_of_its_cosine(folder, toy, use, parameter, against, fpr):  # noqa: F811
    ws = Workspace(folder / "work", encoder=toy)
    made = recipe(folder, stage=[{"use": use, "fpr": fpr}])
    mix = ws.mix(made)
    cosines = task_cosines(ws, made, "pool", against)
    locked = next(stage for stage in mix.lock["stages"] if stage["name"] == use)
    cosine = locked["parameters"][parameter]
    assert (cosines >= cosine + 1e-6).mean() <= fpr < (cosines >= cosine - EDGE - 1e-6).mean()
    assert "fpr" not in locked["parameters"]
    assert locked["calibrated"]["fpr"] == fpr
    assert locked["calibrated"]["pairs"] == len(cosines)
    assert mix.lock["recipe"]["stage"] == [{"use": use, "fpr": fpr}]
    shown = mix.ledger().filter(pl.col("stage") == use, pl.col("threshold") != 0.6)  # 0.6: of words, not of vectors
    assert shown["threshold"].unique().to_list() == [pytest.approx(cosine, abs=1e-7)]
    assert mix.verify().documents == len(mix)
    assert mix.summary()["calibrated"][0]["stage"] == use
    by_cosine = ws.mix(recipe(folder, stage=[{"use": use, parameter: cosine}]))
    assert by_cosine.lock["ids_sha256"] == mix.lock["ids_sha256"]
    assert "calibrated" not in json.dumps(by_cosine.lock["stages"][-1])


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"use": "relevance", "fpr": 0.1, "min_score": 0.3}, "min_score and fpr are both given"),
        ({"use": "quality", "fpr": 0.1}, "fpr = 0.1, but the stage's header has no"),
        ({"use": "relevance", "fpr": "low"}, "fpr takes a FLOAT, not 'low'"),
        ({"use": "relevance", "fpr": True}, "fpr takes a FLOAT, not True"),
        ({"use": "relevance", "fpr": 1e-6}, r"of pool and target: fpr = 1e-06 is below .* 10,000,000 pairs would do"),
    ],
)
def test_a_rate_that_cannot_be_used_is_said(folder, toy, stage, message):  # noqa: F811
    with pytest.raises(RecipeError, match=message):
        Workspace(folder / "work", encoder=toy).mix(recipe(folder, stage=[stage]))


OWN = """-- Keep what is near a target document.
-- fpr: least of {} and target
-- :least  FLOAT  0.5  cosine to reach
SELECT c.corpus, c.id, max(array_inner_product(c.embedding, t.embedding)) >= $least AS keep, $least AS threshold
FROM candidates AS c CROSS JOIN target AS t GROUP BY ALL
"""


def test_a_stage_of_ones_own_says_which_cosine(folder, toy):  # noqa: F811
    (folder / "near.sql").write_text(OWN.format("pool"))
    ws = Workspace(folder / "work", encoder=toy)
    mix = ws.mix(recipe(folder, stage=[{"use": "near.sql", "fpr": 0.3}]))
    same = ws.mix(recipe(folder, stage=[{"use": "relevance", "fpr": 0.3}]))
    assert mix.frame().rows() == same.frame().rows()


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (OWN.format("test"), "fpr cannot be of 'test'"),
        (OWN.format("candidates"), "fpr cannot be of 'candidates'"),
        (OWN.format("pool").replace("fpr: least", "fpr: last"), "'last', which is no FLOAT parameter"),
        (OWN.format("pool").replace(" of pool", ""), "own.sql:2: the rate is written"),
    ],
)
def test_a_header_that_is_wrong_is_said(sql, message):
    with pytest.raises(RecipeError, match=message):
        Stage.parse("own", sql, "own.sql")


def test_the_command(ws):
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["-w", str(ws.root), "calibrate", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    told = json.loads(run("many", "--against", "few", "--fpr", "0.01", "--fpr", "0.1", "--json"))
    between = ws.calibrate("many", "few")
    assert [row["cosine"] for row in told["rows"]] == [between.threshold(0.01), between.threshold(0.1)]
    assert told["report"] == json.loads(json.dumps(between.report()))
    assert "32,000 random pairs" in run("many", "--against", "few")
    assert f"{between.threshold(0.01):.3f}" in run("many", "--against", "few")
