"""One shard of a store on disk: some texts' vectors, which texts they are, and a manifest that makes it complete.

``<name>.npy`` holds (n, d) float32 or float16; ``<name>.parquet`` the hash, token count and truncation of each text;
``<name>.json``, written last, their checksums. A shard without its ``.json`` does not exist. Its name is a hash of
the texts it holds, so that it is known by what is in it.
"""

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import polars as pl

from curator.errors import WorkspaceError
from curator.files import announced, is_older, is_sealed, read_json, sha256, write_bytes, write_npy, write_sealed
from curator.storage import GoneError, here
from curator.vectors.encoder import Encoded
from curator.vectors.hashes import Hashes
from curator.vectors.rows import Half, Matrix

KEYS = pl.Schema({"hash": pl.Binary(), "n_tokens": pl.Int32(), "truncated": pl.Boolean()})


class DamagedError(WorkspaceError):
    """A file of a shard that cannot be read, or is not what was written."""

    def __init__(self, path: Path, why: object) -> None:
        super().__init__(f"{path} is damaged: {why}; curator check --repair mends it")
        self.path = path


@dataclass(frozen=True)
class Shard:
    """The files of one shard, which need not be there."""

    directory: Path
    name: str

    @property
    def manifest(self) -> Path:
        return self.directory / f"{self.name}.json"

    @property
    def keys(self) -> Path:
        return self.directory / f"{self.name}.parquet"

    @property
    def vectors(self) -> Path:
        return self.directory / f"{self.name}.npy"

    def write(self, keys: pl.DataFrame, vectors: Matrix | Half) -> None:
        """Write it whole: ``keys`` as in ``KEYS``, and as many vectors; what is not float16 becomes float32."""
        kind = np.float16 if vectors.dtype == np.float16 else np.float32
        with announced(self.manifest):
            write_npy(self.vectors, np.ascontiguousarray(vectors, kind))
            write_bytes(self.keys, keys.write_parquet)
            checksums = {path.name: sha256(path) for path in (self.vectors, self.keys)}
            write_sealed(self.manifest, {"rows": len(keys), "sha256": checksums})

    def size(self) -> int:
        """Bytes of its files."""
        return sum(path.stat().st_size for path in (self.manifest, self.keys, self.vectors))

    def size_of(self, keys: pl.DataFrame) -> int:
        """Bytes of the files of a shard with some of its keys, as it would be written; none for no keys."""
        if not len(keys):
            return 0
        rows = self.read_manifest()["rows"]
        vectors = self.read_vectors()
        written = BytesIO()
        keys.write_parquet(written)
        manifest = self.manifest.stat().st_size - len(str(rows)) + len(str(len(keys)))
        gone = (rows - len(keys)) * int(vectors.shape[1]) * vectors.itemsize
        return int(manifest) + len(written.getvalue()) + self.vectors.stat().st_size - int(gone)

    def remove(self) -> None:
        """Delete its files, the manifest first."""
        for path in (self.manifest, self.keys, self.vectors):
            path.unlink(missing_ok=True)

    def read_manifest(self) -> dict[str, Any]:
        """``rows`` and ``sha256``, the checksums of the other files by name. Raises DamagedError."""
        try:
            manifest = read_json(self.manifest)
        except (OSError, ValueError) as error:
            raise DamagedError(self.manifest, error) from None
        match manifest:
            case {"rows": int(), "sha256": dict(checksums)} if checksums.keys() == {self.vectors.name, self.keys.name}:
                return dict(manifest)
        raise DamagedError(self.manifest, "it is no manifest of a shard")

    def read_keys(self) -> pl.DataFrame:
        """The texts it holds, as in ``KEYS``. Raises DamagedError, also where they are not those of its name."""
        manifest = self.read_manifest()
        rows = manifest["rows"]
        try:
            written = self.keys.read_bytes()
        except OSError as error:
            raise DamagedError(self.keys, error) from None
        if hashlib.sha256(written).hexdigest() != manifest["sha256"][self.keys.name]:
            raise DamagedError(self.keys, "it is not what was written")
        try:
            keys = pl.read_parquet(written)
        except pl.exceptions.PolarsError as error:
            raise DamagedError(self.keys, str(error).splitlines()[0]) from None
        if keys.schema != KEYS or any(keys.null_count().row(0)) or name_of(keys) != self.name:
            raise DamagedError(self.keys, "it does not hold the texts of its name")
        if len(keys) != rows:
            raise DamagedError(self.manifest, f"it says {rows} rows and there are {len(keys)}")
        return keys

    def read_vectors(self) -> Matrix | Half:
        """Its vectors, mapped. Raises DamagedError."""
        rows = self.read_manifest()["rows"]
        try:
            vectors: Matrix | Half = np.load(here(self.vectors), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, OverflowError, TokenError) as error:  # what NumPy says of a bad head
            raise DamagedError(self.vectors, error) from None
        if vectors.ndim != 2 or len(vectors) != rows or vectors.dtype not in (np.float32, np.float16):
            raise DamagedError(self.vectors, f"it holds {vectors.dtype} {vectors.shape} for {rows} texts")
        return vectors

    def damaged(self) -> list[str]:
        """Names of its files that cannot be read or are not what was written."""
        if not (is_sealed(self.manifest) or is_older(self.manifest)):
            return [self.manifest.name]
        try:
            checksums = self.read_manifest()["sha256"]
            differ = [name for name, checksum in checksums.items() if not _is(self.directory / name, checksum)]
            if not differ:  # whether they are what the manifest should have said
                self.read_keys()
                self.read_vectors()
        except DamagedError as error:
            return [error.path.name]
        return differ


def keys_of(hashes: Hashes, encoded: Encoded) -> pl.DataFrame:
    """The keys of a shard of encoded texts."""
    columns = {
        "hash": [row.tobytes() for row in hashes],
        "n_tokens": encoded.n_tokens,
        "truncated": encoded.truncated,
    }
    return pl.DataFrame(columns, KEYS)


def hashes_of(keys: pl.DataFrame) -> Hashes:
    """The hashes of a shard's texts."""
    return np.frombuffer(b"".join(keys["hash"].to_list()), np.uint64).reshape(-1, 2)


def name_of(keys: pl.DataFrame) -> str:
    """The name of a shard with these keys."""
    return hashlib.sha256(b"".join(keys["hash"].to_list())).hexdigest()[:16]


def _is(path: Path, checksum: str) -> bool:
    try:
        return sha256(here(path)) == checksum
    except (OSError, GoneError):
        return False
