"""A budget poured down a tree, against the definition followed node by node in exact fractions."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.errors import QueryError
from curator.functions import clusters, tree
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run
from curator.vectors import Vectors

SESSION = Session()
HIERARCHY = Stage.load("hierarchy", Path())


def documents(paths: list[tuple[str, ...]]) -> pl.DataFrame:
    rows = [{"corpus": "c", "id": f"{i:03}", "previous_score": -float(i)} for i in range(len(paths))]
    schema = {"corpus": pl.String, "id": pl.String, "previous_score": pl.Float64}
    levels = [pl.Series(f"l{n}", [path[n] for path in paths], pl.String) for n in range(3)]
    return pl.DataFrame(rows, schema=schema).with_columns(levels)


def hierarchy(relation: Relation, **given) -> pl.DataFrame:
    return run(HIERARCHY, HIERARCHY.bind(given, 0), {"candidates": relation}, SESSION).frame


def share_out(total: int, sizes: dict[str, int], temperature: float) -> tuple[dict[str, int], dict[str, Fraction]]:
    """Whole and real parts: full branches are taken out one after another until no other is over its part."""
    pulls = {name: Fraction((n / max(sizes.values())) ** (1 / temperature)) for name, n in sizes.items()}
    real, open_ones, left = {}, set(sizes), Fraction(total)
    while open_ones:
        x = left / sum(pulls[name] for name in open_ones)
        full = [name for name in open_ones if x * pulls[name] >= sizes[name]]
        real |= {name: Fraction(sizes[name]) for name in full} or {name: x * pulls[name] for name in open_ones}
        open_ones = open_ones - set(full) if full else set()
        left = total - sum(real.values())
    rounded = {name: round(float(part), 6) for name, part in real.items()}
    whole = {name: int(part) for name, part in rounded.items()}
    for name in sorted(sizes, key=lambda name: (round(whole[name] - rounded[name], 6), name)):
        whole[name] += sum(whole.values()) < total
    return whole, real


def poured(paths: list[tuple[str, ...]], budget: int, temperature: float) -> dict[tuple[str, ...], int]:
    """The quota of each leaf; on the way, that each part is within one of the real one is checked."""
    if not paths[0]:
        return {(): budget}
    branches: dict[str, list[tuple[str, ...]]] = {}
    for first, *rest in paths:
        branches.setdefault(first, []).append(tuple(rest))
    whole, real = share_out(budget, {name: len(inner) for name, inner in branches.items()}, temperature)
    assert sum(whole.values()) == budget
    assert all(abs(whole[name] - real[name]) < 1 for name in whole)
    return {
        (name, *leaf): quota
        for name, inner in branches.items()
        for leaf, quota in poured(inner, whole[name], temperature).items()
    }


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    paths=st.lists(st.tuples(*[st.sampled_from("abc")] * 3), min_size=1, max_size=60),
    budget=st.integers(1, 70),
    temperature=st.sampled_from([1.0, 2.0, float("inf")]),
)
def test_quotas_are_what_the_definition_says(paths, budget, temperature):
    relation = Relation(documents(paths))
    got = hierarchy(relation, budget=budget, levels="l0, l1, l2", order="score", temperature=temperature)
    wanted = poured(paths, min(budget, len(paths)), temperature)
    seen: dict[tuple[str, ...], int] = {}
    for path, keep, rank, threshold in zip(paths, got["keep"], got["rank"], got["threshold"], strict=True):
        seen[path] = seen.get(path, 0) + 1  # documents come in the order of their scores
        assert (rank, threshold, keep) == (seen[path], wanted[path], seen[path] <= wanted[path])
    assert got["keep"].sum() == min(budget, len(paths))


def some(n: int, zeros: int = 0) -> Relation:
    vectors = np.random.default_rng(n).normal(size=(n, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:zeros] = 0
    return Relation(documents([("a", "b", "c")] * n), Vectors.of(vectors))


def test_a_tree_of_clusters_is_poured_into_and_the_nearest_to_a_centroid_stay():
    relation = some(90)
    found = pl.DataFrame(clusters(relation, 8, levels=[3]))
    paths = [tuple(map(str, path)) for path in found["path"]]
    got = hierarchy(relation, budget=31, clusters="8, 3")
    wanted = poured(paths, 31, float("inf"))
    keep = [rank <= wanted[path] for path, rank in zip(paths, found["rank"], strict=True)]
    assert got["keep"].to_list() == keep
    assert np.allclose(got["score"], found["similarity"])
    drawn = hierarchy(relation, budget=31, clusters="8, 3", order="random")
    assert drawn["threshold"].to_list() == got["threshold"].to_list()
    assert drawn["keep"].to_list() != keep
    below = hierarchy(relation, budget=31, levels="l0", clusters="8, 3")
    assert below["keep"].to_list() == keep


def test_documents_without_a_direction_are_a_branch_of_their_own():
    with pytest.warns(UserWarning, match="4 documents have a vector of zeros"):
        got = hierarchy(some(20, zeros=4), budget=6, clusters="2")
    assert got["threshold"][:4].to_list() == [2] * 4
    assert got["keep"][:4].sum() == 2
    assert set(got["rule"][:4].drop_nulls()) == {"over the quota of no direction"}


def test_without_clusters_no_vector_is_looked_at():
    def load(rows):
        if len(rows):
            raise AssertionError("embedded")
        return Vectors.of(np.empty((0, 2), np.float32))

    relation = Relation(documents([("a", "b", "c")] * 3), load=load)
    assert hierarchy(relation, budget=2, levels="l0")["keep"].sum() == 2
    assert pl.DataFrame(tree(relation))["path"].to_list() == [[], [], []]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "hierarchy needs levels or clusters to make a tree of"),
        ({"clusters": "many"}, r"tree\(… counts\) takes a constant: .*Could not convert string 'many'"),
        ({"clusters": "0"}, "k is 0; a whole number of at least 1 is needed"),
        ({"clusters": "2, 4"}, r"levels is \[4\], above k = 2"),
        ({"clusters": "50"}, "50"),
    ],
)
def test_trees_that_cannot_be_are_named(given, message):
    with pytest.raises(QueryError, match=message):
        hierarchy(some(20), budget=3, **given)


def test_a_tree_needs_counts():
    with pytest.raises(QueryError, match=r"counts is \[\]; numbers of clusters are needed, like \[1000, 100, 10\]"):
        tree(some(5), [])
