"""An encoder whose key and dimension are known without loading it, because they are remembered in a file."""

import json
import logging
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from curator import hardware, recipe
from curator.encoder import identity
from curator.errors import UsageError
from curator.files import read_json, write_json
from curator.vectors import Encoded, Step
from curator.vectors.encoder import encode_all

if TYPE_CHECKING:
    from curator.encoder.sentence import SentenceEncoder

log = logging.getLogger(__name__)


_ARRIVED: dict[str, "SentenceEncoder"] = {}
"""The last one that was loaded for an encoder from another process, by its key: the next is often the same."""

MACHINE = "machine"  # beside the encoders: what the machine was, and the precision that was right for it


def load(settings: recipe.Encoder) -> "SentenceEncoder":
    """As ``loading.load``, which imports torch."""
    from curator.encoder import loading

    return loading.load(settings)


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
        self._has_travelled = False  # from another process

    def __repr__(self) -> str:
        return f"RememberedEncoder({self._settings.model!r}, {self._memory})"

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to load the same: what is known of it goes along, so that it is no other."""
        return {**vars(self), "_known": self._known, "_encoder": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _has_travelled=True)
        self._encoder = _ARRIVED.get(self.key)

    @property
    def key(self) -> str:
        return self._known.key

    @property
    def dimension(self) -> int:
        return self._known.dimension

    def encode(self, texts: Sequence[str], *, query: bool = False, progress: Step | None = None) -> Encoded:
        """As ``SentenceEncoder.encode``. Raises UsageError when the model changed after its key was told."""
        return self._loaded().encode(texts, query=query, progress=progress)

    def encode_all(self, parts: Iterable[Sequence[str]], *, progress: Step | None = None) -> Generator[Encoded]:
        """As ``SentenceEncoder.encode_all``. Raises UsageError when the model changed after its key was told."""
        return encode_all(self._loaded(), parts, progress)

    @cached_property
    def _known(self) -> _Known:
        entries = _entries(self._memory)
        machine = hardware.fingerprint()
        precision = _precision(self._settings.precision, entries.get(MACHINE), machine)
        place = json.dumps([self._settings.model_dump(), precision])
        made_from = identity.made_from(self._settings, precision)
        found = _known(entries.get(place))
        if found is not None and made_from and found.made_from == made_from:
            return found
        self._encoder = encoder = load(self._settings)
        known = _Known(encoder.made_from, encoder.key, encoder.dimension, encoder.revision)
        if known.made_from:
            try:
                decided = {MACHINE: {"fingerprint": machine, "precision": hardware.precision("auto")}}
                write_json(self._memory, {**entries, **decided, place: vars(known)})
            except OSError as error:  # a workspace that may only be read
                log.debug("%s: not remembered: %s", self._memory, error)
        return known

    def _loaded(self) -> "SentenceEncoder":
        known, settings = self._known, self._settings
        if self._encoder is not None:
            return self._encoder
        directory = identity.model_directory(settings)
        if directory is not None and directory.name == known.revision:  # a hub's snapshot: no newer one
            settings = settings.model_copy(update={"revision": known.revision})
        encoder = load(settings)
        if encoder.key != known.key or encoder.dimension != known.dimension:
            raise UsageError(
                f"encoder {settings.model!r} was {known.key} and is now {encoder.key}: its files changed while it was "
                "in use, so open the workspace again; or this machine has another precision than the one that asks, "
                "so set [encoder] precision"
            )
        self._encoder = encoder
        if self._has_travelled:
            _ARRIVED.clear()
            _ARRIVED[known.key] = encoder
        return encoder


def _entries(memory: Path) -> dict[str, Any]:
    try:
        entries = read_json(memory)
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}


def encoder_of(memory: Path, key: str) -> RememberedEncoder | None:
    """The encoder of a key, by the settings that ``memory`` has; None where it has none, or they mean another now."""
    for place, entry in _entries(memory).items():
        if (known := _known(entry)) is not None and known.key == key:
            encoder = RememberedEncoder(recipe.Encoder(**json.loads(place)[0]), memory)
            return encoder if encoder.key == key else None
    return None


def _precision(asked: Literal["auto", "fp32", "bf16"], entry: Any, machine: str) -> hardware.Precision:
    """The precision for what is asked; on a machine that is remembered, without torch, which takes a second."""
    same = isinstance(entry, dict) and entry.get("fingerprint") == machine
    if asked == "auto" and same and entry.get("precision") in get_args(hardware.Precision):
        remembered: hardware.Precision = entry["precision"]
        return remembered
    return hardware.precision(asked)


def _known(entry: Any) -> _Known | None:
    """An entry of the memory, None unless it is whole."""
    kinds = {"made_from": str, "key": str, "dimension": int, "revision": str}
    if not isinstance(entry, dict) or {name: type(value) for name, value in entry.items()} != kinds:
        return None
    return _Known(**entry)
