"""The gated MLP of the Llama family (SwiGLU: Shazeer, arXiv 2002.05202)."""

from wse_emu.kernels.gemv import gemv
from wse_emu.program import Builder, Value


def swiglu_mlp(b: Builder, gate_up: Value, down: Value, x: Value, residual: Value) -> Value:
    """Residual + down @ (silu(gate @ x) · (up @ x)).  gate_up (2, f, n), down (n, f); x, residual (n,) lie ("y",)."""
    both = gemv(b, gate_up, x)
    hidden = b.local("swiglu", both)
    result: Value = b.local("add", residual, gemv(b, down, hidden))
    return result
