"""Forward passes: padding, and batched inference."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curator.hardware import Precision
from curator.training.unpadded import Layout, is_supported, run, width_of

BATCH_TOKENS = 2048  # on a CPU 1024 and 2048 are alike, 4096 is 10 % slower (cache)


def forward(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: Sequence[list[int]]) -> Tensor:
    """Logits (len(ids), labels) float32 of token ids, without padding where the model allows it."""
    if is_supported(model) and tokenizer.padding_side == "right":
        layout = Layout.of(ids, model.device)
        logits: Tensor = run(model, ids, layout, int(tokenizer.pad_token_id), first=True).logits
        return logits[layout.given].float()
    tokens, mask = padded(tokenizer, ids)
    logits = model(input_ids=tokens.to(model.device), attention_mask=mask.to(model.device)).logits
    return logits.float()


def sentence_vectors(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: Sequence[list[int]]) -> Tensor:
    """(len(ids), width) float32 of length one: the mean of the last layer's vectors, as encoders of sentences do it."""
    body = model.base_model
    if is_supported(body):
        layout = Layout.of(ids, model.device)
        states = run(body, ids, layout, int(tokenizer.pad_token_id), first=False).last_hidden_state[0].float()
        sizes = torch.tensor([len(ids[row]) for row in layout.order], device=states.device)
        owner = torch.arange(len(ids), device=states.device).repeat_interleave(sizes)
        sums = states.new_zeros(len(ids), states.shape[1]).index_add(0, owner, states[: len(owner)])[layout.given]
    else:
        tokens, mask = (part.to(model.device) for part in padded(tokenizer, ids))
        states = body(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
        sums = (states * mask.unsqueeze(-1)).sum(dim=1)
    return functional.normalize(sums, dim=1)  # the mean has the same direction


def padded(tokenizer: PreTrainedTokenizerBase, ids: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """Token ids and mask, each (len(ids), the longest rounded up to whole ``STEP``) int64."""
    width = width_of(max(len(tokens) for tokens in ids))
    tokens = torch.full((len(ids), width), int(tokenizer.pad_token_id))
    mask = torch.zeros((len(ids), width), dtype=torch.long)
    for row, own in enumerate(ids):
        place = slice(width - len(own), None) if tokenizer.padding_side == "left" else slice(len(own))
        tokens[row, place] = torch.tensor(own)
        mask[row, place] = 1
    return tokens, mask


def mixed(model: PreTrainedModel, precision: Precision) -> torch.autocast:
    """The context in which a model computes: bf16 products over fp32 weights, or plain fp32."""
    return torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    was_training = model.training
    model.train(False)
    try:
        yield
    finally:
        model.train(was_training)


def predict_logits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[list[int]],
    precision: Precision,
    batch_tokens: int = BATCH_TOKENS,
) -> NDArray[np.float32]:
    """Logits (len(ids), labels) float32 in the given order, without dropout.

    Batches are texts of similar length with at most ``batch_tokens`` tokens after padding (one text may have more), and
    as many in each of the same width, but for the last.
    """
    result = np.empty((len(ids), int(model.config.num_labels or 0)), dtype=np.float32)
    with _evaluating(model), torch.inference_mode(), mixed(model, precision):
        for rows in token_batches([len(tokens) for tokens in ids], batch_tokens):
            result[rows] = forward(model, tokenizer, [ids[row] for row in rows]).cpu().numpy()
    return result


def token_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Row numbers in batches, shortest first; rows × width ≤ ``batch_tokens`` unless one row alone exceeds it."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * width_of(lengths[row]) > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
