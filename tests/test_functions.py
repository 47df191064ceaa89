"""Table functions against plain loops over all pairs, called from Python and from SQL."""

import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator import neighbours
from curator.errors import CuratorWarning, QueryError
from curator.functions import FUNCTIONS, leaders, pairs_within
from curator.nearest import Tools, rewrite
from curator.relation import Relation
from curator.session import Session
from curator.vectors import Vectors


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """A few rows are many blocks."""
    monkeypatch.setattr("curator.neighbours.within.PAIR_BLOCK", 3)
    monkeypatch.setattr(neighbours, "LEFT_BLOCK", 5)


def documents(vectors, *, corpora=("a", "b"), sources=None, seed=None) -> Relation:
    """Unit vectors of any rows given, in corpora by turns; shuffled when there is a seed."""
    matrix = np.asarray(vectors, np.float32)
    matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    n = len(matrix)
    frame = pl.DataFrame(
        {
            "corpus": [corpora[i % len(corpora)] for i in range(n)],
            "id": [f"d{i:03}" for i in range(n)],
            "source": [(sources or corpora)[i % len(sources or corpora)] for i in range(n)],
        },
        schema={"corpus": pl.String, "id": pl.String, "source": pl.String},
    )
    relation = Relation(frame, Vectors.of(matrix, unit=True))
    return relation if seed is None else relation.take(np.random.default_rng(seed).permutation(n))


def cosines(relation: Relation, other: Relation | None = None) -> np.ndarray:
    left = relation.vectors.matrix().astype(np.float64)
    right = left if other is None else other.vectors.matrix().astype(np.float64)
    return left @ right.T


def greedy(relation: Relation, min_score: float, priority: list[str]) -> dict:
    """The leader rule as it is told: walk in order, look at every leader so far."""
    keys = list(relation.frame.select("corpus", "id", "source").iter_rows())
    similarity = cosines(relation)
    order = sorted(
        range(len(keys)),
        key=lambda i: (priority.index(keys[i][2]) if keys[i][2] in priority else len(priority), keys[i]),
    )
    found, result = [], {}
    for i in order:
        close = [j for j in found if similarity[i, j] >= min_score]
        best = max(close, key=lambda j: round(similarity[i, j], 5), default=None)  # max takes the first of equals
        if best is None:
            found.append(i)
        result[keys[i][:2]] = None if best is None else (*keys[best][:2], round(similarity[i, best], 4))
    return result


def answer(table) -> dict:
    return {
        (row["corpus"], row["id"]): None
        if row["leader_id"] is None
        else (row["leader_corpus"], row["leader_id"], round(row["similarity"], 4))
        for row in table.to_pylist()
    }


# Directions 5 degrees apart make near duplicates, exact duplicates and ties; cosines of multiples of 5 degrees lie at
# least 2e-3 from the thresholds below, so that single precision decides no case.
ANGLES = st.lists(st.integers(0, 71), min_size=0, max_size=25)
THRESHOLDS = st.sampled_from([0.3, 0.8, 0.95, 0.99])


def on_circle(angles: list[int]) -> np.ndarray:
    radians = np.deg2rad(5 * np.array(angles, float))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(angles=ANGLES, min_score=THRESHOLDS, priority=st.sampled_from([[], ["b"], ["b", "a"]]), seed=st.integers(0, 9))
def test_leaders_is_the_greedy_leader_rule(angles, min_score, priority, seed):
    relation = documents(on_circle(angles), seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CuratorWarning)  # a source that has no document in this example
        table = leaders(relation, min_score=min_score, priority=", ".join(priority) or None)
    assert table.select(["corpus", "id"]).to_pylist() == relation.frame.select("corpus", "id").to_dicts()
    found = answer(table)
    assert found == greedy(relation, min_score, priority)
    # The promise itself, without an algorithm.
    place = {key: i for i, key in enumerate(relation.frame.select("corpus", "id").iter_rows())}
    similarity = cosines(relation)
    kept = [key for key, leader in found.items() if leader is None]
    assert all(similarity[place[a], place[b]] < min_score for a in kept for b in kept if a != b)
    for key, leader in found.items():
        if leader is not None:
            assert leader[:2] in kept
            assert similarity[place[key], place[leader[:2]]] == pytest.approx(leader[2], abs=1e-3)
            assert similarity[place[key], place[leader[:2]]] >= min_score


def test_the_threshold_is_compared_with_the_score_as_returned():
    # The nearest float32 to 0.95 is below 0.95, that to 0.8 is above 0.8.
    matrix = np.array([[1, 0], [0.95, 0.3122499], [0.8, -0.6]], np.float32)
    relation = Relation(documents(np.eye(3), corpora=("a",)).frame, Vectors.of(matrix, unit=True))
    assert pairs_within(relation, min_score=0.95).num_rows == 0
    assert pairs(pairs_within(relation, min_score=0.8)).keys() == {
        ("a", "d000", "a", "d001"),
        ("a", "d000", "a", "d002"),
    }
    assert set(answer(leaders(relation, min_score=0.95)).values()) == {None}
    assert list(answer(leaders(relation, min_score=0.8)).values()) == [None, ("a", "d000", 0.95), ("a", "d000", 0.8)]


def test_a_chain_keeps_every_other_one():
    relation = documents(on_circle([0, 3, 6, 9, 12, 15, 18]), corpora=("a",))
    found = answer(leaders(relation, min_score=0.95))
    assert [key[1] for key, leader in found.items() if leader is None] == ["d000", "d002", "d004", "d006"]


def test_one_text_many_times_keeps_one():
    relation = documents(np.ones((40, 4)), corpora=("a",))
    found = answer(leaders(relation, min_score=0.95))
    assert [key for key, leader in found.items() if leader is None] == [("a", "d000")]
    assert {leader for leader in found.values() if leader} == {("a", "d000", 1.0)}


def test_vectors_that_are_not_unit_are_compared_by_cosine():
    matrix = np.array([[2, 0], [0.1, 0.001], [0, 5]], np.float32)
    relation = Relation(documents(matrix, corpora=("a",)).frame, Vectors.of(matrix))
    assert [row["leader_id"] for row in leaders(relation).to_pylist()] == [None, "d000", None]
    assert [row["score"] for row in pairs_within(relation, min_score=0.9).to_pylist()] == [pytest.approx(1, abs=1e-3)]


def test_a_source_that_loses_much_raises_an_alarm():
    same = documents(np.ones((60, 2)), corpora=("a",))
    with pytest.warns(CuratorWarning, match=r"98% of the 60 documents of source 'a'"):
        leaders(same)
    both = documents(np.repeat([[1, 0], [0, 1]], [110, 50], axis=0), corpora=("a",), sources=("x", "y"))
    with pytest.warns(CuratorWarning, match=r"'y' .*and over 30% of 1 other sources"):
        leaders(both)  # the first of each direction is of source x
    few = documents(np.ones((40, 2)), corpora=("a",))
    leaders(few)  # warnings are errors here: 39 of 40 raise none


def test_a_priority_that_is_no_source_is_told():
    with pytest.warns(CuratorWarning, match="priority names 'papers'"):
        leaders(documents(np.eye(3)), priority="papers")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: leaders(r, min_score=0), r"min_score is 0; a cosine above 0"),
        (lambda r: leaders(r, min_score=95), r"min_score is 95"),
        (lambda r: leaders(r.with_frame(r.frame.drop("corpus"))), r"needs a column 'corpus'"),
        (lambda r: leaders(r.with_frame(r.frame.drop("source")), priority="a"), r"no column 'source'"),
        (lambda r: pairs_within(r, min_score=1.1), r"min_score is 1.1"),
        (lambda r: pairs_within(r.with_frame(r.frame.drop("id")), min_score=0.5), r"left relation has no column 'id'"),
        (lambda r: pairs_within(r, documents(np.eye(4)), min_score=0.5), r"3 components and the right 4"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(QueryError, match=message):
        call(documents(np.eye(3)))


def pairs(table) -> dict:
    columns = [name for name in ("left_corpus", "left_id", "right_corpus", "right_id") if name in table.column_names]
    rows = table.to_pylist()
    found = {tuple(row[name] for name in columns): row["score"] for row in rows}
    assert len(found) == len(rows)
    return found


@settings(max_examples=80, deadline=None, derandomize=True)
@given(angles=ANGLES, others=ANGLES, min_score=THRESHOLDS, seed=st.integers(0, 9))
def test_pairs_within_is_every_pair(angles, others, min_score, seed):
    left, right = documents(on_circle(angles), seed=seed), documents(on_circle(others), seed=seed + 1)
    keys = [list(relation.frame.select("corpus", "id").iter_rows()) for relation in (left, right)]
    between, within = cosines(left, right), cosines(left)
    expected = {(*keys[0][i], *keys[1][j]): between[i, j] for i, j in np.argwhere(between >= min_score)}
    assert pairs(pairs_within(left, right, min_score=min_score)) == pytest.approx(expected, abs=1e-5)
    inside = {
        (*keys[0][i], *keys[0][j]): within[i, j] for i, j in np.argwhere(within >= min_score) if keys[0][i] < keys[0][j]
    }
    assert pairs(pairs_within(left, min_score=min_score)) == pytest.approx(inside, abs=1e-5)


@pytest.mark.parametrize("left_block", [1, 5, 1000])
def test_pairs_within_come_in_order_of_left_and_right(left_block, monkeypatch):
    monkeypatch.setattr(neighbours, "LEFT_BLOCK", left_block)
    relation = documents(on_circle([0, 1, 1, 2, 40, 41, 41, 0, 2, 1, 0, 1]), corpora=("a",), seed=3)
    close = cosines(relation) >= 0.99
    ids = relation.frame["id"].to_list()
    every = sorted((ids[i], ids[j]) for i, j in np.argwhere(close))
    inside = pairs_within(relation, min_score=0.99)
    assert inside.column_names == ["left_corpus", "left_id", "right_corpus", "right_id", "score"]
    assert list(zip(inside["left_id"].to_pylist(), inside["right_id"].to_pylist(), strict=True)) == [
        (a, b) for a, b in every if a < b
    ]
    between = pairs_within(relation, relation, min_score=0.99)
    assert list(zip(between["left_id"].to_pylist(), between["right_id"].to_pylist(), strict=True)) == every


def test_pairs_within_holds_a_key_once():
    relation = documents(np.ones((60, 2)), corpora=("a",))
    long = relation.with_frame(relation.frame.with_columns(id=pl.lit("x" * 1000) + pl.col("id")))
    table = pairs_within(long, min_score=0.9)
    assert table.num_rows == 60 * 59 // 2
    assert len({chunk.dictionary.buffers()[2].address for chunk in table["left_id"].chunks}) == 1
    numbered = relation.with_frame(relation.frame.with_columns(id=pl.int_range(pl.len())))
    assert pairs_within(numbered, min_score=0.9)["right_id"][0].as_py() == 1


def sql(query: str, relation: Relation):
    parameters = {"least": 0.9} if "$least" in query else {}
    return rewrite(Session(), query, parameters, Tools({"docs": relation}, FUNCTIONS)).fetch()


def test_from_sql():
    relation = documents([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], corpora=("a",))
    kept = sql("SELECT id FROM leaders('docs', min_score := $least) WHERE leader_id IS NULL ORDER BY id", relation)
    assert kept.column(0).to_pylist() == ["d000", "d002"]
    inside = pairs(sql("SELECT * FROM pairs_within('docs', min_score := $least)", relation))
    assert inside.keys() == {("a", "d000", "a", "d001"), ("a", "d002", "a", "d003")}
    first = "(SELECT id, embedding FROM docs WHERE id < 'd002')"
    between = pairs(sql(f"SELECT * FROM pairs_within({first}, 'docs', min_score := 0.99)", relation))
    assert between.keys() == {(a, "a", b) for a in ("d000", "d001") for b in ("d000", "d001")}
    with pytest.raises(QueryError, match="min_score"):
        sql("SELECT * FROM pairs_within('docs')", relation)


def test_a_select_that_is_an_argument_is_planned_like_any_other():
    """It may call table functions, at any depth, and its nearest joins go to FAISS."""
    relation = documents([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], corpora=("a",))
    inner = "SELECT d.corpus, d.id, d.embedding FROM docs AS d"
    within = "pairs_within((SELECT * FROM docs WHERE id <> 'd003'), min_score := $least)"
    kept = sql(f"SELECT id FROM leaders(({inner} JOIN {within} AS p ON p.right_id = d.id))", relation)
    assert kept.column(0).to_pylist() == ["d001"]
    nearest = (
        "SELECT id FROM leaders((SELECT p.corpus, p.id, p.embedding FROM docs AS t JOIN docs AS p EXACT NEAREST 1 "
        "BY SIMILARITY array_inner_product(t.embedding, p.embedding))) ORDER BY id"
    )
    query = rewrite(Session(), nearest, {}, Tools({"docs": relation}, FUNCTIONS))
    assert query.fetch().column(0).to_pylist() == ["d000", "d001", "d002", "d003"]
    assert [join.engine for join in query.joins] == ["faiss"]
    with pytest.raises(QueryError, match="colour"):
        sql(f"SELECT colour FROM leaders(({inner} JOIN {within} AS p ON p.right_id = d.id))", relation)


def test_every_function_is_listed_once():
    assert [function.__name__ for function in FUNCTIONS] == [
        "bm25",
        "bm25_relevance",
        "centroids",
        "classified",
        "clusters",
        "decontamination_coverage",
        "domain_classifier",
        "dsir",
        "exact_duplicates",
        "hybrid",
        "kl_reduction",
        "languages",
        "leaders",
        "listed_terms",
        "masked",
        "near_duplicates",
        "pairs_within",
        "pii",
        "search",
        "shared_runs",
        "tree",
    ]


def test_too_many_pairs_are_refused_with_an_estimate():
    relation, few = documents(np.eye(8)), documents(np.eye(8)[:3])
    assert leaders(relation, max_pairs=28).num_rows == 8
    told = r"28 pairs of vectors would be compared, which takes about .* here; max_pairs is 27"
    with pytest.raises(QueryError, match=f"leaders: {told}"):
        leaders(relation, max_pairs=27)
    with pytest.raises(QueryError, match=f"pairs_within: {told}"):
        pairs_within(relation, min_score=0.5, max_pairs=27)
    assert pairs_within(relation, few, min_score=0.5, max_pairs=24).num_rows == 3
    with pytest.raises(QueryError, match="24 pairs"):
        pairs_within(relation, few, min_score=0.5, max_pairs=23)
    with pytest.raises(QueryError, match="max_pairs is '1'"):
        leaders(relation, max_pairs="1")
