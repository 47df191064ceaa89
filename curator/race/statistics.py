"""What a race's raw predictions say: scores, intervals, the verdict. Pure; a record in, figures out. Scores in points.

**Intervals** are t-intervals over seeds. An arm is compared with the *champion* (the arm ``mix``, else the first
selecting arm) by the differences of runs that share a seed. With m such comparisons the family-wise interval is
Bonferroni's, 1 − 0.05/m each, and it alone decides: *better* or *worse* when it excludes zero, *indistinguishable*
otherwise. Bonferroni rather than Holm because Holm's steps give tests but no simultaneous intervals.

These intervals hold for the evaluation documents of the race: they ask what other seeds would have done.
**The p-value** asks about other seeds and other documents together. Its variance is

    sd² / seeds  +  (what all seeds share of the difference when the evaluation documents are resampled)

where the second term is the mean covariance between seeds' differences over a bootstrap of the documents, the same
draw for every run. Resampling seeds within the draw too (the crossed or "pigeonhole" bootstrap) would count the noise
of single predictions three times over (Owen, 2007), and sign flips over 5 seeds cannot go below p = 0.06. It is read
from a t-distribution with Satterthwaite's degrees of freedom. Where the interval finds a difference and the corrected
p-value does not, the verdict says so. With 2 or 3 seeds sd itself is nearly unknown: expect wide intervals.

**The detectable effect** is the true difference that the family-wise interval would find in 80 % of such races, from
the noncentral t-distribution, taking the estimated sd for the true one; with 5 seeds that sd is known to about ±35 %.

Correlations are told in points, too: hundredths.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.sparse import csr_matrix
from scipy.stats import nct, t

from curator.errors import DataError
from curator.race.foretelling import by_probe
from curator.race.scores import indicators, of_sets, of_values
from curator.recipe import METRICS as BY_KIND
from curator.recipe import Kind

Finding = Literal["better", "worse", "indistinguishable", "undecided"]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Values = npt.NDArray[Any]  # labels of documents, as ``finished`` tells by kind

ERROR = 0.05  # of a false finding, over all comparisons together
POWER = 0.80
RESAMPLES = 1000
METRICS = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "accuracy": "accuracy",
    "spearman": "Spearman correlation",
    "pearson": "Pearson correlation",
}


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class ArmScore:
    """One arm's finished runs, by seed. ``mean``, ``sd``, ``interval`` in points; None where there are too few."""

    name: str
    description: str
    selecting: bool
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    documents: tuple[int, ...]
    failed: int
    mean: float | None
    sd: float | None
    interval: Interval | None  # 95 %, over seeds


@dataclass(frozen=True)
class Comparison:
    """Champion minus ``arm`` over the seeds both finished, in points; None where there are fewer than 2 seeds."""

    arm: str
    seeds: tuple[int, ...]
    difference: float | None
    sd: float | None
    nominal: Interval | None  # 95 % for this comparison alone
    family: Interval | None  # 95 % for all comparisons together
    p: float | None  # over other seeds and documents
    p_family: float | None  # p × comparisons, at most 1
    detectable: float | None  # at 80 % power and the family-wise level
    finding: Finding


@dataclass(frozen=True)
class Results:
    """Everything a verdict rests on. The champion comes first among ``arms``; ``comparisons`` follow their order."""

    metric: str
    smoke: str | None
    champion: str | None
    arms: tuple[ArmScore, ...]
    comparisons: tuple[Comparison, ...]
    runs: int
    failed: int


def analyse(record: dict[str, Any], resamples: int = RESAMPLES) -> Results:
    """Every score and comparison of a race record. Raises DataError for a record that contradicts itself."""
    check(record)
    champion = _champion(record)
    runs = {arm["name"]: finished(record, arm["name"]) for arm in record["arms"]}
    ordered = sorted(record["arms"], key=lambda arm: arm["name"] != champion)  # stable: champion, then as recorded
    arms = tuple(_arm(record, arm, runs[arm["name"]]) for arm in ordered)
    comparisons: tuple[Comparison, ...] = ()
    if champion and runs[champion]:
        rivals = [arm for arm in arms if arm.name != champion and arm.seeds]
        shared = {rival.name: tuple(sorted({*arms[0].seeds} & {*rival.seeds})) for rival in rivals}
        family = sum(len(seeds) > 1 for seeds in shared.values())
        spread = _resampled(record, runs, resamples) if family else {}
        comparisons = tuple(_compare(arms[0], rival, shared[rival.name], family, spread) for rival in rivals)
    failed = sum(run["error"] is not None for run in record["runs"])
    return Results(record["metric"], record["smoke"], champion, arms, comparisons, len(record["runs"]), failed)


def check(record: dict[str, Any]) -> None:
    """Raise DataError where a race record contradicts itself: kind, metric, arms, lengths, label indices, repeats."""
    if (record.get("kind"), record.get("format")) != ("race", 1):
        raise DataError(f"not a race record of format 1: kind {record.get('kind')!r}, format {record.get('format')!r}")
    kind = kind_of(record)
    if record["metric"] not in BY_KIND[kind]:
        known = f"of a task of kind {kind} there are" if record["metric"] in METRICS else "there are"
        raise DataError(f"unknown metric {record['metric']!r}; {known}: {', '.join(BY_KIND[kind])}")
    truth, arms = record["evaluation"]["truth"], {arm["name"] for arm in record["arms"]}
    if len(record["evaluation"]["ids"]) != len(truth) or not truth:
        raise DataError(f"{len(record['evaluation']['ids'])} evaluation ids for {len(truth)} true labels")
    _check_values("the true labels", truth, kind, len(record["labels"]))
    seen = set()
    for run in record["runs"]:
        name = f"run {run['arm']!r}, seed {run['seed']}"
        if run["arm"] not in arms:
            raise DataError(f"{name}: there is no such arm; the record has {', '.join(sorted(arms))}")
        if (run["arm"], run["seed"]) in seen:
            raise DataError(f"{name} is recorded twice; keep one")
        seen.add((run["arm"], run["seed"]))
        if run["error"] is None:
            if len(run["predictions"]) != len(truth):
                raise DataError(f"{name}: {len(run['predictions'])} predictions for {len(truth)} evaluation documents")
            _check_values(name, run["predictions"], kind, len(record["labels"]))
    if "replay" in record:
        _check_replay(record)
    if "probe" in record:
        strange = sorted({*record["probe"]["arms"], *(one["arm"] for one in record["probe"]["left_out"])} - arms)
        if strange:
            raise DataError(f"the probe raced {strange[0]!r}, and there is no such arm: {', '.join(sorted(arms))}")
        check(by_probe(record))


def kind_of(record: dict[str, Any]) -> Kind:
    """The kind of the task that a race was about."""
    kind: Kind = record.get("recipe", {}).get("task", {}).get("kind", "single")
    return kind


def truth_of(record: dict[str, Any]) -> Values:
    """The true labels of the evaluation documents, as ``finished`` has predictions."""
    return _values(record, record["evaluation"]["truth"])


def _values(record: dict[str, Any], given: list[Any]) -> Values:
    kind = kind_of(record)
    if kind == "multi":
        return indicators(given, len(record["labels"]))
    return np.asarray(given, np.float64 if kind == "regression" else np.int64)


def score(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, metric: str, own: Sequence[int] | None = None
) -> float:  # fmt: skip
    """Macro-F1 over the labels that occur in either array (zero where undefined), or accuracy; (n,) ints, points.

    ``own``: the labels of the task, where a model tells those of others apart too; of these F1 is the mean.
    """
    true, guessed = np.asarray(truth, np.int64), np.asarray(predicted, np.int64)
    size = int(max(true.max(), guessed.max(), *(own or [0]))) + 1
    hits = np.bincount(true[true == guessed], minlength=size)
    counts = (hits, np.bincount(guessed, minlength=size), np.bincount(true, minlength=size))
    return float(from_counts(*counts, metric, own))


def own_labels(record: dict[str, Any]) -> list[int] | None:
    """The labels of a race's own task, as numbers; None where its models tell no others apart."""
    return list(range(record["replay"]["own"])) if "replay" in record else None


def interval(values: npt.ArrayLike, error: float = ERROR) -> Interval | None:
    """The t-interval of the mean at level 1 − ``error``; None for fewer than 2 values."""
    array = np.asarray(values, float)
    if len(array) < 2:
        return None
    half = float(t.isf(error / 2, len(array) - 1) * array.std(ddof=1) / sqrt(len(array)))
    return Interval(float(array.mean()) - half, float(array.mean()) + half)


def detectable(sd: float, seeds: int, comparisons: int = 1) -> float:
    """The true difference found with 80 % power by ``comparisons`` corrected intervals over ``seeds`` differences."""
    critical = float(t.isf(ERROR / comparisons / 2, seeds - 1))
    shift = brentq(lambda nc: nct.cdf(critical, seeds - 1, nc) - (1 - POWER), 0, 2 * critical + 10)
    return float(shift) * sd / sqrt(seeds)


def verdict(results: Results) -> str:
    """The outcome in one plain sentence, generated from the figures alone."""
    smoke = f"Only a smoke test ({results.smoke}): " if results.smoke else ""
    failures = f"; {results.failed} of {results.runs} runs failed and are left out" if results.failed else ""
    decided = [comparison for comparison in results.comparisons if comparison.family]
    if not decided:
        return f"{smoke}{_undecided(results)}{failures}."
    subject = "the mix" if results.champion == "mix" else str(results.champion)
    words: list[str] = []
    seeds = 0  # said so far: repeated only where another comparison rests on fewer
    for finding, link in (("better", "than"), ("indistinguishable", "from"), ("worse", "than")):
        said = []
        for item in (comparison for comparison in decided if comparison.finding == finding):
            metric = "" if seeds else METRICS[results.metric]
            said.append(_clause(item, metric, len(item.seeds) if len(item.seeds) != seeds else 0))
            seeds = len(item.seeds)
        if said:
            words.append(f"is {finding} {_listed([f'{link} {clause}' for clause in said])}")
    left = [comparison.arm for comparison in results.comparisons if not comparison.family]
    lone = f"; {_listed(left)} shared fewer than 2 seeds with it, so nothing is said of that" if left else ""
    sentence = f"{smoke}{subject} {'; it '.join(words)}{lone}{failures}."
    return "The" + sentence[3:] if sentence.startswith("the mix ") else sentence


def points(value: float | None, sign: bool = False) -> str:
    """A figure in points for people: one decimal, two where one would show a false zero, a true minus sign."""
    if value is None:
        return "–"
    text = f"{abs(value):.1f}" if round(abs(value), 1) else f"{abs(value):.2f}"
    if not float(text):
        return "0.0"
    return ("−" if value < 0 else "+" if sign else "") + text


def _clause(item: Comparison, metric: str, seeds: int) -> str:
    """``random by 3.1 points of macro-F1 (95 % family-wise interval 0.9 to 5.3, 5 seeds)``; later ones are shorter."""
    assert item.family is not None
    bounds = f"{points(item.family.low)} to {points(item.family.high)}"
    unit = f" points of {metric}" if metric else ""
    if item.finding == "indistinguishable":
        bounds += unit
    inside = [f"95 % family-wise interval {bounds}" if metric else bounds, f"{seeds} seeds"][: 2 if seeds else 1]
    brackets = ", ".join(inside)
    if item.finding == "indistinguishable":
        power = f"this race could have detected {points(item.detectable)} points"
        if item.detectable is not None and item.detectable > 100:
            power = "this race was too small to detect any difference"
        return f"{item.arm} ({brackets}; {power})"
    if item.p_family is not None and item.p_family > ERROR:
        brackets += f"; with other evaluation documents it might not be, corrected p = {item.p_family:.2f}"
    return f"{item.arm} by {points(abs(item.difference or 0))}{unit} ({brackets})"


def _undecided(results: Results) -> str:
    """Why there is no verdict."""
    if results.champion is None:
        return "There is nothing to compare: no arm selects documents"
    if not results.arms[0].seeds:
        return f"There is nothing to compare: {results.champion} has no finished run"
    if not results.comparisons:
        return f"There is nothing to compare: {results.champion} is the only arm with a finished run"
    name, metric = results.champion, METRICS[results.metric]
    said = [
        f"{points(abs(item.difference))} {'more' if item.difference >= 0 else 'less'} than {item.arm}"
        for item in results.comparisons
        if item.difference is not None
    ]
    figures = f": {name} scored {_listed(said)} points of {metric} on the seed they share" if said else ""
    return f"There is no verdict, because chance can only be judged from 2 shared seeds or more{figures}"


def _listed(items: list[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def finished(record: dict[str, Any], arm: str) -> dict[int, Values]:
    """Predictions by seed of the runs that ended well.

    Of n documents: (n,) numbers of labels; where these have several (n, labels), which of them; (n,) values where
    labels are numbers.
    """
    runs = [run for run in record["runs"] if run["arm"] == arm and run["error"] is None]
    return {run["seed"]: _values(record, run["predictions"]) for run in sorted(runs, key=lambda run: run["seed"])}


def scores(record: dict[str, Any], arm: str) -> dict[int, float]:
    """Points by seed of the runs that ended well."""
    return {seed: _score(record, run) for seed, run in finished(record, arm).items()}


def _champion(record: dict[str, Any]) -> str | None:
    names = [arm["name"] for arm in record["arms"]]
    return "mix" if "mix" in names else next((arm["name"] for arm in record["arms"] if arm["selecting"]), None)


def _arm(record: dict[str, Any], arm: dict[str, Any], runs: dict[int, Values]) -> ArmScore:
    own = [run for run in record["runs"] if run["arm"] == arm["name"]]
    scores = [_score(record, run) for run in runs.values()]
    documents = {run["seed"]: int(run["documents"]) for run in own}
    return ArmScore(
        name=arm["name"],
        description=arm["description"],
        selecting=arm["selecting"],
        seeds=tuple(runs),
        scores=tuple(scores),
        documents=tuple(documents[seed] for seed in runs),
        failed=len(own) - len(runs),
        mean=float(np.mean(scores)) if scores else None,
        sd=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        interval=interval(scores),
    )


def _score(record: dict[str, Any], run: Values) -> float:
    truth, metric = truth_of(record), record["metric"]
    if kind_of(record) == "single":
        return score(truth, run, metric, own_labels(record))
    return float(_drawn(record, truth, run, np.ones((1, len(truth))))[0])


def _drawn(record: dict[str, Any], truth: Values, run: Values, draws: Floats) -> Floats:
    """(b,) points of one run on (b, documents) draws, of sets or of numbers."""
    of = of_sets if kind_of(record) == "multi" else of_values
    return of(truth, run, draws, record["metric"])


def _compare(
    champion: ArmScore, rival: ArmScore, seeds: tuple[int, ...], family: int, spread: dict[tuple[str, int], Floats]
) -> Comparison:
    ours, theirs = (
        dict(zip(champion.seeds, champion.scores, strict=True)),
        dict(zip(rival.seeds, rival.scores, strict=True)),
    )
    values = np.array([ours[seed] - theirs[seed] for seed in seeds])
    mean = float(values.mean()) if seeds else None
    if mean is None or len(seeds) < 2:
        return Comparison(rival.name, seeds, mean, None, None, None, None, None, None, "undecided")
    sd = float(values.std(ddof=1))
    decisive = interval(values, ERROR / family)
    assert decisive is not None
    shared = _shared(np.stack([spread[champion.name, seed] - spread[rival.name, seed] for seed in seeds]))
    p = _p_value(mean, sd**2 / len(seeds), shared, len(seeds) - 1)
    return Comparison(
        arm=rival.name,
        seeds=seeds,
        difference=mean,
        sd=sd,
        nominal=interval(values),
        family=decisive,
        p=p,
        p_family=min(1.0, family * p),
        detectable=detectable(sd, len(seeds), family),
        finding=_finding(decisive),
    )


def _finding(decisive: Interval) -> Finding:
    tiny = 1e-9  # equal scores may differ in the last bit
    if decisive.low > tiny:
        return "better"
    return "worse" if decisive.high < -tiny else "indistinguishable"


def _p_value(mean: float, seeds: float, documents: float, freedom: int) -> float:
    """Two-sided, from the variances of ``mean`` over seeds (with ``freedom`` degrees) and over documents."""
    total = seeds + documents
    if total <= 0 or seeds <= 0:  # runs that do not differ by seed: only the documents speak, as a normal variable
        freedom, seeds, total = 10**9, 1.0, max(total, 1e-18)
        return float(2 * t.sf(abs(mean) / sqrt(total), freedom))
    return float(2 * t.sf(abs(mean) / sqrt(total), freedom * (total / seeds) ** 2))


def _shared(differences: Floats) -> float:
    """The mean covariance between seeds over resamples, at least 0; (seeds, resamples) differences in points."""
    covariance, seeds = np.cov(differences), len(differences)
    return max(0.0, float((covariance.sum() - np.trace(covariance)) / (seeds * (seeds - 1))))


def _resampled(
    record: dict[str, Any], runs: dict[str, dict[int, Values]], resamples: int
) -> dict[tuple[str, int], Floats]:
    """Each run's score, (resamples,) points, on evaluation documents drawn with replacement, the same for all runs."""
    truth, size, kind = truth_of(record), len(record["labels"]), kind_of(record)
    own = own_labels(record)
    n, rng = len(truth), np.random.default_rng(0)
    keys = [(arm, seed) for arm, seeds in runs.items() for seed in seeds]
    parts: dict[tuple[str, int], list[Floats]] = {key: [] for key in keys}
    for start in range(0, resamples, 100):  # in blocks: the draws are (block, documents)
        block = min(100, resamples - start)
        draws = rng.multinomial(n, np.full(n, 1 / n), size=block).astype(float)
        if kind != "single":
            for arm, seed in keys:
                parts[arm, seed].append(_drawn(record, truth, runs[arm][seed], draws))
            continue
        actual = draws @ _indicator(truth, np.arange(n), n, size)
        for arm, seed in keys:
            run = runs[arm][seed]
            right = np.flatnonzero(run == truth)
            guessed = draws @ _indicator(run, np.arange(n), n, size)
            parts[arm, seed].append(
                from_counts(draws @ _indicator(run[right], right, n, size), guessed, actual, record["metric"], own)
            )
    return {key: np.concatenate(blocks) for key, blocks in parts.items()}


def _indicator(labels: Integers, rows: Integers, n: int, size: int) -> Any:
    return csr_matrix((np.ones(len(rows)), (rows, labels)), shape=(n, size))


def from_counts(hits: Any, guessed: Any, actual: Any, metric: str, own: Sequence[int] | None = None) -> Any:
    """The metric from counts per label: right, predicted and true documents, (…, labels) → (…); see ``score``."""
    if metric == "accuracy":
        return 100 * hits.sum(-1) / actual.sum(-1)
    if own is not None:
        hits, guessed, actual = hits[..., own], guessed[..., own], actual[..., own]
    total = guessed + actual
    return 100 * (2 * hits / np.maximum(total, 1)).sum(-1) / (total > 0).sum(-1)


def _check_replay(record: dict[str, Any]) -> None:
    tasks, labels = record["replay"]["tasks"], len(record["labels"])
    sizes = [len(task["evaluation"]["truth"]) for task in tasks]
    for task in tasks:
        _in_range(f"the true labels of {task['mix']['mix']}", task["evaluation"]["truth"], labels)
    told = [(f"run {run['arm']!r}, seed {run['seed']}", run.get("earlier")) for run in record["runs"]]
    told.append(("the model as it was", [task["before"] for task in tasks] if record["replay"]["before"] else None))
    for name, predictions in told:
        if predictions is not None and [len(own) for own in predictions] != sizes:
            raise DataError(f"{name}: {[len(own) for own in predictions]} predictions for {sizes} earlier documents")
        for own in predictions or ():
            _in_range(name, own, labels)


def _check_values(what: str, values: list[Any], kind: Kind, labels: int) -> None:
    if kind == "regression":
        wrong = next((value for value in values if not (isinstance(value, int | float) and isfinite(value))), None)
        if wrong is not None:
            raise DataError(f"{what}: {wrong!r} is no finite number")
        return
    if kind == "multi":
        odd = next((own for own in values if not isinstance(own, list) or len(set(own)) != len(own)), None)
        if odd is not None:
            raise DataError(f"{what}: {odd!r} is no list of different label numbers")
        values = [number for own in values for number in own]
    _in_range(what, values, labels)


def _in_range(what: str, values: Iterable[int], labels: int) -> None:
    wrong = next((value for value in values if not 0 <= value < labels), None)
    if wrong is not None:
        raise DataError(f"{what}: label index {wrong}, but the record has {labels} labels (0 to {labels - 1})")
