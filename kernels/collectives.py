"""Collectives as programs of their own: for tests, benchmarks and the choice of an algorithm."""

from wse_emu.program import Body, Builder, Layout, Value
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


def reduce_2d(b: Builder, x: Value, *, algorithm: str | None = None) -> Value:
    """X-Y: every row into one PE, and those into one of their column (HPDC 2024, section 6). x differs on every PE."""
    total: Value = b.reduce(b.reduce(x, axis="x", algorithm=algorithm), axis="y", algorithm=algorithm)
    return total


def all_reduce_2d(b: Builder, x: Value, *, algorithm: str | None = None) -> Value:
    """X-Y with every line broadcasting its sum back: all PEs have the total in the end."""
    total: Value = b.all_reduce(b.all_reduce(x, axis="x", algorithm=algorithm), axis="y", algorithm=algorithm)
    return total


def broadcast_2d(b: Builder, x: Value, *, row: int = 0, column: int = 0) -> Value:
    """From the PE (column, row) along its row, and from there along all columns."""
    return b.broadcast(b.broadcast(x, axis="x", root=column), axis="y", root=row)
