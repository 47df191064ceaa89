"""Approximate indexes of corpora: chosen and tuned for the recall that is asked, and kept with what was measured.

An index belongs to one version of a corpus and one kind of vectors. A search uses it where that is the faster way, and
the report carries its recall.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from curator.errors import UsageError
from curator.indexes import stored
from curator.indexes.choice import check, kinds
from curator.indexes.index import Certificate, Index
from curator.indexes.making import Work
from curator.indexes.measured import DEPTHS, Measured, Promise, Wanted, Wish
from curator.indexes.stored import MANIFEST, PREFIX, Parts, asked_of, find
from curator.indexes.tuning import fresh, keys_of, report, sample_of
from curator.relation import Relation
from curator.vectors import Matrix, Vectors

__all__ = [
    "DEPTHS", "MANIFEST", "PREFIX", "Certificate", "Drift", "Index", "Measured", "Promise", "Wanted", "Wish",
    "asked_of", "build", "drift", "find", "wished",
]  # fmt: skip

QUERIES_KEPT = 32_768  # of a person's own
DEFAULT = Wish()


@dataclass(frozen=True)
class Drift:
    """What an index gives now, on queries that had no part in making it."""

    asked: float
    promises: tuple[Promise, ...]
    drifted: bool  # all of an interval lies below what was asked

    def json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        found = "; ".join(map(str, self.promises)) or "exact search, whose recall is 1"
        verdict = f"less than the {self.asked:g} that was asked" if self.drifted else f"asked {self.asked:g}: kept"
        return f"{found} ({verdict})"


def build(
    relation: Relation, wish: Wish = DEFAULT, *, queries: Vectors | None = None, source: str = "", anew: bool = False
) -> Measured:
    """An index of a corpus that gives the recall that is wished, chosen, tuned and measured; and keep it.

    ``queries`` are the person's own, named by ``source``; without them those of an earlier call serve, or rows of the
    corpus. What there is of this version is left as it is where it was asked the same; else, and of another
    version, its entries are taken up, unless it is to be made ``anew``. Raises UsageError for a wish that cannot
    be fulfilled, with what can.
    """
    check(wish)
    if relation.home is None:
        raise UsageError("only a corpus of the workspace has an index")
    known = find(relation)
    if known and not anew and known.measured.wish == wish and (queries is None or source == known.measured.source):
        return replace(known.measured, did="nothing: it is there")
    return stored.write(stored.folder_of(relation), _made(relation, wish, queries, source, anew))


def _made(relation: Relation, wish: Wish, queries: Vectors | None, source: str, anew: bool) -> Parts:
    before = next(stored.earlier(relation), None)
    old = None if before is None else stored.read(before)
    kept: Matrix | None = None
    if queries is not None:
        kept = _some(queries)
    elif before is not None and old is not None and old.source:
        kept, source = stored.load(before).queries, old.source
    tried, why = kinds(wish, len(relation), relation.dimension)
    vectors = relation.vectors.unit()
    work = Work(vectors, keys_of(vectors), wish, kept, source)
    if not tried:
        return work.flat(why)
    work.measure()
    did = "built"
    if before is not None and old is not None and not anew and old.kind in tried:
        taken = work.take_up(stored.load(before), old, why)
        if isinstance(taken, Parts):
            return taken
        did = f"built again: {taken}"
    return work.built(tried, why, did)


def wished(relation: Relation) -> Wish:
    """What was asked of the index of a corpus, or of an earlier version; else the default."""
    before = None if relation.home is None else next(stored.earlier(relation), None)
    return DEFAULT if before is None else stored.read(before).wish


def drift(relation: Relation, queries: Vectors | None = None) -> Drift:
    """Measure an index again, on fresh queries: those given, or rows that it was neither tuned nor reported on.

    Raises UsageError where there is no index.
    """
    index = find(relation)
    if index is None:
        raise UsageError("there is no index of this version of the corpus: curator index makes one")
    asked = index.measured.wish.recall
    if index.file is None:
        return Drift(asked, (), drifted=False)
    if queries is None and (index.measured.source or not index.file.lists):
        what = f"it was measured on {index.measured.source}" if index.measured.source else "its rows are in the graph"
        raise UsageError(f"its recall can be measured on fresh queries only, and {what}: give some as queries")
    vectors = relation.vectors.unit()
    keys = keys_of(vectors)
    sample = fresh(vectors, keys) if queries is None else sample_of(vectors, keys, queries)
    promises = tuple(report(index, keys, sample, promise) for promise in index.measured.promises)
    return Drift(asked, promises, drifted=any(promise.high < asked for promise in promises))


def _some(queries: Vectors) -> Matrix:
    """A person's queries as unit vectors; of very many, some."""
    rows = np.random.default_rng(2).permutation(len(queries))[:QUERIES_KEPT]
    return queries.take(np.sort(rows)).unit().matrix()
