"""Shapes of models without their weights: well-known ones by name, and any config.json."""

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from wse_emu.errors import WseError
from wse_emu.models.config import ModelConfig
from wse_emu.models.hf_config import read_hf_config
from wse_emu.models.json_file import read_json
from wse_emu.models.registry import load_model, model_names


@cache
def _known() -> dict[str, dict[str, Any]]:
    return tomllib.loads((files("wse_emu.models") / "known.toml").read_text("utf-8"))


def known_names() -> tuple[str, ...]:
    """Models whose shape ships with the package; :func:`known_source` says where it is from."""
    return tuple(_known())


def known_source(name: str) -> str:
    """Where the shape of a known model is published."""
    return str(_known()[name]["source"])


def load_config(name: str) -> ModelConfig:
    """The shape of a model: a known name, a config.json, or anything that `load_model` takes.

    Raises `WseError`, in one line, for a name that is none of these, and for a damaged or contradictory config.json.
    """
    if name in _known():
        return read_hf_config({key: value for key, value in _known()[name].items() if key != "source"}, name)
    path = Path(name).expanduser()
    if path.suffix == ".json" and path.is_file():
        return read_hf_config(read_json(path), str(path))
    if name in model_names() or name.startswith("hf:") or path.exists():
        return load_model(name).config
    raise WseError(
        f"no model {name!r}: known shapes are {', '.join(known_names())}, known models {', '.join(model_names())}; or "
        "give a config.json, a .gguf file, a safetensors folder, or hf:owner/name"
    )
