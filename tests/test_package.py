"""What is installed: the wheel carries the SQL and the sample corpora; the README's example runs."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_wheel_carries_sql_and_sample_corpora(tmp_path):
    pytest.importorskip("hatchling", reason="building needs the dev extra")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    wanted = {f"curator/sql/{path.relative_to(ROOT / 'sql')}" for path in (ROOT / "sql").rglob("*.sql")}
    wanted |= {
        str(path.relative_to(ROOT))
        for path in (ROOT / "curator" / "demo").rglob("*")
        if path.suffix in (".jsonl", ".toml", ".md")
    }
    wanted |= {"curator/py.typed", "curator/report/style.css", "curator/report/report.js"}
    assert len(wanted) > 20
    assert wanted <= names
    assert not [name for name in names if name.startswith("tests")]


def test_the_readmes_example_runs(tmp_path, monkeypatch, capsys):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf8"), re.DOTALL)[1]
    assert len(code.strip().splitlines()) == 12
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "my card was declined abroad" in printed
    assert "card refused at the till" in printed


def test_every_shipped_recipe_is_valid():
    from curator import Recipe
    from curator.stages import Stage

    paths = [
        *(ROOT / "recipes").glob("*.toml"),
        ROOT / "curator/demo/demo.toml",
    ]
    assert len(paths) >= 9
    for path in paths:
        recipe = Recipe.load(path)
        for use in recipe.stage:
            Stage.load(use.use, recipe.folder).bind(use.parameters, 0)


def test_the_folders_the_readme_names_exist():
    for folder in re.findall(r"^\| `(\w+)/` \|", (ROOT / "README.md").read_text("utf8"), re.MULTILINE):
        assert (ROOT / folder).is_dir()
