"""Linear layers on a processor that multiplies bf16, and the memory that their results are put in."""

import ctypes
import os
from functools import cache

import torch


class _PackedLinear(torch.nn.Module):
    """A bf16 linear layer with its weights reordered once for oneDNN and the bias added in the same pass.

    The same bits as ``torch.nn.Linear``, which copies the bias into its result first: 6–11 % of the whole is saved.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return result


def pack(module: torch.nn.Module) -> None:
    """Pack the linear layers of a model in bf16, where oneDNN has products in bf16 for this processor."""
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return
    for name, child in module.named_children():
        if type(child) is torch.nn.Linear:
            setattr(module, name, _PackedLinear(child))
        else:
            pack(child)


@cache
def tune_memory() -> None:
    """Set, once for the process, what glibc and oneDNN keep between batches.

    glibc may keep up to 256 MB that were freed, instead of handing them back after every layer: every batch asks for
    the same tensors again, and faulting their pages in anew took 5–10 % of the time. oneDNN keeps 64 products made
    ready instead of 1,024: nearly every batch has a shape of its own, so that it would fill half a gigabyte with what
    never comes back. A person's own ``ONEDNN_PRIMITIVE_CACHE_CAPACITY`` is left alone.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")  # read at the first product
    libc = ctypes.CDLL(None) if os.name == "posix" else None
    if libc is not None and hasattr(libc, "mallopt"):  # glibc's; its parameters have no names in Python
        mmap_threshold, trim_threshold = -3, -1
        libc.mallopt(mmap_threshold, 64 << 20)
        libc.mallopt(trim_threshold, 256 << 20)
