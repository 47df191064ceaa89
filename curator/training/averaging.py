"""A classifier that reads the mean of a text's vectors in an architecture that reads the first of them.

One more layer does it, as any other layer to whoever loads the model: its queries are 0, so that each token attends to
all alike, and what it adds to the first token outweighs what that was by ``LOUD``. The norm behind gives that mean the
length that a layer's vectors have. So the directory that is saved is one of transformers' own, and gives these logits.
"""

import copy
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from curator.errors import UsageError
from curator.recipe import Train

FAMILIES = ("Bert", "Roberta", "XLMRoberta", "Camembert")
LOUD = 1_000.0  # the first token's own vector is a thousandth of the sum, less than what bf16 rounds
SCALE = 0.5  # of the norm's output on its way through tanh, which is nearly a straight line there


def refuse_adapter_on_mean(settings: Train) -> None:
    """Raise UsageError where an adapter is to be trained: on the body that it is loaded on later the layer is not."""
    if settings.head == "mean" and settings.adapter != "none":
        raise UsageError(
            f"head = 'mean' puts a layer behind the model's own, and adapter = {settings.adapter!r} saves nothing but "
            "the adapter; train the whole model (adapter = 'none'), or take head = 'first'"
        )


@torch.no_grad()
def read_the_mean(model: PreTrainedModel) -> None:
    """Give a classifier the layer, which stays as it is in training, and a head that lets its output through.

    One that has the layer from an earlier training keeps it, and its head. Raises UsageError for a model of another
    family.
    """
    name = type(model).__name__
    if name not in {f"{family}ForSequenceClassification" for family in FAMILIES}:
        raise UsageError(f"head = 'mean' is for {', '.join(FAMILIES)}, and this is a {name}; take head = 'first'")
    bare: Any = model  # whose layers torch does not declare
    layers = bare.base_model.encoder.layer
    if not layers[-1].attention.self.query.weight.any():
        _still(layers[-1])
        return
    layer = copy.deepcopy(layers[-1])
    for part in layer.modules():
        if isinstance(part, nn.Linear):
            part.weight.zero_()
            part.bias.zero_()
        elif isinstance(part, nn.LayerNorm):
            part.weight.fill_(1.0)
            part.bias.zero_()
    nn.init.eye_(layer.attention.self.value.weight).mul_(LOUD)
    nn.init.eye_(layer.attention.output.dense.weight)
    _still(layer)
    layers.append(layer)
    model.config.num_hidden_layers = len(layers)
    dense = bare.bert.pooler.dense if name.startswith("Bert") else bare.classifier.dense
    nn.init.eye_(dense.weight).mul_(SCALE)
    dense.bias.zero_()


def _still(layer: nn.Module) -> None:
    """What the layer is in training: as it is, for every text alike."""
    layer.requires_grad_(requires_grad=False)
    for part in layer.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
