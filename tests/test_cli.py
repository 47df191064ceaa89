"""The command line in process: what it prints, its JSON and its exit codes."""

import json
import logging

import pytest

from curator import cli
from curator.encoder import remembered
from curator.stages import shipped


@pytest.fixture
def run(tmp_path, toy, monkeypatch, capsys):
    """Run a command in a workspace with the toy encoder. Returns exit code, standard output and standard error."""
    monkeypatch.setattr(remembered, "load", lambda _: toy)
    monkeypatch.setenv("CURATOR_WORKSPACE", str(tmp_path / "work"))
    monkeypatch.delenv("CURATOR_DATA", raising=False)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    (tmp_path / "notes.jsonl").write_text(
        '{"id": "a", "text": "my card"}\n{"id": "b", "text": "a room"}\n{"id": "c"}\n'
    )

    def command(*words, stdin=None):
        monkeypatch.setattr("sys.argv", ["curator", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    command.folder = tmp_path
    return command


def test_add_search_sql_and_ls(run):
    code, out, _ = run("add", "notes", run.folder / "notes.jsonl")
    assert code == 0
    assert "2 documents" in out
    assert "1 rejects" in out
    assert "no text" in out
    code, out, _ = run("search", "notes", "card", "-k", "1", "--json")
    found = json.loads(out)
    assert [row["id"] for row in found["rows"]] == ["a"]
    assert found["report"]["exact"] is True
    code, out, _ = run("sql", "SELECT id FROM notes WHERE id > $least ORDER BY id", "-s", "least=a", "--json")
    assert json.loads(out)["rows"] == [{"id": "b"}]
    code, out, _ = run("ls", "--json")
    assert json.loads(out)["rows"][0]["documents"] == 2


def test_exit_codes(run):
    assert run("add", "notes", run.folder / "notes.jsonl", "--strict")[0] == 3
    code, _, err = run("search", "nots", "x")
    assert code == 2
    assert "did you mean 'notes'" in err
    code, _, err = run("sql", "SELECT FROM notes")
    assert code == 2
    assert "error:" in err
    code, _, err = run("add", "other", run.folder / "missing.jsonl")
    assert code == 1
    assert "missing.jsonl" in err
    assert run("no-such-command")[0] == 2


def test_explain_of_sql(run):
    run("add", "notes", run.folder / "notes.jsonl")
    join = (
        "SELECT a.id FROM notes a JOIN notes b EXACT NEAREST 1 BY SIMILARITY "
        "array_inner_product(a.embedding, b.embedding)"
    )
    assert run("sql", join, "--explain")[1].startswith("FAISS:")


def test_mix_explain_verify_diff_export(run):
    lines = [
        json.dumps({"id": f"{kind}{i}", "text": f"{kind} words {i} are here", "label": kind})
        for i in range(10)
        for kind in ("up", "down")
    ]
    (run.folder / "target.jsonl").write_text("\n".join(lines))
    (run.folder / "pool.jsonl").write_text("\n".join(line.replace("here", "there now") for line in lines))
    recipe = '[task]\ntarget = "target.jsonl"\nsplit = { test = 0.3 }\n[pool.p]\npath = "pool.jsonl"\n'
    (run.folder / "r.toml").write_text(recipe)
    (run.folder / "s.toml").write_text(recipe + '[[stage]]\nuse = "ratio"\nbudget = 6\n')
    code, out, err = run("mix", run.folder / "r.toml")
    assert code == 0, err
    assert "labels" in out
    assert run("verify", "r")[0] == 0
    code, out, _ = run("explain", "r", "p:up3", "--json")
    assert json.loads(out)["report"]["document"] == "p:up3"
    assert run("mix", run.folder / "s.toml")[0] == 0
    code, out, _ = run("diff", "r", "s", "--json")
    assert {row["stage"] for row in json.loads(out)["rows"]} == {"ratio"}
    assert run("export", "s", run.folder / "out.csv")[0] == 0
    assert (run.folder / "out.csv").exists()
    (run.folder / "pool.jsonl").write_text(lines[0])
    assert run("verify", "r")[0] == 0
    code, _, err = run("verify", "r", "--origin")
    assert code == 1
    assert "pool.jsonl has changed" in err
    code, out, _ = run("mix", run.folder / "s.toml", "--dry-run", "--json")
    assert code == 0
    assert "estimated seconds" in json.loads(out)["report"]


def test_a_bad_recipe_names_file_and_key(run):
    (run.folder / "bad.toml").write_text("[task]\ntarget = 'x'\ntests = 'y'\n")
    code, _, err = run("mix", run.folder / "bad.toml")
    assert code == 2
    assert "bad.toml" in err
    assert "task.tests: unknown key" in err


def test_version(run):
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("curator ")


def test_doctor_and_stages(run):
    assert "because" in run("doctor")[1] or "torch sees" in run("doctor")[1] or "cuda" in run("doctor")[1]
    out = run("stages")[1]
    assert {"exact_duplicates", "near_duplicates"} <= set(shipped())
    assert all(name in out for name in shipped())
    assert "min_jaccard" not in out
    out = run("stages", "near_duplicates", "deduplicate")[1]
    assert "share of common runs" in out
    assert "fpr in the place of min_similarity" in out
    assert "gopher" not in out
    told = json.loads(run("stages", "--json")[1])["rows"]
    assert [row["stage"] for row in told] == shipped()
    code, _, err = run("stages", "near_duplicate")
    assert code == 2
    assert "near_duplicates" in err


def test_check_repair_and_gc(run):
    run("add", "notes", run.folder / "notes.jsonl")
    run("embed", "notes")
    assert run("check")[:2] == (0, "nothing is damaged\n")
    manifest = next((run.folder / "work" / "corpora" / "notes").glob("*/manifest.json"))
    manifest.write_text("{")
    code, out, _ = run("check")
    assert code == 1
    assert f"{manifest.parent.name}/manifest.json is not what was written: it is written again" in out
    code, out, _ = run("check", "--json")
    assert code == 1
    assert [row["path"] for row in json.loads(out)["rows"]] == [str(manifest.relative_to(run.folder / "work"))]
    code, out, _ = run("check", "--repair")
    assert code == 0
    assert "written again" in out
    assert json.loads(run("check", "--json")[1])["rows"] == []
    (run.folder / "notes.jsonl").write_text('{"id": "a", "text": "other"}\n')
    run("add", "notes", run.folder / "notes.jsonl")
    code, dry, _ = run("gc", "--dry-run", "--json")
    assert json.loads(dry)["report"]["versions"] == 1
    code, out, _ = run("gc")
    assert code == 0
    assert "removed 1 versions of corpora" in out
    assert run("gc")[1] == "everything is in use\n"


def test_forget(run):
    run("add", "notes", run.folder / "notes.jsonl")
    code, out, _ = run("forget", "notes:a")
    assert code == 0
    assert "notes:a: forgotten in 1 versions" in out
    assert str(run.folder / "notes.jsonl") in out
    assert json.loads(run("sql", "SELECT id FROM notes", "--json")[1])["rows"] == [{"id": "b"}]
    code, _, err = run("forget", "notes:a", "--json")
    assert code == 2
    assert "no document named 'a'" in err


def test_index_is_chosen_kept_and_checked(run):
    run("add", "notes", run.folder / "notes.jsonl")
    code, out, _ = run("index", "notes", "--recall", "0.9")
    assert code == 0
    assert "notes: no index (2 rows: below 10,000 exact search is as fast)" in out
    code, out, _ = run("index", "notes", "--recall", "0.9", "--json")
    assert json.loads(out)["report"]["did"] == "nothing: it is there"
    code, out, _ = run("index", "notes", "--check")
    assert code == 0
    assert "exact search, whose recall is 1" in out
    code, _, err = run("index", "notes", "--kind", "lsh")
    assert code == 2
    assert "kind = 'lsh'" in err
