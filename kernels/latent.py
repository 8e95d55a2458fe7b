"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434), by its shape: timed and stored, not computed.

A token's cache is one latent vector for all heads, and one rotated key. Queries pass the up-projection of the keys, so
that scores are taken with the latents themselves, and weighted latents pass that of the values.
"""

from wse_emu.kernels.gemv import gemv, multiply
from wse_emu.kernels.norm import SQUARES
from wse_emu.models.config import ModelConfig
from wse_emu.models.latent import Latent
from wse_emu.program import Builder, Layout, Value

ACROSS, DOWN = Layout(("x",)), Layout(("y",))
EVERY_ROW = Layout((None, None, "x"))
"""Of queries (1, heads, dims) that all rows hold."""


def latent_attention(
    b: Builder, config: ModelConfig, normed: Value, angle: tuple[Value, ...], *, positions: int
) -> Value:
    """What attention adds to the residual: normed (hidden,) lies ("y",), as the result does."""
    latent, heads, hidden = _of(config), config.heads, config.hidden
    queries, cached, key = _down(b, latent, hidden, normed, config.norm_epsilon)
    absorbed, turned = _queries(b, latent, heads, queries, angle)
    with b.kernel("rope"):
        key = b.local("turned", key, *angle)
    mixed = _attend(b, config, absorbed, turned, cached, key, positions)
    with b.kernel("output"):
        own = b.local("relaid", mixed, shape=(heads, latent.kv_rank), layout=Layout(("y", "x")), partial=())
        w = b.matrix("v_b", (heads, latent.kv_rank, latent.value), Layout(("y", "x", None)))
        values = b.local("by_head", own, w, shape=(heads, latent.value), layout=Layout(("y", None)), partial=("x",))
        out = b.matrix("o", (hidden, heads, latent.value), Layout(("x", "y", None)), inputs=2)
        result = gemv(b, out, b.all_reduce(values, axis="x"))
        # every row holds all of a column's outputs: those that are its own pass along it
        back: Value = b.all_reduce(b.local("relaid", result, shape=(hidden,), layout=DOWN, partial=("x",)), axis="x")
        return back


def _down(b: Builder, latent: Latent, hidden: int, normed: Value, epsilon: float) -> tuple[Value, Value, Value]:
    """The latents of queries and of keys and values, normed, and the key that rotates; they lie ("x",)."""
    sizes = {"q_a": latent.q_rank, "kv_a": latent.kv_rank, "k_rope": latent.rope}
    with b.kernel("qkv"):
        parts = [multiply(b, b.matrix(name, (n, hidden), Layout(("x", "y"))), normed) for name, n in sizes.items()]
        queries, cached, key = b.all_reduce(*parts, axis="y")
    with b.kernel("norm"):
        squares = [b.local("sum_of_squares", part, dims=1, dtype=SQUARES) for part in (queries, cached)]
        summed = b.all_reduce(*squares, axis="x")
        weights = [b.weight(f"{name}_norm", (sizes[name],), ACROSS) for name in ("q_a", "kv_a")]
        queries, cached = (
            b.local("rms_scale", part, total, weight, size=part.shape[0], epsilon=epsilon)
            for part, total, weight in zip((queries, cached), summed, weights, strict=True)
        )
    return queries, cached, key


def _queries(b: Builder, latent: Latent, heads: int, queries: Value, angle: tuple[Value, ...]) -> tuple[Value, Value]:
    """Queries for latents (1, heads, kv_rank) and for rotated keys (1, heads, rope), on every row of PEs."""
    with b.kernel("qkv"):
        sizes = {"q_b": latent.nope, "q_b_rope": latent.rope}
        stacks = [b.matrix(name, (heads, n, latent.q_rank), Layout(("y", None, "x"))) for name, n in sizes.items()]
        plain, turned = b.all_reduce(*(multiply(b, w, queries) for w in stacks), axis="x")
        w = b.matrix("k_b", (heads, latent.nope, latent.kv_rank), Layout(("y", None, "x")))
        shape = (1, heads, latent.kv_rank)
        absorbed = b.local("by_head", plain, w, shape=shape, layout=EVERY_ROW, partial=("y",))
    with b.kernel("rope"):
        shape = (1, heads, latent.rope)
        turned = b.local("turned", b.local("relaid", turned, shape=shape, layout=EVERY_ROW, partial=("y",)), *angle)
    with b.kernel("qkv"):
        everywhere: tuple[Value, Value] = b.all_reduce(absorbed, turned, axis="y")
    return everywhere


def _attend(  # noqa: PLR0917
    b: Builder, config: ModelConfig, absorbed: Value, turned: Value, cached: Value, key: Value, positions: int
) -> Value:
    """Softmax over the positions as in `attend`; the latents are values as well. (1, heads, kv_rank) on every row."""
    latent, layout = _of(config), Layout(("y", None, "x"))
    latents, keys = (
        b.state(name, (positions, 1, n), layout) for name, n in (("latents", latent.kv_rank), ("keys", latent.rope))
    )
    with b.kernel("attention"):
        b.append(latents, cached)
        b.append(keys, key)
        scale = config.score_scale
        scores = [b.local("scores", query, held, scale=scale) for query, held in ((absorbed, latents), (turned, keys))]
        scores = b.local("mask", b.all_reduce(b.local("add", *scores), axis="x"), rows=b.rows)
        best = b.all_reduce(b.local("best_score", scores), axis="y", combine="max")
        weights = b.local("exp_difference", scores, best)
        mixed, total = b.all_reduce(*b.local("weigh_values", weights, latents), axis="y")
        result: Value = b.local("divide", mixed, total)
        return result


def _of(config: ModelConfig) -> Latent:
    assert config.latent is not None
    return config.latent
