"""ws.sql, execute and explain: errors that point, saturated lists, statements around a query, views, the sandbox."""

import numpy as np
import polars as pl
import pytest

from curator import CuratorWarning, Workspace
from curator.errors import QueryError, UsageError

IP = "array_inner_product(t.embedding, p.embedding)"
PAIRS = f"FROM few t JOIN many p EXACT NEAREST 3 BY SIMILARITY {IP}"
FEW = np.random.default_rng(1).normal(size=(8, 6)).astype(np.float32)
MANY = np.random.default_rng(2).normal(size=(50, 6)).astype(np.float32)
SCORES = FEW @ MANY.T
THIRD = np.sort(SCORES, axis=1)[:, -3]  # of each left row: the score of its last neighbour
AMONG = float(np.median(THIRD))  # a threshold that half of the third neighbours pass


@pytest.fixture
def ws(tmp_path):
    ws = Workspace(tmp_path / "work")
    for name, vectors in (("few", FEW), ("many", MANY)):
        labels = ["ab"[i % 2] for i in range(len(vectors))]
        frame = pl.DataFrame({"id": [f"{name}{i}" for i in range(len(vectors))], "text": labels, "label": labels})
        ws.add(name, frame, vectors=vectors)
    return ws


@pytest.mark.parametrize(
    ("sql", "message", "pointed"),
    [
        (f"SELECT t.idd {PAIRS}", 'does not have a column named "idd"', "t.idd"),
        (f"SELECT t.id {PAIRS}".replace("many p", "mny p"), "named 'mny': did you mean 'many'", "mny p"),
        (f"SELECT t.id,\n  'é' AS é {PAIRS.replace('t.emb', 't.enb')}", '"enbedding"', "t.enbedding"),
        (f"SELECT t.id, nonsense(1) {PAIRS}", "nonsense", "nonsense(1)"),
        ("SELECT left_id, scor FROM pairs_within(many, min_score := 0.9)", '"scor" not found', "scor FROM"),
        (f"EXPLAIN SELECT\n t.idd {PAIRS}", '"idd"', "t.idd"),
    ],
)
def test_an_error_points_into_the_persons_own_text(ws, sql, message, pointed):
    with pytest.raises(QueryError, match=message) as raised:
        ws.sql(sql)
    lines = str(raised.value).splitlines()
    caret = next(i for i, line in enumerate(lines) if line.strip() == "^")
    assert lines[caret - 1][lines[caret].index("^") :].startswith(pointed)
    assert "__" not in str(raised.value)


def test_an_error_costs_no_search(ws, monkeypatch):
    monkeypatch.setattr("curator.neighbours.nearest", lambda *_, **__: pytest.fail("searched before the error"))
    with pytest.raises(QueryError):
        ws.sql(f"SELECT t.idd {PAIRS}")


def test_saturated_lists_are_counted_and_told_apart(ws):
    cut = (THIRD >= AMONG).sum()
    assert 0 < cut < len(FEW)
    with pytest.warns(CuratorWarning, match=f"{cut} lists of the 3 nearest of p .many. are saturated"):
        rows = ws.sql(f"SELECT t.id, {IP} AS s, saturated, p.saturated AS same {PAIRS} WHERE s >= $least", least=AMONG)
    assert ws.last_report["joins"][0]["saturated"] == cut
    expected = {f"few{i}": bool(THIRD[i] >= AMONG) for i in range(len(FEW))}
    assert {row["id"]: row["saturated"] for row in rows.to_dicts()} == {
        name: flag for name, flag in expected.items() if name in set(rows["id"])
    }
    assert rows["saturated"].equals(rows["same"], check_names=False)
    assert rows.columns == ["id", "s", "saturated", "same"]


@pytest.mark.parametrize(
    "sql",
    [
        f"WITH n AS (SELECT t.id, {IP} AS s {PAIRS}) SELECT * FROM n WHERE s >= $least",
        f"SELECT * FROM (SELECT t.id, {IP} AS s {PAIRS}) AS n WHERE n.s >= $least AND n.id <> 'x'",
        f"SELECT t.id {PAIRS} QUALIFY {IP} >= $least AND row_number() OVER () > 0",
        f"SELECT t.id {PAIRS} WHERE NOT {IP} < $least",
        f"WITH n(a, b) AS (SELECT t.id, {IP} {PAIRS}) SELECT a FROM n WHERE b >= $least",
        f"WITH n(a, b) AS (SELECT t.id, {IP} {PAIRS}) SELECT c FROM n AS m(c, d) WHERE m.d >= $least",
        f"SELECT * FROM (SELECT *, {IP} AS s {PAIRS}) AS n(i) WHERE s >= $least",
        f"WITH n AS (SELECT t.id, {IP} AS s {PAIRS}), m AS (SELECT s AS r, id FROM n) FROM m WHERE r >= $least",
        f"SELECT * FROM (SELECT 'x' AS id, -99 AS s UNION ALL SELECT t.id, {IP} {PAIRS}) WHERE s >= $least",
        f"FROM ((SELECT t.id, {IP} AS s {PAIRS}) UNION SELECT 'x', 0) AS u(i, r) WHERE r >= $least",
        f"WITH RECURSIVE u AS (SELECT t.id, {IP} AS s {PAIRS} UNION ALL SELECT 'x', 0) FROM u WHERE s >= $least",
        f"FROM (SELECT 0 AS r, 'x' AS id UNION ALL BY NAME SELECT t.id, {IP} AS s {PAIRS}) WHERE s >= $least",
        f"FROM (SELECT t.id, {IP} AS s {PAIRS} EXCEPT SELECT 'x', 0) WHERE s >= $least",
        f"SELECT t.id, 1 - {IP} AS d {PAIRS} WHERE d <= 1 - $least",
        f"FROM (SELECT t.id, 2 * {IP} AS double {PAIRS}) WHERE double - 1 >= 2 * $least - 1",
        f"SELECT t.id {PAIRS} WHERE {IP} >= $least OR p.label = 'neither'",
        f"SELECT t.id {PAIRS} WHERE ({IP} >= $least AND p.label = 'a') OR ({IP} >= $least + 1 AND p.id <> 'x')",
        f"SELECT t.id, {IP} AS s {PAIRS} GROUP BY ALL HAVING s >= $least",
    ],
)
def test_a_threshold_is_seen_wherever_it_stands(ws, sql):
    with pytest.warns(CuratorWarning, match="saturated"):
        ws.sql(sql, least=AMONG)
    assert ws.last_report["joins"][0]["saturated"] == (THIRD >= AMONG).sum()


def test_no_threshold_and_no_more_neighbours_no_warning(ws):
    ws.sql(f"SELECT t.id, {IP} AS s {PAIRS}")  # warnings are errors here
    assert ws.last_report["joins"][0]["saturated"] is None
    ws.sql(f"SELECT t.id {PAIRS.replace('NEAREST 3', 'NEAREST 50')} WHERE {IP} >= -100")
    assert ws.last_report["joins"][0]["saturated"] == 0
    assert not ws.sql(f"SELECT saturated {PAIRS.replace('NEAREST 3', 'NEAREST 50')}")["saturated"].any()
    assert ws.sql(f"SELECT saturated {PAIRS}")["saturated"].all()  # full lists, chosen from more


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT t.id {PAIRS} WHERE p.label = 'a' OR t.id <> 'x'",
        f"SELECT t.id {PAIRS} GROUP BY t.id HAVING max({IP}) > -99",  # no row more would change it
        f"SELECT t.id {PAIRS} WHERE {IP} > (SELECT -99)",
        f"FROM (SELECT t.id, max({IP}) AS best {PAIRS} GROUP BY ALL) WHERE best > -99",
        f"FROM (SELECT 'x' AS id, 1 AS r UNION ALL SELECT t.id, {IP} {PAIRS}) AS n(s, i) WHERE s <> 'y'",
        f"FROM (SELECT t.id, {IP} AS s {PAIRS}) AS n(s, i) WHERE s <> 'y'",
    ],
)
def test_what_is_no_threshold_on_the_score_cuts_nothing(ws, sql):
    ws.sql(sql)
    assert ws.last_report["joins"][0]["saturated"] is None


def test_a_union_of_two_joins_counts_for_each(ws):
    more = PAIRS.replace("NEAREST 3", "NEAREST 50")
    with pytest.warns(CuratorWarning, match="saturated"):
        ws.sql(f"FROM (SELECT {IP} AS s {PAIRS} UNION ALL SELECT {IP} {more}) WHERE s >= $least", least=AMONG)
    assert [join["saturated"] for join in ws.last_report["joins"]] == [(THIRD >= AMONG).sum(), 0]


def test_pairs_within_has_what_a_saturated_list_lacks(ws):
    units = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (FEW, MANY)]
    rows = ws.sql("SELECT * FROM pairs_within(few, many, min_score := 0.5)")
    assert len(rows) == (units[0] @ units[1].T >= 0.5).sum()


def test_statements_around_a_query(ws, tmp_path):
    ws.execute(f"CREATE TABLE near AS SELECT t.id, p.id AS pid, {IP} AS s {PAIRS}")
    assert ws.last_report["joins"][0]["engine"] == "faiss"
    ws.execute(f"INSERT INTO near SELECT t.id, p.id, {IP} {PAIRS}")
    assert ws.sql("SELECT count(*) AS n FROM near")["n"][0] == 48
    path = tmp_path / "near.parquet"
    ws.execute(f"COPY (SELECT t.id, {IP} AS s {PAIRS.replace('3', '$k')} ORDER BY s) TO '{path}' (FORMAT parquet)", k=2)
    assert ws.last_report["joins"][0]["engine"] == "faiss"
    np.testing.assert_allclose(pl.read_parquet(path)["s"], np.sort(np.sort(SCORES)[:, -2:].ravel()), atol=1e-5)
    assert "Projection" in ws.sql(f"EXPLAIN SELECT t.id {PAIRS}")["explain_value"][0]


def test_views_and_macros_are_expanded(ws):
    ws.execute(f"CREATE VIEW near AS SELECT t.id, p.id AS pid, {IP} AS s {PAIRS}")
    ws.execute(f"CREATE MACRO near_of(who) AS TABLE SELECT p.id AS pid, {IP} AS s {PAIRS} WHERE t.id = who")
    rows = ws.sql("WITH many AS (SELECT 1 AS x) SELECT near.*, x FROM near, many")  # the CTE is not the view's corpus
    assert ws.last_report["joins"][0]["engine"] == "faiss"
    np.testing.assert_allclose(np.sort(rows["s"]), np.sort(np.sort(SCORES)[:, -3:].ravel()), atol=1e-5)
    rows = ws.sql("SELECT * FROM near_of('few2') ORDER BY s DESC")
    assert ws.last_report["joins"][0]["engine"] == "faiss"
    assert rows["pid"].to_list() == [f"many{j}" for j in np.argsort(-SCORES[2])[:3]]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE x AS SELECT 1",
        "COPY (SELECT 1) TO 'x.csv'",
        "INSERT INTO few SELECT * FROM few",
        "DROP TABLE few",
        "SET threads = 1",
        "WITH d AS (DELETE FROM few RETURNING *) SELECT * FROM d",
        "EXPLAIN ANALYZE WITH d AS (DELETE FROM few RETURNING *) SELECT * FROM d",
        "ATTACH 'x.db'",
    ],
)
def test_sql_only_reads(ws, sql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QueryError, match="only SELECT"):
        ws.sql(sql)
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def test_a_sandbox_reads_no_files(ws, tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    boxed = Workspace(ws.root, sandbox=True)
    assert len(boxed.sql(f"SELECT t.id {PAIRS}")) == 24
    assert len(ws.sql(f"SELECT * FROM '{tmp_path}/secret.csv'")) == 1
    for sql in (f"SELECT * FROM '{tmp_path}/secret.csv'", f"SELECT * FROM read_text('{tmp_path}/secret.csv')"):
        with pytest.raises(QueryError):
            boxed.sql(sql)
    with pytest.raises(UsageError, match="sandbox only reads"):
        boxed.execute("CREATE TABLE x AS SELECT 1")


def test_explain_searches_nothing_unless_asked(ws, monkeypatch):
    sql = f"SELECT t.id FROM few t JOIN (SELECT * FROM many WHERE label = 'a') p EXACT NEAREST 2 BY SIMILARITY {IP}"
    assert "measured" in ws.explain(sql, analyze=True)
    monkeypatch.setattr("curator.neighbours.nearest", lambda *_, **__: pytest.fail("searched"))
    told = ws.explain(sql)
    assert "8 × 25 rows" in told
    assert "25 of 50 rows of the right side, before the search, gathered" in told
    assert "estimated" in told
    outer = "SELECT a.id FROM n a JOIN many b NEAREST BY SIMILARITY array_inner_product(a.embedding, b.embedding)"
    assert "? × 50 rows" in ws.explain(f"WITH n AS (SELECT t.* {PAIRS}) {outer}")


def test_what_is_left_to_duckdb_is_estimated_first(ws):
    with pytest.warns(CuratorWarning, match=r"left to DuckDB, which compares every pair \(400, about .*not one of the"):
        ws.sql(f"SELECT t.id FROM few t JOIN many p EXACT NEAREST 2 BY SIMILARITY {IP} + 1")


def test_one_search_for_each_group(ws):
    rows = ws.sql(
        "SELECT t.id, p.id AS pid, p.label, t.label AS own "
        "FROM few t JOIN (SELECT * FROM many c WHERE c.label = t.label) p "
        f"EXACT NEAREST 2 BY SIMILARITY {IP}"
    )
    assert ws.last_report["joins"][0]["groups"] == 2
    assert rows["label"].equals(rows["own"], check_names=False)
    for i in range(len(FEW)):
        same = np.arange(i % 2, 50, 2)
        best = {f"many{j}" for j in same[np.argsort(-SCORES[i, same])[:2]]}
        assert set(rows.filter(pl.col("id") == f"few{i}")["pid"]) == best


def test_a_cte_read_twice_is_saturated_for_either(ws):
    cte = f"WITH n AS (SELECT t.id, {IP} AS s {PAIRS})"
    with pytest.warns(CuratorWarning, match="8 lists"):
        ws.sql(f"{cte} (SELECT count(*) FROM n WHERE s > -99) UNION ALL (SELECT count(*) FROM n WHERE s < -99)")


def test_no_table_function_builds_a_mix_or_changes_settings(ws, tmp_path):
    recipe = tmp_path / "evil.toml"
    recipe.write_text("[task]\ntarget = 'x.csv'\n")
    for sql in (f"SELECT * FROM mix('{recipe}')", f"SELECT * FROM ledger('{recipe}')"):
        with pytest.raises(UsageError, match="no mix"):
            ws.sql(sql)
    with pytest.raises(QueryError, match="enable_logging"):
        ws.sql(f"SELECT * FROM enable_logging('QueryLog', storage='file', storage_path='{tmp_path}/log')")
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE many AS SELECT 1",
        "create or replace temp view Many AS SELECT 1",
        'DROP VIEW "many"',
        "BEGIN",
        "ROLLBACK",
    ],
)
def test_no_statement_hides_a_corpus_or_holds_the_session(ws, statement):
    with pytest.raises(UsageError, match=r"is a corpus|a transaction of its own"):
        ws.execute(statement)
    assert ws.sql("SELECT count(*) AS n FROM many")["n"][0] == 50


def test_a_view_of_a_table_is_a_view(ws):
    ws.execute("CREATE TABLE one AS SELECT 1 AS x")
    ws.execute("CREATE VIEW v AS TABLE one")
    assert ws.sql("SELECT x FROM v")["x"].to_list() == [1]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM pairs_within(many, min_score := 'x')", "takes a number, not 'x'"),
        ("SELECT * FROM pairs_within(many, min_score := NULL)", "takes a number, not None"),
        ("SELECT * FROM mix(5)", "takes a text in quotes, not 5"),
        ("SELECT * FROM pairs_within((SELECT id, 'x' AS embedding FROM many), min_score := 0.5)", "holds no vectors"),
    ],
)
def test_arguments_of_the_wrong_type_are_told(ws, sql, message):
    with pytest.raises(QueryError, match=message):
        ws.sql(sql)


def test_a_name_with_a_dollar_ends_where_it_ends(ws):
    assert ws.sql("SELECT a$b, $b AS c FROM (SELECT 1 AS a$b) WHERE a$b < $b", b=2).columns == ["a$b", "c"]
    assert "Projection" in ws.sql("EXPLAIN SELECT 1 AS a$b")["explain_value"][0]
    ws.execute("CREATE TABLE t$x AS SELECT id AS a$🎈 FROM few")
    assert ws.sql("SELECT a$🎈 FROM t$x").columns == ["a$🎈"]


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT {' - '.join(['1'] * 900)} AS x {PAIRS}",
        f"SELECT * FROM {'(SELECT * FROM ' * 400}many{')' * 400}",
        f"SELECT {'(' * 3000}1{')' * 3000}",
    ],
)
def test_what_is_nested_too_deeply_is_told(ws, sql):
    with pytest.raises(QueryError, match=r"nested too deeply|expression depth"):
        ws.sql(sql)
    assert ws.sql(f"SELECT {' + '.join(['1'] * 200)} AS x {PAIRS}")["x"][0] == 200


def test_a_table_in_the_place_of_the_planners_is_told(ws):
    for number in range(9):
        ws.execute(f"CREATE TEMP TABLE __edges{number} AS SELECT 1 AS x")
    with pytest.raises(QueryError, match=r"the table __edges. cannot be read"):
        ws.sql(f"SELECT t.id {PAIRS}")
    for number in range(9):
        ws.execute(f"DROP TABLE __edges{number}")
    assert len(ws.sql(f"SELECT t.id {PAIRS}")) == 24


@pytest.mark.parametrize(
    "sql",
    [
        "PIVOT many ON label USING count(*) GROUP BY source",
        "SELECT a, b FROM (PIVOT many ON label USING count(*) GROUP BY source)",
        "WITH m AS (SELECT label FROM many) PIVOT m ON label USING count(*)",
        "PIVOT (SELECT label, embedding[1] AS x FROM many) ON label USING count(x)",
    ],
)
def test_a_pivot_without_in_is_duckdbs(ws, sql):
    assert ws.sql(sql).select("a", "b").rows() == [(25, 25)]
    ws.execute(f"CREATE TABLE counts AS {sql}")
    assert ws.sql("SELECT a, b FROM counts").rows() == [(25, 25)]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (f"PIVOT (SELECT p.label {PAIRS}) ON label USING count(*)", "PIVOT without IN .* list the values"),
        ("PIVOT (FROM pairs_within(many, min_score := 0.9)) ON left_id USING count(*)", "list the values"),
        ("WITH d AS (DELETE FROM kept RETURNING *) PIVOT d ON label USING count(*)", "only SELECT .* says delete"),
        ("PIVOT many ON labl USING count(*)", "labl"),
        ("PIVOT many ON label USING count(*); DROP TABLE kept", "one statement|only SELECT"),
    ],
)
def test_what_a_pivot_without_in_cannot_hold_is_told(ws, sql, message):
    ws.execute("CREATE TABLE kept AS SELECT label FROM many")
    for run in (ws.sql, ws.execute):
        with pytest.raises(QueryError, match=message):
            run(sql)
    assert ws.sql("SELECT count(*) AS n FROM kept")["n"][0] == 50
    with pytest.raises(QueryError, match="list the values"):
        ws.explain("PIVOT many ON label USING count(*)")
