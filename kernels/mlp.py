"""The MLP: gated (SwiGLU, GeGLU: Shazeer, arXiv 2002.05202) or plain, with or without biases."""

from wse_emu.kernels.gemv import gemv
from wse_emu.models.config import Activation
from wse_emu.program import Builder, Value

GATED: dict[Activation, str] = {"silu": "swiglu", "gelu": "geglu", "gelu_tanh": "geglu_tanh"}
"""The operation on gate and up projections; without a gate it bears the activation's name."""


def mlp(
    b: Builder,
    inward: Value,
    down: Value,
    x: Value,
    *,
    activation: Activation = "silu",
    gated: bool = True,
    biases: tuple[Value, Value] | None = None,
) -> Value:
    """Down @ (activation(gate @ x) · (up @ x)), or down @ activation(up @ x) where it is not gated.

    inward is gate and up (2, f, n), or up (f, n); down (n, f); x (n,) lies ("y",), as the result does. ``biases`` are
    added to the projections inward and down.
    """
    wide = gemv(b, inward, x)
    if biases is not None:
        wide = b.local("add", wide, biases[0])
    result = gemv(b, down, b.local(GATED[activation] if gated else activation, wide))
    if biases is not None:
        result = b.local("add", result, biases[1])
    return result


def swiglu_mlp(b: Builder, gate_up: Value, down: Value, x: Value, residual: Value) -> Value:
    """Residual + down @ (silu(gate @ x) · (up @ x)).  gate_up (2, f, n), down (n, f); x, residual (n,) lie ("y",)."""
    result: Value = b.local("add", residual, mlp(b, gate_up, down, x))
    return result
