"""The permutation test of two arms: against all swaps gone through by hand, and by simulation."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, kstest, pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score
from test_kind_race import record as of_kind
from test_statistics import record

from curator.race.statistics import analyse, permuted
from curator.race.statistics.permutation import swapped

SCORES = {
    ("single", "macro_f1"): lambda truth, run: f1_score(truth, run, average="macro", zero_division=0),
    ("single", "accuracy"): accuracy_score,
    ("multi", "macro_f1"): lambda truth, run: f1_score(truth, run, average="macro", zero_division=0),
    ("multi", "micro_f1"): lambda truth, run: f1_score(truth, run, average="micro", zero_division=0),
    ("multi", "accuracy"): accuracy_score,
    ("regression", "pearson"): lambda truth, run: pearsonr(truth, run).statistic,
    ("regression", "spearman"): lambda truth, run: spearmanr(truth, run).statistic,
}


def sample(kind, rng, n, seeds):
    """Truth, and (seeds, n, …) predictions of two arms."""
    if kind == "multi":
        truth, *sides = (rng.random(size) < 0.4 for size in ((n, 3), (seeds, n, 3), (seeds, n, 3)))
        return truth, *sides
    if kind == "regression":
        truth = rng.integers(0, 5, n).astype(float)
        return truth, *(truth + rng.normal(0, 3, (seeds, n)).round() for _ in range(2))
    return tuple(rng.integers(0, 3, size) for size in (n, (seeds, n), (seeds, n)))


def as_record(kind, metric, truth, ours, theirs):
    if kind == "single":
        arms = {"mix": dict(enumerate(ours.tolist())), "random": dict(enumerate(theirs.tolist()))}
        return record(truth.tolist(), arms, metric=metric)
    return of_kind(kind, metric, truth, {"mix": ours, "random": theirs}, labels="abc")


def by_hand(score, truth, ours, theirs):
    """Twice the smaller share of all 2^n swaps whose difference is at least, or at most, the one seen; at most 1."""

    def difference(swaps):
        swaps = np.array(swaps).reshape(-1, *[1] * (truth.ndim - 1))
        pairs = [(np.where(swaps, b, a), np.where(swaps, a, b)) for a, b in zip(ours, theirs, strict=True)]
        return np.mean([score(truth, one) - score(truth, other) for one, other in pairs])

    every = np.array([difference(swaps) for swaps in product([False, True], repeat=len(truth))])
    seen = every[0]
    return min(1.0, 2 * min((every >= seen - 1e-9).mean(), (every <= seen + 1e-9).mean()))


@pytest.mark.parametrize(("kind", "metric"), SCORES)
@pytest.mark.parametrize("seed", range(3))
def test_of_few_documents_all_swaps_are_gone_through(kind, metric, seed):
    truth, ours, theirs = sample(kind, np.random.default_rng(seed + 1), 6, 2)
    race = as_record(kind, metric, truth, ours, theirs)
    expected = by_hand(SCORES[kind, metric], truth, ours, theirs)
    assert swapped(race, truth, ours, theirs, tosses=300) == pytest.approx(expected)
    assert permuted(race, analyse(race, 2), tosses=300) == {"random": pytest.approx(expected)}


def test_it_is_corrected_for_the_number_of_arms_and_needs_one_seed_alone():
    truth, ours, theirs = sample("single", np.random.default_rng(5), 8, 1)
    ours[0] = truth
    alone = swapped(record([0], {}, metric="accuracy"), truth, ours, theirs, tosses=300)
    arms = {"mix": {0: ours[0].tolist()}, "random": {0: theirs[0].tolist()}, "full": {0: theirs[0].tolist()}}
    race = record(truth.tolist(), arms | {"dsir": {1: theirs[0].tolist()}})  # shares no seed
    results = analyse(race)
    assert {one.finding for one in results.comparisons} == {"undecided"}
    assert 0 < alone < 0.4
    assert permuted(race, results, tosses=300) == {name: pytest.approx(2 * alone) for name in ("random", "full")}


def test_arms_of_equal_predictions_cannot_be_told_apart():
    truth, ours, _ = sample("single", np.random.default_rng(6), 30, 3)
    assert swapped(record([0], {}), truth, ours, ours) == 1
    other = ours.copy()
    other[:, 0] = 1 - other[:, 0]  # on one document alone: a swap of it changes nothing but the sign
    assert swapped(record([0], {}), truth, ours, other) == 1


def test_without_a_difference_p_is_uniform():
    """Two arms whose predictions of a document are drawn alike, all seeds leaning the same way."""
    rng = np.random.default_rng(7)
    values, races, documents, seeds = [], 200, 80, 3
    for _ in range(races):
        truth = rng.integers(0, 3, documents)
        easy = rng.beta(2, 1, (2, 1, documents))  # how likely each arm is right of a document, whatever the seed
        right = rng.random((2, seeds, documents)) < easy
        ours, theirs = np.where(right, truth, rng.integers(0, 3, (2, seeds, documents)))
        values.append(swapped(record([0], {}, metric="macro_f1"), truth, ours, theirs, tosses=199))
    assert kstest(values, "uniform").pvalue > 0.01
    low, high = binom.ppf([0.001, 0.999], races, 0.05)
    assert low <= sum(value <= 0.05 for value in values) <= high


def test_a_difference_is_found():
    rng = np.random.default_rng(8)
    truth = rng.integers(0, 3, 300)
    ours, theirs = (np.where(rng.random((3, 300)) < share, truth, 0) for share in (0.8, 0.6))
    assert swapped(record([0], {}, metric="macro_f1"), truth, ours, theirs) <= 2 / 1000
