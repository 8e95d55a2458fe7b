"""A mixture of experts (Shazeer et al., arXiv 1701.06538), every expert's matrices cut over all PEs of the region."""

from dataclasses import dataclass

from wse_emu.kernels.gemv import gemv, multiply
from wse_emu.kernels.mlp import GATED
from wse_emu.models.config import Activation
from wse_emu.models.experts import Experts
from wse_emu.program import Builder, Value
from wse_emu.program.ops_experts import out_blocks


@dataclass(frozen=True)
class Stacks:
    """The matrices of all experts: ``inward`` (experts, 2, f, n), ``down`` (experts, n, f), and their biases."""

    inward: Value
    down: Value
    inward_bias: Value | None = None
    """(experts, 2, f)"""
    down_bias: Value | None = None
    """(experts, n)"""


@dataclass(frozen=True)
class SharedExpert:
    """The expert of all tokens: ``inward`` (2, f, n), ``down`` (n, f), and the vector (1, n) of its gate, if any."""

    inward: Value
    down: Value
    gate: Value | None = None


def route(b: Builder, router: Value, x: Value, experts: Experts, bias: Value | None = None) -> tuple[Value, Value]:
    """Weights (active,) and indices (active,) int32 of the experts that x (n,) meets, on every PE.

    router (experts, n) lies ("x", "y"). A column's logits pass along the rows by an all-reduce with zeros.
    """
    logits = gemv(b, router, x)
    if bias is not None:
        logits = b.local("add", logits, bias)
    logits = b.all_reduce(b.local("spread", logits, size=experts.count), axis="x")
    weights, chosen = b.local("route", logits, active=experts.active, normed=experts.norm_topk)
    return weights, chosen


def mixture(  # noqa: PLR0917
    b: Builder,
    experts: Experts,
    held: Stacks,
    x: Value,
    weights: Value,
    chosen: Value,
    *,
    activation: Activation = "silu",
    shared: SharedExpert | None = None,
) -> Value:
    """Σ weight · down @ (activation(gate @ x) · (up @ x)) over the chosen, plus the shared expert; (n,) lies ("y",).

    The projections of all chosen, and of the shared expert, travel as one stream, and so do the sums of their outputs.
    """
    beside = _shared_inward(b, shared, x)
    streams = [chosen_gemv(b, "gemv_each", held.inward, x, chosen), *beside]
    summed = b.all_reduce(*streams, axis="y")
    wide, *beside = summed if len(streams) > 1 else (summed,)
    if held.inward_bias is not None:
        wide = b.local("add_each", wide, held.inward_bias, chosen)
    inner = b.local("weigh", activated(b, experts, activation, wide), weights)
    result = chosen_gemv(b, "gemv_sum", held.down, inner, chosen)
    if shared is not None:
        result = _add_shared(b, shared, result, activation, beside)
    total: Value = b.all_reduce(result, axis="x")
    if held.down_bias is not None:
        total = b.local("add_weighted", total, held.down_bias, weights, chosen)
    return total


def chosen_gemv(b: Builder, op: str, stack: Value, x: Value, chosen: Value) -> Value:
    """The partial products of `gemv_each` or `gemv_sum` with the chosen of ``stack``."""
    where, block = out_blocks(stack)
    axis = "x" if stack.layout.dims[-1] == "x" else "y"
    result: Value = b.local(op, stack, x, chosen, axis=axis, out_grid=where, out_block=block)
    return result


def activated(b: Builder, experts: Experts, activation: Activation, wide: Value) -> Value:
    """The inner values (…) of gate and up projections (2, …)."""
    if experts.clamp is not None:
        result: Value = b.local("swiglu_clamped", wide, limit=experts.clamp, alpha=experts.alpha)
        return result
    plain: Value = b.local(GATED[activation], wide)
    return plain


def _shared_inward(b: Builder, shared: SharedExpert | None, x: Value) -> list[Value]:
    """Partial projections of the shared expert, and of its gate."""
    if shared is None:
        return []
    return [multiply(b, w, x) for w in (shared.inward, shared.gate) if w is not None]


def _add_shared(b: Builder, shared: SharedExpert, result: Value, activation: Activation, beside: list[Value]) -> Value:
    """Partial sums of the outputs plus those of the shared expert."""
    wide, *gate = beside
    own = multiply(b, shared.down, b.local(GATED[activation], wide))
    total: Value = b.local("add_shared", result, own, *gate)
    return total
