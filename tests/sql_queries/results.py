"""What a query says around the join: names, select lists, the score used again, parameters."""

from sql_oracle import Query

from sql_queries.words import BY, IP, PAIRS

NAMES = {
    "no aliases": Query(
        "SELECT task.id, docs.id FROM task JOIN docs EXACT NEAREST 2 BY SIMILARITY "
        "array_inner_product(task.embedding, docs.embedding)"
    ),
    "quoted aliases": Query(
        'SELECT "q""t".id, "🎈 b".id AS "é ü" FROM task "q""t" JOIN docs "🎈 b" EXACT NEAREST 2 BY SIMILARITY '
        'array_inner_product("q""t".embedding, "🎈 b".embedding)'
    ),
    "reserved words": Query(
        'SELECT "select".id, "from".id AS "where" FROM task "select" JOIN docs "from" EXACT NEAREST 2 BY SIMILARITY '
        'array_inner_product("select".embedding, "from".embedding)'
    ),
    "aliases that differ beyond ascii": Query(
        'SELECT "É".id, "e".id FROM task "É" JOIN docs "e" EXACT NEAREST 2 BY SIMILARITY '
        'array_inner_product("É".embedding, "e".embedding)'
    ),
    "quoted columns": Query(
        'SELECT t.id, p.id FROM (SELECT id, embedding AS "Véc ""1" FROM task) t JOIN docs p EXACT NEAREST 2 BY '
        "SIMILARITY "
        'array_inner_product(t."Véc ""1", p.embedding)'
    ),
    "column aliases on the left": Query(
        "SELECT t.a, p.id FROM task AS t(a, b, c, d, e, f, g, h, i, v) JOIN docs p EXACT NEAREST 2 BY SIMILARITY "
        "array_inner_product(t.v, p.embedding)"
    ),
    "column aliases on the right": Query(
        "SELECT t.id, p.b FROM task t JOIN (SELECT id, embedding FROM docs) AS p(b, v) EXACT NEAREST 2 BY SIMILARITY "
        "array_inner_product(t.embedding, p.v)"
    ),
    "accents and emoji": Query(
        f"SELECT t.größe AS ü, 'déjà 🎈 ≥' AS \"🎈\", p.text AS é {PAIRS} WHERE p.text LIKE 'déjà%🎈' OR p.größe > 9"
    ),
    "accents in a filter before": Query(
        f"SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs WHERE text LIKE '%🎈' AND größe < 11) p {BY}"
    ),
    "comments": Query(
        "SELECT t.id /* NEAREST 3 */, p.id, 'NEAREST $z' AS q -- NEAREST $z\n"
        f"FROM task t JOIN docs p EXACT NEAREST /* NEAREST $z */ 2 -- é 🎈\n BY SIMILARITY {IP} -- done"
    ),
    "aliases that are other tables' names": Query(
        "SELECT docs.id, task.id FROM task docs JOIN docs task EXACT NEAREST 2 BY SIMILARITY "
        "array_inner_product(docs.embedding, task.embedding)"
    ),
    "results named as the sides": Query(f"SELECT t.id AS p, p.id AS q {PAIRS} ORDER BY p, q", ordered=True),
    "distinct results named as the sides": Query(
        f"SELECT DISTINCT ON (p) t.id AS P, p.id AS t {PAIRS} ORDER BY p, T DESC", ordered=True
    ),
    "a score named as a side": Query(f"SELECT {IP} AS p, p.id {PAIRS} ORDER BY p DESC LIMIT 5", ordered=True),
    "a result named as a side, and the row": Query(f"SELECT t.id AS p {PAIRS} WHERE p IS NOT NULL", faiss=0, duckdb=1),
    "a lambda's parameters named as the sides": Query(
        f"SELECT t.id, list_transform(p.tags, lambda t, p: t || p) {PAIRS}"
    ),
    "a column named as a side": Query(
        "SELECT p, (SELECT p + 1) AS n, p.id FROM (SELECT size AS p, embedding FROM task) t "
        f"JOIN docs p {BY} WHERE p > 3 ORDER BY p, p.id",
        ordered=True,
    ),
    "a column of a third table named as a side": Query(
        f"SELECT p, p.id {PAIRS} JOIN (SELECT size AS p FROM grid) g ON g.p = p.size"
    ),
    "table functions named as their columns": Query(
        "SELECT range, generate_series FROM range(4) JOIN generate_series(0, 6) EXACT NEAREST 2 BY DISTANCE "
        "array_distance([range, 0]::FLOAT[2], [generate_series + 0.1, 0]::FLOAT[2])"
    ),
    "results named as columns": Query(f"SELECT t.id AS label, {IP} AS size {PAIRS} WHERE p.size > 3"),
    "unnamed results": Query(
        f"SELECT {IP}, {IP} > 1, t.size + 1, upper(t.id), t.size::INT, [1, 2], {{'a': 1}}, t.tags[1], t.info.lang, "
        "current_date, 'it''s', 1.5, NULL, -t.size, t.size BETWEEN 1 AND 3, t.id IN ('a'), t.label IS NULL, "
        "t.id LIKE 'a%', (SELECT 1), t.id || p.id, t.tags[1:2], CASE t.size WHEN 1 THEN 'a' ELSE 'b' END, "
        f"len(t.tags), t.embedding[1], list_transform(t.tags, lambda x: x || 'a'), round({IP}) {PAIRS}"
    ),
}

RESULTS = {
    "star": Query(f"SELECT * {PAIRS}"),
    "star of the left": Query(f"SELECT t.*, p.id {PAIRS}"),
    "star of the right": Query(f"SELECT p.*, {IP} {PAIRS}"),
    "star with exclude": Query(f"SELECT * EXCLUDE (embedding, size) {PAIRS}"),
    "star with replace": Query(f"SELECT t.* REPLACE (t.size + 1 AS size), p.* EXCLUDE (embedding) {PAIRS}"),
    "star with rename": Query(f"SELECT p.* RENAME (id AS pid) {PAIRS}"),
    "star like": Query(f"SELECT * LIKE '%i%' {PAIRS}"),
    "columns star": Query(f"SELECT COLUMNS(*) {PAIRS}"),
    "columns by a pattern": Query(f"SELECT COLUMNS('i|row') {PAIRS}", faiss=0, duckdb=1),
    "columns by a lambda": Query(f"SELECT COLUMNS(lambda c: c LIKE '%i%') {PAIRS}", faiss=0, duckdb=1),
    "columns in a condition": Query(f"SELECT t.id, p.id {PAIRS} WHERE COLUMNS(t.* EXCLUDE (split, label)) IS NOT NULL"),
    "an aggregate of columns": Query(f"SELECT min(COLUMNS(p.*)) {PAIRS}"),
    "a whole row": Query(f"SELECT t.id, p {PAIRS}", faiss=0, duckdb=1),
    "a whole row in a condition of another join": Query(
        f"SELECT t.id, p.id, g.id {PAIRS} JOIN grid g ON g.size = length(p::VARCHAR) % 40", faiss=0, duckdb=1
    ),
    "a whole row in a function": Query(f"SELECT t.id, to_json(p) {PAIRS}", faiss=0, duckdb=1),
    "unnested columns": Query(f"SELECT unnest(t.info), unnest(p.tags), p.id {PAIRS}"),
    "score in where": Query(f"SELECT t.id, p.id, {IP} AS s {PAIRS} WHERE s >= 1.5"),
    "score in where, written out": Query(f"SELECT t.id, p.id {PAIRS} WHERE {IP} BETWEEN 1.5 AND 4 OR NOT {IP} > 2"),
    "score in order by": Query(f"SELECT t.id, p.id {PAIRS} ORDER BY {IP} DESC, 1, 2", ordered=True),
    "score in order by, by its name": Query(
        f"SELECT t.id, p.id, {IP} AS s {PAIRS} ORDER BY s DESC, t.id LIMIT 7 OFFSET 3", ordered=True
    ),
    "order by all": Query(f"SELECT t.id, p.id {PAIRS} ORDER BY ALL LIMIT 5 OFFSET 2", ordered=True),
    "qualify": Query(f"SELECT t.id, p.id {PAIRS} QUALIFY row_number() OVER (PARTITION BY p.id ORDER BY {IP} DESC) = 1"),
    "windows": Query(
        f"SELECT t.id, p.id, rank() OVER (PARTITION BY t.id ORDER BY {IP} DESC), {IP} - max({IP}) OVER (PARTITION BY "
        "p.id), "
        f"lag({IP}) OVER (PARTITION BY t.id ORDER BY {IP}) {PAIRS}"
    ),
    "group by": Query(
        f"SELECT p.source, count(*), max({IP}), avg({IP}) {PAIRS} GROUP BY p.source HAVING max({IP}) > 1"
    ),
    "group by the score": Query(f"SELECT round({IP}) AS r, count(*) {PAIRS} GROUP BY round({IP})"),
    "group by a place": Query(f"SELECT {IP} > 2, count(*) {PAIRS} GROUP BY 1"),
    "group by all": Query(f"SELECT t.id, p.id, {IP} AS s, count(*) {PAIRS} GROUP BY ALL"),
    "group by the vectors": Query(
        f"SELECT {IP} AS s, count(*) {PAIRS} GROUP BY t.embedding, p.embedding", faiss=0, duckdb=1
    ),
    "rollup": Query(f"SELECT t.label, p.label, max({IP}) s, count(*) {PAIRS} GROUP BY ROLLUP (t.label, p.label)"),
    "grouping sets of the score": Query(f"SELECT t.id, {IP} {PAIRS} GROUP BY GROUPING SETS ((t.id, {IP}), (t.id))"),
    "ordered aggregates": Query(
        f"SELECT t.id, list(p.id ORDER BY {IP} DESC), sum({IP}) FILTER (WHERE {IP} > 1), arg_max(p.id, {IP}) {PAIRS} "
        "GROUP BY t.id"
    ),
    "an aggregate of all": Query(f"SELECT count(*), sum({IP}), count(DISTINCT p.id) {PAIRS}"),
    "case": Query(f"SELECT t.id, p.id, CASE WHEN {IP} > 2 THEN 'near' WHEN p.size > 9 THEN p.id END AS c {PAIRS}"),
    "arithmetic": Query(f"SELECT t.id, p.id, 1 - {IP} / 2 AS d, sqrt(abs({IP})), {IP}::DOUBLE {PAIRS}"),
    "distinct": Query(f"SELECT DISTINCT t.label, p.source {PAIRS}"),
    "distinct on": Query(f"SELECT DISTINCT ON (t.id) t.id, p.id {PAIRS} ORDER BY t.id, {IP} DESC", ordered=True),
    "score in a subquery of the select": Query(f"SELECT t.id, p.id, (SELECT {IP} + 1) AS s {PAIRS}"),
    "another measure of the same pair": Query(
        f"SELECT t.id, p.id, {IP}, array_distance(t.embedding, p.embedding) AS d {PAIRS} ORDER BY d, 1", ordered=True
    ),
}

PARAMETERS = {
    "count": Query(
        f"SELECT t.id, p.id, $k AS k FROM task t JOIN docs p EXACT NEAREST $k BY SIMILARITY {IP}", parameters={"k": 4}
    ),
    "count after accents and a comment": Query(
        f"SELECT 'é≥🎈' AS ü, p.id FROM task t JOIN docs p EXACT NEAREST /* € */ $k BY SIMILARITY {IP}",
        parameters={"k": 2},
    ),
    "two counts": Query(
        f"SELECT t.id, p.id FROM task t JOIN docs p EXACT NEAREST $k BY SIMILARITY {IP} UNION ALL "
        f"SELECT t.id, p.id FROM task t JOIN docs p EXACT NEAREST $größe BY SIMILARITY {IP}",
        faiss=2,
        parameters={"k": 2, "größe": 5},
    ),
    "threshold": Query(
        f"SELECT t.id, p.id, {IP} AS s {PAIRS} WHERE s >= $floor AND p.source = $source",
        parameters={"floor": 0.5, "source": "x"},
    ),
    "threshold outside": Query(
        f"SELECT *, $floor AS f FROM (SELECT t.id, {IP} AS s {PAIRS}) WHERE s > $floor", parameters={"floor": 1.5}
    ),
    "in both sides": Query(
        "SELECT t.id, p.id FROM (SELECT * FROM task WHERE size IN $sizes) t JOIN "
        f"(SELECT * FROM docs WHERE source = $source AND size > $least) p {BY}",
        parameters={"sizes": [1, 2, 3], "source": "x", "least": 9},
    ),
    "a vector": Query(
        "SELECT p.id, array_inner_product(t.v, p.embedding) s FROM (SELECT $q::FLOAT[6] AS v) t JOIN docs p "
        "EXACT NEAREST 4 BY SIMILARITY array_inner_product(t.v, p.embedding)",
        parameters={"q": [1.0, 0.0, 2.0, 0.0, 0.0, -1.0]},
    ),
    "a vector in the ranking": Query(
        "SELECT p.id FROM (SELECT 1) t JOIN docs p EXACT NEAREST 4 BY SIMILARITY "
        "array_inner_product($q::FLOAT[6], p.embedding)",
        parameters={"q": [1.0, 0.0, 2.0, 0.0, 0.0, -1.0]},
    ),
    "in a dollar-quoted text": Query(f"SELECT t.id, $$ NEAREST $k $$ AS a, $b$ $k $b$ AS b {PAIRS}"),
}
