"""Attention on a processor over keys padded to whole vectors, for models that let their attention be replaced."""

from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "sdpa_on_whole_vectors"
KEYS = 16  # fp32 numbers in a vector of AVX-512


def attend_on_whole_vectors(model: "PreTrainedModel") -> None:
    """Replace ``sdpa`` attention of a model by the same over padded keys; leave any other as it is."""
    if model.config._attn_implementation == "sdpa" and model._can_set_attn_implementation():
        AttentionInterface.register(NAME, _attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """What ``sdpa_attention_forward`` returns, of keys padded to a multiple of ``KEYS`` that none attends to.

    torch's kernel takes scores of a query 16 at a time and those left over one by one: 25 keys take twice the time
    of 32, and 15 two and a half times that of 16. Keys that are masked weigh 0 exactly.
    """
    missing = -key.shape[2] % KEYS
    told = options.get("is_causal")
    causal = attention_mask is None and (getattr(module, "is_causal", True) if told is None else told)
    if missing and not causal and options.get("position_bias") is None:
        if attention_mask is None:
            attention_mask = torch.ones(1, 1, 1, key.shape[2], dtype=torch.bool, device=key.device)
        nothing = False if attention_mask.dtype == torch.bool else float("-inf")
        attention_mask = torch.nn.functional.pad(attention_mask, (0, missing), value=nothing)
        key, value = _padded(key, missing), _padded(value, missing)
    return sdpa_attention_forward(module, query, key, value, attention_mask, **options)


def _padded(x: torch.Tensor, missing: int) -> torch.Tensor:
    """(batch, heads, keys, d) with zeros for missing keys, laid out as linear layers leave it: keys before heads."""
    return torch.nn.functional.pad(x.transpose(1, 2), (0, 0, 0, 0, 0, missing)).transpose(1, 2)
