"""BERT without padding: the texts of a batch lie one behind the other, and a classifier's last layer sees what is read.

Of sixteen texts padded to their longest two fifths to half are padding, which costs as much as text does. Here linear
layers, dropout and norms work on the tokens that there are; attention alone is padded, in groups of texts of similar
length. A classifier reads the first token of the last layer: only keys and values are of every token there, and the
rest, five sixths of its work, of the first. Neither changes what a model gives, nor its gradients.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from curator.training.dropout import dropout

# Whose layers are attention, then feed-forward, and whose classifiers read the first token, as in BERT.
FAMILIES = ("Bert", "Roberta", "XLMRoberta", "Camembert", "Electra")
OFFSET = frozenset({"Roberta", "XLMRoberta", "Camembert"})  # whose positions are counted from behind that of padding
WHOLE = 32  # tokens of a batch are filled up to a multiple of this, and widths of groups to one of STEP: each new shape
STEP = 8  # of a product costs oneDNN 4 to 14 ms
GROUPS = 2
LOCK = threading.Lock()  # of models that are patched, for whoever predicts in several threads


@dataclass(frozen=True)
class Group:
    """Texts of similar length, padded to ``width`` for attention."""

    rows: int
    width: int
    place: Tensor  # (tokens,) where each is among rows × width
    mask: Tensor  # (rows, 1, 1, width) bool: True for tokens

    @property
    def tokens(self) -> int:
        return len(self.place)


@dataclass(frozen=True)
class Layout:
    """Texts one behind the other, from the shortest to the longest."""

    order: list[int]  # the rows that were given, in this order
    groups: tuple[Group, ...]
    filler: int  # tokens at the end that are of no text
    starts: Tensor  # (rows,) where each text begins

    @property
    def given(self) -> Tensor:
        """(rows,) the place in ``order`` of each row that was given."""
        return torch.tensor(self.order, device=self.starts.device).argsort()

    @classmethod
    def of(cls, ids: Sequence[Sequence[int]], device: torch.device) -> "Layout":
        """That of texts of token ids."""
        lengths = [len(tokens) for tokens in ids]
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        sizes = np.array([lengths[row] for row in order])
        groups = tuple(_group(part, device) for part in np.array_split(sizes, min(GROUPS, len(sizes))))
        starts = torch.from_numpy(np.cumsum(sizes) - sizes).to(device)
        return cls(order, groups, -int(sizes.sum()) % WHOLE, starts)


def _group(lengths: "np.ndarray[Any, Any]", device: torch.device) -> Group:
    width = width_of(int(lengths.max()))
    mask = np.arange(width) < lengths[:, None]
    place = torch.from_numpy(np.flatnonzero(mask)).to(device)
    return Group(len(lengths), width, place, torch.from_numpy(mask).to(device)[:, None, None])


def width_of(longest: int) -> int:
    """What texts are padded to."""
    return -(-longest // STEP) * STEP


def is_supported(model: Any) -> bool:
    """Whether ``run`` gives what the model itself would: not of other families, nor with a prefix before each text."""
    peft = getattr(model, "active_peft_config", None)
    bare = _bare(model)
    encoder = getattr(bare.base_model, "encoder", None)
    layers = list(getattr(encoder, "layer", ()))
    plain = all(type(layer).__name__ == f"{_family(bare)}Layer" and not layer.is_decoder for layer in layers)
    return bool(layers) and plain and not (peft and peft.is_prompt_learning)


def run(model: Any, ids: Sequence[Sequence[int]], layout: Layout, filler: int, *, first: bool) -> Any:
    """What a model gives for texts of token ids, which lie in it as ``layout`` says.

    With ``first`` its body gives (texts, 1, width), the first tokens of the last layer, for heads that read these;
    else (1, tokens, width), with filler at the end. ``filler`` is the id of a token of no meaning.
    """
    bare = _bare(model)
    device = bare.device
    flat = [token for row in layout.order for token in ids[row]] + [filler] * layout.filler
    positions = [place for row in layout.order for place in range(len(ids[row]))] + [0] * layout.filler
    with LOCK, _patched(bare.base_model.encoder, layout, first=first):
        return model(
            input_ids=torch.tensor([flat]).to(device),
            position_ids=(torch.tensor([positions]) + offset_of(bare)).to(device),
            token_type_ids=torch.zeros(1, len(flat), dtype=torch.long, device=device),
            attention_mask=torch.zeros(1, 1, 1, 1, device=device),  # of four dimensions: none is made, and none is read
        )


def offset_of(model: Any) -> int:
    """How many positions of a model are never a text's."""
    bare = _bare(model)
    return 1 + int(bare.config.pad_token_id) if _family(bare) in OFFSET else 0


def _bare(model: Any) -> Any:
    """Without an adapter's wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _family(bare: Any) -> str:
    name = type(bare).__name__
    return next((family for family in FAMILIES if name.startswith((f"{family}For", f"{family}Model"))), "")


@contextmanager
def _patched(encoder: Any, layout: Layout, *, first: bool) -> Iterator[None]:
    encoder.forward = partial(_encode, encoder, layout, first)
    try:
        yield
    finally:
        del encoder.forward  # the instance's; the class's is there again


def _encode(encoder: Any, layout: Layout, first: bool, states: Tensor, *_: Any, **__: Any) -> Any:
    states = states[0]
    last = len(encoder.layer) - 1
    for number, layer in enumerate(encoder.layer):
        asking = states[layout.starts] if first and number == last else states
        context = _attention(layer.attention.self, states, asking, layout, alone=asking is not states)
        states = layer.feed_forward_chunk(layer.attention.output(context, asking))
    found = states.unsqueeze(1) if first else states.unsqueeze(0)
    return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=found)


def _attention(own: Any, states: Tensor, asking: Tensor, layout: Layout, *, alone: bool) -> Tensor:
    """What tokens attend to: (asking, width). ``alone``: one token of each text asks."""
    sizes = [group.tokens for group in layout.groups]
    asked = [group.rows for group in layout.groups] if alone else [*sizes, layout.filler]
    queries = own.query(asking).split(asked)
    keys, values = (linear(states).split([*sizes, layout.filler]) for linear in (own.key, own.value))
    found = []
    for group, query, key, value in zip(layout.groups, queries, keys, values, strict=False):
        padded = [query if alone else _padded(query, group), _padded(key, group), _padded(value, group)]
        shape = (group.rows, -1, own.num_attention_heads, own.attention_head_size)
        heads = (x.view(shape).transpose(1, 2) for x in padded)
        context = _attend(own, group.mask, *heads).transpose(1, 2).reshape(-1, states.shape[1])
        found.append(context if alone else _unpadded(context, group))
    if not alone and layout.filler:
        found.append(found[0].new_zeros(layout.filler, states.shape[1]))
    return torch.cat(found)


def _attend(own: Any, mask: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    dropped = own.dropout.p if own.training else 0.0
    if dropped and query.device.type == "cpu":  # torch has no fast path for it
        scores = torch.matmul(query, key.transpose(2, 3)) * own.scaling
        weights = functional.softmax(scores.masked_fill(~mask, float("-inf")), dim=-1)
        return torch.matmul(dropout(weights, dropped), value)
    return functional.scaled_dot_product_attention(query, key, value, mask, dropped, scale=own.scaling)


def _padded(x: Tensor, group: Group) -> Tensor:
    """(tokens, width) → (rows × padded width, width), zero where no token is."""
    found: Tensor = _Padded.apply(x, group)  # type: ignore[no-untyped-call]  # untyped in torch
    return found


def _unpadded(x: Tensor, group: Group) -> Tensor:
    """The way back."""
    found: Tensor = _Unpadded.apply(x, group)  # type: ignore[no-untyped-call]
    return found


class _Padded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        ctx.place = group.place
        return x.new_zeros(group.rows * group.width, x.shape[1]).index_copy_(0, group.place, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0].index_select(0, ctx.place), None


class _Unpadded(torch.autograd.Function):
    """A gather whose gradient is not summed up place by place: no place comes twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        ctx.place, ctx.rows = group.place, len(x)
        return x.index_select(0, group.place)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        return gradient.new_zeros(ctx.rows, gradient.shape[1]).index_copy_(0, ctx.place, gradient), None
