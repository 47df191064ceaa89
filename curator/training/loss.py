"""The pairing loss."""

from typing import TypeVar

from torch import Tensor

Loss = TypeVar("Loss", float, Tensor)


def pairing_loss(selected_loss: Loss, target_loss: Loss, lambda_: float) -> Loss:
    """L = L_S + λ·(L_S − L_T) = (1+λ)·L_S − λ·L_T.

    ``selected_loss`` and ``target_loss`` are the (weighted) mean losses on the selected and on the target documents.
    λ = −1 is the target alone, λ = 0 the selection alone, between them a weighted mean of the two. Above 0 the
    target's loss enters with a minus sign: training then pushes it up. Linear in both losses, so parts of a batch
    can be passed one by one and the results added.
    """
    return (1 + lambda_) * selected_loss - lambda_ * target_loss
