"""The bodies of a decoder of the Llama family, and the weights that each of their values needs.

The hidden state (hidden,) lies ("y",) between layers. Queries, keys and values are one GEMV of shape
(kv, repeat + 2, *pairs): a key-value head's queries, its key and its value lie on the same columns of PEs.
"""

from dataclasses import dataclass

import numpy as np

from wse_emu.kernels.attention import attend, project
from wse_emu.kernels.embed import embed, lm_head
from wse_emu.kernels.gemv import gemv
from wse_emu.kernels.mlp import swiglu_mlp
from wse_emu.kernels.norm import head_norm, rms_norm
from wse_emu.kernels.rope import angles, rope
from wse_emu.kernels.sample import argmax
from wse_emu.models.config import ModelConfig
from wse_emu.models.weights import Weights
from wse_emu.program import Body, Builder, Layout, Value
from wse_emu.program.builder import Chooser

HIDDEN = Layout(("y",))
SCALAR = Layout((None,))


@dataclass(frozen=True)
class Shapes:
    """How attention lies on ``cols`` columns: ``inner`` columns share one key-value head's dimensions."""

    config: ModelConfig
    cols: int
    inner: int

    @property
    def repeat(self) -> int:
        """Query heads per key-value head."""
        return self.config.heads // self.config.kv_heads

    @property
    def pairs(self) -> tuple[int, int]:
        half = self.config.head_dim // 2
        return (2, half) if self.config.rope.pairing == "half" else (half, 2)

    @property
    def pair_dims(self) -> tuple[str | None, str | None]:
        return (None, "x.inner") if self.config.rope.pairing == "half" else ("x.inner", None)

    def heads(self, *before: str | None) -> Layout:
        """Layout of (…, kv, repeat, *pairs)."""
        return Layout((*before, "x.outer", None, *self.pair_dims), self.inner)

    def frequencies(self) -> Layout:
        return Layout(("x.inner",), self.inner)


def inner_columns(config: ModelConfig, cols: int) -> tuple[int, ...]:
    """The numbers of columns that may share a key-value head: powers of two up to what is there."""
    most = max(1, min(cols // config.kv_heads, config.head_dim // 2))
    return tuple(1 << i for i in range(most.bit_length()))


@dataclass(frozen=True)
class Style:
    """What all bodies of a program have in common: the dtype of weights, cache and activations, and the reductions."""

    dtype: str = "float32"
    reduce: str = "auto"
    choose: Chooser | None = None

    def builder(self, name: str, rows: int, cols: int) -> Builder:
        return Builder(name, rows, cols, reduce=self.reduce, choose=self.choose, dtype=self.dtype)


def embed_body(config: ModelConfig, style: Style, rows: int, cols: int) -> Body:
    """Token (1,) -> hidden (hidden,)."""
    b = style.builder("embed", rows, cols)
    token = b.input("token", (1,), SCALAR, "int32")
    table = b.weight("embedding", (config.vocabulary, config.hidden), Layout(("x", "y")))
    with b.kernel("embedding"):
        token = b.host_in(token, blocking=False)
        return b.build(embed(b, table, token))


def angles_body(shapes: Shapes, style: Style, rows: int) -> Body:
    """() -> cos, sin of the token's rotary angles."""
    b = style.builder("angles", rows, shapes.cols)
    frequencies = b.weight("rope", (shapes.config.head_dim // 2,), shapes.frequencies())
    with b.kernel("rope"):
        return b.build(*angles(b, frequencies))


def head_body(config: ModelConfig, style: Style, rows: int, cols: int, *, on_host: bool = False) -> Body:
    """Hidden (hidden,) -> logits (vocabulary,), token (1,).

    The token is the best one, chosen on the wafer; with ``on_host`` the logits leave for the host, which samples, and
    the wafer waits for its answer.
    """
    b = style.builder("head", rows, cols)
    hidden = b.input("hidden", (config.hidden,), HIDDEN)
    norm = b.weight("final_norm", (config.hidden,), HIDDEN)
    name = "embedding" if config.tied_embeddings else "lm_head"
    table = b.weight(name, (config.vocabulary, config.hidden), Layout(("x", "y")))
    with b.kernel("norm"):
        hidden = rms_norm(b, hidden, norm, epsilon=config.norm_epsilon)
    with b.kernel("lm_head"):
        logits = lm_head(b, table, hidden)
    with b.kernel("sample"):
        token = argmax(b, logits)
        b.host_out(logits if on_host else token, blocking=on_host)
    return b.build(logits, token)


def layer_body(shapes: Shapes, style: Style, rows: int, *, positions: int) -> Body:
    """Hidden (hidden,), cos, sin -> hidden (hidden,): attention over up to ``positions`` tokens, then the MLP."""
    config = shapes.config
    b = style.builder("layer", rows, shapes.cols)
    hidden = b.input("hidden", (config.hidden,), HIDDEN)
    half = config.head_dim // 2
    cos, sin = (b.input(part, (half,), shapes.frequencies()) for part in ("cos", "sin"))
    hidden = _attention(b, shapes, hidden, (cos, sin), positions)
    norm = b.weight("mlp_norm", (config.hidden,), HIDDEN)
    gate_up = b.weight("gate_up", (2, config.intermediate, config.hidden), Layout((None, "x", "y")))
    down = b.weight("down", (config.hidden, config.intermediate), Layout(("y", "x")))
    with b.kernel("norm"):
        normed = rms_norm(b, hidden, norm, epsilon=config.norm_epsilon)
    with b.kernel("mlp"):
        return b.build(swiglu_mlp(b, gate_up, down, normed, hidden))


def _attention(b: Builder, shapes: Shapes, hidden: Value, angle: tuple[Value, Value], positions: int) -> Value:
    config, repeat = shapes.config, shapes.repeat
    norm = b.weight("attention_norm", (config.hidden,), HIDDEN)
    out = b.weight("o", (config.hidden, config.kv_heads, repeat, *shapes.pairs), shapes.heads("y"))
    cache_layout = Layout(("y", "x.outer", *shapes.pair_dims), shapes.inner)
    keys, values = (
        b.state(part, (positions, config.kv_heads, *shapes.pairs), cache_layout) for part in ("keys", "values")
    )
    with b.kernel("norm"):
        normed = rms_norm(b, hidden, norm, epsilon=config.norm_epsilon)
    with b.kernel("qkv"):
        heads = _heads(b, shapes, normed)
        both = b.local("take", heads, start=0, stop=repeat + 1)
        value = b.local("take", heads, start=repeat + 1, stop=repeat + 2)
    if config.qk_norm:
        with b.kernel("norm"):
            weight = b.weight("qk_norm", (repeat + 1, *shapes.pairs), Layout((None, *shapes.pair_dims), shapes.inner))
            both = head_norm(b, both, weight, epsilon=config.norm_epsilon)
    with b.kernel("rope"):
        both = rope(b, both, *angle, pairing=config.rope.pairing)
        query = b.local("take", both, start=0, stop=repeat)
        key = b.local("take", both, start=repeat, stop=repeat + 1)
    with b.kernel("attention"):
        b.append(keys, key)
        b.append(values, value)
        mixed = attend(b, query, keys, values, scale=config.head_dim**-0.5)
    with b.kernel("output"):
        return project(b, out, mixed, hidden)


def _heads(b: Builder, shapes: Shapes, normed: Value) -> Value:
    """Queries, key and value of every key-value head, from one GEMV."""
    config = shapes.config
    shape = (config.kv_heads, shapes.repeat + 2, *shapes.pairs)
    layout = shapes.heads()
    w = b.weight("qkv", (*shape, config.hidden), Layout((*layout.dims, "y"), shapes.inner))
    heads = gemv(b, w, normed)
    if config.attention_bias:
        bias: Value = b.local("add", heads, b.weight("qkv_bias", shape, layout))
        return bias
    return heads


def weight_array(config: ModelConfig, weights: Weights, prefix: str, name: str) -> np.ndarray:
    """The model's tensors behind a body's value ``prefix + name``: a matrix as (in, out), else in its own shape."""
    if name == "embedding":
        return weights["embedding"].T
    if name == "rope":
        return config.rope.inverse_frequencies(config.head_dim).astype(np.float32)
    if name == "gate_up":
        return np.concatenate([weights[prefix + "gate"], weights[prefix + "up"]], axis=1)
    if name in ("qkv", "qkv_bias"):
        suffix = name.removeprefix("qkv")
        return _by_kv_head(config, [weights[prefix + part + suffix] for part in "qkv"])
    if name == "qk_norm":
        repeat = config.heads // config.kv_heads
        return np.stack([weights[prefix + "q_norm"]] * repeat + [weights[prefix + "k_norm"]])
    return weights[prefix + name]


def _by_kv_head(config: ModelConfig, parts: list[np.ndarray]) -> np.ndarray:
    """Queries, keys and values (…, heads · dim) side by side for every key-value head: (…, kv · (repeat + 2) · dim)."""
    front = parts[0].shape[:-1]
    split = [np.reshape(part, (*front, config.kv_heads, -1)) for part in parts]
    return np.reshape(np.concatenate(split, axis=-1), (*front, -1))
