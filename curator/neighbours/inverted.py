"""An inverted-file index: the vectors in lists around centroids, of which a search reads only the nearest few."""

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import faiss
import numpy as np
import numpy.typing as npt

from curator.vectors import Vectors

TRAINED_PER_LIST = 64  # vectors that a centroid is trained on; FAISS warns below 39
BLOCK = 65_536
_FAISS: Any = faiss  # its stubs do not know selectors, search parameters and writers


@dataclass(frozen=True)
class InvertedFile:
    """FAISS's IVF with whole vectors in its lists, for unit vectors and their inner product (IndexIVFFlat)."""

    _index: Any  # a faiss.IndexIVFFlat

    def __repr__(self) -> str:
        return f"InvertedFile({len(self):,} × {self._index.d}, {self.lists:,} lists)"

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def lists(self) -> int:
        return int(self._index.nlist)

    @classmethod
    def build(cls, vectors: Vectors, *, seed: int = 0) -> Self:
        """Index unit vectors, with about 4 √n lists. Everything is in memory until it is saved."""
        lists = max(1, int(4 * np.sqrt(len(vectors))))
        index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(vectors.dimension), vectors.dimension, lists, faiss.METRIC_INNER_PRODUCT
        )
        index.cp.seed, index.cp.spherical = seed + 1, True
        rows = np.random.default_rng(seed).permutation(len(vectors))[: TRAINED_PER_LIST * lists]
        index.train(vectors.take(np.sort(rows)).matrix())
        for _, block in vectors.blocks(BLOCK):
            index.add(block)
        return cls(index)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Open a saved index; its lists stay on disk and are mapped."""
        return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP))

    def save(self, file: IO[bytes]) -> None:
        _FAISS.write_index(self._index, _FAISS.PyCallbackIOWriter(file.write))

    def search(
        self, queries: npt.NDArray[np.float32], k: int, probes: int, among: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """(q, k) positions and inner products, best first, from the ``probes`` nearest lists of each query.

        ``among`` (n,) restricts the search to some rows before it is made. Where a query's lists hold fewer than k of
        them its row ends in −1.
        """
        settings = _FAISS.SearchParametersIVF(nprobe=min(probes, self.lists))
        if among is not None:
            bits = np.packbits(among, bitorder="little")
            settings.sel = _FAISS.IDSelectorBitmap(bits)
        scores, ids = self._index.search(queries, k, params=settings)
        return ids, scores
