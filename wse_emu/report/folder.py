"""Files that a run leaves: each is written under a temporary name and renamed, so that none is ever half there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from wse_emu.errors import WseError


def prepare_folder(path: Path) -> None:
    """Make the folder ``path`` and try that it can be written; WseError if not. Called before the long work."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise WseError(
            f"--out {path}: cannot be written ({error.strerror}); a folder that you may write to works"
        ) from None


def check_parent(path: Path, option: str) -> None:
    """WseError if ``path`` cannot be made: its folder is not there, or it is a folder, a device or a pipe."""
    if not path.parent.is_dir() or _is_special(path):
        raise WseError(
            f"{option} {path}: the folder {path.parent} must exist, and {path.name} must be a plain file, or a new one"
        )


def _is_special(path: Path) -> bool:
    """Whether something lies at ``path`` that a renamed file must not take the place of."""
    return path.exists() and not path.is_file()


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it; WseError if that fails.

    A link is followed; a folder, a device or a pipe is never replaced.
    """
    if _is_special(path):
        raise WseError(f"{path}: is not a plain file and stays as it is; the name of a new file works")
    path = path.resolve()
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        partial.replace(path)
    except OSError as error:
        raise WseError(f"{path}: cannot be written ({error.strerror or error}); what was there stays") from None
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, data: dict[str, Any]) -> None:
    """``data`` as indented JSON."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """``text`` as UTF-8."""

    def write(partial: Path) -> None:
        partial.write_text(text, "utf-8")

    write_file(path, write)


def write_bytes(path: Path, data: bytes) -> None:
    """``data`` as it is."""

    def write(partial: Path) -> None:
        partial.write_bytes(data)

    write_file(path, write)


def write_array(path: Path, array: np.ndarray) -> None:
    """``array`` as .npy."""

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            np.save(file, array, allow_pickle=False)

    write_file(path, write)
