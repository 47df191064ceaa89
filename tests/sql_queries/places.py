"""Where a NEAREST join can stand: subqueries, CTEs, set operations and the other parts of a statement."""

from sql_oracle import Query

from sql_queries.words import BY, IP, PAIRS

PLACES = {
    "plain": Query(f"SELECT t.id, p.id, {IP} AS score {PAIRS}"),
    "without a count": Query(f"SELECT t.id, p.id FROM task t JOIN docs p EXACT NEAREST BY SIMILARITY {IP}"),
    "without EXACT or APPROX": Query(f"SELECT t.id, p.id FROM task t JOIN docs p NEAREST 2 BY SIMILARITY {IP}"),
    "approx": Query(f"SELECT t.id, p.id FROM task t JOIN docs p APPROX NEAREST 2 BY SIMILARITY {IP}"),
    "inner": Query(f"SELECT t.id, p.id FROM task t INNER JOIN docs p {BY}"),
    "left outer": Query(f"SELECT t.id, p.id, {IP} s FROM task t LEFT OUTER JOIN docs p {BY}"),
    "from first": Query(f"{PAIRS} SELECT t.id, p.id"),
    "from only": Query(PAIRS),
    "in a subquery": Query(f"SELECT count(*), sum(s) FROM (SELECT {IP} AS s {PAIRS})"),
    "two subqueries deep": Query(f"SELECT * FROM (SELECT * FROM (SELECT t.id, p.id AS pid {PAIRS}) WHERE pid <> 'd3')"),
    "in a scalar subquery": Query(f"SELECT o.id, (SELECT max({IP}) {PAIRS}) AS best FROM task o"),
    "in a correlated scalar subquery": Query(
        f"SELECT o.id, (SELECT max({IP}) {PAIRS} WHERE t.label = o.label) AS best FROM grid o"
    ),
    "in EXISTS": Query(f"SELECT o.id FROM grid o WHERE EXISTS (SELECT 1 {PAIRS} WHERE p.id = o.id)"),
    "in IN": Query(f"SELECT o.id FROM docs o WHERE o.id IN (SELECT p.id {PAIRS})"),
    "in NOT IN": Query(f"SELECT o.id FROM docs o WHERE o.id NOT IN (SELECT p.id {PAIRS})"),
    "in a lateral join": Query(
        f"SELECT o.id, l.pid, l.s FROM grid o, LATERAL (SELECT p.id AS pid, {IP} AS s {PAIRS} WHERE t.id = o.id) l"
    ),
    "in LIMIT": Query(
        f"SELECT t.id, p.id {PAIRS} ORDER BY 1, 2 LIMIT (SELECT count(*) FROM task t JOIN docs p "
        f"EXACT NEAREST 1 BY SIMILARITY {IP})",
        faiss=2,
        ordered=True,
    ),
    "in a condition of another join": Query(
        f"SELECT g.id, o.id FROM grid g JOIN task o ON g.size = o.size AND g.id IN (SELECT p.id {PAIRS})"
    ),
    "in the arguments of a table function": Query(f"SELECT * FROM unnest((SELECT list({IP}) {PAIRS})) u(s)"),
    "in VALUES": Query(f"SELECT * FROM (VALUES ((SELECT count(*) {PAIRS})), (7)) v(n)"),
    "left to DuckDB inside a correlated side": Query(
        "SELECT id, (SELECT count(*) FROM (SELECT * FROM task WHERE label = o.label) t JOIN docs p "
        f"EXACT NEAREST 2 BY SIMILARITY {IP}) n FROM grid o",
        faiss=0,
        duckdb=1,
    ),
    "cte": Query(f"WITH n AS (SELECT t.id, p.id AS pid, {IP} AS s {PAIRS}) SELECT * FROM n WHERE s > 1"),
    "cte with names": Query(f"WITH n(a, b) AS (SELECT t.id, p.id {PAIRS}) SELECT b, count(a) FROM n GROUP BY b"),
    "cte of a cte": Query(
        f"WITH n AS (WITH m AS (SELECT t.id, {IP} AS s {PAIRS}) SELECT * FROM m WHERE s > 1), "
        "o AS (SELECT id, max(s) AS s FROM n GROUP BY id) SELECT * FROM o JOIN n USING (id)"
    ),
    "materialised cte used twice": Query(
        f"WITH n AS MATERIALIZED (SELECT t.id, p.id AS pid {PAIRS}) SELECT a.id, b.id FROM n a JOIN n b USING (pid)"
    ),
    "cte that is not materialised, used twice": Query(
        f"WITH n AS NOT MATERIALIZED (SELECT t.id, p.id AS pid {PAIRS}) SELECT a.id, b.id FROM n a JOIN n b USING (pid)"
    ),
    "cte as a side": Query(
        f"WITH few AS (SELECT * FROM docs WHERE size < 20) SELECT t.id, p.id FROM task t JOIN few p {BY}"
    ),
    "cte that shadows a corpus": Query(
        f"WITH docs AS (SELECT * FROM docs WHERE size < 20) SELECT t.id, p.id, {IP} s FROM task t JOIN docs p {BY}"
    ),
    "cte that shadows a cte": Query(
        "WITH a AS (SELECT * FROM docs WHERE size < 20), b AS (WITH a AS (SELECT * FROM docs WHERE size >= 20) "
        f"SELECT t.id, p.id AS pid FROM task t JOIN a p {BY}) "
        f"SELECT * FROM b UNION ALL SELECT t.id, p.id FROM task t JOIN a p {BY}",
        faiss=2,
    ),
    "cte that shadows the cte it reads": Query(
        "WITH a AS (SELECT * FROM docs WHERE size < 20) SELECT * FROM (WITH a AS (SELECT * FROM a WHERE size > 5) "
        f"SELECT t.id, p.id FROM task t JOIN a p {BY})"
    ),
    "cte that shadows the cte that another reads": Query(
        "WITH a AS (SELECT * FROM docs WHERE size < 20), b AS (SELECT id FROM a WHERE size < 9) SELECT * FROM (WITH A "
        "AS (SELECT * FROM a WHERE id NOT IN (FROM b)), c AS (SELECT * FROM a WHERE size < 15) "
        f"SELECT t.id, p.id FROM task t JOIN c p {BY} WHERE p.id NOT IN (FROM b))"
    ),
    "cte that shadows a cte that shadows one": Query(
        "WITH a AS (SELECT * FROM docs WHERE size < 40) SELECT * FROM (WITH a AS (SELECT * FROM a WHERE size > 5) "
        "SELECT * FROM (WITH a AS (WITH a AS (SELECT * FROM a WHERE size > 9) SELECT * FROM a WHERE source = 'x') "
        f"SELECT t.id, p.id FROM task t JOIN a p {BY}))"
    ),
    "cte that shadows a random one": Query(
        "WITH a AS MATERIALIZED (SELECT * FROM docs USING SAMPLE 10 ROWS) SELECT count(*) FROM (WITH b AS (FROM a), "
        f"a AS (SELECT * FROM a) SELECT p.id FROM task t JOIN a p EXACT NEAREST 99 BY SIMILARITY {IP}) WHERE id NOT "
        "IN (SELECT id FROM a)"
    ),
    "cte beside a recursive one": Query(
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) "
        f"SELECT n, t.id, p.id FROM r, task t JOIN docs p {BY}"
    ),
    "inside a recursive cte": Query(
        "WITH RECURSIVE r AS (SELECT id, embedding, 0 AS n FROM task WHERE size = 1 UNION ALL SELECT p.id, "
        "p.embedding, "
        f"n + 1 FROM r t JOIN docs p EXACT NEAREST 1 BY SIMILARITY {IP} WHERE n < 3) SELECT id, n FROM r",
        faiss=None,
    ),
    "a union under a recursive with that does not name itself": Query(
        f"WITH RECURSIVE u AS (SELECT t.id, p.id AS pid {PAIRS} UNION ALL SELECT t.id, p.id AS pid {PAIRS}), "
        "r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM u, r",
        faiss=2,
    ),
    "a union under a recursive with that drops what is twice": Query(
        f"WITH RECURSIVE u AS (SELECT t.id, p.id AS pid {PAIRS} UNION SELECT t.id, p.id AS pid {PAIRS}) FROM u",
        faiss=2,
    ),
    "neighbours of neighbours through ctes": Query(
        f"WITH n AS (SELECT DISTINCT p.* {PAIRS}), m AS (SELECT t.id, p.id AS pid, p.embedding FROM n t JOIN docs p "
        f"{BY}) "
        f"SELECT t.id, p.pid FROM task t JOIN m p EXACT NEAREST 1 BY SIMILARITY {IP}",
        faiss=3,
    ),
    "pivot": Query(f"SELECT * FROM (SELECT t.id, p.source, {IP} AS s {PAIRS}) PIVOT (max(s) FOR source IN ('x', 'y'))"),
    "unpivot": Query(f"SELECT * FROM (SELECT t.id, p.id AS pid, {IP} AS s {PAIRS}) UNPIVOT (v FOR name IN (s))"),
    "named window": Query(
        f"SELECT t.id, p.id, rank() OVER w {PAIRS} WINDOW w AS (PARTITION BY t.id ORDER BY {IP} DESC)"
    ),
}

OPERATIONS = {
    operation: Query(
        f"SELECT t.id, p.id AS pid {PAIRS} {operation} "
        f"SELECT t.id, p.id AS pid FROM task t JOIN docs p EXACT NEAREST 1 BY SIMILARITY {IP}",
        faiss=2,
    )
    for operation in ("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL")
} | {
    "UNION ALL BY NAME": Query(
        f"SELECT t.id, p.id AS pid {PAIRS} UNION ALL BY NAME SELECT p.id AS pid, {IP} AS s {PAIRS}", faiss=2
    ),
    "a union with order and limit": Query(
        f"(SELECT t.id, p.id, {IP} AS s {PAIRS}) UNION ALL (SELECT t.id, p.id, {IP} FROM docs t JOIN task p {BY}) "
        "ORDER BY s DESC, 1, 2 LIMIT 9 OFFSET 2",
        faiss=2,
        ordered=True,
    ),
    "a union in a side": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT id, embedding FROM docs WHERE size < 9 UNION ALL "
        f"SELECT 'z' || id, embedding FROM zeros WHERE size > 9) p {BY}"
    ),
}
