"""FAISS's flat search of one block by another, on the GPU where there is one, and how fast it compares."""

from functools import cache
from typing import Literal

from curator.hardware import decide
from curator.neighbours.edges import Positions, Scores
from curator.neighbours.library import faiss
from curator.vectors import Matrix

Metric = Literal["inner_product", "distance"]

GPU_MAX_K = 2_048  # FAISS's limit on its classic GPU indexes

# From how many components of all queries together FAISS takes matrix products. Its 128,000 was tuned on many cores; on
# two it makes 16 to 300 queries of 384 two to five times slower than need be, and its own proposal is 800 a thread
# (faiss issue 4925, pull request 5109). It can only be set for the whole process; it moves nothing but rounding, is set
# once, so that threads do not race for it, and only where it is that default.
if faiss.cvar.distance_compute_blas_threshold == 128_000:
    faiss.cvar.distance_compute_blas_threshold = min(128_000, 800 * faiss.omp_get_max_threads())


@cache
def device() -> tuple[str, str]:
    """Where FAISS searches, ``cpu`` or ``cuda``, and why."""
    wanted = decide()
    if wanted.device == "cpu":
        return "cpu", wanted.device_reason
    if not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0:
        return "cpu", "the installed FAISS has no GPU support; install the extra 'gpu'"
    return "cuda", wanted.device_reason


def search(queries: Matrix, base: Matrix, k: int, metric: Metric) -> tuple[Positions, Scores]:
    """The k ≤ len(base) best for each query, (q, k) positions and inner products or *squared* distances, best first.

    Raises ValueError for vectors with NaN or infinity, and for products beyond single precision.
    """
    kind = faiss.METRIC_INNER_PRODUCT if metric == "inner_product" else faiss.METRIC_L2
    if device()[0] == "cuda" and k <= GPU_MAX_K:
        scores, ids = faiss.knn_gpu(_gpu(), queries, base, k, metric=kind)
    else:
        scores, ids = faiss.knn(queries, base, k, metric=kind)
    if (ids < 0).any():
        raise ValueError("a vector holds NaN or infinity, which cannot be ordered")
    return ids, scores


@cache
def _gpu() -> "faiss.StandardGpuResources":
    return faiss.StandardGpuResources()
