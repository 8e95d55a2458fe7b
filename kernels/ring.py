"""Collectives on an interleaved ring: a vector goes around in as many blocks as the ring has PEs.

All-reduce as reduce-scatter and all-gather: 2 (P − 1) steps of a P-th of the vector, Patarasuk and Yuan, JPDC 69
(2009). The ring is that of :class:`wse_emu.program.steps.Shift`: no neighbour is more than two hops away.
"""

import numpy as np

from wse_emu.engines.lines import ring
from wse_emu.errors import WseError
from wse_emu.program import Builder, Value
from wse_emu.program.steps import Axis


def ring_all_reduce(b: Builder, value: Value, *, axis: Axis) -> Value:
    """The sum of ``value`` over the PEs along ``axis``, on all of them; cut along its last dimension.

    Raises WseError as :func:`ring_reduce_scatter` does.
    """
    return ring_all_gather(b, ring_reduce_scatter(b, value, axis=axis), axis=axis, like=value)


def ring_all_reduce_2d(b: Builder, value: Value) -> Value:
    """The sum of ``value`` over all PEs, on all of them: rings along x scatter what rings along y then sum up."""
    part = ring_reduce_scatter(b, value, axis="x")
    return ring_all_gather(b, ring_all_reduce(b, part, axis="y"), axis="x", like=value)


def ring_reduce_scatter(b: Builder, value: Value, *, axis: Axis) -> Value:
    """Every PE's block of the sum of ``value`` (*dims, n) over ``axis``, (*dims, ⌈n / P⌉).

    The PE at place p of the ring ends with block p + 1 (modulo P). Raises WseError where the last dimension is split
    over PEs, or all PEs along ``axis`` hold the same.
    """
    _check(value, axis)
    cut = b.local("ring_blocks", value, axis=axis, places=_places(b, axis))
    total, *own = cut if isinstance(cut, tuple) else (cut,)
    for block in own:
        total = b.local("add", b.shift(total, axis=axis), block)
    reduced: Value = total
    return reduced


def ring_all_gather(b: Builder, block: Value, *, axis: Axis, like: Value) -> Value:
    """All blocks of what :func:`ring_reduce_scatter` left of ``like``, on every PE of the ring along ``axis``."""
    held = [block]
    for _ in _places(b, axis)[1:]:
        held.append(b.shift(held[-1], axis=axis))
    in_order = (*held[1:], held[0])  # reduce-scatter leaves a PE the block after its own
    each = axis in like.layout.axes()
    whole: Value = b.local("ring_join", *in_order, axis=axis, places=_places(b, axis), size=like.shape[-1], each=each)
    return whole


def _places(b: Builder, axis: Axis) -> tuple[int, ...]:
    """The place on the ring of every position along ``axis``."""
    return tuple(np.argsort(ring(b.cols if axis == "x" else b.rows)).tolist())


def _check(value: Value, axis: Axis) -> None:
    if value.layout.dims[-1] is not None or value.layout.inner != 1:
        raise WseError(
            f"ring along {axis} of {value}: its last dimension is cut into blocks and must lie whole on a PE"
        )
    if not value.varies(axis):
        raise WseError(f"ring along {axis} of {value}: all PEs along {axis} hold the same: there is nothing to sum")
