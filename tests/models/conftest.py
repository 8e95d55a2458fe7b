"""Small models written to disk with other people's writers: the gguf package and the safetensors library."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from wse_emu.models import ModelConfig, Rope, tensor_shapes
from wse_emu.models.gguf import NAMES as GGUF_NAMES
from wse_emu.models.gguf import PAIRINGS
from wse_emu.models.hf_names import LLAMA as HF_NAMES

Tensors = dict[str, NDArray[np.float32]]
SMALL = ModelConfig(
    family="llama",
    vocabulary=300,
    hidden=64,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=16,
    intermediate=96,
    context=40,
    norm_epsilon=1e-5,
    rope=Rope(10_000.0, "adjacent"),
)


def byte_tokens() -> list[str]:
    """The 256 letters that byte-level BPE writes bytes with (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [letters[byte] for byte in range(256)]


MERGES = ("Ġ t", "h e", "Ġt he", "i n", "l l", "1 2", "é j", "Ã ©")
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def vocabulary() -> list[str]:
    known = [*SPECIAL_TOKENS, *byte_tokens()]
    merges = [merge for merge in MERGES if all(part in known or part == "Ġt" for part in merge.split())]
    tokens = [*known, *(merge.replace(" ", "") for merge in merges)]
    return tokens + [f"[unused{i}]" for i in range(SMALL.vocabulary - len(tokens))]


def merges() -> list[str]:
    tokens = set(vocabulary())
    return [merge for merge in MERGES if set(merge.split()) <= tokens and merge.replace(" ", "") in tokens]


@pytest.fixture(params=["llama", "qwen2", "qwen3"])
def config(request: pytest.FixtureRequest) -> ModelConfig:
    """A small shape of each family; qwen3's heads are wider than hidden / heads."""
    family = request.param
    small = replace(SMALL, family=family, rope=Rope(10_000.0, PAIRINGS[family]))
    if family == "qwen3":
        return replace(small, qk_norm=True, head_dim=32)
    return replace(small, attention_bias=family == "qwen2", tied_embeddings=family == "qwen2")


@pytest.fixture
def small() -> ModelConfig:
    return SMALL


def _random_tensors(config: ModelConfig, seed: int = 0) -> Tensors:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in tensor_shapes(config)}


@pytest.fixture
def random_tensors() -> Callable[..., Tensors]:
    """Seeded weights by canonical name."""
    return _random_tensors


def _stored(config: ModelConfig, tensors: Tensors, table: Any) -> Tensors:
    """As the file keeps them: stored names, linear weights (out, in)."""
    turned = {name: array.T if table.turns(name, array.shape) else array for name, array in tensors.items()}
    return {table.stored_name(name): np.ascontiguousarray(array) for name, array in turned.items()}


@pytest.fixture
def write_gguf(tmp_path: Path) -> Callable[..., Path]:
    """Writes a model with `gguf.GGUFWriter`; `metadata` and `stored` override keys and tensors, or drop them (None)."""

    def write(
        config: ModelConfig = SMALL,
        tensors: Tensors | None = None,
        *,
        kind: Any = gguf.GGMLQuantizationType.F32,
        metadata: Mapping[str, Any] | None = None,
        stored: Mapping[str, Any] | None = None,
        tokenizer: bool = True,
    ) -> Path:
        path = tmp_path / "model.gguf"
        writer = gguf.GGUFWriter(str(path), config.family)
        for key, value in (_gguf_metadata(config, tokenizer=tokenizer) | dict(metadata or {})).items():
            _add(writer, key, value)
        arrays = _stored(config, tensors or _random_tensors(config), GGUF_NAMES) | dict(stored or {})
        for name, array in arrays.items():
            if array is None:
                continue
            quantised = array.ndim == 2 and kind != gguf.GGMLQuantizationType.F32
            data = gguf.quants.quantize(array, kind) if quantised else array
            writer.add_tensor(name, data, raw_dtype=kind if quantised else None)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


def _gguf_metadata(config: ModelConfig, *, tokenizer: bool) -> dict[str, Any]:
    family = config.family
    shape = {
        f"{family}.vocab_size": config.vocabulary,
        f"{family}.embedding_length": config.hidden,
        f"{family}.block_count": config.layers,
        f"{family}.attention.head_count": config.heads,
        f"{family}.attention.head_count_kv": config.kv_heads,
        f"{family}.attention.key_length": config.head_dim,
        f"{family}.feed_forward_length": config.intermediate,
        f"{family}.context_length": config.context,
        f"{family}.attention.layer_norm_rms_epsilon": config.norm_epsilon,
        f"{family}.rope.freq_base": config.rope.theta,
    }
    words = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": vocabulary(),
        "tokenizer.ggml.token_type": [3] * len(SPECIAL_TOKENS) + [1] * (config.vocabulary - len(SPECIAL_TOKENS)),
        "tokenizer.ggml.merges": merges(),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    }
    return shape | (words if tokenizer else {})


def _add(writer: Any, key: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)


@pytest.fixture
def hf_keys() -> Callable[[ModelConfig], dict[str, Any]]:
    return _hf_keys


def _hf_keys(config: ModelConfig) -> dict[str, Any]:
    """config.json as transformers before 5 wrote it."""
    return {
        "model_type": config.family,
        "vocab_size": config.vocabulary,
        "hidden_size": config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.intermediate,
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rope.theta,
        "tie_word_embeddings": config.tied_embeddings,
        "hidden_act": "silu",
    }


@pytest.fixture
def write_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder with the safetensors library, in `shards` files; `keys` and `stored` override or drop (None)."""

    def write(
        config: ModelConfig = SMALL,
        tensors: Tensors | None = None,
        *,
        dtype: Any = np.float32,
        shards: int = 1,
        keys: Mapping[str, Any] | None = None,
        stored: Mapping[str, Any] | None = None,
    ) -> Path:
        merged = _hf_keys(config) | dict(keys or {})
        (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in merged.items() if v is not None}))
        arrays = _stored(config, tensors or _random_tensors(config), HF_NAMES) | dict(stored or {})
        present = {name: array.astype(dtype) for name, array in arrays.items() if array is not None}
        if shards == 1:
            save_file(present, tmp_path / "model.safetensors")
            return tmp_path
        weight_map: dict[str, str] = {}
        for part in range(shards):
            file = f"model-{part + 1:05d}-of-{shards:05d}.safetensors"
            names = list(present)[part::shards]
            save_file({name: present[name] for name in names}, tmp_path / file)
            weight_map |= dict.fromkeys(names, file)
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        return tmp_path

    return write
