"""The same rows as plain DuckDB, and FAISS's work: every query of ``sql_queries`` in both, over the same tables."""

import re

import duckdb
import polars as pl
import pytest
from sql_oracle import Oracle, Query, check_rows
from sql_queries import QUERIES
from test_sql_cases import NEEDED, STAGES, defaults, run, some_documents, some_knowledge

from curator.errors import QueryError
from curator.functions import FUNCTIONS
from curator.session import sql_folder

DISTANCE = "array_distance(t.embedding, p.embedding)"
ERRORS = {
    "dimensions differ": (f"SELECT t.id FROM task t JOIN four p NEAREST 2 BY DISTANCE {DISTANCE}", r"6 .* 4|same size"),
    "dimensions differ and a side is empty": (
        f"SELECT t.id, {DISTANCE} FROM task t JOIN (SELECT * FROM four LIMIT 0) p NEAREST BY DISTANCE {DISTANCE}",
        "6 .* 4|same size",
    ),
    "no vector": (f"SELECT t.id FROM task t JOIN docs p NEAREST BY DISTANCE {DISTANCE[:-11]}text)", "array_distance"),
    "NULL in a vector": (
        "SELECT t.id FROM (SELECT id, [1, NULL]::FLOAT[2] v FROM task) t JOIN (SELECT [1, 2]::FLOAT[2] v) p "
        "NEAREST BY DISTANCE array_distance(t.v, p.v)",
        "NULL",
    ),
    "a count of 0": (f"SELECT t.id FROM task t JOIN docs p NEAREST 0 BY DISTANCE {DISTANCE}", "positive integer"),
    "right join": (f"SELECT t.id FROM task t RIGHT JOIN docs p NEAREST BY DISTANCE {DISTANCE}", "RIGHT"),
    "a name that both sides have": (f"SELECT id FROM task t JOIN docs p NEAREST BY DISTANCE {DISTANCE}", "Ambiguous"),
}


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    return Oracle(tmp_path_factory.mktemp("oracle"))


@pytest.mark.parametrize("name", QUERIES)
def test_query(oracle, name):
    oracle.check(QUERIES[name])


def test_the_suite_is_about_faiss():
    by_faiss = [query for query in QUERIES.values() if query.faiss and not query.duckdb]
    joined = [query for query in QUERIES.values() if query.faiss != 0 or query.duckdb]
    assert len(by_faiss) > 5 / 6 * len(joined)


@pytest.mark.parametrize("name", ERRORS)
def test_what_duckdb_refuses_is_refused(oracle, name):
    sql, words = ERRORS[name]
    with pytest.raises(duckdb.Error):
        oracle.connection.sql(sql).fetchall()
    with pytest.raises(QueryError, match=words):
        oracle.here(Query(sql))


@pytest.fixture(scope="module")
def stage_tables():
    sizes = {"target": 12, "dev": 5, "test": 9, "candidates": 80}
    return {name: some_documents(name, n, n) for name, n in sizes.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_every_nearest_join_of_a_stage_goes_to_faiss(stage, stage_tables):
    code = re.sub(r"--.*", "", STAGES[stage])
    _, joins = run(stage, stage_tables | some_knowledge(), **NEEDED.get(stage, {}))
    assert [join.engine for join in joins] == ["faiss"] * len(re.findall(r"\bNEAREST\b", code))


# Those that call a table function of ours, which DuckDB does not have, are not among them.
DUCKDBS = [name for name, sql in STAGES.items() if not any(f" {function.__name__}(" in sql for function in FUNCTIONS)]


@pytest.mark.parametrize("stage", DUCKDBS)
def test_a_stage_has_duckdbs_rows(stage, stage_tables):
    here, _ = run(stage, stage_tables)
    connection = duckdb.connect()
    for path in sorted((sql_folder() / "macros").glob("*.sql")):
        connection.execute(path.read_text("utf8"))
    for name, relation in stage_tables.items():
        connection.register("given", relation.arrow(derived={"embedding"}))
        connection.execute(f"CREATE TABLE {name} AS FROM given")
    values = defaults(STAGES[stage])
    sql = re.sub(r"NEAREST \$(\w+)", lambda match: f"NEAREST {values[match[1]]}", STAGES[stage])
    for name, kind in re.findall(r"-- :(\w+) +(EXPRESSIONS?) ", sql):  # which stand in the statement as SQL
        parts = [f"CAST({part} AS VARCHAR)" for part in values[name].split(", ")]
        sql = sql.replace(f"${name}", f"[{', '.join(parts)}]" if kind == "EXPRESSIONS" else values[name])
    used = {name: value for name, value in values.items() if f"${name}" in sql}
    plain = pl.DataFrame(connection.sql(sql, params=used or None).to_arrow_table())
    assert here.columns == plain.columns
    check_rows(here.rows(), plain.rows(), ordered=False)
