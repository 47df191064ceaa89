"""``curator sql``: a query, a file, standard input or a prompt; what it prints, writes and refuses."""

import csv
import io
import json
import logging
import re
import sys
import time

import polars as pl
import pyarrow.parquet as pq
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

from curator import Workspace, cli
from curator.cli import terminal
from curator.cli.completion import Vocabulary, candidates, vocabulary
from curator.cli.prompt import SqlCompleter, prompt
from curator.cli.shell import COMMANDS, Shell
from curator.cli.statement import Options
from curator.encoder import remembered

# Cosines by hand: the nearest of l1 is r1 (1.0), of l2 it is r2 (0.8).
LEFT = [("l1", [1, 0]), ("l2", [0, 1])]
RIGHT = [("r1", [1, 0]), ("r2", [0.6, 0.8])]
NEAREST = """
    SELECT l.id AS left_id, r.id AS right_id, array_inner_product(l.embedding, r.embedding) AS score
    FROM l JOIN r EXACT NEAREST $k BY SIMILARITY array_inner_product(l.embedding, r.embedding)
    ORDER BY left_id, score DESC
"""


class Input(io.StringIO):
    """Standard input that is, or is not, a terminal."""

    def __init__(self, text="", *, terminal=False):
        super().__init__(text)
        self.isatty = lambda: terminal


@pytest.fixture
def ws(tmp_path, toy):
    workspace = Workspace(tmp_path / "work", encoder=toy)
    for name, rows in (("l", LEFT), ("r", RIGHT)):
        lines = [json.dumps({"id": id_, "text": f"text of {id_}", "v": vector}) for id_, vector in rows]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
        workspace.add(name, tmp_path / f"{name}.jsonl", vectors="v")
    return workspace


@pytest.fixture
def run(ws, tmp_path, toy, monkeypatch, capsys):
    """Run ``curator sql`` over the two corpora. Returns exit code, standard output and standard error."""
    monkeypatch.setattr(remembered, "load", lambda _: toy)
    monkeypatch.setenv("CURATOR_WORKSPACE", str(ws.root))
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)

    def command(*words, stdin="", before=()):
        monkeypatch.setattr("sys.argv", ["curator", *before, "sql", *map(str, words)])
        monkeypatch.setattr("sys.stdin", Input(stdin))
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    command.folder = tmp_path
    return command


def test_a_nearest_join_with_parameters_as_json(run):
    code, out, _ = run(NEAREST, "-s", "k=1", "--json")
    assert code == 0
    told = json.loads(out)
    assert [(row["left_id"], row["right_id"]) for row in told["rows"]] == [("l1", "r1"), ("l2", "r2")]
    assert [row["score"] for row in told["rows"]] == pytest.approx([1.0, 0.8])
    assert told["report"]["rows"] == 2
    assert [join["engine"] for join in told["report"]["joins"]] == ["faiss"]


def test_json_has_numbers_for_decimals_and_null_for_what_it_cannot_say(run):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    _, out, _ = run(
        "SELECT sum(n) AS s, 1.25::DECIMAL(9, 2) AS d, 'nan'::DOUBLE AS x, 'é' AS t FROM range(3) AS r(n)", "--json"
    )
    assert json.loads(out, parse_constant=refuse)["rows"] == [{"s": 3, "d": 1.25, "x": None, "t": "é"}]


def test_a_file_of_statements_one_after_another(run):
    (run.folder / "two.sql").write_text("SELECT 'a;b' AS x; -- not; these;\n/* nor; this */ SELECT $n AS y;\n")
    code, out, _ = run("-f", run.folder / "two.sql", "--set", "n=2", "--json")
    assert code == 0
    assert [json.loads(line)["rows"] for line in out.splitlines()] == [[{"x": "a;b"}], [{"y": 2}]]
    code, out, _ = run(run.folder / "two.sql", "--set", "n=2")
    assert [line.strip() for line in out.splitlines()] == ["x", "a;b", "", "y", "2"]


@pytest.mark.parametrize("words", [[], ["-"]])
def test_standard_input(run, words):
    code, out, _ = run(*words, "--json", stdin="SELECT 1 AS a;\nSELECT 2 AS a")
    assert code == 0
    assert [json.loads(line)["rows"] for line in out.splitlines()] == [[{"a": 1}], [{"a": 2}]]


def test_csv_has_a_header_and_json_for_vectors(run):
    code, out, _ = run(
        "SELECT id, embedding, [1, NULL] AS list, NULL AS nothing, 'a,\"b' AS t FROM r ORDER BY id", "--csv"
    )
    assert code == 0
    header, first, second = csv.reader(io.StringIO(out))
    assert header == ["id", "embedding", "list", "nothing", "t"]
    assert first == ["r1", "[1.0,0.0]", "[1,null]", "", 'a,"b']
    assert json.loads(second[1]) == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_output_to_a_file(run, suffix):
    path = run.folder / "made" / f"rows{suffix}"
    code, out, _ = run("SELECT id, embedding FROM r ORDER BY id", "--output", path)
    assert code == 0
    assert "wrote 2 rows" in out.replace("\n", " ")
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    if suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
    elif suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        rows = [
            row | {"embedding": json.loads(row["embedding"])} for row in csv.DictReader(path.read_text().splitlines())
        ]
    assert [row["id"] for row in rows] == ["r1", "r2"]
    assert rows[1]["embedding"] == pytest.approx([0.6, 0.8])


def test_one_query_for_csv_and_output(run):
    path = run.folder / "x.parquet"
    for words in (["--csv"], ["--output", path]):
        code, out, err = run("SELECT 1; SELECT 2", *words)
        assert (code, out) == (2, "")
        assert "of 2 statements 2 are" in err
    assert not path.exists()
    code, out, _ = run("CREATE TABLE t AS SELECT 7 AS n; SELECT n FROM t", "--write", "--csv")
    assert (code, out) == (0, "n\n7\n")
    code, out, _ = run("CREATE TABLE t AS SELECT 7 AS n; FROM t", "--write", "--output", path)
    assert code == 0
    assert pq.read_table(path).to_pylist() == [{"n": 7}]


def test_read_only_unless_asked(run):
    path = run.folder / "copied.parquet"
    for statement in (
        "CREATE TABLE t AS SELECT 1",
        f"COPY (SELECT 1 AS one) TO '{path}'",
        "SET threads = 1",
        "WITH d AS (DELETE FROM l RETURNING id) SELECT * FROM d",
    ):
        code, out, err = run(statement)
        assert (code, out) == (2, "")
        assert "error:" in err
    assert "--write" in run("CREATE TABLE t AS SELECT 1")[2]
    assert not path.exists()
    code, out, _ = run(f"COPY (SELECT 1 AS one FROM range(3)) TO '{path}'", "--write")
    assert (code, out) == (0, "3 rows\n")
    assert pq.read_table(path).to_pylist() == [{"one": 1}] * 3


def test_explain_says_who_does_what_and_analyze_runs_it(run):
    code, out, _ = run(NEAREST, "-s", "k=1", "--explain")
    assert code == 0
    assert out.startswith("FAISS:")
    assert "estimated" in out
    assert "measured" in run(NEAREST, "-s", "k=1", "--analyze")[1]
    code, out, _ = run(NEAREST, "-s", "k=1", "--explain", "--json")
    assert json.loads(out)["report"]["explain"].startswith("FAISS:")
    code, _, err = run("SELECT 1", "--explain", "--csv")
    assert code == 2
    assert "--explain gives no rows" in err


def test_duckdbs_own_plan_is_drawn_in_lines(run):
    out = run("EXPLAIN SELECT 42 AS answer")[1]
    assert len(out.splitlines()) > 2
    assert "explain_key" not in out


def test_a_sandbox_reads_no_file_and_writes_none(run):
    (run.folder / "secret.csv").write_text("word\nhush\n")
    query = f"SELECT * FROM '{run.folder}/secret.csv'"
    assert "hush" in run(query)[1]
    code, out, err = run(query, before=["--sandbox"])
    assert (code, out) == (2, "")
    assert "disabled" in err
    assert json.loads(run("SELECT count(*) AS n FROM l", "--json", before=["--sandbox"])[1])["rows"] == [{"n": 2}]
    code, _, err = run("SELECT 1", "--write", before=["--sandbox"])
    assert code == 2
    assert "leave out --write" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["SELECT 1", "-s", "n=1"], "no parameter $n"),
        (["SELECT 1", "-s", "n"], "write name=value"),
        (["SELECT 1", "-f", "x.sql"], "not both"),
        (["-f", "missing.sql"], "missing.sql: No such file"),
        (["missing.sql"], "missing.sql: No such file"),
        (["/* nothing */"], "there is no statement"),
        ([], "there is no statement"),
        (["SELECT 1", "--json", "--csv"], "not several"),
        (["SELECT 1", "-o", "rows.xlsx"], "not '.xlsx'"),
    ],
)
def test_usage_errors(run, words, message):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err


def test_a_stopped_query_is_no_error_of_ours(run, monkeypatch):
    def interrupted(*_, **__):
        raise RuntimeError("Query interrupted")  # what DuckDB's client makes of Ctrl-C

    monkeypatch.setattr(Workspace, "sql", interrupted)
    code, _, err = run("SELECT 1")
    assert code == 130
    assert "stopped" in err


# What a terminal shows


@pytest.fixture
def screen(monkeypatch):
    """Standard output as a terminal of 60 columns."""
    console = Console(force_terminal=True, width=60, file=io.StringIO(), color_system=None)
    monkeypatch.setattr(terminal, "out", console)
    return console.file


def test_no_value_is_cut_silently_where_columns_do_not_fit(screen):
    frame = pl.DataFrame({f"column_{i}": [f"first value of {i}", None] for i in range(9)})
    terminal.print_table(frame, null="NULL")
    lines = [line.split() for line in screen.getvalue().splitlines()]
    assert lines[0] == ["row", "1"]
    assert lines[1:10] == [[f"column_{i}", "first", "value", "of", str(i)] for i in range(9)]
    assert lines[10:12] == [["row", "2"], ["column_0", "NULL"]]


def test_what_fits_is_a_table(screen):
    terminal.print_table(pl.DataFrame({"n": [12345, None], "small": [0.00001, 0.5]}), null="NULL")
    assert [line.split() for line in screen.getvalue().splitlines()] == [
        ["n", "small"],
        ["12,345", "1e-05"],
        ["NULL", "0.500"],
    ]


def test_vectors_are_shown_by_their_first_numbers_and_texts_cannot_steer_the_terminal(screen):
    terminal.print_table(pl.DataFrame({"v": [[0.5] * 384], "t": ["a\x1b[2Jb [bold]c"]}))
    shown = screen.getvalue()
    assert "[0.500, 0.500, 0.500, … 384 numbers]" in shown
    assert "\x1b" not in shown
    assert "a�[2Jb [bold]c" in shown


def test_progress_bars_do_not_take_the_results(monkeypatch, capsys):
    bars_screen = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(force_terminal=True, file=bars_screen, stderr=True))
    with terminal.Bars(quiet=False) as bars:
        bars.step("embedding", 1, 2)
        sys.stdout.write("straight to a file\n")
        terminal.write_out("rows\n")
        drawn = bars_screen.getvalue()
        time.sleep(0.3)  # bars that are still there are drawn ten times a second
        assert bars_screen.getvalue() == drawn
        bars.step("embedding", 2, 2)
    assert "embedding" in drawn
    assert capsys.readouterr().out == "straight to a file\nrows\n"


@pytest.mark.parametrize(("tokens", "rate"), [(2_500, "100.0/s, 2,500 tokens/s"), (0, "100.0/s")])
def test_a_bar_says_how_much_is_done_how_fast_and_how_long_it_takes_yet(monkeypatch, tokens, rate):
    seconds = [0]
    screen = io.StringIO()
    console = Console(force_terminal=True, file=screen, width=80, get_time=lambda: float(seconds[0]))
    monkeypatch.setattr(terminal, "err", console)
    with terminal.Bars(quiet=False) as bars:
        for second in range(5):
            seconds[0] = second
            bars.step("embedding reviews", 100 * second, 7_600_000, tokens * second)
        bars._progress.refresh()
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()).strip().splitlines()[-1]
    words = " ".join(re.sub("[━╸╺]", " ", last).split())
    assert words == f"embedding reviews 400/7600000 {rate} 21:06:36"  # 7,599,600 texts at 100 a second


# The prompt: what it answers


def answers(shell, text):
    """Texts and frames of the replies to what is typed."""
    return [reply.text if reply.frame is None else reply.frame for reply in shell.answer(text)]


@pytest.fixture
def shell(ws):
    return Shell(ws, Options())


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", True),
        ("  \n", True),
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1 -- not yet;", False),
        ("SELECT ';", False),
        ("SELECT ';';", True),
        ("SELECT /* ; */ 1", False),
        ("SELECT 1\n;\n", True),
        (".tables", True),
        ("exit", True),
        ("exit\nSELECT", False),
    ],
)
def test_when_a_text_is_complete(shell, text, complete):
    assert shell.complete(text) is complete


def test_an_answer_is_rows_and_a_note(shell):
    frame, note = answers(shell, NEAREST.replace("$k", "1") + ";")
    assert frame["right_id"].to_list() == ["r1", "r2"]
    rows, seconds, joins = note.split(" · ")
    assert rows == "2 rows"
    assert seconds.endswith(" s")
    assert joins == "1 of 1 NEAREST joins by FAISS"
    answers(shell, ".timer off")
    assert answers(shell, "SELECT 1;")[1] == "1 row"


def test_what_is_not_shown_is_counted(shell):
    shell.timed = False
    frame, cut, note = answers(shell, "FROM range(100);")
    assert len(frame) == 40
    assert frame["range"].to_list() == list(range(40))
    assert cut.startswith("… 60 more rows not shown")
    assert note == "100 rows"
    assert len(answers(shell, "FROM range(40);")) == 2
    answers(shell, ".mode csv")
    assert len(answers(shell, "FROM range(100);")[0].splitlines()) == 101


def test_an_error_ends_what_was_typed_and_not_the_prompt(shell):
    replies = list(shell.answer("SELECT 1; SELEC 2; SELECT 3; SELECT 4;"))
    assert [reply.kind for reply in replies] == ["text", "note", "error", "note"]
    assert "SELEC" in replies[2].text
    assert replies[3].text == "2 statements after it not run"
    assert not shell.done
    assert "did you mean '.tables'" in answers(shell, ".tabels")[0]
    assert answers(shell, "SELECT 5 AS n;")[0]["n"].to_list() == [5]
    assert answers(shell, "") == []


def test_read_only_and_write(ws, shell):
    assert "--write" in answers(shell, "CREATE TABLE t AS SELECT 1 AS one;")[0]
    writing = Shell(ws, Options(write=True))
    writing.timed = False
    assert answers(writing, "CREATE TABLE t AS FROM range(3); CREATE VIEW v AS FROM t;") == ["3 rows", "done"]
    assert answers(writing, "SELECT sum(range) AS s FROM v;")[0]["s"].to_list() == [3]
    assert answers(writing, ".tables")[0].rows() == [
        ("l", "corpus", 2),
        ("r", "corpus", 2),
        ("t", "made here", None),
        ("v", "made here", None),
    ]
    assert answers(writing, ".schema v")[0].rows() == [("range", "BIGINT")]


def test_schema_of_a_corpus(shell):
    types = dict(answers(shell, ".schema l")[0].rows())
    assert types["id"] == "VARCHAR"
    assert types["embedding"].startswith("FLOAT[")
    assert "n_tokens" not in types  # it came with vectors of its own
    shell.ws.add("texts", pl.DataFrame({"text": ["one", "two"]}))
    types = dict(answers(shell, ".schema texts")[0].rows())
    assert (types["n_tokens"], types["embedding"]) == tuple(
        f"{kind}, in a query that names it" for kind in ("INTEGER", "FLOAT[n]")
    )
    known = vocabulary(shell.ws)
    assert {"n_tokens", "embedding"} <= set(known.relations["texts"])
    assert "n_tokens" not in known.relations["l"]
    assert "did you mean" in answers(shell, ".schema rr")[0]


def test_modes(shell):
    assert answers(shell, ".mode json") == []
    assert json.loads(answers(shell, "SELECT 1 AS a;")[0])["rows"] == [{"a": 1}]
    answers(shell, ".mode csv")
    assert answers(shell, "SELECT 1 AS a;")[0] == "a\n1\n"
    assert "table, json, csv" in answers(shell, ".mode xml")[0]
    answers(shell, ".mode table")
    assert answers(shell, "SELECT 1 AS a;")[0].columns == ["a"]


def test_explain_comes_before_the_rows(shell):
    assert "not 'yes'" in answers(shell, ".explain yes")[0]
    answers(shell, ".explain on")
    plan, frame, _ = answers(shell, NEAREST.replace("$k", "1") + ";")
    assert plan.startswith("FAISS:")
    assert len(frame) == 2
    answers(shell, ".explain off")
    assert len(answers(shell, "SELECT 1;")) == 2


def test_read_a_file_and_write_the_next_result(shell, tmp_path):
    (tmp_path / "q.sql").write_text("SELECT 1 AS a; .quit")
    assert [reply.kind for reply in shell.answer(f".read {tmp_path}/q.sql")] == ["text", "note", "error"]
    assert not shell.done  # a file from someone else gives no commands
    assert "No such file" in answers(shell, ".read nowhere.sql")[0]
    assert "not '.xlsx'" in answers(shell, ".output rows.xlsx")[0]
    answers(shell, f".output {tmp_path}/rows.parquet")
    (note,) = answers(shell, "FROM range(100);")
    assert note.startswith("100 rows")
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 100
    assert len(answers(shell, "SELECT 1;")) == 2  # the one after it is shown again


def test_every_command_is_helped_with_and_answered(shell):
    told = answers(shell, ".help")[0]
    for name in COMMANDS:
        assert name in told
        assert not any("no command" in str(answer) for answer in answers(shell, name))
    assert shell.done


def test_words_that_people_type(shell):
    assert answers(shell, "help")[0] == answers(shell, ".help")[0]
    answers(shell, "exit;")
    assert shell.done


# The prompt: what it completes

KNOWN = Vocabulary(
    keywords=("NEAREST", "SIMILARITY", "FROM", "JOIN", "ON", "SELECT", "SIMILAR", "WHERE"),
    functions=("embed", "array_inner_product", "sum"),
    table_functions=("leaders", "ledger", "mix", "rejects"),
    relations={"apps": ("id", "stars"), "hotels": ("id", "text", "Room Kind"), "my notes": ("id",)},
    mixes=("finance",),
)


def completed(before, after=""):
    return [candidate.text for candidate in candidates(KNOWN, before, after)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("SELECT * FROM ho", "", ["hotels"]),
        ("SELECT * FROM apps JOIN H", "", ["hotels"]),
        ("SELECT * FROM le", "", ["leaders(", "ledger("]),
        ("SELECT * FROM my", "", ['"my notes"']),
        ("SELECT h.", " FROM hotels h", ["id", "text", '"Room Kind"']),
        ("SELECT h.t", " FROM hotels AS h JOIN apps AS a", ["text"]),
        ("SELECT A.", " FROM hotels AS h JOIN apps AS a EXACT NEAREST 1", ["id", "stars"]),
        ("SELECT hotels.", " FROM hotels WHERE 1", ["id", "text", '"Room Kind"']),
        ("SELECT h.", " FROM apps h, hotels x", ["id", "stars"]),
        ("SELECT x.", " FROM apps h, hotels x", ["id", "text", '"Room Kind"']),
        ("SELECT p.", " FROM hotels h JOIN (SELECT 1) p", []),
        ("SELECT h.s", "", ["stars"]),
        ("SELECT s", " FROM hotels", ["similarity", "select", "similar", "sum("]),
        ("SELECT s", " FROM apps", ["stars", "similarity", "select", "similar", "sum("]),
        ("SELECT * FROM hotels; SELECT st", " FROM apps; SELECT 1 FROM hotels", ["stars"]),
        ("SELECT array_", "", ["array_inner_product("]),
        ("FROM apps NEA", "", ["NEAREST"]),
        ("FROM ledger('", "", ["finance"]),
        ("FROM rejects('h", "", ["hotels"]),
        ("FROM leaders('apps', x := 'h", "", ["hotels"]),
        ("SELECT upper('h", "", []),
        ("SELECT leaders('x') || 'h", "", []),
        ("SELECT 1 -- FROM ho", "", []),
        ("SELECT '--' FROM ho", "", ["hotels"]),
        ("SELECT 'é😀' FROM ho", "", ["hotels"]),
    ],
)
def test_candidates(before, after, expected):
    assert completed(before, after) == expected


def test_a_candidate_replaces_what_was_typed_of_it():
    (candidate,) = candidates(KNOWN, "SELECT * FROM ho")
    assert (candidate.length, candidate.kind) == (2, "relation")
    (candidate,) = candidates(KNOWN, "FROM ledger('fin")
    assert candidate.length == 3


def test_the_vocabulary_of_a_workspace(ws):
    ws.execute("CREATE TABLE made AS SELECT 1 AS one, 2 AS two")
    known = vocabulary(ws)
    assert known.relations["made"] == ("one", "two")
    assert {"id", "text", "embedding"} <= set(known.relations["l"])
    assert {"SELECT", "NEAREST", "EXACT", "APPROX", "SIMILARITY", "DISTANCE"} <= set(known.keywords)
    assert {"embed", "array_inner_product", "word_count"} <= set(known.functions)
    assert {"leaders", "pairs_within", "ledger", "mix", "rejects"} <= set(known.table_functions)


def menu(text, *, asked=False):
    event = CompleteEvent(completion_requested=asked)
    return [item.text for item in SqlCompleter(KNOWN).get_completions(Document(text), event)]


def test_the_menu_waits_for_two_letters_unless_asked():
    assert menu("SELECT * FROM h") == []
    assert menu("SELECT * FROM h", asked=True) == ["hotels"]
    assert menu("SELECT * FROM ho") == ["hotels"]
    assert menu("SELECT hotels.") == ["id", "text", '"Room Kind"']


def test_commands_are_completed(tmp_path):
    assert menu(".t") == [".tables", ".timer"]
    assert menu(".mode ") == ["table", "json", "csv"]
    assert menu(".explain o") == ["on", "off"]
    assert menu(".schema h") == ["hotels"]
    (tmp_path / "query.sql").touch()
    assert menu(f".read {tmp_path}/que", asked=True) == ["ry.sql"]


# The prompt, end to end

CTRL_C, CTRL_D, ENTER = "\x03", "\x04", "\r"


@pytest.fixture
def typed(ws, capsys):
    """What the prompt prints while these keys are typed."""

    def type_(*keys):
        with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
            pipe.send_text("".join(keys))
            prompt(ws, Options())
        return capsys.readouterr().out

    return type_


def test_the_prompt_from_keys_to_rows_and_history(ws, typed):
    printed = typed(
        f"SELECT 40 + 2{ENTER}AS answer;{ENTER}",  # two lines, one statement
        f"SELECT dropped{CTRL_C}",
        f"SELECT nothing_such;{ENTER}",
        f"{ENTER}SELECT 6 * 7 AS again;{ENTER}",
        CTRL_D,
    )
    lines = [line.strip() for line in printed.splitlines()]
    assert "2 corpora" in lines[0]
    assert "read-only" in lines[0]
    assert lines[1:3] == ["answer", "42"]
    assert lines[3].startswith("1 row")
    assert "nothing_such" in printed
    assert lines[lines.index("again") + 1] == "42"
    assert "dropped" not in printed
    history = (ws.root / "sql_history").read_text()
    assert "+SELECT 40 + 2\n+AS answer;" in history


def test_the_prompt_remembers_and_quits(typed):
    typed(f"SELECT 'remembered' AS word;{ENTER}", f".quit{ENTER}")
    up = "\x1b[A"
    printed = typed(up, up, ENTER, f"quit{ENTER}")
    assert "remembered" in printed


def test_the_prompt_begins_only_at_a_terminal(ws, run, monkeypatch):
    asked = []
    monkeypatch.setattr("curator.cli.prompt.prompt", lambda *given: asked.append(given))
    monkeypatch.setattr("sys.argv", ["curator", "sql", "--explain"])
    monkeypatch.setattr("sys.stdin", Input(terminal=True))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    ((_, options),) = asked
    assert options.explain
