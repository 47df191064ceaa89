"""Planners that are wrong in one thing each, and the queries of the suite that say so.

Each mutant replaces what the planner uses at one place: ``neighbours.nearest`` (the exact search), or one name of
``nearest.planner``, ``nearest.sides``, ``nearest.ranking`` and ``nearest.tree``.
"""

from dataclasses import replace

import numpy as np
import pytest
from sql_oracle import Oracle, corpora
from sql_queries import QUERIES

from curator import neighbours
from curator.nearest import planner, ranking, sides, tree
from curator.neighbours import Edges
from curator.vectors import Vectors

nearest = neighbours.nearest
DOCS = corpora()["docs"]


def wrong_sign(left, right, k, **metric):
    return nearest(Vectors.of(-left.matrix()), right, k, **metric)


def one_neighbour_less(left, right, k, **metric):
    edges = nearest(left, right, k, **metric)
    return kept(edges, (edges.rank < k) | (edges.rank == 1))


def shifted_rank(left, right, k, **metric):
    edges = nearest(left, right, k + 1, **metric)
    return kept(edges, edges.rank > 1)


def swapped_sides(left, right, k, **metric):
    edges = nearest(right, left, k, **metric)
    return Edges(edges.right, edges.left, edges.score, edges.rank)


def left_rows_reversed(left, right, k, **metric):
    return nearest(left.take(np.arange(len(left))[::-1]), right, k, **metric)


def filtered_after_the_search(left, right, k, **metric):
    """Search all of ``docs``, then drop what the filter would have taken out before."""
    edges = nearest(left, Vectors.of(DOCS), k, **metric)
    place = {row.tobytes(): i for i, row in enumerate(right.matrix())}
    found = np.array([place.get(DOCS[i].tobytes(), -1) for i in edges.right], np.int64)
    return kept(Edges(edges.left, found, edges.score, edges.rank), found >= 0)


def score_of_another_pair(left, right, k, **metric):
    edges = nearest(left, right, k, **metric)
    return Edges(edges.left, edges.right, np.roll(edges.score, 1), edges.rank)


def last_block_skipped(left, right, k, **metric):
    """As an approximate search that does not look everywhere."""
    return nearest(left, right.take(np.arange(len(right) * 9 // 10 or 1)), k, **metric)


def kept(edges, keep):
    return Edges(edges.left[keep], edges.right[keep], edges.score[keep], edges.rank[keep])


def positions_without_nulls(*arguments, evaluate=planner.evaluate):
    side = evaluate(*arguments)
    return replace(side, positions=np.arange(len(side.positions), dtype=np.int64))


def zeros_for_nulls(*arguments, evaluate=planner.evaluate):
    side = evaluate(*arguments)
    filled = np.zeros((side.rows, side.dimension()), np.float32)
    filled[side.positions] = side.load().matrix()
    return replace(side, load=lambda: Vectors.of(filled), positions=np.arange(side.rows, dtype=np.int64))


def keys_dropped(table, outer, correlation=planner.correlation):
    correlation(table, outer)
    return set(), sides.Keys()


def raw_score(_ranking, score):
    return score


def inner_for_left(builder, left, right, edges, _kind, edge_join=tree.Builder.edge_join):
    return edge_join(builder, left, right, edges, "INNER")


MUTANTS = {
    wrong_sign: (neighbours, "nearest", ("place: plain", "side: values on both sides", "edge: ties, 7 by distance")),
    one_neighbour_less: (neighbours, "nearest", ("place: plain", "edge: k is the rows", "correlated: same label")),
    shifted_rank: (neighbours, "nearest", ("place: without a count", "edge: ties, 1 by inner_product", "result: star")),
    swapped_sides: (neighbours, "nearest", ("place: plain", "side: filtered right side", "edge: one row on the left")),
    left_rows_reversed: (neighbours, "nearest", ("place: plain", "edge: ties, 7 by distance", "parameter: threshold")),
    filtered_after_the_search: (
        neighbours,
        "nearest",
        ("side: filtered right side", "correlated: same label", "parameter: in both sides"),
    ),
    score_of_another_pair: (
        neighbours,
        "nearest",
        ("place: plain", "result: score in where", "result: ordered aggregates", "edge: each vector twice"),
    ),
    last_block_skipped: (neighbours, "nearest", ("place: plain", "edge: k over the rows", "side: a distinct side")),
    positions_without_nulls: (planner, "evaluate", ("edge: NULL vectors", "edge: NULL vectors, left join")),
    zeros_for_nulls: (planner, "evaluate", ("edge: NULL vectors, left join", "edge: fewer vectors than k")),
    keys_dropped: (planner, "correlation", ("correlated: same label", "correlated: two keys and a filter")),
    raw_score: (
        ranking.Ranking,
        "value",
        (
            "ranking: distance array_negative_inner_product(t.embedding, p.embedding)",
            "ranking: distance array_inner_product(t.embedding, p.embedding)",
            "edge: ties, 7 by cosine_distance",
        ),
    ),
    inner_for_left: (tree.Builder, "edge_join", ("edge: empty right, left join", "edge: NULL vectors, left join")),
}


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    return Oracle(tmp_path_factory.mktemp("mutants"))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_suite_finds_the_mutant(oracle, monkeypatch, mutant):
    owner, name, queries = MUTANTS[mutant]
    for query in queries:
        oracle.check(QUERIES[query])
    monkeypatch.setattr(owner, name, mutant)
    for query in queries:
        with pytest.raises(AssertionError):
            oracle.check(QUERIES[query])
