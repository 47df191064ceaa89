"""FAISS, imported so that its matrix products use what the processor has.

Its wheels carry an OpenBLAS that does not know Intel's processors since Sapphire Rapids, and falls back on kernels of
2004 for them: products, and so exact search, k-means and the building of inverted files, take three times as long. All
of these processors have what Skylake-X has, whose kernels OpenBLAS is told to take. It looks when it is loaded.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "OPENBLAS_CORETYPE"
SKYLAKEX = frozenset({"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"})


def kernels(cpuinfo: str) -> str | None:
    """OpenBLAS's name for the kernels to take on a processor, by ``/proc/cpuinfo``; None where it finds its own."""
    told = {name.strip(): value.split() for name, _, value in (line.partition(":") for line in cpuinfo.splitlines())}
    known = told.get("vendor_id") == ["GenuineIntel"] and SKYLAKEX.issubset(told.get("flags", ()))
    return "SKYLAKEX" if known else None


@contextmanager
def _told() -> Iterator[None]:
    """With the variable that names the kernels, unless a person has set it."""
    try:
        name = kernels(Path("/proc/cpuinfo").read_text("utf8", "replace"))
    except OSError:  # another system
        name = None
    if name is None or VARIABLE in os.environ:
        yield
        return
    os.environ[VARIABLE] = name
    try:
        yield
    finally:
        del os.environ[VARIABLE]


with _told():
    import faiss

__all__ = ["faiss"]
