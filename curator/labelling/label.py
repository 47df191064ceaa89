"""From a recipe to the documents that a person should label next."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from curator import probe
from curator.documents import Columns
from curator.errors import UnknownNameError, UsageError
from curator.hashing import Hashes
from curator.labelling.candidates import candidates
from curator.labelling.choosing import FIRST, Choice, Guesses, at_random, badge, guesses, margin
from curator.mix import Task, Workshop
from curator.probe import Probe
from curator.recipe import Recipe, Source

By = Literal["badge", "margin", "random"]
WAYS: tuple[str, ...] = get_args(By)


def label(
    recipe: Recipe, workshop: Workshop, *, documents: int = 50, by: str = "badge", seed: int = 0
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The documents to label, in the order of their choice, and what there is to say of it; see ``Workspace.label``."""
    if by not in WAYS:
        raise UnknownNameError("way of choosing", by, WAYS)
    if documents < 1:
        raise UsageError(f"documents = {documents}: how many to label, at least 1")
    if recipe.task.kind != "single":
        raise UsageError(
            f"{recipe.name}: what to label is chosen by a probe of single labels, and [task] kind is "
            f"{recipe.task.kind!r}"
        )
    task = workshop.prepare(recipe, seed)
    found = candidates(task, workshop)
    if documents > len(found.documents):
        raise UsageError(
            f"documents = {documents:,}, and {len(found.documents):,} are left to label; ask for as many at most"
        )
    keys, vectors, fitted = found.documents.select(["corpus", "id"]), found.documents.vectors, probe_of(task)
    of = guesses(fitted, vectors)
    if by == "margin":
        choice = margin(of, documents)
    elif by == "random":
        choice = at_random(_lots(keys, seed), documents)
    else:
        choice = badge(fitted, vectors, of, _lots(keys, seed), documents)
    frame = _frame(found.documents.frame[choice.rows], of, choice, by, task)
    report = {"recipe": recipe.name, "by": by, "seed": seed, "documents": documents, **found.counts()}
    report |= {"target": len(task.target), "labels": len(task.labels), "told": str(found), "warnings": _notices(task)}
    return frame, report


def target_with(recipe: Recipe, path: Path, base: Path) -> str:
    """What a person does with a file that is filled in: the line of the recipe, or the command, that adds it."""
    target = recipe.task.target
    if target.path is None:
        return f"add it to the target's corpus: curator add {target.corpus or recipe.name + '_target'} … {path}"
    here = path.resolve()
    added = here.relative_to(base.resolve()) if here.is_relative_to(base.resolve()) else here
    paths = [*([target.path] if isinstance(target.path, str) else target.path), str(added)]
    key = "target" if target == Source(path=target.path) else "path"  # a table keeps what else it says
    return f"under [task]{'' if key == 'target' else ', in target'}: {key} = {json.dumps(paths, ensure_ascii=False)}"


def probe_of(task: Task) -> Probe:
    """Softmax regression on the target, its documents in order of their ids, with the same weight for each label.

    How many documents of a label were chosen to be labelled says nothing of how many there are, and where there are
    many labels of few documents a probe that is taught that says little else. Each label then has one part in
    ``labels`` of the loss, so the penalty is that much weaker: a label's documents count the same however many others
    there are.
    """
    order = task.target.select(["id"])["id"].arg_sort().to_numpy().astype(np.int64)
    names = {name: number for number, name in enumerate(task.labels)}
    labels = np.array([names[name] for name in task.target.frame["label"][order]], np.int64)
    shares, count = probe.balanced(labels), len(names)
    rows = task.target.vectors_of(order).matrix()
    return probe.fit(rows, labels, shares / shares.sum(), count, c=probe.STRENGTH * count)


def _lots(keys: pl.DataFrame, seed: int) -> Hashes:
    """(n,) a number for each document that comes of its key and the seed alone."""
    names = (f"label {seed}:{corpus}:{name}".encode("utf8", "surrogatepass") for corpus, name in keys.iter_rows())
    return np.frombuffer(b"".join(hashlib.blake2b(name, digest_size=8).digest() for name in names), "<u8")


def _frame(chosen: pl.DataFrame, of: Guesses, choice: Choice, by: str, task: Task) -> pl.DataFrame:
    """The rows of the file; id, text and label are called as the recipe's target calls them."""
    source = task.recipe.task.target
    roles = Columns(id=source.id, text=source.text, label=source.label).roles
    ids = chosen.select(pl.format("{}:{}", "corpus", "id")).to_series()
    names = pl.Series(task.labels, dtype=pl.String)
    first, second = names.gather(of.first[choice.rows]), names.gather(of.second[choice.rows])
    probability, runner_up = of.probability[choice.rows], of.runner_up[choice.rows]
    why = []
    for place, row in enumerate(zip(first, probability, second, runner_up, strict=True)):
        between = "between {!r} ({:.2f}) and {!r} ({:.2f})".format(*row)
        why.append(between + _because(by, place, choice, ids))
    return pl.DataFrame(
        {
            roles["id"]: ids,
            roles["text"]: chosen["text"],
            roles["label"]: pl.Series([None] * len(ids), dtype=pl.String),
            "suggestion": first,
            "probability": probability.round(4),
            "second": second,
            "why": pl.Series(why, dtype=pl.String),
            "corpus": chosen["corpus"],
        }
    )


def _because(by: str, place: int, choice: Choice, ids: pl.Series) -> str:
    """What made the choice besides the two labels."""
    if by == "margin":
        return ""
    if by == "random":
        return "; drawn at random"
    if choice.nearest[place] == FIRST:
        return "; the largest gradient of all"
    nearest, distance = ids[int(choice.nearest[place])], choice.distance[place]
    if not distance:
        return f"; the same to the probe as {nearest}, as all that is left is the same as one before it"
    return f"; unlike those before it, {distance:.2f} away from the nearest, {nearest}"


def _notices(task: Task) -> list[str]:
    """What a person should know before labelling: the task's own notices, and what would keep labels from counting."""
    told, source = list(task.warnings), task.recipe.task.target
    if task.recipe.task.shots is not None:
        told.append(
            f"shots = {task.recipe.task.shots} draws that many target documents for each label; what is labelled now "
            "takes part in the draw, so leave shots out, or raise it, for all of it to count"
        )
    if source.where is not None:
        opened = f"({source.where}) OR why <> ''"
        told.append(
            f"the target has where = {json.dumps(source.where)}, and rows of the file are used only where that holds; "
            f"where = {json.dumps(opened)} lets them through"
        )
    return told
