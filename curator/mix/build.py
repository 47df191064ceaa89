"""Runs a recipe's stages over a task and keeps the ledger: one row for each document and each stage that saw it."""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curator.calibration import random_pairs, threshold
from curator.certificates import Certificate, certify
from curator.errors import DataError, RecipeError, UsageError
from curator.files import sha256
from curator.functions import decontamination_coverage, kl_reduction, masked
from curator.mix.judging import judge
from curator.mix.labelled import taught
from curator.mix.reuse import Known
from curator.mix.task import Task
from curator.mix.union import CONFLICT, MIXES
from curator.mix.votes import VOTING, votes
from curator.recipe import DECONTAMINATE, USES, Kind, Recipe, StageUse, numbered
from curator.relation import Relation
from curator.session import Session
from curator.stages import LEDGER, VERDICT, Stage, shipped, typed
from curator.trials import Trials

LABELS = "labels"  # the rule that comes before every stage: what a pool document's label must be
UNUSABLE: Mapping[Kind, str] = {
    "single": "its label {} is none of the target's",
    "multi": "none of its labels, {}, is the target's",
    "regression": "its label {} is no finite number",
}
IN_TARGET = "in the target"  # … and that it does not teach already

CLASSIFIER, DSIR, PII = "classifier", "dsir", "pii"

TEXTS = {"corpus": pl.String, "id": pl.String, "text": pl.String}
MIX = ("corpus", "id", "text", "label", "source", "weight")
SERVING = ("serves", "source_label")  # columns of a mix where a document serves without a label of the task


@dataclass(frozen=True)
class Step:
    """A stage with the values of its parameters."""

    name: str  # the stage's, with a number when it is used twice
    stage: Stage
    parameters: dict[str, Any]
    calibrated: dict[str, Any] | None = None  # the cosine that was given as a share of random pairs, and its interval
    model: str | None = None  # checksum of a classifier's directory, so that another model makes another mix


@dataclass(frozen=True)
class Built:
    """A mix in memory: ``frame`` (``MIX``, in the pool's order), the ledger, and the seconds of each stage."""

    frame: pl.DataFrame
    ledger: pl.DataFrame
    seconds: dict[str, float]
    joins: tuple[dict[str, Any], ...]
    changed: pl.DataFrame  # corpus, id and text of the documents whose text a stage changed, those dropped too
    certificates: tuple[Certificate, ...] = ()  # of the stages that an index served
    coverage: tuple[dict[str, Any], ...] = ()  # of decontamination: layer, checked, documents of the test set
    reductions: tuple[dict[str, Any], ...] = ()  # by dsir: stage, and the rows of kl_reduction
    votes: tuple[dict[str, Any], ...] = field(default=(), kw_only=True)  # by pairing: what ``votes`` says of labels
    mixtures: tuple[dict[str, Any], ...] = ()  # by found_ratio: stage, and the evidence of its search
    reused: dict[str, Any] | None = None  # where verdicts are from: mix, stages (stage, taken, judged), changes
    warned: tuple[dict[str, Any], ...] = ()  # what stages warned of: stage, message


def steps(task: Task) -> list[Step]:
    """The recipe's stages with their parameters checked.

    ``decontaminate`` comes first whether the recipe names it or not, unless it says ``decontaminate = false``.
    """
    uses = _stages(task.recipe)
    result = []
    for use, name in zip(uses, numbered(uses), strict=True):
        stage = Stage.load(use.use, task.recipe.folder)
        if use.use.endswith(".sql") and stage.name in (LABELS, *shipped()):
            raise RecipeError(f"{use.use}: {stage.name!r} is the name of a rule of curator's; give the file another")
        if stage.reads_knowledge and not task.knowledge:
            raise RecipeError(
                f"{use.use}: the stage reads concepts and relations, and {task.recipe.name} has no [knowledge]; add "
                'one: concepts = "concepts.csv" (concept, name), relations = "relations.csv" (head, relation, tail)'
            )
        if f"{stage.name}_score" in task.pool.columns:
            raise RecipeError(f"the pool has a column {stage.name}_score, which {use.use!r} would overwrite; rename it")
        given, calibrated = _calibrated(stage, _read(use, task), task)
        given, model = _model(stage, given, task)
        result.append(Step(name, stage, stage.bind(given, task.seed), calibrated, model))
    return result


def _read(use: StageUse, task: Task) -> dict[str, Any]:
    """The parameters; a text may be given as ``{ file = "list.txt" }``, beside the recipe or by an absolute path."""
    values = {}
    for name, value in use.parameters.items():
        if not isinstance(value, dict) or set(value) != {"file"} or not isinstance(value["file"], str):
            values[name] = value
            continue
        path = task.recipe.folder / value["file"]
        try:
            values[name] = path.read_text("utf8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{use.use}: {name}: {path} cannot be read: {error}") from None
    return values


def _model(stage: Stage, given: dict[str, Any], task: Task) -> tuple[dict[str, Any], str | None]:
    """The parameters with the directory of a classifier, which may be beside the recipe, and its checksum."""
    name = given.get("model")
    if stage.name != CLASSIFIER or not isinstance(name, str) or not name:
        return given, None
    directory = (task.recipe.folder / name).resolve()  # from wherever the mix is verified
    if not directory.is_dir():  # a hub name
        return given, None
    return {**given, "model": str(directory)}, sum_of(directory)


def sum_of(directory: Path) -> str:
    """Checksum of a classifier's weights and settings."""
    files = sorted([*directory.glob("*.json"), *directory.glob("*.safetensors")])
    sums = "".join(f"{path.name} {sha256(path)}\n" for path in files)
    return hashlib.sha256(sums.encode()).hexdigest()


def _calibrated(stage: Stage, given: dict[str, Any], task: Task) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The parameters with a cosine in the place of ``fpr``, and what there is to say of it."""
    fpr = given.get("fpr")
    if fpr is None or any(parameter.name == "fpr" for parameter in stage.parameters):
        return given, None
    rate = stage.rate
    if rate is None:
        raise RecipeError(f"{stage.origin}: fpr = {fpr!r}, but the stage's header has no '-- fpr: … of … and …'")
    if rate.parameter in given:
        raise RecipeError(f"{stage.origin}: {rate.parameter} and fpr are both given; fpr says which {rate.parameter}")
    if isinstance(fpr, bool) or not isinstance(fpr, int | float):
        raise RecipeError(f"{stage.origin}: fpr takes a FLOAT, not {fpr!r}")
    try:
        pairs = random_pairs(task.relations[rate.left], task.relations[rate.right])
        found = threshold(pairs, float(fpr))
    except UsageError as error:
        raise RecipeError(f"{stage.origin}: of {rate.left} and {rate.right}: {error}") from None
    values = {name: value for name, value in given.items() if name != "fpr"} | {rate.parameter: found["cosine"]}
    return values, {**vars(rate), **found, "pairs": len(pairs)}


def _stages(recipe: Recipe) -> list[StageUse]:
    named = [use.use for use in recipe.stage]
    if DECONTAMINATE in named[1:]:
        raise RecipeError(f"{DECONTAMINATE} must be the first stage, so that every arm of a race is cleaned alike")
    if not recipe.task.decontaminate:
        if DECONTAMINATE in named:
            raise RecipeError(f"[task] says decontaminate = false, but {DECONTAMINATE} is among the stages")
        return list(recipe.stage)
    return list(recipe.stage) if DECONTAMINATE in named else [StageUse(use=DECONTAMINATE), *recipe.stage]


def is_usable() -> pl.Expr:
    """Whether a pool document has a label of the task, or serves without one. A task of its own needs a label, too."""
    alone = pl.col("serves").is_in(["vote", "text", "teacher"])
    return (
        pl.col("label").is_not_null()
        | alone
        | ((pl.col("serves") == "auxiliary") & pl.col("source_label").is_not_null())
    )


def usable(task: Task) -> tuple[Relation, pl.DataFrame]:
    """The candidates before any stage, and the ledger's first rows: documents that can be what they are to serve as.

    One that a person labelled, so that it is in the target now, is none: it would train twice.
    """
    frame = task.pool.frame
    frame = frame.join(
        taught(frame, task.target.frame, task.dev.frame), on=["corpus", "id"], how="left", maintain_order="left"
    )
    keep = frame.select(is_usable() & pl.col("partner_id").is_null()).to_series()
    if not task.mixes:
        frame = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in (MIXES, CONFLICT))
    told = (
        pl.when(pl.col("partner_id").is_not_null())
        .then(pl.lit("a person has labelled it"))
        .when(pl.col(CONFLICT).is_not_null())
        .then(pl.format("it is {}: the mixes disagree", CONFLICT))
        .when(pl.col("source_label").is_null())
        .then(pl.lit("it has no label"))
        .otherwise(pl.format(UNUSABLE[task.kind], "source_label"))
    )
    rows = frame.with_columns(keep.alias("keep")).select(
        "corpus",
        "id",
        pl.lit(LABELS).alias("stage"),
        pl.lit(0, pl.Int64).alias("position"),
        "keep",
        pl.when(pl.col("partner_id").is_not_null())
        .then(pl.lit(IN_TARGET))
        .when(~pl.col("keep"))
        .then(pl.lit("no usable label"))
        .alias("rule"),
        "partner_corpus",
        "partner_id",
        "label",
        pl.when(~pl.col("keep")).then(told).otherwise(pl.format("it is in {}", MIXES)).alias("reason"),
    )
    return task.pool.take(np.flatnonzero(keep.to_numpy())), _ledger_rows(rows)


def build(
    task: Task, plan: Sequence[Step], session: Session, *, certified: bool = False, known: Known | None = None,
    trials: Trials | None = None,
) -> Built:  # fmt: skip
    """Run the stages in order; ``certified``: compare those that an index served with exact search.

    What a stored mix says of the first of them, if one is ``known``, is taken from there, and the rest is judged; what
    probes of ratios said is taken from ``trials``.

    Raises DataError when nothing survives, naming the stage that dropped the last.
    """
    candidates, first = usable(task)
    candidates = candidates.with_frame(candidates.frame.with_columns(pl.lit(None, pl.Float64).alias("previous_score")))
    ledger, seconds, joins, certificates = [first], {}, [], []
    coverage, changed, reductions, mixtures, taken, warned, voted = [], [], [], [], [], [], []
    trials = trials or Trials()
    _require(candidates, LABELS)
    _check_expressions(candidates.take([]), plan, session)
    if candidates.can_embed and plan:
        # Embedded here, not inside the first stage.
        candidates = candidates.of_its_corpus(
            Relation(candidates.frame, candidates.vectors, count_tokens=candidates.count_tokens)
        )
    for position, step in enumerate(plan, 1):
        started = time.perf_counter()
        relations = {**task.relations, **task.knowledge, "candidates": candidates}
        earlier = known.verdicts(step.name, position, candidates) if known else None
        said = known.warned(step.name) if known and earlier else []
        verdicts, messages = judge(step.stage, step.parameters, relations, session, trials, earlier, said)
        warned += [{"stage": step.name, "message": message} for message in messages]
        joins += [{"stage": step.name, **vars(join)} for join in verdicts.joins]
        ledger.append(
            _ledger_rows(
                verdicts.frame.with_columns(
                    pl.lit(step.name).alias("stage"), pl.lit(position, pl.Int64).alias("position")
                )
            )
        )
        coverage += _coverage(step, task)
        changed += [_unseen(step, task), verdicts.frame.select(list(TEXTS)).drop_nulls("text")]
        candidates = _survivors(candidates, verdicts.frame, step)
        seconds[step.name] = time.perf_counter() - started
        _require(candidates, step.name)
        if earlier:
            taken.append({"stage": step.name, "taken": len(earlier.of), "judged": len(earlier.rest)})
        if known and earlier and known.same is None:
            certificates.append(known.certificate(step.name))
            reductions += known.reductions(step.name)
            mixtures += known.mixtures(step.name)
            voted += known.votes(step.name)
            continue
        mixtures += [{"stage": step.name, **evidence} for evidence in trials.evidence]
        trials.evidence.clear()
        if certified:
            certificates.append(certify(step.name, step.stage, step.parameters, relations, session, verdicts))
        reductions += _reductions(step, task, relations["candidates"], candidates)
        if _use(step) == VOTING:
            voted += votes(step.name, step.stage, step.parameters, relations, session, verdicts)
    serves_without = pl.col("serves").is_in(list(USES))
    unlabelled = candidates.frame.filter(~_is_labelled(candidates.frame["label"], task) & ~serves_without)
    if len(unlabelled):
        first_id = f"{unlabelled['corpus'][0]}:{unlabelled['id'][0]}"
        raise DataError(
            f"{len(unlabelled):,} documents would be in the mix without a label of the task, {first_id} among them; "
            "sources that serve as 'vote' get theirs in the stage 'pairing'"
        )
    columns = (*MIX, *SERVING) if candidates.frame.select(serves_without.any()).item() else MIX
    frame, decided = candidates.frame.select(columns), _decided(pl.concat(ledger))
    return Built(
        frame,
        decided,
        seconds,
        tuple(joins),
        _last(changed),
        tuple(filter(None, certificates)),
        tuple(coverage),
        tuple(reductions),
        tuple(mixtures),
        {"mix": str(known), "stages": taken, "changes": known.changes(frame, decided)} if known and taken else None,
        tuple(warned),
        votes=tuple(voted),
    )


def _is_labelled(labels: pl.Series, task: Task) -> pl.Series:
    """(n,) which labels, as stages left them, are the task's."""
    if task.kind == "regression":
        return labels.is_finite().fill_null(value=False)
    if task.kind == "multi":
        return labels.list.eval(pl.element().is_in(list(task.labels))).list.all().fill_null(value=False)
    return labels.is_in(list(task.labels)).fill_null(value=False)


def _check_expressions(candidates: Relation, plan: Sequence[Step], session: Session) -> None:
    """Raises RecipeError for a stage whose expressions do not go with the columns that it will see.

    ``candidates``: none of them, so that this takes no time, before any stage does.
    """
    for step in plan:
        step.stage.arguments(step.parameters, candidates, session)
        verdicts = pl.DataFrame(schema=typed(VERDICT, candidates.frame.schema["label"]))
        candidates = _survivors(candidates, verdicts, step)


def _coverage(step: Step, task: Task) -> list[dict[str, Any]]:
    """How many test documents each layer of decontamination could look for; nothing for another stage.

    The stage raises where a layer has none to look for, but those of earlier tasks must not stand in for the task's.
    """
    if step.stage.name != DECONTAMINATE or "ngram" not in step.parameters:  # one of a mix from before there were runs
        return []
    ngram, min_words = (int(step.parameters[name]) for name in ("ngram", "min_words"))
    rows = pl.DataFrame(decontamination_coverage(task.test, ngram=max(ngram, 1), min_words=min_words)).to_dicts()
    rows = [row for row in rows if row["layer"] != "run" or ngram]
    if task.earlier and (layers := [row["layer"] for row in rows if not row["checked"]]):
        raise DataError(f"no test document can be checked by {' and '.join(layers)}: a leak would go unseen")
    return rows


def _reductions(step: Step, task: Task, before: Relation, after: Relation) -> list[dict[str, Any]]:
    """How much nearer to each target ``dsir`` brought the candidates; nothing for another stage."""
    if _use(step) != DSIR:
        return []
    rows = pl.DataFrame(kl_reduction(task.target, before, after, by=step.parameters["by"], seed=task.seed)).to_dicts()
    return [{"stage": step.name, **row} for row in rows]


def _survivors(candidates: Relation, verdicts: pl.DataFrame, step: Step) -> Relation:
    """The kept candidates, with the label, weight and text a stage gave them and its score for the stages after it.

    A score that comes from the test set goes no further than the ledger: choosing by it would be choosing by the test.
    """
    frame = candidates.frame.with_columns(
        pl.coalesce(verdicts["label"], "label").alias("label"),
        pl.coalesce(verdicts["weight"], "weight").alias("weight"),
        pl.coalesce(verdicts["text"], "text").alias("text"),
    )
    if not step.stage.reads_test:
        frame = frame.with_columns(
            pl.coalesce(verdicts["score"], "previous_score").alias("previous_score"),
            verdicts["score"].alias(f"{step.name}_score"),
        )
    return candidates.with_frame(frame).take(np.flatnonzero(verdicts["keep"].to_numpy()))


def _use(step: Step) -> str:
    """The name of its stage, which a lockfile gives a number where it is used twice."""
    return re.sub(r"_\d+$", "", step.stage.name)


def _unseen(step: Step, task: Task) -> pl.DataFrame:
    """What ``pii`` would make of documents that it does not see: those dropped before, and those of target and test.

    They are not in the mix, but explanations and reports quote them.
    """
    if _use(step) != PII:
        return pl.DataFrame(schema=TEXTS)
    every = pl.concat([relation.frame.select(list(TEXTS)) for relation in task.relations.values()])
    known = {name: step.parameters[name] for name in ("kinds", "regions")}
    found = pl.DataFrame(masked(Relation(every.unique(["corpus", "id"], keep="last", maintain_order=True)), **known))
    return found.filter(pl.col("found") > 0).select(list(TEXTS))


def _last(changed: list[pl.DataFrame]) -> pl.DataFrame:
    """The text that the last stage to change a document's gave it."""
    texts = pl.concat([pl.DataFrame(schema=TEXTS), *changed])
    return texts.unique(["corpus", "id"], keep="last", maintain_order=True)


def _ledger_rows(rows: pl.DataFrame) -> pl.DataFrame:
    columns = typed(LEDGER, rows.schema["label"])
    absent = [pl.lit(None, kind).alias(name) for name, kind in columns.items() if name not in rows.columns]
    return rows.with_columns(absent).select(pl.col(name).cast(kind) for name, kind in columns.items())


def _decided(ledger: pl.DataFrame) -> pl.DataFrame:
    """Mark the row that decided each document's fate: that of the last stage that saw it."""
    last = pl.col("position") == pl.col("position").max().over("corpus", "id")
    return ledger.with_columns(last.alias("deciding"))


def _require(candidates: Relation, stage: str) -> None:
    if not len(candidates):
        raise DataError(f"no pool document is left after {stage!r}; loosen its settings, or look at the stages before")
