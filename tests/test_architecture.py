"""The shape of the code: heavy libraries are imported in one place each, and imports point one way."""

import ast
from pathlib import Path

import pytest

import curator

PACKAGE = Path(curator.__file__).parent

# In the order of reading; a module imports only from those before it (and from its own package).
ORDER = (
    "errors", "files", "storage", "hashing", "markdown", "hardware", "recipe", "engines", "documents", "vectors",
    "encoder", "training", "catalogue", "relation", "neighbours", "probe", "trials", "calibration", "indexes",
    "brought", "reading", "origins", "corpora", "session", "nearest", "statements", "functions", "stages",
    "certificates", "mix", "labelling", "models", "upkeep", "race", "assessment", "tuning", "report", "results",
    "estimate", "demo", "workspace", "cli",
)  # fmt: skip

ONLY_IN = {
    "sentence_transformers": {"encoder"},
    "faiss": {"neighbours"},
    "duckdb": {"session"},
    "bm25s": {"functions"},
    "py3langid": {"functions"},
    "prompt_toolkit": {"cli"},
    "pygments": {"cli"},
    "transformers": {"training", "encoder"},  # the encoder silences its bar and replaces an attention
    "altair": {"report"},
    "vl_convert": {"report"},
    "typer": {"cli"},
    "rich": {"cli"},
    "peft": {"training"},
    "onnxruntime": {"training"},
    "wandb": {"training"},
    "optuna": {"tuning"},
    "tomlkit": {"tuning"},
    "ray": {"engines"},
    "fsspec": {"storage"},
}


def imports(path):
    """(module, whole dotted name) of every import of curator's or another's, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.module
            if node.module == "curator":
                yield from ((f"curator.{alias.name}",) * 2 for alias in node.names)


def owner(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name != "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    here = owner(path)
    assert here in ORDER, f"give {here} its place in the order of reading"
    for name, _ in imports(path):
        parts = name.split(".")
        if parts[0] == "curator" and len(parts) > 1 and parts[1] in ORDER and parts[1] != here:
            assert ORDER.index(parts[1]) < ORDER.index(here), f"{here} imports {name}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_heavy_libraries_are_imported_in_one_module(library):
    users = {owner(path) for path in FILES for name, _ in imports(path) if name.split(".")[0] == library}
    assert users == ONLY_IN[library]


def test_nothing_is_unpickled():
    for path in FILES:
        names = {name.split(".")[0] for name, _ in imports(path)}
        assert not names & {"pickle", "joblib", "dill", "shelve", "marshal"}, path
        assert "allow_pickle=True" not in path.read_text("utf8")


def test_the_public_names_are_these_and_no_others():
    assert curator.__all__ == ["CuratorError", "CuratorWarning", "Mix", "Race", "Recipe", "Workspace", "__version__"]
    for name in curator.__all__:
        assert hasattr(curator, name)
