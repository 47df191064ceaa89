"""What makes vectors of texts: the part that a person may replace by their own."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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


class Step(Protocol):
    """Is told of each batch that an encoder has done how many texts it finished, and how many tokens were read."""

    def __call__(self, texts: int, tokens: int = 0, /) -> None: ...


class Encoder(Protocol):
    """Texts to vectors: the part that a person may replace by their own."""

    @property
    def key(self) -> str:
        """Names the vectors: model, weights, settings, precision and storage. Safe as a file name."""

    @property
    def dimension(self) -> int:
        """Components of a vector."""

    def encode(self, texts: Sequence[str], *, query: bool = False, progress: Step | None = None) -> Encoded:
        """Vectors of ``texts`` in their order, a function of these texts alone."""


@runtime_checkable
class ManyEncoder(Protocol):
    """What an encoder may have beside ``encode``, to prepare one list of texts while another is run."""

    def encode_all(self, parts: Iterable[Sequence[str]], *, progress: Step | None = None) -> Iterator[Encoded]:
        """What ``encode`` returns for each list of texts, in order."""


def encode_all(encoder: Encoder, parts: Iterable[Sequence[str]], progress: Step | None = None) -> Generator[Encoded]:
    """What ``encode`` returns for each list of texts, in order, by the encoder's own way for many if it has one."""
    if isinstance(encoder, ManyEncoder):
        yield from encoder.encode_all(parts, progress=progress)
    else:
        for texts in parts:
            yield encoder.encode(texts, progress=progress)
