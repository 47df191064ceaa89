"""Views, tables and macros that a person has defined."""

from sql_oracle import Query

from sql_queries.words import BY, IP, PAIRS

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
        "sim(t.embedding, p.embedding)",
        setup=("CREATE MACRO sim(a, b) AS array_inner_product(a, b)",),
        faiss=None,
    ),
    "scalar macro with a nearest join": Query(
        "SELECT best(3) AS best",
        setup=(f"CREATE MACRO best(least) AS (SELECT max({IP}) {PAIRS} WHERE p.size > least)",),
        faiss=None,
    ),
}
