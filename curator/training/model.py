"""Models and tokenizers, from the embedded MiniLM, a directory or the hub. Weights are safetensors or refused."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from curator.errors import DataError, UsageError
from curator.hardware import decide
from curator.recipe import Kind
from curator.training.dropout import drop_leanly
from curator.training.head import from_unit, keep_exact
from curator.training.labels import outputs_of
from curator.training.scale import Scale
from curator.training.unpadded import offset_of

PROBLEM_TYPES: dict[Kind, str] = {  # transformers' words
    "single": "single_label_classification",
    "multi": "multi_label_classification",
    "regression": "regression",
}
TOKENISE_ROWS = 1024  # texts handed to the tokenizer at a time: what it returns is many times the token ids

# .bin weights are pickles, and unpickling runs code: only the person can say that they trust them.
CONVERT = (
    "its weights are not safetensors; if you trust where they come from, convert them once:\n"
    "  python -c \"from transformers import AutoModel, AutoTokenizer as T; a, b = '{name}', '{out}'; "
    'AutoModel.from_pretrained(a, use_safetensors=False).save_pretrained(b); T.from_pretrained(a).save_pretrained(b)"\n'
    "and give {out} as the model"
)


def load_pretrained(
    name: str, labels: Sequence[str], kind: Kind = "single", scale: Scale | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model with a fresh classification head for ``labels``, drawn from torch's generator, and its tokenizer.

    ``name`` is ``embedded``, a directory or a hub name. Master weights are fp32, no remote code is run. A head of as
    many outputs is kept, and with a ``scale`` brought to standardised values. Raises DataError for a directory that
    lacks something, UsageError for a name that cannot be loaded.
    """
    if name == "embedded":
        from curator.encoder import embedded_model  # it imports sentence_transformers, which other models do without

        name = str(embedded_model())
    if Path(name).is_dir():
        _check_directory(Path(name))
    names = outputs_of(labels, kind)
    model, info = _from_pretrained(
        name,
        num_labels=len(names),
        id2label=dict(enumerate(names)),
        label2id={label: index for index, label in enumerate(names)},
        problem_type=PROBLEM_TYPES[kind],
        ignore_mismatched_sizes=True,  # a head for other labels is replaced; anything else is refused below
    )
    _check_body(name, model, info)
    if scale and not _lacking(info):
        from_unit(model, scale)
    return model, load_tokenizer(name, model)


def load_masked(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, bool]:
    """A model that tells hidden words, its tokenizer, and whether the head for it came with the weights.

    A new head is drawn from torch's generator, but for its matrix, which is that of the word vectors. ``name`` and
    errors are as for ``load_pretrained``.
    """
    if name == "embedded":
        from curator.encoder import embedded_model

        name = str(embedded_model())
    if Path(name).is_dir():
        _check_directory(Path(name))
    model, info = _from_pretrained(name, AutoModelForMaskedLM)
    _check_body(name, model, info)
    return model, load_tokenizer(name, model), not info["missing_keys"]


def _check_body(name: str, model: PreTrainedModel, info: dict[str, Any]) -> None:
    """A body that does not get its weights would be trained from noise without a word. A pooler many models lack."""
    body = sorted(
        key for key in _lacking(info) if key.startswith(f"{model.base_model_prefix}.") and ".pooler." not in key
    )
    if body:
        raise DataError(
            f"{name}: {len(body)} of the weights of {type(model).__name__} are missing or of another shape, "
            f"such as {body[0]!r}; config.json and the weights do not belong together"
        )


def _lacking(info: dict[str, Any]) -> set[str]:
    """The weights that a file did not have, or not of that shape."""
    return {*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])}


def load_whole(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A classifier with its head, from a directory or the hub. Raises as ``load_pretrained``."""
    if Path(name).is_dir():
        _check_directory(Path(name))
    model, info = _from_pretrained(name)
    if info["missing_keys"]:
        raise DataError(
            f"{name}: weights are missing, such as {min(info['missing_keys'])!r}; give a fine-tuned classifier, or "
            "save it again"
        )
    return model, load_tokenizer(name, model)


def load_tokenizer(name: str, model: PreTrainedModel) -> PreTrainedTokenizerBase:
    """The tokenizer beside a model. Raises DataError for one that does not fit it."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: no tokenizer could be loaded: {_first_line(error)}") from error
    # Without its files transformers makes up a tokenizer of special tokens, to which every word is unknown.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise DataError(f"{name}: there is no tokenizer (tokenizer.json or vocab.txt); put the model's own beside it")
    rows = word_embedding(model).num_embeddings
    if len(tokenizer) > rows:
        raise DataError(f"{name}: the tokenizer has {len(tokenizer)} tokens, the model only {rows}; they do not match")
    if not tokenizer("")["input_ids"]:
        raise DataError(f"{name}: the tokenizer puts no token around a text, and a classifier reads the first of those")
    if tokenizer.pad_token_id is None:
        raise DataError(f"{name}: the tokenizer has no padding token, which batches need")
    return tokenizer


def tokenise(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int, long_texts: str = "head"
) -> tuple[list[list[int]], list[int]]:
    """Token ids of each text, at most ``max_length`` with the special ones, and the rows that were cut to it.

    What is kept of a longer one is its beginning, or with ``head-tail`` a quarter from there and the rest from its end.
    """
    ids: list[list[int]] = []
    cut: list[int] = []
    for start in range(0, len(texts), TOKENISE_ROWS):
        part = list(texts[start : start + TOKENISE_ROWS])
        ids += tokenizer(part, verbose=False)["input_ids"]
        longer = [row for row in range(start, len(ids)) if len(ids[row]) > max_length]
        cut += longer
        if long_texts == "head-tail":
            for row in longer:
                ids[row] = ids[row][: max_length // 4] + ids[row][max_length // 4 - max_length :]
        elif longer:
            shorter = tokenizer([texts[row] for row in longer], truncation=True, max_length=max_length)["input_ids"]
            for row, tokens in zip(longer, shorter, strict=True):
                ids[row] = tokens
    return ids, cut


def word_embedding(model: PreTrainedModel) -> nn.Embedding:
    """The table of word vectors. Raises UsageError for a model without a plain one."""
    embedding = model.get_input_embeddings()
    if not isinstance(embedding, nn.Embedding):
        raise UsageError(f"a {type(model).__name__} has no plain word embedding to train; give a model such as BERT")
    return embedding


def weights_digest(model: nn.Module) -> str:
    """Of all weights and their names."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def check_length(model: PreTrainedModel, max_length: int, prefix: int = 0) -> None:
    """Raise UsageError if texts of ``max_length`` tokens and a prefix are more than the model has positions for."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None:
        positions -= offset_of(model)
    if positions is not None and max_length + prefix > positions:
        told = f", {prefix} of them the prefix's" if prefix else ""
        raise UsageError(
            f"max_length = {max_length} is more than the {positions} tokens the model takes{told}; lower it"
        )


def _check_directory(directory: Path) -> None:
    if not (directory / "config.json").is_file():
        raise DataError(f"{directory}: not a model directory, it has no config.json")
    if any(directory.glob("*.safetensors")):
        return
    if any(directory.glob("*.bin")) or any(directory.glob("*.pt")):
        out = directory.with_name(f"{directory.name}-safetensors")
        raise DataError(f"{directory}: {CONVERT.format(name=directory, out=out)}")
    raise DataError(f"{directory}: the model has no weights; there should be a model.safetensors beside config.json")


def _from_pretrained(
    name: str, kind: Any = AutoModelForSequenceClassification, **settings: Any
) -> tuple[PreTrainedModel, dict[str, Any]]:
    device = decide().device
    with quiet():
        try:
            model, info = kind.from_pretrained(
                name,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
                # with dropout, sdpa has no fast path on a CPU and eager trains 6 % faster
                attn_implementation="eager" if device == "cpu" else "sdpa",
                **settings,
            )
        except (OSError, ValueError, SafetensorError) as error:
            if "safetensors" in str(error) and not Path(name).is_dir():
                hint = CONVERT.format(name=name, out=name.rpartition("/")[2] + "-safetensors")
            elif Path(name).is_dir():
                hint = (
                    "its config.json or its weights are not whole, or of a kind that transformers does not know; copy "
                    "it again from where it came, or train it again"
                )
            else:
                hint = "give 'embedded', a directory with a model, or a hub name (which needs the network or its cache)"
            raise UsageError(f"the model {name!r} could not be loaded: {_first_line(error)}\n{hint}") from error
    # the unbound method: transformers' own wrapper checks for quantised models and hides the types
    nn.Module.to(model, device)
    if device == "cpu":
        drop_leanly(model)
    if model.config.problem_type == PROBLEM_TYPES["regression"]:
        keep_exact(model)
    return model, info


@contextmanager
def quiet() -> Iterator[None]:
    """Without what is said of newly initialised weights (a new head is the point; the rest is checked) and the bar."""
    logger = logging.getLogger("transformers.modeling_utils")
    bar = transformers_logging.is_progress_bar_enabled()

    def wanted(record: logging.LogRecord) -> bool:
        return not any(told in record.getMessage() for told in ("LOAD REPORT", "tied weights mapping"))

    logger.addFilter(wanted)
    if bar:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # untyped upstream
    try:
        yield
    finally:
        logger.removeFilter(wanted)
        if bar:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
