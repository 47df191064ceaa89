"""The loss of a document, by the kind of the task, and the pairing loss."""

from typing import TypeVar

from torch import Tensor
from torch.nn import functional

from curator.recipe import Kind

Loss = TypeVar("Loss", float, Tensor)


def pairing_loss(selected_loss: Loss, target_loss: Loss, lambda_: float) -> Loss:
    """L = L_S + λ·(L_S − L_T) = (1+λ)·L_S − λ·L_T.

    ``selected_loss`` and ``target_loss`` are the (weighted) mean losses on the selected and on the target documents.
    λ = −1 is the target alone, λ = 0 the selection alone, between them a weighted mean of the two. Above 0 the
    target's loss enters with a minus sign: training then pushes it up. Linear in both losses, so parts of a batch
    can be passed one by one and the results added.
    """
    return (1 + lambda_) * selected_loss - lambda_ * target_loss


def losses_of(kind: Kind, logits: Tensor, known: Tensor) -> Tensor:
    """(n,) losses of (n, outputs) logits, a number for each document.

    single: cross-entropy of ``known``, (n,) classes or (n, outputs) probabilities. multi: binary cross-entropy of
    ``known``, (n, outputs) of 0 and 1, mean over the labels. regression: squared error, ``known`` of (n, 1).
    """
    match kind:
        case "single":
            return functional.cross_entropy(logits, known, reduction="none")
        case "multi":
            return functional.binary_cross_entropy_with_logits(logits, known, reduction="none").mean(dim=1)
        case "regression":
            return (logits - known).square().squeeze(1)
