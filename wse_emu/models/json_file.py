"""JSON objects from files that somebody else wrote."""

import json
from pathlib import Path
from typing import Any

from wse_emu.errors import WseError


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; raises `WseError` where it is missing or damaged."""
    try:
        return parse_object(path.read_bytes(), path)
    except FileNotFoundError as error:
        raise WseError(f"{path.parent}: {path.name} is missing") from error
    except OSError as error:
        raise WseError(f"cannot read {path}: {error.strerror or error}") from error


def parse_object(data: bytes, path: Path) -> dict[str, Any]:
    """A JSON object from bytes; `path` names their file in messages."""
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WseError(f"{path}: damaged: its JSON does not parse ({error})") from error
    if not isinstance(parsed, dict):
        raise WseError(f"{path}: damaged: expected a JSON object, got {type(parsed).__name__}")
    return parsed
