"""Queries drawn from a grammar: sides × filters × measures × order × k × join × use of the score × wrapping."""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sql_oracle import Oracle, Query, Ties

MEASURES = (
    "inner_product", "dot_product", "negative_inner_product", "cosine_similarity", "cosine_distance", "distance",
)  # fmt: skip
PARAMETERS = {"floor": 0.75, "source": "x", "least": 3, "k": 2}
SETTINGS = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Side:
    sql: str  # a table of FROM, without its alias
    cte: str = ""  # what it needs before the query


HALF = "CASE WHEN size % 2 = 0 THEN embedding END AS embedding"
COLUMNS = "id, label, source, size"
LEFTS = (
    Side("task"),
    Side("main.task"),
    Side("one"),
    Side("(SELECT * FROM task WHERE size > $least)"),
    Side("(SELECT * FROM task WHERE false)"),
    Side(f"(SELECT {COLUMNS}, {HALF} FROM task)"),
    Side("(SELECT a.* FROM task a JOIN docs b ON a.size + 30 = b.size WHERE b.source = 'x')"),
    Side("few", "few AS (SELECT * FROM docs WHERE size BETWEEN 12 AND 20)"),
    Side("task", "task AS (SELECT * FROM task WHERE label IS NOT NULL)"),
)
RIGHTS = (
    Side("docs"),
    Side("one"),
    Side("(SELECT * FROM docs)"),
    Side("(SELECT * FROM docs WHERE source = $source AND größe < 12)"),
    Side("(SELECT * FROM docs WHERE size < 0)"),
    Side("(SELECT * FROM docs ORDER BY size DESC LIMIT 9)"),
    Side(f"(SELECT {COLUMNS}, {HALF} FROM docs)"),
    Side(f"(SELECT {COLUMNS}, list_transform(embedding::FLOAT[], lambda x: 1 - x)::FLOAT[6] embedding FROM docs)"),
    Side(f"(SELECT {COLUMNS}, embedding FROM docs UNION ALL SELECT 'z' || id, label, source, 0, embedding FROM one)"),
    Side("(SELECT * FROM docs c WHERE c.label = t.label)"),
    Side("(SELECT * FROM docs c WHERE c.label = t.label AND t.source = c.source AND c.size > $least)"),
    Side("far", "far AS MATERIALIZED (SELECT * FROM docs WHERE size >= 30)"),
    Side("docs", "docs AS (SELECT * FROM docs WHERE label <> 'a')"),
)
SELECTS = (
    "t.id, p.id, {score} AS s",
    "{score}, t.size + p.size",
    "t.id, p.id, {again} AS s, round({score}) r, {score} > 1 AS near",
    "t.id, p.*, {score} AS s",
    "*",
    "* EXCLUDE (embedding), {score} AS s",
    "t.id, p.id, rank() OVER (PARTITION BY t.id ORDER BY {score}) r, max({score}) OVER () m",
    "t.id, p.id, CASE WHEN {score} > $floor THEN 'near' ELSE p.label END c",
)
GROUPED = (
    "t.id, count(*), max({score}) FROM {tables} GROUP BY t.id",
    "p.source, sum({score}) s, list(p.id ORDER BY {score}, p.id) FROM {tables} GROUP BY p.source HAVING count(*) > 1",
    "{score} > $floor AS near, count(DISTINCT p.id) FROM {tables} GROUP BY ALL",
    "count(*), avg({again}), min({score}) FILTER (WHERE p.source = $source) FROM {tables}",
)
ENDS = (
    "",
    "WHERE {score} >= $floor",
    "WHERE {again} < 1.5 AND p.size > $least",
    "WHERE p.source = $source OR {score} > 2",
    "WHERE p.id IS NULL OR t.label = 'a'",
    "QUALIFY row_number() OVER (PARTITION BY p.id ORDER BY {score}, t.id) = 1",
    "ORDER BY {score} DESC, t.id, p.id LIMIT 7 OFFSET 1",
    "ORDER BY t.id, p.id",
)
WRAPPINGS = (
    "{query}",
    "SELECT * FROM ({query}) AS q",
    "SELECT count(*) AS n FROM ({query})",
    "SELECT * FROM ({query}) UNION ALL SELECT * FROM ({query})",
    "SELECT * FROM ({query}) INTERSECT ALL SELECT * FROM ({query})",
    "SELECT o.id FROM docs o WHERE o.size > (SELECT count(*) FROM ({query}))",
)


@st.composite
def joins(draw, rights=RIGHTS):
    """The tables of FROM with one NEAREST join, the score in two spellings, its ctes, and whether FAISS can do it."""
    left, right = draw(st.sampled_from(LEFTS)), draw(st.sampled_from(rights))
    name, kind = draw(st.sampled_from(MEASURES)), draw(st.sampled_from(("array", "list")))
    if HALF in left.sql + right.sql:
        kind = "array"  # DuckDB's list functions refuse a NULL array
    order = draw(st.sampled_from(("SIMILARITY", "DISTANCE")))
    score, again = (f"{kind}_{name}({a}.embedding, {b}.embedding)" for a, b in ("tp", "pt"))
    if draw(st.booleans()):
        score, again = again, score
    join = draw(st.sampled_from(("JOIN", "INNER JOIN", "LEFT JOIN")))
    search = draw(st.sampled_from(("EXACT", "EXACT", "APPROX", "")))
    k = draw(st.sampled_from(("", "1", "2", "5", "100", "$k")))
    tables = f"{left.sql} AS t {join} {right.sql} AS p {search} NEAREST {k} BY {order} {score}"
    ctes = ", ".join(cte for cte in (left.cte, right.cte) if cte)
    farthest = name == "distance" and order == "SIMILARITY"
    return tables, score, again, ctes, not farthest


@st.composite
def queries(draw):
    tables, score, again, ctes, by_faiss = draw(joins())
    if draw(st.integers(0, 3)):
        inner = f"SELECT {draw(st.sampled_from(SELECTS))} FROM {{tables}} {draw(st.sampled_from(ENDS))}"
    else:
        inner = f"SELECT {draw(st.sampled_from(GROUPED))}"
    inner = inner.format(tables=tables, score=score, again=again)
    wrapping = draw(st.sampled_from(WRAPPINGS))
    ordered = wrapping == "{query}" and "ORDER BY t" in inner
    sql = (f"WITH {ctes} " if ctes else "") + wrapping.format(query=inner)
    parameters = {name: value for name, value in PARAMETERS.items() if f"${name}" in sql}
    count = wrapping.count("{query}")
    return Query(sql, count * by_faiss, count * (not by_faiss), parameters, ordered)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    return Oracle(tmp_path_factory.mktemp("random"))


@settings(SETTINGS, max_examples=120)
@given(query=queries())
def test_any_query(oracle, query):
    oracle.check(query)


@st.composite
def tied(draw):
    name = draw(st.sampled_from(("inner_product", "cosine_similarity", "cosine_distance", "distance")))
    best = draw(st.booleans())
    order = "SIMILARITY" if best == (name in ("inner_product", "cosine_similarity")) else "DISTANCE"
    left = draw(st.sampled_from(("grid", "task", "unit")))
    where = draw(st.sampled_from(("true", "c.size > 9", "c.source = t.source", "c.label = t.label AND c.size > 9")))
    right = f"(SELECT * FROM grid c WHERE {where})"
    call = f"array_{name}(t.embedding, p.embedding)"
    sql = (
        f"SELECT t.id AS t_id, p.id AS p_id, {call} AS s FROM {left} t LEFT JOIN {right} p "
        f"EXACT NEAREST {draw(st.integers(1, 45))} BY {order} {call}"
    )
    by_faiss = best or name != "distance"
    return Query(sql, int(by_faiss), int(not by_faiss), ties=Ties(name, left, "grid"))


@settings(SETTINGS, max_examples=40)
@given(query=tied())
def test_any_query_with_ties(oracle, query):
    oracle.check(query)
