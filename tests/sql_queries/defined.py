"""Views, tables and macros that a person has defined."""

from sql_oracle import Query

from sql_queries.words import BY, IP, PAIRS

NEAR_OF = (
    f"CREATE MACRO m(least := 9, s := 'x') AS TABLE SELECT t.id, p.id AS pid, {IP} AS x {PAIRS} WHERE p.size > least "
    "AND p.source = s"
)
BEST = f"CREATE MACRO best(least := 3) AS (SELECT max({IP}) {PAIRS} WHERE p.size > least)"
SIM = "CREATE MACRO sim(a, b) AS array_inner_product(a, b)"
NEAR = f"CREATE VIEW near AS SELECT t.id AS tid, p.id AS pid, {IP} AS s {PAIRS}"
DEFINED = {
    "view": Query("SELECT * FROM near WHERE s > 1", setup=(NEAR,)),
    "view used twice": Query("SELECT n.tid, m.tid FROM near n JOIN near m USING (pid)", faiss=2, setup=(NEAR,)),
    "view with column names": Query("SELECT * FROM v", setup=(f"CREATE VIEW v(a, b) AS SELECT t.id, p.id {PAIRS}",)),
    "view of a view": Query(
        "SELECT * FROM best", setup=(NEAR, "CREATE VIEW best AS SELECT pid, max(s) AS s FROM near GROUP BY pid")
    ),
    "view as a side": Query(
        f"SELECT t.id, p.id FROM task t JOIN v p {BY}", setup=("CREATE VIEW v AS SELECT * FROM docs WHERE size < 20",)
    ),
    "view beside a cte of a corpus's name": Query(
        "WITH docs AS (SELECT 1) SELECT near.* FROM near, docs", setup=(NEAR,)
    ),
    "table as a side": Query(
        f"SELECT t.id, p.id FROM task t JOIN v p {BY}", setup=("CREATE TABLE v AS SELECT * FROM docs WHERE size < 20",)
    ),
    "temporary table as a side": Query(
        f"SELECT t.id, p.id FROM v t JOIN docs p {BY}",
        setup=("CREATE TEMP TABLE v AS SELECT * FROM docs WHERE size < 9",),
    ),
    "table macro": Query(
        "SELECT * FROM m(9, 'x')",
        setup=(
            f"CREATE MACRO m(least, s) AS TABLE SELECT t.id, p.id AS pid, {IP} AS s {PAIRS} WHERE p.size > least "
            "AND p.source = s",
        ),
    ),
    "table macro with a parameter of the query": Query(
        "SELECT * FROM m(least := $n)",
        setup=(f"CREATE MACRO m(least) AS TABLE SELECT t.id, p.id AS pid {PAIRS} WHERE p.size > least",),
        parameters={"n": 9},
    ),
    "table macro with a default": Query(
        "SELECT * FROM m()",
        setup=(f"CREATE MACRO m(least := 9) AS TABLE SELECT t.id, p.id AS pid {PAIRS} WHERE p.size > least",),
    ),
    "table macro with some of its defaults": Query(
        "SELECT * FROM m(2, s := $s) WHERE x > 0", setup=(NEAR_OF,), parameters={"s": "y"}
    ),
    "table macro with other spellings of a default": Query(
        "SELECT * FROM m()", setup=(NEAR_OF.replace(":= 9", "=> -1 + 3"),)
    ),
    "table macro with a text as default": Query("SELECT * FROM M(LEAST := 4)", setup=(NEAR_OF,)),
    "one of two table macros of a name": Query(
        "SELECT * FROM m(7) UNION ALL SELECT * FROM m(7, 30)",
        setup=(
            f"CREATE MACRO m(a) AS TABLE (SELECT t.id, p.id AS pid {PAIRS} WHERE p.size > a), "
            f"(a, b) AS TABLE (SELECT t.id, p.id AS pid {PAIRS} WHERE p.size < a + b)",
        ),
        faiss=2,
    ),
    "table macro with a type": Query(
        "SELECT * FROM m(7)",
        setup=(f"CREATE MACRO m(least INTEGER) AS TABLE SELECT t.id, p.id AS pid {PAIRS} WHERE p.size > least",),
        faiss=None,
    ),
    "table macro beside a cte of a corpus's name": Query(
        "WITH docs AS (SELECT * FROM grid WHERE size < 30) SELECT * FROM m()", setup=(NEAR_OF,)
    ),
    "table macro on both sides": Query(
        f"SELECT t.id, p.id FROM m(5) t JOIN m(20) p {BY}",
        setup=("CREATE MACRO m(most) AS TABLE SELECT * FROM docs WHERE size < most",),
    ),
    "table macro that filters a side": Query(
        "SELECT * FROM m('x')",
        setup=(
            "CREATE MACRO m(s) AS TABLE SELECT t.id, p.id AS pid FROM task t JOIN (SELECT * FROM docs WHERE source "
            f"= s) p {BY}",
        ),
    ),
    "table macro correlated with the left": Query(
        f"SELECT t.id, p.id FROM task t JOIN m(t.label) p {BY}",
        setup=("CREATE MACRO m(l) AS TABLE SELECT * FROM docs c WHERE c.label = l",),
    ),
    "scalar macro as the ranking": Query(
        "SELECT t.id, p.id, sim(t.embedding, p.embedding) s FROM task t JOIN docs p EXACT NEAREST 2 BY SIMILARITY "
        "sim(t.embedding, p.embedding) WHERE s > 1",
        setup=(SIM,),
    ),
    "scalar macro as the ranking of sides without aliases": Query(
        "SELECT tid, sim(e, v), sim(v, e) + 1 FROM (SELECT id tid, embedding e FROM task) JOIN (SELECT id pid, "
        "embedding v FROM docs) EXACT NEAREST 2 BY SIMILARITY sim(e, v) ORDER BY sim(e, v)",
        setup=(SIM,),
        ordered=True,
    ),
    "scalar macro of more than a measure": Query(
        "SELECT t.id, p.id FROM task t JOIN docs p EXACT NEAREST 2 BY SIMILARITY sim(t.embedding, p.embedding)",
        setup=("CREATE MACRO sim(a, b, w := 2) AS w * array_inner_product(a, b)",),
        faiss=0,
        duckdb=1,
    ),
    "scalar macro with a nearest join": Query("SELECT best(3) AS best", setup=(BEST,)),
    "scalar macro with a nearest join, three times": Query(
        "SELECT id, best(4) FROM docs WHERE size / 10 < best() ORDER BY best(least := 2) + size",
        setup=(BEST,),
        faiss=3,
        ordered=True,
    ),
    "scalar macro with a nearest join, grouped by": Query(
        "SELECT best(4), count(*) FROM docs GROUP BY best(4)", setup=(BEST,), faiss=2
    ),
    "scalar macro with a nearest join in a side": Query(
        f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs WHERE size > best(4)) p {BY}", setup=(BEST,), faiss=2
    ),
    "scalar macro of a scalar macro": Query("SELECT more(2)", setup=(BEST, "CREATE MACRO more(q) AS best(q) + 1")),
    "scalar macro in a view": Query("SELECT * FROM v", setup=(BEST, "CREATE VIEW v AS SELECT id, best(4) b FROM task")),
    "scalar macro in a table macro": Query(
        "SELECT * FROM m(2)", setup=(BEST, "CREATE MACRO m(q) AS TABLE SELECT id, best(q) AS b FROM task")
    ),
    "scalar macro of a column": Query("SELECT o.id, best(o.size) FROM grid o", setup=(BEST,)),
    "scalar macro of a column that it has too": Query("SELECT id, best(size) FROM grid", setup=(BEST,), faiss=None),
    "scalar macro of a table that it has too": Query("SELECT best(t.size) FROM grid t", setup=(BEST,), faiss=None),
}
