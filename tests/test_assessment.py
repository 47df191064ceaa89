"""The assessment of a model, against figures worked out by hand, plain loops, scikit-learn and scipy."""

import json
from math import sqrt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap
from sklearn.metrics import brier_score_loss, f1_score, log_loss, roc_auc_score
from test_training import one_thread, tiny, tune  # noqa: F401  the fixtures
from typer.testing import CliRunner

from curator import Workspace
from curator.assessment import Perturbation, assess, markdown, perturbations
from curator.assessment.domains import auroc, detection
from curator.assessment.perturbations import NEIGHBOURS, TYPOS, mistyped, without_words
from curator.assessment.reliability import by_mass, by_width, reliability
from curator.assessment.resampling import difference, macro_f1, share
from curator.assessment.temperature import fit, nll, temperature
from curator.cli import app
from curator.errors import CuratorWarning, DataError, UnknownNameError, UsageError

RNG = np.random.default_rng


def drawn(n, *, labels=3, scale=2.0, seed=0):
    """Logits, and labels drawn from their probabilities: a perfectly calibrated model."""
    rng = RNG(seed)
    logits = scale * rng.normal(size=(n, labels))
    odds = np.exp(logits)
    truth = (rng.random(n)[:, None] > np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)).sum(axis=1)
    return logits, truth.clip(max=labels - 1)


def sure(confidence):
    """Logits of two labels of which the first has these probabilities."""
    return np.log(np.stack([confidence, 1 - np.asarray(confidence)], axis=1))


# Intervals


def test_macro_f1_and_its_interval_are_those_of_scikit_learn_and_scipy():
    rng = RNG(1)
    truth = rng.integers(0, 3, 150)
    predicted = np.where(rng.random(150) < 0.7, truth, rng.integers(0, 3, 150))
    found = macro_f1(truth, predicted, seed=0, resamples=4000)
    assert found.value == pytest.approx(f1_score(truth, predicted, average="macro"))

    def statistic(a, b):
        return f1_score(a, b, average="macro")

    theirs = bootstrap(
        (truth, predicted), statistic, paired=True, vectorized=False, n_resamples=1500, method="percentile",
        rng=RNG(2),
    ).confidence_interval  # fmt: skip
    assert [found.low, found.high] == pytest.approx([theirs.low, theirs.high], abs=0.012)


def test_a_paired_difference_has_the_standard_error_of_a_difference_of_pairs():
    rng, n = RNG(3), 2000
    truth = rng.integers(0, 2, n)
    before = np.where(rng.random(n) < 0.8, truth, 1 - truth)
    after = np.where(rng.random(n) < 0.05, 1 - before, before)
    pairs = (after == truth).astype(float) - (before == truth)
    found = difference(truth, before, after, "accuracy", seed=0)
    half = 1.96 * pairs.std() / sqrt(n)
    assert found.value == pytest.approx(pairs.mean())
    assert [found.low, found.high] == pytest.approx([pairs.mean() - half, pairs.mean() + half], abs=0.1 * half)
    apart = 1.96 * sqrt(2 * 0.8 * 0.2 / n)  # what the two would have as if of different documents
    assert found.high - found.low < apart
    same = difference(truth, before, before, "macro_f1", seed=0)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_accuracy_has_wilsons_interval():
    assert share(8, 10).low == pytest.approx(0.490, abs=5e-4)  # Newcombe (1998)'s way, by hand
    assert share(8, 10).high == pytest.approx(0.943, abs=5e-4)
    assert share(10, 10).low == pytest.approx(10 / (10 + 1.96**2))


# Calibration


def looped(confidence, right, bins):
    """The expected and the largest calibration error as Guo et al. write them: bins above a bound, up to the next."""
    total, largest = 0.0, 0.0
    for number in range(bins):
        inside = [i for i, c in enumerate(confidence) if number / bins < c <= (number + 1) / bins]
        if inside:
            gap = abs(sum(right[i] for i in inside) / len(inside) - sum(confidence[i] for i in inside) / len(inside))
            total, largest = total + len(inside) / len(confidence) * gap, max(largest, gap)
    return total, largest


def test_calibration_errors_are_those_of_a_plain_loop():
    rng = RNG(4)
    logits, truth = rng.normal(size=(400, 3)), rng.integers(0, 3, 400)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    found = reliability(logits, truth, seed=0, simulations=10)
    assert [found.ece.value, found.mce.value] == pytest.approx(looped(confidence, right, 15))
    parts = np.array_split(np.argsort(confidence), [400 * part // 15 for part in range(1, 15)])  # no ties here
    by_hand = sum(abs(right[part].sum() - confidence[part].sum()) for part in parts) / 400
    assert found.ece_equal_mass.value == pytest.approx(by_hand)
    assert sum(row.documents for row in found.diagram) == sum(row.documents for row in found.diagram_equal_mass) == 400
    top = confidence > 14 / 15
    assert found.diagram[-1].documents == top.sum()
    assert found.diagram[-1].accuracy.value == pytest.approx(right[top].mean())


def test_ninety_per_cent_sure_and_right_half_of_the_time():
    found = reliability(sure([0.9] * 100), np.arange(100) % 2, seed=0)
    assert found.ece.value == found.ece_equal_mass.value == found.mce.value == pytest.approx(0.4)
    assert found.verdict == "overconfident by 0.400 on the average"
    assert found.ece.p == pytest.approx(1 / 1001)
    assert [(row.documents, row.accuracy.value) for row in found.diagram] == [(100, 0.5)]
    right = reliability(sure([0.6] * 100), np.zeros(100, int), seed=0)
    assert right.verdict == "underconfident by 0.400 on the average"


def test_a_calibrated_model_shows_what_chance_gives():
    errors = [reliability(*drawn(200, seed=seed), seed=seed, simulations=200).ece for seed in range(60)]
    values = np.array([error.value for error in errors])
    assert values.mean() > 0.04  # although its true error is 0
    assert np.mean([error.by_chance for error in errors]) == pytest.approx(values.mean(), rel=0.1)
    above = sum(error.value > error.most_by_chance for error in errors)
    assert above <= 8  # 3 of 60 are expected; more than 8 has a probability of 0.3 %
    assert np.mean([error.p <= 0.5 for error in errors]) == pytest.approx(0.5, abs=0.2)
    large = reliability(*drawn(40_000), seed=0, simulations=50)
    assert large.ece.value < 0.01
    assert large.ece.value <= large.ece.most_by_chance
    assert "no calibration error" in large.verdict


def test_what_chance_gives_is_known_for_one_bin():
    n, p = 100, 0.8
    found = reliability(sure([p] * n), np.zeros(n, int), seed=0, simulations=20_000).ece
    assert found.by_chance == pytest.approx(sqrt(2 / np.pi * p * (1 - p) / n), rel=0.03)  # of a normal variable


def test_brier_score_and_likelihood_are_scikit_learns():
    logits, truth = RNG(5).normal(size=(90, 4)), RNG(6).integers(0, 4, 90)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = reliability(logits, truth, seed=0, simulations=10)
    assert found.brier.value == pytest.approx(brier_score_loss(truth, probabilities, labels=range(4)))
    assert found.nll.value == pytest.approx(log_loss(truth, probabilities, labels=range(4)))
    losses = -np.log(probabilities[np.arange(90), truth])
    assert found.nll.high - found.nll.low == pytest.approx(2 * 1.987 * losses.std(ddof=1) / sqrt(90), rel=1e-3)
    extreme = reliability(np.array([[0.0, 500.0], [500.0, 0.0]]), np.array([0, 0]), seed=0, simulations=10)
    assert extreme.nll.value == pytest.approx(250)  # although the probability is 0 in float64


def test_bins_of_equal_mass_keep_ties_together():
    assert np.bincount(by_mass(np.linspace(0, 1, 150))).tolist() == [10] * 15
    tied = np.array([0.5] * 10 + [0.7] * 3 + [0.9] * 87)
    bins = by_mass(tied)
    assert all(len(set(bins[tied == value])) == 1 for value in (0.5, 0.7, 0.9))
    assert by_width(np.array([0.2, 1 / 3, 0.34, 1.0]), 3).tolist() == [0, 0, 1, 2]


# Temperature


@pytest.mark.parametrize("known", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_found_again(known):
    logits, truth = drawn(20_000, seed=7)
    assert fit(logits * known, truth) == pytest.approx(known, rel=0.03)


def test_the_temperature_of_a_calibrated_model_is_one():
    assert fit(sure([0.75] * 4), np.array([0, 0, 0, 1])) == 1


@given(st.integers(0, 10_000), st.floats(0.05, 20))
@settings(max_examples=40, deadline=None)
def test_the_likelihood_of_the_fitted_half_is_never_worse(seed, scale):
    rng = RNG(seed)
    logits, truth = scale * rng.normal(size=(25, 3)), rng.integers(0, 3, 25)
    best = nll(logits / fit(logits, truth), truth)
    assert best <= nll(logits, truth)
    for other in np.geomspace(0.011, 99, 60):
        assert best <= nll(logits / other, truth) + 1e-6


def test_a_temperature_is_measured_on_documents_it_was_not_fitted_on():
    logits, truth = drawn(600, seed=8)
    texts = [f"text {row // 2}" for row in range(600)]  # each twice
    found = temperature(texts, 3 * logits, truth, seed=0)
    assert found.fitted_on + found.before.documents == 600
    assert found.fitted_on % 2 == 0
    assert found.value == pytest.approx(3, rel=0.3)
    assert found.after.ece.value < found.before.ece.value / 2
    sides = set()
    for row in range(0, 40, 2):  # other labels for one text: they move the temperature or what is measured, never both
        labels = truth.copy()
        labels[row : row + 2] = (labels[row : row + 2] + 1) % 3
        changed = temperature(texts, 3 * logits, labels, seed=0)
        sides.add((changed.value != found.value, changed.before.nll != found.before.nll))
    assert sides == {(True, False), (False, True)}


def test_where_no_temperature_can_be_said():
    logits, truth = drawn(10)
    assert "too few documents" in temperature([str(row) for row in range(10)], logits, truth, seed=0)
    logits, _ = drawn(200)
    assert "right" in temperature([str(row) for row in range(200)], logits, logits.argmax(axis=1), seed=0)


# Perturbations

TEXT = "The Quick brown fox jumps over the lazy dog, and 17 more were 水果 late again " * 40


def test_the_keyboard_is_the_one_of_the_desk():
    assert set(NEIGHBOURS["g"]) == set("ftyhvb")
    assert set(NEIGHBOURS["q"]) == set("wa")
    assert set(NEIGHBOURS["p"]) == set("ol")
    assert set(NEIGHBOURS["m"]) == set("njk")
    assert all(one in NEIGHBOURS[other] for one, others in NEIGHBOURS.items() for other in others)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5])
def test_as_many_letters_are_hit_as_the_rate_says(rate):
    letters = sum(letter.isalpha() for letter in TEXT)
    latin = sum(letter.isascii() and letter.isalpha() for letter in TEXT)
    counts = {
        "drop": (letters, len(TEXT) - len(mistyped(TEXT, RNG(0), rate=rate, kinds=("drop",)))),
        "insert": (latin, len(mistyped(TEXT, RNG(1), rate=rate, kinds=("insert",))) - len(TEXT)),
    }
    replaced = mistyped(TEXT, RNG(2), rate=rate, kinds=("replace",))
    assert len(replaced) == len(TEXT)
    counts["replace"] = (latin, sum(a != b for a, b in zip(TEXT, replaced, strict=True)))
    for kind, (n, hits) in counts.items():
        assert abs(hits - n * rate) < 4 * sqrt(n * rate * (1 - rate)), kind


def test_what_a_typo_leaves_alone():
    for kind in TYPOS:
        changed = mistyped(TEXT, RNG(3), rate=0.3, kinds=(kind,))
        assert sorted(c for c in changed if not c.isalpha()) == sorted(c for c in TEXT if not c.isalpha())
    swapped = mistyped(TEXT, RNG(4), rate=0.3, kinds=("swap",))
    assert sorted(swapped) == sorted(TEXT)
    assert [len(word) for word in swapped.split()] == [len(word) for word in TEXT.split()]
    assert swapped != TEXT
    replaced = mistyped(TEXT, RNG(5), rate=1, kinds=("replace",))
    for old, new in zip(TEXT, replaced, strict=True):
        if old.isascii() and old.isalpha():
            assert new.lower() in NEIGHBOURS[old.lower()]
            assert old.isupper() == new.isupper()
        else:
            assert new == old
    assert mistyped("aa bb c", RNG(0), rate=1, kinds=("swap",)) == "aa bb c"
    assert mistyped("ab cd", RNG(0), rate=1, kinds=("swap",)) == "ba dc"


@given(st.text(min_size=1, max_size=12), st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_no_text_is_emptied_and_a_rate_of_one_typo_moves_the_length_by_at_most_that(text, seed):
    for change in perturbations(typos=0.9, words=0.9):
        changed = change(text, seed)
        assert bool(changed.strip()) == bool(text.strip())
        assert change(text, seed) == changed
    one = mistyped(text, RNG(seed), rate=0.5)
    assert abs(len(one) - len(text)) <= sum(letter.isalpha() for letter in text)


def test_a_single_letter_that_would_be_dropped_stays():
    drop = Perturbation("drop", lambda text, rng: mistyped(text, rng, rate=1, kinds=("drop",)))
    assert drop("a b", 0) == "a b"
    assert drop("a 1", 0) == " 1"


def test_words_are_dropped_at_the_rate_and_one_stays():
    words = [f"w{number}" for number in range(3000)]
    left = without_words(" ".join(words), RNG(0), rate=0.2).split()
    assert abs(len(left) - 2400) < 4 * sqrt(3000 * 0.2 * 0.8)
    assert [word for word in words if word in set(left)] == left
    assert {without_words("one two", RNG(seed), rate=1) for seed in range(20)} == {"one", "two"}
    assert without_words("two  spaces", RNG(0), rate=1e-9) == "two  spaces"


def test_seeds_and_names_draw_apart():
    mixed, swap, *_ = perturbations(0.2, 0.2)
    replace = Perturbation("replace", lambda text, rng: mistyped(text, rng, rate=0.2, kinds=("replace",)))
    places = {tuple(letter == "f" for letter in replace("f" * 40 + end, 0)[:40]) for end in "abcd"}
    assert len(places) == 4  # texts of one length are not hit in the same places
    assert mixed(TEXT, 0) != mixed(TEXT, 1)
    assert mixed(TEXT, 0) != swap(TEXT, 0)
    with pytest.raises(UsageError, match=r"typos = 0\b.* above 0"):
        perturbations(typos=0)
    with pytest.raises(UsageError, match=r"words = 1.5"):
        perturbations(words=1.5)


# In from out of domain


def test_auroc_is_scikit_learns_and_its_interval_delongs():
    rng = RNG(9)
    inside, outside = np.round(rng.normal(1, 1, 60), 1), np.round(rng.normal(0, 1, 40), 1)  # with ties
    found = auroc(inside, outside)
    known = np.array([1] * 60 + [0] * 40)
    assert found.value == pytest.approx(roc_auc_score(known, np.concatenate([inside, outside])))
    above = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
    variance = above.mean(axis=1).var(ddof=1) / 60 + above.mean(axis=0).var(ddof=1) / 40
    assert found.high - found.value == pytest.approx(1.959964 * sqrt(variance))
    assert auroc(np.array([2.0, 3]), np.array([0.0, 1])).value == 1


def test_false_positives_where_95_per_cent_are_accepted():
    inside, outside = np.arange(1, 101) / 100, np.array([0.05, 0.06, 0.5, 0.9])
    found = detection(inside, outside)
    assert found.threshold == 0.06  # 95 of 100 reach it
    assert found.fpr.value == 0.75
    assert detection(inside[:10], outside).threshold == 0.01  # 9 of 10 would be too few


# The whole

WORDS = ["good", "bad", "fine", "poor", *(f"w{number}" for number in range(20))]
LABELS = ("negative", "positive")


def keywords(texts):
    """A model that counts words; typos confuse it."""
    scores = [[text.count("bad") - 0.1 * len(text) % 0.7, text.count("good")] for text in texts]
    return np.array(scores, np.float32)


def documents(n=200, seed=0):
    rng = RNG(seed)
    rows = []
    for row in range(n):
        words = [WORDS[i] for i in rng.integers(4, len(WORDS), 5)]
        label = LABELS[row % 2]
        words.insert(2, ["bad", "good"][row % 2] if rng.random() < 0.8 else "so")
        rows.append({"text": " ".join(words), "label": label, "source": "few" if row < 10 else "many"})
    return pl.DataFrame(rows)


def test_everything_fits_together_and_the_order_of_the_rows_makes_no_difference():
    frame = documents()
    given_ = {"by": ["source"], "out_of_domain": documents(50, seed=1), "resamples": 200}
    found = assess(keywords, LABELS, frame, **given_)
    told = found.json()
    json.dumps(told, allow_nan=False)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
    assert assess(keywords, LABELS, shuffled, **given_).json() == told
    assert assess(keywords, LABELS, frame, **given_, seed=1).json() != told
    predicted = keywords(frame["text"].to_list()).argmax(axis=1)
    right = predicted == (frame["label"] == "positive").to_numpy()
    assert found.scores.accuracy.value == pytest.approx(right.mean())
    assert sum(row["documents"] for row in found.per_label) == 200
    assert found.per_label[0]["right"] == pytest.approx(right[::2].mean())
    assert found.per_label[0]["predicted"] == (predicted == 0).sum()
    few = next(group for group in found.groups if group.group == "few")
    assert (few.documents, few.small, few.accuracy.value) == (10, True, pytest.approx(right[:10].mean()))
    assert [group.small for group in found.groups] == [False, True]
    assert len(found.robustness) == 8
    upper = next(one for one in found.robustness if one.perturbation == "upper case")
    shouted = keywords([text.upper() for text in frame["text"]]).argmax(axis=1)
    assert upper.predictions_changed == pytest.approx((shouted != predicted).mean())
    assert upper.accuracy - found.scores.accuracy.value == pytest.approx(upper.accuracy_difference.value)
    assert upper.texts_changed == 1
    assert found.out_of_domain.scores.documents == 50
    assert found.frame()["measure"][0] == "accuracy"
    page = markdown(found, "a model")
    assert "| few " in page
    assert "## Out of domain" in page


def test_documents_are_given_to_the_model_in_an_order_of_their_own():
    def by_place(texts):  # as in bf16, where the batch that a text is in moves its logits
        return keywords(texts) + RNG(0).normal(size=(len(texts), 2)).astype(np.float32)

    frame, other = documents(), documents(50, seed=1)
    mixed = [one.sample(fraction=1, shuffle=True, seed=2) for one in (frame, other)]
    found, again = (
        assess(by_place, LABELS, one, by=["source"], out_of_domain=two, resamples=100)
        for one, two in ((frame, other), mixed)
    )
    assert again.json() == found.json()


def test_labels_that_the_model_lacks_are_left_out_and_counted():
    frame = documents(60)
    others = pl.DataFrame({"text": ["bad", "so so", "x y"], "label": ["mixed", "mixed", None], "source": ["o"] * 3})
    found = assess(keywords, LABELS, pl.concat([frame, others]), under=(), resamples=100)
    alone = assess(keywords, LABELS, frame, under=(), resamples=100)
    assert found.scores.unknown == {"mixed": 2}
    assert found.scores.unlabelled == 1
    assert found.scores.accuracy == alone.scores.accuracy
    assert found.calibration == alone.calibration
    assert found.scores.accuracy_of_all.value == pytest.approx(alone.scores.accuracy.value * 60 / 62)
    assert found.robustness == ()


def test_out_of_domain_documents_need_no_label():
    other = pl.DataFrame({"text": ["w1 w2", "w3", "w4"], "label": pl.Series([None, None, "else"], dtype=pl.String)})
    found = assess(keywords, LABELS, documents(60), out_of_domain=other, under=(), resamples=100)
    assert found.out_of_domain.scores is None
    assert found.out_of_domain.documents == 3
    with pytest.raises(DataError, match="out of domain: 1 documents"):
        assess(keywords, LABELS, documents(60), out_of_domain=other.head(1), under=(), resamples=100)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda f: f.head(0), "no documents to assess"),
        (lambda f: f.filter(label="positive"), "all have the label 'positive'.*at least two.*'negative'"),
        (lambda f: f.with_columns(label=pl.lit(None, pl.String)), "none of the 20 documents has a label"),
        (lambda f: f.with_columns(label=pl.lit("joy")), "none of the 20 labelled .* theirs are 'joy', the model's"),
    ],
)
def test_what_cannot_be_assessed(changed, said):
    with pytest.raises(DataError, match=said):
        assess(keywords, LABELS, changed(documents(20)))


# As a person uses it


@pytest.fixture(scope="module")
def saved(tiny, tmp_path_factory):  # noqa: F811
    directory = tmp_path_factory.mktemp("models") / "tiny"
    tune(tiny, steps=12, learning_rate=1e-2).classifier.save(directory)
    return directory


def test_a_saved_model_is_assessed(saved, tmp_path, toy):
    ws = Workspace(tmp_path / "ws", encoder=toy)
    documents(80).rename({"label": "mood"}).write_parquet(tmp_path / "test.parquet")
    pl.DataFrame({"text": ["w1 w2", "w9 w3 w2"]}).write_ndjson(tmp_path / "other.jsonl")
    found = ws.assess(
        saved, tmp_path / "test.parquet", label="mood", by=["source"], out_of_domain=tmp_path / "other.jsonl",
        resamples=100,
    )  # fmt: skip
    predicted = ws.predict(saved, tmp_path / "test.parquet")
    right = predicted["label"] == pl.read_parquet(tmp_path / "test.parquet")["mood"]
    assert found.scores.accuracy.value == pytest.approx(right.mean())
    assert found.calibration.confidence == pytest.approx(predicted["probability"].mean(), abs=1e-5)
    assert found.out_of_domain.scores is None
    frame = pl.read_parquet(tmp_path / "test.parquet").sample(fraction=1, shuffle=True, seed=2)
    again = ws.assess(saved, frame, label="mood", by=["source"], resamples=100)
    assert again.scores == found.scores
    assert again.robustness == found.robustness


def test_bad_requests_say_what_to_do(saved, tmp_path, toy):
    ws = Workspace(tmp_path / "ws", encoder=toy)
    documents(30).rename({"label": "mood"}).write_parquet(tmp_path / "test.parquet")
    (tmp_path / "empty.jsonl").write_text("")
    rows = [json.dumps({"text": text, "label": label}) for text, label in (("good", "positive"), ("bad", "negative"))]
    (tmp_path / "bad.jsonl").write_text("\n".join([*rows, "{"]))
    with pytest.raises(DataError, match=r"no column 'label'; there are: .*mood"):
        ws.assess(saved, tmp_path / "test.parquet")
    with pytest.raises(UnknownNameError, match="no column named 'sourc': did you mean 'source'"):
        ws.assess(saved, tmp_path / "test.parquet", label="mood", by=["sourc"])
    with pytest.raises(UnknownNameError, match="no model named 'nothing'"):
        ws.assess("nothing", tmp_path / "test.parquet", label="mood")
    with pytest.raises(UsageError, match="resamples = 5"):
        ws.assess(saved, tmp_path / "test.parquet", label="mood", resamples=5)
    with pytest.raises(DataError, match="no documents"):
        ws.assess(saved, tmp_path / "empty.jsonl")
    with pytest.warns(CuratorWarning, match="1 rows could not be read"):
        assert ws.assess(saved, tmp_path / "bad.jsonl", robustness=False, resamples=100).scores.documents == 2


def test_the_command(saved, tmp_path):
    documents(60).write_parquet(tmp_path / "test.parquet")
    command = ["-w", str(tmp_path / "ws"), "-q", "assess", str(saved), str(tmp_path / "test.parquet"), "--by", "source"]
    told = CliRunner().invoke(app, [*command, "--report", str(tmp_path / "report.md")])
    assert told.exit_code == 0, told.output
    for part in ("60 documents.", "macro-F1", "By source", "few", "by chance", "typos 0.05: swap", "Temperature"):
        assert part in told.output
    assert "## Robustness" in (tmp_path / "report.md").read_text()
    printed = CliRunner().invoke(app, [*command, "--json", "--no-robustness", "--resamples", "100"])
    result = json.loads(printed.output)
    assert result["rows"][0]["measure"] == "accuracy"
    assert result["report"]["scores"]["documents"] == 60
    assert result["report"]["robustness"] == []
    assert len(result["report"]["calibration"]["diagram"]) >= 1
    refused = CliRunner().invoke(app, [*command, "--report", "report.html"])
    assert isinstance(refused.exception, UsageError)
