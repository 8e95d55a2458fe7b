"""Small seeded Llama, Qwen2 and Qwen3 models of transformers, written as safetensors folders."""

import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.oracle.reference import causal_model, transformers

_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
# (model_type, hidden, layers, heads, kv heads, head_dim, intermediate, vocabulary, tied, rope scaling)
_SHAPES: Mapping[str, tuple[str, int, int, int, int, int, int, int, bool, dict[str, Any] | None]] = {
    "llama": ("llama", 50, 2, 5, 1, 10, 67, 97, False, None),
    "llama-tied": ("llama", 56, 3, 4, 2, 14, 101, 211, True, None),
    "llama-3.1": ("llama", 48, 2, 4, 4, 12, 90, 131, False, _LLAMA3),
    "llama-linear": ("llama", 60, 2, 6, 3, 10, 70, 113, True, {"rope_type": "linear", "factor": 2.5}),
    "qwen2": ("qwen2", 60, 2, 6, 2, 10, 83, 300, False, None),
    "qwen2-tied": ("qwen2", 70, 3, 5, 1, 14, 110, 149, True, None),
    "qwen3": ("qwen3", 54, 2, 4, 2, 14, 95, 257, False, None),
    "qwen3-tied": ("qwen3", 80, 3, 6, 3, 10, 73, 101, True, None),
}
NAMES = tuple(_SHAPES)
"""Names for ``make``; sizes that few grids divide."""


def make(name: str, seed: int = 0) -> Any:
    """A seeded model of ``NAMES`` in which every weight counts: norms and biases too are random."""
    family, hidden, layers, heads, kv_heads, head_dim, intermediate, vocabulary, tied, scaling = _SHAPES[name]
    config = transformers().AutoConfig.for_model(
        family,
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        intermediate_size=intermediate,
        max_position_embeddings=128,
        rms_norm_eps=1e-6,
        tie_word_embeddings=tied,
        **({"rope_scaling": scaling} if scaling else {}),
    )
    import torch

    torch.manual_seed(zlib.crc32(name.encode()) + seed)
    model = causal_model(config)
    for parameter_name, parameter in model.named_parameters():
        parameter.data = _random(torch, parameter_name, parameter.shape)
    return model


def _random(torch: Any, name: str, shape: Any) -> Any:
    """Scales at which eight models write text, where others soon repeat one token: a tied one its last."""
    values = torch.randn(shape)
    if name.endswith("norm.weight"):
        return 1 + 0.2 * values
    if name.endswith("bias"):
        return 0.5 * values
    if "embed" in name:
        return 0.05 * values
    return values * shape[1] ** -0.5 * (2 if "self_attn" in name else 1)


def saved(model: Any, folder: Path, shard: str = "10GB") -> Path:
    """The folder, with the model in it as safetensors and config.json; a small ``shard``, as "20KB", splits it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder, max_shard_size=shard)
    return folder
