"""Writing files so that they are there whole or not at all.

Everything is written beside its place and renamed into it; what makes a set of files complete (a manifest) is
written last. Only safe formats: JSON, Parquet, ``.npy``; nothing is ever unpickled.
"""

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from polars.exceptions import PolarsError

HOST = re.sub(r"\W+", "-", platform.node())
ABANDONED = 24 * 3600  # seconds after which what another machine has half-written is taken for left


def write_bytes(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a file beside ``path``, flush it to disk and rename it into place. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = beside(path)
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except PolarsError as error:  # polars says what the system said in words only
        told = re.search(r"\(os error (\d+)\)", str(error))
        if told is None:
            raise
        raise OSError(int(told[1]), os.strerror(int(told[1])), str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """Where this process writes what is to be a file."""
    return path.with_name(f".{path.name}.{writer()}.part")


def writer() -> str:
    """This process, in the names of files that it is writing."""
    return f"{os.getpid()}@{HOST}"


@contextmanager
def announced(path: Path) -> Iterator[None]:
    """Say that a file is to come while those are written that it makes complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside(path).touch()
    try:
        yield
    finally:
        beside(path).unlink(missing_ok=True)


def is_coming(path: Path) -> bool:
    """Whether a process that runs has announced a file, or is writing it."""
    return any(map(_is_written_to, path.parent.glob(f".{path.name}.*.part")))


def sweep(directory: Path) -> None:
    """Remove what writers that were killed have left half-written in a folder."""
    for path in leftovers(directory):
        remove(path)


def leftovers(directory: Path) -> list[Path]:
    """What in a folder is half-written by a process that runs no more."""
    return [path for path in directory.glob(".*.part") if not _is_written_to(path)]


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, where it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_written_to(part: Path) -> bool:
    """Whether the process that began a file may be at it still."""
    process, _, host = part.suffixes[-2].removeprefix(".").partition("@")
    if os.name != "posix":
        return True  # nobody to ask
    if host not in ("", HOST):
        try:
            return time.time() - part.stat().st_mtime < ABANDONED
        except FileNotFoundError:
            return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    write_bytes(path, lambda file: file.write(text.encode("utf8")))


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON with stable formatting."""
    write_text(path, _json(value))


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON with a checksum of them, ``seal``, among them."""
    write_json(path, {**values, "seal": _seal(values)})


def is_sealed(path: Path) -> bool:
    """Whether a file is there with the bytes that ``write_sealed`` wrote."""
    return is_written(path) and isinstance(values := read_json(path), dict) and values.get("seal") == _seal(values)


def is_older(path: Path) -> bool:
    """Whether it is JSON of ours from before there were checksums in it."""
    return is_written(path) and "seal" not in read_json(path)


def is_written(path: Path) -> bool:
    """Whether a file is there and could be what ``write_json`` wrote."""
    try:
        text = path.read_text("utf8")
        return text == _json(json.loads(text))
    except (OSError, ValueError):
        return False


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


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _seal(values: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in values.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
