"""Every kind of index keeps one contract: true scores, no missing neighbours, the recall that was asked."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from curator import indexes, neighbours
from curator.errors import UsageError
from curator.indexes import Wish, choice, making, tuning
from curator.neighbours import KINDS, Approximate, size_of
from curator.relation import Relation
from curator.vectors import Vectors

N, D, K = 1_600, 24, 10
ASKED = 0.9
EVERY = ("flat", *KINDS)


def clustered(n: int, seed: int, d: int = D) -> np.ndarray:
    """Unit vectors around 40 centres."""
    centres = np.random.default_rng(0).normal(size=(40, d))
    rng = np.random.default_rng(seed)
    x = centres[rng.integers(0, 40, n)] + 0.5 * rng.normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def special(n: int = N, seed: int = 1) -> np.ndarray:
    """With 30 copies of one vector, pairs of another thirty, and five zero rows."""
    x = clustered(n, seed)
    x[100:130] = x[7]
    x[200:230] = x[300:330]
    x[400:405] = 0
    return x


BASE, FRESH, OWN = special(), clustered(200, 2), clustered(700, 77)


def relation(vectors: np.ndarray, home) -> Relation:
    frame = pl.DataFrame({"id": [str(i) for i in range(len(vectors))]})
    return Relation(frame, Vectors.of(vectors), home=home, vectors_key="own")


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "LEAST_ROWS", 100)
        patch.setattr(making, "TIMED", 64)
        patch.setattr(tuning, "TIMED", 64)
        patch.setattr(tuning, "LEAST_QUERIES", 300)
        yield


@pytest.fixture(scope="module", params=EVERY)
def made(request, tmp_path_factory):
    """A corpus and its index, opened from disk."""
    corpus = relation(BASE, tmp_path_factory.mktemp(request.param) / "corpus" / "v1")
    indexes.build(corpus, Wish(ASKED, request.param))
    return corpus, indexes.find(corpus)


def brute(queries: np.ndarray, base: np.ndarray, allowed=None) -> tuple[np.ndarray, np.ndarray]:
    """All products in double precision, (q, n), and their order, best first, equal ones by position."""
    scores = queries.astype(np.float64) @ base.astype(np.float64).T
    if allowed is not None:
        scores[:, np.setdiff1d(np.arange(len(base)), allowed)] = -np.inf
    return scores, np.lexsort((np.broadcast_to(np.arange(len(base)), scores.shape), -scores.round(6)), axis=1)


def keeps_contract(edges, queries, base, k, allowed=None) -> None:
    size = len(base) if allowed is None else len(allowed)
    width = min(k, size)
    np.testing.assert_array_equal(edges.left, np.repeat(np.arange(len(queries)), width))
    np.testing.assert_array_equal(edges.rank, np.tile(np.arange(1, width + 1), len(queries)))
    assert (edges.right >= 0).all()
    if allowed is not None:
        assert np.isin(edges.right, allowed).all()
    true = np.einsum("ij,ij->i", queries[edges.left].astype(np.float64), base[edges.right].astype(np.float64))
    np.testing.assert_allclose(edges.score, true, atol=2e-6)
    shape = (len(queries), width)
    right, score = edges.right.reshape(shape), edges.score.reshape(shape)
    assert all(len(set(row)) == width for row in right.tolist())
    assert (np.diff(score, axis=1) <= 0).all()
    assert (np.diff(right, axis=1)[np.diff(score, axis=1) == 0] > 0).all()


def recall(edges, queries, base, k, allowed=None) -> float:
    """By ids, of equal scores any is as good as the other."""
    scores, order = brute(queries, base, allowed)
    least = np.take_along_axis(scores, order, 1)[:, k - 1] - 1e-6
    found = scores[edges.left, edges.right] >= least[edges.left]
    return float(found.mean())


@pytest.mark.parametrize("k", [1, 3, K, 100, 101, N, N + 5])
def test_scores_are_true_and_the_recall_is_what_was_asked(made, k):
    corpus, index = made
    queries = FRESH if k <= 101 else FRESH[:5]
    edges = index.nearest(Vectors.of(queries), corpus.vectors, k)
    keeps_contract(edges, queries, BASE, k)
    assert recall(edges, queries, BASE, min(k, N)) >= (ASKED if k <= 100 else 1)


def test_recall_by_ids_where_no_two_scores_are_equal(tmp_path):
    base = clustered(N, 5)
    for kind in KINDS:
        corpus = relation(base, tmp_path / kind / "v1")
        measured = indexes.build(corpus, Wish(ASKED, kind))
        edges = indexes.find(corpus).nearest(Vectors.of(FRESH), corpus.vectors, K)
        best = brute(FRESH, base)[1][:, :K]
        hits = [len(set(a) & set(b)) for a, b in zip(best.tolist(), edges.right.reshape(-1, K).tolist(), strict=True)]
        assert np.mean(hits) / K >= ASKED
        assert measured.promise(K).low >= ASKED


@pytest.mark.parametrize("kept", [0, 1, N // 2, N])
def test_filters_come_before_the_search(made, kept):
    corpus, index = made
    allowed = np.sort(np.random.default_rng(3).permutation(N)[:kept])
    edges = index.nearest(Vectors.of(FRESH), corpus.vectors, K, allowed)
    keeps_contract(edges, FRESH, BASE, K, allowed)
    if kept:
        assert recall(edges, FRESH, BASE, min(K, kept), allowed) >= ASKED


def test_a_filter_far_from_the_query_is_still_full(made):
    corpus, index = made
    allowed = np.sort(brute(FRESH[:1], BASE)[1][0, -300:])
    edges = index.nearest(Vectors.of(FRESH[:1]), corpus.vectors, K, allowed)
    keeps_contract(edges, FRESH[:1], BASE, K, allowed)


def test_no_queries_and_no_neighbours(made):
    corpus, index = made
    assert len(index.nearest(Vectors.of(FRESH[:0]), corpus.vectors, K)) == 0
    assert len(index.nearest(Vectors.of(FRESH), corpus.vectors, K, np.empty(0, np.int64))) == 0


def test_duplicates_come_in_order_and_zero_rows_do_no_harm(made):
    corpus, index = made
    queries = np.vstack([BASE[7], BASE[300], np.zeros(D)]).astype(np.float32)
    edges = index.nearest(Vectors.of(queries), corpus.vectors, 20)
    keeps_contract(edges, queries, BASE, 20)
    copies = {7, *range(100, 130)}
    assert set(edges.right[:20].tolist()) <= copies
    assert set(edges.right[20:22].tolist()) == {200, 300}
    assert (edges.score[40:] == 0).all()
    assert index.measured.zeros == 5


def test_vectors_of_any_length_are_compared_as_unit_vectors(tmp_path):
    lengths = np.random.default_rng(0).uniform(0.1, 9, size=(N, 1)).astype(np.float32)
    corpus = relation(BASE * lengths, tmp_path / "v1")
    indexes.build(corpus, Wish(ASKED, "ivf-pq"))
    edges = indexes.find(corpus).nearest(Vectors.of(3 * FRESH), corpus.vectors, K)
    keeps_contract(edges, FRESH, BASE, K)
    assert recall(edges, FRESH, BASE, K) >= ASKED


@pytest.mark.parametrize("d", [7, 8, 1])
def test_any_dimension(d, tmp_path):
    base = clustered(400, 1, d)
    for kind in KINDS:
        built = Approximate.build(kind, Vectors.of(base))
        found = built.candidates(base[:50], 40, built.furthest)
        assert (found >= -1).all()
        assert d == 1 or np.mean([i in row for i, row in enumerate(found.tolist())]) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_vectors_give_the_same_bytes(kind, tmp_path):
    files = []
    for number in range(2):
        path = tmp_path / str(number)
        with path.open("wb") as file:
            Approximate.build(kind, Vectors.of(BASE)).save(file)
        files.append(path.read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_loaded_and_a_mapped_one_is_not_changed(kind, tmp_path):
    built = Approximate.build(kind, Vectors.of(BASE))
    with (tmp_path / "index").open("wb") as file:
        built.save(file)
    for mapped in (True, False):
        loaded = Approximate.load(kind, N, tmp_path / "index", mapped=mapped)
        np.testing.assert_array_equal(loaded.candidates(FRESH, 40, 20), built.candidates(FRESH, 40, 20))
    with pytest.raises(ValueError, match="mapped=False"):
        Approximate.load(kind, N, tmp_path / "index").append(Vectors.of(FRESH))
    with pytest.raises(ValueError, match="mapped=False"):
        Approximate.load(kind, N, tmp_path / "index").remove(np.arange(3))


MAPPED = """
import sys
from pathlib import Path
from curator.neighbours import Approximate
def anonymous():
    line = next(line for line in open("/proc/self/status") if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024
before = anonymous()
index = Approximate.load(sys.argv[1], int(sys.argv[3]), Path(sys.argv[2]))
print(anonymous() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ivf-pq"])
def test_a_loaded_index_stays_on_disk(kind, tmp_path):
    count = 12_000 if kind.startswith("ivf") else 4_500
    rows = np.random.default_rng(0).normal(size=(count, 256)).astype(np.float32)
    built = Approximate.build(kind, Vectors.of(rows))
    with (tmp_path / "index").open("wb") as file:
        built.save(file)
    size = (tmp_path / "index").stat().st_size
    told = subprocess.run(
        [sys.executable, "-c", MAPPED, kind, str(tmp_path / "index"), str(len(rows))],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert int(told) < max(size / 4, 1_500_000)
    assert size > 2_000_000


def test_a_graph_is_not_measured_on_rows_that_are_in_it(tmp_path):
    """Where nothing is near, the links made for a row lead to its neighbours, and those of other queries do not."""
    noise = np.random.default_rng(0).normal(size=(3_400, 64)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    corpus, queries = relation(noise[:3_000], tmp_path / "v1"), noise[3_000:]
    measured = indexes.build(corpus, Wish(ASKED, "hnsw"))
    index = indexes.find(corpus)
    edges = index.nearest(Vectors.of(queries), corpus.vectors, K)
    assert recall(edges, queries, noise[:3_000], K) >= ASKED
    itself = index.nearest(corpus.vectors, corpus.vectors, 1)  # those that were held out are in it, too
    assert (itself.right == np.arange(3_000)).mean() > 0.98
    assert measured.entries == measured.rows == 3_000
    with pytest.raises(UsageError, match="its rows are in the graph: give some as queries"):
        indexes.drift(corpus)
    assert not indexes.drift(corpus, Vectors.of(queries)).drifted


# Another version of the corpus


def changed(seed: int = 9, drop: int = 100, add: int = 200) -> np.ndarray:
    """Some rows gone, the others in another order, new ones between."""
    rng = np.random.default_rng(seed)
    rows = np.vstack([BASE[rng.permutation(N)[drop:]], clustered(add, seed)])
    return rows[rng.permutation(len(rows))]


@pytest.mark.parametrize("kind", KINDS)
def test_another_version_takes_the_index_up(kind, tmp_path):
    first = relation(BASE, tmp_path / "v1")
    own = Vectors.of(OWN) if kind.startswith("hnsw") else None
    indexes.build(first, Wish(ASKED, kind), queries=own, source="own" if own else "")
    before = (tmp_path / "v1" / "approximate-own" / "index.faiss").read_bytes()
    now = changed()
    second = relation(now, tmp_path / "v2")
    measured = indexes.build(second, Wish(ASKED, kind))
    assert "kept for 1,500 rows, 200 were added and 100 removed" in measured.did
    assert (measured.rows, measured.entries) == (1_700, 1_800)
    assert measured.dead == (0 if kind.startswith("ivf") else 100)
    assert measured.promise(K).low >= ASKED
    index = indexes.find(second)
    for allowed in (None, np.arange(0, 1_700, 2)):
        edges = index.nearest(Vectors.of(FRESH), second.vectors, K, allowed)
        keeps_contract(edges, FRESH, now, K, allowed)
        assert recall(edges, FRESH, now, K, allowed) >= ASKED
    found = index.candidates(FRESH, 30, 12, index._allowed(None))
    assert (found >= 0).all()  # no candidate is wasted on a row that is gone
    itself = index.nearest(Vectors.of(now[:300]), second.vectors, 1)
    assert (itself.score > 0.9999).mean() > 0.95 - 0.01 * (now[:300] == 0).all(axis=1).sum()
    assert (tmp_path / "v1" / "approximate-own" / "index.faiss").read_bytes() == before
    third = indexes.build(relation(now, tmp_path / "v3"), Wish(ASKED, kind))
    assert "the index was kept" in third.did
    assert third.dead == measured.dead


def test_what_was_removed_is_gone_from_the_file(tmp_path):
    for kind in KINDS[:3]:
        built = Approximate.build(kind, Vectors.of(BASE))
        built.remove(np.arange(0, N, 2))
        found = built.candidates(FRESH, 50, built.furthest)
        assert (found[found >= 0] % 2 == 1).all()
        built.append(Vectors.of(FRESH))
        again = built.candidates(FRESH, 40, built.furthest)
        assert (again == N + np.arange(len(FRESH))[:, None]).any(axis=1).mean() > 0.9
        assert built.entries == N + len(FRESH)


def test_a_graph_with_too_many_dead_is_built_again(tmp_path):
    indexes.build(relation(BASE, tmp_path / "v1"), Wish(ASKED, "hnsw"), queries=Vectors.of(OWN), source="own")
    measured = indexes.build(relation(changed(drop=500), tmp_path / "v2"), Wish(ASKED, "hnsw"))
    assert "built again: 500 of the 1,600 entries of the graph" in measured.did
    assert measured.dead == 0
    assert measured.entries == 1_300


def test_another_corpus_under_the_name_is_built_anew(tmp_path):
    indexes.build(relation(BASE, tmp_path / "v1"), Wish(ASKED, "ivf"))
    measured = indexes.build(relation(clustered(N, 33), tmp_path / "v2"), Wish(ASKED, "ivf"))
    assert "built again: only 0 of 1,600 rows" in measured.did


def test_drift_is_seen_and_mended(tmp_path):
    corpus = relation(BASE, tmp_path / "v1")
    indexes.build(corpus, Wish(ASKED, "ivf"))
    assert not indexes.drift(corpus).drifted
    # New rows where there were none: their lists are few and long, or far apart.
    other = np.random.default_rng(4).normal(size=(1_500, D))
    other = (other / np.linalg.norm(other, axis=1, keepdims=True)).astype(np.float32)
    assert indexes.drift(corpus, Vectors.of(other)).promises[0].queries == 1_500
    assert indexes.drift(corpus, Vectors.of(other)).promises[0].recall < indexes.drift(corpus).promises[0].recall
    measured = indexes.build(relation(np.vstack([BASE, other]), tmp_path / "v2"), Wish(ASKED, "ivf"))
    assert "its recall had fallen" in measured.did
    assert measured.promise(K).low >= ASKED


def test_drift_below_what_was_asked_is_told(tmp_path):
    corpus = relation(BASE, tmp_path / "v1")
    measured = indexes.build(corpus, Wish(0.6, "ivf"))
    worse = replace(measured, wish=replace(measured.wish, recall=0.9999))
    folder = tmp_path / "v1" / "approximate-own"
    indexes.stored.write_sealed(folder / "index.json", worse.json())
    told = indexes.drift(corpus)
    assert told.drifted
    assert "less than the 0.9999 that was asked" in str(told)


# The certificate of one search


def test_a_search_of_many_queries_is_measured_on_some_of_them(made):
    corpus, index = made
    many = clustered(1_500, 12)
    edges, certificate = index.certified(Vectors.of(many), corpus.vectors, K)
    assert certificate.kept
    assert (certificate.queries, certificate.k) == (64, K)
    assert certificate.low < certificate.recall <= certificate.high <= 1
    keeps_contract(edges, many, BASE, K)
    assert index.certified(Vectors.of(many[:100]), corpus.vectors, K)[1] is None


def test_a_search_that_falls_short_is_made_exactly(made):
    corpus, index = made
    if index.file is None:
        pytest.skip("exact search cannot fall short")
    broken = replace(index, rows=np.random.default_rng(0).permutation(index.rows))
    many = clustered(1_500, 12)
    edges, certificate = broken.certified(Vectors.of(many), corpus.vectors, K)
    assert not certificate.kept
    assert "searched exactly" in str(certificate)
    keeps_contract(edges, many, BASE, K)
    assert recall(edges, many, BASE, K) == 1


def test_even_a_broken_index_gives_true_scores(made):
    corpus, index = made
    if index.file is None:
        pytest.skip("there is nothing to break")
    broken = replace(index, rows=np.random.default_rng(0).permutation(index.rows))
    keeps_contract(broken.nearest(Vectors.of(FRESH), corpus.vectors, K), FRESH, BASE, K)


def test_the_sizes_foretold_are_those_on_disk_and_what_is_trained_on(tmp_path):
    n, d = 6_000, 32
    rows = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    for kind in KINDS:
        with (tmp_path / kind).open("wb") as file:
            Approximate.build(kind, Vectors.of(rows)).save(file)
        trained = 4 * d * n if kind.startswith("ivf") else 0
        centroids = 4 * d * int(4 * n**0.5) if kind.startswith("ivf") else 0
        told = size_of(kind, n, d) - trained + centroids
        assert (tmp_path / kind).stat().st_size == pytest.approx(told, rel=0.2)


def test_too_few_vectors_are_refused():
    with pytest.raises(ValueError, match="at least 16"):
        Approximate.build("ivf", Vectors.of(BASE[:15]))
    assert len(Approximate.build("ivf-pq", Vectors.of(BASE[:16])).candidates(FRESH[:3], 16, 16)) == 3


def test_a_recall_that_cannot_be_reached_says_what_can(tmp_path, monkeypatch):
    monkeypatch.setattr(neighbours.Approximate, "factors", (1,))
    noise = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
    with pytest.raises(UsageError, match=r"recall = 0\.95 was not reached: ivf-pq 0\.\d+ .*Ask for at most 0\.\d+"):
        indexes.build(relation(noise, tmp_path / "v1"), Wish(0.95, "ivf-pq"))
    assert indexes.find(relation(noise, tmp_path / "v1")) is None


def test_candidates_are_put_in_order_by_their_true_scores():
    base = Vectors.of(np.array([[1, 0], [0, 3], [0.6, 0.8], [-1, 0]]))
    found = np.array([[3, -1, 2, 0], [1, 2, -1, -1], [-1, -1, -1, -1]])
    ids, scores = neighbours.rescored(np.array([[1, 0], [0, 1], [1, 0]], np.float32), base, found, 3)
    np.testing.assert_array_equal(ids, [[0, 2, 3], [1, 2, -1], [-1, -1, -1]])
    np.testing.assert_allclose(scores[:2], [[1, 0.6, -1], [1, 0.8, -np.inf]], atol=1e-7)
