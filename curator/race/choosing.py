"""Gives each arm its documents: those that are drawn from the pool, stored mixes, and those that stages choose.

What stages choose takes time, so it is kept beside the runs of a race: by ids alone, for a race that is run again.
"""

import hashlib
import json
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from curator.files import is_sealed, read_json, write_sealed
from curator.mix import Mix, StoredMix, Task, Workshop, tried
from curator.mix.build import build
from curator.mix.lock import code, versions
from curator.race.arms import Arm, as_served, choose, choose_of, described, serving
from curator.race.selecting import (
    Selection,
    is_chosen,
    of_baseline,
    of_control,
    of_recipe,
    without_source,
    without_stage,
)
from curator.recipe import CONTROLS, OF_MIX, OF_RECIPE, Kind, Recipe, racing, use_of

FOLDER = "selections"


class Chooser:
    """The arms of a race or of a search. Mixes and recipes are opened at once: one that is not there ends it early.

    ``home`` is the folder of the recipe, where paths of others start; ``folder`` where selections are kept, None keeps
    none. Raises UnknownNameError for a mix that there is not, RecipeError for a recipe.
    """

    def __init__(self, arms: list[str], workshop: Workshop, home: Path, folder: Path | None = None) -> None:
        catalogue = workshop.corpora.catalogue
        paths = {arm: home / arm.removeprefix(OF_RECIPE) for arm in arms if arm.startswith(OF_RECIPE)}
        self._workshop = workshop
        self._folder = folder
        self._stored = {
            arm: StoredMix.open(catalogue, arm.removeprefix(OF_MIX)) for arm in arms if arm.startswith(OF_MIX)
        }
        self._recipes = {arm: Recipe.load(path) for arm, path in paths.items()}
        self._texts = {arm: path.read_text("utf8") for arm, path in paths.items()}

    def choose(self, arm: str, task: Task, mix: Mix) -> Arm:
        """The documents of an arm for the seed of the task. Raises DataError for one that cannot be had."""
        if arm in self._stored:
            return choose_of(self._stored[arm], self._workshop, task, mix)
        if is_chosen(arm):
            budget = len(serving(as_served(mix.frame(), task), use_of(arm)))
            return self._selected(arm, self._selection(arm, task, mix, budget), budget, mix)
        return choose(arm, task, mix)

    def _selection(self, arm: str, task: Task, mix: Mix, budget: int) -> Selection:
        prefix, _, name = arm.partition(":")
        match f"{prefix}:":
            case racing.OF_RECIPE:
                return of_recipe(task, self._recipes[arm])
            case racing.WITHOUT_STAGE:
                return without_stage(task, name)
            case racing.WITHOUT_SOURCE:
                return without_source(name, task, self._workshop)
        return of_control(arm, task, mix) if arm in CONTROLS else of_baseline(arm, task, mix, budget)

    def described(self, arm: str, kind: Kind) -> dict[str, Any]:
        """What a record says of an arm; of another recipe also what it says."""
        own = {"recipe": self._texts[arm]} if arm in self._texts else {}
        return described(arm, self._stored.get(arm), kind) | own

    def decides(self, arm: str) -> str:
        """What an arm depends on beside the recipe, the corpora and the code."""
        return self._stored[arm].version if arm in self._stored else self._texts.get(arm, "")

    def _selected(self, arm: str, selection: Selection, budget: int, mix: Mix) -> Arm:
        """What stages choose, from its file if that was made from the same inputs."""
        task = selection.task
        path = self._folder and self._folder / FOLDER / f"{file_name(arm)}-seed{task.seed}.json"
        made_from = _digest(arm, selection, budget, mix)
        if path and is_sealed(path) and (kept := read_json(path))["inputs"] == made_from:
            return Arm(arm, _restored(kept["documents"], task), task.pool, kept["seconds"], kept["reused"])
        started = time.perf_counter()
        if selection.made_up:
            built = build(task, selection.plan, self._workshop.session)
        else:
            built = tried(task, selection.plan, self._workshop)
        documents = as_served(selection.cut_to(arm, budget, built), task)
        seconds = round(time.perf_counter() - started, 3)
        reused = sum(row["taken"] for row in (built.reused or {"stages": []})["stages"])
        if path and not len(built.changed):  # a text is kept in no second place
            rows = documents.select("corpus", "id", "label", "weight").rows()
            told = {"inputs": made_from, "seconds": seconds, "reused": reused}
            write_sealed(path, {**told, "documents": [list(row) for row in rows]})
        return Arm(arm, documents, task.pool, seconds, reused)


def file_name(arm: str) -> str:
    """What the files of an arm are called: one with other characters than names have gets a digest of them."""
    name = arm.replace(":", "--")
    if re.fullmatch(r"[\w.-]+", name, re.ASCII):
        return name
    digest = hashlib.blake2b(arm.encode("utf8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{re.sub(r'[^0-9A-Za-z_.-]+', '-', name)}-{digest}"


def _digest(arm: str, selection: Selection, budget: int, mix: Mix) -> str:
    """Of all that decides what is chosen; the version of a mix is that of all that it was made from."""
    plan = [{**asdict(step), "stage": step.stage.sha256} for step in selection.plan]
    told = [arm, budget, plan, mix.version, mix.lock["ids_sha256"], code(), versions()]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode("utf8", "surrogatepass")).hexdigest()


def _restored(rows: list[Any], task: Task) -> pl.DataFrame:
    """The documents of a pool that were chosen, in their order then, with the labels and weights of then."""
    label = task.pool.frame.schema["label"]
    schema = {"corpus": pl.String(), "id": pl.String(), "label": label, "weight": pl.Float64()}
    chosen = pl.DataFrame(rows, schema=schema, orient="row")
    texts = task.pool.select(["corpus", "id", "text", "source", "serves", "source_label"])
    joined = chosen.join(texts, on=["corpus", "id"], how="left", maintain_order="left")
    return joined.select("corpus", "id", "text", "label", "source", "weight", "serves", "source_label")
