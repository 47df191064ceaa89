"""The parts of the page about the race: its outcome, its arms, scores by label."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from curator.race.statistics import METRICS, Comparison, Results, kind_of, permuted, points, verdict
from curator.race.statistics.wording import listed
from curator.recipe import Role, role_of
from curator.report import charts
from curator.report.elements import Column, Markup, chip, facts, figure, muted, section, table, tag
from curator.report.figures import between, count, duration, moment, share, spread, title
from curator.report.labels import LabelScore, confusion, per_label
from curator.report.material import Material
from curator.report.tasks import HEAD as TASKS
from curator.report.tasks import READING, tasks, told
from curator.report.uses import HEAD, uses

COMPARED: Mapping[Role, str] = {"rival": "comparisons", "part": "parts", "control": "controls"}
MATRIX = 12  # labels, up to which a confusion matrix is readable
CONFUSIONS = 15  # rows of the list that replaces it


def outcome(record: dict[str, Any], results: Results) -> Markup:
    """The head of the page: name, verdict, the few figures one asks for first."""
    kind = "Smoke" if results.smoke else "Race"
    return tag(
        "header",
        tag("p", f"{kind} · {moment(record['started'])}", class_="eyebrow"),
        tag("h1", title(record)),
        tag("p", record["description"], class_="description") if record["description"] else None,
        tag("p", verdict(results), class_="verdict smoke" if results.smoke else "verdict"),
        _key_figures(record, results),
    )


def arms(material: Material) -> Markup:
    """Scores and comparisons, as charts and as the verdict table."""
    record, results = material.record, material.results
    charted = [
        figure(charts.scores(results), "Mean and 95 % interval of each arm over seeds; a stroke is one seed.")
        if any(arm.scores for arm in results.arms)
        else None,
        figure(charts.differences(results), _differences_caption(results))
        if any(comparison.family for comparison in results.comparisons)
        else None,
    ]
    parts = [
        _failures(record),
        tag("div", *charted, class_="figures"),
        _verdict_table(results),
        _comparison_table(results, permuted(record, results)),
        tag("p", _reading(results), class_="note"),
    ]
    described = [(arm.name, arm.description) for arm in results.arms if arm.description]
    return section("arms", "Arms", *parts, facts(described, class_="described") if described else None)


def served(material: Material) -> Markup | None:
    """What documents served as that have no label of the task; None where there are none."""
    rows = [one.row() for one in uses(material.record, material.results)]
    if not rows:
        return None
    columns = [Column(name, name in ("Documents", "Arm − target-only", "95 % interval")) for name in HEAD]
    said = (
        "What a use was worth is the arm's score minus that of the target alone, in points, by itself; the table above "
        "compares arms with correction. Steps before the target's come on top of its own."
    )
    return section(
        "uses", "Uses", table("What documents served as", columns, rows, name="uses"), tag("p", said, class_="note")
    )


def earlier(material: Material) -> Markup | None:
    """What became of the tasks that the model was trained on before; None where nothing is replayed."""
    record = material.record
    rows = tasks(record)
    if not rows:
        return None
    columns = [Column(name, number > 1) for number, name in enumerate(TASKS)]
    return section(
        "tasks",
        "Tasks: the new one and the earlier",
        table("Scores on the test documents of each task, in points", columns, rows, name="tasks"),
        tag("ul", *(tag("li", f"{line}.") for line in told(record))),
        tag("p", READING, class_="note"),
    )


def labels(material: Material) -> Markup | None:
    """Per-label scores and confusions of the champion; None if it finished no run, and where labels are numbers.

    Where documents have several labels there are no confusions.
    """
    record, results = material.record, material.results
    name = results.champion
    if kind_of(record) == "regression":
        return None
    scored = per_label(record, name) if name else []
    if name is None or not scored:
        return None
    others = {arm.name: per_label(record, arm.name) for arm in results.arms if arm.name != name and arm.seeds}
    runs = f"mean of {len(results.arms[0].seeds)} runs"
    return section(
        "labels",
        "Scores by label",
        _label_table(name, scored, others, runs),
        None if kind_of(record) == "multi" else _confusions(record, name, runs, len(scored)),
    )


def _key_figures(record: dict[str, Any], results: Results) -> Markup:
    evaluation, environment = record["evaluation"], record["environment"]
    champion = results.arms[0] if results.champion else None
    part = evaluation["documents"] < evaluation["of"]
    pairs: list[tuple[str, object]] = []
    if champion and champion.mean is not None:
        low_high = muted(f" {between(champion.interval)}") if champion.interval else None
        pairs.append((f"{METRICS[results.metric]}, {champion.name}", tag("span", points(champion.mean), low_high)))
    seeds = {run["seed"] for run in record["runs"]}
    pairs += [
        (
            "Evaluated on",
            tag("span", count(evaluation["documents"]), muted(f" of {count(evaluation['of'])}") if part else None),
        ),
        ("Seeds", count(len(seeds))),
        ("Labels", count(len(record["labels"])) if record["labels"] else "numbers"),
        ("Time", duration(record["seconds"])),
        ("Device", f"{environment['device']}, {environment['precision']}"),
    ]
    return facts(pairs, class_="key")


def _failures(record: dict[str, Any]) -> Markup | None:
    failed = [run for run in record["runs"] if run["error"] is not None]
    if not failed:
        return None
    items = [tag("li", tag("b", f"{run['arm']}, seed {run['seed']}"), f": {run['error']}") for run in failed]
    said = f"{len(failed)} of {len(record['runs'])} runs failed and are left out of every figure."
    return tag("div", tag("p", said), tag("ul", *items), class_="notice error", role="note")


def _verdict_table(results: Results) -> Markup:
    compared = {comparison.arm: comparison for comparison in results.comparisons}
    columns = [
        Column("Arm"),
        Column("Seeds", True),
        Column("Documents", True),
        Column("Mean", True, METRICS[results.metric]),
        Column("95 % interval", True, METRICS[results.metric]),
        Column("Mean", True, f"{results.champion} − arm"),
        Column("95 % family-wise", True, f"{results.champion} − arm"),
        Column(f"{results.champion} is"),
    ]
    rows = []
    for arm in results.arms:
        comparison = compared.get(arm.name)
        outside = None if arm.selecting else tag("span", " outside the budget", class_="muted aside")
        rows.append(
            [
                tag("span", arm.name, outside),
                count(len(arm.seeds)),
                spread(arm.documents),
                points(arm.mean),
                between(arm.interval),
                points(comparison.difference, sign=True) if comparison else "",
                between(comparison.family) if comparison else "",
                chip(comparison.finding, comparison.finding) if comparison else "",
            ]
        )
    classes = ["champion" if arm.name == results.champion else None for arm in results.arms]
    return table("Verdict: scores and differences in points", columns, rows, classes, name="verdict")


def _comparison_table(results: Results, by_permutation: dict[str, float]) -> Markup | None:
    compared = [comparison for comparison in results.comparisons if comparison.seeds]
    if not compared:
        return None
    columns = [
        Column("Against"),
        Column("Shared seeds", True),
        Column("sd of differences", True),
        Column("95 %, alone", True),
        Column("95 %, family-wise", True),
        Column("p", True),
        Column("p, corrected", True),
        Column("permuted", True),
        Column("Detectable", True),
    ]
    rows = [
        [
            c.arm,
            len(c.seeds),
            points(c.sd),
            between(c.nominal),
            between(c.family),
            _p(c.p),
            _p(c.p_family),
            _p(by_permutation.get(c.arm)),
            _detectable(c),
        ]
        for c in compared
    ]
    return table(f"Comparisons: {results.champion} − arm, in points", columns, rows, name="comparisons")


def _detectable(comparison: Comparison) -> str:
    return points(comparison.detectable)


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _reading(results: Results) -> str:
    """How the two tables are to be read, in words."""
    families = Counter(role_of(comparison.arm) for comparison in results.comparisons if comparison.family)
    permuted_ = (
        "Permuted is a p-value, corrected, about these very models on other documents: how often the arms would differ "
        "as much if what they predict of each document were swapped by the toss of a coin."
    )
    if not families:
        return f"Intervals need at least 2 seeds. {permuted_}"
    together = listed([f"all {number} {COMPARED[role]} together" for role, number in families.items()])
    return (
        f"Intervals are t-intervals over seeds. The family-wise ones hold for {together} "
        "(Bonferroni) and alone decide. They speak of these evaluation documents; p speaks of others too: "
        "it adds the variance found by resampling the documents. Detectable is the true difference that such a race "
        "would find 4 times in 5, if the spread over seeds is as estimated. " + permuted_
    )


def _differences_caption(results: Results) -> str:
    return (
        f"{results.champion} minus each arm: 95 % family-wise interval (thin), for one comparison alone (thick). "
        "Right of the line, it is better."
    )


def _label_table(name: str, scored: list[LabelScore], others: dict[str, list[LabelScore]], runs: str) -> Markup:
    columns = [
        Column("Label"),
        Column("Documents", True),
        *(Column(what, True, name) for what in ("Precision", "Recall", "F1")),
        *(Column(other, True, "F1 of the other arms") for other in others),
    ]
    rows = [
        [
            own.label,
            count(own.support),
            *(points(figure) for figure in (own.precision, own.recall, own.f1)),
            *(points(other[i].f1) for other in others.values()),
        ]
        for i, own in enumerate(scored)
    ]
    return table(f"Scores by label, in points, {runs}", columns, rows, name="by-label")


def _confusions(record: dict[str, Any], name: str, runs: str, labels: int) -> Markup:
    return _confusion_matrix(record, name, runs) if labels <= MATRIX else _confusion_list(record, name, runs)


def _confusion_matrix(record: dict[str, Any], name: str, runs: str) -> Markup:
    matrix, names = confusion(record, name), record["labels"]
    columns = [Column("True label"), *(Column(label, True, f"Predicted by {name}") for label in names)]
    rows, places = [], 0 if (matrix == matrix.round()).all() else 1
    for i, label in enumerate(names):
        total = matrix[i].sum()
        cells: list[object] = [label]
        for j, value in enumerate(matrix[i]):
            weight = 0 if not total else value / total
            kind = "cell right" if i == j else "cell wrong"
            cells.append(tag("span", f"{value:,.{places}f}", class_=kind, style=f"--share:{weight:.3f}"))
        rows.append(cells)
    return table(f"Confusion of {name}: documents, {runs}", columns, rows, name="confusion")


def _confusion_list(record: dict[str, Any], name: str, runs: str) -> Markup:
    matrix, names = confusion(record, name), record["labels"]
    pairs = [
        (float(matrix[i, j]), i, j) for i in range(len(names)) for j in range(len(names)) if i != j and matrix[i, j]
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    columns = [Column("True label"), Column("Predicted"), Column("Documents", True), Column("of the label's", True)]
    rows = [
        [names[i], names[j], count(round(value, 1)), share(value, float(matrix[i].sum()))]
        for value, i, j in pairs[:CONFUSIONS]
    ]
    shown = f"the {len(rows)} most frequent of {count(len(pairs))}" if len(pairs) > len(rows) else "all"
    return table(f"Confusions of {name}, {shown}: documents, {runs}", columns, rows, name="confusion")
