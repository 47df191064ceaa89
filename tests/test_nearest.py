"""The same rows as plain DuckDB: every query runs in both, over the same tables, and the rows are compared."""

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from curator import neighbours
from curator.errors import QueryError
from curator.nearest import Tools, rewrite
from curator.relation import Relation
from curator.session import Session
from curator.vectors import Vectors

IP = "array_inner_product(t.embedding, p.embedding)"


def documents(n: int, seed: int) -> Relation:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "id": [f"d{i}" for i in range(n)],
            "label": [None if i % 7 == 6 else "abc"[i % 3] for i in range(n)],
            "source": ["x" if i % 2 else "y" for i in range(n)],
            "size": list(range(n)),
        },
        schema_overrides={"label": pl.String},
    )
    return Relation(frame, Vectors.of(rng.normal(size=(n, 5)).astype(np.float32)))


TABLES = {"target": documents(9, 1), "pool": documents(60, 2), "empty": documents(0, 3)}


def run_here(sql: str, parameters: dict | None = None, tables: dict[str, Relation] | None = None):
    session = Session()
    query = rewrite(session, sql, parameters or {}, Tools(tables or TABLES))
    return query.fetch(), query.joins


def run_plain(sql: str, parameters: dict | None = None, tables: dict[str, Relation] | None = None) -> pa.Table:
    connection = duckdb.connect()
    for name, relation in (tables or TABLES).items():
        connection.register(f"_{name}", relation.arrow(embedding=True))
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM _{name}")
    return connection.sql(sql, params=parameters or None).to_arrow_table()


def rounded(value):
    if isinstance(value, float):
        return round(value, 4) + 0.0
    if isinstance(value, list | tuple):
        return tuple(rounded(part) for part in value)
    return value


def rows(table: pa.Table, ordered: bool) -> list:
    columns = [column.to_pylist() for column in table.columns]  # by position: two columns may have one name
    values = [tuple(rounded(value) for value in row) for row in zip(*columns, strict=True)]
    return values if ordered else sorted(values, key=repr)


QUERIES = {
    "plain": f"SELECT t.id, p.id, {IP} AS score FROM target t JOIN pool p EXACT NEAREST 3 BY SIMILARITY {IP}",
    "approx": f"SELECT t.id, p.id FROM target t JOIN pool p APPROX NEAREST 3 BY SIMILARITY {IP}",
    "swapped operands": "SELECT t.id, p.id, array_inner_product(p.embedding, t.embedding) s FROM target t "
    f"JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "unaliased score keeps its name": f"SELECT {IP} FROM target t JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "score in where": f"SELECT t.id, p.id, {IP} AS s FROM target t JOIN pool p EXACT NEAREST 5 BY SIMILARITY {IP} "
    "WHERE s >= 1.5",
    "score in order by": f"SELECT t.id, p.id FROM target t JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP} ORDER BY {IP}",
    "qualify": f"SELECT t.id, p.id FROM target t JOIN pool p EXACT NEAREST 4 BY SIMILARITY {IP} "
    f"QUALIFY row_number() OVER (PARTITION BY p.id ORDER BY {IP} DESC) = 1",
    "group by": f"SELECT p.source, count(*), max({IP}) FROM target t JOIN pool p EXACT NEAREST 4 BY SIMILARITY {IP} "
    "GROUP BY p.source HAVING count(*) > 1",
    "least similar": f"SELECT t.id, p.id, {IP} s FROM target t JOIN pool p EXACT NEAREST 3 BY DISTANCE {IP}",
    "cosine": "SELECT t.id, p.id, array_cosine_similarity(t.embedding, p.embedding) s FROM target t JOIN pool p "
    "EXACT NEAREST 3 BY SIMILARITY array_cosine_similarity(t.embedding, p.embedding)",
    "cosine distance": "SELECT t.id, p.id, array_cosine_distance(t.embedding, p.embedding) s FROM target t JOIN pool p "
    "EXACT NEAREST 3 BY DISTANCE array_cosine_distance(t.embedding, p.embedding)",
    "farthest by cosine distance": "SELECT t.id, p.id FROM target t JOIN pool p "
    "EXACT NEAREST 3 BY SIMILARITY array_cosine_distance(t.embedding, p.embedding)",
    "euclid": "SELECT t.id, p.id, array_distance(t.embedding, p.embedding) s FROM target t JOIN pool p "
    "EXACT NEAREST 3 BY DISTANCE array_distance(t.embedding, p.embedding)",
    "negative inner product": "SELECT t.id, p.id, array_negative_inner_product(t.embedding, p.embedding) s FROM target t "
    "JOIN pool p EXACT NEAREST 3 BY DISTANCE array_negative_inner_product(t.embedding, p.embedding)",
    "star": f"SELECT * FROM target t JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "star of one side": f"SELECT p.*, t.id FROM target t JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "star with exclude": f"SELECT * EXCLUDE (embedding, size) FROM target t JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "no aliases": "SELECT target.id, pool.id FROM target JOIN pool EXACT NEAREST 2 BY SIMILARITY "
    "array_inner_product(target.embedding, pool.embedding)",
    "filter before": "SELECT t.id, p.id FROM target t JOIN (SELECT * FROM pool WHERE source = 'x') p "
    f"EXACT NEAREST 4 BY SIMILARITY {IP}",
    "filter after": f"SELECT t.id, p.id FROM target t JOIN pool p EXACT NEAREST 4 BY SIMILARITY {IP} WHERE p.source = 'x'",
    "filter on the left": f"SELECT t.id, p.id FROM (SELECT * FROM target WHERE size > 3) t JOIN pool p "
    f"EXACT NEAREST 2 BY SIMILARITY {IP}",
    "same label": "SELECT t.id, p.id, t.label, p.label FROM target t JOIN (SELECT * FROM pool c WHERE c.label = t.label) p "
    f"EXACT NEAREST 3 BY SIMILARITY {IP}",
    "same label, filtered": "SELECT t.id, p.id FROM target t JOIN "
    f"(SELECT * FROM pool c WHERE t.label = c.label AND size > 20) p EXACT NEAREST 30 BY SIMILARITY {IP}",
    "two keys": "SELECT t.id, p.id FROM target t JOIN (SELECT * FROM pool c WHERE c.label = t.label AND "
    f"c.source = t.source) p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "left join": f"SELECT t.id, p.id, {IP} AS s FROM target t LEFT JOIN empty p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "left join, same label": "SELECT t.id, p.id FROM target t LEFT JOIN (SELECT * FROM pool c WHERE c.label = t.label "
    f"AND c.label <> 'a') p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "empty right": f"SELECT t.id, p.id FROM target t JOIN empty p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "empty left": f"SELECT t.id, p.id FROM empty t JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "k over n": f"SELECT t.id, p.id FROM target t JOIN pool p EXACT NEAREST 500 BY SIMILARITY {IP}",
    "default k": f"SELECT t.id, p.id FROM target t JOIN pool p EXACT NEAREST BY SIMILARITY {IP}",
    "self join": f"SELECT t.id, p.id FROM pool t JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "cte side": "WITH small AS (SELECT * FROM pool WHERE size < 20) SELECT t.id, p.id FROM target t JOIN small p "
    f"EXACT NEAREST 2 BY SIMILARITY {IP}",
    "cte that shadows": "WITH pool AS (SELECT * FROM target) SELECT t.id, p.id FROM target t JOIN pool p "
    f"EXACT NEAREST 2 BY SIMILARITY {IP}",
    "nearest in a cte": f"WITH n AS (SELECT t.id, p.id AS pid, {IP} AS s FROM target t JOIN pool p EXACT NEAREST 2 BY "
    f"SIMILARITY {IP}) SELECT * FROM n WHERE s > 1",
    "in a subquery": f"SELECT count(*) FROM (SELECT t.id FROM target t JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP})",
    "in an expression": "SELECT id, (SELECT max(array_inner_product(t.embedding, p.embedding)) FROM target t JOIN pool p "
    f"EXACT NEAREST 1 BY SIMILARITY {IP}) FROM target",
    "union": f"SELECT t.id, p.id FROM target t JOIN pool p EXACT NEAREST 1 BY SIMILARITY {IP} UNION ALL "
    f"SELECT t.id, p.id FROM pool t JOIN target p EXACT NEAREST 1 BY SIMILARITY {IP}",
    "two joins in a chain": "SELECT t.id, p.id, q.id FROM target t "
    f"JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP} "
    "JOIN pool q EXACT NEAREST 2 BY SIMILARITY array_inner_product(p.embedding, q.embedding)",
    "two joins from one side": "SELECT t.id, p.id, q.id FROM target t "
    f"JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP} "
    "JOIN pool q EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.embedding, q.embedding)",
    "left side is a join": "SELECT t.id, u.size, p.id FROM target t JOIN target u ON t.label = u.label "
    f"JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "join after": f"SELECT t.id, u.size FROM target t JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP} "
    "JOIN target u ON u.label = p.label",
    "computed vectors": "SELECT t.id, p.id, array_inner_product(t.v, p.embedding) s FROM "
    "(SELECT id, embedding AS v FROM target WHERE size % 2 = 0) t JOIN pool p "
    "EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.v, p.embedding)",
    "null vectors": "SELECT t.id, p.id FROM (SELECT id, CASE WHEN size > 4 THEN embedding END AS v FROM target) t "
    "LEFT JOIN (SELECT id, CASE WHEN size % 2 = 0 THEN embedding END AS v FROM pool) p "
    "EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.v, p.v)",
    "column aliases": f"SELECT t.a, p.id FROM target AS t(a, b, c, d, embedding) JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "aggregate of pairs": f"SELECT t.id, list(p.id ORDER BY {IP} DESC) FROM target t JOIN pool p "
    f"EXACT NEAREST 3 BY SIMILARITY {IP} GROUP BY t.id",
    "accents": f"SELECT t.id AS é, 'déjà' AS ü, p.id FROM target t JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "two vectors of one side": "SELECT t.*, p.id, q.id FROM (SELECT *, embedding AS v FROM target) t "
    f"JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP} "
    "JOIN pool q EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.v, q.embedding)",
    "a sample that keeps everything": "SELECT t.id, p.id FROM (SELECT * FROM target) AS t TABLESAMPLE reservoir(100 ROWS) "
    f"JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "upper case names": "SELECT T.id, P.id FROM target T JOIN pool P EXACT NEAREST 2 BY SIMILARITY "
    "array_inner_product(t.Embedding, p.EMBEDDING)",
}
ORDERED = {"score in order by"}
PARAMETERS = {
    "parameters": (
        f"SELECT t.id, p.id FROM target t JOIN (SELECT * FROM pool WHERE source = $source) p EXACT NEAREST 3 BY "
        f"SIMILARITY {IP} WHERE {IP} > $floor",
        {"source": "x", "floor": 0.5},
    ),
}
LEFT_TO_DUCKDB = {
    "declined after the left side was evaluated": "SELECT t.*, p.id FROM target t JOIN (SELECT * FROM pool r WHERE "
    f"r.size > t.size) p EXACT NEAREST 1 BY SIMILARITY {IP}",
    "columns by name": f"SELECT COLUMNS('id|size') FROM target t JOIN pool p EXACT NEAREST 1 BY SIMILARITY {IP}",
    "not a number": "WITH odd AS (SELECT id, CASE WHEN size = 7 THEN ['nan'::FLOAT, 0, 0, 0, 0]::FLOAT[5] ELSE embedding END AS v "
    "FROM pool) SELECT t.id, p.id FROM target t JOIN odd p EXACT NEAREST 4 BY SIMILARITY "
    "array_inner_product(t.embedding, p.v)",
    "inequality": "SELECT t.id, p.id FROM target t JOIN (SELECT * FROM pool c WHERE c.size > t.size) p "
    f"EXACT NEAREST 2 BY SIMILARITY {IP}",
    "other ranking": f"SELECT t.id, p.id FROM target t JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP} + p.size",
    "whole row": f"SELECT t.id, p FROM target t JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}",
    "largest distance": "SELECT t.id, p.id FROM target t JOIN pool p EXACT NEAREST 2 BY SIMILARITY "
    "array_distance(t.embedding, p.embedding)",
    "correlated subquery": "SELECT id, (SELECT count(*) FROM (SELECT * FROM target WHERE label = o.label) t JOIN pool p "
    f"EXACT NEAREST 2 BY SIMILARITY {IP}) FROM target o",
}


@pytest.mark.parametrize("name", QUERIES)
def test_faiss_returns_duckdbs_rows(name):
    sql = QUERIES[name]
    here, joins = run_here(sql)
    plain = run_plain(sql)
    assert here.column_names == plain.column_names
    assert rows(here, name in ORDERED) == rows(plain, name in ORDERED)
    assert joins
    assert {join.engine for join in joins} == {"faiss"}, [join.reason for join in joins]


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    sql, parameters = PARAMETERS[name]
    here, joins = run_here(sql, parameters)
    assert rows(here, False) == rows(run_plain(sql, parameters), False)
    assert joins[0].engine == "faiss"


@pytest.mark.parametrize("name", LEFT_TO_DUCKDB)
def test_what_faiss_cannot_do_is_left_to_duckdb_with_a_reason(name):
    sql = LEFT_TO_DUCKDB[name]
    here, joins = run_here(sql)
    plain = run_plain(sql)
    assert here.column_names == plain.column_names
    assert rows(here, False) == rows(plain, False)
    assert [join.engine for join in joins] == ["duckdb"]
    assert joins[0].reason


def test_zero_vectors_have_duckdbs_rows():
    matrix = TABLES["pool"].vectors.matrix().copy()
    matrix[3] = 0
    tables = {**TABLES, "pool": Relation(TABLES["pool"].frame, Vectors.of(matrix))}
    sql = (
        "SELECT t.id, p.id FROM target t JOIN pool p EXACT NEAREST 3 BY SIMILARITY "
        "array_cosine_similarity(t.embedding, p.embedding)"
    )
    here, joins = run_here(sql, tables=tables)
    assert rows(here, False) == rows(run_plain(sql, tables=tables), False)
    assert "zero" in joins[0].reason


def test_dimension_mismatch_names_both_sides():
    tables = {**TABLES, "target": Relation(TABLES["target"].frame, Vectors.of(np.ones((9, 4))))}
    with pytest.raises(QueryError, match=r"t\.embedding has 4 .* p\.embedding has 5"):
        run_here(QUERIES["plain"], tables=tables)


def test_a_sampled_side_is_sampled():
    sql = (
        "SELECT DISTINCT t.id FROM (SELECT * FROM target) AS t TABLESAMPLE reservoir(2 ROWS) "
        f"JOIN pool p EXACT NEAREST 2 BY SIMILARITY {IP}"
    )
    assert len(run_here(sql)[0]) == 2


def test_parameters_that_the_query_does_not_have_are_refused():
    with pytest.raises(QueryError, match=r"no parameter \$flor"):
        run_here("SELECT id FROM pool WHERE size > $floor", {"floor": 1, "flor": 2})


def test_nearest_count_can_be_a_parameter_after_any_text():
    sql = f"SELECT 'ééé≥' AS ü, t.id, p.id FROM target t JOIN pool p EXACT NEAREST /* € */ $k BY SIMILARITY {IP}"
    assert rows(run_here(sql, {"k": 3})[0], False) == rows(run_plain(sql.replace("/* € */ $k", "3")), False)


def test_nearest_count_can_be_a_parameter():
    sql = f"SELECT t.id, p.id, $k AS k FROM target t JOIN pool p EXACT NEAREST $k BY SIMILARITY {IP} -- NEAREST $z"
    here, joins = run_here(sql, {"k": 4})
    plain = run_plain(sql.replace("$k", "4"))
    assert rows(here, False) == rows(plain, False)
    assert joins[0].k == 4
    for bad in (0, "3", None, True):
        with pytest.raises(QueryError, match="positive integer"):
            run_here(sql, {"k": bad})


@pytest.mark.parametrize(
    "sql",
    [
        "WITH d AS (DELETE FROM pool RETURNING *) SELECT * FROM d",
        "CREATE TABLE x AS SELECT 1",
        "SELECT 1; SELECT 2",
        "INSERT INTO pool SELECT * FROM pool",
    ],
)
def test_only_one_select_is_run(sql):
    with pytest.raises(QueryError):
        run_here(sql)


def test_a_syntax_error_points_into_the_query():
    with pytest.raises(QueryError) as error:
        run_here("SELECT 1\nFROM pool WHER size > 3")
    message = str(error.value).splitlines()
    assert message[-2].endswith("FROM pool WHER size > 3")
    assert message[-1].index("^") == message[-2].index("size")


def test_sql_cannot_read_python_variables():
    secret = pl.DataFrame({"a": [1]})  # noqa: F841  a replacement scan would find it
    with pytest.raises(QueryError):
        run_here("SELECT * FROM secret")


@pytest.mark.parametrize("mutant", ["sign", "rank", "late filter", "sides"])
def test_mutants_of_the_search_fail_the_suite(monkeypatch, mutant):
    true = neighbours.nearest

    def wrong(left, right, k, *, metric="inner_product"):
        if mutant == "sign":
            return true(Vectors.of(-left.matrix()), right, k, metric=metric)
        if mutant == "sides":
            return true(Vectors.of(left.matrix()[::-1]), right, k, metric=metric)
        edges = true(left, right, k + 1, metric=metric)
        keep = edges.rank > 1 if mutant == "rank" else edges.right % 2 == 0
        return neighbours.Edges(edges.left[keep], edges.right[keep], edges.score[keep], edges.rank[keep])

    monkeypatch.setattr(neighbours, "nearest", wrong)
    for name in ("plain", "cosine", "euclid", "same label", "filter before"):
        assert rows(run_here(QUERIES[name])[0], False) != rows(run_plain(QUERIES[name]), False)
