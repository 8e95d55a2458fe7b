"""The programs that WaferLLM measures on wafers, as kernels of this project: MeshGEMV, MeshGEMM, Shift, and one layer's
decode and prefill.

Source: WaferLLM (OSDI 2025, arXiv 2502.04563), sections 4 to 6, and what the headers of the measurement files say of
the authors' code. What such a program spends between its instructions is published nowhere. The counts of task
activations and set-ups below are inferred from the silicon rows on WSE-3: the least whole numbers that explain them.
"""

from dataclasses import dataclass

from wse_emu.errors import WseError
from wse_emu.kernels.gemm import TILES, mesh_gemm_step
from wse_emu.kernels.gemv import gemv
from wse_emu.kernels.norm import rms_norm
from wse_emu.program import Body, Builder, Layout, Value

ALL_REDUCE_TASKS = 2
"""Activations a GEMV or an all-reduce: when its sum is there, and when the result is back."""
GEMM_TASKS = 2
"""Activations before a GEMM's first step."""
STEP_CONTROL = {"tasks": 2, "streams": 2, "vectors": 1}
"""Of a GEMM's step: its exchange is over, the next may begin; descriptors of both streams and of the sum are set."""
SHIFT_TASKS = 1
"""Activations a shift: both streams are over."""


def mesh_gemv(rows: int, groups: int, tile_m: int, tile_n: int, *, dtype: str = "float16") -> Body:
    """One column of y = x W on ``rows`` × ``rows`` PEs, a tile of m × n a PE; all columns do the same.

    The partial products are summed by `ktree` in ``groups`` groups along y, and the sum is broadcast back.
    """
    b = Builder("MeshGEMV", rows, 1, dtype=dtype)
    w = b.weight("w", (tile_n, rows * tile_m), Layout(("x", "y")))
    x = b.input("x", (rows * tile_m,), Layout(("y",)))
    return b.build(_gemv(b, w, x, f"ktree:{groups}"))


def gemm_step(edge: int, tile: tuple[int, int, int], *, dtype: str = "float16") -> Body:
    """A step of MeshGEMM on ``edge``² PEs with a tile (m, k, n); ``edge`` steps and :func:`gemm_start` make a GEMM."""
    m, k, n = tile
    b = Builder("MeshGEMM step", edge, edge, dtype=dtype)
    a, w, total = (
        b.input(name, (edge, edge, *shape), TILES) for name, shape in (("a", (m, k)), ("w", (k, n)), ("c", (m, n)))
    )
    b.control(**STEP_CONTROL)
    return b.build(*mesh_gemm_step(b, a, w, total))


def gemm_start(edge: int) -> Body:
    """What a GEMM does before its first step."""
    b = Builder("MeshGEMM start", edge, edge)
    b.control(tasks=GEMM_TASKS)
    return b.build()


def shift_start(edge: int) -> Body:
    """What a run of shifts does before its first round."""
    b = Builder("Shift start", edge, edge)
    b.control(tasks=SHIFT_TASKS)
    return b.build()


def shift_round(edge: int, elements: int, *, dtype: str = "float16") -> Body:
    """One round of the Shift benchmark on ``edge``² PEs: a tile goes one place on along x, and one along y."""
    b = Builder("Shift", edge, edge, dtype=dtype)
    a, w = (b.input(name, (edge, edge, elements), Layout(("y", "x", None))) for name in ("a", "w"))
    b.control(tasks=SHIFT_TASKS)
    with b.overlap():
        after = b.shift(a, axis="x", distance=-1), b.shift(w, axis="y", distance=-1)
    return b.build(*after)


@dataclass(frozen=True)
class LayerShape:
    """Sizes of one transformer layer."""

    hidden: int
    kv: int
    """Width of keys and of values."""
    intermediate: int
    query: int | None = None
    """Width of all queries, in a prefill; None: that of the hidden state."""


def decode_layer(
    edge: int, shape: LayerShape, positions: int, reduce: str, *, dtype: str = "float16", epsilon: float = 1e-5
) -> Body:
    """One token through one layer on ``edge``² PEs, with one attention head as wide as the hidden state.

    Inputs: "x" (hidden,), "cos" and "sin" (hidden / 2,) for its rotary pairs; weights by name, "keys" and "values" hold
    ``positions`` cached ones, all as wide as the hidden state (shared heads repeated). Returns x, and the new key and
    value (kv,), each one row further down: the shifted cache. ``reduce``: the algorithm of every reduction.
    """
    _check_positions("decode", positions, edge)
    b = Builder("WaferLLM decode layer", edge, edge, dtype=dtype, reduce=reduce)
    pairs, kv, inner = shape.hidden // 2, shape.kv, shape.intermediate
    along, across = Layout(("x", None)), Layout(("y",))
    x = b.input("x", (shape.hidden,), across)
    cos, sin = (b.input(name, (pairs,), Layout(("x",))) for name in ("cos", "sin"))
    key_cos, key_sin = (b.input(f"key_{name}", (kv // 2,), Layout(("x",))) for name in ("cos", "sin"))

    def weight(name: str, *sizes: int, layout: Layout) -> Value:
        return b.weight(name, sizes, layout)

    out, back = Layout(("x", None, "y")), Layout(("y", "x"))
    with b.kernel("attention"):
        h = _norm(b, x, weight("norm_1", shape.hidden, layout=across), epsilon)
        q = _gemv(b, weight("wq", pairs, 2, shape.hidden, layout=out), h)
        k = _gemv(b, weight("wk", kv // 2, 2, shape.hidden, layout=out), h)
        v = _gemv(b, weight("wv", kv, shape.hidden, layout=Layout(("x", "y"))), h)
        q = b.local("rope", q, cos, sin, pair_axis=-1)
        k = b.local("rope", k, key_cos, key_sin, pair_axis=-1)
        k, v = b.shift(k, axis="y"), b.shift(v, axis="y")
        cached = Layout(("y", None, None, *along.dims))
        scores = _gemv(b, weight("keys", positions, 1, 1, pairs, 2, layout=cached), q)
        b.control(tasks=ALL_REDUCE_TASKS)
        best = b.all_reduce(b.local("max", scores, dims=3), axis="y", combine="max")
        scores = b.local("exp_minus", scores, best)
        b.control(tasks=ALL_REDUCE_TASKS)
        total = b.all_reduce(b.local("sum", scores, dims=3), axis="y")
        mixed = _gemv(b, weight("values", shape.hidden, positions, 1, 1, layout=Layout(("x", "y", None, None))), scores)
        mixed = b.local("divide", mixed, total)
        x = b.local("add", x, _gemv(b, weight("wo", shape.hidden, shape.hidden, layout=back), mixed))
    with b.kernel("mlp"):
        h = _norm(b, x, weight("norm_2", shape.hidden, layout=across), epsilon)
        wide = Layout(("x", "y"))
        gate = _gemv(b, weight("gate", inner, shape.hidden, layout=wide), h)
        up = _gemv(b, weight("up", inner, shape.hidden, layout=wide), h)
        h = b.local("mul", b.local("silu", gate), up)
        x = b.local("add", x, _gemv(b, weight("down", shape.hidden, inner, layout=back), h))
    return b.build(x, k, v)


def prefill_gemms(edge: int, shape: LayerShape, positions: int) -> dict[str, tuple[int, int, int]]:
    """The GEMMs of a layer's prefill over ``positions`` tokens and their tiles (m, k, n), sizes padded to ``edge``."""
    query = shape.hidden if shape.query is None else shape.query
    sizes = (positions, shape.hidden, query, shape.kv, shape.intermediate)
    s, d, q, kv, f = (-(-size // edge) for size in sizes)
    return {
        "wq": (s, d, q),
        "wk": (s, d, kv),
        "wv": (s, d, kv),
        "scores": (s, q, s),
        "mix": (s, s, q),
        "wo": (s, q, d),
        "gate": (s, d, f),
        "up": (s, d, f),
        "down": (s, f, d),
    }


def prefill_between(
    edge: int, shape: LayerShape, positions: int, reduce: str, *, dtype: str = "float16", epsilon: float = 1e-5
) -> Body:
    """What one layer's prefill does between its GEMMs, on tiles of ``positions`` tokens × features on ``edge``² PEs.

    Its steps one after another, each on inputs of the right shape, to be timed: no layer that computes anything.
    Norms and softmax work on rows of tiles, and combine them along x: one value a token.
    """
    _check_positions("prefill", positions, edge)
    b = Builder("WaferLLM prefill layer", edge, edge, dtype=dtype, reduce=reduce)
    tokens = Layout(("y", "x"))
    x = b.input("x", (positions, shape.hidden), tokens)
    scores = b.input("scores", (positions, positions), tokens)
    gate, up = (b.input(name, (positions, shape.intermediate), tokens) for name in ("gate", "up"))
    for name in ("norm_1", "norm_2"):
        squares = _sum_rows(b, b.local("sum_of_squares", x, dims=1))
        weight = b.weight(name, (shape.hidden,), Layout(("x",)))
        x = b.local("rms_scale", x, squares, weight, size=shape.hidden, epsilon=epsilon)
    b.control(tasks=ALL_REDUCE_TASKS)
    best = b.all_reduce(b.local("max", scores, dims=1), axis="x", combine="max")
    scores = b.local("exp_minus", scores, best)
    scores = b.local("divide", scores, _sum_rows(b, b.local("sum", scores, dims=1)))
    hidden = b.local("mul", b.local("silu", gate), up)
    return b.build(b.local("add", x, x), scores, hidden)


def _check_positions(what: str, positions: int, edge: int) -> None:
    """A softmax must see no padding."""
    if positions < 1 or positions % edge:
        raise WseError(f"{what} over {positions} positions on {edge}² PEs: a multiple of {edge} works")


def _sum_rows(b: Builder, partial: Value) -> Value:
    b.control(tasks=ALL_REDUCE_TASKS)
    total: Value = b.all_reduce(partial, axis="x")
    return total


def _gemv(b: Builder, w: Value, x: Value, reduce: str | None = None) -> Value:
    b.control(tasks=ALL_REDUCE_TASKS)
    return gemv(b, w, x, reduce=reduce)


def _norm(b: Builder, x: Value, weight: Value, epsilon: float) -> Value:
    b.control(tasks=ALL_REDUCE_TASKS)
    return rms_norm(b, x, weight, epsilon=epsilon)
