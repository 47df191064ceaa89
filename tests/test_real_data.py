"""The shipped recipes on the public data they name, where CURATOR_DATA says it is."""

import os
from pathlib import Path

import polars as pl
import pytest

from curator import Recipe, Workspace
from curator.documents import normalise

DATA = os.environ.get("CURATOR_DATA", "")
RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.toml"))

pytestmark = [
    pytest.mark.skipif(not DATA, reason="CURATOR_DATA does not name a folder with the public data sets"),
    pytest.mark.filterwarnings("ignore::curator.CuratorWarning"),  # the toy encoder reads few words
]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_on_its_data(path, tmp_path, toy):
    recipe = Recipe.load(path)
    target = recipe.task.target.path
    if isinstance(target, str) and not (Path(DATA) / target).exists():
        pytest.skip(f"{target} is not there; benchmarks/examples.py makes it")
    if recipe.encoder.model != "embedded":
        pytest.skip(f"it needs {recipe.encoder.model}: the toy encoder sees nothing in its texts")
    ws = Workspace(tmp_path / "work", encoder=toy)
    mix = ws.mix(recipe, data=DATA)
    ledger, summary = mix.ledger(), mix.summary()
    deciding = ledger.filter("deciding")
    assert len(deciding) == summary["pool"] == deciding.select("corpus", "id").n_unique()
    assert len(mix) == deciding["keep"].sum() > 0
    test = ws._workshop(None, DATA).prepare(recipe, 0).test.frame["text"]
    assert not {normalise(text) for text in test} & {normalise(text) for text in mix.frame()["text"]}
    assert mix.verify().documents == len(mix)
    assert isinstance(mix.frame(), pl.DataFrame)
