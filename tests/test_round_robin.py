"""Round-robin against the greedy choice as it is told, and the lists that it takes from against all true scores."""

import importlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.errors import CuratorWarning, QueryError
from curator.functions import FUNCTIONS, round_robin
from curator.functions._partners import first
from curator.nearest import Tools, rewrite
from curator.relation import Relation
from curator.session import Session
from curator.vectors import Vectors

MODULE = importlib.import_module("curator.functions.round_robin")  # the package has the function by that name


@pytest.fixture
def short_lists(monkeypatch):
    """A few candidates take several searches."""
    monkeypatch.setattr(MODULE, "SHORTEST", 1)
    monkeypatch.setattr(MODULE, "HELD", 6)


def documents(name, vectors, labels=None, *, seed=0):
    """Vectors in two corpora by turns, their rows shuffled."""
    n = len(vectors)
    frame = pl.DataFrame(
        {
            "corpus": [f"{name}{i % 2}" for i in range(n)],
            "id": [f"d{i:03}" for i in range(n)],
            "label": labels or ["a"] * n,
        },
        schema={"corpus": pl.String, "id": pl.String, "label": pl.String},
    )
    matrix = np.asarray(vectors, np.float32).reshape(n, -1 if n else 2)
    return Relation(frame, Vectors.of(matrix, unit=True)).take(np.random.default_rng(seed).permutation(n))


def on_circle(angles):
    """Directions 15 degrees apart, so that many are equal, or as near as each other."""
    radians = np.deg2rad(15 * np.array(angles, float))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def scores(left, right):
    return (left.vectors.matrix().astype(np.float64) @ right.vectors.matrix().astype(np.float64).T).astype(np.float32)


def greedy(target, candidates, budget, *, same_label):
    """(corpus, id) of each candidate taken, its round, target document and score: every pair is looked at each time."""
    ours, theirs = list(target.frame.iter_rows()), list(candidates.frame.iter_rows())
    score = scores(target, candidates)
    left, found, turn = set(range(len(theirs))), [], 0
    while True:
        turn += 1
        before = len(found)
        for i in sorted(range(len(ours)), key=lambda i: ours[i][:2]):
            mine = [j for j in left if not same_label or (ours[i][2] is not None and ours[i][2] == theirs[j][2])]
            if mine and (budget is None or len(found) < budget):
                best = min(mine, key=lambda j: (-score[i, j], theirs[j][:2]))
                left.remove(best)
                found.append((*theirs[best][:2], turn, *ours[i][:2], float(score[i, best])))
        if len(found) == before:
            return found


LABELS = st.sampled_from(["a", "a", "b", None])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    target=st.lists(st.tuples(st.integers(0, 23), LABELS), max_size=6),
    candidates=st.lists(st.tuples(st.integers(0, 23), LABELS), max_size=20),
    budget=st.one_of(st.none(), st.integers(1, 22)), same_label=st.booleans(), seed=st.integers(0, 9),
)  # fmt: skip
@pytest.mark.usefixtures("short_lists")
@pytest.mark.filterwarnings("ignore::curator.errors.CuratorWarning")
def test_the_greedy_choice(target, candidates, budget, same_label, seed):
    sides = [
        documents(name, on_circle([angle for angle, _ in rows]), [label for _, label in rows], seed=seed)
        for name, rows in (("t", target), ("c", candidates))
    ]
    found = pl.DataFrame(round_robin(*sides, budget, same_label=same_label))
    expected = greedy(*sides, budget, same_label=same_label)
    columns = ["corpus", "id", "round", "partner_corpus", "partner_id", "similarity"]
    assert list(found.select(columns).iter_rows()) == expected
    assert found["rank"].to_list() == list(range(1, len(expected) + 1))


@pytest.mark.parametrize("same_label", [True, False])
def test_the_greedy_choice_of_many(same_label):
    """Where lists are searched by products, target documents crowd together and candidates have copies."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(2_000, 8))
    rows[500:900] = rows[:400]
    target = rng.normal(size=(40, 8)) + 2 * np.eye(8)[0]
    sides = [
        documents(name, side / np.linalg.norm(side, axis=1, keepdims=True), ["ab"[i % 2] for i in range(len(side))])
        for name, side in (("t", target), ("c", rows))
    ]
    found = pl.DataFrame(round_robin(*sides, 700, same_label=same_label))
    columns = ["corpus", "id", "round", "partner_corpus", "partner_id", "similarity"]
    assert list(found.select(columns).iter_rows()) == greedy(*sides, 700, same_label=same_label)


@pytest.mark.parametrize("k", [1, 7, 40, 3_000, 5_000])
def test_the_first_are_the_first_of_all(k):
    """Also among copies, and what single precision does not tell from them."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(3_000, 16))
    rows[100:700] = rows[99]
    rows[700:1_000] = rows[99] + rng.normal(size=(300, 16)) * 1e-6
    left = np.concatenate([rows[99:100] + 0.3, rows[99:100], rng.normal(size=(20, 16))])
    sides = [Vectors.of((side / np.linalg.norm(side, axis=1, keepdims=True)).astype(np.float32), unit=True)
             for side in (left, rng.permutation(rows))]  # fmt: skip
    ids, cosines = first(*sides, k)
    every = (sides[0].matrix().astype(np.float64) @ sides[1].matrix().astype(np.float64).T).astype(np.float32)
    order = np.argsort(-every, axis=1, kind="stable")[:, :k]
    assert (ids == order).all()
    assert (cosines == np.take_along_axis(every, order, 1)).all()


def test_vectors_of_zeros_take_no_part():
    target = documents("t", [[0, 0], [1, 0]])
    candidates = documents("c", [[1, 0], [0, 0], [-1, 0]])
    with (
        pytest.warns(CuratorWarning, match="1 documents of the target have a vector of zeros"),
        pytest.warns(CuratorWarning, match="1 documents of the candidates have a vector of zeros"),
    ):
        found = pl.DataFrame(round_robin(target, candidates))
    assert found["id"].to_list() == ["d000", "d002"]
    assert found["partner_id"].to_list() == ["d001", "d001"]


def test_target_documents_without_a_candidate_are_told():
    with pytest.warns(CuratorWarning, match="2 of 3 target documents have no candidate of their label"):
        found = round_robin(documents("t", on_circle([0, 1, 2]), ["a", "b", None]), documents("c", on_circle([5, 6])))
    assert found.num_rows == 2


def test_vectors_of_any_length_count_by_their_direction():
    candidates = documents("c", [[1, 0], [0, 1]])
    longer = Relation(candidates.frame, Vectors.of(candidates.vectors.matrix() * [[3], [9]]))
    target = documents("t", on_circle([1]))
    assert round_robin(target, longer).to_pylist() == round_robin(target, candidates).to_pylist()


def test_from_sql():
    relations = {"target": documents("t", on_circle([0])), "pool": documents("c", on_circle([0, 5, 2]))}
    query = "SELECT id FROM round_robin(target, (SELECT * FROM pool WHERE id <> 'd000'), 2, same_label := $same)"
    found = rewrite(Session(), query, {"same": False}, Tools(relations, FUNCTIONS)).fetch()
    assert found.column(0).to_pylist() == ["d002", "d001"]
    bare = {name: table.with_frame(table.frame.select("id")) for name, table in relations.items()}
    found = rewrite(Session(), "SELECT * FROM round_robin(target, pool, same_label := false)", {},
                    Tools(bare, FUNCTIONS)).fetch()  # fmt: skip
    assert found.column_names == ["id", "rank", "round", "partner_id", "similarity"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t, c: round_robin(t, c, 0), "budget is 0; a whole number of at least 1"),
        (lambda t, c: round_robin(t, c, same_label=1), "same_label is 1; true or false"),
        (lambda t, c: round_robin(t.with_frame(t.frame.drop("id")), c), "no column 'id' in the target; there are"),
        (
            lambda t, c: round_robin(t, c.with_frame(c.frame.drop("label"))),
            "no column 'label' in the candidates, see same_label",
        ),
        (lambda t, c: round_robin(t, Relation(c.frame)), "no vectors in the candidates"),
        (lambda t, c: round_robin(t, documents("c", np.eye(3))), "vectors of 2 and 3 components"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(QueryError, match=message):
        call(documents("t", on_circle([0])), documents("c", on_circle([1, 2])))
