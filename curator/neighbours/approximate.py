"""Approximate indexes: codes of vectors in an order that a search reads only a part of.

Whatever the codes, a search gives candidates only: entries whose true scores whoever asked computes from the vectors
themselves. So no index keeps vectors for the sake of its scores, and the small ones are the fast ones.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self, cast, get_args

import numpy as np
import numpy.typing as npt

from curator.neighbours.edges import Positions, Scores, best
from curator.neighbours.library import faiss
from curator.neighbours.scores import of_pairs, products
from curator.vectors import Matrix, Rows, Vectors

Kind = Literal["ivf", "ivf-sq8", "ivf-pq", "hnsw", "hnsw-sq8"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LEAST_TRAINED = 16  # vectors that a product quantizer of four bits is trained on, at least
TRAINED_PER_LIST = 64  # vectors that a centroid is trained on; FAISS warns below 39
TRAINED_CODES = 65_536  # vectors that a quantizer is trained on; FAISS takes 4,096 of them for four bits
ITERATIONS = 10  # of k-means; FAISS's own number for inverted files
LINKS = 32  # of a node of HNSW; twice as many on the lowest level
WIDEST = 4_096  # nodes that a search of HNSW holds, at most
BLOCK = 65_536
BLOCK_OF_CODES = 32  # that ``ivf-pq`` compares at once; the last of each list is filled up
SEARCH_BLOCK = 1_024
_FAISS: Any = faiss  # its stubs do not know selectors, search parameters and writers


@dataclass
class Approximate:
    """FAISS's index of one kind over the inner product of unit vectors, by numbers of entries.

    ``entries``: how many it was ever given; they are numbered from 0 in the order they came, and a number is not used
    again. ``mapped``: its file is read where it lies, and it cannot be changed.
    """

    kind: Kind
    entries: int
    mapped: bool
    _index: Any

    def __repr__(self) -> str:
        return f"Approximate({self.kind}, {self.entries:,} × {self._index.d})"

    @property
    def lists(self) -> int:
        """Lists of an inverted file; 0 for a graph."""
        return int(self._index.nlist) if self.kind.startswith("ivf") else 0

    @property
    def furthest(self) -> int:
        """The largest reach: every list, or the widest search of a graph."""
        return self.lists or WIDEST

    @property
    def factors(self) -> tuple[int, ...]:
        """How many candidates for each neighbour asked make up for the error of its codes."""
        return {"ivf-sq8": (1, 2, 4), "ivf-pq": (1, 2, 4, 8, 16, 32), "hnsw-sq8": (2,)}.get(self.kind, (1,))

    def cost(self, reach: int, candidates: int) -> float:
        """What a search costs, in codes compared; reading and comparing a true vector costs as much as many codes.

        A model, not a measurement, so that the same vectors give the same index; its weights were measured.
        """
        true = {"ivf-pq": 100, "ivf-sq8": 30}.get(self.kind, 8)
        return reach * (self.entries / self.lists if self.lists else 1) + true * candidates

    @classmethod
    def build(cls, kind: Kind, vectors: Vectors, *, seed: int = 0) -> Self:
        """Index unit vectors (a zero row may be among them); everything is in memory until it is saved.

        The same vectors and seed give the same index. Raises ValueError for fewer than 16 vectors.
        """
        if len(vectors) < LEAST_TRAINED:
            raise ValueError(f"{len(vectors)} vectors are too few to be indexed: at least {LEAST_TRAINED}")
        index = _empty(kind, vectors.dimension, lists_for(len(vectors)))
        rows = np.random.default_rng(seed).permutation(len(vectors))
        if kind.startswith("ivf"):
            index.quantizer.add(_centroids(vectors, rows, int(index.nlist), seed))
        with _OneThread():  # hundreds of tiny k-means: with two threads 72 s, with one 3 s
            index.train(vectors.take(np.sort(rows[:TRAINED_CODES])).matrix())
        built = cls(kind, 0, False, index)
        built.append(vectors)
        return built

    @classmethod
    def load(cls, kind: Kind, entries: int, path: Path, *, mapped: bool = True) -> Self:
        """Open a saved index. Mapped, only the codes of ``ivf-pq`` are copied, which are the smallest."""
        return cls(kind, entries, mapped, faiss.read_index(str(path), _FAISS.IO_FLAG_MMAP_IFC if mapped else 0))

    def save(self, file: IO[bytes]) -> None:
        """Write it in FAISS's own format."""
        _FAISS.write_index(self._index, _FAISS.PyCallbackIOWriter(file.write))

    def append(self, vectors: Vectors) -> None:
        """Give it more vectors, as the entries from ``entries`` on; what it was trained on stays. Not when mapped."""
        self._changing()
        for _, block in vectors.blocks(BLOCK):
            if self.lists:
                self._index.add_with_ids(block, np.arange(self.entries, self.entries + len(block)))
            else:
                with _OneThread():  # the graph depends on the order in which threads get to the nodes
                    self._index.add(block)
            self.entries += len(block)

    def remove(self, entries: Rows) -> None:
        """Take entries out. HNSW cannot: there the caller must leave them out of every search. Not when mapped."""
        self._changing()
        if self.lists and len(entries):
            self._index.remove_ids(_FAISS.IDSelectorBatch(np.ascontiguousarray(entries, np.int64)))

    def candidates(
        self, queries: Matrix, count: int, reach: int, among: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.int64]:
        """(q, count) entries that may be the nearest of each query, the likeliest first.

        ``reach``: lists read, or nodes of the graph held. ``among`` (entries,) restricts the search to some before it
        is made. Where fewer were found a row ends in −1.
        """
        settings = (
            _FAISS.SearchParametersIVF(nprobe=min(reach, self.lists))
            if self.lists
            else _FAISS.SearchParametersHNSW(efSearch=max(reach, count))
        )
        bits = None if among is None else np.packbits(among, bitorder="little")
        if bits is not None:
            settings.sel = _FAISS.IDSelectorBitmap(bits)
        found = np.empty((len(queries), count), np.int64)
        for start in range(0, len(queries), SEARCH_BLOCK):
            block = queries[start : start + SEARCH_BLOCK]
            found[start : start + SEARCH_BLOCK] = self._index.search(block, count, params=settings)[1]
        return found

    def _changing(self) -> None:
        if self.mapped:  # FAISS would end the process
            raise ValueError("a mapped index cannot be changed; load it with mapped=False")


def rescored(queries: Matrix, right: Vectors, found: Positions, k: int) -> tuple[Positions, Scores]:
    """The k best of the (q, c) rows found for each query, by their true scores; −1 where there are fewer.

    Rows of ``right`` are compared as unit vectors.
    """
    rows, places = np.nonzero(found >= 0)
    scores = np.full(found.shape, -np.inf, np.float32)
    measure = products if right.is_unit else lambda left, base: products(left, Vectors.of(base).unit().matrix())
    scores[rows, places] = of_pairs(measure, queries, right, rows, found[rows, places])
    return best(found, scores, k, descending=True)


def size_of(kind: Kind, rows: int, dimension: int) -> int:
    """Bytes that an index takes: on disk, and in memory while it is built, with what its centroids are trained on."""
    codes = {"ivf": 4 * dimension, "hnsw": 4 * dimension, "ivf-pq": _pieces(dimension) / 2}.get(kind, dimension)
    if kind.startswith("hnsw"):
        return int(rows * (codes + 4 * LINKS * 2 * 1.1))
    trained = min(rows, TRAINED_PER_LIST * lists_for(rows))
    filled = rows + (BLOCK_OF_CODES // 2 * lists_for(rows) if kind == "ivf-pq" else 0)
    return int(filled * codes + 8 * rows + 4 * dimension * trained)


def pairs_to_build(rows: int) -> int:
    """Pairs of vectors compared to build an inverted file: k-means over its sample, and a list for every row."""
    lists = lists_for(rows)
    return (ITERATIONS * min(rows, TRAINED_PER_LIST * lists) + rows) * lists


def lists_for(rows: int) -> int:
    """About 4 √n, as FAISS's guidelines have it; never more than there are vectors."""
    return max(1, min(rows, int(4 * np.sqrt(rows))))


def _pieces(dimension: int) -> int:
    """Parts of a vector that a product quantizer codes apart: pairs of components, where they come in pairs."""
    return dimension // 2 if dimension % 2 == 0 else dimension


def _empty(kind: Kind, dimension: int, lists: int) -> Any:
    codes = {
        "ivf": f"IVF{lists},Flat",
        "ivf-sq8": f"IVF{lists},SQ8",
        "ivf-pq": f"IVF{lists},PQ{_pieces(dimension)}x4fsr",
        "hnsw": f"HNSW{LINKS},Flat",
        "hnsw-sq8": f"HNSW{LINKS},SQ8",
    }
    return cast(Any, faiss.index_factory(dimension, codes[kind], faiss.METRIC_INNER_PRODUCT))


def _centroids(vectors: Vectors, rows: Rows, lists: int, seed: int) -> Matrix:
    trained = vectors.take(np.sort(rows[: TRAINED_PER_LIST * lists])).matrix()
    settings = _FAISS.ClusteringParameters()
    settings.niter, settings.seed, settings.spherical = ITERATIONS, seed + 1, True
    settings.min_points_per_centroid, settings.max_points_per_centroid = 1, TRAINED_PER_LIST
    clustering = _FAISS.Clustering(vectors.dimension, lists, settings)
    clustering.train(trained, _FAISS.IndexFlatIP(vectors.dimension))
    centroids: Matrix = _FAISS.vector_to_array(clustering.centroids).reshape(lists, vectors.dimension)
    return centroids


class _OneThread:
    """FAISS with one thread; OpenMP keeps the number for each calling thread apart."""

    def __enter__(self) -> None:
        self._before = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        faiss.omp_set_num_threads(self._before)
