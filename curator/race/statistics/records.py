"""What a race record holds, as arrays: true labels and predictions, by the kind of its task."""

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from curator.race.scores import indicators
from curator.recipe import Kind

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Values = npt.NDArray[Any]  # labels of documents, as ``finished`` tells by kind


def kind_of(record: dict[str, Any]) -> Kind:
    """The kind of the task that a race was about."""
    kind: Kind = record.get("recipe", {}).get("task", {}).get("kind", "single")
    return kind


def truth_of(record: dict[str, Any]) -> Values:
    """The true labels of the evaluation documents, as ``finished`` has predictions."""
    return values(record, record["evaluation"]["truth"])


def finished(record: dict[str, Any], arm: str) -> dict[int, Values]:
    """Predictions by seed of the runs that ended well.

    Of n documents: (n,) numbers of labels; where these have several (n, labels), which of them; (n,) values where
    labels are numbers.
    """
    runs = [run for run in record["runs"] if run["arm"] == arm and run["error"] is None]
    return {run["seed"]: values(record, run["predictions"]) for run in sorted(runs, key=lambda run: run["seed"])}


def own_labels(record: dict[str, Any]) -> list[int] | None:
    """The labels of a race's own task, as numbers; None where its models tell no others apart."""
    return list(range(record["replay"]["own"])) if "replay" in record else None


def values(record: dict[str, Any], given: list[Any]) -> Values:
    """Labels as a record writes them down as an array, of the shape that ``finished`` tells."""
    kind = kind_of(record)
    if kind == "multi":
        return indicators(given, len(record["labels"]))
    return np.asarray(given, np.float64 if kind == "regression" else np.int64)


def without(record: dict[str, Any], positions: Collection[int]) -> dict[str, Any]:
    """The record of the same race without some of its evaluation documents, as far as statistics read it."""
    out = set(positions)
    kept = [position for position in range(len(record["evaluation"]["ids"])) if position not in out]

    def of(values: list[Any]) -> list[Any]:
        return [values[position] for position in kept]

    evaluation = {"ids": of(record["evaluation"]["ids"]), "truth": of(record["evaluation"]["truth"])}
    groups = [
        told | ({"codes": of(told["codes"])} if "codes" in told else {})
        for told in record["evaluation"].get("groups", [])
    ]
    evaluation |= {"groups": groups} if groups else {}
    runs = [run | {"predictions": of(run["predictions"])} if run["error"] is None else run for run in record["runs"]]
    return {
        **record,
        "evaluation": {**evaluation, "documents": len(kept), "of": record["evaluation"]["of"]},
        "runs": runs,
    }
