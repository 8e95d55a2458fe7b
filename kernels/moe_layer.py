"""A sparse layer's router and experts with the weights that they need."""

from wse_emu.kernels.moe import SharedExpert, Stacks, mixture, route
from wse_emu.models.config import ModelConfig
from wse_emu.models.experts import Experts
from wse_emu.program import Builder, Layout, Value


def sparse_mlp(b: Builder, config: ModelConfig, normed: Value) -> tuple[Value, Value]:
    """What the experts add to the residual, and which of them a token met."""
    experts, hidden = config.experts, config.hidden
    assert experts is not None
    weights, chosen = routed(b, config, normed)
    with b.kernel("experts"):
        held, shared = _stacks(b, experts, hidden), _shared_expert(b, experts, hidden)
        act = config.activation
        return mixture(b, experts, held, normed, weights, chosen, activation=act, shared=shared), chosen


def routed(b: Builder, config: ModelConfig, normed: Value) -> tuple[Value, Value]:
    """Weights and indices of the experts that a token meets."""
    experts = config.experts
    assert experts is not None
    with b.kernel("router"):
        router = b.weight("router", (experts.count, config.hidden), Layout(("x", "y")))
        bias = b.weight("router_bias", (experts.count,), Layout(("x",))) if experts.bias else None
        return route(b, router, normed, experts, bias)


def _stacks(b: Builder, experts: Experts, hidden: int) -> Stacks:
    count, inner = experts.count, experts.intermediate
    inward = b.matrix("experts_gate_up", (count, 2, inner, hidden), Layout((None, None, "x", "y")), stacked=True)
    down = b.matrix("experts_down", (count, hidden, inner), Layout((None, "y", "x")), stacked=True)
    if not experts.bias:
        return Stacks(inward, down)
    inward_bias = b.weight("experts_gate_up_bias", (count, 2, inner), Layout((None, None, "x")))
    return Stacks(inward, down, inward_bias, b.weight("experts_down_bias", (count, hidden), Layout((None, "y"))))


def _shared_expert(b: Builder, experts: Experts, hidden: int) -> SharedExpert | None:
    inner = experts.shared_intermediate
    if not inner:
        return None
    gate_up = b.matrix("shared_gate_up", (2, inner, hidden), Layout((None, "x", "y")))
    down = b.matrix("shared_down", (hidden, inner), Layout(("y", "x")))
    gate = b.weight("shared_router", (1, hidden), Layout((None, "y"))) if experts.shared_gate else None
    return SharedExpert(gate_up, down, gate)
