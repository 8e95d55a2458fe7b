"""Collectives as programs of their own: for tests, benchmarks and the choice of an algorithm."""

from wse_emu.program import Body, Builder, Layout
from wse_emu.program.steps import Axis


def collective(
    kind: str, algorithm: str, rows: int, cols: int, elements: int, *, axis: Axis = "y", dtype: str = "float32"
) -> Body:
    """A body with one `reduce`, `all_reduce` or `broadcast` of ``elements`` per PE along ``axis``.

    Its input "x" (elements,) differs from PE to PE along ``axis``.
    """
    b = Builder(f"{kind} {algorithm}", rows, cols)
    every = Layout(("x" if axis == "y" else "y", axis, None))
    x = b.input("x", (cols if axis == "y" else rows, rows if axis == "y" else cols, elements), every, dtype)
    if kind == "broadcast":
        return b.build(b.broadcast(x, axis=axis))
    combine = b.all_reduce if kind == "all_reduce" else b.reduce
    return b.build(combine(x, axis=axis, algorithm=algorithm))
