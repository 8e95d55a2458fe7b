"""A mixture of experts with a region for every expert: what runs there, and what the layer's own region adds up.

The layer's region sends what the experts take to the regions of the chosen alone, and gets their outputs back.
"""

import numpy as np

from wse_emu.kernels.gemv import gemv, multiply
from wse_emu.kernels.mlp import GATED
from wse_emu.kernels.moe import activated
from wse_emu.models.config import ModelConfig
from wse_emu.models.experts import Experts
from wse_emu.models.weights import Weights
from wse_emu.program import Body, Builder, Layout

HIDDEN = Layout(("y",))


def expert_prefix(layer: int, number: int) -> str:
    """Of the weights of one expert."""
    return f"layers.{layer}.experts.{number}."


def expert_body(b: Builder, config: ModelConfig) -> Body:
    """Normed (hidden,) -> down @ (activation(gate @ x) · (up @ x)) (hidden,), with its biases."""
    experts, hidden = _of(config), config.hidden
    inner = experts.intermediate
    x = b.input("normed", (hidden,), HIDDEN)
    inward = b.matrix("gate_up", (2, inner, hidden), Layout((None, "x", "y")))
    down = b.matrix("down", (hidden, inner), Layout(("y", "x")))
    with b.kernel("experts"):
        wide = gemv(b, inward, x)
        if experts.bias:
            wide = b.local("add", wide, b.weight("gate_up_bias", (2, inner), Layout((None, "x"))))
        result = gemv(b, down, activated(b, experts, config.activation, wide))
        if experts.bias:
            result = b.local("add", result, b.weight("down_bias", (hidden,), HIDDEN))
        return b.build(result)


def shared_body(b: Builder, config: ModelConfig) -> Body:
    """Hidden (hidden,), normed (hidden,) -> hidden plus the output of the expert that every token meets."""
    experts, hidden = _of(config), config.hidden
    inner = experts.shared_intermediate
    before, x = b.input("hidden", (hidden,), HIDDEN), b.input("normed", (hidden,), HIDDEN)
    inward = b.matrix("shared_gate_up", (2, inner, hidden), Layout((None, "x", "y")))
    down = b.matrix("shared_down", (hidden, inner), Layout(("y", "x")))
    with b.kernel("experts"):
        wide, gate = multiply(b, inward, x), ()
        if experts.shared_gate:
            wide, *gate = b.all_reduce(wide, multiply(b, b.weight("shared_router", (1, hidden), _WHOLE), x), axis="y")
        else:
            wide = b.all_reduce(wide, axis="y")
        own = gemv(b, down, b.local(GATED[config.activation], wide))
        return b.build(b.local("add_shared", before, own, *gate))


_WHOLE = Layout((None, "y"))


def combine_body(b: Builder, config: ModelConfig) -> Body:
    """Hidden (hidden,), weights (active,), outputs of the chosen (hidden,) -> their weighted sum added to hidden."""
    experts = _of(config)
    total = b.input("hidden", (config.hidden,), HIDDEN)
    weights = b.input("weights", (experts.active,), Layout((None,)))
    with b.kernel("combine"):
        for place in range(experts.active):
            output = b.input(f"output{place}", (config.hidden,), HIDDEN)
            total = b.local("add_scaled", total, output, weights, place=place)
        return b.build(total)


def expert_array(weights: Weights, prefix: str, name: str) -> np.ndarray:
    """The tensors of one expert behind the value ``prefix + name`` of its body."""
    layer, _, number = prefix.rstrip(".").partition(".experts.")

    def read(part: str, suffix: str) -> np.ndarray:
        return weights.expert(f"{layer}.experts_{part}{suffix}", int(number))

    if name.startswith("gate_up"):
        return np.concatenate([read(part, name.removeprefix("gate_up")) for part in ("gate", "up")], axis=-1)
    return read("down", name.removeprefix("down"))


def _of(config: ModelConfig) -> Experts:
    assert config.experts is not None
    return config.experts
