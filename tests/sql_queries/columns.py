"""What a query reads of a corpus: columns that it names, and those that it looks at without naming them."""

from sql_oracle import Query

from sql_queries.words import BY, PAIRS

COLUMNS = {
    # without a NEAREST join, over the corpora alone
    "none": Query("SELECT count(*) FROM docs", 0),
    "by place": Query("SELECT #1, #6 FROM docs", 0),
    "in another case": Query('SELECT ID, "Größe" FROM docs', 0),
    "a field of a struct": Query("SELECT info.lang, d.info.n FROM docs d", 0),
    "a whole row": Query("SELECT d FROM (SELECT * EXCLUDE embedding FROM docs) d", 0),
    "a whole row by the name of its table": Query("SELECT one.id, (one).size FROM one", 0),
    "a count of whole rows": Query("SELECT count(d) FROM docs d", 0),
    "renamed by place": Query("SELECT b, f FROM docs AS d(a, b, c, d, e, f)", 0),
    "of one side only": Query("SELECT t.size, p.id FROM task t JOIN docs p ON t.id = p.id", 0),
    "NATURAL": Query(
        "SELECT size FROM (SELECT id, size FROM task) NATURAL JOIN (SELECT id, label FROM docs)", 0
    ),
    "NATURAL over corpora": Query(
        "SELECT count(*) FROM (SELECT * EXCLUDE (embedding, split, label) FROM task) t NATURAL JOIN one", 0
    ),
    "USING": Query("SELECT t.label FROM task t JOIN docs p USING (id, size)", 0),
    "PIVOT": Query(
        "SELECT x, y FROM docs PIVOT (count(*) FOR source IN ('x' AS x, 'y' AS y) GROUP BY label) ORDER BY x, y", 0
    ),
    "UNPIVOT": Query(
        "SELECT name, value FROM (SELECT id, label, source FROM docs) UNPIVOT (value FOR name IN (label, source))", 0
    ),
    "DESCRIBE": Query("SELECT column_name FROM (DESCRIBE docs)", 0),
    "SUMMARIZE": Query("SELECT column_name, null_percentage FROM (SUMMARIZE docs)", 0),
    "query_table": Query("SELECT size FROM query_table('docs')", 0),
    "query_table without quotes": Query("SELECT size FROM query_table(docs)", 0),
    "query_table of several": Query("SELECT size, label FROM query_table([docs, 'task'])", 0),
    "query": Query("SELECT size, label FROM query('SELECT * EXCLUDE embedding FROM docs')", 0),
    "of a subquery in a list": Query("SELECT [(SELECT max(size) FROM docs), t.size] AS both FROM task t", 0),
    "an outer one": Query(
        "SELECT t.id FROM task t WHERE EXISTS (SELECT 1 FROM docs p WHERE p.label = t.label AND p.size > t.size + 40)",
        0,
    ),
    "of a lambda": Query("SELECT list_transform(tags, lambda x: x || label) AS made FROM docs", 0),
    "of a window": Query(
        "SELECT id, row_number() OVER (PARTITION BY source ORDER BY größe DESC) AS n FROM docs QUALIFY n < 3", 0
    ),
    "of a table macro": Query(
        "SELECT id FROM sized(40)", 0, setup=("CREATE MACRO sized(n) AS TABLE SELECT * FROM docs WHERE size > n",)
    ),
    "of a view": Query(
        "SELECT id FROM large", 0, setup=("CREATE VIEW large AS SELECT * EXCLUDE embedding FROM docs WHERE size > 40",)
    ),
    # with one
    "none of a NEAREST join": Query(f"SELECT count(*) {PAIRS}"),
    "a whole row beside a NEAREST join": Query(
        f"SELECT t.id, p.id, o {PAIRS} JOIN (SELECT id, size FROM docs) o ON o.id = p.id"
    ),
    "in the filter of a side": Query(
        "SELECT t.id, p.id FROM task t JOIN (SELECT * FROM docs WHERE größe > 3 AND info.lang = 'en') p "
        f"{BY}"
    ),
    "of a macro beside a NEAREST join": Query(
        f"SELECT t.id, p.id, pair(t.label, p.label) AS labels {PAIRS}",
        setup=("CREATE MACRO pair(one, other) AS one || '-' || other",),
    ),
}  # fmt: skip
