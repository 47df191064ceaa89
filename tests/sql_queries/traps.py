"""What an execution by temporary relations and edges can get wrong although each part of it is right."""

from sql_oracle import Query

from sql_queries.words import BY, IP, PAIRS, VECTOR

# A side is evaluated once, and is put back as a table: nothing of the query may tell the difference.
TRAPS = {
    "a random column is drawn once": Query(
        "WITH s AS MATERIALIZED (SELECT *, random() AS r FROM docs) SELECT count(*) FROM s t JOIN s p "
        "EXACT NEAREST 1 BY DISTANCE array_distance(t.embedding, p.embedding) WHERE t.r <> p.r",
    ),
    "a sample is drawn once": Query(
        "WITH s AS MATERIALIZED (SELECT * FROM docs USING SAMPLE 10 ROWS) SELECT count(*) FROM s t JOIN s p "
        "EXACT NEAREST 1 BY DISTANCE array_distance(t.embedding, p.embedding) WHERE t.id = p.id",
    ),
    "a sample is drawn once, beside the join": Query(
        "WITH s AS (SELECT * FROM docs USING SAMPLE 10 ROWS) SELECT count(*) FROM task t JOIN s p EXACT NEAREST 99 BY "
        f"SIMILARITY {IP} WHERE p.id NOT IN (SELECT id FROM s)",
    ),
    "an enum keeps its order": Query(
        "SELECT t.id, max(p.h)::VARCHAR m FROM task t JOIN (SELECT *, source::ENUM('y', 'x') h FROM docs) p "
        f"EXACT NEAREST 4 BY SIMILARITY {IP} GROUP BY t.id"
    ),
    "a huge integer divides": Query(
        "SELECT t.id, p.h // 2 AS half FROM task t JOIN (SELECT *, sum(size) OVER (PARTITION BY label) h FROM docs) "
        f"p {BY}"
    ),
    "a collation is kept": Query(
        f"SELECT t.id, p.id FROM task t JOIN (SELECT *, id COLLATE NOCASE h FROM docs) p {BY} WHERE p.h = upper(p.id)"
    ),
    "bits stay bits": Query(f"SELECT t.id, p.h::VARCHAR FROM task t JOIN (SELECT *, '101'::BIT h FROM docs) p {BY}"),
    "an interval in a side": Query(
        "SELECT t.id, p.id, date '2020-01-01' + p.h AS d FROM task t JOIN (SELECT *, interval 1 day h FROM docs) p "
        f"{BY}"
    ),
    "a union in a side's column": Query(
        f"SELECT t.id, p.id, p.h.a FROM task t JOIN (SELECT *, union_value(a := size) h FROM docs) p {BY}"
    ),
    "types keep their names": Query(
        "SELECT DISTINCT typeof(p.u), typeof(p.j), typeof(p.h) FROM task t JOIN (SELECT *, "
        f"'5f1a0f2e-5f1a-4f2e-8f1a-5f1a0f2e5f1a'::UUID u, '{{}}'::JSON j, size::HUGEINT h FROM docs) p {BY}"
    ),
    "a whole row in a subquery": Query(f"SELECT t.id, (SELECT p) AS p {PAIRS}", faiss=None),
    "a whole row in a lateral join": Query(f"SELECT t.id, l.* {PAIRS}, LATERAL (SELECT p.*) l", faiss=None),
    "a whole row of a third table": Query(f"SELECT t.id, g {PAIRS} JOIN grid g ON g.id = p.id"),
    "the vectors as a key of USING": Query(
        "SELECT t.id FROM task t JOIN (SELECT id AS pid, embedding AS v FROM docs) p EXACT NEAREST 2 BY SIMILARITY "
        "array_inner_product(t.embedding, p.v) JOIN task g USING (embedding)"
    ),
    "the vectors as a key of USING, on the right": Query(
        "SELECT t.id, p.id, g.size FROM (SELECT id, embedding AS v FROM task) t JOIN docs p EXACT NEAREST 2 BY "
        "SIMILARITY array_inner_product(t.v, p.embedding) JOIN docs g USING (Embedding)"
    ),
    "the vectors as a key of USING, without a nearest join": Query(
        "SELECT t.id FROM docs t JOIN docs USING (embedding)", faiss=0
    ),
    "a natural join of corpora": Query("SELECT id FROM docs NATURAL JOIN unit", faiss=0),
    "a natural join of corpora and a nearest one": Query(
        "SELECT t.id, pid FROM task t JOIN (SELECT id AS pid, embedding AS v FROM docs) p EXACT NEAREST 2 BY "
        "SIMILARITY array_inner_product(t.embedding, p.v) NATURAL JOIN task"
    ),
    "a natural join with equal vectors": Query(
        "SELECT size, pid FROM (SELECT size, tags, embedding FROM docs) t JOIN (SELECT id AS pid, embedding AS v FROM "
        "task) p EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.embedding, p.v) NATURAL JOIN docs"
    ),
    "a recursive cte that shadows a corpus": Query(
        "WITH RECURSIVE docs(id, embedding) AS (SELECT id, embedding FROM zeros WHERE size < 2 UNION SELECT p.id, "
        f"p.embedding FROM docs t JOIN task p EXACT NEAREST 1 BY SIMILARITY {IP}) SELECT id FROM docs",
        faiss=None,
    ),
    "a constant vector beside an outer join": Query(
        "SELECT b.id, p.id FROM (SELECT * FROM task WHERE false) a RIGHT JOIN task b ON true JOIN docs p "
        f"EXACT NEAREST 2 BY SIMILARITY array_inner_product({VECTOR}, p.embedding)",
        faiss=0,
        duckdb=1,
    ),
    "a vector for the rows of an outer join": Query(
        "SELECT g.id, p.id FROM grid g LEFT JOIN task t ON t.size = g.size JOIN docs p EXACT NEAREST 1 BY SIMILARITY "
        f"array_inner_product(coalesce(t.embedding, {VECTOR}), p.embedding)",
        faiss=None,
    ),
    "a constant vector on the right": Query(
        "SELECT t.id, count(*) FROM task t JOIN docs p EXACT NEAREST 2 BY SIMILARITY "
        f"array_inner_product(t.embedding, {VECTOR}) GROUP BY t.id",
        faiss=None,
    ),
    "doubles that floats cannot tell apart": Query(
        "SELECT p.i FROM (SELECT [1, 0]::DOUBLE[2] v) t JOIN (SELECT i, [1 + i * 1e-12, 0]::DOUBLE[2] v FROM "
        "range(10) r(i)) "
        "p EXACT NEAREST 3 BY SIMILARITY array_inner_product(t.v, p.v)",
        faiss=None,
    ),
    "squares over the range of floats": Query(
        "SELECT t.i AS i, p.i AS j FROM (SELECT i, [i * 1e25, 0]::FLOAT[2] v FROM range(3) r(i)) t JOIN (SELECT i, "
        "[i * 1e25, 1]::FLOAT[2] v FROM range(3) r(i)) p EXACT NEAREST 3 BY DISTANCE array_distance(t.v, p.v)",
        faiss=None,
    ),
    "a corpus named in a text": Query(
        f"SELECT t.id, p.id FROM task t JOIN query('SELECT * FROM docs WHERE size < 30') p {BY}"
    ),
    "a query in a text": Query(f"SELECT * FROM query('SELECT t.id, p.id AS pid {PAIRS}')", faiss=None),
    "a column called saturated": Query(
        f"SELECT t.id, saturated {PAIRS} JOIN (SELECT id, 'mine' AS saturated FROM docs) g ON g.id = p.id"
    ),
    "a result called saturated": Query(
        f"SELECT t.id, p.size AS saturated {PAIRS} ORDER BY saturated, 1 LIMIT 9", ordered=True
    ),
    "a condition on a result called saturated": Query(f"SELECT t.id, p.size AS saturated {PAIRS} WHERE saturated > 4"),
    "the database's name": Query(f"SELECT t.id, p.id FROM task t JOIN memory.main.docs p {BY}"),
    "the database's name without the schema's": Query(
        f'SELECT t.id, p.id FROM "memory" . task t JOIN (SELECT * FROM MEMORY.Docs WHERE size > 7) p {BY}'
    ),
    "columns by their schema": Query(
        "SELECT main.docs.id, p.id FROM main.docs JOIN task p EXACT NEAREST 2 BY SIMILARITY "
        "array_inner_product(docs.embedding, p.embedding)"
    ),
    "a corpus that a cte of its name reads by its schema": Query(
        "WITH docs AS (SELECT * FROM memory.main.docs WHERE size < 30) SELECT t.id, p.id FROM task t "
        f"JOIN main.docs p {BY} WHERE p.id NOT IN (SELECT id FROM docs) AND t.id IN (SELECT id FROM memory.docs)"
    ),
    "a view by its schema, beside a cte of its name": Query(
        "WITH v AS (SELECT 1) SELECT * FROM main.v", setup=(f"CREATE VIEW v AS SELECT t.id, p.id AS pid {PAIRS}",)
    ),
    "a table by its database": Query(
        f"SELECT t.id, p.id FROM task t JOIN memory.v p {BY}",
        setup=("CREATE TABLE v AS SELECT * FROM docs WHERE size < 9",),
    ),
    "a described corpus, by its database": Query("SELECT column_name FROM (DESCRIBE memory.main.docs)", faiss=0),
}
