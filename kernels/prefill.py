"""Prefill as GEMM: a chunk of a prompt through layers like Llama's, on a square of PEs.

Source: WaferLLM (OSDI 2025, arXiv 2502.04563), section 4: projections by MeshGEMM, scores by GEMM-T, norms and softmax
by reductions along x. Tokens are split over the rows, features over the columns; a head's dimensions lie on all
columns, and all heads go through a GEMM together. GEMMs come in two kinds that suit each other: MeshGEMM takes its
left operand skewed along x and leaves its product in rows and columns; the kind whose sums walk
(:mod:`wse_emu.kernels.gemm_t`) takes and leaves them the other way around. The hidden state, and scores, are skewed;
queries, keys, values and what is between the MLP's projections are not. Keys and values alone are aligned on the wafer.

Values are ``(P, P, kv heads, queries of each, m, n)``: tiles of m tokens × n features.
"""

from dataclasses import dataclass
from functools import cached_property

from wse_emu.errors import WseError
from wse_emu.kernels.decoder import Style
from wse_emu.kernels.gemm import mesh_gemm_step
from wse_emu.kernels.gemm_t import align_down, gemm_t, walking_gemm
from wse_emu.kernels.norm import SQUARES
from wse_emu.kernels.waferllm import ALL_REDUCE_TASKS, GEMM_TASKS, STEP_CONTROL
from wse_emu.models.config import ModelConfig
from wse_emu.program import Body, Builder, Layout, Value

TILED = Layout(("y", "x", None, None, None, None))
"""One tile a PE."""
BY_COLUMN = Layout((None, "x", None, None, None, None))
"""The same tile on all PEs of a column."""


def unlike_llama(config: ModelConfig) -> list[str]:
    """Parts of the model's layers that this prefill does not compute, by name."""
    parts = {
        "LayerNorm": config.norm != "rms",
        "an MLP other than SwiGLU": not config.gated or config.activation != "silu",
        "experts": config.experts is not None,
        "windowed layers": any(config.windowed),
        "soft-caps of scores": config.attention_softcap is not None,
        "attention sinks": config.attention_sinks,
        "norms over all heads": config.wide_qk_norm,
        "norms behind attention and MLP": config.post_norms,
        "biases of output or MLP": config.output_bias or config.mlp_bias,
        "learned positions": config.learned_positions,
        "a parallel residual": config.parallel_residual,
        "no rotation": not config.rope.rotates,
    }
    return [name for name, there in parts.items() if there]


def check_prefill(config: ModelConfig) -> None:
    """WseError, naming the parts, for a model whose layers this prefill does not compute."""
    if found := unlike_llama(config):
        raise WseError(
            f"a prefill by GEMMs is for layers like Llama's, Qwen2's and Qwen3's: {config.family} has "
            f"{', '.join(found)}; --prefill tokens works"
        )


@dataclass(frozen=True)
class Chunk:
    """``tokens`` of a prompt on ``edge``² PEs: the sizes of their tiles, padded up."""

    config: ModelConfig
    edge: int
    tokens: int

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise WseError(f"a prefill of {self.tokens} tokens: at least 1 works")
        if self.edge < 1:
            raise WseError(f"a prefill on {self.edge}² PEs: an edge of at least 1 works")

    def up(self, size: int) -> int:
        """``size`` over the edge."""
        return -(-size // self.edge)

    @cached_property
    def m(self) -> int:
        """Tokens of a tile."""
        return self.up(self.tokens)

    @cached_property
    def hidden(self) -> int:
        """Elements of the hidden state in a tile."""
        return self.up(self.config.hidden)

    @cached_property
    def pairs(self) -> int:
        """Rotary pairs of each head in a tile."""
        return self.up(self.config.head_dim // 2)

    @cached_property
    def inner(self) -> int:
        """Elements between the MLP's projections in a tile."""
        return self.up(self.config.intermediate)

    @property
    def repeat(self) -> int:
        return self.config.heads // self.config.kv_heads


def embed_chunk(chunk: Chunk, style: Style) -> Body:
    """() -> hidden, cos, sin: the host looks the tokens up and sends them in; PEs know where in the prompt they are."""
    b = style.builder("chunk", chunk.edge, chunk.edge)
    hidden = b.input("hidden", (chunk.edge, chunk.edge, 1, 1, chunk.m, chunk.hidden), TILED)
    frequencies = b.weight("rope", (1, chunk.edge, 1, 1, 1, chunk.pairs), BY_COLUMN, "float32")
    with b.kernel("embedding"):
        hidden = b.host_in(hidden, blocking=True)
    with b.kernel("rope"):
        magnitude = chunk.config.rope.magnitude
        cos, sin = b.local(
            "token_angles", frequencies, edge=chunk.edge, tokens=chunk.m, magnitude=magnitude, dtype=b.dtype
        )
    return b.build(hidden, cos, sin)


def prefill_layer(chunk: Chunk, style: Style) -> Body:
    """Hidden, cos, sin -> hidden, keys, values: one layer for all tokens of the chunk."""
    config, edge = chunk.config, chunk.edge
    b = style.builder("prefill layer", edge, edge)
    hidden = b.input("hidden", (edge, edge, 1, 1, chunk.m, chunk.hidden), TILED)
    cos, sin = (b.input(part, (edge, edge, 1, 1, chunk.m, chunk.pairs), TILED) for part in ("cos", "sin"))
    normed = _norm(b, chunk, hidden, "attention_norm")
    query, keys, values = _heads(b, chunk, normed, cos, sin)
    mixed = _attention(b, config.score_scale, query, keys, values)
    with b.kernel("output"):
        out = b.weight("o", (edge, edge, config.kv_heads, chunk.repeat, 2 * chunk.pairs, chunk.hidden), TILED)
        hidden = b.local("add", hidden, _walking(b, mixed, out, summed=True))
    normed = _norm(b, chunk, hidden, "mlp_norm")
    with b.kernel("mlp"):
        hidden = b.local("add", hidden, _mlp(b, chunk, normed))
    return b.build(hidden, keys, values)


def _norm(b: Builder, chunk: Chunk, x: Value, name: str) -> Value:
    weight = b.weight(name, (chunk.edge, chunk.edge, 1, 1, 1, chunk.hidden), TILED)
    with b.kernel("norm"):
        return _rms(b, x, weight, chunk.config.hidden, chunk.config.norm_epsilon)


def _rms(b: Builder, x: Value, weight: Value, size: int, epsilon: float) -> Value:
    squares = _along_rows(b, b.local("sum_of_squares", x, dims=1, dtype=SQUARES))
    result: Value = b.local("rms_scale", x, squares, weight, size=size, epsilon=epsilon)
    return result


def _along_rows(b: Builder, partial: Value, combine: str = "add") -> Value:
    b.control(tasks=ALL_REDUCE_TASKS)
    total: Value = b.all_reduce(partial, axis="x", combine=combine)  # type: ignore[arg-type]
    return total


def _heads(b: Builder, chunk: Chunk, normed: Value, cos: Value, sin: Value) -> tuple[Value, Value, Value]:
    """Queries (kv, repeat), keys and values (kv, 1) of all tokens, the first two normed and rotated."""
    config, edge, repeat, wide = chunk.config, chunk.edge, chunk.repeat, 2 * chunk.pairs
    with b.kernel("qkv"):
        w = b.weight("qkv", (edge, edge, config.kv_heads, repeat + 2, chunk.hidden, wide), TILED)
        heads = _mesh(b, normed, w)
        if config.attention_bias:
            bias = b.weight("qkv_bias", (1, edge, config.kv_heads, repeat + 2, 1, wide), BY_COLUMN)
            heads = b.local("add", heads, bias)
        both, values = _part(b, heads, 0, repeat + 1), _part(b, heads, repeat + 1, repeat + 2)
    if config.qk_norm:
        with b.kernel("norm"):
            weight = b.weight("qk_norm", (1, edge, 1, repeat + 1, 1, wide), BY_COLUMN)
            both = _rms(b, both, weight, config.head_dim, config.norm_epsilon)
    with b.kernel("rope"):
        both = b.local("rope_tile", both, cos, sin)
        return _part(b, both, 0, repeat), _part(b, both, repeat, repeat + 1), values


def _part(b: Builder, x: Value, start: int, stop: int, dim: int = 3) -> Value:
    found: Value = b.local("slice", x, dim=dim, start=start, stop=stop)
    return found


def _attention(b: Builder, scale: float, query: Value, keys: Value, values: Value) -> Value:
    """softmax(query @ keysᵀ · scale) @ values, each query with the keys up to its own."""
    with b.kernel("align"):
        keys, values = align_down(b, keys), align_down(b, values)
    with b.kernel("attention"):
        b.control(tasks=GEMM_TASKS)
        scores = gemm_t(b, b.local("scale", query, factor=scale), keys, control=STEP_CONTROL)
        scores = b.local("causal_mask", scores)
        best = _along_rows(b, b.local("max", scores, dims=1), "max")
        scores = b.local("exp_minus", scores, best)
        total = _along_rows(b, b.local("sum", scores, dims=1))
        mixed: Value = b.local("divide", _mesh(b, scores, values), total)
        return mixed


def _mlp(b: Builder, chunk: Chunk, normed: Value) -> Value:
    edge = chunk.edge
    gate_up = b.weight("gate_up", (edge, edge, 2, 1, chunk.hidden, chunk.inner), TILED)
    down = b.weight("down", (edge, edge, 1, 1, chunk.inner, chunk.hidden), TILED)
    both = _mesh(b, normed, gate_up)
    gate, up = (_part(b, both, i, i + 1, dim=2) for i in range(2))
    return _walking(b, b.local("mul", b.local("silu", gate), up), down)


def _mesh(b: Builder, a: Value, w: Value) -> Value:
    """MeshGEMM from nothing, whose first step needs no sum."""
    b.control(tasks=GEMM_TASKS)
    b.control(**STEP_CONTROL)
    if b.rows == 1:
        alone: Value = b.local("gemm", a, w)
        return alone
    with b.overlap():
        next_a, next_w = b.shift(a, axis="x", distance=-1), b.shift(w, axis="y", distance=-1)
        total: Value = b.local("gemm", a, w)
    for _ in range(b.rows - 1):
        a, w = next_a, next_w
        b.control(**STEP_CONTROL)
        next_a, next_w, total = mesh_gemm_step(b, a, w, total, fewest_rows=True)
    return total


def _walking(b: Builder, a: Value, w: Value, *, summed: bool = False) -> Value:
    b.control(tasks=GEMM_TASKS)
    return walking_gemm(b, a, w, summed=summed, control=STEP_CONTROL)
