"""Centroids against numpy's mean of unit vectors."""

import numpy as np
import polars as pl
import pytest

from curator.errors import QueryError
from curator.functions import centroids
from curator.relation import Relation
from curator.vectors import Vectors


def relation(matrix, labels):
    frame = pl.DataFrame({"id": [str(i) for i in range(len(matrix))], "label": labels})
    return Relation(frame, Vectors.of(np.asarray(matrix, np.float32)))


def test_centroids_are_the_mean_directions_of_their_groups():
    matrix = np.random.default_rng(0).normal(size=(50, 7)) * np.random.default_rng(1).uniform(0.1, 9, size=(50, 1))
    labels = [None if i % 7 == 3 else "abc"[i % 3] for i in range(50)]
    found = pl.DataFrame(centroids(relation(matrix, labels), by="label"))
    assert found["centroid"].to_list() == [None, "a", "b", "c"]
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    for label, documents, embedding in found.iter_rows():
        mine = [own == label for own in labels]
        mean = unit[mine].mean(axis=0)
        assert documents == sum(mine)
        np.testing.assert_allclose(embedding, mean / np.linalg.norm(mean), atol=1e-6)


def test_one_centroid_of_all_and_none_of_nothing():
    rows = relation([[1, 0], [0, 2], [-1, 0], [0, -1]], list("aabb"))
    everything = pl.DataFrame(centroids(rows)).row(0)
    assert everything[:2] == (None, 4)
    assert list(everything[2]) == [0, 0]  # the directions cancel out
    assert pl.DataFrame(centroids(rows.take([]))).is_empty()


def test_bad_requests_are_refused():
    rows = relation([[1, 0]], ["a"])
    with pytest.raises(QueryError, match="by is 'topic'"):
        centroids(rows, by="topic")
    with pytest.raises(QueryError, match="no vectors"):
        centroids(Relation(rows.frame))
