"""Dropout with a quarter of the random numbers.

torch draws a number for each element, which is a fifth of a training step on a processor. One of 64 bits is enough for
four decisions of 16: the share that is dropped is within 1 in 100,000 of what was asked for, and each decision has bits
of its own.
"""

import torch
from torch import Tensor, nn

DECISIONS = 4  # in a number
LEVELS = 1 << 16  # of a decision


class LeanDropout(nn.Dropout):
    """``nn.Dropout`` by ``dropout``."""

    def forward(self, x: Tensor) -> Tensor:
        """Nothing is dropped unless the model is training."""
        return dropout(x, self.p) if self.training else x


def dropout(x: Tensor, p: float) -> Tensor:
    """``x`` with a share ``p`` of its elements at 0, drawn by torch's generator, the others divided by 1 − ``p``."""
    dropped = round(p * LEVELS)
    if dropped == 0:
        return x
    if dropped == LEVELS:
        return x * 0
    numbers = torch.empty(-(-x.numel() // DECISIONS), dtype=torch.int64).random_(-(1 << 63), None)
    kept = numbers.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - LEVELS // 2
    return x * kept.to(x.dtype).mul_(LEVELS / (LEVELS - dropped))


def drop_leanly(model: nn.Module) -> None:
    """Let the dropout layers of a model on a processor be lean ones."""
    for name, child in model.named_children():
        if type(child) is nn.Dropout:
            setattr(model, name, LeanDropout(child.p).train(child.training))
        else:
            drop_leanly(child)
