"""Several joins in one query, and every ranking that FAISS knows or does not know."""

from sql_oracle import Query

from sql_queries.words import BY, IP, PAIRS, VECTOR

SEVERAL = {
    "two in a chain": Query(
        f"SELECT t.id, p.id, q.id {PAIRS} JOIN grid q EXACT NEAREST 1 BY DISTANCE "
        "array_distance(p.embedding, q.embedding) WHERE q.size < 30",
        faiss=2,
        ties=None,
    ),
    "two from one side": Query(
        f"SELECT t.id, p.id, q.id, {IP} {PAIRS} "
        "JOIN docs q EXACT NEAREST 2 BY DISTANCE array_distance(t.embedding, q.embedding)",
        faiss=2,
    ),
    "a left join on a left join": Query(
        f"SELECT t.id, p.id, q.id FROM task t LEFT JOIN (SELECT * FROM docs WHERE size % 2 = 0 AND size < 0) p {BY} "
        "LEFT JOIN docs q EXACT NEAREST 2 BY SIMILARITY array_inner_product(p.embedding, q.embedding)",
        faiss=2,
    ),
    "nested": Query(
        "SELECT t.id, j.pid, j.qid FROM task t JOIN (SELECT p.id pid, q.id qid, p.embedding e FROM docs p JOIN task q "
        "EXACT NEAREST 1 BY SIMILARITY array_inner_product(p.embedding, q.embedding)) j "
        "EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.embedding, j.e)",
        faiss=2,
    ),
    "in parentheses": Query(
        f"SELECT t.id, p.id, q.id FROM (task t JOIN docs p {BY}) "
        "JOIN docs q EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.embedding, q.embedding)",
        faiss=2,
    ),
    "in parentheses with an alias": Query(f"SELECT j.* FROM (task t JOIN docs p {BY}) j"),
    "one of two": Query(
        f"SELECT t.id, p.id, q.id {PAIRS} JOIN docs q EXACT NEAREST 2 BY SIMILARITY "
        "array_inner_product(t.embedding, q.embedding) + q.size",
        duckdb=1,
    ),
    "one inside the filter of another": Query(
        f"SELECT {IP} {PAIRS} WHERE p.id IN (SELECT p.id FROM task t JOIN docs p EXACT NEAREST 1 BY DISTANCE "
        f"array_distance(t.embedding, p.embedding) WHERE {IP} > 0)",
        faiss=2,
    ),
    "two measures of two vectors": Query(
        "SELECT t.id, p.id, q.id FROM (SELECT *, embedding AS v FROM task) t "
        f"JOIN docs p {BY} JOIN docs q EXACT NEAREST 2 BY DISTANCE array_cosine_distance(q.embedding, t.v)",
        faiss=2,
    ),
    "a join before": Query(f"SELECT t.id, u.size, p.id FROM task t JOIN task u ON t.label = u.label JOIN docs p {BY}"),
    "a join after": Query(f"SELECT t.id, u.size {PAIRS} JOIN task u ON u.label = p.label AND {IP} > 2"),
    "a left join after": Query(f"SELECT t.id, p.id, u.id {PAIRS} LEFT JOIN grid u ON u.size = p.size AND {IP} > 3"),
    "a full join after": Query(f"SELECT t.id, p.id, u.id, {IP} s {PAIRS} FULL JOIN grid u ON u.size = p.size"),
    "a right join before": Query(
        f"SELECT t.id, p.id, u.id, {IP} s FROM grid u RIGHT JOIN task t ON t.size = u.size - 33 JOIN docs p {BY}"
    ),
    "a semi join before": Query(
        f"SELECT t.id, p.id FROM task t SEMI JOIN grid u ON t.size = u.size - 35 JOIN docs p {BY}"
    ),
    "a semi join after": Query(f"SELECT t.id, p.id {PAIRS} SEMI JOIN grid u ON p.id = u.id"),
    "an anti join after": Query(f"SELECT t.id, p.id {PAIRS} ANTI JOIN grid u ON p.id = u.id"),
    "using": Query(
        "SELECT size, label, pid FROM task t JOIN (SELECT id AS pid, embedding AS v FROM docs) p EXACT NEAREST 2 "
        "BY SIMILARITY array_inner_product(t.embedding, p.v) JOIN (SELECT size FROM grid) g USING (size)"
    ),
    "natural": Query(
        "SELECT * FROM (SELECT id AS tid, embedding FROM task) t JOIN (SELECT id AS pid, embedding AS v FROM docs) p "
        "EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.embedding, p.v) "
        "NATURAL JOIN (SELECT id AS tid, size AS z FROM grid) g"
    ),
    "lateral beside": Query(
        f"SELECT t.id, l.n {PAIRS} CROSS JOIN LATERAL (SELECT count(*) n FROM grid g WHERE g.size < p.size) l"
    ),
    "unnest beside": Query(f"SELECT t.id, p.id, u.tag {PAIRS}, unnest(p.tags) u(tag)"),
    "cross join beside": Query(
        f"SELECT g.id, t.id, p.id FROM (SELECT id FROM grid ORDER BY id LIMIT 2) g, task t JOIN docs p {BY}"
    ),
}

MEASURES = ("inner_product", "dot_product", "cosine_similarity", "cosine_distance", "distance")
NEGATIVE = ("negative_inner_product", "negative_dot_product")


def _measure(call: str, order: str) -> Query:
    farthest = order == "SIMILARITY" and ("_distance" in call or "<->" in call) and "cosine" not in call
    sql = f"SELECT t.id, p.id, {call} AS s, {call} FROM task t JOIN docs p EXACT NEAREST 4 BY {order} {call}"
    return Query(sql, faiss=int(not farthest), duckdb=int(farthest))


RANKINGS = {
    f"{order.lower()} {call}": _measure(call, order)
    for order in ("SIMILARITY", "DISTANCE")
    for call in (
        *(f"{kind}_{name}(t.embedding, p.embedding)" for kind in ("array", "list") for name in (*MEASURES, *NEGATIVE)),
        "t.embedding <-> p.embedding",
        "t.embedding <=> p.embedding",
        "array_cosine_similarity(p.embedding, t.embedding)",
    )
} | {
    "swapped in the select": Query(f"SELECT t.id, p.id, array_inner_product(p.embedding, t.embedding) s {PAIRS}"),
    "another spelling in the select": Query(f"SELECT t.id, p.id, list_dot_product(t.embedding, p.embedding) s {PAIRS}"),
    "upper case": Query(
        "SELECT t.id, p.id, Array_Inner_Product(T.EMBEDDING, P.Embedding) s FROM Task T JOIN DOCS P "
        "EXACT NEAREST 2 BY SIMILARITY ARRAY_INNER_PRODUCT(t.Embedding, p.EMBEDDING)"
    ),
    "something added": Query(
        f"SELECT t.id, p.id FROM task t JOIN docs p EXACT NEAREST 2 BY SIMILARITY {IP} + p.size / 9", faiss=0, duckdb=1
    ),
    "negated": Query(f"SELECT t.id, p.id FROM task t JOIN docs p EXACT NEAREST 2 BY DISTANCE -{IP}", faiss=0, duckdb=1),
    "a vector with itself": Query(
        "SELECT t.id, count(*) FROM task t JOIN docs p EXACT NEAREST 2 BY SIMILARITY "
        "array_inner_product(t.embedding, t.embedding) GROUP BY t.id",
        faiss=0,
        duckdb=1,
    ),
    "columns without their tables": Query(
        "SELECT x.id, y.pid, array_inner_product(e, v) s FROM (SELECT id, embedding e FROM task) x JOIN "
        "(SELECT id pid, embedding v FROM docs) y EXACT NEAREST 2 BY SIMILARITY array_inner_product(e, v)"
    ),
    "sides without aliases": Query(
        "SELECT tid, pid FROM (SELECT id tid, embedding e FROM task) JOIN (SELECT id pid, embedding v FROM docs) "
        "EXACT NEAREST 2 BY SIMILARITY array_inner_product(e, v)"
    ),
    "sides without aliases, by DuckDB's names": Query(
        "SELECT unnamed_subquery.tid, unnamed_subquery2.pid, q.id FROM (SELECT id tid, embedding e FROM task) JOIN "
        "(SELECT id pid, embedding v FROM docs) EXACT NEAREST 2 BY SIMILARITY array_inner_product(e, v) "
        "JOIN grid q EXACT NEAREST 1 BY DISTANCE array_distance(v, q.embedding)",
        faiss=2,
    ),
    "sides without aliases, by the ranking's names": Query(
        "SELECT tid, pid FROM (SELECT id tid, embedding e FROM task) JOIN (SELECT id pid, embedding v FROM docs) "
        "EXACT NEAREST 2 BY SIMILARITY array_inner_product(unnamed_subquery.e, unnamed_subquery.v)",
        faiss=0,
        duckdb=1,
    ),
    "a correlated side without an alias": Query(
        "SELECT t.id, unnamed_subquery.id FROM task t JOIN (SELECT * FROM docs c WHERE c.label = t.label) "
        "EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.embedding, unnamed_subquery.embedding)"
    ),
    "unpivoted sides without aliases": Query(
        "SELECT tid, name, pid FROM (SELECT id tid, embedding e, size FROM task) UNPIVOT (x FOR name IN (size)) "
        "JOIN (SELECT id pid, embedding v FROM docs) EXACT NEAREST 2 BY SIMILARITY array_inner_product(e, v)"
    ),
    "a left join of sides without aliases": Query(
        "SELECT * FROM (SELECT id tid, embedding e FROM task) LEFT JOIN (SELECT id pid, embedding v FROM docs WHERE "
        "size < 0) EXACT NEAREST 2 BY SIMILARITY array_inner_product(e, v)"
    ),
    "a star over sides without aliases": Query(
        "SELECT *, array_inner_product(v, e) s FROM (SELECT id tid, embedding e FROM task) JOIN (SELECT id pid, "
        "embedding v FROM docs) EXACT NEAREST 2 BY SIMILARITY array_inner_product(e, v) WHERE s > 1"
    ),
    "a side without an alias": Query(
        "SELECT unnamed_subquery.*, p.id FROM (SELECT * FROM task WHERE size > 2) JOIN docs p EXACT NEAREST 2 BY "
        "SIMILARITY array_inner_product(unnamed_subquery.embedding, p.embedding)"
    ),
    "values without an alias": Query(
        "SELECT col0, size FROM (VALUES (1, [1, 0]::FLOAT[2]), (2, [0, 1]::FLOAT[2])) JOIN (SELECT size, "
        "[size, 1.5]::FLOAT[2] v FROM docs) EXACT NEAREST 2 BY DISTANCE array_distance(col1, v)"
    ),
    "two sides of one name": Query(
        "SELECT a.id FROM task a JOIN one t EXACT NEAREST BY SIMILARITY array_inner_product(a.embedding, t.embedding) "
        "JOIN grid t EXACT NEAREST 2 BY SIMILARITY array_inner_product(a.embedding, t.embedding)",
        duckdb=1,
    ),
    "a cast": Query(
        "SELECT t.id, p.id, array_inner_product(t.embedding, p.embedding::FLOAT[6]) s FROM task t JOIN docs p "
        "EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.embedding, p.embedding::FLOAT[6])"
    ),
    "an expression over one side": Query(
        "SELECT t.id, p.id FROM task t JOIN docs p EXACT NEAREST 2 BY SIMILARITY "
        "array_inner_product(CASE WHEN t.size > 4 THEN t.embedding END, CASE WHEN p.size > 9 THEN p.embedding END)"
    ),
    "a constant vector": Query(
        "SELECT p.id FROM (SELECT 1) t JOIN docs p EXACT NEAREST 4 BY SIMILARITY array_inner_product(p.embedding, "
        f"{VECTOR})"
    ),
}
