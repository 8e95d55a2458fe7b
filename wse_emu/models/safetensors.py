"""Reads a Hugging Face folder: config.json, safetensors (one file or sharded) and tokenizer.json.

The format is 8 bytes of header length, a JSON header with types, shapes and byte ranges, then the data
(huggingface/safetensors, README, "Format"). It is read here, since the library cannot give bfloat16 to numpy.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from wse_emu.errors import WseError
from wse_emu.models.hf_config import read_hf_config
from wse_emu.models.hf_names import LLAMA, TABLES, named_as
from wse_emu.models.hf_tokenizer import hf_tokenizer
from wse_emu.models.json_file import parse_object, read_json
from wse_emu.models.mapped_file import MappedFile
from wse_emu.models.model import Model
from wse_emu.models.weights import StoredTensor, Weights

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
MAX_HEADER_BYTES = 100_000_000  # the format's own limit
TYPES: Mapping[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}


def load_safetensors(folder: Path, name: str | None = None) -> Model:
    """A model from a folder; weights stay in their files. Raises `WseError` for anything missing or contradictory."""
    config = read_hf_config(read_json(folder / "config.json"), str(folder / "config.json"))
    if config.latent is not None:
        raise WseError(f"{folder}: {config.family} is known by its shape alone: it can be estimated, not decoded")
    table = TABLES.get(config.family, LLAMA)
    tensors: dict[str, StoredTensor] = {}
    for path in _shards(folder):
        tensors |= read_safetensors(path, table.ignored)
    weights = Weights(config, named_as(config.family, tensors), table, source=str(folder))
    return Model(name or folder.resolve().name, config, weights, hf_tokenizer(folder), str(folder), None)


def _shards(folder: Path) -> list[Path]:
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        pickled = " (the pickled *.bin weights there are never loaded)" if any(folder.glob("*.bin")) else ""
        raise WseError(f"{folder}: neither {SINGLE} nor {INDEX} is there{pickled}")
    index = read_json(folder / INDEX).get("weight_map")
    if not isinstance(index, dict) or not all(isinstance(file, str) for file in index.values()):
        raise WseError(f"{folder / INDEX}: key 'weight_map' must name a file for each tensor")
    names = sorted(set(index.values()))
    for name in names:
        if Path(name).name != name:
            raise WseError(f"{folder / INDEX}: shard {name!r} must be a file in the same folder")
        if not (folder / name).is_file():
            raise WseError(f"{folder}: shard {name} is missing; {INDEX} lists {len(names)} shards")
    return [folder / name for name in names]


def read_safetensors(path: Path, ignored: tuple[str, ...] = ()) -> dict[str, StoredTensor]:
    """Tensors of one file by their stored names, but those whose names end in ``ignored``, of whatever type."""
    file = MappedFile(path)
    length = int.from_bytes(file.read(0, 8, "the header's length"), "little")
    if length > MAX_HEADER_BYTES:
        raise WseError(f"{path}: not a safetensors file: it claims a header of {length} bytes")
    header = parse_object(file.read(8, length, "the header"), path)
    header.pop("__metadata__", None)
    kept = {name: entry for name, entry in header.items() if not name.endswith(ignored)}
    return {name: _stored(file, 8 + length, name, entry) for name, entry in kept.items()}


def _stored(file: MappedFile, data_start: int, name: str, entry: Any) -> StoredTensor:
    try:
        type_name, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        sound = name.isprintable() and isinstance(type_name, str)
        sound = sound and all(isinstance(number, int) and number >= 0 for number in (*shape, begin, end))
    except (TypeError, KeyError, ValueError):
        sound = False
    if not sound:
        raise WseError(f"{file.path}: the header's entry for tensor {name!r} is damaged")
    if type_name not in TYPES:
        raise WseError(f"{file.path}: tensor {name} has type {type_name}; supported: {', '.join(TYPES)}")
    dtype = TYPES[type_name]
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise WseError(f"{file.path}: tensor {name} of shape {shape} in {type_name} has {end - begin} bytes; damaged")
    file.check(data_start + begin, end - begin, f"tensor {name}")

    def read() -> NDArray[np.float32]:
        raw = file.array(data_start + begin, end - begin, f"tensor {name}")
        with np.errstate(over="ignore"):  # a float64 too large for float32 is reported as infinite, by name
            return raw.view(dtype).reshape(shape).astype(np.float32)

    return StoredTensor(shape, end - begin, read)
