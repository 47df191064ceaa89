"""Making an index: kinds are tried until one gives the recall that is wished, or one of earlier is taken up."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from curator import neighbours
from curator.errors import UsageError
from curator.indexes import taking_up
from curator.indexes.choice import GIB
from curator.indexes.index import ADVANTAGE, Index
from curator.indexes.measured import DEPTHS, Measured, Promise, Wish
from curator.indexes.stored import Parts
from curator.indexes.tuning import TIMED, Keys, Sample, Short, held_out, promised, report, samples, times
from curator.neighbours import Approximate, Kind
from curator.vectors import Matrix, Vectors

LONGER = 4  # times as far as before a search may read before the index is built again


class Work:
    """The vectors of one corpus, and what is measured on them."""

    def __init__(self, vectors: Vectors, keys: Keys, wish: Wish, queries: Matrix | None, source: str) -> None:
        self.vectors, self.keys, self.wish, self.queries, self.source = vectors, keys, wish, queries, source
        self.parts: list[Sample] = []
        self.exact = (0.0, 0.0)

    def measure(self) -> None:
        """The samples, and how long exact search takes."""
        own = None if self.queries is None else Vectors.of(self.queries, unit=True)
        self.parts = samples(self.vectors, self.keys, own, self.wish.recall)
        many = Vectors.of(np.resize(self.parts[0].queries, (TIMED, self.vectors.dimension)), unit=True)
        self.exact = times(lambda n: neighbours.nearest(many.take(np.arange(n)), self.vectors, DEPTHS[0]))

    def flat(self, why: str) -> Parts:
        """No index: exact search."""
        return Parts(Index(None, None, self._measured("flat", why, None, "nothing to build")), self.keys, self.queries)

    def built(self, tried: Sequence[Kind], why: str, did: str) -> Parts:
        """The first of some kinds that reaches what is asked. Raises UsageError where none does."""
        short: list[tuple[Kind, Short]] = []
        for kind in tried:
            index, made = self._tried(kind, why, did)
            if isinstance(made, Short):
                short.append((kind, made))
                why = f"{kind} reached a recall of {made.recall:.3f} only"
                continue
            one, each = made.promises[0].seconds
            if self.wish.kind == "auto" and one >= ADVANTAGE * self.exact[0] and each >= ADVANTAGE * self.exact[1]:
                return self.flat(f"for this recall {kind} takes {1e3 * one:.2f} ms a query, exact search no longer")
            assert index.rows is not None
            return Parts(replace(index, measured=made), self.keys[index.rows], self.queries)
        raise UsageError(unmet(self.wish, short, len(self.vectors), self.vectors.dimension))

    def _tried(self, kind: Kind, why: str, did: str) -> tuple[Index, Measured | Short]:
        """An index of one kind, and what it promises or reaches."""
        if not kind.startswith("hnsw") or self.queries is not None:
            file = Approximate.build(kind, self.vectors)
            index = Index(file, np.arange(len(self.vectors)), self._measured(kind, why, file, did))
            return index, self.tuned(index, self.parts)
        parts, rest, held = held_out(self.vectors, self.keys, self.wish.recall)
        file = Approximate.build(kind, self.vectors.take(rest))
        index = Index(file, rest, self._measured(kind, why, file, did))
        made = self.tuned(index, parts)
        file.append(self.vectors.take(held))
        if isinstance(made, Measured):
            grown = len(self.vectors) / len(rest)  # the graph was that much smaller when it was measured
            longer = [math.ceil(grown * max(one.reach, one.k * one.factor)) for one in made.promises]
            told = tuple(replace(one, reach=reach) for one, reach in zip(made.promises, longer, strict=True))
            made = replace(made, entries=file.entries, promises=told)
        return replace(index, rows=np.concatenate([rest, held])), made

    def tuned(self, index: Index, parts: list[Sample], furthest: int | None = None) -> Measured | Short:
        """What it promises; what it reaches where that is not enough. Of more neighbours it may promise nothing."""
        assert index.file is not None
        limit = min(furthest or index.file.furthest, index.file.furthest)
        found: list[Promise] = []
        for k in DEPTHS:
            made = promised(index, self.vectors, self.keys, parts, k, limit)
            if isinstance(made, Promise):
                found.append(made)
            elif not found:
                return made
        return replace(index.measured, promises=tuple(found))

    def take_up(self, earlier: Parts, old: Measured, why: str) -> Parts | str:
        """An index of earlier for these rows; why it must be built, where its recall cannot be had with it."""
        if old.kind.startswith("hnsw") and self.queries is None:
            return "a graph must be measured on queries that are not in it, and there are no others than its rows"
        taken = taking_up.taken_up(earlier, self.vectors, self.keys)
        if isinstance(taken, str):
            return taken
        parts, change = taken
        file = parts.index.file
        assert file is not None
        measured = replace(self._measured(old.kind, why, file, str(change)), dead=parts.index.measured.dead)
        index = replace(parts.index, measured=measured)
        same = old.wish.recall == self.wish.recall and old.source == self.source
        if same:
            told = [report(index, self.keys, self.parts[1], promise) for promise in old.promises]
            if told and min(promise.low for promise in told) >= self.wish.recall:
                index = replace(index, measured=replace(measured, promises=tuple(told)))
                return replace(parts, index=index, queries=self.queries)
        made = self.tuned(index, self.parts, LONGER * max(promise.reach for promise in old.promises) if same else None)
        if isinstance(made, Short):
            return f"its recall had fallen to {made.recall:.3f}"
        if same:
            read = (
                f"; its recall had fallen, and {made.promises[0].reach:,} are read instead of {old.promises[0].reach:,}"
            )
            made = replace(made, did=f"{change}{read}")
        return replace(parts, index=replace(index, measured=made), queries=self.queries)

    def _measured(self, kind: Literal["flat"] | Kind, why: str, file: Approximate | None, did: str) -> Measured:
        zeros = sum(int((~block.any(axis=1)).sum()) for _, block in self.vectors.blocks(65_536))
        return Measured(
            self.wish, kind, why, len(self.vectors), self.vectors.dimension, file.lists if file else 0,
            file.entries if file else 0, 0, zeros, 0, self.source, did, (), self.exact,
        )  # fmt: skip


def unmet(wish: Wish, short: list[tuple[Kind, Short]], rows: int, dimension: int) -> str:
    """That a recall was not reached, what was, and what to do."""
    reached = "; ".join(f"{kind} {made}" for kind, made in short)
    best = max(made.low for _, made in short)
    others = [kind for kind in neighbours.KINDS if kind not in dict(short)]
    sizes = [f"{kind} takes {neighbours.size_of(kind, rows, dimension) / GIB:.3f} GiB" for kind in others]
    more = f"allow another kind more memory ({', '.join(sizes)}), " if sizes else ""
    return (
        f"recall = {wish.recall:g} was not reached: {reached}. Ask for at most {int(best * 1000) / 1000}, {more}or use "
        "EXACT, which finds every neighbour"
    )
