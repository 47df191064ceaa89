"""The last layer of a classifier: made narrower, brought to another scale, kept from being rounded."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from curator.errors import UsageError
from curator.training.scale import Scale


class ExactLinear(nn.Linear):
    """A linear layer in fp32 whatever is around it: bf16 has three digits, of 1999.5 none behind the point."""

    @classmethod
    def of(cls, layer: nn.Linear) -> "ExactLinear":
        """A layer with the weights of another."""
        own = cls(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        own.weight, own.bias = layer.weight, layer.bias
        return own.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out) float32."""
        with torch.autocast(x.device.type, enabled=False):
            return functional.linear(x.float(), self.weight, self.bias)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:  # torch's
        """Moved with the model, and not rounded with it."""
        return super()._apply(lambda own: own.to(fn(own).device), recurse)  # type: ignore[no-untyped-call]


def keep_exact(model: PreTrainedModel) -> None:
    """Let the last layer be an ``ExactLinear``, where it is one layer."""
    for name, layer in _heads(model):
        place, _, own = name.rpartition(".")
        setattr(model.get_submodule(place), own, ExactLinear.of(layer))


def narrow(model: PreTrainedModel, labels: Sequence[str]) -> None:
    """Leave a classifier the first outputs of its head alone, which are those of ``labels``."""
    head = _head(model, "cannot be shared by tasks; give [train.auxiliary] place = 'before'")
    _give_rows(model, head, labels, head.weight.detach(), None if head.bias is None else head.bias.detach())


def widen(model: PreTrainedModel, labels: Sequence[str]) -> None:
    """Give the head of a classifier a row for each of ``labels``: the one it has for a label of that name, else a new
    one, drawn from torch's generator as the model's kind draws them.
    """
    head = _head(model, "cannot be made wider; give another [train] model")
    fresh = nn.Linear(head.in_features, len(labels), head.bias is not None, device=head.weight.device)
    model._init_weights(fresh)  # type: ignore[no-untyped-call]  # untyped upstream
    rows = {str(label): int(row) for row, label in (model.config.id2label or {}).items()}
    known = [number for number, label in enumerate(labels) if label in rows]
    there = [rows[labels[number]] for number in known]
    weight, bias = fresh.weight.detach(), None
    weight[known] = head.weight.detach()[there]
    if head.bias is not None:
        bias = fresh.bias.detach()
        bias[known] = head.bias.detach()[there]
    _give_rows(model, head, labels, weight, bias)


def _give_rows(
    model: PreTrainedModel, head: nn.Linear, labels: Sequence[str], weight: Tensor, bias: Tensor | None
) -> None:
    """Give a head the first rows of a matrix, and of a bias, as those of ``labels``."""
    head.weight = nn.Parameter(weight[: len(labels)].clone())
    if bias is not None:
        head.bias = nn.Parameter(bias[: len(labels)].clone())
    head.out_features = len(labels)
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: index for index, label in enumerate(labels)}


def to_unit(model: PreTrainedModel, scale: Scale) -> None:
    """Let a model that gives standardised values give them in the unit of the labels."""
    _rescale(model, scale.spread, scale.mean)


def from_unit(model: PreTrainedModel, scale: Scale) -> None:
    """Let a model that gives values in the unit of the labels give standardised ones."""
    _rescale(model, 1 / scale.spread, -scale.mean / scale.spread)


def _rescale(model: PreTrainedModel, factor: float, offset: float) -> None:
    head = _head(model, "cannot be brought to the unit of the labels; give another model for a regression")
    if head.bias is None:
        raise UsageError(
            f"the head of a {type(model).__name__} has no bias to hold the mean of the labels; give another"
        )
    with torch.no_grad():
        head.weight.copy_(head.weight.double() * factor)
        head.bias.copy_(head.bias.double() * factor + offset)


def _head(model: PreTrainedModel, otherwise: str) -> nn.Linear:
    """The one that is trained, where there is an adapter. Raises UsageError where it is not one layer."""
    heads = [layer for _, layer in _heads(model) if layer.weight.requires_grad]
    if len(heads) != 1:
        wide = int(model.config.num_labels or 0)
        raise UsageError(f"the head of a {type(model).__name__} is not one layer of {wide} outputs, and {otherwise}")
    return heads[0]


def _heads(model: Any) -> list[tuple[str, nn.Linear]]:
    """Linear layers of as many outputs as the model has that are not of its body, and their names."""
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model
    body = set(bare.base_model.modules())
    linear = [(name, one) for name, one in bare.named_modules() if isinstance(one, nn.Linear) and one not in body]
    return [(name, one) for name, one in linear if one.out_features == int(bare.config.num_labels or 0)]
