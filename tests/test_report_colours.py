"""The colours of the report: dark enough on what they stand on, and apart for those who see fewer of them."""

import itertools
import re
from importlib.resources import files

import numpy as np
import pytest

CSS = (files("curator.report") / "style.css").read_text("utf8")
SCHEMES = {
    "light": CSS,
    "dark": CSS[CSS.index("prefers-color-scheme: dark") :],
    "print": CSS[CSS.index("@media print") :],
}
TEXT = ("ink", "muted", "accent", "good", "bad", "warn", "target")
GROUNDS = ("page", "raised")
MARKS = ("accent", "rest", "target", *(f"hue-{i}" for i in range(1, 9)))
KINDS = ("target", "accent", "rest", "ink")  # of the map: target, kept, dropped, test

# Machado, Oliveira & Fernandes 2009, severity 1: linear RGB as it is seen without one kind of cones.
BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def colours(scheme):
    """The variables of a scheme as linear RGB."""
    block = SCHEMES[scheme][SCHEMES[scheme].index(":root") :]
    found = re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{3,6});", block[: block.index("}")])
    return {name: linear(value) for name, value in found}


def linear(code):
    digits = code[1:] if len(code) == 7 else "".join(2 * digit for digit in code[1:])
    values = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """Of WCAG 2.2."""
    light = [float(np.dot([0.2126, 0.7152, 0.0722], colour)) for colour in (one, other)]
    return (max(light) + 0.05) / (min(light) + 0.05)


def lab(colour):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ colour
    scaled = np.cbrt(np.clip(xyz / [0.9505, 1, 1.089], 1e-6, None))
    return np.array([116 * scaled[1] - 16, 500 * (scaled[0] - scaled[1]), 200 * (scaled[1] - scaled[2])])


def test_contrast_is_that_of_black_on_white_and_of_a_known_pair():
    assert contrast(linear("#000"), linear("#fff")) == pytest.approx(21)
    assert contrast(linear("#767676"), linear("#ffffff")) == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_has_a_contrast_of_four_and_a_half_and_marks_of_three(scheme):
    known = colours(scheme)
    for text, ground in itertools.product(TEXT, GROUNDS):
        assert contrast(known[text], known[ground]) >= 4.5, (text, ground)
    for text in ("ink", "muted"):
        assert contrast(known[text], known["soft"]) >= 4.5, text
    for mark in MARKS:
        assert contrast(known[mark], known["page"]) >= 3, mark


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("sight", [*BLIND, "all cones"])
def test_kinds_and_labels_stay_apart_for_the_colour_blind(scheme, sight):
    known = colours(scheme)
    seen = {name: np.clip(np.array(BLIND.get(sight, np.eye(3))) @ colour, 0, 1) for name, colour in known.items()}
    for names, least in ((KINDS, 20), (("hue-1", "hue-2", "hue-3"), 12)):
        for one, other in itertools.combinations(names, 2):
            assert np.linalg.norm(lab(seen[one]) - lab(seen[other])) >= least, (one, other)
