"""How a model's tensors are dealt to the tiles of a prefill, and how hidden states, keys and values are read back.

Rows of PEs hold tokens by ring places; columns hold features by position, or by part where tiles are skewed.
"""

import numpy as np

from wse_emu.kernels.arrays import weight_array
from wse_emu.kernels.gemm_t import parts, places, skewed_across, skewed_down
from wse_emu.kernels.prefill import Chunk
from wse_emu.models.weights import Weights


def weight_tiles(chunk: Chunk, weights: Weights, prefix: str, name: str) -> np.ndarray:
    """The model's tensors behind the value ``prefix + name`` of a prefill's body, in its shape."""
    array = np.asarray(weight_array(chunk.config, weights, prefix, name))
    if name == "rope":
        return np.asarray(_cut(array, 0, chunk.edge)[None, :, None, None, None, :])
    if name in ("qkv_bias", "qk_norm"):
        return _by_column(chunk, array, name)
    if name.endswith("norm"):
        return np.asarray(_cut(array, 0, chunk.edge)[parts(chunk.edge)][:, :, None, None, None, :])
    return {"qkv": _qkv, "o": _output, "gate_up": _gate_up, "down": _down}[name](chunk, array)


def hidden_tiles(chunk: Chunk, hidden: np.ndarray) -> np.ndarray:
    """Hidden (tokens, hidden) as the first layer takes it, (P, P, 1, 1, m, h); the last token fills what is padded."""
    edge, missing = chunk.edge, chunk.edge * chunk.m - len(hidden)
    held = np.pad(hidden, ((0, missing), (0, 0)), mode="edge")
    held = _cut(_cut(held, 1, edge), 0, edge)  # tokens' part, token, features' part, feature
    found: np.ndarray = held.swapaxes(1, 2)[places(edge)[:, None], parts(edge)]
    return found[:, :, None, None]


def hidden_of(chunk: Chunk, held: np.ndarray) -> np.ndarray:
    """What :func:`hidden_tiles` has dealt: (tokens, hidden)."""
    back = np.empty_like(held[:, :, 0, 0])
    back[places(chunk.edge)[:, None], parts(chunk.edge)] = held[:, :, 0, 0]
    whole = back.swapaxes(1, 2).reshape(chunk.edge * chunk.m, -1)
    return whole[: chunk.tokens, : chunk.config.hidden]


def cached(chunk: Chunk, held: np.ndarray) -> np.ndarray:
    """Keys or values (P, P, kv, 1, m, 2 · pairs) as a decode caches them: (tokens, kv, *pairs)."""
    config, edge, half = chunk.config, chunk.edge, chunk.config.head_dim // 2
    back = np.empty_like(held)
    back[places(edge)] = held
    back = back[:, :, :, 0].reshape(edge, edge, config.kv_heads, chunk.m, 2, chunk.pairs)
    back = back.transpose(0, 3, 2, 4, 1, 5).reshape(edge * chunk.m, config.kv_heads, 2, -1)
    back = back[: chunk.tokens, :, :, :half]
    return back if config.rope.pairing == "half" else back.swapaxes(2, 3)


def _qkv(chunk: Chunk, array: np.ndarray) -> np.ndarray:
    heads = _paired(chunk, array.reshape(chunk.config.hidden, chunk.config.kv_heads, chunk.repeat + 2, -1))
    return skewed_down(_cut(heads, 1, chunk.edge).transpose(1, 0, 3, 4, 2, 5))


def _output(chunk: Chunk, array: np.ndarray) -> np.ndarray:
    heads = array.reshape(chunk.config.kv_heads, chunk.repeat, -1, chunk.config.hidden)
    paired = _paired(chunk, heads.swapaxes(2, 3))
    return skewed_across(_cut(paired, 3, chunk.edge).transpose(0, 3, 1, 2, 5, 4))


def _gate_up(chunk: Chunk, array: np.ndarray) -> np.ndarray:
    both = _cut(array.reshape(chunk.config.hidden, 2, -1), 0, chunk.edge)
    return skewed_down(_cut(both, 3, chunk.edge).transpose(0, 3, 2, 1, 4)[:, :, :, None])


def _down(chunk: Chunk, array: np.ndarray) -> np.ndarray:
    held = _cut(_cut(array, 1, chunk.edge), 0, chunk.edge).swapaxes(1, 2)
    return skewed_across(held[:, :, None, None])


def _by_column(chunk: Chunk, array: np.ndarray, name: str) -> np.ndarray:
    heads = chunk.config.kv_heads if name == "qkv_bias" else 1
    return _paired(chunk, array.reshape(heads, -1, chunk.config.head_dim))[None, ..., None, :]


def _paired(chunk: Chunk, array: np.ndarray) -> np.ndarray:
    """Heads (…, head_dim) dealt to columns by rotary pairs, (P, …, 2 · pairs): all first members, then the second."""
    half = chunk.config.head_dim // 2
    if chunk.config.rope.pairing == "half":
        pairs = array.reshape(*array.shape[:-1], 2, half)
    else:
        pairs = array.reshape(*array.shape[:-1], half, 2).swapaxes(-1, -2)
    held = np.moveaxis(_cut(pairs, pairs.ndim - 1, chunk.edge), -2, 0)
    return held.reshape(*held.shape[:-2], -1)


def _cut(array: np.ndarray, axis: int, edge: int) -> np.ndarray:
    """``axis`` in ``edge`` equal parts, padded with zeros: (…, edge, size, …)."""
    size = -(-array.shape[axis] // edge)
    missing = [(0, 0)] * array.ndim
    missing[axis] = (0, edge * size - array.shape[axis])
    return np.pad(array, missing).reshape(*array.shape[:axis], edge, size, *array.shape[axis + 1 :])
