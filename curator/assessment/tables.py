"""An assessment as tables for people: on the terminal, and as markdown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from curator.assessment.assess import Assessment, OutOfDomain, Scores
from curator.assessment.reliability import Error, Reliability
from curator.assessment.resampling import Figure
from curator.markdown import table
from curator.race.statistics import SMALL

Cell = str | int | float | None


@dataclass(frozen=True)
class Section:
    """One table with what is to be said above it."""

    title: str
    note: str
    frame: pl.DataFrame


def sections(found: Assessment) -> list[Section]:
    """The tables of an assessment, in the order of reading. Figures are shares, 0 to 1, unless a name says more."""
    parts = [Section("Scores", _left_out(found.scores), _frame(_score_rows(found))), _labels(found)]
    parts.extend(_groups(found, by) for by in dict.fromkeys(group.by for group in found.groups))
    parts += [
        Section("Calibration", f"{found.calibration.verdict}.", _frame(_calibration(found.calibration))),
        _temperature(found),
        Section(
            "Reliability",
            "Documents by the largest probability, in the bins of the expected calibration error.",
            _frame(_diagram(found.calibration)),
        ),
    ]
    if found.robustness:
        note = (
            "The same documents, changed: the difference from the clean ones, each with a paired interval of its own, "
            "and the shares of texts and of predicted labels that are other ones."
        )
        parts.append(Section("Robustness", note, _frame(_robustness(found))))
    if found.out_of_domain is not None:
        parts.append(
            Section("Out of domain", _outside_note(found.out_of_domain), _frame(_outside(found.out_of_domain)))
        )
    return parts


def markdown(found: Assessment, title: str) -> str:
    """All sections as a document."""
    texts = [f"# {title}\n"]
    for section in sections(found):
        frame = section.frame
        names = [i for i, kind in enumerate(frame.dtypes) if not kind.is_numeric()]
        rows = [[_shown(value) for value in row] for row in frame.iter_rows()]
        texts.append(f"## {section.title}\n\n{section.note}\n\n{table(frame.columns, rows, names)}\n")
    return "\n".join(texts)


def _frame(rows: Iterator[Mapping[str, Cell]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), infer_schema_length=None)


def _bounds(figure: Figure | None, sign: str = "") -> str | None:
    return None if figure is None else f"{figure.low:{sign}.3f} to {figure.high:{sign}.3f}"


def _score_rows(found: Assessment) -> Iterator[dict[str, Cell]]:
    scores = found.scores
    for name, figure in (("accuracy", scores.accuracy), ("macro-F1", scores.macro_f1)):
        yield {"score": name, "value": figure.value, "95 % interval": _bounds(figure)}
    if found.roc_auc is not None:
        yield {"score": "ROC AUC, macro", "value": found.roc_auc, "95 % interval": None}
    if scores.unknown:
        figure = scores.accuracy_of_all
        yield {
            "score": "accuracy, labels it lacks counted as wrong", "value": figure.value,
            "95 % interval": _bounds(figure),
        }  # fmt: skip


def _left_out(scores: Scores) -> str:
    """How many documents count, and which do not."""
    told = f"{scores.documents:,} documents."
    if scores.unlabelled:
        told += f" {scores.unlabelled:,} without a label are left out."
    if scores.unknown:
        names = [f"{label} ({count:,})" for label, count in list(scores.unknown.items())[:5]]
        more = ", …" if len(scores.unknown) > 5 else ""
        told += (
            f" {sum(scores.unknown.values()):,} of labels that the model lacks are left out: {', '.join(names)}{more}."
        )
    return told


def _labels(found: Assessment) -> Section:
    rows = (
        {
            "label": row["label"],
            "documents": row["documents"],
            "right": row["right"],
            "95 % interval": None if row["right"] is None else f"{row['low']:.3f} to {row['high']:.3f}",
            "predicted": row["predicted"],
            "precision": row["precision"],
            "f1": row["f1"],
            "": "few" if row["small"] else None,
        }
        for row in found.per_label
    )
    return Section("By label", _few_note(any(row["small"] for row in found.per_label)), _frame(rows))


def _groups(found: Assessment, by: str) -> Section:
    own = [group for group in found.groups if group.by == by]
    rows = (
        {
            by: "(none)" if group.group is None else group.group,
            "documents": group.documents,
            "accuracy": group.accuracy.value,
            "95 % interval": _bounds(group.accuracy),
            "macro-F1": group.macro_f1.value,
            "": "few" if group.small else None,
        }
        for group in own
    )
    return Section(f"By {by}", _few_note(any(group.small for group in own)), _frame(rows))


def _few_note(is_needed: bool) -> str:
    return f"'few' marks groups of under {SMALL} documents, whose figures say little." if is_needed else ""


def _calibration(found: Reliability) -> Iterator[dict[str, Cell]]:
    def row(measure: str, value: float, error: Error | None = None, figure: Figure | None = None) -> dict[str, Cell]:
        return {
            "measure": measure,
            "value": value,
            "95 % interval": _bounds(figure),
            "by chance": None if error is None else error.by_chance,
            "95 % of chance": None if error is None else error.most_by_chance,
        }

    yield row("mean confidence", found.confidence)
    yield row("accuracy", found.accuracy)
    yield row("expected calibration error", found.ece.value, found.ece)
    yield row("… with bins of equal mass", found.ece_equal_mass.value, found.ece_equal_mass)
    yield row("maximum calibration error", found.mce.value, found.mce)
    yield row("Brier score (0 to 2)", found.brier.value, figure=found.brier)
    yield row("negative log likelihood", found.nll.value, figure=found.nll)


def _temperature(found: Assessment) -> Section:
    fitted = found.temperature
    if isinstance(fitted, str):
        return Section("Temperature", f"None: {fitted}.", pl.DataFrame())
    note = (
        f"Logits divided by {fitted.value:.3f}, which was fitted on {fitted.fitted_on:,} of the documents; measured on "
        f"the other {fitted.before.documents:,}."
    )
    rows = (
        {
            "temperature": value,
            "calibration error": side.ece.value,
            "95 % of chance": side.ece.most_by_chance,
            "Brier": side.brier.value,
            "negative log likelihood": side.nll.value,
        }
        for value, side in ((1.0, fitted.before), (fitted.value, fitted.after))
    )
    return Section("Temperature", note, _frame(rows))


def _diagram(found: Reliability) -> Iterator[dict[str, Cell]]:
    for bin_ in found.diagram:
        yield {
            "probability": f"{bin_.low:.3f} to {bin_.high:.3f}",
            "documents": bin_.documents,
            "mean confidence": bin_.confidence,
            "accuracy": bin_.accuracy.value,
            "95 % interval": _bounds(bin_.accuracy),
        }


def _robustness(found: Assessment) -> Iterator[dict[str, Cell]]:
    clean = found.scores.macro_f1.value
    yield {
        "texts": "(clean)",
        "macro-F1": clean,
        "difference": None,
        "95 % interval": None,
        "other texts": None,
        "other labels": None,
    }
    for one in found.robustness:
        yield {
            "texts": one.perturbation,
            "macro-F1": one.macro_f1,
            "difference": f"{one.macro_f1_difference.value:+.3f}",
            "95 % interval": _bounds(one.macro_f1_difference, "+"),
            "other texts": one.texts_changed,
            "other labels": one.predictions_changed,
        }


def _outside_note(found: OutOfDomain) -> str:
    told = f"{found.documents:,} documents."
    if found.scores is not None:
        told = _left_out(found.scores)
    if found.detection.shared:
        told += f" {found.detection.shared:,} have a text that is among the model's own documents too."
    return told


def _outside(found: OutOfDomain) -> Iterator[dict[str, Cell]]:
    figures = [("accuracy", found.scores.accuracy), ("macro-F1", found.scores.macro_f1)] if found.scores else []
    detected = found.detection
    figures += [
        ("AUROC of the largest probability, in from out", detected.auroc),
        (f"taken for in where 95 % of in are (probability ≥ {detected.threshold:.3f})", detected.fpr),
    ]
    for name, figure in figures:
        yield {"measure": name, "value": figure.value, "95 % interval": _bounds(figure)}


def _shown(value: Cell) -> str:
    return (
        ""
        if value is None
        else f"{value:.3f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else value
    )
