"""A file mapped into memory, so that opening a model costs nothing and its tensors are read when asked for."""

import hashlib
import mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wse_emu.errors import WseError


class MappedFile:
    """Read-only bytes of a file. Raises `WseError` where it cannot be opened or a read would run past its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self.size = file.seek(0, 2)
                # An empty file cannot be mapped; it is a truncated one.
                self._bytes: mmap.mmap | bytes = (
                    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""
                )
        except OSError as error:
            raise WseError(f"cannot read {path}: {error.strerror or error}") from error

    def read(self, offset: int, count: int, what: str) -> bytes:
        """`count` bytes at `offset`; `what` names them in the message."""
        self.check(offset, count, what)
        return self._bytes[offset : offset + count]

    def array(self, offset: int, count: int, what: str) -> NDArray[np.uint8]:
        """`count` bytes at `offset` as a read-only view, nothing copied."""
        self.check(offset, count, what)
        return np.frombuffer(self._bytes, dtype=np.uint8, count=count, offset=offset)

    def check(self, offset: int, count: int, what: str) -> None:
        if count < 0 or offset + count > self.size:
            raise WseError(
                f"{self.path}: the file is truncated or damaged: {what} needs bytes {offset} to {offset + count}, "
                f"the file has {self.size}"
            )


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file; raises `WseError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WseError(f"cannot read {path}: {error.strerror or error}") from error


def path_sha256(path: Path) -> str:
    """SHA-256 of a model's file, or of the names and hashes of a folder's configuration, tokenizer and weights."""
    if not path.is_dir():
        return file_sha256(path)
    found = sorted({held for pattern in ("*.json", "*.safetensors") for held in path.glob(pattern)})
    lines = "\n".join(f"{held.name} {file_sha256(held)}" for held in found)
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()
