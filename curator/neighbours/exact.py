"""The exact nearest neighbours: candidates by the fastest way here, put in order by their true scores."""

import time
from collections.abc import Sequence
from functools import cache, partial

import numpy as np

from curator.engines import Engine
from curator.neighbours import bfloat16, distance, flat, scores
from curator.neighbours.edges import Edges, Positions, Scores, best, concat, of_lists
from curator.neighbours.flat import Metric
from curator.neighbours.spread import Span, engine_for, over
from curator.vectors import Matrix, Vectors

QUERY_BLOCK = 16_384  # rows of the left side searched together; bounds the memory of a search to this × k
LIST_BLOCK = 2**20  # places in the lists of the rows searched together
BASE_BLOCK = 65_536  # rows of the right side held at once
FURTHER = 8  # candidates beyond k: rounding may have put one too far
DENSE = 32  # where a list takes more than 1/32 of the rows, all true scores at once are faster than those of a list
DENSE_PAIRS, DENSE_BLOCK = 2**21, 8_192  # pairs that are ordered at once; rows whose scores are computed at once


def nearest(left: Vectors, right: Vectors, k: int, *, metric: Metric = "inner_product") -> Edges:
    """The k nearest rows of ``right`` for each row of ``left``: largest inner product or smallest distance.

    Every left row gets min(k, len(right)) edges, by their true scores (``scores``); among equal ones the lower right
    position comes first. Only among rows whose scores differ by less than single precision can tell (about 1e-5 of
    the product of their lengths), and of which there are more than fit, is it open which are taken.

    Raises ValueError when k is below 1, the dimensions differ, or numbers are not finite.
    """
    check(left, right)
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    k = min(k, len(right))
    if not k or not len(left):
        return concat([])
    engine = engine_for(left, right)
    return of_lists(*(_lists(left, right, k, metric) if engine is None else _spread(engine, left, right, k, metric)))


def _lists(left: Vectors, right: Vectors, k: int, metric: Metric) -> tuple[Positions, Scores]:
    """The best k ≤ len(right) of each row of ``left``, (n, k) positions and scores, best first."""
    rows, unit = max(1, min(QUERY_BLOCK, LIST_BLOCK // k)), left.is_unit and right.is_unit
    return _one_below_another([_search(queries, right, k, metric, unit) for _, queries in left.blocks(rows)])


def _one_below_another(parts: Sequence[tuple[Positions, Scores]]) -> tuple[Positions, Scores]:
    return np.concatenate([ids for ids, _ in parts]), np.concatenate([found for _, found in parts])


def _spread(engine: Engine, left: Vectors, right: Vectors, k: int, metric: Metric) -> tuple[Positions, Scores]:
    """The same by workers: the larger side is parted among them."""
    if len(left) >= len(right):
        search = partial(_of_left, right=right.alone(0, len(right)), k=k, metric=metric)
        parts = over(engine, left, "neighbours", search)
        return _one_below_another([found for _, found in parts])
    ids, found = np.empty((len(left), 0), np.int64), np.empty((len(left), 0), np.float32)
    search = partial(_of_right, left=left.alone(0, len(left)), k=k, metric=metric)
    for start, (own, scores_) in over(engine, right, "neighbours", search):
        ids, found = np.hstack([ids, own + start]), np.hstack([found, scores_])
        ids, found = best(ids, found, k, descending=metric == "inner_product")
    return ids, found


def _of_left(span: Span, right: Vectors, k: int, metric: Metric) -> tuple[Positions, Scores]:
    return _lists(span.rows, right, k, metric)


def _of_right(span: Span, left: Vectors, k: int, metric: Metric) -> tuple[Positions, Scores]:
    return _lists(left, span.rows, min(k, len(span.rows)), metric)


def check(left: Vectors, right: Vectors) -> None:
    """Raise ValueError for sides of different dimensions."""
    if left.dimension != right.dimension:
        raise ValueError(f"the left vectors have {left.dimension} components and the right {right.dimension}")


@cache
def pairs_per_second() -> float:
    """Pairs of vectors of 384 components that are compared in a second here, from one small timed search."""
    rows = np.random.default_rng(0).normal(size=(8192, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    base, queries = Vectors.of(rows, unit=True), Vectors.of(rows[:512], unit=True)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        nearest(queries, base, 10)
        seconds.append(time.perf_counter() - started)
    return 512 * 8192 / min(seconds)


def estimated_seconds(pairs: int, dimension: int) -> float:
    """What comparing that many pairs of vectors will take."""
    return pairs * dimension / 384 / pairs_per_second()


def _search(queries: Matrix, right: Vectors, k: int, metric: Metric, unit: bool) -> tuple[Positions, Scores]:
    """The best k of ``right`` for each query, (q, k) positions and scores, best first."""
    if metric == "distance":
        return distance.search(queries, right, k)
    if len(right) < DENSE * k:
        return _by_ordering(queries, right, k)
    rows, ids = _candidates(queries, right, k, unit)
    exact = scores.of_pairs(scores.products, queries, right, rows, ids)
    return _ranked(rows, ids, exact, len(queries), k)


def _ranked(rows: Positions, ids: Positions, exact: Scores, queries: int, k: int) -> tuple[Positions, Scores]:
    """The best k of each query's pairs, (queries, k) positions and products, best first, equal ones by position."""
    if not np.isfinite(exact).all():
        raise ValueError("a vector holds NaN or infinity, or a product of two is beyond single precision")
    keys, sizes = _keys(ids, exact), np.bincount(rows, minlength=queries)
    if not (rows[:-1] <= rows[1:]).all():
        order = np.argsort(rows, kind="stable")
        rows, keys = rows[order], keys[order]
    lists = np.full((queries, sizes.max()), np.iinfo(np.int64).min)
    lists[rows, np.arange(len(rows)) - (sizes.cumsum() - sizes)[rows]] = keys
    lists.sort(axis=1)
    return _of_keys(lists[:, : -k - 1 : -1])


def _keys(ids: Positions, exact: Scores) -> Positions:
    """Integers in the order of the scores, among equal ones larger for the earlier position: (n,) of (n,) each.

    One number sorts faster than two. The bits of a float are in its order, those of a negative one in reverse.
    """
    bits = (exact + np.float32(0)).view(np.int32)  # −0 is 0
    bits ^= (bits >> 31) & 0x7FFFFFFF
    return (bits.astype(np.int64) << 32) + (0xFFFFFFFF - ids)


def _of_keys(keys: Positions) -> tuple[Positions, Scores]:
    """The positions and scores that keys were made of."""
    bits = (keys >> 32).astype(np.int32)
    bits ^= (bits >> 31) & 0x7FFFFFFF
    return 0xFFFFFFFF - (keys & 0xFFFFFFFF), bits.view(np.float32)


def _candidates(queries: Matrix, right: Vectors, k: int, unit: bool) -> tuple[Positions, Positions]:
    """Pairs (n,) of query and row, among which are the best k of each query."""
    found = bfloat16.candidates(queries, right, k) if bfloat16.serves(len(queries), len(right), k) else None
    if found is None:
        return _by_flat(queries, right, k, unit)
    if not len(found.crowded):
        return found.rows, found.ids
    rows, ids = _by_flat(queries[found.crowded], right, k, unit)
    return np.concatenate([found.rows, found.crowded[rows]]), np.concatenate([found.ids, ids])


def _by_flat(queries: Matrix, right: Vectors, k: int, unit: bool) -> tuple[Positions, Positions]:
    """Candidates by FAISS: its k best, and those further ones that rounding cannot tell from the k-th."""
    wanted = min(len(right), k + FURTHER)
    ids, products = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    for start, base in right.blocks(BASE_BLOCK):
        found, their_products = flat.search(queries, base, min(wanted, len(base)), "inner_product")
        ids, products = np.hstack([ids, found + start]), np.hstack([products, their_products])
        if ids.shape[1] > wanted:
            order = np.argsort(-products, axis=1, kind="stable")[:, :wanted]  # blocks come in order of position
            ids, products = np.take_along_axis(ids, order, 1), np.take_along_axis(products, order, 1)
    if not unit:
        return np.repeat(np.arange(len(queries)), ids.shape[1]), ids.ravel()
    # Two products of unit vectors, each wrong by at most γ(d) ≈ d 2⁻²⁴ (see ``bfloat16``).
    rows, places = np.nonzero(products >= products[:, k - 1 : k] - 2 * (right.dimension + 8) * 2.0**-24)
    return rows, ids[rows, places]


def _by_ordering(queries: Matrix, right: Vectors, k: int) -> tuple[Positions, Scores]:
    """The same from all true scores, where a list holds a good part of the rows.

    The products in double precision alone take as long as all of FAISS's search: this can be half as fast as that.
    """
    parts = []
    for start in range(0, len(queries), step := max(1, DENSE_PAIRS // len(right))):
        block = queries[start : start + step]
        blocks = [scores.all_products(block, base) for _, base in right.blocks(DENSE_BLOCK)]
        products = np.hstack(blocks) if len(blocks) > 1 else blocks[0]
        least = np.partition(products, len(right) - k, axis=1)[:, len(right) - k]
        rows, ids = np.nonzero(~(products < least[:, None]))  # with NaN, which is refused
        parts.append(_ranked(rows, ids, products[rows, ids], len(block), k))
    return np.concatenate([ids for ids, _ in parts]), np.concatenate([found for _, found in parts])
