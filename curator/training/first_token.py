"""Classifiers that read the first token alone need nothing of their last layer but that token's vector.

Of the last layer only keys and values are of every token; queries, output and feed-forward, five sixths of its work,
are of the first. What is left out is what the head would not have read: logits and gradients are the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Whose heads read the first token, and whose layers are attention, then feed-forward, as in BERT (Devlin et al. 2019).
FAMILIES = ("Bert", "Roberta", "XLMRoberta", "Camembert", "Electra")
MODELS = frozenset(f"{family}ForSequenceClassification" for family in FAMILIES)
LAYERS = frozenset(f"{family}Layer" for family in FAMILIES)


@contextmanager
def first_token_alone(model: Any) -> Iterator[None]:
    """Inside, the last layer of a model of FAMILIES gives the first token's vector alone; another is as it is."""
    layer = last_layer(model)
    if layer is None:
        yield
        return
    whole = layer.forward
    layer.forward = partial(_forward, layer, whole)
    try:
        yield
    finally:
        del layer.forward  # the instance's; the class's is there again


def last_layer(model: Any) -> Any:
    """That of a model of FAMILIES, with an adapter or without; None for any other."""
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model  # without an adapter's wrapper
    if type(bare).__name__ not in MODELS:
        return None
    layer = bare.base_model.encoder.layer[-1]
    plain = type(layer).__name__ in LAYERS and not layer.is_decoder and not layer.chunk_size_feed_forward
    return layer if plain else None


def _forward(
    layer: Any, whole: Any, states: Tensor, attention_mask: Tensor | None = None, *rest: Any, **named: Any
) -> Tensor:
    """(rows, 1, width) of (rows, tokens, width); the layer's own answer where there is more than text to attend to."""
    if named.get("past_key_values") is not None or (attention_mask is not None and attention_mask.ndim != 4):
        answer: Tensor = whole(states, attention_mask, *rest, **named)
        return answer
    own, first = layer.attention.self, states[:, :1]
    shape = (len(states), -1, own.num_attention_heads, own.attention_head_size)
    query, key, value = (
        linear(given).view(shape).transpose(1, 2)
        for linear, given in ((own.query, first), (own.key, states), (own.value, states))
    )
    scores = torch.matmul(query, key.transpose(2, 3)) * own.scaling
    if attention_mask is not None:
        mask = attention_mask[:, :, :1]
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    weights = functional.dropout(functional.softmax(scores, dim=-1), own.dropout.p, own.training)
    context = torch.matmul(weights, value).transpose(1, 2).reshape(len(states), 1, -1)
    found: Tensor = layer.feed_forward_chunk(layer.attention.output(context, first))
    return found
