"""Statistics of a race: by hand, against scipy and scikit-learn, and by simulation."""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, t, ttest_rel
from sklearn.metrics import accuracy_score, f1_score

from curator.errors import DataError
from curator.race import statistics
from curator.race.statistics import intervals, scoring


def record(truth: list[int], arms: dict[str, dict[int, list[int] | None]], **changes: Any) -> dict[str, Any]:
    """A race record with only what statistics read; predictions None is a failed run; target-only does not select."""
    return {
        "format": 1,
        "kind": "race",
        "name": "toy",
        "smoke": None,
        "metric": "accuracy",
        "labels": ["a", "b", "c"],
        "evaluation": {
            "documents": len(truth),
            "of": len(truth),
            "ids": [str(i) for i in range(len(truth))],
            "truth": truth,
        },
        "arms": [{"name": name, "selecting": name != "target-only", "description": ""} for name in arms],
        "runs": [
            {
                "arm": arm,
                "seed": seed,
                "documents": 100,
                "predictions": run or [],
                "error": "out of memory" if run is None else None,
            }
            for arm, runs in arms.items()
            for seed, run in runs.items()
        ],
        "mix": None,
        **changes,
    }


def exact(right: int, of: int = 100) -> list[int]:
    """Predictions for a truth of zeros of which exactly so many are right: the accuracy in points when of = 100."""
    return [0] * right + [1] * (of - right)


def hundred(arms: dict[str, list[int | None]], **changes: Any) -> dict[str, Any]:
    """A race on 100 documents from accuracies in points per seed."""
    runs = {
        arm: {seed: None if right is None else exact(right) for seed, right in enumerate(scores)}
        for arm, scores in arms.items()
    }
    return record([0] * 100, runs, **changes)


def only(results: statistics.Results) -> statistics.Comparison:
    (comparison,) = results.comparisons
    return comparison


# Scores


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = int(rng.integers(1, 7))
    truth, predicted = rng.integers(0, labels, 8), rng.integers(0, labels + 2, 8)
    expected = 100 * f1_score(truth, predicted, average="macro", zero_division=0)
    assert statistics.score(truth, predicted, "macro_f1") == pytest.approx(expected)
    assert statistics.score(truth, predicted, "accuracy") == pytest.approx(100 * accuracy_score(truth, predicted))


def test_macro_f1_leaves_out_labels_that_never_occur_and_counts_those_only_predicted() -> None:
    # labels 0, 2 and 3 occur; F1 = 1, 2/3 and 0; label 1 does not exist for the metric
    assert statistics.score([0, 2, 2], [0, 2, 3], "macro_f1") == pytest.approx(100 * (1 + 2 / 3 + 0) / 3)


def test_resampled_scores_are_those_of_scikit_learn_on_the_drawn_documents() -> None:
    rng = np.random.default_rng(3)
    truth, predicted = rng.integers(0, 3, 12), rng.integers(0, 3, 12)
    race = record(truth.tolist(), {"mix": {0: predicted.tolist()}}, metric="macro_f1")
    got = scoring.resampled(race, {"mix": {0: predicted}}, 30)["mix", 0]
    draws = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=30)
    for value, draw in zip(got, draws, strict=True):
        expected = f1_score(np.repeat(truth, draw), np.repeat(predicted, draw), average="macro", zero_division=0)
        assert value == pytest.approx(100 * expected)


# Intervals


def test_arm_mean_sd_and_interval_by_hand() -> None:
    arm = statistics.analyse(hundred({"mix": [60, 62, 64, 66, 68]})).arms[0]
    assert (arm.mean, arm.sd) == (pytest.approx(64), pytest.approx(10**0.5))
    assert arm.interval is not None
    # t(0.975, 4) = 2.776445; 2.776445 · √10 / √5 = 3.926486
    assert (arm.interval.low, arm.interval.high) == (pytest.approx(60.073514), pytest.approx(67.926486))


def test_paired_intervals_are_those_of_a_paired_t_test() -> None:
    mix, random, full = [70, 74, 71, 78, 73], [66, 71, 70, 70, 72], [80, 70, 90, 60, 75]
    results = statistics.analyse(hundred({"random": random, "mix": mix, "full": full}))
    assert [arm.name for arm in results.arms] == ["mix", "random", "full"]
    for comparison, scores in zip(results.comparisons, (random, full), strict=True):
        test = ttest_rel(mix, scores)
        nominal, family = test.confidence_interval(0.95), test.confidence_interval(0.975)  # two comparisons
        assert comparison.difference == pytest.approx(np.mean(mix) - np.mean(scores))
        assert comparison.nominal == statistics.Interval(pytest.approx(nominal.low), pytest.approx(nominal.high))
        assert comparison.family == statistics.Interval(pytest.approx(family.low), pytest.approx(family.high))


def test_the_family_wise_interval_decides_not_the_nominal_one() -> None:
    mix, random = [70, 74, 71, 78, 73], [66, 70, 70, 70, 72]  # nominal 95 % excludes 0, 97.5 % does not
    alone = only(statistics.analyse(hundred({"mix": mix, "random": random})))
    assert alone.nominal is not None
    assert alone.nominal.low > 0
    assert alone.finding == "better"
    both = statistics.analyse(hundred({"mix": mix, "random": random, "full": random})).comparisons[0]
    assert both.nominal == alone.nominal
    assert both.finding == "indistinguishable"


def test_sign() -> None:
    better = only(statistics.analyse(hundred({"mix": [80, 81, 82], "random": [60, 60, 62]})))
    assert better.finding == "better"
    assert better.difference == pytest.approx(20 + 1 / 3)
    worse = only(statistics.analyse(hundred({"mix": [60, 60, 62], "random": [80, 81, 82]})))
    assert worse.finding == "worse"
    assert worse.difference == pytest.approx(-20 - 1 / 3)


def test_missing_runs_are_left_out_counted_and_pairs_are_by_seed() -> None:
    results = statistics.analyse(
        hundred({"mix": [70, 75, None, 82], "random": [60, None, 61, 63], "target-only": [50]})
    )
    random, target = results.comparisons
    assert (results.runs, results.failed) == (9, 2)
    assert results.arms[0].seeds == (0, 1, 3)
    assert results.arms[0].failed == 1
    assert random.seeds == (0, 3)  # 70 − 60 and 82 − 63, not 75 − 63
    assert random.difference == pytest.approx((10 + 19) / 2)
    assert random.sd == pytest.approx(np.std([10, 19], ddof=1))
    assert target.finding == "undecided"
    assert target.nominal is target.family is target.p is target.detectable is None
    # the family is one: target-only shares a single seed
    assert random.family == random.nominal
    assert "2 of 9 runs failed and are left out" in statistics.verdict(results)
    assert "target-only shared fewer than 2 seeds" in statistics.verdict(results)


def test_order_of_runs_does_not_matter() -> None:
    race = hundred({"mix": [70, 75, 71, 82], "random": [60, 66, 61, 63]})
    turned = {**race, "runs": race["runs"][::-1]}
    assert statistics.analyse(race) == statistics.analyse(turned)


# The verdict


def test_verdict_says_each_finding_with_its_figures() -> None:
    race = hundred(
        {
            "mix": [70, 72, 71, 73, 74],
            "random": [60, 61, 62, 62, 64],
            "random-balanced": [71, 70, 73, 72, 74],
            "full": [80, 82, 82, 83, 85],
        }
    )
    results = statistics.analyse(race)
    sentence = statistics.verdict(results)
    by_arm = {comparison.arm: comparison for comparison in results.comparisons}
    assert sentence.startswith("The mix is better than random by 10.2 points of accuracy (95 % family-wise interval ")
    assert "it is indistinguishable from random-balanced (" in sentence
    assert f"could have detected {statistics.points(by_arm['random-balanced'].detectable)} points" in sentence
    assert "it is worse than full by 10.4 (" in sentence
    assert sentence.endswith(".")
    assert sentence.count("points of accuracy") == 1
    for comparison in results.comparisons:
        assert comparison.family is not None
        assert f"{statistics.points(comparison.family.low)} to {statistics.points(comparison.family.high)}" in sentence


def test_verdict_when_nothing_differs() -> None:
    sentence = statistics.verdict(statistics.analyse(hundred({"mix": [70, 71, 72], "random": [71, 70, 72]})))
    assert re.fullmatch(
        r"The mix is indistinguishable from random \(95 % family-wise interval −2\.5 to 2\.5 points of accuracy, "
        r"3 seeds; this race could have detected \d+\.\d points\)\.",
        sentence,
    )


def test_verdict_with_one_seed_gives_no_interval() -> None:
    sentence = statistics.verdict(statistics.analyse(hundred({"mix": [70], "random": [60], "full": [72]})))
    assert "no verdict" in sentence
    assert "10.0 more than random and 2.0 less than full" in sentence
    assert "interval" not in sentence


@pytest.mark.parametrize(
    ("arms", "expected"),
    [
        ({"target-only": [50, 51]}, "no arm selects"),
        ({"mix": [50, 51]}, "mix is the only arm with a finished run"),
        ({"mix": [None, None], "random": [50, 51]}, "mix has no finished run; 2 of 4 runs failed"),
    ],
)
def test_verdict_with_nothing_to_compare(arms: dict[str, list[int | None]], expected: str) -> None:
    assert expected in statistics.verdict(statistics.analyse(hundred(arms)))


def test_without_a_mix_the_first_selecting_arm_is_compared() -> None:
    results = statistics.analyse(hundred({"target-only": [50, 51, 51], "dsir": [80, 81, 83], "random": [60, 61, 60]}))
    assert results.champion == results.arms[0].name == "dsir"
    assert statistics.verdict(results).startswith("dsir is better than target-only by 30.7 points")


def test_verdict_of_a_smoke_race_says_so() -> None:
    race = hundred({"mix": [70, 71, 72], "random": [60, 61, 60]}, smoke="2 of 5 seeds")
    assert statistics.verdict(statistics.analyse(race)).startswith(
        "Only a smoke test (2 of 5 seeds): the mix is better"
    )


def test_a_difference_that_rests_on_few_documents_is_doubted() -> None:
    # the same 2 of 30 documents in every seed: certain over seeds, not over documents
    truth = [0] * 30
    mix = {seed: [0] * 30 for seed in range(5)}
    random = {seed: [1] * 2 + [0] * 28 for seed in range(4)} | {4: [1] * 3 + [0] * 27}
    results = statistics.analyse(record(truth, {"mix": mix, "random": random}))
    assert only(results).finding == "better"
    assert only(results).p > 0.05
    assert "with other evaluation documents it might not be, corrected p = " in statistics.verdict(results)


def test_a_race_too_small_to_detect_anything_says_so() -> None:
    results = statistics.analyse(hundred({"mix": [70, 80], "random": [79, 66]}))
    assert only(results).detectable > 100
    assert "this race was too small to detect any difference" in statistics.verdict(results)


def test_points() -> None:
    figures = [3.14, -0.42, 0.04, -0.04, 0.001, -0.001, 0.0, 12.35]
    assert [statistics.points(x) for x in figures] == ["3.1", "−0.4", "0.04", "−0.04", "0.0", "0.0", "0.0", "12.3"]
    assert [statistics.points(x, sign=True) for x in (3.14, -3.14, 0.0, None)] == ["+3.1", "−3.1", "0.0", "–"]


# Bad records


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda r: r.update(format=2), "format 2"),
        (lambda r: r.update(metric="loss"), "unknown metric 'loss'"),
        (lambda r: r["evaluation"]["ids"].pop(), "99 evaluation ids for 100 true labels"),
        (lambda r: r["runs"][0]["predictions"].pop(), "99 predictions for 100"),
        (lambda r: r["runs"][1]["predictions"].__setitem__(0, 3), "seed 1: label index 3, but the record has 3 labels"),
        (lambda r: r["evaluation"]["truth"].__setitem__(0, -1), "label index -1"),
        (lambda r: r["runs"][1].update(seed=0), "recorded twice"),
        (lambda r: r["runs"][0].update(arm="gone"), "no such arm"),
    ],
)
def test_a_record_that_contradicts_itself_is_an_error(spoil: Any, expected: str) -> None:
    race = json.loads(json.dumps(hundred({"mix": [70, 71], "random": [60, 61]})))
    spoil(race)
    with pytest.raises(DataError, match=re.escape(expected)):
        statistics.analyse(race)


# Simulation: seeds shift an arm's accuracy at random, predictions are then drawn document by document


DOCUMENTS = 200


def race(rng: np.random.Generator, ability: dict[str, float], seeds: int = 5, hard: float = 0.0) -> dict[str, Any]:
    """One simulated race. ``hard`` is how much each document favours an arm, the same in all seeds."""
    arms = {}
    for arm, probability in ability.items():
        favour = rng.normal(0, hard, DOCUMENTS) if hard else 0.0
        runs = probability + rng.normal(0, 0.02, (seeds, 1)) + favour
        wrong = rng.random((seeds, DOCUMENTS)) >= runs
        arms[arm] = {seed: wrong[seed].astype(int).tolist() for seed in range(seeds)}
    return record([0] * DOCUMENTS, arms)


@pytest.fixture(scope="module")
def verdicts() -> Any:
    """benchmarks/verdicts.py: races by macro-F1 whose arms, seeds, labels and documents vary, of 8 arms."""
    folder = str(Path(__file__).parent.parent / "benchmarks")
    sys.path.insert(0, folder)
    yield importlib.import_module("verdicts")
    sys.path.remove(folder)


RACES = 200


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_without_a_difference_the_verdict_tells_no_arm_from_the_mix_in_about_95_races_of_100(
    verdicts: Any, seeds: int
) -> None:
    """Of all 7 comparisons together; and Bonferroni gives away less than half of the 5, or it would find nothing."""
    found = verdicts.without_a_difference(np.random.default_rng(seeds), seeds, RACES)["found"]
    assert binom.ppf(0.005, RACES, 0.025) <= found <= binom.ppf(0.995, RACES, 0.05)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_a_difference_of_the_stated_size_is_found_in_about_four_races_of_five(verdicts: Any, seeds: int) -> None:
    gain, effect, sd = verdicts.planting(seeds, races=20, each=25)
    assert effect == pytest.approx(sd * detectable_by_hand(seeds, 7), rel=0.02)
    rng, found = np.random.default_rng(seeds), 0
    for _ in range(RACES):
        results = statistics.analyse(verdicts.race(rng, seeds, gain=gain), resamples=0)
        found += results.comparisons[0].finding == "better"
    # The pilot knows the spread to about 3 %, and with it the effect: 2 races in 100.
    assert binom.ppf(0.005, RACES, 0.78) <= found <= binom.ppf(0.995, RACES, 0.82)


def detectable_by_hand(seeds: int, comparisons: int) -> float:
    """The effect in standard deviations that a t-test at 0.05 / comparisons finds in 80 %, by drawing many of them."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(200_000, seeds))
    mean, error = draws.mean(axis=1), draws.std(axis=1, ddof=1) / seeds**0.5
    critical = t.isf(0.05 / comparisons / 2, seeds - 1)
    return float(np.quantile(critical * error - mean, 0.80))


@pytest.mark.parametrize(("seeds", "comparisons"), [(2, 1), (3, 7), (5, 1), (5, 11), (10, 7)])
def test_the_detectable_effect_is_that_of_simulated_t_tests(seeds: int, comparisons: int) -> None:
    expected = detectable_by_hand(seeds, comparisons)
    assert statistics.detectable(2.5, seeds, comparisons) == pytest.approx(2.5 * expected, rel=0.02)


@pytest.mark.parametrize("documents", [0.1, 0.3])
def test_corrected_p_values_are_not_too_sure_where_few_seeds_lie_close_together(documents: float) -> None:
    """By Satterthwaite's degrees alone, 17 to 22 races of 100 would have one false finding among 7 comparisons."""
    rng = np.random.default_rng(5)
    means, spreads = rng.normal(0, (1 + documents) ** 0.5, 1500), rng.chisquare(2, 1500) / 2
    values = [intervals.p_value(*one, documents, 2) for one in zip(means, spreads, strict=True)]
    assert 7 * np.mean(np.array(values) < 0.05 / 7) < 0.10
    of_seeds = intervals.p_value(2.0, 1.5, 0.0, 2)  # without documents it is the t-test of seeds alone
    assert of_seeds == pytest.approx(2 * t.sf(2.0 / 1.5**0.5, 2))


def test_p_values_hold_for_other_documents_where_intervals_over_seeds_do_not() -> None:
    rng = np.random.default_rng(3)
    significant = intervals = 0
    for _ in range(300):
        result = only(statistics.analyse(race(rng, {"mix": 0.7, "random": 0.7}, hard=0.3), resamples=200))
        significant += result.p < 0.05
        intervals += result.finding != "indistinguishable"
    assert intervals / 300 > 0.1  # documents favour an arm by chance: certain for these, wrong in general
    assert 0.01 <= significant / 300 <= 0.07


def test_rivals_parts_and_controls_are_families_of_their_own():
    arms = {"mix": [60, 64, 62], "random": [50, 57, 53], "full": [61, 63, 62]}
    parts = {"without-stage:relevance": [52, 51, 55], "without-source:tweets": [60, 65, 60], "farthest": [60, 63, 62]}
    plain, whole = statistics.analyse(hundred(arms)), statistics.analyse(hundred({**arms, **parts}))
    assert whole.comparisons[:2] == plain.comparisons
    by_name = {one.arm: one for one in whole.comparisons}
    for name, family in (("random", 2), ("without-stage:relevance", 2), ("without-source:tweets", 2), ("farthest", 1)):
        values = np.array(arms["mix"]) - np.array((arms | parts)[name])
        half = t.isf(0.05 / family / 2, 2) * values.std(ddof=1) / np.sqrt(3)
        assert by_name[name].family is not None
        assert by_name[name].family.low == pytest.approx(values.mean() - half)
        assert by_name[name].p_family == pytest.approx(min(1, family * by_name[name].p))


def test_the_verdict_is_about_rivals_and_says_so_of_a_control_that_is_as_good():
    arms = {"mix": [60, 64, 62], "random": [50, 54, 52], "without-stage:relevance": [50, 53, 52]}
    said = statistics.verdict(
        statistics.analyse(hundred({**arms, "farthest": [60, 63, 62], "random-vectors": [9, 7, 8]}))
    )
    assert said.startswith("The mix is better than random by 10.0 points of accuracy (")
    assert said.endswith("; it is no better than the control farthest.")
    assert "without-stage" not in said
    assert "random-vectors" not in said
    alone = statistics.verdict(
        statistics.analyse(hundred({name: arms[name] for name in ("mix", "without-stage:relevance")}))
    )
    assert "better than without-stage:relevance by" in alone
