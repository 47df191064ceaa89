"""The one sentence: of any number of arms it contradicts no finding, leaves no arm out, and stays readable."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_statistics import hundred

from curator.race.statistics import analyse, points, verdict
from curator.race.statistics.verdict import FEW

RIVALS = (
    "zero-shot", "target-only", "random", "random-balanced", "full", "bm25", "dsir", "knn", "round-robin", "tsds",
    "mix:other", "mix-as-text",
)  # fmt: skip
BRACKETS = re.compile(r" \([^()]*\)")
NAMES = re.compile(r"[\w:-]+")


@st.composite
def races(draw):
    """A champion of 60 points or so, against rivals that are lower, alike, or higher; some runs failed."""
    rivals = draw(st.lists(st.sampled_from(RIVALS), min_size=1, max_size=12, unique=True))
    seeds = draw(st.integers(2, 5))
    noise = st.lists(st.integers(-2, 2), min_size=seeds, max_size=seeds)
    failing = st.lists(st.booleans(), min_size=seeds, max_size=seeds)
    arms = {"mix": [60 + off for off in draw(noise)]}
    for rival in rivals:
        level = draw(st.sampled_from([15, 40, 58, 60, 63, 85]))
        scores = [level + off for off in draw(noise)]
        gone = draw(failing) if draw(st.integers(0, 5)) == 0 else [False] * seeds
        arms[rival] = [None if out else score for score, out in zip(scores, gone, strict=True)]
    return hundred(arms, smoke=draw(st.sampled_from([None, "2 of 5 seeds"])))


def said(sentence, results):
    """By finding: the arms named, and how many more are counted. Of what is in no bracket."""
    plain = BRACKETS.sub("", sentence)
    known = {one.arm for one in results.comparisons}
    found = {}
    for part in re.split("; ", plain):
        match = re.search(r"is (better|worse|indistinguishable) ", part)
        if match:
            key = match[1]
        elif "shared fewer than 2 seeds" in part:
            key = "undecided"
        else:
            continue
        assert key not in found
        named = [word for word in NAMES.findall(part.partition(f"{key} ")[2] if match else part) if word in known]
        counted = sum(int(number) for number in re.findall(r"(\d+) (?:other )?arms", part))
        found[key] = (named, counted)
    return found


@settings(max_examples=150, deadline=None)
@given(races())
def test_no_arm_is_left_out_and_no_finding_is_contradicted(race):
    results = analyse(race, resamples=40)
    sentence = verdict(results)
    assert sentence.count("\n") == 0
    assert sentence.endswith(".")
    if not any(one.family for one in results.comparisons):
        assert "no verdict" in sentence or "nothing to compare" in sentence
        return
    told = said(sentence, results)
    for finding in ("better", "worse", "indistinguishable", "undecided"):
        own = {one.arm for one in results.comparisons if one.finding == finding}
        named, counted = told.get(finding, ([], 0))
        assert set(named) <= own
        assert len(set(named)) == len(named)
        assert len(named) + counted == len(own)
    decided = [one for one in results.comparisons if one.family]
    whole = {"random-balanced", "target-only"}
    means = {arm.name: arm.mean for arm in results.arms}
    whole.add(max(decided, key=lambda one: means[one.arm]).arm)
    for one in decided:
        bounds = f"{points(one.family.low)} to {points(one.family.high)}"
        assert (one.arm in whole or len(decided) <= FEW) <= (bounds in sentence)
        if one.finding == "indistinguishable":
            assert one.family.low <= 1e-9
            assert one.family.high >= -1e-9
    assert sentence.startswith("Only a smoke test") == (race["smoke"] is not None)
    assert len(BRACKETS.sub("", sentence)) < 400
    assert len(sentence) < 900


def test_of_twelve_arms_it_tells_the_figures_of_three_and_counts_the_rest():
    arms = {"mix": [70, 72, 71, 73, 74]}
    for place, rival in enumerate(RIVALS[:-1]):
        arms[rival] = [score - (12 if place < 6 else 0) + place % 2 for score in (70, 72, 71, 73, 73)]
    arms["full"] = [80, 82, 82, 83, 85]
    assert verdict(analyse(hundred(arms))) == (
        "The mix is better than target-only by 11.2 points of accuracy (95 % family-wise interval 10.1 to 12.3, 5 "
        "seeds), than random-balanced by 11.2 (10.1 to 12.3) and than zero-shot, random and bm25; it is "
        "indistinguishable from 5 arms; it is worse than full by 10.4 (−11.8 to −9.0)."
    )


def test_that_others_might_not_be_with_other_documents_is_counted():
    """Of three arms that are left to the table two rest on the same few documents in every seed."""
    arms = {"mix": [90] * 5}
    for rival in ("target-only", "random-balanced", "full"):
        arms[rival] = [60, 61, 60, 62, 61]
    arms |= {"random": [88, 88, 88, 88, 87], "bm25": [88, 87, 88, 88, 88], "dsir": [50, 52, 51, 50, 50]}
    results = analyse(hundred(arms))
    doubted = {one.arm for one in results.comparisons if one.finding == "better" and one.p_family > 0.05}
    assert doubted == {"random", "bm25"}
    assert len(results.arms) == 7
    sentence = verdict(results)
    assert "with other evaluation documents it might not be, corrected p = " in sentence  # the strongest is told
    assert "than full, bm25 and dsir (with other evaluation documents 1 of these might not be)" in sentence


@pytest.mark.parametrize("number", [2, 11])
def test_with_one_seed_no_more_than_those_first_asked_for_are_told(number):
    arms = {"mix": [70]} | {name: [60 + place] for place, name in enumerate(RIVALS[:number])}
    sentence = verdict(analyse(hundred(arms)))
    if number == 2:
        told = "mix scored 10.0 more than zero-shot and 9.0 more than target-only points of accuracy on the seed"
        assert sentence.endswith(f"{told} they share.")
    else:
        assert "9.0 more than target-only, 7.0 more than random-balanced and 0.0 more than mix:other points" in sentence
        assert sentence.endswith("on the seed they share (8 other arms are in the table).")


def test_the_mix_may_be_named_otherwise():
    race = hundred({"dsir": [70, 71, 72], "full": [60, 61, 61]})
    sentence = verdict(analyse(race))
    assert sentence.startswith("dsir is better than full by ")
    assert np.isfinite(analyse(race).comparisons[0].p)
