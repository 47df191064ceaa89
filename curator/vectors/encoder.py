"""What makes vectors of texts: the part that a person may replace by their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from curator.vectors.rows import Half, Matrix


@dataclass(frozen=True)
class Encoded:
    """What an encoder returns for n texts: vectors, and how much of each text it read.

    ``vectors``: (n, d) float32, unit rows, or the same rounded to float16, which a store then keeps in half the
    space; ``n_tokens``: (n,) int32, tokens of each whole text; ``truncated``: (n,) bool, something of the text did
    not reach the model.
    """

    vectors: Matrix | Half
    n_tokens: npt.NDArray[np.int32]
    truncated: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        lengths = (len(self.vectors), len(self.n_tokens), len(self.truncated))
        if self.vectors.ndim != 2 or len(set(lengths)) != 1:
            raise ValueError(
                f"vectors of shape {self.vectors.shape} with {lengths[1]} token counts and {lengths[2]} flags"
            )


class Encoder(Protocol):
    """Texts to vectors: the part that a person may replace by their own."""

    @property
    def key(self) -> str:
        """Names the vectors: model, weights, settings, precision and storage. Safe as a file name."""

    @property
    def dimension(self) -> int:
        """Components of a vector."""

    def encode(
        self, texts: Sequence[str], *, query: bool = False, progress: Callable[[int], None] | None = None
    ) -> Encoded:
        """Vectors of ``texts`` in their order, a function of these texts alone."""
