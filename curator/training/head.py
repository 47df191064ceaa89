"""The head of a classifier: fewer outputs, or more with those that it has kept."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curator.errors import UsageError
from curator.training.model import load_pretrained, load_whole


def load_continued(name: str, labels: Sequence[str]) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """As ``load_pretrained``, but of a classifier that curator saved the head keeps its rows for labels that it has.

    Raises UsageError for a directory with an adapter alone.
    """
    check_whole(Path(name))
    if not (Path(name) / "curator.json").is_file():
        return load_pretrained(name, labels)
    model, tokenizer = load_whole(name)
    widen(model, labels)
    return model, tokenizer


def check_whole(directory: Path) -> None:
    """Raise UsageError for a directory with an adapter alone, which is not a model to train on."""
    if (directory / "adapter_config.json").is_file():
        raise UsageError(
            f"{directory} holds an adapter and a head, not a whole model, and no other task can be trained on it; "
            "train the earlier model with adapter = 'none', or give the model that the adapter is of"
        )


def narrow(model: PreTrainedModel, labels: Sequence[str]) -> None:
    """Leave a classifier the first outputs of its head alone, which are those of ``labels``."""
    head = _head_of(model, "give [train.auxiliary] place = 'before'")
    _give_rows(model, head, labels, head.weight.detach(), None if head.bias is None else head.bias.detach())


def widen(model: PreTrainedModel, labels: Sequence[str]) -> None:
    """Give the head of a classifier a row for each of ``labels``: the one it has for a label of that name, else a new
    one, drawn from torch's generator as the model's kind draws them.
    """
    head = _head_of(model, "give another [train] model")
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


def _head_of(model: PreTrainedModel, hint: str) -> nn.Linear:
    """The one layer that gives a classifier's outputs."""
    wide = int(model.config.num_labels or 0)
    body = set(model.base_model.modules())
    linear = [child for child in model.modules() if isinstance(child, nn.Linear) and child not in body]
    heads = [child for child in linear if child.out_features == wide]
    if len(heads) != 1:
        raise UsageError(
            f"the head of a {type(model).__name__} is not one layer of {wide} outputs, and cannot be shared by tasks; "
            f"{hint}"
        )
    return heads[0]


def _give_rows(
    model: PreTrainedModel, head: nn.Linear, labels: Sequence[str], weight: torch.Tensor, bias: torch.Tensor | None
) -> None:
    """Give a head the first rows of a matrix, and of a bias, as those of ``labels``."""
    head.weight = nn.Parameter(weight[: len(labels)].clone())
    if bias is not None:
        head.bias = nn.Parameter(bias[: len(labels)].clone())
    head.out_features = len(labels)
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: index for index, label in enumerate(labels)}
