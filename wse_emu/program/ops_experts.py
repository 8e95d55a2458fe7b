"""Local operations of a mixture of experts: who is chosen, and GEMVs with the matrices of the chosen alone.

Every PE knows all logits of the router and chooses for itself, all alike. A stack of matrices is kept as
``(experts, PEs, in-block, out)``; ``chosen`` (active,) int32 says which of them a token meets.
"""

from functools import reduce
from operator import add
from typing import Any

from wse_emu.program.layout import Layout, grid
from wse_emu.program.ops import OPS, Attributes, Moment, Op, Result, Work, dequantising, like
from wse_emu.program.value import Value

WHOLE = Layout((None,))

# A vector that lies over the columns, as summands of one that all of them hold


def _spread(moment: Moment, attributes: Attributes, x: Any) -> tuple[Any, ...]:
    """Every column of PEs has its own part and zeros elsewhere; those that hold nothing have zeros."""
    xp, (columns, block) = moment.xp, (x.shape[1], x.shape[3])
    owner = xp.reshape(xp.arange(columns * block), (1, 1, 1, -1)) // block
    own = owner == xp.reshape(xp.arange(columns), (1, columns, 1, 1))
    everything = xp.reshape(x, (x.shape[0], 1, 1, columns * block))
    return (xp.where(own, everything, xp.zeros_like(everything))[..., : attributes["size"]],)


OPS["spread"] = Op(
    lambda values, _a: (Result(values[0].shape, WHOLE, frozenset({"x"}), values[0].dtype),),
    lambda _v, outputs, _a, _s: (Work("copy", outputs[0].block_elements),),
    _spread,
    exact=True,
)


# The best experts and their weights: softmax over all logits, or (``normed``) over those of the chosen


def _route_results(values: tuple[Value, ...], attributes: Attributes) -> tuple[Result, ...]:
    (logits,), active = values, attributes["active"]
    return Result((active,), WHOLE, frozenset(), logits.dtype), Result((active,), WHOLE, frozenset(), "int32")


def _route_work(
    values: tuple[Value, ...], _outputs: tuple[Value, ...], attributes: Attributes, _slots: int
) -> tuple[Work, ...]:
    """Each of the chosen is the best of a pass over all logits; then differences, exponentials, sum and quotients."""
    (logits,), active = values, attributes["active"]
    summed = active if attributes["normed"] else logits.block_elements
    passes = (Work("add", logits.block_elements),) * active
    softmax = (Work(unit, summed) for unit in ("add", "special", "add"))
    return (*passes, *softmax, Work("special", 1), Work("add", active))


def _route(moment: Moment, attributes: Attributes, logits: Any) -> tuple[Any, ...]:
    """Of equal logits the lower index is better."""
    xp, active = moment.xp, attributes["active"]
    flat = xp.reshape(logits, (-1,))
    chosen = xp.argsort(-flat, stable=True)[:active]
    best = xp.take(flat, chosen, axis=0)
    weights = xp.exp(best - best[0])
    total = xp.sum(weights) if attributes["normed"] else xp.sum(xp.exp(flat - best[0]))
    shape = (1, 1, 1, active)
    return xp.reshape(weights / total, shape), xp.reshape(xp.astype(chosen, xp.int32), shape)


OPS["route"] = Op(_route_results, _route_work, _route)


# GEMVs with the chosen of a stack w (experts, *out, in)


def one_matrix(w: Value) -> tuple[tuple[int, ...], Layout]:
    """Shape and layout of a matrix of the stack ``w``."""
    return w.shape[1:], Layout(w.layout.dims[1:], w.layout.inner)


def out_blocks(w: Value) -> tuple[tuple[int, int, int], tuple[int, ...]]:
    """Grid and block of what a matrix of the stack ``w`` yields."""
    shape, layout = one_matrix(w)
    out = Layout(layout.dims[:-1], layout.inner)
    return grid(out, shape[:-1], w.rows, w.cols), out.block(shape[:-1], w.rows, w.cols)


def _products(moment: Moment, attributes: Attributes, w: Any, x: Any) -> Any:
    """Blocks ``[rows, columns, 1, *block]`` of one matrix times x, as `gemv` gives them."""
    return OPS["gemv"].compute(moment, attributes, w, x)[0]


def _each_results(values: tuple[Value, ...], _attributes: Attributes) -> tuple[Result, ...]:
    """(parts, chosen, out): the chosen come behind the parts of a projection, as activations want them."""
    w, x, chosen = values
    dims, inner = w.layout.dims, w.layout.inner
    layout = Layout((dims[1], None, *dims[2:-1]), inner)
    partial = Layout(dims[-1:], inner).axes()
    return (Result((w.shape[1], *chosen.shape, *w.shape[2:-1]), layout, partial, x.dtype),)


def _chosen_work(
    values: tuple[Value, ...], _outputs: tuple[Value, ...], _attributes: Attributes, _slots: int
) -> tuple[Work, ...]:
    """As a `gemv` for each of the chosen."""
    w, _x, chosen = values
    active, rows = chosen.block_elements, w.block[-1]
    elements = w.block_elements // w.block[0]
    return (*dequantising(w, elements, rows), Work("fma", elements, rows=rows)) * active


def _each(moment: Moment, attributes: Attributes, w: Any, x: Any, chosen: Any) -> tuple[Any, ...]:
    which = moment.xp.reshape(chosen, (-1,))
    parts = [_products(moment, attributes, moment.pick(w, which[i]), x) for i in range(which.shape[0])]
    return (moment.xp.stack(parts, axis=4),)


def _sum_results(values: tuple[Value, ...], _attributes: Attributes) -> tuple[Result, ...]:
    w, x, _chosen = values
    shape, layout = one_matrix(w)
    partial = Layout(layout.dims[-1:], layout.inner).axes()
    return (Result(shape[:-1], Layout(layout.dims[:-1], layout.inner), partial, x.dtype),)


def _sum(moment: Moment, attributes: Attributes, w: Any, x: Any, chosen: Any) -> tuple[Any, ...]:
    which = moment.xp.reshape(chosen, (-1,))
    parts = (_products(moment, attributes, moment.pick(w, which[i]), x[:, :, :, i, ...]) for i in range(which.shape[0]))
    return (reduce(add, parts),)


OPS["gemv_each"] = Op(_each_results, _chosen_work, _each)
"""Every chosen matrix times x (in,)."""
OPS["gemv_sum"] = Op(_sum_results, _chosen_work, _sum)
"""Σ chosen matrix · its own row of x (active, in)."""
STACKED = ("gemv_each", "gemv_sum")


# Biases of the chosen, and their weights


def _add_each(moment: Moment, _attributes: Attributes, wide: Any, bias: Any, chosen: Any) -> tuple[Any, ...]:
    picked = moment.xp.take(bias, moment.xp.reshape(chosen, (-1,)), axis=3)
    return (wide + moment.xp.permute_dims(picked, (0, 1, 2, 4, 3, *range(5, picked.ndim))),)


OPS["add_each"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda _v, outputs, _a, _s: (Work("add", outputs[0].block_elements),),
    _add_each,
)
"""x (parts, active, out) plus the bias (experts, parts, out) of each of the chosen."""


def _add_weighted(moment: Moment, _attributes: Attributes, *arrays: Any) -> tuple[Any, ...]:
    x, bias, weights, chosen = arrays
    picked = moment.xp.take(bias, moment.xp.reshape(chosen, (-1,)), axis=3)
    return (x + moment.xp.sum(picked * weights[..., None], axis=3),)


OPS["add_weighted"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda values, outputs, _a, _s: (Work("fma", outputs[0].block_elements),) * values[2].block_elements,
    _add_weighted,
)
"""x (out,) plus Σ weight · bias (experts, out) of the chosen."""

OPS["weigh"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda _v, outputs, _a, _s: (Work("add", outputs[0].block_elements),),
    lambda _m, _a, x, weights: (x * weights[..., None],),
)
"""Rows of x (active, out), each times its weight (active,)."""


OPS["add_scaled"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda _v, outputs, _a, _s: (Work("fma", outputs[0].block_elements),),
    lambda _m, attributes, x, y, weights: (x + y * weights[..., attributes["place"], None],),
)
"""X + y · weights[place]."""

# Partial sums of the chosen plus those of the shared expert, times σ(gate) where there is a gate (1,)


def _add_shared(moment: Moment, _attributes: Attributes, x: Any, y: Any, *gate: Any) -> tuple[Any, ...]:
    """The two may be cut over differently many columns; those that hold nothing have zeros."""
    columns = max(x.shape[1], y.shape[1])
    x, y = (_widened(moment.xp, part, columns) for part in (x, y))
    return (x + (y / (1 + moment.xp.exp(-gate[0])) if gate else y),)


def _widened(xp: Any, x: Any, columns: int) -> Any:
    missing = columns - x.shape[1]
    if not missing:
        return x
    return xp.concat([x, xp.zeros((x.shape[0], missing, *x.shape[2:]), dtype=x.dtype)], axis=1)


def _add_shared_work(
    values: tuple[Value, ...], outputs: tuple[Value, ...], _attributes: Attributes, _slots: int
) -> tuple[Work, ...]:
    if len(values) == 2:
        return (Work("add", outputs[0].block_elements),)
    return Work("special", 2), Work("add", 1), Work("fma", outputs[0].block_elements)


OPS["add_shared"] = Op(lambda values, _a: (like(values[0]),), _add_shared_work, _add_shared)


# SwiGLU as gpt-oss clamps it: (up + 1) · gate · σ(alpha · gate); gate and up in the first dimension


def _clamped(moment: Moment, attributes: Attributes, both: Any) -> tuple[Any, ...]:
    xp, limit = moment.xp, attributes["limit"]
    gate = xp.clip(both[:, :, :, 0, ...], max=limit)
    up = xp.clip(both[:, :, :, 1, ...], min=-limit, max=limit)
    return ((up + 1) * gate / (1 + xp.exp(-attributes["alpha"] * gate)),)


OPS["swiglu_clamped"] = Op(
    OPS["swiglu"].results,
    lambda _v, outputs, _a, _s: tuple(
        Work(unit, outputs[0].block_elements) for unit in ("special", "special", *("add",) * 7)
    ),
    _clamped,
)
