"""The part of the page about errors, where labels are numbers."""

from typing import Any

import numpy as np

from curator.race.statistics import Results, kind_of, points
from curator.report import charts
from curator.report.elements import Column, Markup, figure, section, table, tag
from curator.report.figures import count, number
from curator.report.labels import errors, fifths, scattered
from curator.report.material import Material

POINTS = 500  # documents in the scatter plot, at most


def errors_of(material: Material) -> Markup | None:
    """Predictions of the champion against the truth, errors of each arm; None if it finished no run.

    None, too, where labels are no numbers.
    """
    record, results = material.record, material.results
    name = results.champion
    if kind_of(record) != "regression" or name is None or not results.arms[0].seeds:
        return None
    runs = f"mean of {len(results.arms[0].seeds)} runs"
    return section("errors", "Errors", _scatter(record, name, runs), _by_arm(record, results), _by_fifth(record, name))


def _scatter(record: dict[str, Any], name: str, runs: str) -> Markup:
    truth, predicted = scattered(record, name)
    rows = np.argsort(truth, kind="stable")
    shown = rows[np.unique(np.linspace(0, len(rows) - 1, POINTS).round().astype(int))]
    some = f"{count(len(shown))} of {count(len(rows))}" if len(shown) < len(rows) else f"the {count(len(rows))}"
    said = f"Predictions of {name}, {runs}, against the true values of {some} evaluation documents"
    chart = charts.scatter(truth[shown].tolist(), predicted[shown].tolist(), f"{said}.")
    return tag("div", figure(chart, f"{said}; on the dashed line they are the same."), class_="figures single")


def _by_arm(record: dict[str, Any], results: Results) -> Markup:
    columns = [
        Column("Arm"),
        Column("Spearman", True, "Correlation, points"),
        Column("Pearson", True, "Correlation, points"),
    ]
    columns += [
        Column(title, True, "In the unit of the labels") for title in ("Mean absolute", "Root mean square", "Bias")
    ]
    rows = []
    for arm in results.arms:
        found = errors(record, arm.name)
        if found is not None:
            figures = (number(value) for value in (found.mae, found.rmse, found.bias))
            rows.append([arm.name, points(found.spearman), points(found.pearson), *figures])
    return table(
        "Errors of each arm, mean over its runs; the bias is predicted minus true", columns, rows, name="by-arm"
    )


def _by_fifth(record: dict[str, Any], name: str) -> Markup:
    titles = ("To", "Documents", "Mean predicted", "Bias", "Mean absolute error")
    columns = [Column("True value from", True), *(Column(title, True) for title in titles)]
    rows = [
        [number(f.low), number(f.high), count(f.documents), number(f.predicted), number(f.bias), number(f.mae)]
        for f in fifths(record, name)
    ]
    return table(f"Errors of {name} by fifths of the true values", columns, rows, name="by-fifth")
