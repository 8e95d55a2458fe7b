"""The bodies of a decoder.

The hidden state (hidden,) lies ("y",) between layers. Queries, keys and values are one GEMV of shape
(kv, repeat + 2, *pairs): a key-value head's queries, its key and its value lie on the same columns of PEs.
"""

from dataclasses import dataclass

from wse_emu.fabric.region import Region
from wse_emu.kernels.attention import attend, project
from wse_emu.kernels.embed import embed, lm_head
from wse_emu.kernels.gemv import gemv
from wse_emu.kernels.latent import latent_attention
from wse_emu.kernels.mlp import mlp
from wse_emu.kernels.moe_layer import routed, sparse_mlp
from wse_emu.kernels.norm import head_norm, layer_norm, rms_norm, wide_norm
from wse_emu.kernels.rope import angles, rope
from wse_emu.kernels.sample import argmax
from wse_emu.models.config import LayerKind, ModelConfig
from wse_emu.program import Body, Builder, Call, Layout, Value
from wse_emu.program.builder import Chooser
from wse_emu.program.precision import Precision

HIDDEN = Layout(("y",))
SCALAR = Layout((None,))
CHOSEN = "chosen"
ALIKE = LayerKind()
"""The kind of every layer of a model whose layers are all alike."""


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

    @property
    def angles(self) -> int:
        """Pairs of a head that have an angle."""
        latent = self.config.latent
        return self.config.head_dim // 2 if latent is None else latent.rope // 2

    def frequencies(self) -> Layout:
        return Layout(("x.inner",), self.inner) if self.config.latent is None else Layout(("x",))


def inner_columns(config: ModelConfig, cols: int) -> tuple[int, ...]:
    """The numbers of columns that may share a key-value head: powers of two up to what is there."""
    most = max(1, min(cols // config.kv_heads, config.head_dim // 2))
    return tuple(1 << i for i in range(most.bit_length()))


@dataclass(frozen=True)
class Style:
    """What all bodies of a program have in common: the types of its numbers, and the reductions."""

    dtype: str | Precision = "float32"
    reduce: str = "auto"
    choose: Chooser | None = None

    def builder(self, name: str, rows: int, cols: int) -> Builder:
        return Builder(name, rows, cols, reduce=self.reduce, choose=self.choose, dtype=self.dtype)


def embed_body(config: ModelConfig, style: Style, rows: int, cols: int) -> Body:
    """Token (1,) -> hidden (hidden,)."""
    b = style.builder("embed", rows, cols)
    token = b.input("token", (1,), SCALAR, "int32")
    table = b.matrix("embedding", (config.vocabulary, config.hidden), Layout(("x", "y")))
    positions = None
    if config.learned_positions:
        positions = b.weight("position_embedding", (config.context, config.hidden), Layout(("x", "y")))
    with b.kernel("embedding"):
        token = b.host_in(token, blocking=False)
        return b.build(embed(b, table, token, positions, scale=config.embedding_scale))


def angle_names(config: ModelConfig, kind: LayerKind = ALIKE) -> tuple[str, ...]:
    """A program's names for the cos and sin that layers of that kind take; none where nothing rotates."""
    if not config.rope.rotates:
        return ()
    local = "local_" if config.rope_of(kind) != config.rope else ""
    return f"{local}cos", f"{local}sin"


def layer_call(body: Body, region: Region, takes: tuple[str, ...], layer: int) -> Call:
    """Layer number ``layer`` on ``region``: from the hidden state and ``takes`` to the hidden state.

    What a sparse layer chose bears the name `layers.N.chosen`, and so on.
    """
    prefix = f"layers.{layer}."
    gives = ("hidden", *(f"{prefix}{part}" for part in (CHOSEN, "normed", "weights")))[: len(body.outputs)]
    return Call(body, region, ("hidden", *takes), gives, prefix)


def angles_body(shapes: Shapes, style: Style, rows: int, kind: LayerKind = ALIKE) -> Body:
    """() -> cos, sin of the token's rotary angles in layers of that kind."""
    b = style.builder("angles", rows, shapes.cols)
    turned = shapes.config.rope_of(kind)
    name = "rope" if turned == shapes.config.rope else "local_rope"
    frequencies = b.weight(name, (shapes.angles,), shapes.frequencies(), "float32")
    with b.kernel("rope"):
        return b.build(*angles(b, frequencies, magnitude=turned.magnitude))


def head_body(config: ModelConfig, style: Style, rows: int, cols: int, *, on_host: bool = False) -> Body:
    """Hidden (hidden,) -> logits (vocabulary,), token (1,).

    The token is the best one, chosen on the wafer; with ``on_host`` the logits leave for the host, which samples, and
    the wafer waits for its answer.
    """
    b = style.builder("head", rows, cols)
    hidden = b.input("hidden", (config.hidden,), HIDDEN)
    name = "embedding" if config.tied_embeddings else "lm_head"
    table = b.matrix(name, (config.vocabulary, config.hidden), Layout(("x", "y")))
    hidden = _norm(b, config, hidden, "final_norm")
    with b.kernel("lm_head"):
        logits = lm_head(b, table, hidden, softcap=config.logit_softcap)
    with b.kernel("sample"):
        token = argmax(b, logits)
        b.host_out(logits if on_host else token, blocking=on_host)
    return b.build(logits, token)


def layer_body(
    shapes: Shapes, style: Style, rows: int, *, positions: int, kind: LayerKind = ALIKE, apart: bool = False
) -> Body:
    """Hidden (hidden,), cos, sin -> hidden (hidden,): attention over up to ``positions`` tokens, then the MLP.

    Without cos and sin where nothing rotates. A sparse layer also gives the indices (active,) of the experts chosen.
    With ``apart`` its experts lie elsewhere: it gives these indices, what the experts take (hidden,), and their
    weights (active,).
    """
    config = shapes.config
    b = style.builder("layer", rows, shapes.cols)
    hidden = b.input("hidden", (config.hidden,), HIDDEN)
    angle = tuple(
        b.input(part, (shapes.angles,), shapes.frequencies()) for part in ("cos", "sin") if config.rope.rotates
    )
    mixed = _attention(b, shapes, _norm(b, config, hidden, "attention_norm"), angle, positions, kind)
    attended = _add_output(b, config, hidden, mixed, "attention", "output")
    before = hidden if config.parallel_residual else attended
    normed = _norm(b, config, before, "mlp_norm")
    if apart:
        weights, chosen = routed(b, config, normed)
        return b.build(attended, chosen, normed, weights)
    wide, *told = sparse_mlp(b, config, normed) if kind.sparse else (_mlp(b, config, normed),)
    kernel = "experts" if kind.sparse else "mlp"
    return b.build(_add_output(b, config, attended, wide, "mlp", kernel), *told)


def _norm(b: Builder, config: ModelConfig, hidden: Value, name: str) -> Value:
    weight = b.weight(name, (config.hidden,), HIDDEN)
    with b.kernel("norm"):
        if config.norm == "rms":
            return rms_norm(b, hidden, weight, epsilon=config.norm_epsilon)
        bias = b.weight(f"{name}_bias", (config.hidden,), HIDDEN)
        return layer_norm(b, hidden, weight, bias, epsilon=config.norm_epsilon)


def _add_output(  # noqa: PLR0917
    b: Builder, config: ModelConfig, residual: Value, output: Value, part: str, kernel: str
) -> Value:
    """Residual + output of a part of the layer, which passes a norm of its own in some families."""
    if config.post_norms:
        output, kernel = _norm(b, config, output, f"{part}_post_norm"), "norm"
    with b.kernel(kernel):
        result: Value = b.local("add", residual, output)
    return result


def _mlp(b: Builder, config: ModelConfig, normed: Value) -> Value:
    """What the MLP adds to the residual."""
    name, front = ("gate_up", (2,)) if config.gated else ("up", ())
    across = Layout((*(None,) * len(front), "x", "y"))
    inward = b.matrix(name, (*front, config.intermediate, config.hidden), across)
    down = b.matrix("down", (config.hidden, config.intermediate), Layout(("y", "x")))
    biases = None
    if config.mlp_bias:
        bias = b.weight(f"{name}_bias", (*front, config.intermediate), Layout(across.dims[:-1]))
        biases = bias, b.weight("down_bias", (config.hidden,), HIDDEN)
    with b.kernel("mlp"):
        return mlp(b, inward, down, normed, activation=config.activation, gated=config.gated, biases=biases)


def _attention(  # noqa: PLR0917
    b: Builder, shapes: Shapes, normed: Value, angle: tuple[Value, ...], positions: int, kind: LayerKind
) -> Value:
    """What attention adds to the residual."""
    config, repeat = shapes.config, shapes.repeat
    if config.latent is not None:
        return latent_attention(b, config, normed, angle, positions=positions)
    out = b.matrix("o", (config.hidden, config.kv_heads, repeat, *shapes.pairs), shapes.heads("y"), inputs=4)
    bias = b.weight("o_bias", (config.hidden,), HIDDEN) if config.output_bias else None
    cache_layout = Layout(("y", "x.outer", *shapes.pair_dims), shapes.inner)
    keys, values = (
        b.state(part, (positions, config.kv_heads, *shapes.pairs), cache_layout) for part in ("keys", "values")
    )
    with b.kernel("qkv"):
        heads = _heads(b, shapes, normed)
        both = b.local("take", heads, start=0, stop=repeat + 1)
        value = b.local("take", heads, start=repeat + 1, stop=repeat + 2)
    query, key = _turned(b, shapes, both, angle)
    window = config.window if kind.windowed else None
    sinks = None
    if config.attention_sinks:
        sinks = b.weight("sinks", (config.kv_heads, repeat), Layout(("x.outer", None), shapes.inner))
    with b.kernel("attention"):
        b.append(keys, key)
        b.append(values, value)
        scale, softcap = config.score_scale, config.attention_softcap
        mixed = attend(b, query, keys, values, scale=scale, softcap=softcap, window=window, sinks=sinks)
    with b.kernel("output"):
        return project(b, out, mixed, bias)


def _turned(b: Builder, shapes: Shapes, both: Value, angle: tuple[Value, ...]) -> tuple[Value, Value]:
    """Queries and keys, normed and rotated where the model does so."""
    config, repeat = shapes.config, shapes.repeat
    if config.qk_norm:
        with b.kernel("norm"):
            weight = b.weight("qk_norm", (repeat + 1, *shapes.pairs), Layout((None, *shapes.pair_dims), shapes.inner))
            both = head_norm(b, both, weight, epsilon=config.norm_epsilon)
    if config.wide_qk_norm:
        return _wide_turned(b, shapes, both, angle)
    with b.kernel("rope" if angle else "qkv"):
        if angle:
            cos, sin = angle
            both = rope(b, both, cos, sin, pairing=config.rope.pairing)
        return _split(b, both, repeat)


def _split(b: Builder, both: Value, repeat: int) -> tuple[Value, Value]:
    """Queries and keys of (…, repeat + 1, *dims)."""
    query = b.local("take", both, start=0, stop=repeat)
    return query, b.local("take", both, start=repeat, stop=repeat + 1)


def _wide_turned(b: Builder, shapes: Shapes, both: Value, angle: tuple[Value, ...]) -> tuple[Value, Value]:
    """The same with a norm each over all queries and all keys."""
    config, repeat = shapes.config, shapes.repeat
    with b.kernel("norm"):
        weight = b.weight("qk_norm", (config.kv_heads, repeat + 1, *shapes.pairs), shapes.heads())
        parts = wide_norm(b, _split(b, both, repeat), _split(b, weight, repeat), epsilon=config.norm_epsilon)
    with b.kernel("rope"):
        query, key = (rope(b, part, *angle, pairing=config.rope.pairing) if angle else part for part in parts)
        return query, key


def _heads(b: Builder, shapes: Shapes, normed: Value) -> Value:
    """Queries, key and value of every key-value head, from one GEMV."""
    config = shapes.config
    shape = (config.kv_heads, shapes.repeat + 2, *shapes.pairs)
    layout = shapes.heads()
    w = b.matrix("qkv", (*shape, config.hidden), Layout((*layout.dims, "y"), shapes.inner))
    heads = gemv(b, w, normed)
    if config.attention_bias:
        bias: Value = b.local("add", heads, b.weight("qkv_bias", shape, layout))
        return bias
    return heads
