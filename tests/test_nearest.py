"""What the planner says and refuses. That it gives DuckDB's rows is what ``test_sql_oracle`` is about."""

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

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
        connection.register(f"_{name}", relation.arrow(derived={"embedding"}))
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
        run_here(f"SELECT t.id, p.id FROM target t JOIN pool p EXACT NEAREST 3 BY SIMILARITY {IP}", tables=tables)


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
