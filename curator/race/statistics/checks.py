"""Whether a race record contradicts itself."""

from collections.abc import Iterable
from math import isfinite
from typing import Any

from curator.errors import DataError
from curator.race.foretelling import by_probe
from curator.race.statistics.records import kind_of
from curator.race.statistics.scoring import METRICS
from curator.recipe import METRICS as BY_KIND
from curator.recipe import Kind


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
    _check_documents(record["evaluation"])
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


def _check_documents(evaluation: dict[str, Any]) -> None:
    """What is said of evaluation documents beside their labels: which are contaminated, and their groups."""
    number, copies = len(evaluation["ids"]), evaluation.get("contaminated") or []
    wrong = next((position for position in copies if not 0 <= position < number), None)
    if wrong is not None or len(set(copies)) != len(copies):
        what = "one twice" if wrong is None else f"number {wrong}"
        raise DataError(f"the contaminated documents: {what}, but there are {number} evaluation documents (from 0)")
    for told in evaluation.get("groups", []):
        codes, values = told.get("codes"), told.get("values", [])
        if codes is not None and (len(codes) != number or not all(0 <= code < len(values) for code in codes)):
            raise DataError(
                f"the groups by {told['by']!r}: {len(codes)} codes for {number} evaluation documents, of "
                f"{len(values)} groups; each document needs one from 0 to {len(values) - 1}"
            )


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
