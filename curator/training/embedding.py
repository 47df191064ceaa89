"""The word vectors that one training run can touch.

Half of a small BERT is its word embedding, and a run of a few hundred short texts meets a tenth of the vocabulary.
The other rows have a gradient of exactly zero, so AdamW does nothing to them but decay. Leaving them out of gradient,
clipping and optimiser changes no result and saves memory traffic in every step (about 7 % of a CPU step).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional


class SeenEmbedding(nn.Module):
    """Stands in for an ``nn.Embedding`` and trains only the rows of ``tokens``; ``whole()`` gives it all back.

    Any other token is an IndexError or a wrong row, so ``tokens`` must hold all that the model will meet.
    """

    def __init__(self, original: nn.Embedding, tokens: Iterable[int]) -> None:
        super().__init__()
        padding = () if original.padding_idx is None else (original.padding_idx,)
        rows = torch.tensor(sorted({*tokens, *padding}))
        place = torch.full((original.num_embeddings,), len(rows))
        place[rows] = torch.arange(len(rows))
        self._original = (original,)  # in a tuple: not a submodule, its weight is no parameter here
        self.weight = nn.Parameter(original.weight.detach()[rows].clone())
        self.decay = nn.Buffer(torch.ones((), dtype=torch.float64))
        self.rows = nn.Buffer(rows.to(original.weight.device), persistent=False)
        self.place = nn.Buffer(place.to(original.weight.device), persistent=False)
        self.padding = int(place[original.padding_idx]) if original.padding_idx is not None else None

    def forward(self, tokens: Tensor) -> Tensor:
        return functional.embedding(self.place[tokens], self.weight, self.padding)

    def decayed(self, factor: float) -> None:
        """Take note that an optimiser step shrinks decaying parameters by ``factor``."""
        self.decay.mul_(factor)

    @torch.no_grad()
    def whole(self) -> nn.Embedding:
        """The original embedding with the trained rows in place, the others decayed as if they had been trained."""
        (original,) = self._original
        original.weight.mul_(self.decay.to(original.weight.dtype))
        original.weight[self.rows] = self.weight
        return original
