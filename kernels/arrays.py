"""The model's tensors behind the values of a decoder's bodies, as these lie."""

import numpy as np

from wse_emu.kernels.expert_regions import expert_array
from wse_emu.models.config import LayerKind, ModelConfig
from wse_emu.models.weights import ROW_TABLES, Weights


def weight_array(config: ModelConfig, weights: Weights, prefix: str, name: str) -> np.ndarray:
    """The model's tensors behind a body's value ``prefix + name``: a matrix as (in, out), else in its own shape."""
    if name in ROW_TABLES:
        return weights[name].T
    if ".experts." in prefix:
        return expert_array(weights, prefix, name)
    if name in ("rope", "local_rope"):
        found = config.rope_of(LayerKind(windowed=name == "local_rope"))
        return found.inverse_frequencies(config.head_dim).astype(np.float32)
    if "gate_up" in name:
        parts = (weights[prefix + name.replace("gate_up", part)] for part in ("gate", "up"))
        return np.concatenate(list(parts), axis=-1)
    if name in ("qkv", "qkv_bias"):
        suffix = name.removeprefix("qkv")
        query, key, value = (weights[prefix + part + suffix] for part in "qkv")
        return _by_kv_head(config, [_as_rotated(config, query), _as_rotated(config, key), value])
    return _qk_norm(config, weights, prefix) if name == "qk_norm" else weights[prefix + name]


def _qk_norm(config: ModelConfig, weights: Weights, prefix: str) -> np.ndarray:
    query, key = (_as_rotated(config, weights[f"{prefix}{part}_norm"]) for part in "qk")
    if config.wide_qk_norm:
        return _by_kv_head(config, [query, key])
    return np.stack([query] * (config.heads // config.kv_heads) + [key])


def _as_rotated(config: ModelConfig, heads: np.ndarray) -> np.ndarray:
    """Heads (…, heads · dim) of queries or keys with the elements of each in the order in which they rotate."""
    order = config.rope.pair_order(config.head_dim)
    if np.array_equal(order, np.arange(order.size)):
        return heads
    return np.reshape(np.reshape(heads, (*heads.shape[:-1], -1, order.size))[..., order], heads.shape)


def _by_kv_head(config: ModelConfig, parts: list[np.ndarray]) -> np.ndarray:
    """Queries, keys and values (…, heads · dim) side by side for every key-value head: (…, kv · (repeat + 2) · dim)."""
    front = parts[0].shape[:-1]
    split = [np.reshape(part, (*front, config.kv_heads, -1)) for part in parts]
    return np.reshape(np.concatenate(split, axis=-1), (*front, -1))
