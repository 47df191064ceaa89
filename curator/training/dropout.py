"""Dropout with masks from a quarter of the random numbers.

torch draws a number for each element, which is a fifth of a training step on a processor. A number of 64 bits is enough
for four decisions of 16: the share that is dropped is within 1 in 100,000 of what was asked for, and each decision is
still by bits of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

NAME = "eager_with_lean_dropout"
DECISIONS = 4  # of 16 bits in a number of 64
LEVELS = 1 << 16


def dropout(x: Tensor, p: float) -> Tensor:
    """``x`` with a share ``p`` of its elements 0 and the others scaled, so that its mean stays; by torch's generator."""
    if p <= 0:
        return x
    dropped = round(p * LEVELS)
    if dropped >= LEVELS:
        return x * 0
    numbers = torch.empty(-(-x.numel() // DECISIONS), dtype=torch.int64).random_(-(1 << 63), None)
    kept = numbers.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - LEVELS // 2
    return x * kept.to(x.dtype).mul_(LEVELS / (LEVELS - dropped))


@contextmanager
def lean_dropout(model: nn.Module) -> Iterator[None]:
    """Inside, the dropout layers of a model on a processor draw their masks so."""
    layers = [layer for layer in model.modules() if type(layer) is nn.Dropout]
    for layer in layers:
        layer.forward = partial(_layer, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _layer(layer: nn.Dropout, x: Tensor) -> Tensor:
    return dropout(x, layer.p) if layer.training else x
