"""Kernels by name, each at a size of one's choice: what `wse-emu bench kernels` measures."""

from collections.abc import Callable
from importlib import import_module

from wse_emu.errors import WseError
from wse_emu.kernels.attention import attend
from wse_emu.kernels.collectives import all_reduce_2d, broadcast_2d, reduce_2d
from wse_emu.kernels.embed import lm_head
from wse_emu.kernels.gemm import TILES, mesh_gemm
from wse_emu.kernels.gemm_t import gemm_t
from wse_emu.kernels.gemv import gemv
from wse_emu.kernels.mlp import swiglu_mlp
from wse_emu.kernels.norm import rms_norm
from wse_emu.kernels.ring import ring_all_reduce
from wse_emu.kernels.sample import argmax
from wse_emu.program import Builder, Layout, Value

Kernel = Callable[[Builder, int], Value]
"""(builder of the region, size) -> what it yields; it declares its inputs and weights on the builder."""
HIDDEN = Layout(("y",))
HEAD_DIM = 64


def bench_gemv(b: Builder, size: int) -> Value:
    """Y = w @ x with a square w (size, size)."""
    return gemv(b, b.weight("w", (size, size), Layout(("x", "y"))), b.input("x", (size,), HIDDEN))


def bench_rms_norm(b: Builder, size: int) -> Value:
    """RMS norm of (size,)."""
    return rms_norm(b, b.input("x", (size,), HIDDEN), b.weight("w", (size,), HIDDEN), epsilon=1e-6)


def bench_mlp(b: Builder, size: int) -> Value:
    """A SwiGLU MLP of hidden size ``size``, four times as wide inside."""
    x = b.input("x", (size,), HIDDEN)
    gate_up = b.weight("gate_up", (2, 4 * size, size), Layout((None, "x", "y")))
    return swiglu_mlp(b, gate_up, b.weight("down", (size, 4 * size), Layout(("y", "x"))), x, x)


def bench_attention(b: Builder, size: int) -> Value:
    """One token's attention over ``size`` cached ones, one head of 64 dimensions a column of PEs."""
    shape, heads = (b.cols, 1, 2, HEAD_DIM // 2), Layout(("x.outer", None, None, "x.inner"), 1)
    cached = Layout(("y", "x.outer", None, "x.inner"), 1)
    keys, values = (b.state(name, (size, b.cols, 2, HEAD_DIM // 2), cached) for name in ("keys", "values"))
    for state, name in ((keys, "key"), (values, "value")):
        b.append(state, b.input(name, shape, heads))
    return attend(b, b.input("query", shape, heads), keys, values, scale=HEAD_DIM**-0.5)


def bench_lm_head(b: Builder, size: int) -> Value:
    """Logits of a vocabulary of 8 · size, and the best of them."""
    table = b.weight("table", (8 * size, size), Layout(("x", "y")))
    return argmax(b, lm_head(b, table, b.input("x", (size,), HIDDEN)))


def _collective(kind: str, algorithm: str) -> Kernel:
    def kernel(b: Builder, size: int) -> Value:
        x = b.input("x", (b.rows, b.cols, size), Layout(("y", "x", None)))
        if kind == "broadcast":
            return b.broadcast(x, axis="y")
        value: Value = getattr(b, kind)(x, axis="y", algorithm=algorithm)
        return value

    kernel.__doc__ = f"{kind} of ``size`` elements a PE along columns."
    return kernel


def _collective_2d(function: Callable[[Builder, Value], Value]) -> Kernel:
    """``size`` elements a PE over the whole region."""

    def kernel(b: Builder, size: int) -> Value:
        return function(b, b.input("x", (b.rows, b.cols, size), Layout(("y", "x", None))))

    return kernel


def bench_mesh_gemm(b: Builder, size: int) -> Value:
    """C = A @ B of (size, size) matrices on a square region."""
    shape = (b.rows, b.cols, -(-size // b.rows), -(-size // b.cols))
    return mesh_gemm(b, *(b.input(name, shape, TILES) for name in ("a", "w", "zero")))


def bench_gemm_t(b: Builder, size: int) -> Value:
    """C = A @ Bᵀ of (size, size) matrices on a square region."""
    shape = (b.rows, b.cols, -(-size // b.rows), -(-size // b.cols))
    return gemm_t(b, *(b.input(name, shape, TILES) for name in ("a", "w")))


def bench_ring_all_reduce(b: Builder, size: int) -> Value:
    """An all-reduce of ``size`` elements a PE on rings along columns."""
    return ring_all_reduce(b, b.input("x", (b.rows, b.cols, size), Layout(("y", "x", None))), axis="y")


KERNELS: dict[str, Kernel] = {
    "gemv": bench_gemv,
    "rms_norm": bench_rms_norm,
    "mlp": bench_mlp,
    "attention": bench_attention,
    "lm_head": bench_lm_head,
    "broadcast": _collective("broadcast", ""),
    **{
        f"{kind}:{algorithm}": _collective(kind, algorithm)
        for kind in ("reduce", "all_reduce")
        for algorithm in ("chain", "two_way", "tree", "two_phase", "ktree", "star", "autogen")
    },
    "reduce_2d": _collective_2d(reduce_2d),
    "all_reduce_2d": _collective_2d(all_reduce_2d),
    "broadcast_2d": _collective_2d(broadcast_2d),
    "ring_all_reduce": bench_ring_all_reduce,
    "gemm": bench_mesh_gemm,
    "gemm_t": bench_gemm_t,
}


def find_kernel(name: str) -> Kernel:
    """The kernel ``name``, or the function `module:function` of one's own; WseError if there is none."""
    if name in KERNELS:
        return KERNELS[name]
    module, _, function = name.partition(":")
    if not function:
        raise WseError(f"unknown kernel {name!r}; what works: {', '.join(KERNELS)}, or module:function of your own")
    try:
        found = getattr(import_module(module), function, None)
    except ImportError as error:
        raise WseError(f"kernel {name}: module {module} cannot be imported ({error})") from None
    except Exception as error:  # noqa: BLE001  (whatever a user's module does when it is imported)
        raise WseError(f"kernel {name}: importing {module} failed with {type(error).__name__}: {error}") from None
    if not callable(found):
        raise WseError(f"kernel {name}: {module} has no function {function}; (Builder, size) -> Value works")
    kernel: Kernel = found
    return kernel
