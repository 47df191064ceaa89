"""clusters() in SQL: what it returns, its numbering, and that the order of rows does not matter."""

import itertools

import numpy as np
import polars as pl
import pytest

from curator import CuratorWarning, Workspace
from curator.errors import QueryError
from curator.functions import FUNCTIONS, clusters
from curator.nearest import Tools, rewrite
from curator.neighbours import cluster_tree
from curator.relation import Relation
from curator.session import Session
from curator.vectors import Vectors


def documents(vectors, ids=None, seed=None) -> Relation:
    """Documents of two corpora by turns, in order of their keys; shuffled when there is a seed."""
    matrix = np.asarray(vectors, np.float32)
    n = len(matrix)
    frame = pl.DataFrame(
        {"corpus": ["ab"[2 * i // max(n, 1)] for i in range(n)], "id": ids or [f"d{i:03}" for i in range(n)]},
        schema={"corpus": pl.String, "id": pl.String},
    )
    relation = Relation(frame, Vectors.of(matrix))
    return relation if seed is None else relation.take(np.random.default_rng(seed).permutation(n))


def by_key(table) -> dict:
    rows = table.to_pylist()
    found = {(row.pop("corpus"), row.pop("id")): row for row in rows}
    assert len(found) == len(rows)
    return found


def on_circle(*degrees) -> np.ndarray:
    radians = np.deg2rad(np.array(degrees, float))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_the_largest_cluster_comes_first_and_the_nearest_document_of_each():
    # Around 0 degrees two, around 90 three with the middle one nearest, around 200 two of which the first is earliest.
    relation = documents(on_circle(200, 90, 0, 84, 96, 0, 202))
    rows = clusters(relation, 3).to_pylist()
    assert [row["cluster"] for row in rows] == [1, 0, 2, 0, 0, 2, 1]
    assert [row["path"] for row in rows] == [[row["cluster"]] for row in rows]
    assert rows[1]["rank"] == 1
    assert [rows[2]["rank"], rows[5]["rank"]] == [1, 2]  # equal: the first by corpus and id
    assert rows[3]["similarity"] == pytest.approx(np.cos(np.deg2rad(6)), abs=1e-3)
    assert [(row["corpus"], row["id"]) for row in rows] == [*relation.frame.iter_rows()]
    assert clusters(relation, 3).column_names == ["corpus", "id", "cluster", "similarity", "rank", "path"]


def test_the_order_of_rows_does_not_matter():
    vectors = np.random.default_rng(0).normal(size=(300, 12))
    first = by_key(clusters(documents(vectors), 12, levels=[4, 2]))
    for seed in (1, 2):
        relation = documents(vectors, seed=seed)
        table = clusters(relation, 12, levels=[4, 2])
        assert table.select(["corpus", "id"]).to_pylist() == relation.frame.to_dicts()
        assert by_key(table) == first
    assert by_key(clusters(documents(vectors), 12, levels=[4, 2], seed=1)) != first


def test_numbers_are_by_size_then_first_key_at_every_level():
    vectors = np.random.default_rng(1).normal(size=(200, 6))
    rows = by_key(clusters(documents(vectors, seed=3), 20, levels=[6, 2]))
    tree = cluster_tree(Vectors.of(vectors), (20, 6, 2))
    for level, nodes in enumerate(reversed(tree.nodes)):
        members = [frozenset(np.flatnonzero(nodes == node).tolist()) for node in range(nodes.max() + 1)]
        expected = sorted(members, key=lambda group: (-len(group), min(group)))
        labels = np.array([rows[key]["path"][level] for key in sorted(rows)])
        assert [frozenset(np.flatnonzero(labels == label).tolist()) for label in range(len(members))] == expected
    for row in rows.values():
        assert row["path"][-1] == row["cluster"]
    for cluster in range(20):
        inside = sorted((row for row in rows.values() if row["cluster"] == cluster), key=lambda row: row["rank"])
        assert [row["rank"] for row in inside] == [*range(1, len(inside) + 1)]
        assert all(a["similarity"] >= b["similarity"] for a, b in itertools.pairwise(inside))


def test_resampling_reaches_the_tree():
    vectors = np.random.default_rng(2).normal(size=(300, 6))
    table = clusters(documents(vectors), 60, levels=[12], resampling=5)
    nodes = cluster_tree(Vectors.of(vectors), (60, 12), resampling=5).nodes
    assert sorted(np.bincount([row["path"][0] for row in table.to_pylist()])) == sorted(np.bincount(nodes[1]))
    assert table != clusters(documents(vectors), 60, levels=[12])


def test_zeros_and_repeats_are_told():
    vectors = np.concatenate([np.zeros((2, 2)), np.repeat(on_circle(0, 120, 240), 4, axis=0)])
    with pytest.warns(CuratorWarning) as told:
        rows = clusters(documents(vectors), 6, levels=[5, 2]).to_pylist()
    assert [str(warning.message) for warning in told] == [
        "clusters: 3 clusters instead of 6: the vectors have no more directions",
        "clusters: 3 clusters instead of 5: the vectors have no more directions",
        "clusters: 2 documents have a vector of zeros, which belongs to no cluster",
    ]
    assert [row["cluster"] for row in rows] == [None] * 2 + [0] * 4 + [1] * 4 + [2] * 4
    for row in rows[:2]:
        assert [row[name] for name in ("similarity", "rank", "path")] == [None] * 3


def test_no_documents_give_no_rows():
    table = clusters(documents(np.empty((0, 4))))
    assert (table.num_rows, table.column_names) == (0, ["corpus", "id", "cluster", "similarity", "rank", "path"])
    assert table.schema.equals(clusters(documents(np.eye(3)), 2).schema)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: clusters(r, 0), "k is 0; a whole number of at least 1"),
        (lambda r: clusters(r, 2.5), "k is 2.5; a whole number"),
        (lambda r: clusters(r), "k is 100, but only 5 of 5 rows"),
        (lambda r: clusters(r, 3, seed=-1), "seed is -1"),
        (lambda r: clusters(r, 3, levels=[2], resampling=-1), "resampling is -1"),
        (lambda r: clusters(r, 3, levels=3), r"levels is 3; a list of whole numbers is needed, like \[100, 10\]"),
        (lambda r: clusters(r, 3, levels=[2, 2]), r"levels is \[2, 2\], above k = 3; each must be less"),
        (lambda r: clusters(r, 3, levels=[4, 2]), r"levels is \[4, 2\], above k = 3; each must be less"),
        (lambda r: clusters(r, 3, levels=[2, 0]), "levels is 0; a whole number of at least 1"),
        (lambda r: clusters(r.with_frame(r.frame.drop("id")), 3), "needs a column 'id'; the relation has: corpus"),
        (lambda r: clusters(Relation(r.frame), 3), "no vectors"),
        (lambda r: clusters(documents(np.full((4, 2), np.nan)), 3), "clusters: a vector holds NaN"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(QueryError, match=message):
        call(documents(np.eye(5)))


def test_from_sql():
    vectors = np.random.default_rng(0).normal(size=(60, 5))
    tools = Tools({"pool": documents(vectors)}, FUNCTIONS)

    def sql(query, **parameters):
        return rewrite(Session(), query, parameters, tools).fetch()

    table = clusters(documents(vectors), 8, levels=[3], seed=2)
    nearest = sql(
        "SELECT id FROM clusters('pool', k := $k, levels := [3], seed := 2) "
        "QUALIFY row_number() OVER (PARTITION BY cluster ORDER BY similarity DESC) <= 2 ORDER BY id",
        k=8,
    )
    expected = sorted(row["id"] for row in table.to_pylist() if row["rank"] <= 2)
    assert nearest["id"].to_pylist() == expected
    sizes = sql("SELECT path[1] AS topic, count(*) AS n FROM clusters(pool, 8, levels := [3], seed := 2) GROUP BY ALL")
    paths = [row["path"][0] for row in table.to_pylist()]
    assert sorted(zip(*sizes.to_pydict().values(), strict=True)) == [(i, paths.count(i)) for i in range(3)]
    part = sql("SELECT * FROM clusters((SELECT id, embedding FROM pool WHERE corpus = 'a'), k := 4)")
    assert (part.num_rows, part.column_names[0]) == (30, "id")
    with pytest.raises(QueryError, match="k is 'x'; a whole number"):
        sql("SELECT * FROM clusters('pool', k := 'x')")


def test_a_corpus_of_a_workspace(tmp_path, toy):
    ws = Workspace(tmp_path / "work", encoder=toy)
    words = [["red", "green", "blue"], ["one", "two", "three"]]
    texts = [f"{a} {b} {c}" for group in words for a in group for b in group for c in group]
    ws.add("notes", pl.DataFrame({"text": texts}))
    rows = ws.sql("SELECT n.text, c.cluster FROM clusters('notes', k := 2) c JOIN notes n USING (id)")
    colours = {text.split()[0] in words[0]: set() for text in texts}
    for text, cluster in rows.iter_rows():
        colours[text.split()[0] in words[0]].add(cluster)
    assert sorted(map(sorted, colours.values())) == [[0], [1]]
