"""The charts of a report as inline SVG. The only import of altair and vl_convert.

Colours are CSS variables of the page, so one drawing serves light, dark and paper. Each chart is an image with a
sentence for those who do not see it; its figures stand in a table beside it.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

import altair as alt
import vl_convert

from curator.race.learning import At
from curator.race.statistics import METRICS, Results, points
from curator.report.elements import Markup
from curator.report.figures import between, count

WIDTH = 460  # pixels: two charts stand side by side on a wide screen
WIDE = 640  # of a chart that stands alone
HUES = [f"var(--hue-{i})" for i in range(1, 9)]
DASHES = [[1, 0], [6, 3], [2, 2]]
ACCENT, INK, MUTED, REST, LINE = (f"var(--{name})" for name in ("accent", "ink", "muted", "rest", "line"))


def scores(results: Results) -> Markup:
    """Mean and 95 % interval of each arm, with a small mark for each seed."""
    arms = [arm for arm in results.arms if arm.mean is not None]
    means = [_bar(arm.name, arm.mean, arm.interval, arm.name == results.champion) for arm in arms]
    seeds = [{"arm": arm.name, "value": value} for arm in arms for value in arm.scores]
    order = [arm.name for arm in arms]
    dots = (
        alt.Chart(_data(seeds))
        .mark_tick(color=MUTED, opacity=0.55, thickness=1.5, size=12)
        .encode(x=alt.X("value:Q"), y=_rows("arm", order))
    )
    chart = dots + _intervals(means, order, f"{METRICS[results.metric]}, points")
    said = "; ".join(f"{arm.name} {points(arm.mean)} ({between(arm.interval)})" for arm in arms)
    return _svg(
        chart,
        f"Mean {METRICS[results.metric]} of each arm with its 95 % interval, in points: {said}.",
        len(arms) * 34 + 46,
    )


def differences(results: Results) -> Markup:
    """Champion minus each arm: the nominal interval thick, the family-wise one thin, and the line of no difference."""
    compared = [comparison for comparison in results.comparisons if comparison.family]
    thin = [_bar(c.arm, c.difference, c.family, c.finding != "indistinguishable") for c in compared]
    thick = [_bar(c.arm, c.difference, c.nominal, c.finding != "indistinguishable") for c in compared]
    order = [arm.name for arm in results.arms if arm.mean is not None]  # as in the chart beside it, so that rows align
    zero = alt.Chart(_data([{"x": 0}])).mark_rule(color=INK, strokeDash=[3, 3]).encode(x="x:Q")
    bars = _intervals(thin, order, f"{results.champion} − arm, points")
    nominal = (
        alt.Chart(_data(thick))
        .mark_rule(strokeWidth=5, opacity=0.45, strokeCap="round")
        .encode(x="low:Q", x2="high:Q", y=_rows("arm", order), color=_two_tone())
    )
    said = "; ".join(f"{c.arm} {points(c.difference, sign=True)} ({between(c.family)})" for c in compared)
    label = f"{results.champion} minus each arm with 95 % family-wise intervals, in points: {said}."
    return _svg(zero + nominal + bars, label, len(order) * 34 + 46)


def learning(rows: Sequence[At], along: str, metric: str) -> Markup:
    """Mean and 95 % interval of each arm at each point ``along`` shots or budget, a line an arm, in logs.

    Arms stand a little beside each other, so that no interval hides another.
    """
    arms = list(dict.fromkeys(row.arm for row in rows))
    found = [row for row in rows if row.mean is not None]
    at = sorted({getattr(row, along) for row in found})
    apart = max(2.0, at[-1] / at[0]) ** 0.006 if at else 1.0
    beside = {arm: apart ** (number - (len(arms) - 1) / 2) for number, arm in enumerate(arms)}
    values = [{"arm": row.arm, "x": getattr(row, along) * beside[row.arm], **_ends(row)} for row in found]
    legend = alt.Legend(
        orient="bottom", title=None, columns=3, symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=2
    )
    hues = [HUES[number % len(HUES)] for number in range(len(arms))]
    dashes = [DASHES[number // len(HUES) % len(DASHES)] for number in range(len(arms))]  # for more arms than hues
    base = alt.Chart(_data(values)).encode(
        x=alt.X("x:Q", title=along, scale=alt.Scale(type="log", nice=False), axis={**_axis(6, ",d"), "values": at}),
        color=alt.Color("arm:N", scale=alt.Scale(domain=arms, range=hues), legend=legend),
    )
    y = alt.Y("value:Q", title=f"{metric}, points", scale=alt.Scale(zero=False, nice=True), axis=_axis(6))
    dash = alt.StrokeDash("arm:N", scale=alt.Scale(domain=arms, range=dashes), legend=legend)
    chart = base.mark_rule(strokeWidth=1.5, opacity=0.5).encode(y=alt.Y("low:Q"), y2="high:Q")
    chart += base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash)
    chart += base.mark_point(filled=True, size=45, opacity=1).encode(y=y)
    said = "; ".join(f"{row.arm} at {getattr(row, along):,} {points(row.mean)}" for row in rows)
    return _svg(chart, f"Mean {metric} of each arm by {along}, in points: {said}.", 340 + 16 * len(arms) // 3, WIDE)


def _ends(row: At) -> dict[str, Any]:
    span = row.interval
    return {"value": row.mean, "low": span.low if span else row.mean, "high": span.high if span else row.mean}


def scatter(truth: Sequence[float], predicted: Sequence[float], said: str) -> Markup:
    """A point for each document: what is true, and what was predicted; on the dashed line both are the same."""
    values = [{"true": x, "predicted": y} for x, y in zip(truth, predicted, strict=True)]
    ends = [min(*truth, *predicted), max(*truth, *predicted)]
    line = alt.Chart(_data([{"x": end, "y": end} for end in ends]))
    axes: dict[str, Any] = {"scale": alt.Scale(zero=False, nice=True), "axis": _axis(6, "~g")}
    points_ = alt.Chart(_data(values)).mark_point(filled=True, size=22, opacity=0.4, color=ACCENT)
    chart = line.mark_line(color=INK, strokeDash=[3, 3], strokeWidth=1).encode(x="x:Q", y="y:Q")
    chart += points_.encode(
        x=alt.X("true:Q", title="true value", **axes), y=alt.Y("predicted:Q", title="predicted", **axes)
    )
    return _svg(chart, said, 300, 460)


def composition(rows: Sequence[dict[str, Any]]) -> Markup:
    """Documents of the mix by source, in the colours of their labels where there are at most 8 labels."""
    totals: dict[str, int] = {}
    labels: dict[str, int] = {}
    for row in rows:
        label = _label(row)
        totals[row["source"]] = totals.get(row["source"], 0) + row["documents"]
        labels[label] = labels.get(label, 0) + row["documents"]
    order = sorted(totals, key=lambda source: -totals[source])
    values = [
        {"source": r["source"], "label": _label(r), "documents": r["documents"], "rank": list(labels).index(_label(r))}
        for r in rows
    ]
    colour: Any = alt.value(ACCENT)
    if len(labels) <= len(HUES):
        scale = alt.Scale(domain=list(labels), range=HUES[: len(labels)])
        colour = alt.Color("label:N", scale=scale, legend=alt.Legend(orient="top", title=None, symbolType="square"))
    chart = (
        alt.Chart(_data(values))
        .mark_bar(height={"band": 0.68})
        .encode(
            x=alt.X("sum(documents):Q", title="documents in the mix", axis=_axis(6, ",d")),
            y=_rows("source", order),
            color=colour,
            order=alt.Order("rank:Q"),
        )
    )
    said = "; ".join(f"{source} {count(totals[source])}" for source in order)
    return _svg(chart, f"Documents of the mix by source: {said}.", len(order) * 30 + 78, WIDE)


def distribution(row: dict[str, Any]) -> Markup:
    """One stage's scores, kept on dropped, with its threshold."""
    values = [
        {"low": b["low"], "high": b["high"], "fate": fate, "documents": b[fate], "rank": rank}
        for b in row["bins"]
        for rank, fate in enumerate(("kept", "dropped"))
    ]
    chart: Any = (
        alt.Chart(_data(values))
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("low:Q", bin="binned", title="score", axis=_axis(8, "~g")),
            x2="high:Q",
            y=alt.Y("documents:Q", stack=True, title="documents", axis=_axis(4, ",d")),
            color=_fates(),
            order=alt.Order("rank:Q"),
        )
    )
    said = f"Scores at stage {row['stage']}: {count(sum(b['kept'] for b in row['bins']))} documents kept and "
    said += f"{count(sum(b['dropped'] for b in row['bins']))} dropped"
    if row["threshold"] is not None:
        line = alt.Chart(_data([{"x": row["threshold"]}])).mark_rule(color=INK, strokeDash=[4, 3], strokeWidth=1.5)
        chart = chart + line.encode(x="x:Q")
        said += f"; the threshold is {row['threshold']:.4g}"
    return _svg(chart, f"{said}.", 200)


def funnel(rows: Sequence[dict[str, Any]]) -> Markup:
    """What each stage kept of what it saw."""
    names = [row["stage"] for row in rows]
    order = [f"{name} ({names[:i].count(name) + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)]
    values = [
        {"stage": name, "fate": fate, "documents": row[fate], "rank": rank}
        for name, row in zip(order, rows, strict=True)
        for rank, fate in enumerate(("kept", "dropped"))
    ]
    bars = (
        alt.Chart(_data(values))
        .mark_bar(height={"band": 0.68})
        .encode(
            x=alt.X("documents:Q", stack=True, title="documents", axis=_axis(6, ",d")),
            y=_rows("stage", order),
            color=_fates(),
            order=alt.Order("rank:Q"),
        )
    )
    said = "; ".join(f"{r['stage']} kept {count(r['kept'])} of {count(r['seen'])}" for r in rows)
    return _svg(bars, f"Documents kept and dropped at each stage: {said}.", len(order) * 30 + 78, WIDE)


def _label(row: dict[str, Any]) -> str:
    return "(no label)" if row["label"] is None else str(row["label"])


def _bar(arm: str, value: float | None, span: Any, bold: bool) -> dict[str, Any]:
    low, high = (span.low, span.high) if span else (value, value)
    return {"arm": arm, "value": value, "low": low, "high": high, "tone": "bold" if bold else "plain"}


def _intervals(rows: Sequence[dict[str, Any]], order: Sequence[str], title: str) -> Any:
    base = alt.Chart(_data(rows)).encode(y=_rows("arm", order), color=_two_tone())
    axis = alt.X("low:Q", title=title, scale=alt.Scale(zero=False, nice=True), axis=_axis(7))
    line = base.mark_rule(strokeWidth=1.5).encode(x=axis, x2="high:Q")
    return line + base.mark_point(filled=True, size=70, opacity=1).encode(x="value:Q")


def _rows(field: str, order: Sequence[str]) -> Any:
    return alt.Y(f"{field}:N", scale=alt.Scale(domain=list(order)), title=None)


def _axis(ticks: int, form: str | None = None) -> dict[str, Any]:
    """``form`` is a number format of d3; whole documents get whole ticks."""
    axis: dict[str, Any] = {"tickCount": ticks, "labelFlush": False}
    if form:
        axis["format"] = form
    if form == ",d":
        axis["tickMinStep"] = 1
    return axis


def _two_tone() -> Any:
    return alt.Color("tone:N", scale=alt.Scale(domain=["bold", "plain"], range=[ACCENT, MUTED]), legend=None)


def _fates() -> Any:
    scale = alt.Scale(domain=["kept", "dropped"], range=[ACCENT, REST])
    return alt.Color("fate:N", scale=scale, legend=alt.Legend(orient="top", title=None, symbolType="square"))


def _data(rows: Sequence[dict[str, Any]]) -> Any:
    return alt.Data(values=list(rows))  # type: ignore[no-untyped-call]  # altair leaves this class untyped


def _svg(chart: Any, label: str, height: int, width: int = WIDTH) -> Markup:
    """Draw, and give the image its sentence. Vega escapes the texts it draws."""
    axis = {"labelColor": MUTED, "titleColor": MUTED, "titleFontWeight": "normal", "gridColor": LINE, "domain": False}
    quiet = {
        "ticks": False,
        "grid": False,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelLimit": 150,
        "labelPadding": 8,
    }
    config = {
        "background": "transparent",
        "font": "Helvetica, Arial, Liberation Sans, sans-serif",
        "aria": False,
        "view": {"stroke": None},
        "axis": {
            **axis,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "ticks": False,
            "labelPadding": 6,
            "titlePadding": 8,
        },
        "axisYBand": quiet,
        "axisYPoint": quiet,
        "legend": {"labelColor": INK, "labelFontSize": 11, "offset": 8, "columns": 4},
    }
    spec = chart.properties(width=width, height=height).to_dict()
    spec |= {"config": config, "autosize": {"type": "fit", "contains": "padding"}, "padding": 4}
    svg = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1))
