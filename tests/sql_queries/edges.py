"""Ties, zero and NULL vectors, empty sides, k over the rows, and numbers at the edge of their precision."""

from sql_oracle import Query, Ties

from sql_queries.words import BY, IP


def _zeros(name: str, order: str) -> Query:
    call = f"array_{name}(t.embedding, p.embedding)"
    left_to_duckdb = "cosine" in name or (name, order) == ("distance", "SIMILARITY")
    return Query(
        f"SELECT t.id AS t_id, p.id AS p_id, {call} AS s FROM zeros t JOIN zeros p EXACT NEAREST 4 BY {order} {call}",
        faiss=int(not left_to_duckdb),
        duckdb=int(left_to_duckdb),
        ties=Ties(name, "zeros", "zeros"),
    )


BEST_FIRST = {
    "inner_product": "SIMILARITY",
    "cosine_similarity": "SIMILARITY",
    "cosine_distance": "DISTANCE",
    "distance": "DISTANCE",
}
EDGES = (
    {
        f"ties, {k} by {name}": Query(
            f"SELECT t.id AS t_id, p.id AS p_id, array_{name}(t.embedding, p.embedding) AS s FROM grid t JOIN grid p "
            f"EXACT NEAREST {k} BY {order} array_{name}(t.embedding, p.embedding)",
            ties=Ties(name, "grid", "grid"),
        )
        for k in (1, 7)
        for name, order in BEST_FIRST.items()
    }
    | {
        f"zero vectors by {order.lower()} {name}": _zeros(name, order)
        for name in BEST_FIRST
        for order in ("SIMILARITY", "DISTANCE")
    }
    | {
        "ties within a group": Query(
            f"SELECT t.id AS t_id, p.id AS p_id, {IP} AS s FROM task t JOIN (SELECT * FROM grid c WHERE c.source = "
            "t.source) p "
            f"EXACT NEAREST 6 BY SIMILARITY {IP}",
            ties=Ties("inner_product", "task", "grid"),
        ),
        "each vector twice": Query(
            f"SELECT t.id AS t_id, p.id AS p_id, {IP} AS s FROM unit t JOIN unit p {BY}",
            ties=Ties("inner_product", "unit", "unit"),
        ),
        "k over the rows": Query(f"SELECT t.id, p.id FROM task t JOIN docs p EXACT NEAREST 500 BY SIMILARITY {IP}"),
        "k is the rows": Query(f"SELECT t.id, p.id FROM task t JOIN docs p EXACT NEAREST 60 BY SIMILARITY {IP}"),
        "k far over the rows, by distance": Query(
            "SELECT t.id, p.id, t.embedding <-> p.embedding FROM task t JOIN one p EXACT NEAREST 99999999999 "
            "BY DISTANCE t.embedding <-> p.embedding"
        ),
        "one row on the left": Query(f"SELECT t.id, p.id FROM one t JOIN docs p {BY}"),
        "one row on both sides": Query(
            f"SELECT t.id, p.id FROM one t JOIN (SELECT * FROM docs LIMIT 1 OFFSET 3) p {BY}"
        ),
        "empty left": Query(f"SELECT t.id, p.id, {IP} FROM (SELECT * FROM task WHERE false) t JOIN docs p {BY}"),
        "empty right": Query(f"SELECT t.id, p.id, {IP} FROM task t JOIN (SELECT * FROM docs WHERE size < 0) p {BY}"),
        "empty right, left join": Query(
            f"SELECT t.id, p.id, {IP} AS s FROM task t LEFT JOIN (SELECT * FROM docs WHERE size < 0) p {BY}"
        ),
        "empty left, left join": Query(f"SELECT t.id, p.* FROM (SELECT * FROM task LIMIT 0) t LEFT JOIN docs p {BY}"),
        "both empty": Query(
            f"SELECT count(*), max({IP}) FROM (SELECT * FROM task LIMIT 0) t JOIN (SELECT * FROM docs LIMIT 0) p {BY}"
        ),
        "NULL vectors": Query(
            "SELECT t.id, p.id, array_inner_product(t.v, p.v) s FROM (SELECT id, CASE WHEN size > 4 THEN embedding "
            "END v "
            "FROM task) t JOIN (SELECT id, CASE WHEN size % 2 = 0 THEN embedding END v FROM docs) p "
            "EXACT NEAREST 2 BY SIMILARITY array_inner_product(t.v, p.v)"
        ),
        "NULL vectors, left join": Query(
            "SELECT t.id, p.id, array_distance(t.v, p.v) s FROM (SELECT id, CASE WHEN size > 4 THEN embedding END v "
            "FROM task) t LEFT JOIN (SELECT id, CASE WHEN size % 2 = 0 THEN embedding END v FROM docs) p "
            "EXACT NEAREST 2 BY DISTANCE array_distance(t.v, p.v)"
        ),
        "fewer vectors than k": Query(
            "SELECT t.id, p.id FROM task t JOIN (SELECT id, CASE WHEN size < 2 THEN embedding END v FROM docs) p "
            "EXACT NEAREST 4 BY DISTANCE array_distance(t.embedding, p.v)"
        ),
        "only NULL vectors": Query(
            "SELECT t.id, p.id FROM task t LEFT JOIN (SELECT id, NULL::FLOAT[6] v FROM docs) p "
            "EXACT NEAREST 4 BY DISTANCE array_distance(t.embedding, p.v)"
        ),
        "NaN in a vector": Query(
            "SELECT t.id, p.id FROM task t JOIN (SELECT id, CASE WHEN size = 7 THEN ['nan'::FLOAT, 0, 0, 0, 0, "
            "0]::FLOAT[6] "
            "ELSE embedding END v FROM docs) p EXACT NEAREST 4 BY SIMILARITY array_inner_product(t.embedding, p.v)",
            faiss=0,
            duckdb=1,
        ),
        "infinity in a vector": Query(
            "SELECT t.id, p.id FROM task t JOIN (SELECT id, CASE WHEN size = 7 THEN ['inf'::FLOAT, 1, 1, 1, 1, "
            "1]::FLOAT[6] "
            "ELSE embedding END v FROM docs) p EXACT NEAREST 4 BY SIMILARITY array_inner_product(t.embedding, p.v)",
            faiss=0,
            duckdb=1,
        ),
        "vectors far from the origin": Query(
            "SELECT t.id, p.id, array_distance(t.v, p.v) FROM (SELECT id, list_transform(embedding::FLOAT[], lambda "
            "x: 100 + "
            "x / 9)::FLOAT[6] v FROM task) t JOIN (SELECT id, list_transform(embedding::FLOAT[], lambda x: 100 + x / 9)"
            "::FLOAT[6] v FROM docs) p EXACT NEAREST 3 BY DISTANCE array_distance(t.v, p.v)"
        ),
        "near duplicates by distance": Query(
            "SELECT t.id AS t_id, p.id AS p_id, array_distance(t.embedding, p.embedding) AS s FROM cluster t JOIN "
            "cluster p "
            "EXACT NEAREST 5 BY DISTANCE array_distance(t.embedding, p.embedding)",
            ties=Ties("distance", "cluster", "cluster"),
        ),
        "a cosine is at most 1": Query(
            "SELECT t.id, round(max(acos(array_cosine_similarity(t.embedding, p.embedding))), 2) FROM docs t JOIN "
            "docs p "
            "EXACT NEAREST 1 BY SIMILARITY array_cosine_similarity(t.embedding, p.embedding) GROUP BY t.id"
        ),
        "a cosine distance is at least 0": Query(
            "SELECT count(*) FILTER (WHERE array_cosine_distance(t.embedding, p.embedding) < 0) n FROM docs t JOIN "
            "docs p "
            "EXACT NEAREST 1 BY DISTANCE array_cosine_distance(t.embedding, p.embedding)"
        ),
    }
)
