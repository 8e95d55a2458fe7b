"""Matrix times vector over a region: partial products on every PE, summed along the axis that splits the input."""

from wse_emu.program import Builder, Layout, Value
from wse_emu.program.layout import grid
from wse_emu.program.steps import Axis


def gemv(b: Builder, w: Value, x: Value, *, reduce: str | None = None) -> Value:
    """Y = w @ x.  w (*n, *m) lies over both axes, x (*m) over one of them; y (*n) lies over the other one.

    y is copied along the axis that x was split over, so that successive GEMVs alternate axes and need no transpose.
    """
    axis = _axis(w, x)
    partial = multiply(b, w, x)
    total: Value = b.all_reduce(partial, axis=axis, algorithm=reduce)
    return total


def multiply(b: Builder, w: Value, x: Value) -> Value:
    """The partial products alone: every PE multiplies its block of w with its block of x."""
    axis = _axis(w, x)
    outs = len(w.shape) - len(x.shape)
    out_layout = Layout(w.layout.dims[:outs], w.layout.inner)
    shape = w.shape[:outs]
    where = grid(out_layout, shape, b.rows, b.cols)
    block = out_layout.block(shape, b.rows, b.cols)
    result: Value = b.local("gemv", w, x, axis=axis, out_grid=where, out_block=block)
    return result


def _axis(w: Value, x: Value) -> Axis:
    dims = w.layout.dims[len(w.shape) - len(x.shape) :]
    (axis,) = Layout(dims, w.layout.inner).axes()
    return "x" if axis == "x" else "y"
