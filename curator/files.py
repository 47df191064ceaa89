"""Writing files so that they are there whole or not at all.

Everything is written beside its place and renamed into it; what makes a set of files complete (a manifest) is
written last. Only safe formats: JSON, Parquet, ``.npy``; nothing is ever unpickled.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt


def write_bytes(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a file beside ``path``, flush it to disk and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    write_bytes(path, lambda file: file.write(text.encode("utf8")))


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON with stable formatting."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_npy(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array in NumPy's own format."""
    write_bytes(path, lambda file: np.save(file, array, allow_pickle=False))


def link(path: Path, to: Path) -> None:
    """Have a file under a second name, too; where the file system has no links, a copy of it."""
    try:
        os.link(path, to)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK, errno.ENOSYS):
            raise
        with path.open("rb") as file:
            write_bytes(to, lambda out: shutil.copyfileobj(file, out))


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text("utf8"))


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
