"""What a side can be: a corpus, a filtered one, computed vectors, and one that depends on the other side."""

from sql_oracle import Query, Ties

from sql_queries.words import BY, IP, PAIRS

SIDES = {
    "filtered right side": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs WHERE source = 'x') p EXACT NEAREST 5 BY SIMILARITY "
        f"{IP}"
    ),
    "filter after the join": Query(
        f"SELECT t.id, p.id FROM task t JOIN docs p EXACT NEAREST 5 BY SIMILARITY {IP} WHERE p.source = 'x'"
    ),
    "filter by another corpus": Query(
        f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs WHERE size IN (SELECT size + 20 FROM grid)) p {BY}"
    ),
    "filter by another nearest join": Query(
        f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs WHERE id NOT IN (SELECT p.id {PAIRS})) p {BY}", faiss=2
    ),
    "filtered left side": Query(
        f"SELECT t.id, p.id FROM (SELECT * FROM docs WHERE größe BETWEEN 2 AND 3) t JOIN docs p {BY}"
    ),
    "some columns": Query(
        "SELECT t.n, p.* FROM (SELECT size + 1 AS n, embedding AS v FROM task) t JOIN (SELECT embedding AS w, id "
        "FROM docs) p "
        "EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.v, p.w)"
    ),
    "a corpus with itself": Query(
        f"SELECT t.id AS t_id, p.id AS p_id, {IP} AS s FROM docs t JOIN docs p {BY}", ties=Ties("inner_product")
    ),
    "computed vectors": Query(
        "SELECT t.id, p.id, array_distance(t.v, p.v) s FROM "
        "(SELECT id, list_transform(embedding::FLOAT[], lambda x: x / 2)::FLOAT[6] v FROM task) t JOIN "
        "(SELECT id, list_transform(embedding::FLOAT[], lambda x: x + 1)::FLOAT[6] v FROM docs) p "
        "EXACT NEAREST 2 BY DISTANCE array_distance(t.v, p.v)"
    ),
    "an aggregate's vectors": Query(
        "SELECT t.label, t.n, p.id FROM (SELECT label, sum(size) n, arg_min(embedding, size) v FROM docs GROUP BY "
        "label) t "
        "JOIN task p EXACT NEAREST 2 BY DISTANCE array_distance(t.v, p.embedding)"
    ),
    "ordered and limited sides": Query(
        "SELECT t.id, p.id FROM (SELECT * FROM docs ORDER BY size DESC LIMIT 7) t JOIN "
        f"(SELECT * FROM docs ORDER BY id LIMIT 20 OFFSET 3) p {BY}"
    ),
    "a distinct side": Query(f"SELECT t.id, p.id FROM task t JOIN (SELECT DISTINCT * FROM docs) p {BY}"),
    "a side that is a join": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT d.* FROM docs d JOIN grid g ON g.id = d.id WHERE g.size > 9) p "
        f"EXACT NEAREST 2 BY SIMILARITY {IP}"
    ),
    "a windowed side": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs QUALIFY row_number() OVER (PARTITION BY label "
        f"ORDER BY size) <= 4) p {BY}"
    ),
    "values on both sides": Query(
        "SELECT t.id, p.id, array_distance(t.v, p.v) s FROM (VALUES ('a', [1, 0]::FLOAT[2]), ('b', [0, 1]::FLOAT[2])) "
        "t(id, v) JOIN (VALUES ('x', [1, 0.1]::FLOAT[2]), ('y', [0, 1.1]::FLOAT[2]), ('z', [5, 5]::FLOAT[2])) p(id, v) "
        "EXACT NEAREST 2 BY DISTANCE array_distance(t.v, p.v)"
    ),
    "a table function's rows": Query(
        "SELECT t.i, p.i FROM (SELECT i, [i, 0]::FLOAT[2] v FROM range(4) r(i)) t JOIN "
        "(SELECT i, [i * 1.1, 0]::FLOAT[2] v FROM generate_series(1, 5) r(i)) p "
        "EXACT NEAREST 2 BY DISTANCE array_distance(t.v, p.v)"
    ),
    "a sample that keeps all": Query(
        f"SELECT t.id, p.id FROM (SELECT * FROM task) AS t TABLESAMPLE reservoir(99 ROWS) JOIN docs p {BY}"
    ),
    "a sampled subquery that keeps all": Query(
        f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs USING SAMPLE 100%) p {BY}"
    ),
    "query_table": Query(f"SELECT t.id, p.id FROM query_table('task') t JOIN query_table('docs') p {BY}"),
    "its schema": Query(f"SELECT t.id, p.id FROM main.task t JOIN docs p {BY}"),
    "list and struct columns": Query(
        f"SELECT t.info.lang, t.tags[1], p.info['n'], p.tags, p.info FROM task t JOIN (SELECT * FROM docs) p {BY} "
        "WHERE len(p.tags) > 0"
    ),
    "doubles": Query(
        "SELECT t.id, p.id, array_inner_product(t.v, p.embedding) s FROM (SELECT id, embedding::DOUBLE[6] v "
        "FROM task) t JOIN docs p EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.v, p.embedding)",
        faiss=None,
    ),
    "lists of no fixed length": Query(
        "SELECT t.id, p.id FROM (SELECT id, embedding::FLOAT[] v FROM task) t JOIN docs p "
        "EXACT NEAREST 2 BY SIMILARITY list_inner_product(t.v, p.embedding)",
        faiss=0,
        duckdb=1,
    ),
}


CORRELATED = {
    "same label": Query(f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.label = t.label) p {BY}"),
    "same label, other way round": Query(
        f"SELECT t.id, p.id, {IP} FROM task t JOIN (SELECT * FROM docs WHERE t.label = label) p {BY}"
    ),
    "two keys": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.label = t.label AND c.source = t.source) p "
        f"EXACT NEAREST 2 BY SIMILARITY {IP}"
    ),
    "two keys and a filter": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.size > 9 AND c.label = t.label AND "
        f"c.source = t.source AND c.text LIKE '%e%') p EXACT NEAREST 2 BY SIMILARITY {IP}"
    ),
    "two columns, one key": Query(
        "SELECT t.id, p.id FROM (SELECT *, upper(source) AS label_ FROM task) t JOIN (SELECT * FROM "
        f"(SELECT *, upper(source) AS s FROM docs) c WHERE c.s = t.label_) p {BY}"
    ),
    "more than the group has": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.label = t.label) p "
        f"EXACT NEAREST 99 BY SIMILARITY {IP}"
    ),
    "a left join without partners": Query(
        "SELECT t.id, p.id, p.label FROM task t LEFT JOIN (SELECT * FROM docs c WHERE c.label = t.label AND "
        f"c.label <> 'a') p {BY}"
    ),
    "a list as key": Query(f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.tags = t.tags) p {BY}"),
    "a key of another type": Query(
        "SELECT t.id, p.id FROM (SELECT *, size::DOUBLE d FROM task) t JOIN (SELECT * FROM docs c WHERE c.size = "
        f"t.d) p {BY}"
    ),
    "an expression as key": Query(
        f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE upper(c.label) = upper(t.label)) p {BY}"
    ),
    "an expression of one side as key": Query(
        f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.size % 5 = t.size) p {BY}"
    ),
    "another label": Query(
        f"SELECT t.id, p.id, {IP} FROM task t JOIN (SELECT * FROM docs c WHERE c.label <> t.label) p {BY}"
    ),
    "another label and the same source": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE t.label <> c.label AND c.source = t.source) p "
        f"EXACT NEAREST 2 BY SIMILARITY {IP}"
    ),
    "another label and another source": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.label != t.label AND c.source <> t.source) p "
        f"EXACT NEAREST 2 BY SIMILARITY {IP}"
    ),
    "every other document": Query(
        f"SELECT t.id, p.id FROM docs t LEFT JOIN (SELECT * FROM docs c WHERE c.id <> t.id) p {BY}"
    ),
    "NULL agrees with NULL": Query(
        f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.label IS NOT DISTINCT FROM t.label) p {BY}",
        faiss=0,
        duckdb=1,
    ),
    "an inequality": Query(
        f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.size > t.size * 5) p {BY}", faiss=0, duckdb=1
    ),
    "either of two": Query(
        f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.label = t.label OR c.size < 9) p {BY}",
        faiss=0,
        duckdb=1,
    ),
    "a key and an inequality": Query(
        "SELECT t.*, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.label = t.label AND c.size > t.size * 5) p "
        f"EXACT NEAREST 1 BY SIMILARITY {IP}",
        faiss=0,
        duckdb=1,
    ),
    "not the column it seems": Query(
        f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs t WHERE t.label = t.label) p {BY}"
    ),
    "ordered and limited": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.label = t.label ORDER BY size LIMIT 5) p "
        f"EXACT NEAREST 2 BY SIMILARITY {IP}",
        faiss=0,
        duckdb=1,
    ),
    "a filter that looks at its own group": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.label = t.label AND "
        f"c.size > (SELECT avg(size) FROM docs d WHERE d.label = c.label)) p {BY}"
    ),
    "the table beside": Query(
        f"SELECT g.id, t.id, p.id FROM grid g, task t JOIN (SELECT * FROM docs c WHERE c.label = g.label) p {BY}",
        faiss=0,
        duckdb=1,
    ),
    "through a chain": Query(
        f"SELECT t.id, p.id, q.id {PAIRS} JOIN (SELECT * FROM task c WHERE c.label = p.label) q "
        "EXACT NEAREST 1 BY DISTANCE array_distance(p.embedding, q.embedding)",
        faiss=2,
    ),
    # The key must be the column that the WHERE saw, not one of the same name that the side shows.
    "the key replaced": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * REPLACE (upper(label) AS label) FROM docs c WHERE c.label = "
        f"t.label) p {BY}",
    ),
    "the key renamed": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * RENAME (label AS source, source AS label) FROM docs c "
        f"WHERE c.label = t.label) p {BY}",
    ),
    "the key renamed from outside": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.label = t.label) p(id, text, source, "
        f"label) {BY}",
    ),
    "the key of another table": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT c.* FROM docs c JOIN docs o ON o.size = c.size + 1 "
        f"WHERE o.label = t.label) p {BY}",
    ),
    "a window over the group": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs c WHERE c.label = t.label QUALIFY row_number() OVER "
        f"(ORDER BY size) <= 5) p {BY}",
        faiss=None,
    ),
    "NaN as key": Query(
        f"SELECT t.id, p.id FROM (SELECT *, 'nan'::FLOAT f FROM task) t JOIN (SELECT * FROM "
        f"(SELECT *, 'nan'::FLOAT f FROM docs) c WHERE c.f = t.f) p {BY}",
    ),
    "a key with a collation": Query(
        "SELECT t.id, p.id FROM (SELECT *, label COLLATE NOCASE l FROM task) t JOIN (SELECT * FROM "
        f"(SELECT *, upper(label) COLLATE NOCASE l FROM docs) c WHERE c.l = t.l) p {BY}",
    ),
}
