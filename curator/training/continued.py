"""A classifier as the beginning of another: with outputs for more labels, the rows of its head kept."""

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curator.errors import UsageError
from curator.training.head import widen
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
