"""A model's texts become its vectors: tokenised, cut or chunked, batched by length, run and normalised."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from curator import hardware
from curator.encoder.ahead import ahead
from curator.errors import DataError, UsageError
from curator.vectors import Encoded, Matrix, Step

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BATCH_TOKENS = {"cpu": 2048, "cpu with AMX": 4096, "cuda": 32768}  # padded; on a CPU more of them leave the cache
TOKENISE_ROWS = 4096  # texts handed to the tokenizer at a time: its results are larger than the token ids

Tokens = list[int]


@dataclass(frozen=True)
class Prompts:
    """What is put before a text; empty for a model that was trained without."""

    passage: str = ""
    query: str = ""


@dataclass(frozen=True, eq=False)
class _Tokenised:
    """Texts as the model reads them: each in one chunk or, with ``long_texts = "mean"``, in several."""

    chunks: list[Tokens]
    ends: npt.NDArray[np.int64]  # (n,) where the chunks of each text end
    n_tokens: npt.NDArray[np.int32]  # (n,) of each whole text
    before: int  # tokens of each chunk that come before the text's own


@dataclass(frozen=True, repr=False, eq=False)
class SentenceEncoder:
    """A sentence-transformers model that reads texts as its settings say. Made by ``load``.

    ``max_length`` counts tokens, special ones and the prompt included. With ``long_texts = "mean"`` a longer text is
    read in chunks of that length, and its vector is the mean of theirs, weighted by their own tokens.
    """

    key: str
    model: str
    revision: str  # commit of the hub, or fingerprint of the files
    dimension: int
    max_length: int
    long_texts: str
    storage: str  # the type of passages' vectors
    precision: hardware.Precision
    precision_reason: str
    prompts: Prompts
    specials: tuple[int, int]  # special tokens before and after every text
    made_from: str  # what ``identity.made_from`` said of the files that were loaded; empty where it cannot be trusted
    _model: "SentenceTransformer"

    def __repr__(self) -> str:
        beyond = "cut" if self.long_texts == "truncate" else "averaged over chunks"
        return f"SentenceEncoder({self.key}: {self.dimension} dimensions, over {self.max_length} tokens {beyond})"

    def describe(self) -> dict[str, Any]:
        """Everything that decides the vectors, and where they are made, as plain values for a manifest."""
        place = hardware.decide()
        return {
            "key": self.key,
            "model": self.model,
            "revision": self.revision,
            "dimension": self.dimension,
            "max_length": self.max_length,
            "long_texts": self.long_texts,
            "storage": self.storage,
            "precision": self.precision,
            "precision_reason": self.precision_reason,
            "prompts": {"passage": self.prompts.passage, "query": self.prompts.query},
            "device": place.device,
            "device_reason": place.device_reason,
        }

    def encode(self, texts: Sequence[str], *, query: bool = False, progress: Step | None = None) -> Encoded:
        """Vectors of ``texts`` in their order: (n, d) float32, unit rows, C-contiguous; passages' in ``storage``.

        ``query`` puts the model's query prompt before each text instead of its passage prompt. ``progress`` is called
        after each batch with the numbers of texts it finished and of tokens it read. Token counts include the prompt
        and special tokens.
        Raises UsageError for a single string, DataError when the model returns something that is not a number.
        """
        return self._vectors(self._tokenised(texts, query=query), "float32" if query else self.storage, progress)

    def encode_all(self, parts: Iterable[Sequence[str]], *, progress: Step | None = None) -> Generator[Encoded]:
        """What ``encode`` returns for each part, in order; the next is tokenised in a thread while one is run.

        Each part's vectors are the bytes that ``encode`` gives. Raises as it does, when the part's turn has come.
        """
        with closing(ahead(partial(self._tokenised, query=False), parts)) as tokenised:
            for part in tokenised:
                yield self._vectors(part, self.storage, progress)

    def _tokenised(self, texts: Sequence[str], *, query: bool) -> _Tokenised:
        if isinstance(texts, str):
            raise UsageError(f"encode takes a list of texts, not the text {texts[:40]!r}; put it in a list")
        prompt = self.prompts.query if query else self.prompts.passage
        before = self.specials[0] + count_tokens(self._model.tokenizer, prompt)
        ids = list(self._tokenise([prompt + text for text in texts]))
        chunks = [self._chunks(tokens, before) for tokens in ids]
        ends = np.cumsum([len(of_text) for of_text in chunks], dtype=np.int64)
        n_tokens = np.fromiter(map(len, ids), np.int32, len(ids))
        return _Tokenised(list(chain.from_iterable(chunks)), ends, n_tokens, before)

    def _vectors(self, of: _Tokenised, storage: str, progress: Step | None) -> Encoded:
        vectors = self._forward(of, progress)
        if len(of.chunks) > len(of.ends):
            own = np.fromiter(map(len, of.chunks), np.float32, len(of.chunks)) - of.before - self.specials[1]
            vectors = _weighted_mean(vectors, np.maximum(own, 1), of.ends)
        cut = (of.n_tokens > self.max_length) & (self.long_texts == "truncate")
        return Encoded(vectors.astype(storage, copy=False), of.n_tokens, cut)

    def _tokenise(self, texts: list[str]) -> Iterator[Tokens]:
        """Token ids of each whole text, special tokens included."""
        tokenizer = whole(self._model.tokenizer)
        for start in range(0, len(texts), TOKENISE_ROWS):
            for encoding in tokenizer.encode_batch_fast(texts[start : start + TOKENISE_ROWS]):
                yield encoding.ids

    def _chunks(self, tokens: Tokens, before: int) -> list[Tokens]:
        """What of a text is read: all of it, one end, or all of it in pieces that each have the prompt."""
        if len(tokens) <= self.max_length:
            return [tokens]
        start, end = self.specials[0], len(tokens) - self.specials[1]
        if self.long_texts == "mean":
            size = self.max_length - before - self.specials[1]
            return [
                tokens[:before] + tokens[at : min(at + size, end)] + tokens[end:] for at in range(before, end, size)
            ]
        size = self.max_length - sum(self.specials)
        if self._model.tokenizer.truncation_side == "left":
            return [tokens[:start] + tokens[end - size :]]
        return [tokens[: start + size] + tokens[end:]]

    @torch.inference_mode()
    def _forward(self, of: _Tokenised, progress: Step | None) -> Matrix:
        """One unit vector per chunk, (m, d) float32. They stay on the device until all are there: one copy back."""
        device = hardware.decide().device
        lengths = np.fromiter(map(len, of.chunks), np.int64, len(of.chunks))
        results = torch.empty(len(of.chunks), self.dimension, device=device)
        for rows in _batches(lengths, batch_tokens(self.precision)):
            tensors = self._features([of.chunks[row] for row in rows], lengths[rows])
            features: dict[str, Any] = {name: _moved(tensor, device) for name, tensor in tensors.items()}
            if of.before > self.specials[0]:  # pooling that leaves the prompt out wants to know where it ends
                features["prompt_length"] = of.before
            pooled = self._model(features)["sentence_embedding"][:, : self.dimension].float()
            results[_moved(torch.from_numpy(rows), device)] = torch.nn.functional.normalize(pooled, dim=1)
            if progress is not None:
                finished = np.isin(rows, of.ends - 1).sum()  # of a text's chunks, the last is the last one read
                progress(int(finished), int(lengths[rows].sum()))
        vectors: Matrix = results.cpu().numpy()
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise DataError(
                f"{self.model}: {len(bad):,} of {len(of.chunks):,} vectors are not finite; are its weights whole?"
            )
        return vectors

    def _features(self, batch: list[Tokens], lengths: npt.NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Padded ids and attention mask of one batch."""
        tokenizer = self._model.tokenizer
        width = lengths.max()
        columns = np.arange(width)
        missing = (width - lengths)[:, None]
        mask = columns >= missing if tokenizer.padding_side == "left" else columns < lengths[:, None]
        ids = np.full(mask.shape, tokenizer.pad_token_id or 0, np.int64)
        ids[mask] = np.fromiter(chain.from_iterable(batch), np.int64, lengths.sum())
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}


def batch_tokens(precision: hardware.Precision) -> int:
    """Padded tokens a batch where it runs."""
    device = hardware.decide().device
    amx = device == "cpu" and precision == "bf16" and torch.cpu.get_capabilities().get("amx_bf16")
    return BATCH_TOKENS["cpu with AMX" if amx else device]


def _moved(tensor: torch.Tensor, device: str) -> torch.Tensor:
    """A tensor on the device. To a GPU it goes from pinned memory, so that the copy itself is not waited for."""
    return tensor.pin_memory().to(device, non_blocking=True) if device == "cuda" else tensor


def _batches(lengths: npt.NDArray[np.int64], tokens: int) -> Iterator[npt.NDArray[np.int64]]:
    """Positions of the next batch, longest first: at most ``tokens`` once padded, and at least one text."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        rows = order[start : start + max(1, tokens // int(lengths[order[start]]))]
        yield rows
        start += len(rows)


def _weighted_mean(vectors: Matrix, weight: npt.NDArray[np.float32], ends: npt.NDArray[np.int64]) -> Matrix:
    """Unit rows of the weighted mean over each run of rows; ``ends`` is where the runs end."""
    starts = np.concatenate([[0], ends[:-1]])
    sums = np.add.reduceat(vectors * weight[:, None], starts, axis=0)
    means: Matrix = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return means


def whole(tokenizer: Any) -> Any:
    """The fast tokenizer itself, set to neither cut nor pad (some models come with a setting of their own)."""
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer.backend_tokenizer


def count_tokens(tokenizer: Any, prompt: str) -> int:
    """Tokens of a prompt, without a trailing space: that belongs to the text's first token."""
    return len(whole(tokenizer).encode(prompt.rstrip(), add_special_tokens=False).ids)
