"""Does a verdict keep its promises? Simulated races whose truth is known, through the code that judges real ones.

    python benchmarks/verdicts.py [--races N] [--out FILE]

A race is 8 arms at 3, 5 or 10 seeds on 600 evaluation documents of 4 labels of 45, 30, 17 and 8 %, by macro-F1.
Documents are more or less hard, the same for every arm, and most are right or wrong whatever the seed; a seed shifts
all arms alike (its shots), each arm by itself, and each arm on each label (its selection and initialisation);
predictions are then drawn document by document. Three questions:

- no arm differs: how often does the verdict say so of all? It promises 95 races in 100, over all 7 comparisons.
- the mix is better than the others by just what the detectable effect says, of the spread that these races have in
  truth: how often is it found better than the first of them? The promise is 80 in 100.
- each document favours one arm or another, whatever the seed, and none in the long run: intervals, which speak of these
  documents alone, find differences then, and p-values, which speak of others too, should not.

The record goes to ``benchmarks/records/verdicts.json``. The tests ask the same of fewer races.
"""

import argparse
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from circumstances import circumstances
from scipy.special import expit

from curator.race.statistics import analyse, detectable, verdict
from curator.race.statistics.scoring import score

Row = dict[str, Any]
Floats = npt.NDArray[np.float64]

HERE = Path(__file__).resolve().parent
ARMS = ("mix", *(f"rival-{i}" for i in range(7)))
SEEDS = (3, 5, 10)
LABELS = np.array([0.45, 0.30, 0.17, 0.08])
DOCUMENTS = 600
ABILITY = 1.5  # log-odds of being right on a document of middling difficulty
HARDNESS, SHOTS, OWN, ON_LABEL, FAVOUR = 3.0, 0.20, 0.10, 0.15, 1.0  # standard deviations, in log-odds


def main() -> None:
    """Simulate, print the figures and write the record."""
    parser = argparse.ArgumentParser(description="Verdicts on simulated races.")
    parser.add_argument("--races", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=HERE / "records" / "verdicts.json")
    arguments = parser.parse_args()
    command = f"python benchmarks/verdicts.py --races {arguments.races}"
    record = circumstances(command, ("numpy", "scipy")) | {"arms": len(ARMS), "documents": DOCUMENTS, "rows": []}
    for seeds in SEEDS:
        for number, (what, ask) in enumerate(QUESTIONS.items()):
            row = {"what": what, "seeds": seeds, "races": arguments.races}
            row |= ask(np.random.default_rng([seeds, number]), seeds, arguments.races)
            record["rows"].append(row)
            print(row, flush=True)
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def without_a_difference(rng: np.random.Generator, seeds: int, races: int) -> Row:
    """``found``: in how many races the verdict tells any arm apart from the mix."""
    found = 0
    for _ in range(races):
        said = verdict(analyse(race(rng, seeds), resamples=0))
        found += "better than" in said or "worse than" in said
    return {"found": found}


def planted(rng: np.random.Generator, seeds: int, races: int) -> Row:
    """``found``: in how many races the mix is better than the first rival. ``gain`` is in log-odds."""
    gain, effect, sd = planting(seeds)
    found = 0
    for _ in range(races):
        results = analyse(race(rng, seeds, gain=gain), resamples=0)
        found += results.comparisons[0].finding == "better"
    return {"found": found, "gain": gain, "effect": effect, "sd": sd}


def favouring_documents(rng: np.random.Generator, seeds: int, races: int) -> Row:
    """``found`` as without a difference; ``by_p``: in how many races a corrected p-value is at most 0.05."""
    found = by_p = 0
    for _ in range(races):
        results = analyse(race(rng, seeds, favour=FAVOUR), resamples=200)
        found += any(one.finding != "indistinguishable" for one in results.comparisons)
        by_p += any(one.p_family is not None and one.p_family <= 0.05 for one in results.comparisons)
    return {"found": found, "by_p": by_p}


def planting(seeds: int, races: int = 60, each: int = 40) -> tuple[float, float, float]:
    """What the mix must gain in log-odds to be better by the effect that is detectable; that effect; sd of differences.

    The spread depends on the gain, too: the right one is found between those of the pilot.
    """
    gains, means, spreads = pilot(races, each)
    one = detectable(1.0, seeds, len(ARMS) - 1)  # of a spread of one point
    lacking = means - one * spreads
    last = int(np.flatnonzero(lacking > 0)[0])
    share = lacking[last - 1] / (lacking[last - 1] - lacking[last])
    gain, sd = (side[last - 1] + share * (side[last] - side[last - 1]) for side in (gains, spreads))
    return float(gain), float(one * sd), float(sd)


@cache
def pilot(races: int, each: int) -> tuple[Floats, Floats, Floats]:
    """For some gains, in log-odds, the mean difference of two arms and its spread over seeds, in points."""
    rng = np.random.default_rng(99)
    gains = np.linspace(0, 6, 17)
    means, spreads = np.zeros(len(gains)), np.zeros(len(gains))
    for place, gain in enumerate(gains):
        differences = np.array([_differences(rng, each, float(gain)) for _ in range(races)])
        means[place], spreads[place] = differences.mean(), np.sqrt(differences.var(axis=1, ddof=1).mean())
    return gains, means, spreads


def _differences(rng: np.random.Generator, seeds: int, gain: float) -> Floats:
    """(seeds,) points of one race of two arms, as ``analyse`` scores them."""
    truth, runs = drawn(rng, ("mix", "rival-0"), seeds, gain=gain)
    scores = [[score(truth, run, "macro_f1") for run in of] for of in runs]
    return np.subtract(*scores)


def race(rng: np.random.Generator, seeds: int, *, gain: float = 0.0, favour: float = 0.0) -> Row:
    """The record of one simulated race, with what statistics read of it."""
    truth, runs = drawn(rng, ARMS, seeds, gain=gain, favour=favour)
    return {
        "format": 1,
        "kind": "race",
        "name": "simulated",
        "smoke": None,
        "metric": "macro_f1",
        "labels": [str(label) for label in range(len(LABELS))],
        "evaluation": {
            "documents": DOCUMENTS,
            "of": DOCUMENTS,
            "ids": list(map(str, range(DOCUMENTS))),
            "truth": truth.tolist(),
        },
        "arms": [{"name": arm, "selecting": True, "description": ""} for arm in ARMS],
        "runs": [
            {"arm": arm, "seed": seed, "documents": 100, "predictions": run.tolist(), "error": None}
            for arm, of in zip(ARMS, runs, strict=True)
            for seed, run in enumerate(of)
        ],
    }


def drawn(
    rng: np.random.Generator, arms: tuple[str, ...], seeds: int, *, gain: float = 0.0, favour: float = 0.0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(documents,) true labels and (arms, seeds, documents) predictions; the first arm has the ``gain``."""
    size = len(arms), seeds
    truth = rng.choice(len(LABELS), DOCUMENTS, p=LABELS)
    odds = ABILITY + rng.normal(0, HARDNESS, DOCUMENTS) + rng.normal(0, SHOTS, (1, seeds, 1))
    odds = odds + rng.normal(0, OWN, (*size, 1)) + rng.normal(0, ON_LABEL, (*size, len(LABELS)))[..., truth]
    odds[0] += gain
    if favour:
        odds = odds + rng.normal(0, favour, (len(arms), 1, DOCUMENTS))
    other = (truth + rng.choice(len(LABELS) - 1, (*size, DOCUMENTS), p=[0.6, 0.25, 0.15]) + 1) % len(LABELS)
    return truth, np.where(rng.random((*size, DOCUMENTS)) < expit(odds), truth, other)


QUESTIONS = {"none": without_a_difference, "planted": planted, "documents": favouring_documents}

if __name__ == "__main__":
    main()
